"""The stack of one managed node group: role, launch template, the group, and for ssh a key pair and security group.

What can change without a new group decides where a setting stands. Properties of `AWS::EKS::Nodegroup` such as
`InstanceTypes`, `DiskSize` and `RemoteAccess` can only be replaced, while a new version of the launch template rolls
the nodes (https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html). So disk, ssh, security groups and
a *single* instance type stand in the launch template; several types are only possible on the group.
"""

from collections.abc import Mapping
from typing import Any

from troposphere import GetAtt, Ref, Sub, Template, ec2, eks, iam

from app.clusters.view import ClusterView
from app.kinds.kind import owned_stack_name
from app.kinds.nodegroup.spec import NodegroupSpec, ScalingSpec, SshSpec, TaintSpec, UpdateSpec
from app.stacks.machine import data_device, default_ami_type, is_bottlerocket
from app.stacks.naming import digest
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

LABEL_CLUSTER = "slipway.dev/cluster"
LABEL_NODEGROUP = "slipway.dev/nodegroup"
MAX_LABEL = 63

DISK_IOPS = 3000
DISK_MBPS = 125
SSH_PORT = 22


def nodegroup_stack(
    nodegroup_id: str, spec: NodegroupSpec, cluster: ClusterView, *, desired: int | None
) -> StackTemplate:
    """Return the node group's stack.

    Outputs: `Arn`, `RoleArn`, `NodegroupName`, and `SshPrivateKeyParameter` (a name in SSM Parameter Store) if AWS
    made the private key.

    CloudFormation hands a stack's tags on to its resources, and can only replace a key pair to change its tags, which
    would be another private key (https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/2280).
    While the stack holds a key pair, it carries Slipway's two constant tags only, and the caller's tags stand on each
    of the other resources.

    Args:
        nodegroup_id: `ng_…`.
        spec: What is asked for, its `version` filled in.
        cluster: The cluster; of its outputs `vpc_id` and `security_group_id` are needed, by which nodes reach the
            control plane.
        desired: Nodes that it should have now; None leaves it to EKS. On an update EKS then keeps the live number, and
            refuses limits that it does not fit.

    Raises:
        InvalidError: The instance types do not fit together, or see `app.stacks.template.render`.
    """
    template = new_template("Slipway: an EKS managed node group")
    makes_key_pair = spec.ssh is not None and not spec.ssh.key_name
    explicit_tags = spec.tags if makes_key_pair else {}
    name = owned_stack_name("nodegroup", nodegroup_id, cluster, spec.name)
    role = _node_role(template, cluster.ip_family, explicit_tags)
    outputs: dict[str, Value] = {"NodegroupName": spec.name, "RoleArn": GetAtt(role, "Arn")}
    groups: list[Value] = [cluster.outputs["security_group_id"]]
    key_name: Value | None = None
    if spec.ssh is not None:
        groups.append(_ssh_security_group(template, spec, spec.ssh, cluster, explicit_tags))
        key_name = _key_name(template, spec.ssh, name)
        if not spec.ssh.key_name and not spec.ssh.public_key:
            outputs["SshPrivateKeyParameter"] = Sub("/ec2/keypair/${KeyPair.KeyPairId}")
    ami_type = spec.ami_type or default_ami_type(spec.instance_types)
    tags = stack_tags(nodegroup_id, cluster.name, spec.tags)
    _launch_template(template, spec, ami_type, groups, key_name, {"Name": f"{cluster.name}-{spec.name}-Node", **tags})
    properties = _group_properties(spec, cluster, ami_type, GetAtt(role, "Arn"), tags)
    properties["ScalingConfig"] = _scaling(spec.scaling, desired)
    group = template.add_resource(eks.Nodegroup("Nodegroup", **properties))
    add_outputs(template, {"Arn": GetAtt(group, "Arn"), **outputs})
    return StackTemplate(
        name=name,
        body=render(template),
        capabilities=(CAPABILITY_IAM,),
        tags=stack_tags(nodegroup_id, cluster.name, {}) if makes_key_pair else tags,
    )


def subnets_of(spec: NodegroupSpec, cluster: ClusterView) -> tuple[str, ...]:
    """Return the subnets of the nodes: those named, or those of the cluster by type and zone."""
    if spec.subnets:
        return tuple(spec.subnets)
    facts = cluster.facts
    found: list[str] = facts.get(f"{spec.subnet_type}_subnet_ids" if spec.subnet_type else "node_subnet_ids", [])
    wanted = spec.zones or facts.get("zones")  # of a VPC of our own: not the extra zone of the control plane
    zone_of: dict[str, str] = facts.get("subnet_zones", {})
    return tuple(subnet for subnet in found if not wanted or zone_of.get(subnet) in wanted)


def taints_of(spec: NodegroupSpec) -> tuple[Taint, ...]:
    """Return the taints as what must tolerate them takes them."""
    return tuple(Taint(taint.key, taint.effect, taint.value) for taint in spec.taints)


def nodegroup_labels(cluster_name: str, name: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's labels and Slipway's own; a cluster name over 63 characters is cut to a legal value."""
    own = {LABEL_CLUSTER: cluster_name[:MAX_LABEL].rstrip("-_"), LABEL_NODEGROUP: name}
    return dict(sorted({**labels, **own}.items()))


def _group_properties(
    spec: NodegroupSpec, cluster: ClusterView, ami_type: str, role_arn: Value, tags: Mapping[str, str]
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "NodegroupName": spec.name,
        "ClusterName": cluster.name,
        "NodeRole": role_arn,
        "Subnets": list(subnets_of(spec, cluster)),
        "AmiType": ami_type,
        "CapacityType": spec.capacity_type,
        "Labels": nodegroup_labels(cluster.name, spec.name, spec.labels),
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
        properties["Tags"] = tags
    if spec.version:
        properties["Version"] = spec.version
    return properties | _update_config(spec.update)


def _update_config(update: UpdateSpec) -> dict[str, Any]:
    if update.max_unavailable_percent is not None:
        return {"UpdateConfig": eks.UpdateConfig(MaxUnavailablePercentage=update.max_unavailable_percent)}
    if update.max_unavailable is not None:
        return {"UpdateConfig": eks.UpdateConfig(MaxUnavailable=update.max_unavailable)}
    return {}


def _scaling(scaling: ScalingSpec, desired: int | None) -> eks.ScalingConfig:
    number = {} if desired is None else {"DesiredSize": desired}
    return eks.ScalingConfig(MinSize=scaling.min, MaxSize=scaling.max, **number)


def _taint(taint: TaintSpec) -> eks.Taint:
    value = {} if taint.value is None else {"Value": taint.value}
    resource = eks.Taint(Effect=taint.effect, **value)
    # Past troposphere's own check, which takes 63 characters for the limit; EKS takes a prefix as well, 317 in all.
    resource.properties["Key"] = taint.key
    return resource


def _node_role(template: Template, ip_family: str, tags: Mapping[str, str]) -> iam.Role:
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


def _ssh_security_group(
    template: Template, spec: NodegroupSpec, ssh: SshSpec, cluster: ClusterView, tags: Mapping[str, str]
) -> Value:
    port = {"IpProtocol": "tcp", "FromPort": SSH_PORT, "ToPort": SSH_PORT}
    sources: list[dict[str, str]] = [{"SourceSecurityGroupId": group} for group in ssh.source_security_groups]
    group = ec2.SecurityGroup(
        "SshSecurityGroup",
        GroupDescription="Allow ssh to the nodes of the group",
        VpcId=cluster.outputs["vpc_id"],
        SecurityGroupIngress=[
            ec2.SecurityGroupRule(**port, **source)
            for source in sources or [{"CidrIp": "0.0.0.0/0"}, {"CidrIpv6": "::/0"}]
        ],
        Tags=tag_list({**tags, "Name": f"{cluster.name}/{spec.name}/ssh"}),
    )
    return GetAtt(template.add_resource(group), "GroupId")


def _key_name(template: Template, ssh: SshSpec, stack: str) -> Value:
    """Return the name of the key pair, which is added unless it exists.

    A key pair cannot be changed, and a replacement cannot have the same name: the name says which key it holds.
    """
    if ssh.key_name:
        return ssh.key_name
    if ssh.public_key:
        material = ssh.public_key.strip()
        pair = ec2.KeyPair("KeyPair", KeyName=f"{stack}-{digest(material)}", PublicKeyMaterial=material)
    else:
        pair = ec2.KeyPair("KeyPair", KeyName=stack, KeyType="ed25519")
    return Ref(template.add_resource(pair))


def _launch_template(
    template: Template,
    spec: NodegroupSpec,
    ami_type: str,
    groups: list[Value],
    key_name: Value | None,
    tags: Mapping[str, str],
) -> None:
    properties: dict[str, Any] = {}
    if len(spec.instance_types) == 1:
        properties["InstanceType"] = spec.instance_types[0]
    if key_name is not None:
        properties["KeyName"] = key_name
    # CloudFormation's stack tags end at the launch template: what it launches has to be told.
    told = tag_list(tags)
    data = ec2.LaunchTemplateData(
        BlockDeviceMappings=_volumes(ami_type, spec.disk_size_gib),
        # Version 2 tokens only; two hops, for containers that ask from a network of their own.
        MetadataOptions=ec2.MetadataOptions(HttpTokens="required", HttpPutResponseHopLimit=2),
        SecurityGroupIds=groups,
        TagSpecifications=[
            ec2.TagSpecifications(ResourceType=kind, Tags=told) for kind in ("instance", "volume", "network-interface")
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
