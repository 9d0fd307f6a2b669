"""EKS's answers, in the shape of its API reference."""

from datetime import UTC, datetime

from app.gateways.aws.eks_resources import (
    HealthIssue,
    addon_version_of,
    cluster_of,
    cluster_version_of,
    minor_of,
    nodegroup_of,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_a_cluster_that_is_being_created_has_no_endpoint_yet() -> None:
    cluster = cluster_of(
        {
            "name": "demo",
            "arn": "arn",
            "status": "CREATING",
            "version": "1.34",
            "certificateAuthority": {},
            "resourcesVpcConfig": {"subnetIds": ["subnet-1"], "vpcId": "vpc-1", "endpointPublicAccess": False},
            "logging": {
                "clusterLogging": [
                    {"types": ["api", "audit"], "enabled": True},
                    {"types": ["scheduler"], "enabled": False},
                ]
            },
        }
    )

    assert (cluster.endpoint, cluster.certificate_authority, cluster.oidc_issuer) == (None, None, None)
    assert cluster.log_types == ("api", "audit")
    assert not cluster.public_access
    assert cluster.issues == ()


def test_a_cluster_that_is_ready_has_all() -> None:
    cluster = cluster_of(
        {
            "name": "demo",
            "arn": "arn",
            "status": "ACTIVE",
            "version": "1.34",
            "platformVersion": "eks.7",
            "endpoint": "https://0A.gr7.us-east-1.eks.amazonaws.com",
            "certificateAuthority": {"data": "LS0t"},
            "identity": {"oidc": {"issuer": "https://oidc.eks.us-east-1.amazonaws.com/id/0A"}},
            "resourcesVpcConfig": {"clusterSecurityGroupId": "sg-1", "publicAccessCidrs": ["0.0.0.0/0"]},
            "kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.100.0.0/16"},
            "accessConfig": {"authenticationMode": "API"},
            "upgradePolicy": {"supportType": "STANDARD"},
            "health": {"issues": [{"code": "Ec2SubnetNotFound", "message": "gone", "resourceIds": ["subnet-1"]}]},
            "deletionProtection": True,
            "createdAt": NOW,
        }
    )

    assert cluster.oidc_issuer == "https://oidc.eks.us-east-1.amazonaws.com/id/0A"
    assert (cluster.security_group_id, cluster.service_cidr) == ("sg-1", "10.100.0.0/16")
    assert (cluster.authentication_mode, cluster.upgrade_policy) == ("API", "STANDARD")
    assert cluster.deletion_protection
    assert cluster.issues == (HealthIssue("Ec2SubnetNotFound", "gone", ("subnet-1",)),)


def test_a_node_group_says_how_many_nodes_and_what_ails_it() -> None:
    nodegroup = nodegroup_of(
        {
            "nodegroupName": "ng",
            "nodegroupArn": "arn",
            "clusterName": "demo",
            "status": "CREATE_FAILED",
            "version": "1.34",
            "scalingConfig": {"minSize": 1, "maxSize": 4, "desiredSize": 2},
            "instanceTypes": ["m5.large"],
            "taints": [{"key": "gpu", "effect": "NO_SCHEDULE"}],
            "resources": {"autoScalingGroups": [{"name": "eks-ng-0a"}]},
            "health": {"issues": [{"code": "NodeCreationFailure", "message": "Instances failed to join"}]},
        }
    )

    assert (nodegroup.minimum, nodegroup.maximum, nodegroup.desired) == (1, 4, 2)
    assert nodegroup.taints == (("gpu", "", "NO_SCHEDULE"),)
    assert nodegroup.autoscaling_groups == ("eks-ng-0a",)
    assert nodegroup.issues[0].code == "NodeCreationFailure"


def test_both_spellings_of_a_versions_status_are_read_alike() -> None:
    new = cluster_version_of({"clusterVersion": "1.34", "versionStatus": "STANDARD_SUPPORT", "defaultVersion": True})
    old = cluster_version_of({"clusterVersion": "1.34", "status": "standard-support"})

    assert new.status == old.status == "STANDARD_SUPPORT"
    assert (new.is_default, old.is_default) == (True, False)


def test_versions_are_ordered_as_numbers() -> None:
    assert sorted(["1.9", "1.30", "1.10"], key=minor_of) == ["1.9", "1.10", "1.30"]


def test_an_addon_version_is_the_default_of_some_cluster_versions() -> None:
    data = {
        "addonVersion": "v1.20.0-eksbuild.1",
        "compatibilities": [
            {"clusterVersion": "1.34", "defaultVersion": True},
            {"clusterVersion": "1.33", "defaultVersion": False},
        ],
    }

    assert addon_version_of(data, "1.34").is_default
    assert not addon_version_of(data, "1.33").is_default
