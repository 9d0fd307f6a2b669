"""Clusters and node groups, as stacks make them, with the refusals that EKS words."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Cloud
from .templates import Template, cluster, nodegroup, outputs, ref, resource, role


def failure(cloud: Cloud, template: Template) -> str:
    """Makes a stack that must fail, and returns the reason of the first resource that did."""
    stack = cloud.create(template)
    cloud.wait(stack, "ROLLBACK_COMPLETE")
    reason = cloud.reasons(stack)[0]
    cloud.delete(stack)
    return reason


@pytest.fixture(scope="module")
def house(process: Cloud, base: dict[str, str]) -> Iterator[str]:
    """A cluster that tests put things into, with one node group."""
    made = process.make(cluster(base, "house"))
    group = process.make(nodegroup(base, "house", "permanent"))
    yield "house"
    process.delete(group["stack"])
    process.delete(made["stack"])


def test_a_cluster_is_active_when_its_stack_is_complete(cloud: Cloud, base: dict[str, str]) -> None:
    """Fn::GetAtt has the real endpoint and a certificate authority: the cluster was waited for."""
    eks = cloud.client("eks")
    cloud.rules({"type": "AWS::EKS::*", "op": "create", "delay": 600})
    stack = cloud.create(cluster(base, "active"))
    assert eks.describe_cluster(name="active")["cluster"]["status"] == "CREATING"
    cloud.delete(stack)
    cloud.rules()
    stack = cloud.create(cluster(base, "active"))
    cloud.wait(stack, "CREATE_COMPLETE")
    found = eks.describe_cluster(name="active")["cluster"]
    got = {o["OutputKey"]: o["OutputValue"] for o in cloud.stack(stack)["Outputs"]}
    assert found["status"] == "ACTIVE"
    assert got["Endpoint"].startswith("https://") and got["Endpoint"].endswith(".us-west-2.eks.amazonaws.com")
    assert base64.b64decode(got["CertificateAuthorityData"]).startswith(b"-----BEGIN CERTIFICATE-----")
    assert got["ClusterSecurityGroupId"] == found["resourcesVpcConfig"]["clusterSecurityGroupId"]
    entries = eks.list_access_entries(clusterName="active")["accessEntries"]
    assert entries == ["arn:aws:iam::123456789012:user/developer"]
    cloud.delete(stack)
    groups = cloud.client("ec2").describe_security_groups()["SecurityGroups"]
    assert got["ClusterSecurityGroupId"] not in {group["GroupId"] for group in groups}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Name": "house"}, "Cluster already exists with name: house (Service: Eks, Status Code: 409, Request ID: "),
        ({"Version": "1.12"}, "unsupported Kubernetes version 1.12"),
        ({"RoleArn": "arn:aws:iam::123456789012:role/none"}, "could not be assumed because it does not exist"),
        ({"ResourcesVpcConfig": "one zone"}, "Subnets specified must be in at least two different AZs"),
    ],
)
def test_what_eks_refuses_of_a_cluster(
    cloud: Cloud, base: dict[str, str], house: str, change: dict[str, Any], says: str
) -> None:
    """The stack fails with EKS's words in CloudFormation's wrapping."""
    if "ResourcesVpcConfig" in change:
        change = {"ResourcesVpcConfig": {"SubnetIds": [base["Private1"], base["Public1"]]}}
    reason = failure(cloud, cluster(base, **{"name": "refused", **change} if "Name" not in change else {"name": house}))
    assert reason.startswith('Cluster: Resource handler returned message: "')
    assert says in reason and "HandlerErrorCode: " in reason


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"InstanceTypes": ["m5.enormous"]}, "The following supplied instance types do not exist: [m5.enormous]"),
        ({"Subnets": ["subnet-0"]}, "The subnet ID 'subnet-0' does not exist"),
        ({"ClusterName": "nowhere"}, "No cluster found for name: nowhere."),
        ({"RemoteAccess": {"Ec2SshKey": "lost"}}, "The key pair 'lost' does not exist"),
        ({"AmiType": "AL2_x86_64"}, "AMI Type AL2_x86_64 is only supported for kubernetes versions 1.32 or earlier"),
        ({"AmiType": "AL2023_ARM_64_STANDARD"}, "[m5.large] is not a valid instance type for requested amiType"),
        ({"ReleaseVersion": "1.30.1-1"}, "Requested release version 1.30.1-1 is not valid for kubernetes version 1.33"),
        ({"LaunchTemplate": {"Id": "lt-0"}}, "Launch template lt-0 does not exist"),
        ({"Version": "1.34"}, "must be less than or equal to the cluster version 1.33"),
        ({"NodegroupName": "permanent"}, "NodeGroup already exists with name permanent and cluster name house"),
        ({"ScalingConfig": {"MinSize": 3, "MaxSize": 2}}, "Minimum capacity 3 can't be greater than maximum size 2"),
        ({"NodeRole": "cluster role"}, "Following required service principals [ec2.amazonaws.com] were not found"),
    ],
)
def test_what_eks_refuses_of_a_node_group(
    cloud: Cloud, base: dict[str, str], house: str, change: dict[str, Any], says: str
) -> None:
    """Checked when the group is created."""
    if "NodeRole" in change:
        change = {"NodeRole": base["ClusterRole"]}
    assert says in failure(cloud, nodegroup(base, house, **change))


def test_a_new_account_may_run_no_gpus(cloud: Cloud, base: dict[str, str], house: str) -> None:
    """The group exists, fails to launch with EC2's words, and goes away in the rollback."""
    reason = failure(cloud, nodegroup(base, house, "gpu", InstanceTypes=["p5.48xlarge"]))
    assert reason.startswith(
        'Group: Resource handler returned message: "[Issue(Code=AsgInstanceLaunchFailures, Message=Could not launch '
        "On-Demand Instances. VcpuLimitExceeded - You have requested more vCPU capacity than your current vCPU limit "
        "of 0 allows for the instance bucket that the specified instance type belongs to. "
    )
    assert "(Service: null, Status Code: 0, Request ID: null)" in reason
    assert reason.endswith("HandlerErrorCode: GeneralServiceException)")
    assert cloud.client("eks").list_nodegroups(clusterName=house)["nodegroups"] == ["permanent"]


def test_nodes_in_a_public_subnet_need_public_addresses(cloud: Cloud, base: dict[str, str], house: str) -> None:
    """A subnet with a way to the internet that assigns no addresses fails the group, as EKS words it."""
    reason = failure(cloud, nodegroup(base, house, "outside", Subnets=[base["Public1"]]))
    assert "Issue(Code=Ec2SubnetInvalidConfiguration, Message=One or more Amazon EC2 Subnets of [subnet-" in reason
    assert "for node group outside does not automatically assign public IP addresses" in reason


def test_a_cluster_with_node_groups_is_not_deleted(cloud: Cloud, base: dict[str, str]) -> None:
    """DELETE_FAILED until the groups are gone."""
    owner = cloud.make(cluster(base, "full"))["stack"]
    group = cloud.make(nodegroup(base, "full"))["stack"]
    cloud.client("cloudformation").delete_stack(StackName=owner)
    cloud.wait(owner, "DELETE_FAILED")
    assert "Cluster has nodegroups attached" in cloud.reasons(owner)[0]
    cloud.delete(group)
    cloud.delete(owner)


def test_upgrades_go_one_minor_version_at_a_time(cloud: Cloud, base: dict[str, str]) -> None:
    """A skip is refused; the node group follows the control plane."""
    owner, group = cloud.make(cluster(base, "up"))["stack"], cloud.make(nodegroup(base, "up"))["stack"]
    cloud.update(owner, cluster(base, "up", Version="1.35"))
    cloud.wait(owner, "UPDATE_ROLLBACK_COMPLETE")
    assert "Unsupported Kubernetes minor version update from 1.33 to 1.35" in cloud.reasons(owner)[0]
    cloud.rules({"op": "update", "type": "AWS::EKS::*", "delay": 1})
    cloud.update(owner, cluster(base, "up", Version="1.34"))
    eks = cloud.client("eks")
    seen = eks.describe_cluster(name="up")["cluster"]["status"]
    # An update that ended before the look is no failure.
    assert seen == "UPDATING" or cloud.stack(owner)["StackStatus"] != "UPDATE_IN_PROGRESS"
    cloud.wait(owner, "UPDATE_COMPLETE")
    found = eks.describe_cluster(name="up")["cluster"]
    assert (found["version"], found["status"]) == ("1.34", "ACTIVE")
    update = eks.describe_update(name="up", updateId=eks.list_updates(name="up")["updateIds"][0])["update"]
    assert (update["type"], update["status"]) == ("VersionUpdate", "Successful")
    cloud.update(group, nodegroup(base, "up", Version="1.34", Labels={"a": "b"}))
    cloud.wait(group, "UPDATE_COMPLETE")
    nodes = eks.describe_nodegroup(clusterName="up", nodegroupName="workers")["nodegroup"]
    assert (nodes["version"], nodes["labels"], nodes["status"]) == ("1.34", {"a": "b"}, "ACTIVE")
    cloud.delete(group)
    cloud.delete(owner)


def test_a_failed_upgrade_leaves_the_version(cloud: Cloud, base: dict[str, str]) -> None:
    """The stack rolls back and the cluster is usable."""
    owner = cloud.make(cluster(base, "stuck"))["stack"]
    cloud.rules({"op": "update", "fail": "no", "times": 1})
    cloud.update(owner, cluster(base, "stuck", Version="1.34", DeletionProtection=True))
    cloud.wait(owner, "UPDATE_ROLLBACK_COMPLETE")
    found = cloud.client("eks").describe_cluster(name="stuck")["cluster"]
    assert (found["version"], found["status"]) == ("1.33", "ACTIVE")
    cloud.delete(owner)


def test_deletion_protection_is_heeded(cloud: Cloud, base: dict[str, str]) -> None:
    """A protected cluster's stack ends in DELETE_FAILED."""
    owner = cloud.make(cluster(base, "safe", DeletionProtection=True))["stack"]
    cloud.client("cloudformation").delete_stack(StackName=owner)
    cloud.wait(owner, "DELETE_FAILED")
    assert "deletion protection is enabled" in cloud.reasons(owner)[0]
    cloud.client("eks").update_cluster_config(name="safe", deletionProtection=False)
    cloud.wait(owner)
    cloud.client("eks").get_waiter("cluster_active").wait(name="safe", WaiterConfig={"Delay": 1})
    cloud.delete(owner)


def test_the_control_planes_log_group_outlives_the_stack(cloud: Cloud, base: dict[str, str]) -> None:
    """EKS writes it while logging is on, and nobody takes it away."""
    logging = {"ClusterLogging": {"EnabledTypes": [{"Type": "api"}, {"Type": "audit"}]}}
    owner = cloud.make(cluster(base, "logged", Logging=logging))["stack"]
    logs, name = cloud.client("logs"), "/aws/eks/logged/cluster"
    logs.put_retention_policy(logGroupName=name, retentionInDays=7)
    logs.delete_log_group(logGroupName=name)
    cloud.delete(owner)
    assert [g["logGroupName"] for g in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]] == [name]
    logs.delete_log_group(logGroupName=name)


def test_coredns_needs_a_node(cloud: Cloud, base: dict[str, str]) -> None:
    """It becomes healthy when a node group comes; one whose taints nothing tolerates does not help."""
    addon = {"Resources": {"Dns": resource("AWS::EKS::Addon", ClusterName="bare", AddonName="coredns")}}
    owner = cloud.make(cluster(base, "bare"))["stack"]
    dns = cloud.create(addon)
    assert cloud.wait(dns, seconds=0.3)["StackStatus"] == "CREATE_IN_PROGRESS"
    taint = [{"Key": "only", "Value": "this", "Effect": "NO_SCHEDULE"}]
    tainted = cloud.make(nodegroup(base, "bare", "tainted", Taints=taint))["stack"]
    assert cloud.wait(dns, seconds=0.3)["StackStatus"] == "CREATE_IN_PROGRESS"
    group = cloud.make(nodegroup(base, "bare"))["stack"]
    cloud.wait(dns, "CREATE_COMPLETE")
    for stack in (dns, group, tainted, owner):
        cloud.delete(stack)


def test_addon_versions_are_checked(cloud: Cloud, house: str) -> None:
    """Unknown addons, versions and settings are refused."""
    for change, says in (
        ({"AddonName": "nonesuch"}, "Addon nonesuch specified is not supported"),
        ({"AddonVersion": "v0.0.1"}, "Addon version specified is not supported"),
        ({"ConfigurationValues": '{"nope": 1}'}, "ConfigurationValue provided in request is not supported"),
    ):
        given = {"ClusterName": house, "AddonName": "vpc-cni", **change}
        assert says in failure(cloud, {"Resources": {"Addon": resource("AWS::EKS::Addon", **given)}})


def test_addons_are_updated_in_place(cloud: Cloud, house: str) -> None:
    """Version and configuration change, and the EKS API shows it."""
    eks = cloud.client("eks")
    versions = eks.describe_addon_versions(addonName="vpc-cni", kubernetesVersion="1.33")["addons"][0]["addonVersions"]
    given = {"ClusterName": house, "AddonName": "vpc-cni", "AddonVersion": versions[1]["addonVersion"]}
    stack = cloud.make({"Resources": {"Cni": resource("AWS::EKS::Addon", **given)}})["stack"]
    given.update(AddonVersion=versions[0]["addonVersion"], ConfigurationValues='{"env": {"A": "b"}}')
    cloud.update(stack, {"Resources": {"Cni": resource("AWS::EKS::Addon", **given)}})
    cloud.wait(stack, "UPDATE_COMPLETE")
    found = eks.describe_addon(clusterName=house, addonName="vpc-cni")["addon"]
    assert (found["addonVersion"], found["status"]) == (versions[0]["addonVersion"], "ACTIVE")
    cloud.delete(stack)


def test_eks_lets_its_own_nodes_in(cloud: Cloud, base: dict[str, str], house: str) -> None:
    """The role of a node group has an access entry, so that another one for it is refused."""
    eks = cloud.client("eks")
    entry = eks.describe_access_entry(clusterName=house, principalArn=base["NodeRole"])["accessEntry"]
    assert (entry["type"], entry["kubernetesGroups"]) == ("EC2_LINUX", ["system:nodes"])
    own = resource("AWS::EKS::AccessEntry", ClusterName=house, PrincipalArn=base["NodeRole"], Type="EC2_LINUX")
    assert "already in use on this cluster" in failure(cloud, {"Resources": {"Entry": own}})


def test_access_fargate_and_identities(cloud: Cloud, base: dict[str, str], house: str) -> None:
    """The other types that belong to a cluster, and what they refuse."""
    template: Template = {
        "Resources": {
            "Role": role("eks-fargate-pods.amazonaws.com"),
            "Entry": resource(
                "AWS::EKS::AccessEntry", ClusterName=house, PrincipalArn=base["ClusterRole"], KubernetesGroups=["dev"],
                AccessPolicies=[{
                    "PolicyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
                    "AccessScope": {"Type": "namespace", "Namespaces": ["dev"]},
                }],
            ),
            "Profile": resource(
                "AWS::EKS::FargateProfile", ClusterName=house, PodExecutionRoleArn={"Fn::GetAtt": ["Role", "Arn"]},
                Subnets=[base["Private1"]], Selectors=[{"Namespace": "dev", "Labels": [{"Key": "a", "Value": "b"}]}],
            ),
            "Identity": resource(
                "AWS::EKS::PodIdentityAssociation", ClusterName=house, Namespace="dev", ServiceAccount="app",
                RoleArn=base["NodeRole"],
            ),
            "Provider": resource(
                "AWS::EKS::IdentityProviderConfig", ClusterName=house, Type="oidc", IdentityProviderConfigName="sso",
                Oidc={"ClientId": "c", "IssuerUrl": "https://example.com"},
            ),
            "Trust": resource("AWS::IAM::OIDCProvider", Url="https://oidc.example.com/id/1", ClientIdList=["sts"]),
        },
        "Outputs": outputs(Profile=ref("Profile"), Entry=ref("Entry")),
    }  # fmt: skip
    made, eks = cloud.make(template), cloud.client("eks")
    assert made["Entry"] == f"{base['ClusterRole']}|{house}"
    profile = eks.list_fargate_profiles(clusterName=house)["fargateProfileNames"][0]
    found = eks.describe_fargate_profile(clusterName=house, fargateProfileName=profile)["fargateProfile"]
    assert (found["status"], found["selectors"][0]["labels"]) == ("ACTIVE", {"a": "b"})
    policies = eks.list_associated_access_policies(clusterName=house, principalArn=base["ClusterRole"])
    assert policies["associatedAccessPolicies"][0]["accessScope"]["namespaces"] == ["dev"]
    reason = failure(cloud, {"Resources": {"Entry": template["Resources"]["Entry"]}})
    assert "The specified access entry resource is already in use on this cluster." in reason
    public = resource(
        "AWS::EKS::FargateProfile",
        ClusterName=house,
        PodExecutionRoleArn=cloud.client("iam").list_roles()["Roles"][0]["Arn"],
        Subnets=[base["Public1"]],
        Selectors=[{"Namespace": "x"}],
    )
    assert "HandlerErrorCode: InvalidRequest" in failure(cloud, {"Resources": {"Public": public}})
    template["Resources"]["Entry"]["Properties"].update(KubernetesGroups=["ops"], AccessPolicies=[])
    cloud.update(made["stack"], template)
    cloud.wait(made["stack"], "UPDATE_COMPLETE")
    entry = eks.describe_access_entry(clusterName=house, principalArn=base["ClusterRole"])["accessEntry"]
    assert entry["kubernetesGroups"] == ["ops"]
    cloud.delete(made["stack"])
    assert eks.list_fargate_profiles(clusterName=house)["fargateProfileNames"] == []
