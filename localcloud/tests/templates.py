"""Templates that several tests use."""

from __future__ import annotations

from typing import Any

Template = dict[str, Any]


def trust(service: str) -> dict[str, Any]:
    """A trust policy for a service."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def role(service: str, **more: Any) -> dict[str, Any]:
    """A role that a service may assume."""
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust(service), **more}}


def resource(type_: str, depends: str | list[str] = (), **properties: Any) -> dict[str, Any]:  # type: ignore[assignment]
    """A resource."""
    found: dict[str, Any] = {"Type": type_, "Properties": properties}
    if depends:
        found["DependsOn"] = depends
    return found


def outputs(**values: Any) -> dict[str, Any]:
    """An Outputs section."""
    return {key: {"Value": value} for key, value in values.items()}


def ref(name: str) -> dict[str, str]:
    """A Ref."""
    return {"Ref": name}


def get(name: str, attribute: str) -> dict[str, list[str]]:
    """A Fn::GetAtt."""
    return {"Fn::GetAtt": [name, attribute]}


def network() -> Template:
    """A VPC with a public and a private side in two zones, and the roles of a cluster and its nodes."""
    resources: dict[str, Any] = {
        "Vpc": resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/16"),
        "Internet": resource("AWS::EC2::InternetGateway"),
        "Attachment": resource("AWS::EC2::VPCGatewayAttachment", VpcId=ref("Vpc"), InternetGatewayId=ref("Internet")),
        "Table": resource("AWS::EC2::RouteTable", VpcId=ref("Vpc")),
        "Way": resource(
            "AWS::EC2::Route", "Attachment", RouteTableId=ref("Table"), DestinationCidrBlock="0.0.0.0/0",
            GatewayId=ref("Internet"),
        ),
        "Address": resource("AWS::EC2::EIP", "Attachment", Domain="vpc"),
        "Nat": resource("AWS::EC2::NatGateway", AllocationId=get("Address", "AllocationId"), SubnetId=ref("Public1")),
        "PrivateTable": resource("AWS::EC2::RouteTable", VpcId=ref("Vpc")),
        "PrivateWay": resource(
            "AWS::EC2::Route", RouteTableId=ref("PrivateTable"), DestinationCidrBlock="0.0.0.0/0",
            NatGatewayId=ref("Nat"),
        ),
        "ClusterRole": role("eks.amazonaws.com"),
        "NodeRole": role("ec2.amazonaws.com"),
    }  # fmt: skip
    for number, zone in ((1, "a"), (2, "b")):
        for side, block, table in (("Public", number, "Table"), ("Private", number + 10, "PrivateTable")):
            name = f"{side}{number}"
            resources[name] = resource(
                "AWS::EC2::Subnet",
                VpcId=ref("Vpc"),
                CidrBlock=f"10.0.{block}.0/24",
                AvailabilityZone=f"us-west-2{zone}",
            )
            resources[f"{name}Table"] = resource(
                "AWS::EC2::SubnetRouteTableAssociation", SubnetId=ref(name), RouteTableId=ref(table)
            )
    names = ("Vpc", "Public1", "Public2", "Private1", "Private2")
    arns = {name: get(name, "Arn") for name in ("ClusterRole", "NodeRole")}
    return {"Resources": resources, "Outputs": outputs(**{name: ref(name) for name in names}, **arns)}


def cluster(base: dict[str, str], name: str, **properties: Any) -> Template:
    """A cluster in the network of `base`."""
    attributes = (
        "Arn", "Endpoint", "CertificateAuthorityData", "OpenIdConnectIssuerUrl", "ClusterSecurityGroupId",
    )  # fmt: skip
    given = {
        "Name": name,
        "Version": "1.33",
        "RoleArn": base["ClusterRole"],
        "ResourcesVpcConfig": {"SubnetIds": [base["Private1"], base["Private2"]]},
        "AccessConfig": {"AuthenticationMode": "API_AND_CONFIG_MAP"},
        **properties,
    }
    return {
        "Resources": {"Cluster": resource("AWS::EKS::Cluster", **given)},
        "Outputs": outputs(Name=ref("Cluster"), **{a: get("Cluster", a) for a in attributes}),
    }


def nodegroup(base: dict[str, str], cluster_name: str, name: str = "workers", **properties: Any) -> Template:
    """A node group of a cluster."""
    given = {
        "ClusterName": cluster_name,
        "NodegroupName": name,
        "NodeRole": base["NodeRole"],
        "Subnets": [base["Private1"], base["Private2"]],
        "InstanceTypes": ["m5.large"],
        "ScalingConfig": {"MinSize": 1, "MaxSize": 3, "DesiredSize": 2},
        **properties,
    }
    return {
        "Resources": {"Group": resource("AWS::EKS::Nodegroup", **given)},
        "Outputs": outputs(Id=ref("Group"), Arn=get("Group", "Arn")),
    }


def groups(count: int = 1, chain: bool = False, **each: Any) -> Template:
    """Log groups: the cheapest resources there are."""
    resources = {}
    for number in range(1, count + 1):
        needs = f"Log{number - 1}" if chain and number > 1 else []
        resources[f"Log{number}"] = resource("AWS::Logs::LogGroup", needs, **each)
    return {"Resources": resources}
