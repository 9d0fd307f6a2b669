"""The resource types and their handlers."""

from __future__ import annotations

import importlib
import secrets
import string
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

_ALPHABET = string.ascii_letters + string.digits

Properties = dict[str, Any]
Attributes = dict[str, Any]


@dataclass
class Work:
    """One operation on one resource, as its handler sees it.

    A handler that creates calls `initiated(physical_id)` as soon as the resource exists, then `wait()`:
    that takes as long as a rule says, and raises if a rule wants a failure.
    """

    stack_name: str
    stack_id: str
    logical_id: str
    initiated: Callable[[str], None]
    wait: Callable[[], Awaitable[None]]

    def generated_name(self) -> str:
        """A name for a resource that the template does not name: logical id and twelve letters and digits."""
        return f"{self.logical_id}-{''.join(secrets.choice(_ALPHABET) for _ in range(12))}"


class Handler(Protocol):
    """What a resource type can do. `create` and `update` return the attributes for Fn::GetAtt."""

    async def create(self, work: Work, properties: Properties) -> Attributes:
        """Makes the resource."""

    async def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Attributes:
        """Changes the resource in place."""

    async def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        """Takes the resource away. One that is gone already counts as deleted."""


# Types that take the stack's tags, and the shape of their Tags property.
TAGGED = {
    **dict.fromkeys(
        (
            "AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::InternetGateway", "AWS::EC2::RouteTable", "AWS::EC2::EIP",
            "AWS::EC2::NatGateway", "AWS::EC2::EgressOnlyInternetGateway", "AWS::EC2::SecurityGroup",
            "AWS::EC2::KeyPair", "AWS::EKS::Cluster", "AWS::EKS::Addon", "AWS::EKS::AccessEntry",
            "AWS::EKS::FargateProfile", "AWS::EKS::PodIdentityAssociation", "AWS::EKS::IdentityProviderConfig",
            "AWS::IAM::Role", "AWS::IAM::OIDCProvider", "AWS::KMS::Key", "AWS::Logs::LogGroup", "AWS::ECR::Repository",
        ),
        "list",
    ),
    "AWS::EKS::Nodegroup": "map",
}  # fmt: skip

_HANDLERS: dict[str, Handler] = {}


def _load() -> None:
    ours = (
        "eks_cluster",
        "eks_nodegroup",
        "eks_access",
        "ec2_network",
        "ec2_rules",
        "keypair",
        "iam",
        "ecr_repository",
    )
    for module in ours:
        _HANDLERS.update(importlib.import_module(f".{module}", __package__).HANDLERS)
    from ministack.services.cloudformation.provisioners import _RESOURCE_HANDLERS

    from .builtin import Builtin

    for type_ in _HANDLERS:
        # The template check accepts the types in this table.
        _RESOURCE_HANDLERS.setdefault(type_, {})
    for type_, functions in _RESOURCE_HANDLERS.items():
        _HANDLERS.setdefault(type_, Builtin(type_, functions))


def known_types() -> set[str]:
    """The types that templates may use."""
    if not _HANDLERS:
        _load()
    return set(_HANDLERS)


def handler_of(type_: str) -> Handler:
    """The handler of a type that `known_types` names."""
    known_types()
    return _HANDLERS[type_]
