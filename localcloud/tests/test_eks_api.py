"""EKS over REST: what Slipway and other clients (eksctl) ask, beside stacks."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from .conftest import Cloud
from .test_stacks import refused


def test_a_cluster_through_the_api(cloud: Cloud, base: dict[str, str]) -> None:
    """Created, upgraded, given a node group and deleted, with the SDK's own waiters."""
    eks, quick = cloud.client("eks"), {"WaiterConfig": {"Delay": 0.06}}
    network = {"subnetIds": [base["Private1"], base["Private2"]]}
    eks.create_cluster(name="rest", version="1.33", roleArn=base["ClusterRole"], resourcesVpcConfig=network)
    eks.get_waiter("cluster_active").wait(name="rest", **quick)
    with pytest.raises(ClientError) as error:
        eks.create_cluster(name="rest", roleArn=base["ClusterRole"], resourcesVpcConfig=network)
    assert refused(error) == ("ResourceInUseException", "Cluster already exists with name: rest")
    update = eks.update_cluster_version(name="rest", version="1.34")["update"]
    assert update["status"] == "InProgress"
    eks.get_waiter("cluster_active").wait(name="rest", **quick)
    while (status := eks.describe_update(name="rest", updateId=update["id"])["update"]["status"]) == "InProgress":
        pass
    assert status == "Successful"
    logging = {"clusterLogging": [{"types": ["api"], "enabled": True}]}
    eks.update_cluster_config(name="rest", logging=logging)
    eks.get_waiter("cluster_active").wait(name="rest", **quick)
    eks.create_nodegroup(
        clusterName="rest", nodegroupName="n", nodeRole=base["NodeRole"], subnets=[base["Private1"]], version="1.33",
        instanceTypes=["m7g.large"],
    )  # fmt: skip
    eks.get_waiter("nodegroup_active").wait(clusterName="rest", nodegroupName="n", **quick)
    eks.update_nodegroup_config(
        clusterName="rest", nodegroupName="n", scalingConfig={"desiredSize": 1, "minSize": 0, "maxSize": 1},
        labels={"addOrUpdateLabels": {"a": "b"}},
    )  # fmt: skip
    eks.get_waiter("nodegroup_active").wait(clusterName="rest", nodegroupName="n", **quick)
    eks.update_nodegroup_version(clusterName="rest", nodegroupName="n")
    eks.get_waiter("nodegroup_active").wait(clusterName="rest", nodegroupName="n", **quick)
    group = eks.describe_nodegroup(clusterName="rest", nodegroupName="n")["nodegroup"]
    assert (group["amiType"], group["labels"], group["scalingConfig"]["desiredSize"]) == (
        "AL2023_ARM_64_STANDARD", {"a": "b"}, 1,
    )  # fmt: skip
    eks.create_addon(clusterName="rest", addonName="coredns")
    eks.get_waiter("addon_active").wait(clusterName="rest", addonName="coredns", **quick)
    with pytest.raises(ClientError) as error:
        eks.delete_cluster(name="rest")
    assert refused(error) == ("ResourceInUseException", "Cluster has nodegroups attached")
    assert eks.list_insights(clusterName="rest")["insights"][0]["insightStatus"]["status"] == "PASSING"
    eks.delete_addon(clusterName="rest", addonName="coredns")
    eks.delete_nodegroup(clusterName="rest", nodegroupName="n")
    eks.delete_cluster(name="rest")
    with pytest.raises(ClientError) as error:
        eks.describe_cluster(name="rest")
    assert refused(error) == ("ResourceNotFoundException", "No cluster found for name: rest.")
    cloud.client("logs").delete_log_group(logGroupName="/aws/eks/rest/cluster")


@pytest.mark.calendar
def test_versions_and_addons_on_offer(cloud: Cloud) -> None:
    """What a client chooses versions by."""
    eks = cloud.client("eks")
    versions = eks.describe_cluster_versions()["clusterVersions"]
    assert [v["clusterVersion"] for v in versions] == ["1.35", "1.34", "1.33", "1.32", "1.31"]
    assert [v["clusterVersion"] for v in versions if v["defaultVersion"]] == ["1.34"]
    assert [v["versionStatus"].partition("_")[0] for v in versions] == ["STANDARD"] * 2 + ["EXTENDED"] * 3
    assert len(eks.describe_cluster_versions(clusterVersions=["1.33"])["clusterVersions"]) == 1
    for version in ("1.31", "1.35"):
        offered = eks.describe_addon_versions(kubernetesVersion=version)["addons"]
        assert {a["addonName"] for a in offered} >= {
            "vpc-cni", "coredns", "kube-proxy", "metrics-server", "aws-ebs-csi-driver", "eks-pod-identity-agent",
        }  # fmt: skip
        for addon in offered:
            flags = [c["defaultVersion"] for v in addon["addonVersions"] for c in v["compatibilities"]]
            assert flags.count(True) == 1, addon["addonName"]
    schema = eks.describe_addon_configuration(addonName="vpc-cni", addonVersion="v1.21.1-eksbuild.1")
    assert "tolerations" in schema["configurationSchema"]
    assert len(eks.list_access_policies()["accessPolicies"]) > 5
