"""Clusters and node groups, as stacks make them."""

from __future__ import annotations

import base64

from .conftest import Cloud
from .templates import cluster, nodegroup


def test_a_cluster_is_active_when_its_stack_is_complete(cloud: Cloud, base: dict[str, str]) -> None:
    """Fn::GetAtt has the real endpoint and a certificate authority: the cluster was waited for."""
    made = cloud.make(cluster(base, "active"))
    found = cloud.client("eks").describe_cluster(name="active")["cluster"]
    assert found["status"] == "ACTIVE"
    assert made["Endpoint"].startswith("https://") and made["Endpoint"].endswith(".us-west-2.eks.amazonaws.com")
    assert base64.b64decode(made["CertificateAuthorityData"]).startswith(b"-----BEGIN CERTIFICATE-----")
    assert made["ClusterSecurityGroupId"] == found["resourcesVpcConfig"]["clusterSecurityGroupId"]
    group = cloud.make(nodegroup(base, "active"))
    assert group["Id"] == "active/workers"
    assert (
        cloud.client("eks").describe_nodegroup(clusterName="active", nodegroupName="workers")["nodegroup"]["status"]
        == "ACTIVE"
    )
    cloud.delete(group["stack"])
    cloud.delete(made["stack"])
