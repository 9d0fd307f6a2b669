"""What fails, what callers are told about it, and how it is put right."""

import asyncio
import time
from typing import Any

from integration.running import REGION, WAIT_SECONDS, WORKERS, Slipway

from app.clusters import repository
from app.db.base import DEFAULT_PROJECT

NETWORK = {"zones": 2, "nat": "none"}


def body(slipway: Slipway, *groups: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": slipway.name, "region": REGION, "network": NETWORK, "addons": [], "nodegroups": groups, **more}


async def test_a_failed_create_names_its_cause_and_a_retry_takes_it_up(slipway: Slipway) -> None:
    message = (
        "Cannot create cluster 'x' because us-west-2a, the targeted availability zone, does not currently have "
        "sufficient capacity to support the cluster."
    )
    slipway.cloud.rules([{"op": "create", "type": "AWS::EKS::Cluster", "fail": message, "times": 1}])
    parent = await slipway.wait(await slipway.change("POST", "/clusters", body(slipway, WORKERS)))
    assert (parent["status"], parent["error"]["code"]) == ("failed", "child_failed")
    failed = await slipway.child(parent, "cluster.create")
    cause = failed["error"]["cause"]
    assert (cause["resource"], cause["type"]) == ("Cluster", "AWS::EKS::Cluster")
    assert "sufficient capacity" in cause["message"]
    assert failed["error"]["hint"]
    waited = await slipway.child(parent, "nodegroup.create")
    assert waited["error"]["code"] == "dependency_failed"
    assert failed["id"] in waited["error"]["message"]
    assert waited["depends_on"] == [failed["id"]]
    for path in (f"/clusters/{slipway.name}", "/nodegroups/workers"):
        status = (await slipway.get(path))["status"]
        assert status["phase"] == "failed"
        assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {
            "Ready": "False",
            "Synced": "False",
        }
    problem = await slipway.refused("GET", f"/clusters/{slipway.name}/kubeconfig")
    assert (problem["status"], problem["code"]) == (409, "cluster_not_ready")
    # Nothing can be done with the group while the cluster is not there.
    for method, path, document in (
        ("POST", "/nodegroups", {"name": "more", "cluster": slipway.name}),
        ("PATCH", "/nodegroups/workers", {"labels": {"a": "b"}}),
        ("POST", f"/operations/{waited['id']}/retry", None),
    ):
        problem = await slipway.refused(method, path, document)
        assert (problem["status"], problem["code"]) == (409, "cluster_not_ready"), path

    events = (await slipway.get(f"/operations/{failed['id']}/events"))["items"]
    assert any("sufficient capacity" in event["message"] for event in events)
    retry = await slipway.do("POST", f"/operations/{parent['id']}/retry")
    assert retry["retry_of"] == parent["id"]
    assert {child["status"] for child in retry["children"]} == {"succeeded"}
    assert (await slipway.child(retry, "cluster.create"))["retry_of"] == failed["id"]
    assert (await slipway.get(f"/operations/{failed['id']}/events"))["items"][: len(events)] == events
    assert (await slipway.get(f"/operations/{failed['id']}"))["status"] == "failed"
    assert (await slipway.get("/nodegroups/workers"))["status"]["phase"] == "active"
    problem = await slipway.refused("POST", f"/operations/{parent['id']}/retry")
    assert (problem["status"], problem["code"]) == (409, "not_retryable")


async def test_a_rollback_that_failed_is_continued_by_a_retry(slipway: Slipway) -> None:
    await slipway.cluster(slipway.name, version="1.33")
    slipway.cloud.rules(
        [{"op": "update", "type": "AWS::EKS::Cluster", "fail": "stuck", "times": 2}]  # the update and its rollback
    )
    failed = await slipway.wait(await slipway.change("PATCH", f"/clusters/{slipway.name}", {"version": "1.34"}))
    assert failed["status"] == "failed"
    stack = await (await slipway.gateway()).cloudformation.describe(await stack_of(slipway))
    assert stack is not None
    assert stack.status == "UPDATE_ROLLBACK_FAILED"
    assert (await slipway.get(f"/clusters/{slipway.name}"))["status"]["phase"] == "active"
    await slipway.do("POST", f"/operations/{failed['id']}/retry")
    assert (await slipway.get(f"/clusters/{slipway.name}"))["status"]["observed_generation"] == 2


async def stack_of(slipway: Slipway) -> str:
    async with slipway.app.state.database.read() as session:
        cluster = await repository.get(session, DEFAULT_PROJECT, slipway.name)
        return str(cluster.facts["stack_id"])


async def test_what_cannot_be_deleted_is_left_behind_by_a_retry(slipway: Slipway) -> None:
    await slipway.cluster(slipway.name)
    slipway.cloud.rules(
        [{"op": "delete", "type": "AWS::EC2::SecurityGroup", "logical": "Control*", "fail": "has a dependent object"}]
    )
    failed = await slipway.wait(await slipway.change("DELETE", f"/clusters/{slipway.name}"))
    assert failed["status"] == "failed"
    assert failed["error"]["cause"]["type"] == "AWS::EC2::SecurityGroup"
    assert (await slipway.get(f"/clusters/{slipway.name}"))["status"]["phase"] == "failed"
    retry = await slipway.do("POST", f"/operations/{failed['id']}/retry")
    assert [warning for warning in retry["warnings"] if "AWS::EC2::SecurityGroup" in warning]
    answer = await slipway.client.get(f"/clusters/{slipway.name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "cluster_not_found")


async def test_expired_credentials_cost_time_and_nothing_else(slipway: Slipway) -> None:
    slipway.cloud.rules([{"api": "cloudformation:*", "status": 403, "code": "ExpiredToken"}])
    operation = await slipway.change("POST", "/clusters", body(slipway))

    async def told() -> list[str]:
        events = (await slipway.get(f"/operations/{operation['id']}/events"))["items"]
        return [event["message"] for event in events if event["type"] == "operation.waiting"]

    deadline = time.monotonic() + WAIT_SECONDS
    while not (messages := await told()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert "credentials have expired: renew them" in messages[0]
    slipway.cloud.rules([])
    assert (await slipway.wait(operation))["status"] == "succeeded"


async def test_aws_away_while_a_request_is_checked(slipway: Slipway) -> None:
    faults = [
        ({"status": 400, "code": "ThrottlingException", "message": "Rate exceeded"}, "aws_throttled", "5"),
        ({"status": 500, "code": "InternalFailure"}, "aws_internal_error", "5"),
        ({"status": 403, "code": "AccessDeniedException", "message": "not authorized"}, "permission_denied", "60"),
        ({"status": 403, "code": "UnrecognizedClientException"}, "credentials_invalid", "60"),
    ]
    await slipway.cluster(slipway.name)
    operations = await slipway.count("operations")
    for fault, code, seconds in faults:
        slipway.cloud.rules([{"api": f"{service}:*", **fault} for service in ("eks", "ec2")])
        for path, document in (
            ("/clusters", {"name": "away", "region": "eu-west-1"}),
            ("/nodegroups", {"name": "away", "cluster": slipway.name}),
        ):
            answer = await slipway.client.post(path, json=document)
            assert (answer.status_code, answer.json()["code"]) == (503, code), answer.text
            assert answer.headers["retry-after"] == seconds
            assert answer.headers["content-type"] == "application/problem+json"
    assert await slipway.count("operations") == operations
