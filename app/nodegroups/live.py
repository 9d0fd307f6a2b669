"""What a request must ask AWS before its transaction begins: mistakes that would only show after minutes."""

from collections.abc import Collection

from app.core.errors import FieldError, InvalidError
from app.gateways.aws.cloud import Cloud
from app.nodegroups.ports import ClusterView
from app.nodegroups.render import nodegroup_stack
from app.nodegroups.schemas import NodegroupSpec
from app.stacks.template import refuse_dynamic_references

_PLACEHOLDER = ClusterView(
    id="clu_00000000000000000000000000",
    name="placeholder",
    project_id="",
    account_id="",
    region="",
    phase="active",
    version="1.0",
    ip_family="ipv4",
    outputs={"vpc_id": "vpc-00000000", "security_group_id": "sg-00000000"},
    facts={},
)


async def check(
    cloud: Cloud,
    spec: NodegroupSpec,
    *,
    vpc_id: str | None,
    zones: Collection[str],
    before: NodegroupSpec | None = None,
    pointer: str = "",
) -> None:
    """Check a spec's own form as a template, then instance types, key pair, subnets, security groups and zones.

    Args:
        cloud: The cluster's account and region.
        spec: What is asked for.
        vpc_id: The cluster's VPC, if it exists; subnets must lie in it.
        zones: The zones of the cluster's subnets, if they are known.
        before: What there is already: AWS is only asked for what changes.
        pointer: Where the spec stands in the request: `""`, or `/nodegroups/0`.

    Raises:
        InvalidError: something does not exist, with its pointer.
        AwsError: AWS could not be asked.
    """
    check_form(spec, pointer)
    errors = _zones(spec, pointer, zones)
    if before is None or before.instance_types != spec.instance_types:
        errors += await _instance_types(cloud, spec, pointer)
    if before is None or before.subnets != spec.subnets:
        errors += await _subnets(cloud, spec, pointer, vpc_id)
    if before is None or before.ssh != spec.ssh:
        errors += await _ssh(cloud, spec, pointer)
    if errors:
        raise InvalidError("AWS does not have what the node group asks for.", errors)


def check_form(spec: NodegroupSpec, pointer: str = "") -> None:
    """Check that a template can be made of the spec; no network.

    Raises:
        InvalidError: no template can say that, or it holds a dynamic reference.
    """
    refuse_dynamic_references(spec.model_dump(mode="json"), pointer)
    try:
        nodegroup_stack("ng_00000000000000000000000000", spec, _PLACEHOLDER, desired=spec.scaling.desired)
    except InvalidError as error:
        raise error.below(pointer) from error


def _zones(spec: NodegroupSpec, pointer: str, zones: Collection[str]) -> list[FieldError]:
    return [
        FieldError(
            f"{pointer}/zones/{index}", f"the cluster has no subnet in {zone}; it has {', '.join(sorted(zones))}"
        )
        for index, zone in enumerate(spec.zones or ())
        if zones and zone not in zones
    ]


async def _instance_types(cloud: Cloud, spec: NodegroupSpec, pointer: str) -> list[FieldError]:
    offered = await cloud.ec2.instance_type_offerings(spec.instance_types)
    return [
        FieldError(f"{pointer}/instance_types/{index}", f"{name!r} is not offered in {cloud.region}")
        for index, name in enumerate(spec.instance_types)
        if not offered.get(name)
    ]


async def _subnets(cloud: Cloud, spec: NodegroupSpec, pointer: str, vpc_id: str | None) -> list[FieldError]:
    if not spec.subnets:
        return []
    found = {subnet.id: subnet for subnet in await cloud.ec2.subnets(spec.subnets)}
    errors = []
    for index, subnet_id in enumerate(spec.subnets):
        subnet = found.get(subnet_id)
        if subnet is None:
            errors.append(FieldError(f"{pointer}/subnets/{index}", f"there is no subnet {subnet_id}"))
        elif vpc_id and subnet.vpc_id != vpc_id:
            errors.append(FieldError(f"{pointer}/subnets/{index}", f"{subnet_id} is not in the cluster's {vpc_id}"))
    return errors


async def _ssh(cloud: Cloud, spec: NodegroupSpec, pointer: str) -> list[FieldError]:
    if spec.ssh is None:
        return []
    errors = []
    if spec.ssh.key_name and await cloud.ec2.key_pair(spec.ssh.key_name) is None:
        errors.append(FieldError(f"{pointer}/ssh/key_name", f"there is no key pair {spec.ssh.key_name!r}"))
    groups = spec.ssh.source_security_groups
    known = {group.id for group in await cloud.ec2.security_groups(groups)} if groups else set()
    errors += [
        FieldError(f"{pointer}/ssh/source_security_groups/{index}", f"there is no security group {group_id}")
        for index, group_id in enumerate(groups)
        if group_id not in known
    ]
    return errors
