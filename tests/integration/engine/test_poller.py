"""The shared poller: few calls for many waits, one process at it, and no error that ends it."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from integration.conftest import LocalCloud
from integration.engine.conftest import Bench, settings_of
from sqlalchemy import func, select
from sqlmodel import col

from app.cloudformation import poller as poller_module
from app.cloudformation.models import WATCHER, PollerLease
from app.cloudformation.poller import Poller
from app.db.base import DEFAULT_ACCOUNT
from app.engine.models import Operation, OperationEvent, OperationWatch
from app.gateways.aws.clients import PROCESS, AwsClients
from app.gateways.aws.cloudformation import CloudFormation
from app.gateways.aws.errors import AwsUnavailable
from app.operations import repository
from app.stacks.naming import client_token

REGION = "eu-central-1"
LISTS = "cloudformation:ListStacks"


@pytest.fixture
async def cloudformation(aws_environment: LocalCloud) -> AsyncIterator[CloudFormation]:
    async with AwsClients() as clients:
        yield CloudFormation(clients, PROCESS, REGION)


def template(name: str) -> str:
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": f"/{name}"}}
    return json.dumps({"Resources": {"Group": group}})


class Watching:
    """Operations that wait for stacks, as the engine leaves them."""

    def __init__(self, bench: Bench, cloudformation: CloudFormation) -> None:
        self.bench = bench
        self.cloudformation = cloudformation

    async def stack(self, operation_id: str, what: str = "create") -> str:
        name = f"poll-{uuid.uuid4().hex[:12]}"
        return await self.cloudformation.create(name, template(name), client_token(operation_id, what, 1))

    async def wait_for(self, operation_id: str, stack_id: str) -> None:
        async with self.bench.database.write() as session:
            operation = await session.get_one(Operation, operation_id)
            operation.status = "running"
            session.add(
                OperationWatch(
                    operation_id=operation_id,
                    target_id=stack_id,
                    watcher=WATCHER,
                    account_id=DEFAULT_ACCOUNT,
                    region=REGION,
                )
            )

    async def woken(self, operation_id: str) -> bool:
        return (await self.bench.get(operation_id)).wakes > 0

    @contextlib.asynccontextmanager
    async def polling(self, owner: str = "one", find: Any = None) -> AsyncIterator[None]:
        async def ours(_account: str, _region: str) -> CloudFormation:
            return self.cloudformation

        settings = settings_of(poll_min_seconds=0.2, poll_max_seconds=0.5)
        task = asyncio.create_task(Poller(self.bench.database, settings, owner, find or ours).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def watching(bench: Bench, cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch) -> Watching:
    monkeypatch.setattr(poller_module, "LOOK_SECONDS", 0.2)
    return Watching(bench, cloudformation)


async def test_one_call_serves_all_that_wait(watching: Watching, localcloud: LocalCloud) -> None:
    localcloud.rules([{"op": "create", "type": "AWS::Logs::LogGroup", "delay": 300}])
    slow = [await watching.bench.begin() for _ in range(5)]
    for operation_id in slow:
        await watching.wait_for(operation_id, await watching.stack(operation_id))
    localcloud.rules([])
    quick = await watching.bench.begin()
    await watching.wait_for(quick, await watching.stack(quick))
    localcloud.reset()
    async with watching.polling("one"), watching.polling("two"):
        await watching.bench.until(lambda: watching.woken(quick))
        assert not any([await watching.woken(each) for each in slow])

        async def some_polls() -> bool:
            return localcloud.calls().get(LISTS, 0) >= 3

        await watching.bench.until(some_polls)
        async with watching.bench.database.read() as session:
            left = await session.scalar(select(func.count()).select_from(OperationWatch))
            owners = (await session.execute(select(col(PollerLease.owner)))).scalars().all()
        assert (left, len(owners)) == (5, 1)
        assert set(localcloud.calls()) == {LISTS}
    async with watching.bench.database.read() as session:
        assert (await session.execute(select(PollerLease))).scalars().all() == []  # the next process polls at once


async def test_no_error_ends_it(watching: Watching) -> None:
    operation_id = await watching.bench.begin()
    await watching.wait_for(operation_id, await watching.stack(operation_id))
    errors = [RuntimeError("a bug"), OSError("no route"), None]

    async def find(_account: str, _region: str) -> CloudFormation:
        if error := errors.pop(0) if len(errors) > 1 else None:
            raise error
        return watching.cloudformation

    async with watching.polling(find=find):
        await watching.bench.until(lambda: watching.woken(operation_id))
    assert errors == [None]


async def test_throttling_makes_it_slower_and_loses_nothing(watching: Watching, localcloud: LocalCloud) -> None:
    operation_id = await watching.bench.begin()
    await watching.wait_for(operation_id, await watching.stack(operation_id))
    localcloud.rules([{"api": LISTS, "status": 400, "code": "Throttling", "times": 3}])
    async with watching.polling():
        await watching.bench.until(lambda: watching.woken(operation_id))


async def test_who_cannot_ask_aws_leaves_it_to_others(watching: Watching) -> None:
    """Two processes: the one that holds the lease is cut off from AWS, and the other one polls in its place."""
    operation_id = await watching.bench.begin()
    cut_off = asyncio.Event()

    async def find(_account: str, _region: str) -> CloudFormation:
        cut_off.set()
        raise AwsUnavailable("AWS does not answer", code="ConnectTimeoutError", operation="cloudformation:ListStacks")

    async with watching.polling("one", find):
        stack = await watching.stack(operation_id)
        await watching.wait_for(operation_id, stack)
        await cut_off.wait()  # it had the lease
        async with watching.polling("two"):
            await watching.bench.until(lambda: watching.woken(operation_id))


async def test_events_of_what_is_followed_are_its_own_and_kept_once(
    watching: Watching, localcloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller_module, "EVENTS_EVERY_SECONDS", 0.1)
    localcloud.rules([{"op": "create", "type": "AWS::Logs::LogGroup", "delay": 300}])
    followed, quiet = await watching.bench.begin(), await watching.bench.begin()
    stack = await watching.stack(followed)
    await watching.wait_for(followed, stack)
    await watching.wait_for(quiet, stack)
    async with watching.polling():
        async with watching.bench.database.write() as session:
            await repository.follow(session, [followed, quiet], 60)

        async def stack_events(operation_id: str) -> list[OperationEvent]:
            return [event for event in await watching.bench.events(operation_id) if event.type == "stack.event"]

        async def has_resource() -> bool:
            return any(event.data["logical_id"] == "Group" for event in await stack_events(followed))

        await watching.bench.until(has_resource)
        await asyncio.sleep(0.5)
        found = await stack_events(followed)
    assert await stack_events(quiet) == []  # the stack's events are those of the operation that began them
    assert len({event.source_id for event in found}) == len(found)
    assert all(event.data["stack_id"] == stack for event in found)
