"""EKS: what its API says about clusters, node groups, versions, addons and updates; and tokens for clusters."""

from typing import TYPE_CHECKING

from app.gateways.aws.clients import AwsAccount, AwsClients
from app.gateways.aws.eks_resources import (
    AddonVersion,
    Cluster,
    ClusterVersion,
    Nodegroup,
    addon_version_of,
    cluster_of,
    cluster_version_of,
    minor_of,
    nodegroup_of,
)
from app.gateways.aws.eks_token import eks_token
from app.gateways.aws.errors import InvalidRequest, NotFound, translate

if TYPE_CHECKING:
    from types_aiobotocore_eks import EKSClient


class Eks:
    """Calls to EKS in one account and region. Methods raise `AwsError`."""

    def __init__(self, clients: AwsClients, account: AwsAccount, region: str) -> None:
        self._clients = clients
        self._account = account
        self._region = region

    async def describe_cluster(self, name: str) -> Cluster | None:
        """Return the cluster, or None if there is none."""
        client = await self._client()
        try:
            with translate("eks:DescribeCluster"):
                answer = await client.describe_cluster(name=name)
                return cluster_of(answer["cluster"])
        except NotFound:
            return None

    async def describe_nodegroup(self, cluster: str, name: str) -> Nodegroup | None:
        """Return the node group, or None if there is none (or no such cluster)."""
        client = await self._client()
        try:
            with translate("eks:DescribeNodegroup"):
                answer = await client.describe_nodegroup(clusterName=cluster, nodegroupName=name)
                return nodegroup_of(answer["nodegroup"])
        except NotFound:
            return None

    async def cluster_versions(self, *, include_unsupported: bool = False) -> list[ClusterVersion]:
        """Return the Kubernetes versions of EKS in this region, newest first.

        Args:
            include_unsupported: Also those that no new cluster can have.
        """
        client = await self._client()
        found: list[ClusterVersion] = []
        pages = client.get_paginator("describe_cluster_versions").paginate(includeAll=include_unsupported)
        with translate("eks:DescribeClusterVersions"):
            async for page in pages:
                found.extend(cluster_version_of(data) for data in page["clusterVersions"])
        return sorted(found, key=lambda version: minor_of(version.version), reverse=True)

    async def addon_versions(self, name: str, cluster_version: str) -> list[AddonVersion]:
        """Return the versions of an addon that fit a Kubernetes version, newest first; none for an unknown addon."""
        client = await self._client()
        found: list[AddonVersion] = []
        pages = client.get_paginator("describe_addon_versions").paginate(
            addonName=name, kubernetesVersion=cluster_version
        )
        try:
            with translate("eks:DescribeAddonVersions"):
                async for page in pages:
                    for addon in page["addons"]:
                        found.extend(
                            addon_version_of(data, cluster_version)
                            for data in addon["addonVersions"]
                            if addon["addonName"] == name
                        )
        except NotFound:
            return []
        except InvalidRequest as error:
            if "specified is not supported" not in error.message:
                raise
            return []
        return found

    async def token(self, cluster: str) -> str:
        """Return a bearer token for the cluster's API server, of the account's credentials; see `eks_token.py`."""
        access_key, secret_key, session_token = await self._clients.frozen_credentials(self._account, self._region)
        return eks_token(access_key, secret_key, session_token, cluster, self._region)

    async def _client(self) -> "EKSClient":
        return await self._clients.client(self._account, self._region, "eks")
