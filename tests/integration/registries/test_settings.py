"""ECR's settings of an account and region: cache rules and replication."""

from pathlib import Path
from typing import Any

from integration.registries.conftest import made, pusher_of
from integration.running import REGION, Json, Slipway, pointers

RULES = "/registry-settings/pull-through-cache-rules"
REPLICATION = "/registry-settings/replication"
HERE = {"region": REGION}
SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:ecr-pullthroughcache/hub-AbCdEf"


async def put(slipway: Slipway, path: str, body: Any) -> Json:
    answer = await slipway.client.put(path, params=HERE, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_cache_rules_are_made_listed_and_deleted(slipway: Slipway) -> None:
    rule = await put(slipway, f"{RULES}/ecr-public", {"upstream_url": "public.ecr.aws"})
    assert (rule["prefix"], rule["upstream_url"], bool(rule["created_at"])) == ("ecr-public", "public.ecr.aws", True)
    await put(slipway, f"{RULES}/team/k8s", {"upstream_url": "registry.k8s.io"})
    page = await slipway.get(RULES, **HERE, limit=1)
    rest = await slipway.get(RULES, **HERE, limit=1, page_token=page["next_page_token"])
    assert [item["prefix"] for item in (*page["items"], *rest["items"])] == ["ecr-public", "team/k8s"]
    assert (await slipway.get(RULES, region="eu-west-1"))["items"] == []
    # Again the same is the same; another registry behind it is another rule.
    assert await put(slipway, f"{RULES}/ecr-public", {"upstream_url": "public.ecr.aws"}) == rule
    problem = await slipway.refused("PUT", f"{RULES}/ecr-public", {"upstream_url": "quay.io"}, params=HERE)
    assert (problem["status"], problem["code"], pointers(problem)) == (422, "immutable_field", ["/upstream_url"])
    for prefix in ("ecr-public", "team/k8s"):
        assert (await slipway.client.delete(f"{RULES}/{prefix}", params=HERE)).status_code == 204
    problem = await slipway.refused("DELETE", f"{RULES}/ecr-public", params=HERE)
    assert (problem["status"], problem["code"]) == (404, "cache_rule_not_found")


async def test_cache_rules_that_ecr_refuses(slipway: Slipway) -> None:
    for prefix, body, code, place in (
        ("Upper", {"upstream_url": "public.ecr.aws"}, "invalid", "/path/prefix"),
        ("x" * 31, {"upstream_url": "public.ecr.aws"}, "invalid", "/path/prefix"),
        ("hub", {"upstream_url": "public.ecr.aws", "colour": "red"}, "invalid", "/colour"),
        ("hub", {"upstream_url": "registry-1.docker.io", "credential_arn": "mine"}, "invalid", "/credential_arn"),
        ("hub", {"upstream_url": "registry.example.com"}, "refused_by_ecr", None),
        ("hub", {"upstream_url": "registry-1.docker.io"}, "refused_by_ecr", None),
    ):
        problem = await slipway.refused("PUT", f"{RULES}/{prefix}", body, params=HERE)
        assert (problem["status"], problem["code"]) == (422, code), problem
        if place:
            assert pointers(problem) == [place]
        else:
            assert problem["aws_code"] == "UnsupportedUpstreamRegistryException"
            assert problem["hint"]
    assert (await slipway.get(RULES, **HERE))["items"] == []


async def test_what_the_query_names(slipway: Slipway) -> None:
    for query, code, place in (
        ({}, "invalid", "/query/region"),
        ({"region": "us-wets-2"}, "invalid", "/query/region"),
        ({"region": "somewhere"}, "invalid", "/query/region"),
        ({**HERE, "account": "nobody"}, "account_not_found", "/account"),
    ):
        for path in (RULES, REPLICATION):
            problem = await slipway.refused("GET", path, params=query)
            assert (problem["status"], problem["code"], pointers(problem)) == (422, code, [place])


async def test_replication_copies_what_is_pushed_and_ends(slipway: Slipway, tmp_path: Path) -> None:
    name = f"{slipway.name}/copied"
    rules = [{"destinations": [{"region": "eu-west-1"}], "prefixes": [f"{slipway.name}/"]}]
    shown = (await put(slipway, REPLICATION, {"rules": rules}))["rules"]
    account = shown[0]["destinations"][0]["account"]
    assert account == "123456789012"
    assert shown == (await slipway.get(REPLICATION, **HERE))["rules"]
    registry = await made(slipway, name)
    digest = (await pusher_of(slipway, tmp_path, registry["id"])).image("1.0")
    gateway = await slipway.app.state.clusters.clouds.of("acc_00000000000000000000000000", "eu-west-1")
    assert [image.digest for image in await gateway.ecr.images(name)] == [digest]
    assert await put(slipway, REPLICATION, {"rules": []}) == {"rules": []}
    await slipway.do("DELETE", f"/registries/{registry['id']}?force=true")
    problem = await slipway.refused("PUT", REPLICATION, {"rules": [{"destinations": []}]}, params=HERE)
    assert pointers(problem) == ["/rules/0/destinations"]
    problem = await slipway.refused(
        "PUT", REPLICATION, {"rules": [{"destinations": [{"region": REGION}]}]}, params=HERE
    )
    assert (problem["status"], problem["code"]) == (422, "refused_by_ecr")
