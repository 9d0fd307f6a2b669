"""Registries: create, change, delete, and what is refused."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import LocalCloud
from integration.registries.conftest import made, pusher_of
from integration.running import REGION, Slipway, pointers, running

from app.cloudformation import driver

UNTAGGED = {"tag_status": "untagged", "count_type": "sinceImagePushed", "count_number": 14}


async def left(slipway: Slipway) -> list[str]:
    """Return the repositories of this test that are still there."""
    return [name for name in (await slipway.leftovers()).get("AWS::ECR::Repository", []) if slipway.name in name]


async def live(slipway: Slipway, name: str) -> dict[str, Any]:
    ecr = await slipway.aws("ecr")
    return dict((await ecr.describe_repositories(repositoryNames=[name]))["repositories"][0])


async def test_everything_of_a_spec_reaches_ecr_and_can_be_changed(slipway: Slipway) -> None:
    name = f"team/{slipway.name}"
    registry = await made(
        slipway,
        name,
        tag_mutability="IMMUTABLE_WITH_EXCLUSION",
        tag_mutability_exclusions=["latest"],
        lifecycle={"rules": [{"rule_priority": 1, "selection": UNTAGGED}]},
        access={"pull": {"accounts": ["111122223333"]}},
        tags={"team": "shop"},
    )
    path = f"/registries/{registry['id']}"
    status = registry["status"]
    repository = await live(slipway, name)
    outputs = {"arn": repository["repositoryArn"], "repository_uri": repository["repositoryUri"]}
    assert (status["phase"], status["outputs"]) == ("active", outputs)
    assert repository["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert repository["imageTagMutabilityExclusionFilters"] == [{"filterType": "WILDCARD", "filter": "latest"}]
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert repository["encryptionConfiguration"]["encryptionType"] == "AES256"
    ecr = await slipway.aws("ecr")
    policy = (await ecr.get_lifecycle_policy(repositoryName=name))["lifecyclePolicyText"]
    assert '"countUnit":"days"' in policy
    assert "111122223333" in (await ecr.get_repository_policy(repositoryName=name))["policyText"]
    tags = (await ecr.list_tags_for_resource(resourceArn=outputs["arn"]))["tags"]
    assert {"Key": "team", "Value": "shop"} in tags

    patch = {
        "tag_mutability": "MUTABLE",
        "tag_mutability_exclusions": None,
        "scan_on_push": False,
        "lifecycle": None,
        "access": None,
        "tags": {"team": "other"},
    }
    ended = await slipway.do("PATCH", path, patch)
    assert [step["name"] for step in ended["steps"]] == ["update_stack"]
    repository = await live(slipway, name)
    assert repository["imageTagMutability"] == "MUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": False}
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException):
        await ecr.get_lifecycle_policy(repositoryName=name)
    with pytest.raises(ecr.exceptions.RepositoryPolicyNotFoundException):
        await ecr.get_repository_policy(repositoryName=name)
    answer = await slipway.client.get(path)
    assert answer.headers["etag"] == '"2"'
    assert (await slipway.do("PATCH", path, {}))["kind"] == "registry.update"
    assert (await slipway.client.get(path)).headers["etag"] == '"2"'

    await slipway.do("DELETE", path)
    assert (await slipway.client.get(path)).status_code == 404
    assert not await left(slipway)
    again = await made(slipway, name)
    assert again["id"] != registry["id"]
    await slipway.do("DELETE", f"/registries/{again['id']}")


async def test_encryption_by_kms(slipway: Slipway) -> None:
    await made(slipway, slipway.name, encryption={})
    assert (await live(slipway, slipway.name))["encryptionConfiguration"]["encryptionType"] == "KMS"
    problem = await slipway.refused("PATCH", f"/registries/{slipway.name}", {"encryption": None})
    assert (problem["status"], problem["code"], pointers(problem)) == (422, "immutable_field", ["/encryption"])
    await slipway.do("DELETE", f"/registries/{slipway.name}")


SPECS: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "Shop"}, "invalid", "/name"),
    ({"name": "a"}, "invalid", "/name"),
    ({"name": "shop//cart"}, "invalid", "/name"),
    ({"name": "shop/-cart"}, "invalid", "/name"),
    ({"name": "shop/"}, "invalid", "/name"),
    ({"name": "s" * 257}, "invalid", "/name"),
    ({"name": "reg_01jd3x8k7q2v5w9z4c6b8n0m1r"}, "invalid", "/name"),
    ({"name": None}, "invalid", "/name"),
    ({"region": "somewhere"}, "invalid", "/region"),
    ({"region": "us-wets-2"}, "invalid", "/region"),
    ({"account": "nobody"}, "account_not_found", "/account"),
    ({"tag_mutability": "SOMETIMES"}, "invalid", "/tag_mutability"),
    ({"tag_mutability": "IMMUTABLE_WITH_EXCLUSION"}, "invalid", ""),
    ({"tag_mutability_exclusions": ["latest"]}, "invalid", ""),
    (
        {"tag_mutability": "IMMUTABLE_WITH_EXCLUSION", "tag_mutability_exclusions": ["a*b*c*"]},
        "invalid",
        "/tag_mutability_exclusions/0",
    ),
    (
        {"tag_mutability": "IMMUTABLE_WITH_EXCLUSION", "tag_mutability_exclusions": list("abcdef")},
        "invalid",
        "/tag_mutability_exclusions",
    ),
    ({"encryption": {"kms_key": "my key"}}, "invalid", "/encryption/kms_key"),
    ({"encryption": {"kms_key": "arn:aws:kms:eu-west-1:111122223333:key/1"}}, "invalid", ""),
    ({"access": {"pull": {"accounts": ["1234"]}}}, "invalid", "/access/pull/accounts/0"),
    ({"access": {"push": {"roles": ["admin"]}}}, "invalid", "/access/push/roles/0"),
    ({"access": {"pull": {"organizations": ["mine"]}}}, "invalid", "/access/pull/organizations/0"),
    ({"lifecycle": {"rules": []}}, "invalid", "/lifecycle/rules"),
    (
        {"lifecycle": {"rules": [{"rule_priority": 1, "selection": {**UNTAGGED, "tag_status": "tagged"}}]}},
        "invalid",
        "/lifecycle/rules/0/selection/tag_pattern_list",
    ),
    (
        {
            "lifecycle": {
                "rules": [
                    {"rulePriority": 1, "selection": {**UNTAGGED, "tag_status": "any"}},
                    {"rulePriority": 2, "selection": UNTAGGED},
                ]
            }
        },
        "invalid",
        "/lifecycle/rules/0/rule_priority",
    ),
    ({"tags": {"aws:x": "y"}}, "invalid", "/tags"),
    ({"tags": {"a": "{{resolve:ssm:b}}"}}, "invalid", "/tags"),
    (
        {"lifecycle": {"rules": [{"rule_priority": 1, "description": "{{resolve:ssm:b}}", "selection": UNTAGGED}]}},
        "dynamic_reference",
        "/lifecycle/rules/0/description",
    ),
    ({"colour": "red"}, "invalid", "/colour"),
]


async def test_bad_specs_begin_nothing(slipway: Slipway) -> None:
    good = {"name": slipway.name, "region": REGION}
    for change, code, pointer in SPECS:
        problem = await slipway.refused("POST", "/registries", {**good, **change})
        assert (problem["status"], problem["code"]) == (422, code), (change, problem)
        assert pointer in pointers(problem), (change, problem)
    assert await slipway.count("registries") == await slipway.count("operations") == 0
    assert not [name for name in slipway.cloud.calls() if "Create" in name]


async def test_names_in_use_and_what_cannot_be_changed(slipway: Slipway) -> None:
    name = f"team/{slipway.name}"
    registry = await made(slipway, name)
    problem = await slipway.refused("POST", "/registries", {"name": name, "region": REGION})
    assert (problem["status"], problem["code"], problem["registry_id"]) == (409, "registry_exists", registry["id"])
    await slipway.do("POST", "/registries", {"name": name, "region": "eu-west-1"})
    assert len((await slipway.get("/registries", name=name))["items"]) == 2
    assert len((await slipway.get("/registries", name=name, region=REGION))["items"]) == 1
    ecr = await slipway.aws("ecr")
    await ecr.create_repository(repositoryName=f"{name}/theirs")
    problem = await slipway.refused("POST", "/registries", {"name": f"{name}/theirs", "region": REGION})
    assert (problem["status"], problem["code"]) == (409, "repository_exists")
    path = f"/registries/{registry['id']}"
    for patch in ({"name": "other"}, {"region": "eu-west-1"}, {"account": "other"}, {"encryption": {}}):
        problem = await slipway.refused("PATCH", path, patch)
        assert (problem["status"], problem["code"]) == (422, "immutable_field"), patch
        assert pointers(problem)[0].startswith(f"/{next(iter(patch))}")
    assert (await slipway.refused("GET", "/registries/nobody"))["code"] == "registry_not_found"
    both = [row["id"] for row in (await slipway.get("/registries", name=name))["items"]]
    for registry_id in both:
        await slipway.do("DELETE", f"/registries/{registry_id}")
    await ecr.delete_repository(repositoryName=f"{name}/theirs")


async def test_one_name_in_two_regions_is_ambiguous(slipway: Slipway) -> None:
    for region in (REGION, "eu-west-1"):
        await slipway.do("POST", "/registries", {"name": slipway.name, "region": region})
    problem = await slipway.refused("GET", f"/registries/{slipway.name}")
    assert (problem["status"], problem["code"], len(problem["ids"])) == (409, "ambiguous_name", 2)
    for registry_id in problem["ids"]:
        await slipway.do("DELETE", f"/registries/{registry_id}")


async def test_images_are_only_deleted_when_that_is_asked_for(slipway: Slipway, tmp_path: Path) -> None:
    registry = await made(slipway, slipway.name)
    path = f"/registries/{registry['id']}"
    pusher = await pusher_of(slipway, tmp_path, registry["id"])
    pusher.image("1.0")
    pusher.image("2.0")
    operations = await slipway.count("operations")
    problem = await slipway.refused("DELETE", path)
    assert (problem["status"], problem["code"], problem["images"]) == (409, "registry_not_empty", 2)
    assert await slipway.count("operations") == operations
    ended = await slipway.do("DELETE", f"{path}?force=true")
    assert [step["name"] for step in ended["steps"]] == ["empty_on_delete", "delete_stack"]
    assert ended["warnings"] == []
    assert (await slipway.client.get(path)).status_code == 404
    assert not await left(slipway)


async def test_images_that_come_after_the_request_stop_a_delete(
    database_url: str, aws_environment: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "CHANGE_SET_SECONDS", 0.1)
    async with running(database_url, aws_environment) as slipway:
        registry = await made(slipway, slipway.name)
        path = f"/registries/{registry['id']}"
    async with running(database_url, aws_environment, with_worker=False) as slipway:
        operation = await slipway.change("DELETE", path)
        (await pusher_of(slipway, tmp_path, registry["id"])).image("late")
    async with running(database_url, aws_environment) as slipway:
        ended = await slipway.wait(operation)
        error = ended["error"]
        assert (ended["status"], error["code"]) == ("failed", "registry_not_empty")
        assert "force=true" in error["hint"]
        assert error["cause"]["aws_code"] == "RepositoryNotEmptyException"
        status = (await slipway.get(path))["status"]
        assert status["phase"] == "active"
        assert (await slipway.get(f"{path}/usage"))["images"] == 1
        await slipway.do("DELETE", f"{path}?force=true")
        assert not await left(slipway)


async def test_a_delete_that_cloudformation_could_not_finish_is_finished_by_force(
    slipway: Slipway, tmp_path: Path
) -> None:
    registry = await made(slipway, slipway.name)
    path = f"/registries/{registry['id']}"
    refusal = (
        f"The repository with name '{slipway.name}' in registry with id '123456789012' cannot be deleted because it "
        "still contains images (Service: AmazonECR; Status Code: 400; Error Code: RepositoryNotEmptyException; Request "
        "ID: 450688b7-a9c6-4367-bf73-0d0bce226a34)"
    )
    slipway.cloud.rules([{"op": "delete", "type": "AWS::ECR::Repository", "fail": refusal, "times": 2}])
    failed = await slipway.wait(await slipway.change("DELETE", path))
    assert (failed["status"], failed["error"]["code"]) == ("failed", "registry_not_empty")
    assert failed["error"]["cause"]["resource"] == "Repository"
    assert (await slipway.get(path))["status"]["phase"] == "failed"
    # Such a stack takes no update, and what is in the repository is not to be left to nobody.
    error = await slipway.fail("PATCH", path, {"scan_on_push": False})
    assert (error["code"], "force=true" in error["hint"]) == ("delete_unfinished", True)
    pusher = await pusher_of(slipway, tmp_path, registry["id"])
    for number in range(3):
        pusher.image(f"{number}.0")
    ended = await slipway.do("DELETE", f"{path}?force=true")
    assert ended["warnings"] == []
    assert (await slipway.client.get(path)).status_code == 404
    assert not await left(slipway)


async def test_ecr_that_cannot_be_asked_begins_nothing(slipway: Slipway) -> None:
    for code, status, found in (
        ("ThrottlingException", 400, "aws_throttled"),
        ("AccessDeniedException", 400, "permission_denied"),
        ("ServerException", 500, "aws_internal_error"),
    ):
        slipway.cloud.rules([{"api": "ecr:DescribeRepositories", "status": status, "code": code, "times": 2}])
        problem = await slipway.refused("POST", "/registries", {"name": slipway.name, "region": REGION})
        assert (problem["status"], problem["code"]) == (503, found), problem
        assert (problem["aws_operation"], bool(problem["hint"])) == ("ecr:DescribeRepositories", True)
    assert await slipway.count("registries") == await slipway.count("operations") == 0


async def test_a_failed_create_is_put_right_by_a_patch_or_retried(slipway: Slipway) -> None:
    slipway.cloud.rules([{"op": "create", "type": "AWS::ECR::Repository", "fail": "Rate exceeded", "times": 2}])
    failed = await slipway.wait(await slipway.change("POST", "/registries", {"name": slipway.name, "region": REGION}))
    assert (failed["error"]["code"], failed["error"]["retryable"]) == ("aws_throttled", True)
    assert failed["error"]["cause"]["type"] == "AWS::ECR::Repository"
    assert (await slipway.get(f"/registries/{slipway.name}"))["status"]["phase"] == "failed"
    problem = await slipway.refused("GET", f"/registries/{slipway.name}/images")
    assert (problem["status"], problem["code"]) == (409, "registry_not_ready")
    again = await slipway.wait(await slipway.change("POST", f"/operations/{failed['id']}/retry"))
    assert again["status"] == "failed"
    # What never came to be may change all but its identity.
    await slipway.do("PATCH", f"/registries/{slipway.name}", {"encryption": {}})
    assert (await slipway.get(f"/registries/{slipway.name}"))["status"]["phase"] == "active"
    await slipway.do("DELETE", f"/registries/{slipway.name}")


async def test_a_create_is_cancelled_or_superseded(slipway: Slipway) -> None:
    for how in ("cancel", "delete"):
        slipway.cloud.rules([{"op": "create", "type": "AWS::ECR::Repository", "delay": 60}])
        operation = await slipway.change("POST", "/registries", {"name": slipway.name, "region": REGION})
        await slipway.until(f"/operations/{operation['id']}", lambda found: found["status"] == "running")
        if how == "cancel":
            await slipway.change("POST", f"/operations/{operation['id']}/cancel")
        else:
            await slipway.do("DELETE", f"/registries/{slipway.name}")
        assert (await slipway.wait(operation))["status"] == "cancelled"
        assert (await slipway.client.get(f"/registries/{slipway.name}")).status_code == 404
    assert not await left(slipway)


async def test_a_failed_update_leaves_it_in_use(slipway: Slipway) -> None:
    await made(slipway, slipway.name)
    denied = (
        "User: arn:aws:sts::123456789012:assumed-role/slipway/slipway is not authorized to perform: "
        "ecr:PutImageScanningConfiguration on resource: arn:aws:ecr:us-west-2:123456789012:repository/shop because no "
        "identity-based policy allows the ecr:PutImageScanningConfiguration action"
    )
    slipway.cloud.rules([{"op": "update", "type": "AWS::ECR::Repository", "fail": denied, "times": 1}])
    error = await slipway.fail("PATCH", f"/registries/{slipway.name}", {"scan_on_push": False})
    assert error["code"] == "permission_denied"
    assert "ecr:PutImageScanningConfiguration" in error["hint"]
    status = (await slipway.get(f"/registries/{slipway.name}"))["status"]
    assert status["phase"] == "active"
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {"Ready": "True", "Synced": "False"}
    await slipway.do("PATCH", f"/registries/{slipway.name}", {})
    await slipway.do("DELETE", f"/registries/{slipway.name}")


async def test_concurrent_creates_of_one_name_make_one(database_url: str, aws_environment: LocalCloud) -> None:
    async with running(database_url, aws_environment) as slipway:
        body = {"name": slipway.name, "region": REGION}
        answers = await asyncio.gather(*(slipway.client.post("/registries", json=body) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
        assert await slipway.count("registries") == 1
        [operation] = [answer.json() for answer in answers if answer.status_code == 202]
        assert (await slipway.wait(operation))["status"] == "succeeded"
        await slipway.do("DELETE", f"/registries/{slipway.name}")


async def test_registries_in_the_request_of_a_cluster(slipway: Slipway) -> None:
    cluster = {"name": slipway.name, "region": REGION, "addons": [], "network": {"zones": 2, "nat": "none"}}
    names = [f"{slipway.name}/cart", f"{slipway.name}/catalogue"]
    slipway.cloud.rules(
        [
            {"op": "create", "type": "AWS::EKS::Cluster", "delay": 2},
            {"op": "create", "type": "AWS::ECR::Repository", "fail": "Rate exceeded", "times": 1},
        ]
    )
    body = {**cluster, "registries": [{"name": name, "tags": {"team": "shop"}} for name in names]}
    parent = await slipway.wait(await slipway.change("POST", "/clusters", body))
    assert (parent["kind"], parent["status"], parent["error"]["code"]) == ("cluster.apply", "failed", "child_failed")
    kinds = [child["kind"] for child in parent["children"]]
    assert kinds == ["cluster.create", "registry.create", "registry.create"]
    rows = (await slipway.get("/registries", tag="team=shop"))["items"]
    assert sorted(row["name"] for row in rows) == names
    assert {(row["spec"]["region"], row["spec"]["account"]) for row in rows} == {(REGION, "default")}
    created = [await slipway.child(parent, "registry.create", name) for name in names]
    assert all(operation["depends_on"] == [] for operation in created)  # they wait for nothing of the cluster
    again = await slipway.wait(await slipway.change("POST", f"/operations/{parent['id']}/retry"))
    assert again["status"] == "succeeded"
    assert [child["kind"] for child in again["children"]] == ["registry.create"]

    # They outlive the cluster.
    await slipway.do("DELETE", f"/clusters/{slipway.name}")
    rows = (await slipway.get("/registries", tag="team=shop"))["items"]
    assert {row["status"]["phase"] for row in rows} == {"active"}
    for row in rows:
        await slipway.do("DELETE", f"/registries/{row['id']}")


async def test_bad_registries_in_the_request_of_a_cluster_begin_nothing(slipway: Slipway) -> None:
    cluster = {"name": slipway.name, "region": REGION}
    taken = await made(slipway, f"{slipway.name}/taken")
    before = await slipway.count("operations")
    tagged = {"rule_priority": 1, "selection": {**UNTAGGED, "tag_status": "tagged"}}
    cases: list[tuple[list[Any], int, str, list[str]]] = [
        ([{"name": "Shop"}], 422, "invalid", ["/registries/0/name"]),
        ([{"name": "shop"}, {"name": "shop"}], 422, "invalid", ["/registries/1/name"]),
        ([{"name": "shop", "region": "eu-west-1"}], 422, "invalid", ["/registries/0/region"]),
        ([{"name": "shop", "account": "other"}], 422, "invalid", ["/registries/0/account"]),
        ([{"name": "shop", "colour": "red"}], 422, "invalid", ["/registries/0/colour"]),
        (
            [{"name": "shop", "lifecycle": {"rules": [tagged]}}],
            422,
            "invalid",
            ["/registries/0/lifecycle/rules/0/selection/tag_pattern_list"],
        ),
        (["shop"], 422, "invalid", ["/registries/0"]),
    ]
    for registries, status, code, places in cases:
        problem = await slipway.refused("POST", "/clusters", {**cluster, "registries": registries})
        assert (problem["status"], problem["code"], pointers(problem)) == (status, code, places), registries
    problem = await slipway.refused("POST", "/clusters", {**cluster, "registries": [{"name": taken["name"]}]})
    assert (problem["status"], problem["registry_id"]) == (409, taken["id"])
    assert await slipway.count("operations") == before
    assert await slipway.count("clusters") == 0
    await slipway.do("DELETE", f"/registries/{taken['id']}")
