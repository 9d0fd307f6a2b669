"""The loop: look, admit, claim, reconcile at once, write the results together. Any number of processes may run it."""

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Mapping, Sequence

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from app.core.failure import Failure
from app.core.ids import new_id
from app.core.logging import operation_id_var
from app.core.settings import Settings
from app.db.notify import OPERATIONS
from app.db.session import Database
from app.db.types import utcnow
from app.engine import claims, results
from app.engine.contract import Context, Fail, LeaseLostError, Observer, Outcome, Reconciler, TransientError, Wait
from app.engine.metrics import CLAIMS, DEAD_LETTERS, FENCED, RECONCILE_SECONDS
from app.engine.models import Operation
from app.engine.results import Result
from app.gateways.aws.errors import AwsError

log = logging.getLogger(__name__)

TRANSIENT_ATTEMPTS = 30
"""Calls in a row that found AWS or a cluster away before the operation fails; with backoff about 50 minutes."""

BUG_ATTEMPTS = 6
"""Calls in a row that ended in an error nobody foresaw before the operation is dead-lettered; about two minutes."""

MAX_BACKOFF_SECONDS = 120.0


def backoff(attempts: int) -> float:
    """Return the seconds before the next try after `attempts` failed ones: doubling, capped, jittered by half."""
    return float(min(MAX_BACKOFF_SECONDS, 2.0 ** min(attempts, 8)) * random.uniform(0.5, 1.0))  # noqa: S311


class Engine:
    """Carries operations out, with the reconciler of each kind."""

    def __init__(
        self,
        database: Database,
        registry: Mapping[str, Reconciler],
        settings: Settings,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.owner = f"{os.uname().nodename[:32]}-{os.getpid()}-{new_id('req')[-10:]}"
        self.last_turn = time.monotonic()
        self._database = database
        self._registry = registry
        self._observers = observers
        self._settings = settings
        self._phases = {kind: reconciler.phases for kind, reconciler in registry.items()}
        self._wake = asyncio.Event()
        self._results: list[Result] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._claimed: dict[str, Operation] = {}
        self._stopping = False

    async def run(self) -> None:
        """Turn until `drain` is called; a database that is away is waited for, and no result is lost meanwhile."""
        with self._database.notifier.subscribe(OPERATIONS, self._wake):
            while not self._stopping:
                try:
                    pause = await self._turn()
                    self.last_turn = time.monotonic()
                except (SQLAlchemyError, OSError) as error:
                    log.warning("the database does not answer, trying again: %s", error)
                    pause = 1.0
                if pause > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), pause)

    async def drain(self) -> None:
        """Stop claiming, let what is under way finish, write it, and give the rest back."""
        self._stopping = True
        self._wake.set()
        tasks = list(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._settings.drain_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._flush()
        async with self._database.write() as session:
            for operation in self._claimed.values():
                await claims.release(session, operation)
        self._claimed.clear()

    async def _turn(self) -> float:
        """Do what is due; return the seconds to sleep (0: look again at once)."""
        self._wake.clear()
        await self._flush()
        room = self._settings.max_inflight - len(self._tasks)
        async with self._database.read() as session:
            due = await claims.look(session)
        if not due.due or room <= 0:
            pause = self._settings.tick_seconds
            return pause if due.seconds_to_next is None or due.due else min(pause, max(0.01, due.seconds_to_next))
        async with self._database.write() as session:
            await claims.admit(session, per_region=self._settings.max_running_per_region)
            claimed = await claims.claim(
                session,
                owner=self.owner,
                lease_seconds=self._settings.lease_seconds,
                limit=room,
                phases=self._phases,
                skip=list(self._claimed),
            )
        CLAIMS.inc(len(claimed))
        for operation in claimed:
            self._claimed[operation.id] = operation
            task = asyncio.create_task(self._work(operation), name=operation.id)
            self._tasks[operation.id] = task
            task.add_done_callback(self._forget)
        return self._settings.tick_seconds

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task.get_name(), None)

    async def _work(self, operation: Operation) -> None:
        operation_id_var.set(operation.id)
        context = Context(
            operation=operation,
            data=dict(operation.data),
            steps=[dict(step) for step in operation.steps],
            warnings=list(operation.warnings),
            persist=self._persist,
        )
        with RECONCILE_SECONDS.labels(operation.kind).time():
            result = await self._call(context)
        if result is None:
            self._claimed.pop(operation.id, None)
            FENCED.inc()
            return
        self._results.append(result)
        self._wake.set()

    async def _call(self, context: Context) -> Result | None:
        operation = context.operation
        reconciler = self._registry[operation.kind]
        missing = context.data.get("failed_dependency")
        if missing and not operation.cancel_requested:
            return Result(context, Fail(_dependency_failed(missing)))
        try:
            outcome = await self._within_lease(reconciler, context)
        except LeaseLostError:
            log.warning("the lease is lost, somebody else works on it")
            return None
        except AwsError as error:
            if not error.retryable:
                return Result(context, Fail(error.as_failure()))
            return self._again(context, TRANSIENT_ATTEMPTS, error.as_failure(), None)
        except TransientError as error:
            return self._again(context, TRANSIENT_ATTEMPTS, error.failure, error.retry_after)
        except TimeoutError:
            failure = Failure("timed_out", f"{operation.phase} took longer than a lease.", retryable=True)
            return self._again(context, TRANSIENT_ATTEMPTS, failure, None)
        except DBAPIError as error:
            log.warning("the database does not answer: %s", error)
            failure = Failure("database_unavailable", "The database did not answer.", retryable=True)
            return self._again(context, TRANSIENT_ATTEMPTS, failure, None)
        except Exception as error:
            log.exception("%s: phase %s raised", operation.kind, operation.phase)
            failure = Failure(
                "internal_error",
                f"Slipway met an error that it did not foresee in {operation.phase}: {type(error).__name__}: {error}",
                hint="This is a fault of Slipway; its log has the trace under this operation's id. Retry it.",
                retryable=True,
            )
            return self._again(context, BUG_ATTEMPTS, failure, None)
        return Result(context, outcome)

    async def _within_lease(self, reconciler: Reconciler, context: Context) -> Outcome:
        if context.phase not in reconciler.activities:
            async with asyncio.timeout(self._settings.lease_seconds * 0.8):
                return await reconciler.reconcile(context)
        work = asyncio.ensure_future(reconciler.reconcile(context))
        try:
            while True:
                done, _ = await asyncio.wait({work}, timeout=self._settings.lease_seconds / 4)
                if done:
                    return work.result()
                await self._renew(context.operation)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _renew(self, operation: Operation) -> None:
        async with asyncio.timeout(self._settings.lease_seconds / 2), self._database.write() as session:
            lease = utcnow(self._settings.lease_seconds)
            if not await claims.fenced_update(session, operation, lease_expires_at=lease):
                raise LeaseLostError

    def _again(self, context: Context, limit: int, failure: Failure, retry_after: float | None) -> Result:
        attempts = context.operation.attempts + 1
        if attempts >= limit:
            dead = limit == BUG_ATTEMPTS
            if dead:
                DEAD_LETTERS.inc()
            return Result(context, Fail(failure), attempts=attempts, dead_letter=dead)
        log.info("not now (%s), attempt %d of %d", failure.message, attempts, limit)
        return Result(context, Wait(retry_after or backoff(attempts)), attempts=attempts)

    async def _persist(self, context: Context) -> None:
        async with self._database.write() as session:
            if not await claims.fenced_update(session, context.operation, data=context.data):
                raise LeaseLostError

    async def _flush(self) -> None:
        batch = list(self._results)
        if not batch:
            return
        try:
            await self._write(batch)
        except Exception as error:
            if _is_away(error):
                raise
            log.exception("a batch of results cannot be written, writing one by one")
            for result in batch:  # one that cannot be written must not hold the others up
                await self._write_alone(result)
        del self._results[: len(batch)]
        for result in batch:
            self._claimed.pop(result.operation.id, None)

    async def _write(self, batch: list[Result]) -> None:
        async with self._database.write() as session:
            for result in sorted(batch, key=lambda result: result.operation.id):
                if not await results.apply(session, self._database.notifier, self._registry, result, self._observers):
                    FENCED.inc()
                    log.warning("a result of %s came too late and is thrown away", result.operation.id)

    async def _write_alone(self, result: Result) -> None:
        try:
            await self._write([result])
        except Exception as error:
            if _is_away(error):
                raise
            log.exception("the result of %s cannot be written", result.operation.id)
            failure = Failure("internal_error", f"The result cannot be written: {error}", retryable=True)
            await self._write([self._again(result.context, BUG_ATTEMPTS, failure, None)])


def _dependency_failed(missing: dict[str, str]) -> Failure:
    return Failure(
        "dependency_failed",
        f"{missing['operation_id']} was needed and did not succeed: {missing['message']}",
        hint=f"Read operation {missing['operation_id']}, put its cause right, then retry both.",
        retryable=True,
    )


def _is_away(error: Exception) -> bool:
    """Tell whether the database is away (to be waited for) rather than the result wrong."""
    return isinstance(error, OperationalError | InterfaceError | OSError)
