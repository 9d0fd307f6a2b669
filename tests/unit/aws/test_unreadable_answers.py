"""An answer of AWS that lacks what it has to have, and pages that go in a circle."""

from typing import Any

import pytest

from app.gateways.aws.eks_resources import cluster_of, minor_of
from app.gateways.aws.errors import AwsError, AwsUnavailable, translate
from app.gateways.aws.pages import pages


@pytest.mark.parametrize("answer", [{}, {"cluster": None}, {"cluster": {"name": "c"}}, {"cluster": []}])
def test_answer_without_a_cluster(answer: Any) -> None:
    with pytest.raises(AwsUnavailable) as caught, translate("eks:DescribeCluster"):
        cluster_of(answer["cluster"])
    assert caught.value.code == "UnreadableAnswer"


def test_error_without_a_code() -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(AwsError) as caught, translate("ec2:DescribeSubnets"):
        raise ClientError({"Error": {"Code": None, "Message": None}}, "DescribeSubnets")
    assert caught.value.code == "Unknown"


def test_version_of_other_digits() -> None:
    assert minor_of("1.²." + "9" * 5000) == (1,)


@pytest.mark.parametrize("tokens", [["a", "a"], ["a", "b", "a"]])
async def test_pages_that_go_in_a_circle(tokens: list[str]) -> None:
    answers = iter(tokens)

    async def call(**_: Any) -> dict[str, str]:
        return {"nextToken": next(answers)}

    with pytest.raises(AwsUnavailable, match="twice"):
        async for _ in pages("ecr:DescribeImageScanFindings", call, "nextToken"):
            pass
