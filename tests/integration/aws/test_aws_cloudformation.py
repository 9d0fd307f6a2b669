"""Stacks through their whole life, over HTTP."""

import asyncio
import json
import uuid
from collections.abc import Collection
from typing import Any

import pytest

from app.cloudformation.root_cause import failure_of
from app.gateways.aws.cloudformation import CloudFormation
from app.gateways.aws.errors import AlreadyExists, Conflict, InvalidRequest, NotFound
from app.gateways.aws.stack import IN_PROGRESS, ChangeSet, Stack


def log_groups(prefix: str, *, count: int = 1, **properties: Any) -> str:
    """A template of log groups, the quickest of resources, with `properties` beside their names."""
    resources = {
        f"Group{number}": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"LogGroupName": f"/{prefix}/{number}"} | properties,
        }
        for number in range(count)
    }
    outputs = {"Name": {"Value": {"Ref": "Group0"}}}
    return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources, "Outputs": outputs})


def token() -> str:
    return uuid.uuid4().hex


async def settled(cloudformation: CloudFormation, stack: str, *, busy: Collection[str] = IN_PROGRESS) -> Stack:
    async with asyncio.timeout(30):
        while True:
            found = await cloudformation.describe(stack)
            assert found is not None
            if found.status not in busy:
                return found
            await asyncio.sleep(0.05)


async def computed(cloudformation: CloudFormation, stack: str, name: str) -> ChangeSet:
    async with asyncio.timeout(30):
        while True:
            found = await cloudformation.describe_change_set(stack, name)
            assert found is not None
            if not found.is_pending:
                return found
            await asyncio.sleep(0.05)


async def created(cloudformation: CloudFormation, name: str, body: str, **extra: Any) -> Stack:
    stack_id = await cloudformation.create(name, body, token(), **extra)
    stack = await settled(cloudformation, stack_id)
    assert stack.status == "CREATE_COMPLETE", stack
    return stack


async def test_a_stack_is_created_described_and_deleted(cloudformation: CloudFormation, name: str) -> None:
    assert await cloudformation.describe(name) is None

    stack = await created(cloudformation, name, log_groups(name), tags={"team": "a"})

    assert stack == await cloudformation.describe(name)
    assert stack.id.startswith("arn:aws:cloudformation:us-east-1:")
    assert (stack.name, stack.outputs, stack.tags) == (name, {"Name": f"/{name}/0"}, {"team": "a"})
    assert stack.created_at.tzinfo is not None
    resources = await cloudformation.resources(stack.id)
    assert [(r.logical_id, r.physical_id, r.status) for r in resources] == [("Group0", f"/{name}/0", "CREATE_COMPLETE")]

    await cloudformation.delete(stack.id, token())
    assert (await settled(cloudformation, stack.id)).status == "DELETE_COMPLETE"
    assert await cloudformation.describe(name) is None


async def test_a_name_is_taken_once(cloudformation: CloudFormation, name: str) -> None:
    await created(cloudformation, name, log_groups(name))

    with pytest.raises(AlreadyExists):
        await cloudformation.create(name, log_groups(name), token())


async def test_the_same_create_again_is_the_same_stack(cloudformation: CloudFormation, name: str) -> None:
    """What a process that was killed between the call and its note relies on."""
    creation = token()

    first = await cloudformation.create(name, log_groups(name), creation)
    again = await cloudformation.create(name, log_groups(name), creation)

    assert again == first


async def test_what_does_not_exist(cloudformation: CloudFormation, name: str) -> None:
    await cloudformation.delete(name, token())
    await cloudformation.delete_change_set(name, "none")
    assert await cloudformation.describe_change_set(name, "none") is None
    with pytest.raises(NotFound):
        await cloudformation.events(name)
    with pytest.raises(NotFound):
        await cloudformation.resources(name)


async def test_a_template_that_is_wrong_is_refused(cloudformation: CloudFormation, name: str) -> None:
    with pytest.raises(InvalidRequest):
        await cloudformation.create(name, json.dumps({"Resources": {}}), token())


async def test_an_update_goes_through_a_change_set(cloudformation: CloudFormation, name: str) -> None:
    stack = await created(cloudformation, name, log_groups(name, RetentionInDays=7), tags={"team": "a"})
    change_set = f"change-{token()}"

    await cloudformation.create_change_set(
        stack.id, change_set, log_groups(name, count=2, RetentionInDays=30), token(), tags={"team": "b"}
    )
    found = await computed(cloudformation, stack.id, change_set)

    assert (found.status, found.execution_status, found.is_empty) == ("CREATE_COMPLETE", "AVAILABLE", False)
    changes = {change.logical_id: change for change in found.changes}
    assert (changes["Group0"].action, changes["Group1"].action) == ("Modify", "Add")
    assert changes["Group0"].type == "AWS::Logs::LogGroup"
    assert not changes["Group0"].replaces

    execution = token()
    await cloudformation.execute_change_set(stack.id, change_set, execution)
    updated = await settled(cloudformation, stack.id, busy=IN_PROGRESS | {"CREATE_COMPLETE"})
    assert (updated.status, updated.tags) == ("UPDATE_COMPLETE", {"team": "b"})
    assert any(event.token == execution for event in await cloudformation.events(stack.id))


async def test_a_change_set_without_a_change_is_empty(cloudformation: CloudFormation, name: str) -> None:
    stack = await created(cloudformation, name, log_groups(name))

    await cloudformation.create_change_set(stack.id, "same", log_groups(name), token())
    found = await computed(cloudformation, stack.id, "same")

    assert found.status == "FAILED"
    assert found.is_empty
    await cloudformation.delete_change_set(stack.id, "same")
    assert await cloudformation.describe_change_set(stack.id, "same") is None


async def test_a_change_set_says_what_would_be_replaced(cloudformation: CloudFormation, name: str) -> None:
    stack = await created(cloudformation, name, log_groups(name))

    await cloudformation.create_change_set(stack.id, "other", log_groups(f"{name}-other"), token())
    found = await computed(cloudformation, stack.id, "other")

    assert [(c.action, c.replaces) for c in found.changes] == [("Modify", True)]


async def test_a_change_set_is_executed_once(cloudformation: CloudFormation, name: str) -> None:
    stack = await created(cloudformation, name, log_groups(name))
    await cloudformation.create_change_set(stack.id, "grow", log_groups(name, count=2), token())
    await computed(cloudformation, stack.id, "grow")
    await cloudformation.execute_change_set(stack.id, "grow", token())
    await settled(cloudformation, stack.id, busy=IN_PROGRESS | {"CREATE_COMPLETE"})

    with pytest.raises((NotFound, Conflict)):
        await cloudformation.execute_change_set(stack.id, "grow", token())


async def test_events_come_oldest_first_and_stop_at_a_known_one(cloudformation: CloudFormation, name: str) -> None:
    """Over 100 events, so that there are pages."""
    stack = await created(cloudformation, name, log_groups(name, count=60))

    events = await cloudformation.events(stack.id)

    assert len(events) > 100
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert events[0].is_stack
    assert (events[0].status, events[0].reason) == ("CREATE_IN_PROGRESS", "User Initiated")
    assert (events[-1].is_stack, events[-1].status) == (True, "CREATE_COMPLETE")
    assert len({event.id for event in events}) == len(events)

    assert await cloudformation.events(stack.id, until_event_id=events[-1].id) == []
    assert await cloudformation.events(stack.id, until_event_id=events[4].id) == events[5:]


async def test_a_failed_create_tells_its_cause(cloudformation: CloudFormation, name: str, localcloud: Any) -> None:
    refusal = (
        'Resource handler returned message: "The maximum number of addresses has been reached. (Service: Ec2, Status '
        'Code: 400, Request ID: 6b8cf3d3)" (RequestToken: 5f2495db, HandlerErrorCode: GeneralServiceException)'
    )
    localcloud.rules([{"op": "create", "stack": name, "logical": "Group1", "fail": refusal}])
    creation = token()
    stack_id = await cloudformation.create(name, log_groups(name, count=3), creation)

    stack = await settled(cloudformation, stack_id)
    failure = failure_of(stack.status, await cloudformation.events(stack_id), token=creation)

    assert stack.status == "ROLLBACK_COMPLETE"
    assert failure.code == "eip_quota_exceeded"
    assert failure.cause is not None
    assert failure.cause.resource == "Group1"
    assert failure.cause.message == "The maximum number of addresses has been reached."
    with pytest.raises(AlreadyExists):
        await cloudformation.create(name, log_groups(name), token())
    with pytest.raises(Conflict):
        await cloudformation.create_change_set(stack_id, "no", log_groups(name, count=2), token())


async def test_a_stack_at_work_is_listed_and_takes_no_update(
    cloudformation: CloudFormation, name: str, localcloud: Any
) -> None:
    localcloud.rules([{"op": "create", "stack": name, "delay": 60}])
    stack_id = await cloudformation.create(name, log_groups(name), token())

    assert (await cloudformation.in_progress())[stack_id] == "CREATE_IN_PROGRESS"
    with pytest.raises(Conflict):
        await cloudformation.cancel_update(stack_id, token())

    await cloudformation.delete(stack_id, token())
    await settled(cloudformation, stack_id)
    assert stack_id not in await cloudformation.in_progress()


async def test_a_delete_that_failed_can_leave_something_behind(
    cloudformation: CloudFormation, name: str, localcloud: Any
) -> None:
    stack = await created(cloudformation, name, log_groups(name, count=2))
    refusal = (
        "resource sg-1 has a dependent object (Service: AmazonEC2; Error Code: DependencyViolation; Request ID: a)"
    )
    localcloud.rules([{"op": "delete", "stack": name, "logical": "Group1", "fail": refusal}])
    await cloudformation.delete(stack.id, token())

    failed = await settled(cloudformation, stack.id, busy=IN_PROGRESS | {"CREATE_COMPLETE"})
    failure = failure_of(failed.status, await cloudformation.events(stack.id))

    assert failed.status == "DELETE_FAILED"
    assert failure.code == "dependents_left"
    await cloudformation.delete(stack.id, token(), retain=["Group1"])
    assert (await settled(cloudformation, stack.id, busy=IN_PROGRESS | {"DELETE_FAILED"})).status == "DELETE_COMPLETE"


async def test_an_update_can_be_cancelled(cloudformation: CloudFormation, name: str, localcloud: Any) -> None:
    stack = await created(cloudformation, name, log_groups(name))
    localcloud.rules([{"op": "create", "stack": name, "logical": "Group*", "delay": 60}])
    await cloudformation.create_change_set(stack.id, "grow", log_groups(name, count=3), token())
    await computed(cloudformation, stack.id, "grow")
    await cloudformation.execute_change_set(stack.id, "grow", token())
    await settled(cloudformation, stack.id, busy={"CREATE_COMPLETE"})

    await cloudformation.cancel_update(stack.id, token())

    cancelled = await settled(cloudformation, stack.id)
    assert cancelled.status == "UPDATE_ROLLBACK_COMPLETE"


async def test_a_rollback_that_stopped_can_go_on(cloudformation: CloudFormation, name: str, localcloud: Any) -> None:
    stack = await created(cloudformation, name, log_groups(name, count=2, RetentionInDays=7))
    localcloud.rules(
        [
            {"op": "update", "stack": name, "logical": "Group1", "delay": 1, "fail": "unsupported Kubernetes version"},
            {"op": "update", "stack": name, "logical": "Group0", "delay": 0, "times": 1},
            {"op": "update", "stack": name, "logical": "Group0", "fail": "Rate exceeded"},
        ]
    )
    await cloudformation.create_change_set(stack.id, "keep", log_groups(name, count=2, RetentionInDays=30), token())
    await computed(cloudformation, stack.id, "keep")
    execution = token()
    await cloudformation.execute_change_set(stack.id, "keep", execution)
    stuck = await settled(cloudformation, stack.id, busy=IN_PROGRESS | {"CREATE_COMPLETE"})

    failure = failure_of(stuck.status, await cloudformation.events(stack.id), token=execution)

    assert stuck.status == "UPDATE_ROLLBACK_FAILED"
    assert failure.code == "version_not_supported"
    assert failure.cause is not None
    assert failure.cause.resource == "Group1"
    assert "The rollback stopped at Group0" in failure.message
    localcloud.rules([])
    await cloudformation.continue_update_rollback(stack.id, token(), skip=["Group0"])
    free = await settled(cloudformation, stack.id, busy=IN_PROGRESS | {"UPDATE_ROLLBACK_FAILED"})
    assert free.status == "UPDATE_ROLLBACK_COMPLETE"


async def test_protection_keeps_a_stack(cloudformation: CloudFormation, name: str) -> None:
    stack = await created(cloudformation, name, log_groups(name), protect=True)
    assert stack.protected

    with pytest.raises(Conflict) as raised:
        await cloudformation.delete(stack.id, token())
    assert raised.value.as_failure().code == "termination_protected"

    await cloudformation.protect(stack.id, enabled=False)
    await cloudformation.delete(stack.id, token())
    assert (await settled(cloudformation, stack.id, busy=IN_PROGRESS | {"CREATE_COMPLETE"})).status == "DELETE_COMPLETE"
