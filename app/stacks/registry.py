"""The stack of one registry: an ECR repository with its lifecycle policy and who may use it.

Source: AWS::ECR::Repository
(https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecr-repository.html).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from troposphere import GetAtt, ecr

from app.stacks.naming import stack_name
from app.stacks.template import StackTemplate, add_outputs, new_template, render, stack_tags, tag_list

TagMutability = Literal["MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"]

PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PUSH = ("ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart")
"""What docker and helm call (AmazonECR/latest/userguide/image-push-iam.html); who pushes must also be able to pull."""


@dataclass(frozen=True, slots=True)
class Grantees:
    """Who is given something: AWS account ids, role ARNs, and organisations (`o-…`), all of them together."""

    accounts: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Encryption:
    """KMS instead of AES-256; without a key AWS's own one for ECR."""

    kms_key: str | None = None


@dataclass(frozen=True, slots=True)
class RegistryInput:
    """All that the stack of a registry is made from.

    Attributes:
        resource_id: `reg_…`.
        name: The repository's name, which may hold slashes.
        exclusions: Patterns of tags to which `tag_mutability` does not apply; for the two modes that say so.
        lifecycle: A lifecycle policy in AWS's own form, or None.
        pull: Who else may pull; the repository's own account needs no policy.
        push: Who else may push and pull.
        empty_on_delete: Whether a delete takes the images too.
        tags: The caller's tags.
    """

    resource_id: str
    name: str
    tag_mutability: TagMutability = "MUTABLE"
    exclusions: tuple[str, ...] = ()
    scan_on_push: bool = True
    encryption: Encryption | None = None
    lifecycle: Mapping[str, Any] | None = None
    pull: Grantees = Grantees()
    push: Grantees = Grantees()
    empty_on_delete: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


def registry_stack_name(resource_id: str, name: str) -> str:
    """Return the name of a registry's stack."""
    return stack_name("registry", resource_id, name)


def registry_template(spec: RegistryInput) -> StackTemplate:
    """Return the stack of one registry. Outputs: `Arn`, `RepositoryUri`.

    Raises:
        InvalidError: See `app.stacks.template.render`.
    """
    template = new_template("Slipway: an ECR repository")
    repository = template.add_resource(ecr.Repository("Repository", **_properties(spec)))
    add_outputs(template, {"Arn": GetAtt(repository, "Arn"), "RepositoryUri": GetAtt(repository, "RepositoryUri")})
    return StackTemplate(
        name=registry_stack_name(spec.resource_id, spec.name),
        body=render(template),
        tags=stack_tags(spec.resource_id, None, spec.tags),
    )


def lifecycle_text(policy: Mapping[str, Any]) -> str:
    """Return a lifecycle policy as ECR takes it; ECR itself keeps rules in the order of their priorities."""
    rules = sorted(policy["rules"], key=lambda rule: rule["rulePriority"])
    return json.dumps({"rules": rules}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _properties(spec: RegistryInput) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "RepositoryName": spec.name,
        "ImageTagMutability": spec.tag_mutability,
        "ImageScanningConfiguration": ecr.ImageScanningConfiguration(ScanOnPush=spec.scan_on_push),
        "EmptyOnDelete": spec.empty_on_delete,
    }
    if spec.exclusions:
        properties["ImageTagMutabilityExclusionFilters"] = [
            ecr.ImageTagMutabilityExclusionFilter(
                ImageTagMutabilityExclusionFilterType="WILDCARD", ImageTagMutabilityExclusionFilterValue=pattern
            )
            for pattern in spec.exclusions
        ]
    if spec.encryption:
        key = {"KmsKey": spec.encryption.kms_key} if spec.encryption.kms_key else {}
        properties["EncryptionConfiguration"] = ecr.EncryptionConfiguration(EncryptionType="KMS", **key)
    if spec.lifecycle:
        properties["LifecyclePolicy"] = ecr.LifecyclePolicy(LifecyclePolicyText=lifecycle_text(spec.lifecycle))
    statements = [
        *_statements("Pull", PULL, spec.pull),
        *_statements("Push", sorted({*PULL, *PUSH}), spec.push),
    ]
    if statements:
        properties["RepositoryPolicyText"] = {"Version": "2012-10-17", "Statement": statements}
    if spec.tags:
        properties["Tags"] = tag_list(spec.tags)
    return properties


def _statements(sid: str, actions: Sequence[str], who: Grantees) -> list[dict[str, Any]]:
    """Return the statements that allow `actions`: one for accounts and roles, one for organisations."""
    statements = []
    principals = sorted({*who.accounts, *who.roles})
    if principals:
        statements.append({"Sid": sid, "Effect": "Allow", "Principal": {"AWS": principals}, "Action": list(actions)})
    if who.organizations:
        statements.append(
            {
                "Sid": f"{sid}ByOrganization",
                "Effect": "Allow",
                "Principal": "*",
                "Action": list(actions),
                "Condition": {"StringEquals": {"aws:PrincipalOrgID": sorted(set(who.organizations))}},
            }
        )
    return statements
