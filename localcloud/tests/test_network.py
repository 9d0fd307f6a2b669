"""EC2, IAM, KMS, ECR and SSM: the resources around a cluster."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from .conftest import Cloud
from .templates import Template, get, network, outputs, ref, resource, trust
from .test_clusters import failure
from .test_stacks import refused


def test_a_network_comes_and_goes_without_a_trace(cloud: Cloud, base: dict[str, str]) -> None:
    """In the order that EC2's checks of what is in use demand."""
    before = cloud.control("GET", "leftovers")[1]
    made = cloud.make(network())
    gateways = cloud.client("ec2").describe_nat_gateways(Filters=[{"Name": "vpc-id", "Values": [made["Vpc"]]}])
    assert gateways["NatGateways"][0]["NatGatewayAddresses"][0]["PublicIp"]
    cloud.delete(made["stack"])
    assert cloud.control("GET", "leftovers")[1] == before


def test_what_is_in_use_is_not_deleted(cloud: Cloud) -> None:
    """A VPC with a subnet of another stack stays, with EC2's words."""
    vpc: Template = {
        "Resources": {"Vpc": resource("AWS::EC2::VPC", CidrBlock="10.7.0.0/16")},
        "Outputs": outputs(Id=ref("Vpc")),
    }
    outer = cloud.make(vpc)
    inside = resource("AWS::EC2::Subnet", VpcId=outer["Id"], CidrBlock="10.7.1.0/24")
    inner = cloud.make({"Resources": {"Subnet": inside}})
    assert "The CIDR '10.7.1.0/24' conflicts with another subnet" in failure(cloud, {"Resources": {"Subnet": inside}})
    cloud.client("cloudformation").delete_stack(StackName=outer["stack"])
    cloud.wait(outer["stack"], "DELETE_FAILED")
    assert (
        f"The vpc '{outer['Id']}' has dependencies and cannot be deleted. (Service: Ec2"
        in cloud.reasons(outer["stack"])[0]
    )
    cloud.delete(inner["stack"])
    cloud.delete(outer["stack"])


def test_security_group_rules(cloud: Cloud, base: dict[str, str]) -> None:
    """Ingress and egress as resources of their own; a group that another names is in use."""
    group = {"GroupDescription": "x", "VpcId": base["Vpc"]}
    both: Template = {
        "Resources": {
            "A": resource("AWS::EC2::SecurityGroup", **group), "B": resource("AWS::EC2::SecurityGroup", **group),
            "In": resource(
                "AWS::EC2::SecurityGroupIngress", GroupId=get("A", "GroupId"), IpProtocol="tcp", FromPort=443,
                ToPort=443, SourceSecurityGroupId=get("B", "GroupId"),
            ),
            "Out": resource("AWS::EC2::SecurityGroupEgress", GroupId=ref("A"), IpProtocol="-1", CidrIp="10.0.0.0/8"),
        },
        "Outputs": outputs(A=ref("A"), B=ref("B")),
    }  # fmt: skip
    made = cloud.make(both)
    found = cloud.client("ec2").describe_security_groups(GroupIds=[made["A"]])["SecurityGroups"][0]
    assert found["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == made["B"]
    cloud.update(made["stack"], {**both, "Outputs": outputs(A=ref("A"))}, Tags=[{"Key": "a", "Value": "b"}])
    cloud.wait(made["stack"], "UPDATE_COMPLETE")
    again = cloud.client("ec2").describe_security_groups(GroupIds=[made["A"]])["SecurityGroups"][0]
    assert again["GroupName"] == found["GroupName"]
    cloud.delete(made["stack"])


def test_a_key_pairs_private_key_is_in_parameter_store(cloud: Cloud) -> None:
    """Under /ec2/keypair/{id}, as AWS documents; it goes away with the key pair."""
    pair: Template = {
        "Resources": {"Key": resource("AWS::EC2::KeyPair", KeyName="k", KeyType="ed25519")},
        "Outputs": outputs(Name=ref("Key"), Id=get("Key", "KeyPairId")),
    }
    made = cloud.make(pair)
    name = f"/ec2/keypair/{made['Id']}"
    parameter = cloud.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]
    assert parameter["Value"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    found = cloud.client("ec2").describe_key_pairs(KeyNames=["k"])["KeyPairs"][0]
    assert (found["KeyPairId"], found["KeyType"]) == (made["Id"], "ed25519")
    assert "The key pair 'k' already exists" in failure(cloud, pair)
    cloud.delete(made["stack"])
    with pytest.raises(ClientError) as error:
        cloud.client("ssm").get_parameter(Name=name)
    assert refused(error)[0] == "ParameterNotFound"
    imported = resource("AWS::EC2::KeyPair", KeyName="own", PublicKeyMaterial="ssh-ed25519 AAAAC3Nza me")
    stack = cloud.make({"Resources": {"Key": imported}})["stack"]
    assert "AWS::SSM::Parameter" not in cloud.control("GET", "leftovers")[1]
    cloud.delete(stack)


def test_the_other_types(cloud: Cloud, base: dict[str, str]) -> None:
    """IPv6, launch templates, policies, keys, repositories: made, updated and deleted."""
    six = {"Fn::Select": [0, get("Vpc", "Ipv6CidrBlocks")]}
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    key_policy = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}]}
    template: Template = {
        "Resources": {
            "Vpc": resource("AWS::EC2::VPC", CidrBlock="10.8.0.0/16"),
            "Six": resource("AWS::EC2::VPCCidrBlock", VpcId=ref("Vpc"), AmazonProvidedIpv6CidrBlock=True),
            "Subnet": resource(
                "AWS::EC2::Subnet", "Six", VpcId=ref("Vpc"), CidrBlock="10.8.1.0/24",
                Ipv6CidrBlock={"Fn::Select": [0, {"Fn::Cidr": [six, 4, 64]}]},
            ),
            "Egress": resource("AWS::EC2::EgressOnlyInternetGateway", VpcId=ref("Vpc")),
            "Launch": resource("AWS::EC2::LaunchTemplate", LaunchTemplateData={"EbsOptimized": False}),
            "Role": resource("AWS::IAM::Role", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"),
                             ManagedPolicyArns=["arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"]),
            "Profile": resource("AWS::IAM::InstanceProfile", Roles=[ref("Role")]),
            "Inline": resource("AWS::IAM::Policy", PolicyName="p", PolicyDocument=policy, Roles=[ref("Role")]),
            "Managed": resource("AWS::IAM::ManagedPolicy", PolicyDocument=policy),
            "Key": resource("AWS::KMS::Key", KeyPolicy=key_policy),
            "Alias": resource("AWS::KMS::Alias", AliasName="alias/x", TargetKeyId=ref("Key")),
            "Images": resource("AWS::ECR::Repository", RepositoryName="team/app"),
        },
        "Outputs": outputs(Uri=get("Images", "RepositoryUri"), Key=get("Key", "Arn"),
                           Version=get("Launch", "LatestVersionNumber"), Association=get("Six", "Id")),
    }  # fmt: skip
    before = cloud.control("GET", "leftovers")[1]
    made = cloud.make(template)
    assert made["Uri"].endswith("/team/app") and made["Version"] == "1"
    template["Resources"]["Launch"]["Properties"]["LaunchTemplateData"] = {"EbsOptimized": True}
    template["Resources"]["Role"]["Properties"]["MaxSessionDuration"] = 7200
    cloud.update(made["stack"], template)
    found = {o["OutputKey"]: o["OutputValue"] for o in cloud.wait(made["stack"], "UPDATE_COMPLETE")["Outputs"]}
    assert found["Version"] == "2"
    role_names = [e["PhysicalResourceId"] for e in cloud.events(made["stack"])
                  if e["LogicalResourceId"] == "Role" and e.get("PhysicalResourceId")]  # fmt: skip
    assert len(set(role_names)) == 1
    cloud.delete(made["stack"])
    assert cloud.control("GET", "leftovers")[1] == before


def test_what_ec2_offers(cloud: Cloud, base: dict[str, str]) -> None:
    """Instance types by zone, with real sizes; zones; subnets and the other things that are looked up."""
    ec2 = cloud.client("ec2")
    filters = [{"Name": "instance-type", "Values": ["m5.large", "m5.none"]}]
    offered = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=filters)
    assert {o["Location"] for o in offered["InstanceTypeOfferings"]} == {"us-west-2a", "us-west-2b", "us-west-2c"}
    big = ec2.describe_instance_types(InstanceTypes=["m7g.4xlarge"])["InstanceTypes"][0]
    assert (big["VCpuInfo"]["DefaultVCpus"], big["MemoryInfo"]["SizeInMiB"]) == (16, 65536)
    assert big["ProcessorInfo"]["SupportedArchitectures"] == ["arm64"]
    with pytest.raises(ClientError) as error:
        ec2.describe_instance_types(InstanceTypes=["m5.none"])
    assert refused(error)[0] == "InvalidInstanceType"
    assert len(ec2.describe_availability_zones()["AvailabilityZones"]) == 3
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [base["Vpc"]]}])["Subnets"]
    assert len(subnets) == 4
    for call in ("network_interfaces", "volumes", "addresses", "security_groups", "key_pairs"):
        assert getattr(ec2, f"describe_{call}")()
    assert cloud.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
    assert cloud.client("elb").describe_load_balancers()["LoadBalancerDescriptions"] == []


def test_what_clusters_leave_behind_is_found_by_tag(cloud: Cloud, base: dict[str, str]) -> None:
    """Interfaces and groups of one cluster, not those of others; what is in use is not deleted."""
    ec2 = cloud.client("ec2")
    tags = [{"Key": "kubernetes.io/cluster/gone", "Value": "owned"}]
    group = ec2.create_security_group(
        GroupName="lost", Description="x", VpcId=base["Vpc"],
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )["GroupId"]  # fmt: skip
    card = ec2.create_network_interface(
        SubnetId=base["Private1"], Groups=[group],
        TagSpecifications=[{"ResourceType": "network-interface", "Tags": tags}],
    )["NetworkInterface"]["NetworkInterfaceId"]  # fmt: skip
    other = ec2.create_network_interface(SubnetId=base["Private1"])["NetworkInterface"]["NetworkInterfaceId"]
    by_tag = [{"Name": "tag-key", "Values": ["kubernetes.io/cluster/gone"]}]
    found = ec2.describe_network_interfaces(Filters=by_tag)["NetworkInterfaces"]
    assert [i["NetworkInterfaceId"] for i in found] == [card]
    assert [g["GroupId"] for g in ec2.describe_security_groups(Filters=by_tag)["SecurityGroups"]] == [group]
    by_id = [{"Name": "group-id", "Values": [group, "sg-none"]}]
    assert len(ec2.describe_security_groups(Filters=by_id)["SecurityGroups"]) == 1
    nothing = [{"Name": "group-id", "Values": ["sg-none"]}]
    assert ec2.describe_security_groups(Filters=nothing)["SecurityGroups"] == []
    with pytest.raises(ClientError) as error:
        ec2.delete_security_group(GroupId=group)
    assert refused(error) == ("DependencyViolation", f"resource {group} has a dependent object")
    for interface in (card, other):
        ec2.delete_network_interface(NetworkInterfaceId=interface)
    ec2.delete_security_group(GroupId=group)
    with pytest.raises(ClientError) as error:
        ec2.describe_network_interfaces(Filters=[{"Name": "nonesuch", "Values": ["x"]}])
    assert refused(error)[0] == "InvalidParameterValue"


def test_log_groups(cloud: Cloud) -> None:
    """Made, tagged, given a retention and deleted through the API."""
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="mine")
    logs.put_retention_policy(logGroupName="mine", retentionInDays=30)
    found = logs.describe_log_groups(logGroupNamePrefix="mine")["logGroups"][0]
    assert found["retentionInDays"] == 30
    logs.tag_resource(resourceArn=found["logGroupArn"], tags={"a": "b"})
    assert logs.list_tags_for_resource(resourceArn=found["logGroupArn"])["tags"] == {"a": "b"}
    logs.delete_log_group(logGroupName="mine")
