"""The stack driver on real stacks of the local cloud, also when the process is killed between any two of its writes.

Every path is walked three times: undisturbed; with the result of each kind of call thrown away once, as if the process
had been killed before it was written; and killed right after each intent was written, before the call it announces.
"""

import asyncio
import copy
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from integration.conftest import LocalCloud

from app.cloudformation import driver
from app.cloudformation.driver import StackDriver
from app.core.ids import new_id
from app.engine.contract import Cancelled, Context, Fail, NewEvent, TransientError, Wait
from app.engine.models import Operation
from app.gateways.aws.clients import PROCESS, AwsClients
from app.gateways.aws.cloudformation import CloudFormation
from app.gateways.aws.errors import Throttled
from app.gateways.aws.stack import IN_PROGRESS, Stack
from app.stacks.template import StackTemplate

REGION = "eu-west-1"
GROUP = "AWS::Logs::LogGroup"
EVERY_STATE = [
    "CREATE_COMPLETE", "CREATE_FAILED", "CREATE_IN_PROGRESS", "DELETE_COMPLETE", "DELETE_FAILED", "DELETE_IN_PROGRESS",
    "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "ROLLBACK_IN_PROGRESS", "UPDATE_COMPLETE",
    "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_IN_PROGRESS",
]  # fmt: skip


class KilledError(Exception):
    """The process is gone."""


class Run:
    """One operation, carried on look by look as the engine would, with what the table keeps of it."""

    def __init__(self, cloudformation: CloudFormation, mode: str = "undisturbed") -> None:
        self.operation = Operation(id=new_id("op"), kind="thing.create", phase="begin", started_at=datetime.now(UTC))
        self.kept: dict[str, Any] = {}
        self.events: dict[str | None, NewEvent] = {}
        self.warnings: list[str] = []
        self.cancelled = False
        self._cloudformation = cloudformation
        self.mode = mode
        self._broken_off: set[str] = set()

    async def persist(self, context: Context) -> None:
        self.kept = copy.deepcopy(context.data)
        self.warnings = list(context.warnings)
        if self.mode == "killed" and self._is_new(context.data):
            raise KilledError

    def _is_new(self, data: dict[str, Any], *more: str) -> bool:
        state = data.get("stack", {})
        moment = json.dumps([state.get("intent"), state.get("done"), *more])
        known = moment in self._broken_off
        self._broken_off.add(moment)
        return not known

    async def look(self, act: Callable[[StackDriver], Awaitable[Any]]) -> Any:
        """Call once; the result is kept, unless it is lost."""
        while True:
            try:
                context, outcome = await self._call(act)
            except KilledError:
                continue
            if self.mode == "lost" and self._is_new(context.data, type(outcome).__name__):
                continue
            self.kept = copy.deepcopy(context.data)
            self.events |= {event.source_id: event for event in context.events}
            self.warnings = context.warnings
            return outcome

    async def _call(self, act: Callable[[StackDriver], Awaitable[Any]]) -> tuple[Context, Any]:
        context = Context(self.operation, copy.deepcopy(self.kept), [], list(self.warnings), self.persist)
        try:
            outcome = await act(StackDriver(context, self._cloudformation))
        except TransientError as error:
            outcome = Wait(error.retry_after or 0.1)
        except Throttled:
            outcome = Wait(0.1)
        return context, outcome

    async def until_settled(self, act: Callable[[StackDriver], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(90):
            while isinstance(outcome := await self.look(act), Wait):  # noqa: ASYNC110
                await asyncio.sleep(0.03)
        return outcome

    async def ensure(self, template: StackTemplate) -> Any:
        return await self.until_settled(lambda driver: driver.ensure(template))

    async def remove(self, name: str, *, force: bool = False) -> Any:
        return await self.until_settled(lambda driver: driver.remove(name, force=force))

    @property
    def messages(self) -> list[str]:
        return [event.message for event in self.events.values()]


class Site:
    """One stack name in a cloud."""

    def __init__(self, cloudformation: CloudFormation, cloud: LocalCloud, mode: str) -> None:
        self.name = f"drv-{uuid.uuid4().hex[:12]}"
        self.cloudformation = cloudformation
        self.cloud = cloud
        self.mode = mode

    def run(self) -> Run:
        return Run(self.cloudformation, self.mode)

    def template(self, *, count: int = 1, days: int = 7, name: str = "", extra: Any = None) -> StackTemplate:
        """Log groups: the quickest of resources; another `name` would replace them."""
        groups = {
            f"Group{number}": {
                "Type": GROUP,
                "Properties": {"LogGroupName": f"/{self.name}{name}/{number}", "RetentionInDays": days},
            }
            for number in range(count)
        }
        return StackTemplate(self.name, json.dumps({"Resources": groups | (extra or {})}))

    def rules(self, *rules: dict[str, Any]) -> None:
        self.cloud.rules([{"stack": self.name} | rule for rule in rules])

    async def stacks(self) -> list[str]:
        """Return the states of all stacks that ever had the name, the newest first."""
        found = await self.cloudformation.summaries(EVERY_STATE)
        return [stack.status for stack in found if stack.name == self.name]

    async def stack(self) -> Stack:
        found = await self.cloudformation.describe(self.name)
        assert found is not None
        return found

    async def settled(self) -> Stack:
        async with asyncio.timeout(60):
            while (found := await self.stack()).status in IN_PROGRESS:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return found

    async def left_in(self, status: str) -> None:
        """Leave a stack in a state that takes no update, as an earlier operation may."""
        template = self.template()
        fails = {"op": "create", "type": GROUP, "fail": "an old failure"}
        stays = {"op": "delete", "type": GROUP, "fail": "still in use", "times": 1}
        raw = await self.cloudformation._client()
        match status:
            case "ROLLBACK_COMPLETE":
                self.rules(fails)
                await self.cloudformation.create(self.name, template.body, uuid.uuid4().hex)
            case "ROLLBACK_FAILED":
                self.rules({**fails, "logical": "Group1", "delay": 0.2}, stays)
                await self.cloudformation.create(self.name, self.template(count=2).body, uuid.uuid4().hex)
            case "CREATE_FAILED":
                self.rules(fails)
                await raw.create_stack(
                    StackName=self.name,
                    TemplateBody=template.body,
                    OnFailure="DO_NOTHING",
                    ClientRequestToken=uuid.uuid4().hex,
                )
            case "DELETE_FAILED":
                await self.cloudformation.create(self.name, template.body, uuid.uuid4().hex)
                await self.settled()
                self.rules(stays)
                await self.cloudformation.delete(self.name, uuid.uuid4().hex)
            case "REVIEW_IN_PROGRESS":
                await raw.create_change_set(
                    StackName=self.name, ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=template.body
                )
        assert (await self.settled()).status == status
        self.cloud.rules([])


@pytest.fixture
async def cloudformation(aws_environment: LocalCloud) -> AsyncIterator[CloudFormation]:
    async with AwsClients() as clients:
        yield CloudFormation(clients, PROCESS, REGION)


@pytest.fixture(params=["undisturbed", "lost", "killed"])
def site(
    request: pytest.FixtureRequest,
    cloudformation: CloudFormation,
    aws_environment: LocalCloud,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    monkeypatch.setattr(driver, "LAG_SECONDS", 0.05)
    return Site(cloudformation, aws_environment, request.param)


async def test_a_stack_is_created_once(site: Site) -> None:
    run = site.run()
    stack = await run.ensure(site.template())
    assert (stack.status, stack.tags[driver.OPERATION_TAG]) == ("CREATE_COMPLETE", run.operation.id)
    assert await site.stacks() == ["CREATE_COMPLETE"]
    assert sum(message.endswith("CREATE_COMPLETE") for message in run.messages) == 2


async def test_a_create_that_fails_tells_its_cause(site: Site) -> None:
    site.rules({"op": "create", "type": GROUP, "fail": "LimitExceededException: too many"})
    run = site.run()
    outcome = await run.ensure(site.template())
    assert isinstance(outcome, Fail)
    assert outcome.failure.cause is not None
    assert (outcome.failure.cause.resource, outcome.failure.cause.type) == ("Group0", GROUP)
    assert await site.stacks() == ["ROLLBACK_COMPLETE"]


@pytest.mark.parametrize(
    "left", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS"]
)
async def test_what_an_earlier_operation_left_is_cleared_first(site: Site, left: str) -> None:
    await site.left_in(left)
    run = site.run()
    stack = await run.ensure(site.template(days=30))
    assert stack.status == "CREATE_COMPLETE"
    assert await site.stacks() == ["CREATE_COMPLETE", "DELETE_COMPLETE"]
    assert not any("old failure" in message or "in use" in message for message in run.messages)


async def test_the_cause_of_a_second_failure_is_its_own(site: Site) -> None:
    await site.left_in("ROLLBACK_COMPLETE")
    site.rules({"op": "create", "type": GROUP, "fail": "a new failure"})
    run = site.run()
    outcome = await run.ensure(site.template())
    assert isinstance(outcome, Fail)
    assert outcome.failure.cause is not None
    assert outcome.failure.cause.message == "a new failure"
    assert await site.stacks() == ["ROLLBACK_COMPLETE", "DELETE_COMPLETE"]


async def test_an_update_goes_through_one_change_set_and_keeps_its_own_events(site: Site) -> None:
    first, second = site.run(), site.run()
    await first.ensure(site.template())
    updated = await second.ensure(site.template(days=30))
    assert updated.status == "UPDATE_COMPLETE"
    assert updated.tags[driver.OPERATION_TAG] == first.operation.id
    updates = [event for event in await site.cloudformation.events(site.name) if "UPDATE_IN" in event.status]
    assert [event.logical_id for event in updates] == [site.name, "Group0"]
    assert any("UPDATE_COMPLETE" in message for message in second.messages)
    assert not any("CREATE" in message for message in second.messages)


async def test_an_update_without_a_change_leaves_nothing_behind(site: Site) -> None:
    await site.run().ensure(site.template())
    run = site.run()
    stack = await run.ensure(site.template())
    assert stack.status == "CREATE_COMPLETE"
    raw = await site.cloudformation._client()
    assert (await raw.list_change_sets(StackName=site.name))["Summaries"] == []


async def test_a_replacement_that_nobody_asked_for_is_refused(site: Site) -> None:
    await site.run().ensure(site.template())
    run = site.run()
    outcome = await run.ensure(site.template(name="-other"))
    assert isinstance(outcome, Fail)
    assert outcome.failure.code == "replacement_refused"
    assert "Group0" in outcome.failure.message
    assert await site.stacks() == ["CREATE_COMPLETE"]
    asked = site.run()
    template = site.template(name="-other")
    await asked.until_settled(lambda driver: driver.ensure(template, may_replace=lambda change: change.type == GROUP))
    assert await site.stacks() == ["UPDATE_COMPLETE"]


async def test_an_update_that_fails_is_rolled_back_and_tells_its_cause(site: Site) -> None:
    await site.run().ensure(site.template())
    site.rules({"op": "update", "type": GROUP, "fail": "no such retention", "times": 1})
    outcome = await site.run().ensure(site.template(days=30))
    assert isinstance(outcome, Fail)
    assert outcome.failure.code == "stack_update_failed"
    assert outcome.failure.cause is not None
    assert outcome.failure.cause.message == "no such retention"
    assert await site.stacks() == ["UPDATE_ROLLBACK_COMPLETE"]


async def test_a_rollback_that_stopped_is_continued_then_the_update_is_made(site: Site) -> None:
    await site.run().ensure(site.template())
    site.rules({"op": "update", "type": GROUP, "fail": "no", "times": 2})
    outcome = await site.run().ensure(site.template(days=30))
    assert isinstance(outcome, Fail)
    assert (await site.stacks(), outcome.failure.code) == (["UPDATE_ROLLBACK_FAILED"], "stack_rollback_failed")
    stack = await site.run().ensure(site.template(days=30))
    assert stack.status == "UPDATE_COMPLETE"


async def test_a_rollback_that_stops_again_ends_the_operation(site: Site) -> None:
    await site.run().ensure(site.template())
    site.rules({"op": "update", "type": GROUP, "fail": "no"})
    await site.run().ensure(site.template(days=30))
    outcome = await site.run().ensure(site.template(days=30))
    assert isinstance(outcome, Fail)
    assert outcome.failure.code == "stack_rollback_failed"


async def test_a_change_set_that_another_update_outdates_is_made_again(site: Site) -> None:
    await site.run().ensure(site.template())
    run, template = Run(site.cloudformation), site.template(days=30)
    await run.look(lambda driver: driver.ensure(template))  # the change set is asked for
    run.mode = site.mode
    raw = await site.cloudformation._client()
    await raw.update_stack(StackName=site.name, TemplateBody=site.template(days=14).body)
    stack = await run.ensure(template)
    assert stack.status == "UPDATE_COMPLETE"
    body: Any = (await raw.get_template(StackName=site.name, TemplateStage="Original"))["TemplateBody"]
    [group] = (json.loads(body) if isinstance(body, str) else body)["Resources"].values()
    assert group["Properties"]["RetentionInDays"] == 30


async def test_a_delete_that_fails_once_is_tried_again(site: Site) -> None:
    await site.run().ensure(site.template())
    site.rules({"op": "delete", "type": GROUP, "fail": "in use", "times": 1})
    run = site.run()
    assert await run.remove(site.name) is None
    assert await site.stacks() == ["DELETE_COMPLETE"]
    assert await site.run().remove(site.name) is None


async def test_a_delete_that_goes_on_failing_fails_or_leaves_things_behind(site: Site) -> None:
    await site.run().ensure(site.template())
    site.rules({"op": "delete", "type": GROUP, "fail": "in use by eni-1"})
    outcome = await site.run().remove(site.name)
    assert isinstance(outcome, Fail)
    assert outcome.failure.cause is not None
    assert outcome.failure.cause.message == "in use by eni-1"
    forced = site.run()
    assert await forced.remove(site.name, force=True) is None
    [warning] = forced.warnings
    assert f"/{site.name}/0" in warning
    assert await site.stacks() == ["DELETE_COMPLETE"]


async def test_calls_that_are_throttled_use_up_no_try(site: Site) -> None:
    await site.run().ensure(site.template())
    site.cloud.rules(
        [
            {"api": "cloudformation:DeleteStack", "status": 400, "code": "Throttling", "times": 8},
            {"op": "delete", "type": GROUP, "stack": site.name, "fail": "in use", "times": 1},
        ]
    )
    assert await site.run().remove(site.name) is None


async def test_a_create_that_is_cancelled_takes_the_stack_away(site: Site) -> None:
    site.rules({"op": "create", "type": GROUP, "delay": 20})
    run = site.run()
    template = site.template()
    assert isinstance(await run.look(lambda driver: driver.ensure(template)), Wait)
    assert await run.remove(site.name) is None
    assert await site.stacks() == ["DELETE_COMPLETE"]


async def test_an_update_is_taken_back_while_it_runs(site: Site) -> None:
    await site.run().ensure(site.template())
    site.rules({"op": "update", "type": GROUP, "delay": 60, "times": 1})
    run = site.run()
    template = site.template(days=30)
    async with asyncio.timeout(60):
        while (await site.stack()).status != "UPDATE_IN_PROGRESS":
            await run.look(lambda driver: driver.ensure(template))
    outcome = await run.until_settled(lambda driver: driver.cancel_update(site.name))
    assert isinstance(outcome, Cancelled)
    assert await site.stacks() == ["UPDATE_ROLLBACK_COMPLETE"]


async def test_an_update_is_taken_back_before_it_begins(site: Site) -> None:
    await site.run().ensure(site.template())
    run = site.run()
    assert await run.look(lambda driver: driver.cancel_update(site.name)) is None
    template = site.template(days=30)
    # A look that is lost is looked again, and would execute a change set that was computed meanwhile.
    site.cloud.rules(
        [{"api": "cloudformation:ExecuteChangeSet", "status": 400, "code": "OperationInProgressException"}]
    )
    await run.look(lambda driver: driver.ensure(template))
    outcome = await run.until_settled(lambda driver: driver.cancel_update(site.name))
    assert isinstance(outcome, Cancelled)
    assert await site.stacks() == ["CREATE_COMPLETE"]
    raw = await site.cloudformation._client()
    assert (await raw.list_change_sets(StackName=site.name))["Summaries"] == []


async def test_an_update_that_is_complete_cannot_be_taken_back(site: Site) -> None:
    await site.run().ensure(site.template())
    run = site.run()
    await run.ensure(site.template(days=30))
    assert await run.until_settled(lambda driver: driver.cancel_update(site.name)) is None
    assert await site.stacks() == ["UPDATE_COMPLETE"]
