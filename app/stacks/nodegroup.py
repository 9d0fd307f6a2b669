"""The stack of one managed node group: role, launch template, the group, and for ssh a key pair and security group.

What can change without a new group decides where a setting stands. Properties of `AWS::EKS::Nodegroup` such as
`InstanceTypes`, `DiskSize` and `RemoteAccess` can only be replaced, while a new version of the launch template rolls
the nodes (https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html). So disk, ssh, security groups and
a *single* instance type stand in the launch template; several types are only possible on the group.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from troposphere import GetAtt, Ref, Sub, Template, ec2, eks, iam

from app.stacks.machine import data_device, default_ami_type, is_bottlerocket
from app.stacks.naming import digest, stack_name
from app.stacks.network import IpFamily
from app.stacks.taints import Taint
from app.stacks.template import (
    CAPABILITY_IAM,
    StackTemplate,
    Value,
    add_outputs,
    managed_policy,
    new_template,
    render,
    stack_tags,
    tag_list,
    trust,
)

CapacityType = Literal["ON_DEMAND", "SPOT"]

LABEL_CLUSTER = "slipway.dev/cluster"
LABEL_NODEGROUP = "slipway.dev/nodegroup"
MAX_LABEL = 63

DEFAULT_INSTANCE_TYPE = "m5.large"
DEFAULT_DISK_GIB = 80
DISK_IOPS = 3000
DISK_MBPS = 125
SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What a node group has to know of its cluster, as the cluster stack's outputs give it.

    Attributes:
        name: The EKS cluster's name.
        vpc_id: Output `VpcId`.
        security_group_id: Output `SecurityGroupId`: the cluster security group, by which nodes reach the control plane.
        ip_family: The cluster's.
    """

    name: str
    vpc_id: str
    security_group_id: str
    ip_family: IpFamily = "ipv4"


@dataclass(frozen=True, slots=True)
class Scaling:
    """Sizes in nodes.

    Attributes:
        minimum: 0 or more.
        maximum: 1 or more.
        desired: Between both; None leaves it to EKS. On an update EKS then keeps the live number, and refuses a
            `minimum` above or a `maximum` below it: look at the live number and pass one that fits.
    """

    minimum: int
    maximum: int
    desired: int | None = None


@dataclass(frozen=True, slots=True)
class Ssh:
    """Access by ssh. With neither key, the stack makes a key pair, whose private half AWS keeps in Parameter Store.

    Attributes:
        key_name: An EC2 key pair that exists. It goes before `public_key`.
        public_key: OpenSSH public key; the stack makes a key pair of it.
        source_security_groups: `sg-…` that may connect; empty means everyone (0.0.0.0/0 and ::/0).
    """

    key_name: str | None = None
    public_key: str | None = None
    source_security_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """How many nodes an update may take away at once: a number (1 to 100) or a share in percent, not both."""

    max_unavailable: int | None = None
    max_unavailable_percent: int | None = None


@dataclass(frozen=True, slots=True)
class NodegroupInput:
    """All that a node group's stack is made from.

    Attributes:
        resource_id: `ng_…`.
        name: The node group's name: 1 to 63 letters, digits, `-`, `_`.
        cluster: Facts of the cluster.
        subnets: `subnet-…` of the nodes; by default the cluster's output `NodeSubnetIds`.
        scaling: Sizes.
        instance_types: One to twenty EC2 types. Several ones help SPOT, but can only be replaced later.
        capacity_type: ON_DEMAND or SPOT.
        ami_type: As EKS spells it; None picks Amazon Linux 2023 for the types' architecture. Not CUSTOM.
        version: Kubernetes version, or None for the cluster's at creation.
        release_version: A certain AMI release, or None for the newest at creation.
        disk_size_gib: Size of the volume for images and pods, in GiB.
        labels: Kubernetes labels; Slipway's own two win.
        taints: Kubernetes taints.
        ssh: None allows none.
        update: None leaves EKS's default (one node at a time).
        node_repair: EKS's node auto repair; None leaves it alone.
        security_groups: Further `sg-…` of the nodes, besides the cluster's.
        tags: The caller's tags, for AWS resources including instances, volumes and interfaces.
    """

    resource_id: str
    name: str
    cluster: ClusterFacts
    subnets: tuple[str, ...]
    scaling: Scaling
    instance_types: tuple[str, ...] = (DEFAULT_INSTANCE_TYPE,)
    capacity_type: CapacityType = "ON_DEMAND"
    ami_type: str | None = None
    version: str | None = None
    release_version: str | None = None
    disk_size_gib: int = DEFAULT_DISK_GIB
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    ssh: Ssh | None = None
    update: Update | None = None
    node_repair: bool | None = None
    security_groups: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def makes_key_pair(self) -> bool:
        """Whether the stack holds a key pair."""
        return self.ssh is not None and not self.ssh.key_name


def nodegroup_stack_name(resource_id: str, cluster_name: str, name: str) -> str:
    """Return the name of a node group's stack."""
    return stack_name("nodegroup", resource_id, f"{cluster_name}/{name}")


def nodegroup_template(spec: NodegroupInput) -> StackTemplate:
    """Return the stack of a managed node group.

    Outputs: `Arn`, `RoleArn`, `NodegroupName`, and `SshPrivateKeyParameter` (a name in SSM Parameter Store) if AWS
    made the private key.

    CloudFormation hands a stack's tags on to its resources, and can only replace a key pair to change its tags, which
    would be another private key (https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/2280).
    While the stack holds a key pair, it carries Slipway's two constant tags only, and the caller's tags stand on each
    of the other resources.

    Raises:
        InvalidError: The instance types do not fit together, or see `render`.
    """
    template = new_template("Slipway: an EKS managed node group")
    explicit_tags = spec.tags if spec.makes_key_pair else {}
    role = _node_role(template, spec.cluster.ip_family, explicit_tags)
    outputs: dict[str, Value] = {"NodegroupName": spec.name, "RoleArn": GetAtt(role, "Arn")}
    groups: list[Value] = [spec.cluster.security_group_id, *spec.security_groups]
    key_name: Value | None = None
    if spec.ssh is not None:
        groups.append(_ssh_security_group(template, spec, spec.ssh, explicit_tags))
        key_name = _key_name(template, spec, spec.ssh)
        if not spec.ssh.key_name and not spec.ssh.public_key:
            outputs["SshPrivateKeyParameter"] = Sub("/ec2/keypair/${KeyPair.KeyPairId}")
    ami_type = spec.ami_type or default_ami_type(spec.instance_types)
    _launch_template(template, spec, ami_type, groups, key_name)
    group = template.add_resource(eks.Nodegroup("Nodegroup", **_group_properties(spec, ami_type, GetAtt(role, "Arn"))))
    add_outputs(template, {"Arn": GetAtt(group, "Arn"), **outputs})
    return StackTemplate(
        name=nodegroup_stack_name(spec.resource_id, spec.cluster.name, spec.name),
        body=render(template),
        capabilities=(CAPABILITY_IAM,),
        tags=stack_tags(spec.resource_id, spec.cluster.name, {} if spec.makes_key_pair else spec.tags),
    )


def nodegroup_labels(cluster_name: str, name: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's labels and Slipway's own; a cluster name over 63 characters is cut to a legal value."""
    own = {LABEL_CLUSTER: cluster_name[:MAX_LABEL].rstrip("-_"), LABEL_NODEGROUP: name}
    return dict(sorted({**labels, **own}.items()))


def _group_properties(spec: NodegroupInput, ami_type: str, role_arn: Value) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "NodegroupName": spec.name,
        "ClusterName": spec.cluster.name,
        "NodeRole": role_arn,
        "Subnets": list(spec.subnets),
        "AmiType": ami_type,
        "CapacityType": spec.capacity_type,
        "ScalingConfig": _scaling(spec.scaling),
        "Labels": nodegroup_labels(spec.cluster.name, spec.name, spec.labels),
        "LaunchTemplate": eks.LaunchTemplateSpecification(
            Id=Ref("LaunchTemplate"), Version=GetAtt("LaunchTemplate", "LatestVersionNumber")
        ),
    }
    if len(spec.instance_types) > 1:
        properties["InstanceTypes"] = list(spec.instance_types)
    if spec.taints:
        properties["Taints"] = [_taint(taint) for taint in spec.taints]
    if spec.tags:
        # A map, unlike other tags: with a key such as `Ref` alone it would be a function. Labels have Slipway's, too.
        properties["Tags"] = stack_tags(spec.resource_id, spec.cluster.name, spec.tags)
    return properties | _update_properties(spec)


def _update_properties(spec: NodegroupInput) -> dict[str, Any]:
    """Return what steers updates: versions, how many nodes at once, repair."""
    properties: dict[str, Any] = {}
    if spec.version:
        properties["Version"] = spec.version
    if spec.release_version:
        properties["ReleaseVersion"] = spec.release_version
    if spec.update and spec.update.max_unavailable_percent is not None:
        properties["UpdateConfig"] = eks.UpdateConfig(MaxUnavailablePercentage=spec.update.max_unavailable_percent)
    elif spec.update and spec.update.max_unavailable is not None:
        properties["UpdateConfig"] = eks.UpdateConfig(MaxUnavailable=spec.update.max_unavailable)
    if spec.node_repair is not None:
        properties["NodeRepairConfig"] = eks.NodeRepairConfig(Enabled=spec.node_repair)
    return properties


def _scaling(scaling: Scaling) -> eks.ScalingConfig:
    desired = {} if scaling.desired is None else {"DesiredSize": scaling.desired}
    return eks.ScalingConfig(MinSize=scaling.minimum, MaxSize=scaling.maximum, **desired)


def _taint(taint: Taint) -> eks.Taint:
    value = {} if taint.value is None else {"Value": taint.value}
    resource = eks.Taint(Effect=taint.effect, **value)
    # Past troposphere's own check, which takes 63 characters for the limit; EKS takes a prefix as well, 317 in all.
    resource.properties["Key"] = taint.key
    return resource


def _node_role(template: Template, ip_family: IpFamily, tags: Mapping[str, str]) -> iam.Role:
    policies = ["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonSSMManagedInstanceCore"]
    properties: dict[str, Any] = {}
    if ip_family == "ipv6":
        properties["Policies"] = [iam.Policy(PolicyName="AmazonEKS_CNI_IPv6", PolicyDocument=_cni_ipv6())]
    else:
        policies.append("AmazonEKS_CNI_Policy")
    if tags:
        properties["Tags"] = tag_list(tags)
    role = iam.Role(
        "NodeRole",
        # In China the service is named ec2.amazonaws.com.cn.
        AssumeRolePolicyDocument=trust(Sub("ec2.${AWS::URLSuffix}")),
        ManagedPolicyArns=[managed_policy(name) for name in policies],
        **properties,
    )
    return template.add_resource(role)


def _cni_ipv6() -> dict[str, Any]:
    """Return what vpc-cni needs with IPv6; AWS has no managed policy for it.

    Source: https://docs.aws.amazon.com/eks/latest/userguide/cni-iam-role.html#cni-iam-role-create-ipv6-policy.
    """
    describe = ("DescribeInstances", "DescribeTags", "DescribeNetworkInterfaces", "DescribeInstanceTypes")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["ec2:AssignIpv6Addresses", *(f"ec2:{action}" for action in describe)],
                "Resource": "*",
            },
            {
                "Effect": "Allow",
                "Action": ["ec2:CreateTags"],
                "Resource": [Sub("arn:${AWS::Partition}:ec2:*:*:network-interface/*")],
            },
        ],
    }


def _ssh_security_group(template: Template, spec: NodegroupInput, ssh: Ssh, tags: Mapping[str, str]) -> Value:
    port = {"IpProtocol": "tcp", "FromPort": SSH_PORT, "ToPort": SSH_PORT}
    sources: list[dict[str, str]] = [{"SourceSecurityGroupId": group} for group in ssh.source_security_groups]
    group = ec2.SecurityGroup(
        "SshSecurityGroup",
        GroupDescription="Allow ssh to the nodes of the group",
        VpcId=spec.cluster.vpc_id,
        SecurityGroupIngress=[
            ec2.SecurityGroupRule(**port, **source)
            for source in sources or [{"CidrIp": "0.0.0.0/0"}, {"CidrIpv6": "::/0"}]
        ],
        Tags=tag_list({**tags, "Name": f"{spec.cluster.name}/{spec.name}/ssh"}),
    )
    return GetAtt(template.add_resource(group), "GroupId")


def _key_name(template: Template, spec: NodegroupInput, ssh: Ssh) -> Value:
    """Return the name of the key pair, which is added unless it exists.

    A key pair cannot be changed, and a replacement cannot have the same name: the name says which key it holds.
    """
    if ssh.key_name:
        return ssh.key_name
    name = nodegroup_stack_name(spec.resource_id, spec.cluster.name, spec.name)
    if ssh.public_key:
        material = ssh.public_key.strip()
        pair = ec2.KeyPair("KeyPair", KeyName=f"{name}-{digest(material)}", PublicKeyMaterial=material)
    else:
        # Windows decrypts its password with the key, which only RSA can do.
        kind = "rsa" if (spec.ami_type or "").startswith("WINDOWS") else "ed25519"
        pair = ec2.KeyPair("KeyPair", KeyName=name, KeyType=kind)
    return Ref(template.add_resource(pair))


def _launch_template(
    template: Template, spec: NodegroupInput, ami_type: str, groups: list[Value], key_name: Value | None
) -> None:
    properties: dict[str, Any] = {}
    if len(spec.instance_types) == 1:
        properties["InstanceType"] = spec.instance_types[0]
    if key_name is not None:
        properties["KeyName"] = key_name
    name = {"Name": f"{spec.cluster.name}-{spec.name}-Node"}
    # CloudFormation's stack tags end at the launch template: what it launches has to be told.
    tags = tag_list({**name, **stack_tags(spec.resource_id, spec.cluster.name, spec.tags)})
    data = ec2.LaunchTemplateData(
        BlockDeviceMappings=_volumes(ami_type, spec.disk_size_gib),
        # Version 2 tokens only; two hops, for containers that ask from a network of their own.
        MetadataOptions=ec2.MetadataOptions(HttpTokens="required", HttpPutResponseHopLimit=2),
        SecurityGroupIds=groups,
        TagSpecifications=[
            ec2.TagSpecifications(ResourceType=kind, Tags=tags) for kind in ("instance", "volume", "network-interface")
        ],
        **properties,
    )
    template.add_resource(ec2.LaunchTemplate("LaunchTemplate", LaunchTemplateData=data))


def _volumes(ami_type: str, size_gib: int) -> list[ec2.LaunchTemplateBlockDeviceMapping]:
    sized = ec2.LaunchTemplateBlockDeviceMapping(
        DeviceName=data_device(ami_type),
        Ebs=ec2.EBSBlockDevice(
            VolumeSize=size_gib, VolumeType="gp3", Iops=DISK_IOPS, Throughput=DISK_MBPS, Encrypted=True
        ),
    )
    if not is_bottlerocket(ami_type):
        return [sized]
    # Bottlerocket's system volume keeps its image's size.
    system = ec2.LaunchTemplateBlockDeviceMapping(
        DeviceName="/dev/xvda", Ebs=ec2.EBSBlockDevice(VolumeType="gp3", Encrypted=True)
    )
    return [system, sized]
