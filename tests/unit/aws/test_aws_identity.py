import base64
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest

from app.gateways.aws.clients import AwsAccount
from app.gateways.aws.eks_token import eks_token
from app.gateways.aws.sts import Identity, role_arn


def url_of(token: str) -> str:
    encoded = token.removeprefix("k8s-aws-v1.")
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()


def test_a_token_is_a_presigned_call_to_aws_that_names_the_cluster() -> None:
    token = eks_token("AKIATEST", "secret", None, "demo", "eu-central-1")

    url = urlsplit(url_of(token))
    query = parse_qs(url.query)

    assert token.startswith("k8s-aws-v1.")
    assert "=" not in token
    assert (url.scheme, url.netloc) == ("https", "sts.eu-central-1.amazonaws.com")
    assert query["Action"] == ["GetCallerIdentity"]
    assert query["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-Credential"][0].startswith("AKIATEST/")


def test_temporary_credentials_carry_their_session_token() -> None:
    query = parse_qs(urlsplit(url_of(eks_token("ASIA", "secret", "session", "demo", "us-east-1"))).query)

    assert query["X-Amz-Security-Token"] == ["session"]


def test_a_token_ignores_the_endpoint_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")

    assert url_of(eks_token("A", "s", None, "demo", "us-east-1")).startswith("https://sts.us-east-1.amazonaws.com/?")


def test_clusters_in_china_have_their_own_domain() -> None:
    assert urlsplit(url_of(eks_token("A", "s", None, "demo", "cn-north-1"))).netloc == "sts.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    ("arn", "role"),
    [
        ("arn:aws:sts::111122223333:assumed-role/Admin/slipway", "arn:aws:iam::111122223333:role/Admin"),
        ("arn:aws-cn:sts::111122223333:assumed-role/Admin/i-0a", "arn:aws-cn:iam::111122223333:role/Admin"),
        ("arn:aws:iam::111122223333:user/teams/ann", "arn:aws:iam::111122223333:user/teams/ann"),
        ("arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:root"),
    ],
)
def test_a_session_is_turned_into_its_role(arn: str, role: str) -> None:
    assert role_arn(arn) == role
    assert Identity("111122223333", arn).role_arn == role


def test_the_partition_stands_in_the_arn() -> None:
    assert Identity("1", "arn:aws-us-gov:iam::1:root").partition == "aws-us-gov"


def test_accounts_with_the_same_credentials_share_them() -> None:
    assert AwsAccount("a").credentials == AwsAccount("b").credentials
    assert AwsAccount("a", "arn:1", "x").credentials != AwsAccount("a", "arn:1").credentials


def test_importing_the_gateway_loads_no_sdk() -> None:
    """`slipway openapi` imports everything and calls nothing."""
    modules = ("clients", "cloudformation", "ec2", "eks", "elb", "errors", "hints", "logs", "sts")
    code = f"import {', '.join(f'app.gateways.aws.{name}' for name in modules)}, sys; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "app.gateways.aws.eks" in loaded
    assert not [name for name in loaded if name.startswith(("botocore", "aiobotocore", "aioboto3", "aiohttp"))]
