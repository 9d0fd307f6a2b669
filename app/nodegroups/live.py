"""What a request must ask AWS before its transaction begins: mistakes that would only show after minutes."""

from collections.abc import Sequence

from app.core.errors import FieldError, InvalidError
from app.gateways.aws.cloud import Cloud
from app.nodegroups.schemas import NodegroupSpec


async def check(cloud: Cloud, specs: Sequence[NodegroupSpec], *, vpc_id: str | None, pointers: Sequence[str]) -> None:
    """Check instance types, key pairs, subnets and security groups.

    Args:
        cloud: The cluster's account and region.
        specs: What is asked for.
        vpc_id: The cluster's VPC, if it exists; subnets must lie in it.
        pointers: Where each spec stands in the request: `""`, or `/nodegroups/0`.

    Raises:
        InvalidError: something does not exist, with its pointer.
        AwsError: AWS could not be asked.
    """
    errors: list[FieldError] = []
    for spec, pointer in zip(specs, pointers, strict=True):
        errors += await _instance_types(cloud, spec, pointer)
        errors += await _subnets(cloud, spec, pointer, vpc_id)
        errors += await _ssh(cloud, spec, pointer)
    if errors:
        raise InvalidError("AWS does not have what the node group asks for.", errors)


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
