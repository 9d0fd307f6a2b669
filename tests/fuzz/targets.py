"""What is fuzzed: readers of fetched bytes, each a function of bytes, and the errors that it may end in.

A target that has several entry points takes the first byte as the choice, so that seeds stay one file each.
"""

import asyncio
import itertools
import os
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from app.cloudformation.root_cause import failure_of, root_cause
from app.clusters.requests import read_request
from app.core.documents import UnreadableError, fetched_json, fetched_yaml, parse_json, parse_yaml
from app.core.errors import SlipwayError
from app.core.validation import validate
from app.gateways.aws.clients import PROCESS, AwsClients
from app.gateways.aws.cloudformation import CloudFormation
from app.gateways.aws.ec2 import Ec2
from app.gateways.aws.ecr import Ecr
from app.gateways.aws.ecr_account import EcrAccount
from app.gateways.aws.eks import Eks
from app.gateways.aws.elb import Elb
from app.gateways.aws.errors import AwsError
from app.gateways.aws.secrets_manager import SecretsManager
from app.gateways.helm.chart import ChartLimits, read_chart
from app.gateways.helm.classify import class_of, message_of
from app.gateways.helm.errors import ChartInvalid, HelmError
from app.gateways.helm.progress import ProgressReader
from app.gateways.helm.records import decode_record
from app.gateways.helm.release import first_json, release_of, revisions_of
from app.gateways.helm.strvals import SetExpressionError, path_of, with_set
from app.gateways.helm.value_schema import refers_outside, secret_pointers
from app.gateways.kubernetes.access import access_of
from app.gateways.kubernetes.diagnosis import root_cause as diagnosis_of
from app.gateways.kubernetes.diff import field_changes
from app.gateways.kubernetes.objects import ManifestError, entries, label_selector, mapping, parse_manifest, ref_of
from app.gateways.kubernetes.readiness import readiness_of
from app.gateways.kubernetes.resources import Resource
from app.http.etag import EntityTags
from app.http.pagination import _decode as page_token
from app.releases.manifest import secrets_of, without_secrets
from app.releases.schemas import ReleaseSpec
from app.webhooks.schedule import parse_retry_after

LIMITS = ChartLimits(archive_bytes=1 << 20, unpacked_bytes=4 << 20, file_bytes=1 << 20, files=200)
ARN = "arn:aws:eks:us-east-1:111122223333:cluster/c"
IMAGE = (f"sha256:{'0' * 64}", None)


@dataclass(frozen=True, slots=True)
class Target:
    """A reader.

    Attributes:
        name: Of its folder of seeds.
        read: Takes the bytes.
        allowed: What it may raise.
    """

    name: str
    read: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...] = ()


def chart(content: bytes) -> object:
    with tempfile.TemporaryDirectory(prefix="fuzz-chart-") as folder:
        path = Path(folder) / "fetched.tgz"
        path.write_bytes(content)
        return read_chart(path, "sha256:0", LIMITS).default_values()


def yaml(content: bytes) -> object:
    return list(fetched_yaml(content, "it"))


def manifest(content: bytes) -> object:
    text = content.decode(errors="replace")
    without_secrets(text)
    list(secrets_of(text))
    return [(ref_of(item), readiness_of(item)) for item in parse_manifest(text)]


def schema(content: bytes) -> object:
    value = fetched_json(content, "it")
    return refers_outside(value), list(secret_pointers(value))


def record(content: bytes) -> object:
    return decode_record({"data": {"release": content.decode(errors="replace")}})


def helm_output(content: bytes) -> object:
    answer = first_json(content)
    return release_of(answer), revisions_of(answer)


def helm_log(content: bytes) -> object:
    text = content.decode(errors="replace")
    reader = ProgressReader(lambda _: None)
    return [reader(line) for line in text.splitlines()], class_of(message_of(text))


def set_expressions(content: bytes) -> object:
    text = content.decode(errors="replace")
    return with_set({"a": {"b": [1]}}, text.split("\n")), path_of(text)


def kubernetes_objects(content: bytes) -> object:
    """A list as the API server answers it; each object is looked at as if it were of the manifest, and as a pod."""
    items = entries(mapping(fetched_json(content, "the answer")).get("items"))
    found = [Resource(ref_of(item), readiness_of(item), item, tuple(items)) for item in items]
    states = [resource.pod_states for resource in found]
    for before, after in itertools.pairwise(items):
        field_changes(before, after)
    selectors = [label_selector(mapping(mapping(item.get("spec")).get("selector"))) for item in items]
    return states, selectors, access_of(found).port_forward, diagnosis_of(found, items, items)


def cluster_request(content: bytes) -> object:
    return read_request(content, ("nodegroups",))


def json_request(content: bytes) -> object:
    document = parse_json(content)
    if isinstance(document, dict) and "chart" in document:
        return validate(ReleaseSpec, document)
    return read_request(document, ("nodegroups",))


def body_yaml(content: bytes) -> object:
    return parse_yaml(content)


def headers(content: bytes) -> object:
    text = content.decode("latin-1")
    readers = EntityTags, parse_retry_after, lambda token: page_token(token, "x")
    return readers[ord(text[:1] or "\0") % 3](text[1:])


class _Answer:
    """What aiobotocore gets of HTTP: the parser is the real one, only the wire is left out."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status_code, self.headers, self._body = status, {"x-amzn-requestid": "1"}, body

    @property
    async def content(self) -> bytes:
        return self._body


class _Aws:
    """Real clients, one loop, and every request answered with the bytes at hand."""

    def __init__(self) -> None:
        os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}
        os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
        self.loop = asyncio.new_event_loop()
        self.clients = AwsClients()
        self._answer = _Answer(200, b"")
        for service in ("eks", "ecr", "ec2", "elbv2", "cloudformation", "secretsmanager"):
            client = self.loop.run_until_complete(self.clients.client(PROCESS, "us-east-1", service))
            client.meta.events.register("before-send", self._send)

    async def _send(self, **_: Any) -> _Answer:
        return self._answer

    def run(self, content: bytes, calls: list[Callable[[], Coroutine[Any, Any, object]]]) -> object:
        choice = content[0] if content else 0
        status = 400 if choice & 128 else 200  # a 5xx would be tried again after a pause
        self._answer = _Answer(status, content[1:])
        return self.loop.run_until_complete(asyncio.wait_for(calls[(choice & 127) % len(calls)](), 8))


@cache
def _aws() -> _Aws:
    return _Aws()


def _service(kind: Any, calls: Callable[[Any], list[Callable[[], Coroutine[Any, Any, object]]]]) -> Any:
    def read(content: bytes) -> object:
        aws = _aws()
        return aws.run(content, calls(kind(aws.clients, PROCESS, "us-east-1")))

    return read


async def _events(stacks: CloudFormation) -> object:
    events = await stacks.events("s")
    causes = [failure_of(status, events) for status in ("UPDATE_ROLLBACK_FAILED", "CREATE_FAILED", "x")]
    return causes, root_cause(events, token="t")


eks = _service(
    Eks,
    lambda eks: [
        lambda: eks.describe_cluster("c"),
        lambda: eks.describe_nodegroup("c", "n"),
        lambda: eks.cluster_versions(),
        lambda: eks.addon_versions("a", "1.33"),
    ],
)
ecr = _service(
    Ecr,
    lambda ecr: [
        lambda: ecr.repository("repo"),
        lambda: ecr.images("repo"),
        lambda: ecr.image("repo", IMAGE),
        lambda: ecr.count_images("repo"),
        lambda: ecr.delete_some_images("repo"),
        lambda: ecr.scan("repo", IMAGE),
        lambda: ecr.start_scan("repo", IMAGE),
        lambda: ecr.authorize(),
        lambda: ecr.preview("repo"),
    ],
)
ecr_account = _service(
    EcrAccount, lambda ecr: [lambda: ecr.cache_rules(), lambda: ecr.cache_rule("prefix"), lambda: ecr.replication()]
)
ec2 = _service(
    Ec2,
    lambda ec2: [
        lambda: ec2.subnets(["subnet-1"]),
        lambda: ec2.vpc("vpc-1"),
        lambda: ec2.availability_zones(),
        lambda: ec2.regions(),
        lambda: ec2.key_pair("k"),
        lambda: ec2.instance_type_offerings(["t3.large"]),
        lambda: ec2.security_groups(["sg-1"]),
        lambda: ec2.leftover_interfaces("c"),
        lambda: ec2.leftover_volumes("c"),
    ],
)
elb = _service(Elb, lambda elb: [lambda: elb.leftovers("c")])
cloudformation = _service(
    CloudFormation,
    lambda stacks: [
        lambda: stacks.describe("s"),
        lambda: stacks.describe_change_set("s", "c"),
        lambda: _events(stacks),
        lambda: stacks.resources("s"),
        lambda: stacks.summaries(["CREATE_COMPLETE"]),
    ],
)
secrets_manager = _service(SecretsManager, lambda secrets: [lambda: secrets.current(ARN)])

TARGETS = (
    Target("chart", chart, (ChartInvalid,)),
    Target("yaml", yaml, (UnreadableError,)),
    Target("manifest", manifest, (ManifestError,)),
    Target("schema", schema, (UnreadableError,)),
    Target("record", record, (HelmError,)),
    Target("helm-output", helm_output, (HelmError,)),
    Target("helm-log", helm_log),
    Target("set-expressions", set_expressions, (SetExpressionError,)),
    Target("kubernetes-objects", kubernetes_objects, (UnreadableError,)),
    Target("cluster-request", cluster_request, (SlipwayError,)),
    Target("json-request", json_request, (SlipwayError,)),
    Target("body-yaml", body_yaml, (SlipwayError,)),
    Target("headers", headers, (SlipwayError,)),
    Target("eks", eks, (AwsError,)),
    Target("ecr", ecr, (AwsError,)),
    Target("ecr-account", ecr_account, (AwsError,)),
    Target("ec2", ec2, (AwsError,)),
    Target("elb", elb, (AwsError,)),
    Target("cloudformation", cloudformation, (AwsError,)),
    Target("secrets-manager", secrets_manager, (AwsError,)),
)
BY_NAME = {target.name: target for target in TARGETS}


def seeds(name: str) -> list[bytes]:
    """Return a target's seeds."""
    folder = Path(__file__).parent / "seeds" / name
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


def words(name: str) -> list[bytes]:
    """Return what mutations put in: all words of a target's seeds."""
    found: set[str] = set()
    for seed in seeds(name):
        found.update("".join(c if c.isalnum() or c in "-_" else " " for c in seed.decode("latin-1")).split())
    return sorted(word.encode("latin-1") for word in found if len(word) <= 40) or [b"a"]
