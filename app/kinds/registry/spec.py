"""What callers send and see of registries."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.core.fields import AwsAccountId, PrincipalArn, Region, RepositoryName, Spec, Tags
from app.kinds.registry.lifecycle import LifecycleSpec

_KEY = re.compile(
    r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]+"
    r"|alias/[A-Za-z0-9/_-]+|(mrk-)?[0-9a-f-]{32,36}"
)
_MOST_EXCLUSION_WILDCARDS = 2
"""CreateRepository's limit for a filter of `imageTagMutabilityExclusionFilters`."""


def _kms_key(value: str) -> str:
    if not _KEY.fullmatch(value):
        raise ValueError("must be the ARN, the id or the alias of a KMS key")
    return value


def _exclusion(value: str) -> str:
    if value.count("*") > _MOST_EXCLUSION_WILDCARDS:
        raise ValueError(f"has more than {_MOST_EXCLUSION_WILDCARDS} wildcards (*)")
    return value


class RegistryEncryptionSpec(Spec):
    """Encryption by KMS; with no `kms_key` by AWS's own key for ECR."""

    kms_key: Annotated[str, Field(max_length=2048), AfterValidator(_kms_key)] | None = Field(
        default=None,
        description="Of the registry's region.",
        examples=["arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
    )


class GranteesSpec(Spec):
    """Who is given something beside the registry's own account; all of them together."""

    accounts: list[AwsAccountId] = Field(default=[], max_length=100)
    roles: list[PrincipalArn] = Field(default=[], max_length=100, description="ARNs of IAM roles, which must exist.")
    organizations: list[Annotated[str, Field(pattern=r"^o-[a-z0-9]{10,32}$")]] = Field(
        default=[], max_length=10, description="Everybody in these AWS organisations."
    )


class RegistryAccessSpec(Spec):
    """The repository policy: who else may pull, and who may push (and pull)."""

    pull: GranteesSpec = GranteesSpec()
    push: GranteesSpec = GranteesSpec()


REGISTRY_EXAMPLE: dict[str, Any] = {
    "name": "shop/sock-shop",
    "region": "us-west-2",
    "tag_mutability": "IMMUTABLE_WITH_EXCLUSION",
    "tag_mutability_exclusions": ["latest"],
    "scan_on_push": True,
    "lifecycle": {
        "rules": [
            {
                "rule_priority": 1,
                "description": "what nobody can pull by name any more",
                "selection": {"tag_status": "untagged", "count_type": "sinceImagePushed", "count_number": 14},
            }
        ]
    },
    "access": {"pull": {"accounts": ["111122223333"]}},
    "tags": {"team": "shop"},
}


class RegistrySpec(Spec):
    """The desired state of a registry, an ECR repository."""

    model_config = ConfigDict(json_schema_extra={"examples": [REGISTRY_EXAMPLE]})

    name: RepositoryName
    region: Region
    account: str = Field(default="default", max_length=64, description="Id or name of the AWS account.")
    tag_mutability: Literal["MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"] = "MUTABLE"
    tag_mutability_exclusions: list[
        Annotated[str, Field(pattern=r"^[0-9a-zA-Z._*-]{1,128}$"), AfterValidator(_exclusion)]
    ] = Field(default=[], max_length=5, description="Patterns of tags that are the other way; for `…_WITH_EXCLUSION`.")
    scan_on_push: bool = True
    encryption: RegistryEncryptionSpec | None = Field(default=None, description="None is AES-256, with S3's keys.")
    lifecycle: LifecycleSpec | None = None
    access: RegistryAccessSpec = RegistryAccessSpec()
    tags: Tags = {}

    @model_validator(mode="after")
    def _exclusions(self) -> "RegistrySpec":
        with_exclusion = self.tag_mutability.endswith("_WITH_EXCLUSION")
        if with_exclusion and not self.tag_mutability_exclusions:
            raise ValueError(f"{self.tag_mutability} needs tag_mutability_exclusions")
        if self.tag_mutability_exclusions and not with_exclusion:
            raise ValueError("tag_mutability_exclusions needs IMMUTABLE_WITH_EXCLUSION or MUTABLE_WITH_EXCLUSION")
        if len(set(self.tag_mutability_exclusions)) != len(self.tag_mutability_exclusions):
            raise ValueError("a tag_mutability_exclusion stands twice")
        return self

    @model_validator(mode="after")
    def _key_in_region(self) -> "RegistrySpec":
        key = self.encryption.kms_key if self.encryption else None
        match = _KEY.fullmatch(key) if key else None
        if match and match["region"] not in (None, self.region):
            raise ValueError(f"encryption.kms_key is in {match['region']}; it must be in {self.region}")
        return self


class RegistryOutputs(BaseModel):
    """What AWS made."""

    arn: str | None = None
    repository_uri: str | None = Field(
        default=None, description="Host and name, for `docker push` and, after `oci://`, for helm."
    )
