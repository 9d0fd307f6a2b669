"""What callers send that is wrong: each a problem with a stable code, and nothing begins."""

import json
from typing import Any

from integration.running import REGION, Slipway, pointers

GOOD: dict[str, Any] = {"name": "bad-input", "region": REGION}
CONFIG = "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: bad-input, region: us-west-2}\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [*{old},*{old},*{old},*{old},*{old},*{old},*{old},*{old}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

SPECS: list[tuple[dict[str, Any], str, str]] = [
    ({"colour": "red"}, "invalid", "/colour"),
    ({"version": 1.34}, "invalid", "/version"),
    ({"version": "1.12"}, "invalid", "/version"),
    ({"name": "-dash"}, "invalid", "/name"),
    ({"name": "x" * 101}, "invalid", "/name"),
    ({"name": "clu_01jd3x8k7q2v5w9z4c6b8n0m1r"}, "invalid", "/name"),
    ({"region": "somewhere"}, "invalid", "/region"),
    ({"account": "nobody"}, "account_not_found", "/account"),
    ({"network": {"cidr": "10.0.0.1/16"}}, "invalid", "/network/cidr"),
    ({"network": {"cidr": "10.0.0.0/8"}}, "invalid", "/network"),
    ({"network": {"cidr": "10.0.0.0/16", "service_cidr": "10.0.128.0/20"}}, "invalid", "/network"),
    ({"network": {"zones": 4}}, "invalid", "/network/zones"),
    ({"network": {"zones": ["us-west-2z"]}}, "invalid", "/network/zones/0"),
    ({"network": {"zones": ["us-west-2a", "us-west-2a"]}}, "invalid", "/network/zones"),
    ({"network": {"vpc_id": "vpc-0a1b2c3d"}}, "invalid", "/network"),
    ({"endpoints": {"public": False}}, "invalid", "/endpoints"),
    ({"endpoints": {"public_cidrs": ["everyone"]}}, "invalid", "/endpoints/public_cidrs/0"),
    ({"access": {"creator_admin": False}}, "invalid", "/access"),
    ({"addons": [{"name": "coredns"}, {"name": "coredns"}]}, "invalid", ""),
    (
        {"addons": [{"name": "x", "configuration": {"a": "{{resolve:ssm:b}}"}}]},
        "dynamic_reference",
        "/addons/0/configuration/a",
    ),
    ({"tags": {"aws:x": "y"}}, "invalid", "/tags"),
    ({"tags": {"a": "{{resolve:ssm:b}}"}}, "dynamic_reference", "/tags/a"),
    ({"releases": [{}]}, "invalid", "/releases/0/chart"),
    ({"encryption": {"kms_key": "mine"}}, "invalid", "/encryption/kms_key"),
]


async def test_a_region_that_does_not_exist(slipway: Slipway) -> None:
    file = {
        "apiVersion": "eksctl.io/v1alpha5",
        "kind": "ClusterConfig",
        "metadata": {"name": "no", "region": "us-wst-2"},
    }
    for body, pointer in (({**GOOD, "region": "us-wst-2"}, "/region"), (file, "/metadata/region")):
        problem = await slipway.refused("POST", "/clusters", body)
        assert (problem["status"], problem["code"], pointers(problem)) == (422, "invalid", [pointer])
        assert 'did you mean "us-west-2"' in problem["errors"][0]["detail"]
    problem = await slipway.refused("POST", "/clusters", {**GOOD, "region": "moon-sea-1"})
    assert (problem["status"], problem["code"]) == (422, "invalid")
    problem = await slipway.refused(
        "POST", "/clusters", {**GOOD, "region": "zz-sea-1"}
    )  # of no form that the SDK knows
    assert (problem["status"], problem["code"], pointers(problem)) == (422, "invalid", ["/region"])
    assert slipway.cloud.calls() == {"ec2:DescribeRegions": 2}
    assert await nothing_began(slipway)


async def nothing_began(slipway: Slipway) -> bool:
    calls = slipway.cloud.calls()
    rows = [await slipway.count(table) for table in ("clusters", "nodegroups", "addons", "operations")]
    return rows == [0, 0, 0, 0] and not [name for name in calls if "Create" in name or "Delete" in name]


async def test_specs(slipway: Slipway) -> None:
    for change, code, pointer in SPECS:
        problem = await slipway.refused("POST", "/clusters", {**GOOD, **change})
        assert (problem["status"], problem["code"]) == (422, code), (change, problem)
        assert pointer in pointers(problem), (change, problem)
    assert await nothing_began(slipway)


BODIES: list[tuple[str, str, int, str | None]] = [
    ("{", "application/json", 400, "malformed"),
    ('{"name": "a", "name": "b"}', "application/json", 400, "malformed"),
    ("[]", "application/json", 422, "invalid"),
    ("", "application/json", 422, "invalid"),
    ("a: [", "application/yaml", 400, "malformed"),
    ("a: 1\na: 2", "application/yaml", 400, "malformed"),
    (CONFIG + "metadata: {}", "application/yaml", 400, "malformed"),
    (BOMB, "application/yaml", 400, "malformed"),
    ("[" * 5000, "application/yaml", 400, "malformed"),
    ("just text", "application/yaml", 422, "invalid"),
    (CONFIG + "karpenter: {version: '1'}", "application/yaml", 422, "invalid"),
    (
        CONFIG + "addons: [{name: x, configurationValues: 'a: \"{{resolve:ssm:b}}\"'}]",
        "application/yaml",
        422,
        None,
    ),
    (json.dumps(GOOD), "text/plain", 415, "unsupported_media_type"),
    ("x" * 10_000_000, "application/json", 413, "body_too_large"),
    ("x" * 10_000_000, "application/yaml", 413, "body_too_large"),
]


async def test_bodies(slipway: Slipway) -> None:
    for body, content_type, status, code in BODIES:
        answer = await slipway.client.post("/clusters", content=body, headers={"Content-Type": content_type})
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert code is None or answer.json()["code"] == code
    assert await nothing_began(slipway)


async def test_headers_and_keys(slipway: Slipway) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await slipway.change("POST", "/clusters", GOOD, headers=headers)
    again = await slipway.client.post("/clusters", json=GOOD, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first["id"])
    assert again.headers["idempotency-replayed"] == "true"
    problem = await slipway.refused("POST", "/clusters", {**GOOD, "name": "other"}, headers=headers)
    assert (problem["status"], problem["code"]) == (422, "idempotency_key_reused")
    problem = await slipway.refused("POST", "/clusters", GOOD)
    assert (problem["status"], problem["code"]) == (409, "cluster_exists")
    assert problem["cluster_id"] == first["resource"]["id"]
    assert await slipway.count("clusters") == 1
    await slipway.do("DELETE", "/clusters/bad-input")
