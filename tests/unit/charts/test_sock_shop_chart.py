"""The example chart: what helm makes of it, what it refuses."""

import pytest
from unit.charts.rendering import ROOT, Document, documents_of, helm, one, pod_of, template

CHART = ROOT / "examples" / "charts" / "sock-shop"
APPLICATIONS = {"front-end", "catalogue", "carts", "orders", "payment", "shipping", "user", "queue-master"}
DATABASES = {"catalogue-db", "carts-db", "orders-db", "user-db", "session-db", "rabbitmq"}
TAINT = ("tolerations[0].key=dedicated", "tolerations[0].value=worker", "tolerations[0].effect=NoSchedule")
TOLERATION = {"key": "dedicated", "value": "worker", "effect": "NoSchedule"}


def render(*sets: str) -> list[Document]:
    return documents_of(template("shop", CHART, *sets))


def of_kind(documents: list[Document], kind: str) -> dict[str, Document]:
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


def test_helm_finds_nothing_to_complain_of() -> None:
    done = helm("lint", "--strict", str(CHART))

    assert done.returncode == 0, done.stdout


def test_each_service_is_a_deployment_behind_a_service_of_its_name() -> None:
    documents = render()

    deployments, services = of_kind(documents, "Deployment"), of_kind(documents, "Service")
    assert deployments.keys() == services.keys() == APPLICATIONS | DATABASES
    for name, service in services.items():
        labels = deployments[name]["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert deployments[name]["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
        container = pod_of(deployments[name])["containers"][0]
        assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    assert services["front-end"]["spec"]["ports"][0]["port"] == 80
    assert services["carts-db"]["spec"]["ports"][0]["port"] == 27017
    assert {each["kind"] for each in documents} == {"Deployment", "Service", "Pod"}


def test_the_shops_own_services_run_without_rights() -> None:
    deployments = of_kind(render(), "Deployment")

    for name in APPLICATIONS:
        context = pod_of(deployments[name])["containers"][0]["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
    assert pod_of(deployments["carts"])["containers"][0]["volumeMounts"] == [{"name": "scratch-0", "mountPath": "/tmp"}]
    assert not any(pod_of(each)["automountServiceAccountToken"] for each in deployments.values())


def test_one_thing_of_one_service_is_changed_by_its_path() -> None:
    deployments = of_kind(
        render(
            "services.catalogue.replicas=0", "services.carts.image.tag=0.4.9", "services.queue-master.enabled=false"
        ),
        "Deployment",
    )

    assert {name: each["spec"]["replicas"] for name, each in deployments.items()} == {
        name: 0 if name == "catalogue" else 1 for name in (APPLICATIONS | DATABASES) - {"queue-master"}
    }
    assert pod_of(deployments["carts"])["containers"][0]["image"] == "weaveworksdemos/carts:0.4.9"


def test_the_ingress_leads_to_the_front_end() -> None:
    documents = render("ingress.enabled=true", "ingress.className=alb", "ingress.host=socks.example.com")

    spec = one(documents, "Ingress", "front-end")["spec"]
    assert spec["ingressClassName"] == "alb"
    assert spec["rules"][0]["host"] == "socks.example.com"
    backend = spec["rules"][0]["http"]["paths"][0]["backend"]["service"]
    service = one(documents, "Service", backend["name"])
    assert backend["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]


def test_autoscalers_take_the_place_of_replicas() -> None:
    documents = render(
        "autoscaling.enabled=true", "autoscaling.services={front-end,carts}", "autoscaling.maxReplicas=9"
    )

    scalers = of_kind(documents, "HorizontalPodAutoscaler")
    assert scalers.keys() == {"front-end", "carts"}
    assert scalers["carts"]["spec"]["scaleTargetRef"]["name"] == "carts"
    assert scalers["carts"]["spec"]["maxReplicas"] == 9
    without = {name for name, each in of_kind(documents, "Deployment").items() if "replicas" not in each["spec"]}
    assert without == scalers.keys()


def test_every_pod_the_tests_too_tolerates_what_it_is_told_to() -> None:
    documents = render(
        *TAINT, "nodeSelector.role=worker", "imagePullSecrets[0].name=pull", "image.registry=mirror.test/x"
    )

    test = one(documents, "Pod", "shop-front-end-test")
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    pods = [test["spec"], *map(pod_of, of_kind(documents, "Deployment").values())]
    for pod in pods:
        assert pod["tolerations"] == [TOLERATION]
        assert pod["nodeSelector"] == {"role": "worker"}
        assert pod["imagePullSecrets"] == [{"name": "pull"}]
        assert pod["containers"][0]["image"].startswith("mirror.test/x/")


def test_its_notes_say_how_to_reach_it() -> None:
    arguments = ("install", "my-release", str(CHART), "--dry-run=client", "--namespace", "sock-shop")
    done = helm(*arguments, "--set", "ingress.enabled=true,ingress.host=socks.example.com")

    notes = done.stdout.partition("NOTES:\n")[2]
    assert 'echo "Visit http://socks.example.com/"' in notes
    assert 'kubectl get pods --namespace sock-shop -l "app.kubernetes.io/name=front-end,' in notes
    assert "kubectl port-forward --namespace sock-shop $POD_NAME 8080:8079" in notes


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("services.catalogue.image.tag=", "/services/catalogue/image/tag"),
        ("services.catalogue.replica=2", "'replica' not allowed"),
        ("services.New=1", "/services"),
        ("ingress.enabled=yes", "/ingress/enabled"),
        ("autoscaling.minReplicas=0", "/autoscaling/minReplicas"),
        ("replicas=2", "'replicas' not allowed"),
    ],
)
def test_its_schema_refuses_what_it_does_not_know(value: str, says: str) -> None:
    done = template("shop", CHART, value)

    assert done.returncode != 0
    assert says in done.stderr


def test_an_autoscaler_of_no_service_is_refused() -> None:
    done = template("shop", CHART, "autoscaling.enabled=true", "autoscaling.services={web}")

    assert done.returncode != 0
    assert 'autoscaling.services names "web", which is no service' in done.stderr
