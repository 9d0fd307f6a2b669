"""Whatever bytes answer a call to AWS, a gateway gives a value or its own error: each method, over HTTP and the SDK.

Answers are made from the SDK's own model of each operation: with members missing, lists empty, wrong types and texts,
and then cut off or mangled. A few are what no AWS writes: a proxy's page, a captive portal's, nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from xml.sax.saxutils import escape

import pytest
from botocore import loaders, model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.cloudformation.root_cause import failure_of
from app.gateways.aws.clients import PROCESS, AwsClients
from app.gateways.aws.cloud import Cloud
from app.gateways.aws.errors import AwsError
from app.gateways.aws.stack import StackEvent

REGION = "us-west-2"
SECONDS = 20.0
"""For one call; pages that never end would take longer."""

Call = Callable[[Cloud], Awaitable[Any]]
DIGEST = (f"sha256:{'0' * 64}", None)
ARN = "arn:aws:secretsmanager:us-west-2:111122223333:secret:x-AbCdEf"
CALLS: list[tuple[str, str, Call]] = [
    ("eks", "DescribeCluster", lambda cloud: cloud.eks.describe_cluster("x")),
    ("eks", "DescribeNodegroup", lambda cloud: cloud.eks.describe_nodegroup("x", "y")),
    ("eks", "DescribeClusterVersions", lambda cloud: cloud.eks.cluster_versions()),
    ("eks", "DescribeAddonVersions", lambda cloud: cloud.eks.addon_versions("coredns", "1.34")),
    ("cloudformation", "DescribeStacks", lambda cloud: cloud.cloudformation.describe("x")),
    ("cloudformation", "CreateStack", lambda cloud: cloud.cloudformation.create("x", "{}", "t")),
    (
        "cloudformation",
        "CreateChangeSet",
        lambda cloud: cloud.cloudformation.create_change_set("x", "y", "{}", "t"),
    ),
    ("cloudformation", "DescribeChangeSet", lambda cloud: cloud.cloudformation.describe_change_set("x", "y")),
    ("cloudformation", "ListStacks", lambda cloud: cloud.cloudformation.in_progress()),
    ("cloudformation", "DescribeStackEvents", lambda cloud: cloud.cloudformation.events("x")),
    ("cloudformation", "DescribeStackResources", lambda cloud: cloud.cloudformation.resources("x")),
    ("ec2", "DescribeSubnets", lambda cloud: cloud.ec2.subnets(["subnet-0a1b2c3d"])),
    ("ec2", "DescribeVpcs", lambda cloud: cloud.ec2.vpc("vpc-1")),
    ("ec2", "DescribeAvailabilityZones", lambda cloud: cloud.ec2.availability_zones()),
    ("ec2", "DescribeRegions", lambda cloud: cloud.ec2.regions()),
    ("ec2", "DescribeKeyPairs", lambda cloud: cloud.ec2.key_pair("x")),
    ("ec2", "DescribeInstanceTypeOfferings", lambda cloud: cloud.ec2.instance_type_offerings(["m5.large"])),
    ("ec2", "DescribeSecurityGroups", lambda cloud: cloud.ec2.security_groups(["sg-0a1b2c3d"])),
    ("ec2", "DescribeNetworkInterfaces", lambda cloud: cloud.ec2.leftover_interfaces("x")),
    ("ec2", "DescribeVolumes", lambda cloud: cloud.ec2.leftover_volumes("x")),
    ("ecr", "DescribeRepositories", lambda cloud: cloud.ecr.repository("x")),
    ("ecr", "DescribeImages", lambda cloud: cloud.ecr.images("x")),
    ("ecr", "ListImages", lambda cloud: cloud.ecr.count_images("x")),
    ("ecr", "BatchDeleteImage", lambda cloud: cloud.ecr.delete_images("x", [DIGEST])),
    ("ecr", "DescribeImageScanFindings", lambda cloud: cloud.ecr.scan("x", DIGEST)),
    ("ecr", "GetAuthorizationToken", lambda cloud: cloud.ecr.authorize()),
    ("ecr", "GetLifecyclePolicyPreview", lambda cloud: cloud.ecr.preview("x")),
    ("ecr", "DescribePullThroughCacheRules", lambda cloud: cloud.ecr_account.cache_rules()),
    ("ecr", "DescribeRegistry", lambda cloud: cloud.ecr_account.replication()),
    ("elbv2", "DescribeLoadBalancers", lambda cloud: cloud.elb.leftovers("x")),
    ("logs", "DescribeLogGroups", lambda cloud: cloud.logs.exists("x")),
    ("secretsmanager", "GetSecretValue", lambda cloud: cloud.secrets_manager.current(ARN)),
]

WORDS = st.sampled_from(
    ["x", "", "0", "-1", "true", "arn:aws:eks:us-west-2:111122223333:cluster/x", "CREATE_COMPLETE",
     "UPDATE_IN_PROGRESS", "No updates are to be performed.", "sha256:0", "1.34", "{}", "[]", "null", "\U0001f4a9",
     "QVdTOng=", "AWS::EKS::Cluster", "Resource handler returned message: \"x\" (RequestToken: 1, HandlerErrorCode: )"]
)  # fmt: skip
TEXTS = WORDS | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)
ODD: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXTS | st.lists(TEXTS, max_size=2)
)


def values(shape: Any, depth: int = 4) -> st.SearchStrategy[Any]:
    """Return what an operation's model allows, and sometimes what it does not."""
    if shape is None or depth == 0:
        return st.none()
    kind = shape.type_name
    if kind == "structure":
        members = {name: values(member, depth - 1) for name, member in shape.members.items()}
        return st.fixed_dictionaries({}, optional=members) | (ODD if depth < 3 else st.nothing())
    if kind == "list":
        return st.lists(values(shape.member, depth - 1), max_size=3)
    if kind == "map":
        return st.dictionaries(TEXTS, values(shape.value, depth - 1), max_size=2)
    if kind in ("integer", "long", "float", "double"):
        return st.integers(-5, 2**40) | ODD
    if kind == "boolean":
        return st.booleans()
    if kind == "timestamp":
        return st.sampled_from([0, 1764288000, 1e300, -1e300, "2026-11-28T00:00:00Z", "never", ""])
    enum = st.sampled_from(shape.enum) if getattr(shape, "enum", None) else st.nothing()
    return enum | TEXTS


def xml(shape: Any, value: Any, name: str) -> str:
    """Return a value as the query protocols write it."""
    if value is None or shape is None:
        return ""
    if shape.type_name == "structure" and isinstance(value, dict):
        members = "".join(
            xml(shape.members[key], value[key], shape.members[key].serialization.get("name", key))
            for key in value
            if key in shape.members
        )
        return f"<{name}>{members}</{name}>"
    if shape.type_name == "list" and isinstance(value, list):
        inner = shape.member.serialization.get("name", "member")
        items = "".join(
            xml(shape.member, item, name if shape.serialization.get("flattened") else inner) for item in value
        )
        return items if shape.serialization.get("flattened") else f"<{name}>{items}</{name}>"
    return f"<{name}>{escape(str(value))}</{name}>"


def plain(shape: Any, value: Any) -> Any:
    """Return a value as the JSON protocols write it."""
    if isinstance(value, dict) and shape is not None and shape.type_name == "structure":
        return {
            shape.members[key].serialization.get("name", key): plain(shape.members[key], each)
            for key, each in value.items()
            if key in shape.members
        }
    if isinstance(value, list) and shape is not None and shape.type_name == "list":
        return [plain(shape.member, each) for each in value]
    return value


_MODELS: dict[str, model.ServiceModel] = {}


def operation(service: str, name: str) -> Any:
    if service not in _MODELS:
        _MODELS[service] = model.ServiceModel(loaders.Loader().load_service_model(service, "service-2"), service)
    return _MODELS[service].operation_model(name)


@st.composite
def bodies(draw: st.DrawFn, service: str, name: str) -> tuple[int, bytes]:
    """Return a status and a body."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(FOREIGN))
    known = operation(service, name)
    value = draw(values(known.output_shape))
    if known.service_model.protocol in ("json", "rest-json"):
        body = json.dumps(plain(known.output_shape, value)).encode()
    else:
        result = f"{name}Result" if known.service_model.protocol == "query" else f"{name}Response"
        inner = xml(known.output_shape, value if isinstance(value, dict) else {}, result)
        body = (f"<{name}Response>{inner}</{name}Response>" if result.endswith("Result") else inner).encode()
    if draw(st.integers(0, 4)) == 0 and body:
        mangled = bytearray(body)
        for place in draw(st.lists(st.integers(0, len(body) - 1), max_size=3)):
            mangled[place] = draw(st.integers(0, 255))
        body = bytes(mangled[: draw(st.integers(0, len(body)))])
    return 200, body


HTML = b"<html><body>Please sign in</body></html>"
FOREIGN = [
    (200, HTML),
    (200, b""),
    (200, b"null"),
    (200, b"[]"),
    (200, b"{"),
    (200, b"<a/>"),
    (200, b"<" * 20_000),
    (200, b"[" * 20_000),
    (200, b"<a>" * 20_000),
    (403, HTML),
    (403, b""),
    (400, b'{"__type": 7, "message": []}'),
    (400, b'{"message": {"a": 1}}'),
    (400, b"<ErrorResponse><Error><Code/></Error></ErrorResponse>"),
    (400, b"<Response><Errors/></Response>"),
    (301, b""),
]


class Aws:
    """An HTTP server that answers everything with the same."""

    def __init__(self) -> None:
        self.answer = (200, b"")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
                await reader.readexactly(length)
                status, body = self.answer
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def aws(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Aws, Cloud]]:
    aws = Aws()
    server = await asyncio.start_server(aws.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "of-the-tests",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    async with server, AwsClients() as clients:
        yield aws, Cloud(clients, PROCESS, REGION)


@pytest.mark.parametrize(("service", "name", "call"), CALLS, ids=[name for _, name, _ in CALLS])
@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
async def test_answers(aws: tuple[Aws, Cloud], service: str, name: str, call: Call, data: st.DataObject) -> None:
    server, cloud = aws
    server.answer = data.draw(bodies(service, name))
    await asked(call, cloud)


@pytest.mark.parametrize("answer", FOREIGN, ids=range(len(FOREIGN)))
async def test_what_aws_does_not_write(aws: tuple[Aws, Cloud], answer: tuple[int, bytes]) -> None:
    server, cloud = aws
    server.answer = answer
    for _, _, call in CALLS:
        await asked(call, cloud)


async def asked(call: Call, cloud: Cloud) -> None:
    found: Any = None
    try:
        async with asyncio.timeout(SECONDS):
            found = await call(cloud)
    except AwsError as error:
        error.as_failure()
    if isinstance(found, list) and found and isinstance(found[0], StackEvent):
        failure_of("CREATE_FAILED", found)
