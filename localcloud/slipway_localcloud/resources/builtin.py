"""ministack's own provisioners behind our interface, with the checks that AWS makes and ministack does not."""

from __future__ import annotations

import inspect
import re
import secrets
from typing import Any

from ministack.services.cloudformation import provisioners

from ..errors import AwsError
from .ec2_network import hex_id
from .registry import Attributes, Properties, Work
from .usage import check_create, check_delete

_SERVICES = {"EC2": "Ec2", "IAM": "Iam", "KMS": "Kms", "Logs": "CloudWatchLogs"}
_NAMED_ALIKE = {"AWS::Logs::LogGroup": "LogGroupName", "AWS::EC2::SecurityGroup": "GroupName"}


class Builtin:
    """The handler of a type that ministack provisions."""

    def __init__(self, type_: str, functions: dict[str, Any]) -> None:
        self.type = type_
        self._functions = functions
        self._seeds: dict[str, str] = {}
        self._names: dict[str, dict[str, str]] = {}
        self._service = _SERVICES.get(type_.split("::")[1], type_.split("::")[1])

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Creates through ministack."""
        check_create(self.type, properties)
        name = self._generated_name(work, properties)
        properties = {**properties, **name}
        seed = secrets.token_hex(8)
        physical_id, attributes = self._call(seed, "create", work.logical_id, properties, work.stack_name)
        self._seeds[physical_id] = seed
        self._names[physical_id] = name
        work.initiated(physical_id)
        await work.wait()
        return {**(attributes or {}), **_missing_attributes(self.type, physical_id, properties)}

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Updates through ministack. What would replace the resource never comes here."""
        await work.wait()
        function = self._functions.get("update")
        if function is None:
            return {}
        name = self._names.get(physical_id, {})
        arguments = [physical_id, {**old, **name}, {**new, **name}, work.stack_name]
        if self._functions.get("update_with_logical_id") or len(inspect.signature(function).parameters) > 4:
            arguments.append(work.logical_id)
        _, attributes = self._call(self._seeds.get(physical_id, ""), "update", *arguments)
        return attributes or {}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Deletes through ministack, unless something still uses the resource."""
        await work.wait()
        check_delete(self.type, physical_id)
        arguments = [physical_id, properties]
        if self._functions.get("delete_with_logical_id"):
            arguments.append(work.logical_id)
        self._names.pop(physical_id, None)
        self._call(self._seeds.pop(physical_id, ""), "delete", *arguments)

    def _generated_name(self, work: Work, properties: Properties) -> dict[str, str]:
        """The name property of types to which ministack gives the same name every time."""
        field = _NAMED_ALIKE.get(self.type)
        if field is None or properties.get(field):
            return {}
        return {field: f"{work.stack_name}-{work.generated_name()}"}

    def _call(self, seed: str, name: str, *arguments: Any) -> Any:
        """Calls a provisioner. `seed` makes generated names unlike those of a predecessor, as on AWS."""
        token = provisioners._NAME_SEED.set(seed)
        try:
            return self._functions[name](*arguments)
        except (ValueError, KeyError) as error:
            raise _as_aws_error(error, self._service) from error
        finally:
            provisioners._NAME_SEED.reset(token)


def _as_aws_error(error: Exception, service: str) -> Exception:
    """ministack's provisioners put a service's whole answer into their messages: take its words out."""
    text = str(error)
    found = [re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S) for tag in ("Code", "Message")]
    if all(found):
        return AwsError(found[0].group(1), found[1].group(1), service=service)  # type: ignore[union-attr]
    found = [re.search(rf'"{key}": "(.*?)"', text) for key in ("__type", "message")]
    if all(found):
        return AwsError(found[0].group(1), found[1].group(1), service=service)  # type: ignore[union-attr]
    return AwsError("InvalidRequest", text, service=service) if not isinstance(error, AwsError) else error


def _missing_attributes(type_: str, physical_id: str, properties: Properties) -> Attributes:
    """Attributes that AWS offers and ministack's provisioner leaves out."""
    from ministack.services import ec2

    if type_ == "AWS::EC2::VPC":
        vpc = ec2._vpcs[physical_id]
        blocks = [hex_id("vpc-cidr-assoc")]
        # The very list that AWS::EC2::VPCCidrBlock adds to, so that Fn::GetAtt sees later blocks.
        ipv6 = vpc.setdefault("_ipv6", [])
        return {"CidrBlock": vpc["CidrBlock"], "CidrBlockAssociations": blocks, "Ipv6CidrBlocks": ipv6}
    if type_ == "AWS::EC2::Subnet":
        subnet = ec2._subnets[physical_id]
        six = properties.get("Ipv6CidrBlock")
        names = ("AvailabilityZone", "AvailabilityZoneId", "CidrBlock", "SubnetId", "VpcId")
        return {**{name: subnet[name] for name in names}, "Ipv6CidrBlocks": [six] if six else []}
    if type_ == "AWS::EC2::SecurityGroup":
        return {"Id": physical_id}
    return {}
