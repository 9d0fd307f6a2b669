"""What of a spec cannot be changed, since AWS could only replace the resource; specs as CONTRACT names their fields.

Sources: "Update requires" in the CloudFormation reference of AWS::EKS::Cluster
(https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-eks-cluster.html, …, the same as
`createOnlyProperties` of their schemas), UpdateClusterConfig
(https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterConfig.html), and for the authentication mode
https://docs.aws.amazon.com/eks/latest/userguide/setting-up-access-entries.html.

Both specs must be complete, with their defaults filled in: a field that is missing and one that is null are equal,
but a default that only one of them spells out is a change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.core.validation import differences


@dataclass(frozen=True, slots=True)
class Immutable:
    """A field (with all below it) that stays as it was created.

    Attributes:
        pointer: JSON pointer into the spec.
        reason: What to tell a caller.
    """

    pointer: str
    reason: str


CLUSTER: tuple[Immutable, ...] = (
    Immutable("/name", "AWS can only replace a cluster to rename it"),
    Immutable("/region", "a cluster cannot move to another region"),
    Immutable("/account", "a cluster cannot move to another account"),
    # AWS lets other subnets of the same VPC take over (UpdateClusterConfig) and NAT gateways come and go. Slipway
    # does not yet: node groups would stay where they are, in subnets that are about to go away.
    Immutable("/network", "the network is laid out once, with the cluster"),
    # AssociateEncryptionConfig could add a key (never change or remove one), but not by way of the stack, where
    # EncryptionConfig is "Update requires: Replacement".
    Immutable("/encryption", "AWS can only replace a cluster to change the key of its secrets"),
)
"""Fields of the cluster spec. Not among them: `access`, which has an order of its own."""

_MODES = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")


def cluster_violations(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Immutable, ...]:
    """Return every forbidden change between two cluster specs, each with the pointer of the innermost field."""
    return tuple(_changed(CLUSTER, before, after)) + _access_violations(
        before.get("access") or {}, after.get("access") or {}
    )


def _access_violations(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Immutable, ...]:
    old, new = before.get("mode"), after.get("mode")
    if old in _MODES and new in _MODES and _MODES.index(new) < _MODES.index(old):
        return (Immutable("/access/mode", "the authentication mode only goes CONFIG_MAP, API_AND_CONFIG_MAP, API"),)
    return ()


def _changed(rules: tuple[Immutable, ...], before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Immutable]:
    for rule in rules:
        key = rule.pointer.removeprefix("/")
        for pointer in differences(before.get(key), after.get(key), rule.pointer):
            yield Immutable(pointer, rule.reason)
