"""Beginning, cancelling, retrying and forgetting operations."""

import asyncio
from typing import Any

import pytest
from integration.engine.conftest import CALLER, KIND, REGION, Bench, Scripted

from app.core.failure import Failure
from app.db.base import DEFAULT_ACCOUNT
from app.engine import retention
from app.engine.contract import Cancelled, Context, Done, Fail, Outcome, Wait
from app.engine.models import Operation
from app.operations import repository
from app.operations.errors import (
    NotCancellableError,
    NotRetryableError,
    OperationInProgressError,
    OperationNotFoundError,
)
from app.operations.group import GroupReconciler
from app.operations.group_kinds import CLUSTER_APPLY, GROUP_KINDS
from app.operations.service import Needs, Plan, Target


class Things:
    """What the ledger asks of the feature that a resource belongs to."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.stoppable = True

    def is_cancellable(self, _operation: Operation) -> bool:
        return self.stoppable

    async def retry(self, session: Any, caller: Any, operation: Operation) -> Operation:
        target = Target("thing", operation.resource_id, "thing", operation.project_id, operation.account_id, REGION)
        return await self._bench.ledger.begin(session, caller, target, Plan(operation.kind, retry_of=operation.id))


@pytest.fixture
def things(bench: Bench) -> Things:
    things = Things(bench)
    bench.ledger.register("thing", things)
    return things


async def act(context: Context) -> Outcome:
    """Wait until it is cancelled, fail, or succeed, as the operation's name says."""
    if context.operation.cancel_requested:
        return Cancelled()
    match context.operation.resource_name:
        case "bad":
            return Fail(Failure("broken", "It broke."))
        case "slow":
            return Wait(3600)
    return Done()


async def cancel(bench: Bench, operation_id: str) -> Any:
    async with bench.database.write() as session:
        return await bench.ledger.cancel(session, CALLER, operation_id)


async def retry(bench: Bench, operation_id: str) -> Any:
    async with bench.database.write() as session:
        return await bench.ledger.retry(session, CALLER, operation_id)


async def test_a_resource_has_one_live_operation(bench: Bench) -> None:
    first = await bench.get(await bench.begin())
    target = Target("thing", first.resource_id, "thing", first.project_id, first.account_id, REGION)
    with pytest.raises(OperationInProgressError) as refused:
        async with bench.database.write() as session:
            await bench.ledger.begin(session, CALLER, target, Plan("thing.update"))
    assert refused.value.facts["operation_id"] == first.id
    async with bench.running(act):
        await bench.ended(first.id)
    async with bench.database.write() as session:
        second = await bench.ledger.begin(session, CALLER, target, Plan("thing.update", steps=["a"]))
        out = await bench.ledger.out(session, second)
    assert (out.status, out.kind, out.progress.total, out.retry_of) == ("pending", "thing.update", 1, None)


async def test_what_runs_or_waits_is_cancelled_and_what_has_ended_is_not(bench: Bench, things: Things) -> None:
    slow, pending, good = await bench.begin("slow"), await bench.begin("slow"), await bench.begin()
    assert (await cancel(bench, pending)).status == "pending"
    async with bench.running(act):
        await bench.ended(good)
        assert (await cancel(bench, slow)).status in ("running", "cancelled")
        operations = await bench.ended(slow, pending)
        with pytest.raises(NotCancellableError):
            await cancel(bench, good)
    assert [operation.status for operation in operations] == ["cancelled", "cancelled"]
    ended = await bench.get(good)
    assert (ended.status, ended.cancel_requested) == ("succeeded", False)


async def test_what_cannot_be_stopped_goes_on(bench: Bench, things: Things) -> None:
    things.stoppable = False
    operation_id = await bench.begin("slow")
    with pytest.raises(NotCancellableError):
        await cancel(bench, operation_id)
    assert not (await bench.get(operation_id)).cancel_requested
    with pytest.raises(OperationNotFoundError):
        await cancel(bench, "op_nothing")


async def test_what_waits_is_told_more_and_what_has_been_taken_up_is_not(bench: Bench) -> None:
    operation_id = await bench.begin("slow")

    async def amend(operation: Operation) -> None:
        async with bench.database.write() as session:
            await bench.ledger.amend(session, operation, {"generation": 2})

    seen = await bench.get(operation_id)
    await amend(seen)
    assert (await bench.get(operation_id)).input == {**seen.input, "generation": 2}
    async with bench.running(act):

        async def taken_up() -> bool:
            return (await bench.get(operation_id)).status == "running"

        await bench.until(taken_up)
        with pytest.raises(OperationInProgressError) as refused:
            await amend(seen)  # as somebody does who read it before it was taken up
    assert refused.value.facts["operation_id"] == operation_id


async def test_a_parent_is_cancelled_with_its_children(bench: Bench, things: Things) -> None:
    parent = await bench.begin(kind=CLUSTER_APPLY, lock=False)
    slow = await bench.begin("slow", parent=parent)
    after = await bench.begin("after", parent=parent, needs=[Needs(slow)])
    registry = {KIND: Scripted(act), CLUSTER_APPLY: GroupReconciler(bench.database)}
    async with bench.running(registry):
        out = await cancel(bench, parent)
        assert [child.id for child in out.children] == [slow, after]
        operations = await bench.ended(parent, slow, after)
    assert [operation.status for operation in operations] == ["cancelled"] * 3


async def test_a_superseded_create_gives_its_place_and_its_lock_away(bench: Bench) -> None:
    create = await bench.begin("slow")
    operation = await bench.get(create)
    async with bench.running({KIND: Scripted(act), "thing.delete": Scripted(act)}, max_running_per_region=1):
        async with bench.database.write() as session:
            await bench.ledger.supersede(session, await session.get_one(Operation, create))
            target = Target("thing", operation.resource_id, "x", operation.project_id, operation.account_id, REGION)
            plan = Plan("thing.delete", needs=[Needs(create, "end")])
            delete = (await bench.ledger.begin(session, CALLER, target, plan)).id
        created, deleted = await bench.ended(create, delete)
    assert (created.status, deleted.status) == ("cancelled", "succeeded")
    assert deleted.started_at >= created.finished_at  # type: ignore[operator]


async def test_a_change_goes_on_to_its_end_without_its_lock(bench: Bench) -> None:
    let_go = asyncio.Event()

    async def change(_context: Context) -> Outcome:
        await let_go.wait()
        return Done()

    changing = await bench.begin()
    resource = (await bench.get(changing)).resource_id
    target = Target("thing", resource, "x", CALLER.project_id, DEFAULT_ACCOUNT, REGION)
    async with bench.running({KIND: Scripted(change), "thing.delete": Scripted(act)}):
        async with bench.database.write() as session:
            needs = await bench.ledger.let_end(session, await session.get_one(Operation, changing))
            delete = (await bench.ledger.begin(session, CALLER, target, Plan("thing.delete", needs=[needs]))).id
        async with bench.database.write() as session:
            with pytest.raises(OperationInProgressError, match=delete):
                await bench.ledger.check_free(session, resource)
        let_go.set()
        changed, deleted = await bench.ended(changing, delete)
    assert (changed.status, deleted.status) == ("succeeded", "succeeded")
    assert deleted.started_at >= changed.finished_at  # type: ignore[operator]


async def test_only_the_newest_failure_of_a_resource_is_retried(bench: Bench, things: Things) -> None:
    bad, good = await bench.begin("bad"), await bench.begin()
    async with bench.running(act):
        await bench.ended(bad, good)
        with pytest.raises(NotRetryableError):
            await retry(bench, good)
        new = await retry(bench, bad)
        assert (new.retry_of, new.status) == (bad, "pending")
        await bench.ended(new.id)
        with pytest.raises(NotRetryableError):  # the retry came after it
            await retry(bench, bad)
    assert (await bench.get(bad)).status == "failed"


async def test_no_kind_of_group_counts_as_an_operation_of_the_resource(
    bench: Bench, things: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = GROUP_KINDS | {"fleet.apply"}
    monkeypatch.setattr("app.operations.repository.GROUP_KINDS", both)
    monkeypatch.setattr("app.operations.service.GROUP_KINDS", both)
    bad = await bench.begin("bad")
    resource = (await bench.get(bad)).resource_id
    async with bench.running(act):
        await bench.ended(bad)
        for kind in sorted(both):
            async with bench.database.write() as session:
                target = Target("thing", resource, "x", CALLER.project_id, DEFAULT_ACCOUNT, REGION)
                group = await bench.ledger.begin(session, CALLER, target, Plan(kind, holds_lock=False))
                assert list(bench.ledger.begun(session)) == []
            async with bench.database.read() as session:
                latest = await repository.latest_of(session, resource)
            assert latest is not None
            assert latest.id == bad, f"{group.id} of {kind} is taken for the resource's own"
        assert (await retry(bench, bad)).retry_of == bad


async def test_a_retry_while_the_resource_is_changed_is_refused(bench: Bench, things: Things) -> None:
    bad = await bench.begin("bad")
    async with bench.running(act):
        await bench.ended(bad)
    await retry(bench, bad)
    with pytest.raises(OperationInProgressError):
        await retry(bench, bad)


@pytest.mark.calendar
async def test_old_operations_go_with_their_children_and_live_ones_stay(bench: Bench) -> None:
    registry = {KIND: Scripted(act), CLUSTER_APPLY: GroupReconciler(bench.database)}
    old_parent, young_parent = [await bench.begin(kind=CLUSTER_APPLY, lock=False) for _ in range(2)]
    old_child = await bench.begin(parent=old_parent)
    kept = [await bench.begin(parent=young_parent), young_parent, await bench.begin("slow")]
    old = [old_parent, old_child, await bench.begin()]
    async with bench.running(registry):
        await bench.ended(*old, *kept[:2])
    for operation_id in (*old, kept[0]):
        await bench.execute(
            "UPDATE operations SET finished_at = :then WHERE id = :id", then="2020-01-01 00:00:00+00", id=operation_id
        )
    await bench.execute("UPDATE operations SET finished_at = NULL WHERE id = :id", id=kept[2])
    assert await retention.delete_old(bench.database, 90) >= 2
    async with bench.database.read() as session:
        found = {each: await session.get(Operation, each) is not None for each in (*old, *kept[1:])}
    assert found == dict.fromkeys(old, False) | dict.fromkeys(kept[1:], True)
    assert await bench.events(old_child) == []
