"""Kubernetes versions come and go at EKS; the local cloud's calendar says when."""

import pytest
from integration.running import WORKERS, Slipway, pointers

pytestmark = pytest.mark.calendar


async def test_a_version_that_has_ended_is_for_no_new_cluster(slipway: Slipway) -> None:
    slipway.cloud.day("2027-12-03")
    body = {"name": slipway.name, "region": "us-west-2", "version": "1.34", "addons": []}
    problem = await slipway.refused("POST", "/clusters", body)
    assert (problem["status"], problem["code"], pointers(problem)) == (422, "invalid", ["/version"])
    assert problem["errors"][0]["detail"].endswith("it offers 1.35")
    cluster = await slipway.cluster(slipway.name, WORKERS)
    assert cluster["spec"]["version"] == "1.35"


async def test_a_cluster_whose_version_ends_goes_on(slipway: Slipway) -> None:
    """It can be changed, gets nodes, and is brought to a version that goes on."""
    cluster = await slipway.cluster(slipway.name)
    assert cluster["spec"]["version"] == "1.34"
    slipway.cloud.day("2027-12-03")
    await slipway.do("PATCH", f"/clusters/{slipway.name}", {"tags": {"team": "shop"}})
    await slipway.do("POST", "/nodegroups", {"cluster": slipway.name, **WORKERS})
    await slipway.do("PATCH", f"/clusters/{slipway.name}", {"version": "1.35"})
    eks = await slipway.aws("eks")
    described = (await eks.describe_cluster(name=slipway.name))["cluster"]
    assert (described["version"], described["tags"]["team"]) == ("1.35", "shop")


async def test_a_version_that_ends_after_it_was_looked_up(slipway: Slipway) -> None:
    """What EKS offers is remembered for minutes: then it is EKS that refuses, in its words."""
    await slipway.cluster(slipway.name)
    slipway.cloud.day("2027-07-30")
    body = {"name": f"{slipway.name}-b", "region": "us-west-2", "version": "1.33", "addons": []}
    error = await slipway.fail("POST", "/clusters", {**body, "network": {"zones": 2, "nat": "none"}})
    assert "unsupported Kubernetes version 1.33" in error["cause"]["message"]
    assert error["code"] == "version_not_supported"
    assert error["hint"]
