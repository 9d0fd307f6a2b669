"""Rules of security groups as resources of their own, which ministack's CloudFormation lacks."""

from __future__ import annotations

from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from .ec2_network import hex_id
from .registry import Attributes, Properties, Work
from .usage import need_group, refuse


class GroupRule:
    """AWS::EC2::SecurityGroupIngress and …Egress."""

    def __init__(self, side: str) -> None:
        self._side = side

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Adds the rule to its group; EC2 refuses one that is there already."""
        group = need_group(properties.get("GroupId", ""))
        for name in ("SourceSecurityGroupId", "DestinationSecurityGroupId"):
            if properties.get(name):
                need_group(properties[name])
        permission = self._permission(properties)
        if permission in group[self._side]:
            raise refuse("InvalidPermission.Duplicate", "the specified rule already exists")
        group[self._side].append(permission)
        rule_id = hex_id("sgr")
        work.initiated(rule_id)
        await work.wait()
        return {"Id": rule_id}

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes the description."""
        await work.wait()
        self._drop(old)
        need_group(new["GroupId"])[self._side].append(self._permission(new))
        return {}

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Takes the rule out of its group, if that still exists."""
        await work.wait()
        self._drop(properties)

    def _permission(self, properties: Properties) -> dict[str, object]:
        permissions: list[dict[str, object]] = provisioners._ec2_sg_permissions([properties])
        return permissions[0]

    def _drop(self, properties: Properties) -> None:
        group = ec2._security_groups.get(properties.get("GroupId", ""))
        permission = self._permission(properties)
        if group and permission in group[self._side]:
            group[self._side].remove(permission)


HANDLERS = {
    "AWS::EC2::SecurityGroupIngress": GroupRule("IpPermissions"),
    "AWS::EC2::SecurityGroupEgress": GroupRule("IpPermissionsEgress"),
}
