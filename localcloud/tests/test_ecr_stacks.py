"""AWS::ECR::Repository: creation, updates in place and by replacement, and deletion with images inside."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import COUNTER, Cloud
from .oci import Registry
from .templates import get, outputs, ref, resource

LIFECYCLE = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1, "description": "Only the ten youngest", "action": {"type": "expire"},
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10},
            }
        ]
    }
)  # fmt: skip
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "210987654321"}, "Action": ["ecr:BatchGetImage"]}],
}


def repository(**properties: Any) -> dict[str, Any]:
    """A template of one."""
    found = outputs(Name=ref("Repo"), Arn=get("Repo", "Arn"), Uri=get("Repo", "RepositoryUri"))
    return {"Resources": {"Repo": resource("AWS::ECR::Repository", **properties)}, "Outputs": found}


def described(cloud: Cloud, name: str) -> dict[str, Any]:
    """DescribeRepositories of one."""
    return dict(cloud.client("ecr").describe_repositories(repositoryNames=[name])["repositories"][0])


def test_a_repository_with_all_that_it_can_have(cloud: Cloud) -> None:
    """The URI leads to the local cloud, the ARN is AWS's; tags of the stack are the repository's."""
    name, ecr = f"shop/cart{next(COUNTER)}", cloud.client("ecr")
    made = cloud.make(
        repository(
            RepositoryName=name,
            ImageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            ImageTagMutabilityExclusionFilters=[
                {
                    "ImageTagMutabilityExclusionFilterType": "WILDCARD",
                    "ImageTagMutabilityExclusionFilterValue": "latest*",
                }
            ],
            ImageScanningConfiguration={"ScanOnPush": True},
            LifecyclePolicy={"LifecyclePolicyText": LIFECYCLE},
            RepositoryPolicyText=POLICY,
            Tags=[{"Key": "own", "Value": "1"}],
        ),
        Tags=[{"Key": "team", "Value": "shop"}],
    )
    assert made["Name"] == name
    assert made["Uri"] == f"{cloud.endpoint.removeprefix('http://')}/{name}"
    assert made["Arn"] == f"arn:aws:ecr:us-west-2:123456789012:repository/{name}"
    found = described(cloud, name)
    assert found["repositoryUri"] == made["Uri"] and found["repositoryArn"] == made["Arn"]
    assert found["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert found["imageTagMutabilityExclusionFilters"] == [{"filterType": "WILDCARD", "filter": "latest*"}]
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    assert found["encryptionConfiguration"] == {"encryptionType": "AES256"}
    tags = {tag["Key"]: tag["Value"] for tag in ecr.list_tags_for_resource(resourceArn=made["Arn"])["tags"]}
    assert tags["own"] == "1" and tags["team"] == "shop"
    assert ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"] == LIFECYCLE
    assert json.loads(ecr.get_repository_policy(repositoryName=name)["policyText"]) == POLICY
    assert name in cloud.control("GET", "leftovers")[1]["AWS::ECR::Repository"]
    cloud.delete(made["stack"])
    assert name not in cloud.control("GET", "leftovers")[1].get("AWS::ECR::Repository", [])


def test_updates_are_in_place(cloud: Cloud) -> None:
    """Settings, policies and tags change; what the template no longer has goes back to AWS's default."""
    ecr = cloud.client("ecr")
    made = cloud.make(repository(Tags=[{"Key": "a", "Value": "1"}], LifecyclePolicy={"LifecyclePolicyText": LIFECYCLE}))
    name = made["Name"]
    assert name == name.lower() and name.startswith(made["stack"].split("/")[1].lower() + "-repo-")
    Registry(cloud).image(name, "kept")
    properties = {
        "ImageTagMutability": "IMMUTABLE", "ImageScanningConfiguration": {"ScanOnPush": "true"},
        "RepositoryPolicyText": POLICY, "Tags": [{"Key": "b", "Value": "2"}],
    }  # fmt: skip
    cloud.update(made["stack"], repository(**properties))
    cloud.wait(made["stack"], "UPDATE_COMPLETE")
    found = described(cloud, name)
    assert found["imageTagMutability"] == "IMMUTABLE" and found["imageScanningConfiguration"] == {"scanOnPush": True}
    tags = [tag["Key"] for tag in ecr.list_tags_for_resource(resourceArn=made["Arn"])["tags"]]
    assert "b" in tags and "a" not in tags
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException):
        ecr.get_lifecycle_policy(repositoryName=name)
    assert len(ecr.list_images(repositoryName=name)["imageIds"]) == 1
    cloud.update(made["stack"], repository(EmptyOnDelete=True))
    cloud.wait(made["stack"], "UPDATE_COMPLETE")
    assert described(cloud, name)["imageTagMutability"] == "MUTABLE"
    with pytest.raises(ecr.exceptions.RepositoryPolicyNotFoundException):
        ecr.get_repository_policy(repositoryName=name)
    cloud.delete(made["stack"])


def test_one_with_images_goes_only_if_told_so(cloud: Cloud) -> None:
    """DELETE_FAILED in ECR's words; EmptyOnDelete, set by an update, takes the images along."""
    made = cloud.make(repository())
    name = made["Name"]
    Registry(cloud).image(name, "1.0")
    cloud.client("cloudformation").delete_stack(StackName=made["stack"])
    cloud.wait(made["stack"], "DELETE_FAILED")
    said = (
        f"The repository with name '{name}' in registry with id '123456789012' "
        "cannot be deleted because it still contains images"
    )
    assert cloud.reasons(made["stack"])[0].startswith(f'Repo: Resource handler returned message: "{said} (Service: Ecr')
    Registry(cloud).call("DELETE", f"/v2/{name}/manifests/1.0")
    cloud.delete(made["stack"])
    made = cloud.make(repository())
    Registry(cloud).image(made["Name"], "1.0")
    cloud.update(made["stack"], repository(EmptyOnDelete=True))
    cloud.wait(made["stack"], "UPDATE_COMPLETE")
    cloud.delete(made["stack"])


def test_names_and_encryption_can_only_be_replaced(cloud: Cloud) -> None:
    """Another encryption is another repository, so one that is named can't have it."""
    key = {"EncryptionConfiguration": {"EncryptionType": "KMS"}}
    made = cloud.make(repository(RepositoryName=f"old{next(COUNTER)}", EmptyOnDelete=True))
    Registry(cloud).image(made["Name"], "gone")
    cloud.update(made["stack"], repository(RepositoryName=made["Name"], **key))
    cloud.wait(made["stack"], "UPDATE_ROLLBACK_COMPLETE")
    assert f"Rename {made['Name']} and update the stack again." in cloud.reasons(made["stack"])[0]
    cloud.update(made["stack"], repository(RepositoryName=made["Name"] + "-new", **key))
    cloud.wait(made["stack"], "UPDATE_COMPLETE")
    new = described(cloud, made["Name"] + "-new")
    assert new["encryptionConfiguration"]["encryptionType"] == "KMS"
    assert new["encryptionConfiguration"]["kmsKey"].startswith("arn:aws:kms:us-west-2:123456789012:key/")
    with pytest.raises(cloud.client("ecr").exceptions.RepositoryNotFoundException):
        described(cloud, made["Name"])
    cloud.delete(made["stack"])


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        (
            {"RepositoryName": "taken"},
            "The repository with name 'taken' already exists in the registry with id '123456789012'",
        ),
        (
            {"RepositoryName": "Bad_Name"},
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression",
        ),
        ({"LifecyclePolicy": {"LifecyclePolicyText": LIFECYCLE.replace("10}", "0}")}}, "(minimum: 1, found: 0)"),
        ({"RepositoryPolicyText": {"Statement": []}}, "'Invalid repository policy provided'"),
        ({"ImageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}, "imageTagMutabilityExclusionFilters"),
        ({"EncryptionConfiguration": {"EncryptionType": "KMS", "KmsKey": "nothing"}}, "'nothing' does not exist"),
    ],
)  # fmt: skip
def test_what_ecr_refuses_ends_the_stack(cloud: Cloud, properties: dict[str, Any], says: str) -> None:
    """With ECR's message, and nothing left behind."""
    ecr = cloud.client("ecr")
    ecr.create_repository(repositoryName="taken")
    stack = cloud.create(repository(**properties))
    cloud.wait(stack, "ROLLBACK_COMPLETE")
    assert says in cloud.reasons(stack)[0]
    if "RepositoryName" in properties:
        code = "AlreadyExists" if properties["RepositoryName"] == "taken" else "InvalidRequest"
        assert f"HandlerErrorCode: {code}" in cloud.reasons(stack)[0]
    cloud.delete(stack)
    ecr.delete_repository(repositoryName="taken")
    assert ecr.describe_repositories()["repositories"] == []


def test_rules_delay_and_fail_repositories(cloud: Cloud) -> None:
    """As for all resources."""
    cloud.rules({"op": "create", "type": "AWS::ECR::*", "fail": "No more repositories", "times": 1})
    stack = cloud.create(repository())
    cloud.wait(stack, "ROLLBACK_COMPLETE")
    assert cloud.reasons(stack) == ["Repo: No more repositories"]
    cloud.delete(stack)
    assert cloud.client("ecr").describe_repositories()["repositories"] == []
