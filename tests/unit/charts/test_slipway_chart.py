"""The chart that Slipway ships as: what helm makes of it, and what it refuses."""

import base64
from typing import Any

import pytest
from unit.charts import rendering
from unit.charts.rendering import ROOT, Document, documents_of, helm, pod_of, template

from app.access import admin_keys
from app.core.settings import Settings

CHART = ROOT / "charts" / "slipway"
POSTGRESQL = ("database.url=postgresql://u:p@db/slipway", "secrets.encryptionKey=a-key")
ADMIN_KEY = "an-admin-key-of-these-tests-0123456789"


def render(*sets: str) -> list[Document]:
    return documents_of(template("slipway", CHART, *sets))


def one(documents: list[Document], kind: str, name: str = "slipway") -> Document:
    return rendering.one(documents, kind, name)


def env_of(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def test_helm_finds_nothing_to_complain_of() -> None:
    done = helm("lint", "--strict", str(CHART))

    assert done.returncode == 0, done.stdout


def test_by_default_it_is_one_replica_with_sqlite_on_a_volume_that_stays() -> None:
    documents = render("api.replicas=3")

    deployment = one(documents, "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    container = pod_of(deployment)["containers"][0]
    assert env_of(container) == {
        "SLIPWAY_DATABASE_URL": "sqlite:////data/slipway.db",
        "SLIPWAY_ADMIN_KEY": {"secretKeyRef": {"name": "slipway-admin-key", "key": "admin-key"}},
    }
    assert "--no-worker" not in container["args"]
    claim = one(documents, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert pod_of(deployment)["volumes"][0]["persistentVolumeClaim"]["claimName"] == "slipway"


def test_on_postgresql_it_is_several_that_migrate_first_and_are_replaced_one_by_one() -> None:
    documents = render(*POSTGRESQL, f"secrets.adminKey={ADMIN_KEY}")

    deployment = one(documents, "Deployment")
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    pod = pod_of(deployment)
    assert [each["args"] for each in pod["initContainers"]] == [["slipway", "migrate"]]
    expected = {"SLIPWAY_DATABASE_URL", "SLIPWAY_ENCRYPTION_KEY"}
    assert set(env_of(pod["initContainers"][0])) == expected
    assert set(env_of(pod["containers"][0])) == {*expected, "SLIPWAY_ADMIN_KEY"}
    assert set(one(documents, "Secret")["stringData"]) == {"database-url", "encryption-key", "admin-key"}
    assert "PersistentVolumeClaim" not in {each["kind"] for each in documents}
    one(documents, "PodDisruptionBudget")


def test_workers_of_their_own_take_the_work_from_the_api() -> None:
    documents = render(*POSTGRESQL, "worker.replicas=2")

    api, worker = (
        pod_of(one(documents, "Deployment", name))["containers"][0] for name in ("slipway", "slipway-worker")
    )
    assert "--no-worker" in api["args"]
    assert worker["args"] == ["slipway", "worker"]
    assert ("SLIPWAY_ADMIN_KEY" in env_of(api), "SLIPWAY_ADMIN_KEY" in env_of(worker)) == (True, False)
    assert "readinessProbe" not in worker
    selector = one(documents, "Service")["spec"]["selector"]
    labels = one(documents, "Deployment", "slipway-worker")["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= labels.items()


def test_a_secret_of_the_operator_is_used_and_none_is_made() -> None:
    documents = render("secrets.existingSecret=mine")

    assert "Secret" not in {each["kind"] for each in documents}
    found = env_of(pod_of(one(documents, "Deployment"))["containers"][0])
    assert {entry["secretKeyRef"]["name"] for entry in found.values()} == {"mine"}


def test_the_first_key_is_made_with_the_release() -> None:
    one_time, another = (one(render(*POSTGRESQL), "Secret", "slipway-admin-key")["data"]["admin-key"] for _ in range(2))

    assert one_time != another
    key = base64.b64decode(one_time).decode()
    assert admin_keys.of_settings(Settings(admin_key=key)) == [key]
    for given in (("secrets.existingSecret=mine",), (f"secrets.adminKey={ADMIN_KEY}",)):
        names = {each["metadata"]["name"] for each in render(*given) if each["kind"] == "Secret"}
        assert "slipway-admin-key" not in names


@pytest.mark.parametrize(
    ("sets", "secret"),
    [
        ((), "slipway-admin-key"),
        (("secrets.existingSecret=mine",), "mine"),
        ((f"secrets.adminKey={ADMIN_KEY}",), "slipway"),
    ],
)
def test_the_notes_say_where_the_key_is_and_never_the_log(sets: tuple[str, ...], secret: str) -> None:
    done = helm(
        "install", "slipway", str(CHART), "--dry-run=client", *(part for each in sets for part in ("--set", each))
    )

    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert f"get secret {secret} -o jsonpath='{{.data.admin-key}}'" in notes
    assert " logs " not in notes
    assert ADMIN_KEY not in notes


def test_every_pod_runs_without_rights() -> None:
    documents = render(*POSTGRESQL, "worker.replicas=1")

    pods = [pod_of(each) for each in documents if each["kind"] == "Deployment"]
    pods += [each["spec"] for each in documents if each["kind"] == "Pod"]
    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert all("sizeLimit" in volume["emptyDir"] for volume in pod.get("volumes", ()))
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
    assert one(documents, "ServiceAccount")["automountServiceAccountToken"] is False


def test_an_account_of_the_operators_mounts_no_token_either() -> None:
    documents = render("serviceAccount.create=false", "serviceAccount.name=theirs")

    pod = pod_of(one(documents, "Deployment"))
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("theirs", False)
    limits = pod["containers"][0]["resources"]["limits"]
    assert set(limits) == {"memory", "ephemeral-storage"}


def test_egress_is_closed_but_for_what_slipway_asks() -> None:
    extra = "networkPolicy.egress.extra[0].ports[0].port=8443"
    both = ("networkPolicy.enabled=true", "networkPolicy.egress.enabled=true")
    spec = one(render(*POSTGRESQL, *both, extra), "NetworkPolicy")["spec"]

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    open_to_all = [port["port"] for rule in spec["egress"] if "to" not in rule for port in rule["ports"]]
    assert open_to_all == [53, 53, 443, 5432, 8443]
    sqlite = one(render(*both), "NetworkPolicy")["spec"]
    assert 5432 not in [port["port"] for rule in sqlite["egress"] for port in rule["ports"]]
    assert "egress" not in one(render(both[0]), "NetworkPolicy")["spec"]


@pytest.mark.parametrize("name", ["log_level", "max_running_per_region", "http_max_connections"])
def test_settings_are_slipways_own(name: str) -> None:
    documents = render(f"settings.{name}=7")

    found = env_of(pod_of(one(documents, "Deployment"))["containers"][0])
    assert found[f"SLIPWAY_{name.upper()}"] == "7"
    assert name in Settings.model_fields


def test_all_that_can_be_switched_on_renders() -> None:
    documents = render(
        *POSTGRESQL,
        "ingress.enabled=true",
        "ingress.hosts[0].host=slipway.example.com",
        "metrics.serviceMonitor.enabled=true",
        "networkPolicy.enabled=true",
        "image.digest=sha256:" + "0" * 64,
        "aws.region=us-west-2",
    )

    rule = one(documents, "Ingress")["spec"]["rules"][0]
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "slipway", "port": {"name": "http"}}
    one(documents, "ServiceMonitor")
    one(documents, "NetworkPolicy")
    container = pod_of(one(documents, "Deployment"))["containers"][0]
    assert container["image"].endswith("@sha256:" + "0" * 64)
    assert env_of(container)["AWS_REGION"] == "us-west-2"


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (POSTGRESQL[:1], "needs secrets.encryptionKey"),
        (("worker.replicas=1",), "needs PostgreSQL"),
        (("secrets.existingSecret=mine", f"secrets.adminKey={ADMIN_KEY}"), "leave database.url"),
        (("settings.admin_key=x",), "admin_key"),
        (("secrets.adminKey=short",), "/secrets/adminKey"),
        (("api.replicas=0",), "/api/replicas"),
        (("database.url=mysql://x", "secrets.encryptionKey=k"), "/database/url"),
        (("replicas=2",), "'replicas' not allowed"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_do(sets: tuple[str, ...], says: str) -> None:
    done = template("slipway", CHART, *sets)

    assert done.returncode != 0
    assert says in done.stderr
