"""The stack of one registry: an ECR repository with its lifecycle policy and who may use it.

Source: AWS::ECR::Repository
(https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecr-repository.html).
"""

from collections.abc import Sequence
from typing import Any

from troposphere import GetAtt, ecr

from app.kinds.kind import Facts, owned_stack
from app.kinds.registry.lifecycle import policy_text
from app.kinds.registry.spec import GranteesSpec, RegistrySpec
from app.kinds.scope import Owner
from app.stacks.template import StackTemplate, add_outputs, new_template, tag_list

PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PUSH = ("ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart")
"""What docker and helm call (AmazonECR/latest/userguide/image-push-iam.html); who pushes must also be able to pull."""


def template(resource_id: str, spec: RegistrySpec, owner: Owner, _facts: Facts) -> StackTemplate:
    """Return the stack of one registry. Outputs: `Arn`, `RepositoryUri`.

    Raises:
        InvalidError: See `app.stacks.template.render`.
    """
    return _stack(resource_id, spec, owner, empty_on_delete=False)


def emptying_template(resource_id: str, spec: RegistrySpec, owner: Owner) -> StackTemplate:
    """Return the same stack so that a delete, which comes next, takes the images too."""
    return _stack(resource_id, spec, owner, empty_on_delete=True)


def _stack(resource_id: str, spec: RegistrySpec, owner: Owner, *, empty_on_delete: bool) -> StackTemplate:
    made = new_template("Slipway: an ECR repository")
    repository = made.add_resource(ecr.Repository("Repository", EmptyOnDelete=empty_on_delete, **_properties(spec)))
    add_outputs(made, {"Arn": GetAtt(repository, "Arn"), "RepositoryUri": GetAtt(repository, "RepositoryUri")})
    return owned_stack(made, "registry", resource_id, spec.name, owner, spec.tags)


def _properties(spec: RegistrySpec) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "RepositoryName": spec.name,
        "ImageTagMutability": spec.tag_mutability,
        "ImageScanningConfiguration": ecr.ImageScanningConfiguration(ScanOnPush=spec.scan_on_push),
    }
    if spec.tag_mutability_exclusions:
        properties["ImageTagMutabilityExclusionFilters"] = [
            ecr.ImageTagMutabilityExclusionFilter(
                ImageTagMutabilityExclusionFilterType="WILDCARD", ImageTagMutabilityExclusionFilterValue=pattern
            )
            for pattern in spec.tag_mutability_exclusions
        ]
    if spec.encryption:
        key = {"KmsKey": spec.encryption.kms_key} if spec.encryption.kms_key else {}
        properties["EncryptionConfiguration"] = ecr.EncryptionConfiguration(EncryptionType="KMS", **key)
    if spec.lifecycle:
        properties["LifecyclePolicy"] = ecr.LifecyclePolicy(LifecyclePolicyText=policy_text(spec.lifecycle))
    statements = [
        *_statements("Pull", PULL, spec.access.pull),
        *_statements("Push", sorted({*PULL, *PUSH}), spec.access.push),
    ]
    if statements:
        properties["RepositoryPolicyText"] = {"Version": "2012-10-17", "Statement": statements}
    if spec.tags:
        properties["Tags"] = tag_list(spec.tags)
    return properties


def _statements(sid: str, actions: Sequence[str], who: GranteesSpec) -> list[dict[str, Any]]:
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
