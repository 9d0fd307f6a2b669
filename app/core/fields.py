"""Field types that several resources share, with the rules of AWS and Kubernetes behind them."""

import ipaddress
import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.core.ids import looks_like_id


class Spec(BaseModel):
    """Base of what callers send: unknown fields are errors, and nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _not_an_id(value: str) -> str:
    if looks_like_id(value):
        raise ValueError("a name must not look like an id")
    return value


def _cidr(value: str) -> str:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f"not a CIDR block: {error}") from error
    if "/" not in value:
        raise ValueError("not a CIDR block: the prefix length is missing")
    return str(network)


def _ipv4_cidr(value: str) -> str:
    if ":" in value:
        raise ValueError("must be an IPv4 block")
    return _cidr(value)


_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_PREFIX = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def label_key(key: str) -> str:
    """Return a Kubernetes label key as it is.

    Raises:
        ValueError: it is none (kubernetes.io, "Labels and Selectors", syntax and character set).
    """
    prefix, slash, name = key.rpartition("/")
    if not _LABEL_NAME.fullmatch(name) or (slash and not _LABEL_PREFIX.fullmatch(prefix)):
        raise ValueError(f"{key[:80]!r} is not a Kubernetes label key")
    return key


def is_label_value(value: str) -> bool:
    """Tell whether Kubernetes takes the value of a label (or taint)."""
    return not value or _LABEL_NAME.fullmatch(value) is not None


def plain_key(key: str) -> str:
    """Return the key of a map as it is.

    Raises:
        ValueError: CloudFormation takes a map with this key alone for one of its functions ("Intrinsic function
            reference"): it would fail, or put something of the account in its place.
    """
    if key in ("Ref", "Condition") or key.startswith("Fn::"):
        raise ValueError(f"{key[:40]!r} is a function of CloudFormation: choose another key")
    return key


def _is_tag_text(text: str) -> bool:
    r"""Tell whether AWS takes a tag's key or value: its API references have `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`."""
    return all(character in "_.:/=+-@" or unicodedata.category(character)[0] in "LZN" for character in text)


def _tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > 45:  # AWS allows 50; Slipway and CloudFormation need some
        raise ValueError("at most 45 tags")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise ValueError(f"tag {key[:40]!r}: keys have 1 to 128 characters, values at most 256")
        if key.lower().startswith(("aws:", "slipway:")):
            raise ValueError(f"tag {key[:40]!r}: the prefixes aws: and slipway: are reserved")
        plain_key(key)
        if not _is_tag_text(key) or not _is_tag_text(value):
            raise ValueError(f"tag {key[:40]!r}: only letters, digits, spaces and _ . : / = + - @ are allowed")
    return tags


ResourceName = Annotated[
    str,
    Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]*$", min_length=1, max_length=100),
    AfterValidator(_not_an_id),
]
"""A cluster's name as EKS takes it (CreateCluster `name`)."""

NodegroupName = Annotated[
    str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]*$", min_length=1, max_length=63), AfterValidator(_not_an_id)
]
"""A node group's name as EKS takes it (CreateNodegroup `nodegroupName`)."""

RepositoryName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$",
        min_length=2,
        max_length=256,
        examples=["shop/sock-shop"],
    ),
    AfterValidator(_not_an_id),
]
"""A repository's name as ECR takes it (CreateRepository `repositoryName`, the schema of AWS::ECR::Repository)."""

AwsAccountId = Annotated[str, Field(pattern=r"^[0-9]{12}$", examples=["111122223333"])]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$", max_length=2048)]
PrincipalArn = Annotated[
    str, Field(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[\w+=,.@/-]+$", max_length=2048)
]
"""A role or a user: what an access entry and a repository policy can name (CreateAccessEntry `principalArn`)."""

Region = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[a-z]+){1,3}-[0-9]{1,2}$", examples=["us-west-2"])]
KubernetesVersion = Annotated[str, Field(pattern=r"^1\.[0-9]{1,2}$", examples=["1.34"])]
Cidr = Annotated[str, AfterValidator(_cidr), Field(examples=["203.0.113.0/24"])]
Ipv4Cidr = Annotated[str, AfterValidator(_ipv4_cidr), Field(examples=["192.168.0.0/16"])]
Tags = Annotated[dict[str, str], AfterValidator(_tags), Field(examples=[{"team": "shop"}])]
VpcId = Annotated[str, Field(pattern=r"^vpc-[0-9a-f]{8,17}$", examples=["vpc-0a1b2c3d4e5f60718"])]
SubnetId = Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$", examples=["subnet-0a1b2c3d4e5f60718"])]
SecurityGroupId = Annotated[str, Field(pattern=r"^sg-[0-9a-f]{8,17}$", examples=["sg-0a1b2c3d4e5f60718"])]
Zone = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[a-z]+){1,3}-[0-9]{1,2}[a-z]$", examples=["us-west-2a"])]
