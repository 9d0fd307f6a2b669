"""Load balancers that Kubernetes made for a cluster, and that outlive it when it is deleted under them.

Only those of the second API generation (application and network load balancers); the classic ones of the in-tree
cloud provider are not made by any Kubernetes version that EKS still offers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.gateways.aws.clients import AwsAccount, AwsClients
from app.gateways.aws.ec2 import cluster_tag
from app.gateways.aws.errors import NotFound, translate
from app.gateways.aws.stack import tags_of

if TYPE_CHECKING:
    from types_aiobotocore_elbv2 import ElasticLoadBalancingv2Client

_TAGS_PER_CALL = 20
"""DescribeTags takes at most 20 ARNs (its API reference)."""

CONTROLLER_TAG = "elbv2.k8s.aws/cluster"
"""The AWS load balancer controller's own tag; its value is the cluster's name."""


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """A load balancer; `type` is `application`, `network` or `gateway`."""

    arn: str
    name: str
    type: str
    vpc_id: str | None


class Elb:
    """Calls to Elastic Load Balancing in one account and region. Methods raise `AwsError`."""

    def __init__(self, clients: AwsClients, account: AwsAccount, region: str) -> None:
        self._clients = clients
        self._account = account
        self._region = region

    async def leftovers(self, cluster: str, *, vpc_id: str | None = None) -> list[LoadBalancer]:
        """Return the load balancers tagged for a cluster.

        Args:
            cluster: Name of the cluster.
            vpc_id: Look only in this VPC, which saves asking for the tags of all others.
        """
        client = await self._clients.client(self._account, self._region, "elbv2")
        found = [one for one in await self._all(client) if vpc_id is None or one.vpc_id == vpc_id]
        owned: set[str] = set()
        for chunk in _chunks([one.arn for one in found]):
            with translate("elasticloadbalancing:DescribeTags"):
                answer = await client.describe_tags(ResourceArns=chunk)
                for data in answer["TagDescriptions"]:
                    tags = tags_of(data)
                    if cluster_tag(cluster) in tags or tags.get(CONTROLLER_TAG) == cluster:
                        owned.add(data.get("ResourceArn", ""))
        return [one for one in found if one.arn in owned]

    async def delete(self, arn: str) -> None:
        """Delete a load balancer; one that is gone is fine."""
        client = await self._clients.client(self._account, self._region, "elbv2")
        try:
            with translate("elasticloadbalancing:DeleteLoadBalancer"):
                await client.delete_load_balancer(LoadBalancerArn=arn)
        except NotFound:
            return

    async def _all(self, client: "ElasticLoadBalancingv2Client") -> list[LoadBalancer]:
        found: list[LoadBalancer] = []
        with translate("elasticloadbalancing:DescribeLoadBalancers"):
            async for page in client.get_paginator("describe_load_balancers").paginate():
                found.extend(
                    LoadBalancer(
                        data.get("LoadBalancerArn", ""),
                        data.get("LoadBalancerName", ""),
                        data.get("Type", "application"),
                        data.get("VpcId"),
                    )
                    for data in page["LoadBalancers"]
                )
        return found


def _chunks(arns: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(arns), _TAGS_PER_CALL):
        yield list(arns[start : start + _TAGS_PER_CALL])
