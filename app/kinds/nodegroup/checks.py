"""What AWS is asked of a node group before anything begins: mistakes that would only show after minutes."""

from collections.abc import Collection

from app.clusters.view import ClusterView
from app.core.errors import FieldError
from app.gateways.aws.cloud import Cloud
from app.kinds.nodegroup.spec import NodegroupSpec


async def check(
    cloud: Cloud, spec: NodegroupSpec, cluster: ClusterView, before: NodegroupSpec | None
) -> list[FieldError]:
    """Look for instance types, key pair, subnets, security groups and zones.

    Args:
        cloud: The cluster's account and region.
        spec: What is asked for.
        cluster: Subnets must lie in its VPC, if that is known, and zones be among its own.
        before: What there is already: AWS is only asked for what changes.

    Raises:
        AwsError: AWS could not be asked.
    """
    errors = _zones(spec, cluster.zones)
    if before is None or before.instance_types != spec.instance_types:
        errors += await _instance_types(cloud, spec)
    if before is None or before.subnets != spec.subnets:
        errors += await _subnets(cloud, spec, cluster.outputs.get("vpc_id"))
    if before is None or before.ssh != spec.ssh:
        errors += await _ssh(cloud, spec)
    return errors


def _zones(spec: NodegroupSpec, zones: Collection[str]) -> list[FieldError]:
    return [
        FieldError(f"/zones/{index}", f"the cluster has no subnet in {zone}; it has {', '.join(sorted(zones))}")
        for index, zone in enumerate(spec.zones or ())
        if zones and zone not in zones
    ]


async def _instance_types(cloud: Cloud, spec: NodegroupSpec) -> list[FieldError]:
    offered = await cloud.ec2.instance_type_offerings(spec.instance_types)
    return [
        FieldError(f"/instance_types/{index}", f"{name!r} is not offered in {cloud.region}")
        for index, name in enumerate(spec.instance_types)
        if not offered.get(name)
    ]


async def _subnets(cloud: Cloud, spec: NodegroupSpec, vpc_id: str | None) -> list[FieldError]:
    if not spec.subnets:
        return []
    found = {subnet.id: subnet for subnet in await cloud.ec2.subnets(spec.subnets)}
    errors = []
    for index, subnet_id in enumerate(spec.subnets):
        subnet = found.get(subnet_id)
        if subnet is None:
            errors.append(FieldError(f"/subnets/{index}", f"there is no subnet {subnet_id}"))
        elif vpc_id and subnet.vpc_id != vpc_id:
            errors.append(FieldError(f"/subnets/{index}", f"{subnet_id} is not in the cluster's {vpc_id}"))
    return errors


async def _ssh(cloud: Cloud, spec: NodegroupSpec) -> list[FieldError]:
    if spec.ssh is None:
        return []
    errors = []
    if spec.ssh.key_name and await cloud.ec2.key_pair(spec.ssh.key_name) is None:
        errors.append(FieldError("/ssh/key_name", f"there is no key pair {spec.ssh.key_name!r}"))
    groups = spec.ssh.source_security_groups
    known = {group.id for group in await cloud.ec2.security_groups(groups)} if groups else set()
    errors += [
        FieldError(f"/ssh/source_security_groups/{index}", f"there is no security group {group_id}")
        for index, group_id in enumerate(groups)
        if group_id not in known
    ]
    return errors
