"""The loop: look, admit, claim, reconcile at once, write the results together. Any number of processes may run it."""

import asyncio
import contextlib
import copy
import logging
import os
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import InvalidError
from app.core.failure import Failure, RefusedError
from app.core.ids import new_id
from app.core.logging import operation_id_var
from app.core.secrets.scope import entered
from app.core.settings import Settings
from app.db.notify import EVENTS, OPERATIONS
from app.db.session import Database
from app.db.types import utcnow
from app.engine import claims, failures, lost
from app.engine.contract import (
    Context,
    Fail,
    LeaseLostError,
    NewEvent,
    Observer,
    Outcome,
    Reconciler,
    TransientError,
    Wait,
)
from app.engine.metrics import CLAIMS, DEAD_LETTERS, FENCED, RECONCILE_SECONDS, UNWRITTEN
from app.engine.models import Admission, Operation
from app.engine.results import Result, ResultWriter

log = logging.getLogger(__name__)

TRANSIENT_ATTEMPTS = 30
"""Calls in a row that found AWS or a cluster away before the operation fails; with backoff about 50 minutes."""

BUG_ATTEMPTS = 6
"""Calls in a row that could not do their work, the last for a reason that nobody foresaw, before the operation is
dead-lettered; of such errors alone, about a minute."""

LAST_WRITES = 3
"""Tries of a process that ends to write what it did; another one may hold what it waits for."""

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
        self.last_turn = self.last_look = time.monotonic()
        self._database = database
        self._registry = registry
        self._settings = settings
        self._writer = ResultWriter(database.notifier, registry, observers)
        self._phases = tuple((kind, reconciler.phases) for kind, reconciler in registry.items())
        self._wake = asyncio.Event()
        self._results: list[Result] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._claimed: dict[str, Operation] = {}
        self._stopping = False
        self._turning = asyncio.Lock()

    async def run(self) -> None:
        """Turn until `drain` is called; a database that is away is waited for, and no result is lost meanwhile."""
        with self._database.notifier.subscribe(OPERATIONS, self._wake):
            while not self._stopping:
                pause = await self._try_to_turn()
                if pause > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), pause)

    async def drain(self) -> None:
        """Stop claiming, let what is under way finish, write it as it comes, and give the rest back."""
        self._stopping = True
        self._wake.set()
        async with self._turning:  # a turn that is at it may still claim
            try:
                await self._finish(self._settings.drain_seconds)
            finally:
                late = list(self._tasks.values())
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
            for left in reversed(range(LAST_WRITES)):
                try:
                    await self._give_back()
                    break
                except (SQLAlchemyError, OSError) as error:
                    if not left:
                        raise
                    log.warning("what was under way could not be written, trying again: %s", error)

    async def _give_back(self) -> None:
        await self._flush()
        async with self._database.write() as session:
            for operation in self._claimed.values():
                await claims.release(session, operation)
        self._claimed.clear()

    async def _finish(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._tasks and (left := end - loop.time()) > 0:
            await asyncio.wait(list(self._tasks.values()), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            with contextlib.suppress(SQLAlchemyError, OSError):  # written with the last ones then
                await self._flush()

    async def _try_to_turn(self) -> float:
        async with self._turning:
            if self._stopping:
                return 0.0
            try:
                pause = await self._turn()
            except (SQLAlchemyError, OSError) as error:
                log.warning("the database does not answer, trying again: %s", error)
                return 1.0
            finally:
                self.last_look = time.monotonic()
            self.last_turn = time.monotonic()
            return pause

    async def _turn(self) -> float:
        """Do what is due; return the seconds to sleep (0: look again at once)."""
        self._wake.clear()
        await self._flush()
        tick, places = self._settings.tick_seconds, self._settings.max_running_per_region
        room = self._room()
        async with self._database.read() as session:
            due = await claims.look(session, per_region=places, phases=self._phases)
        if not due.due or room <= 0:
            return tick if due.due or due.seconds_to_next is None else min(tick, max(0.01, due.seconds_to_next))
        async with self._database.write() as session:
            admitted = await claims.admit(session, per_region=places)
            claimed = await self._claim(session, room)
            if admitted or any(operation.lost_claims for operation in claimed):
                await self._database.notifier.notify(session, EVENTS)
        CLAIMS.inc(len(claimed))
        for operation in claimed:
            self._claimed[operation.id] = operation
            task = asyncio.create_task(self._work(operation), name=operation.id)
            self._tasks[operation.id] = task
            task.add_done_callback(self._forget)
        return 0.0 if claimed else tick

    def _room(self) -> int:
        """Return how many operations may be taken: none beside the call of a suspect, see `lost`."""
        alone = any(lost.is_suspect(operation) and not self._is_activity(operation) for operation in self._in_flight())
        return 0 if alone else self._settings.max_inflight - len(self._tasks)

    async def _claim(self, session: AsyncSession, room: int) -> Sequence[Operation]:
        """Take one suspect, before all else, as soon as no call is in flight; else what is due and no suspect."""
        ours: dict[str, Any] = {"owner": self.owner, "phases": self._phases, "skip": list(self._claimed)}
        seconds = self._settings.lease_seconds
        suspected = any(lost.is_suspect(operation) for operation in self._in_flight())
        if not suspected and await claims.has_suspect(session, **ours):
            if not all(self._is_activity(operation) for operation in self._in_flight()):
                return ()  # they return within their lease
            if taken := await claims.claim(session, **ours, lease_seconds=seconds, limit=1, suspects=True):
                return taken
        return await claims.claim(session, **ours, lease_seconds=seconds, limit=room)

    def _in_flight(self) -> Iterable[Operation]:
        return self._claimed.values()

    def _is_activity(self, operation: Operation) -> bool:
        return operation.phase in self._registry[operation.kind].activities

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task.get_name(), None)

    async def _work(self, operation: Operation) -> None:
        operation_id_var.set(operation.id)
        context = self._context(operation)
        with RECONCILE_SECONDS.labels(operation.kind).time(), entered(context.secrets):
            result = await self._call(context)
        await context.secrets.prepare()
        if result is None:
            self._claimed.pop(operation.id, None)
            FENCED.inc()
            return
        self._results.append(result)
        self._wake.set()

    def _context(self, operation: Operation) -> Context:
        return Context(
            operation=operation,
            data=copy.deepcopy(operation.data),
            steps=copy.deepcopy(operation.steps),
            warnings=list(operation.warnings),
            persist=self._persist,
        )

    async def _call(self, context: Context) -> Result | None:
        operation = context.operation
        reconciler = self._registry[operation.kind]
        if foregone := self._foregone(context):
            return foregone
        try:
            outcome = await self._within_lease(reconciler, context)
        except LeaseLostError:
            log.warning("the lease is lost, somebody else works on it")
            return None
        except RefusedError as error:
            return self._refused(context, error)
        except TransientError as error:
            return self._again(context, TRANSIENT_ATTEMPTS, error.failure, error.retry_after)
        except InvalidError as error:
            return Result(context, Fail(failures.invalid(error)))
        except TimeoutError:
            failure = Failure("timed_out", f"{operation.phase} took longer than a lease.", retryable=True)
            return self._again(context, TRANSIENT_ATTEMPTS, failure, None)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return self._unforeseen(context, error)  # something that it waited for was cancelled, not this call
        except Exception as error:
            return self._unforeseen(context, error)
        return Result(context, outcome)

    def _refused(self, context: Context, error: RefusedError) -> Result:
        if not error.retryable:
            return Result(context, Fail(error.as_failure()))
        return self._again(context, TRANSIENT_ATTEMPTS, error.as_failure(), None)

    def _unforeseen(self, context: Context, error: BaseException) -> Result:
        operation = context.operation
        if isinstance(error, SQLAlchemyError) and failures.is_away(error):
            log.warning("the database does not answer: %s", error)
            failure = Failure("database_unavailable", "The database did not answer.", retryable=True)
            return self._again(context, TRANSIENT_ATTEMPTS, failure, None)
        log.error("%s: phase %s raised", operation.kind, operation.phase, exc_info=error)
        return self._again(context, BUG_ATTEMPTS, failures.unforeseen(operation.phase, error), None)

    async def _within_lease(self, reconciler: Reconciler, context: Context) -> Outcome:
        if not self._is_activity(context.operation):
            async with asyncio.timeout(self._settings.lease_seconds * 0.8):
                return await reconciler.reconcile(context)
        work = asyncio.ensure_future(reconciler.reconcile(context))
        lease = asyncio.ensure_future(self._keep_lease(context.operation))
        try:
            await asyncio.wait({work, lease}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                lease.result()
            return await work
        finally:
            work.cancel()
            lease.cancel()
            await asyncio.gather(work, lease, return_exceptions=True)

    async def _keep_lease(self, operation: Operation) -> NoReturn:
        """Renew the lease four times in its length; leave a quarter of it to end the activity when that fails.

        Raises:
            LeaseLostError: somebody else has the operation, or the database did not answer in time.
        """
        quarter = self._settings.lease_seconds / 4
        while True:
            await asyncio.sleep(quarter)
            renewal = asyncio.create_task(self._renew(operation))
            # Waited for from outside: a driver that hangs in its own cancellation must not hold this up.
            done, _ = await asyncio.wait({renewal}, timeout=2 * quarter)
            if not done:
                renewal.cancel()
                raise LeaseLostError
            renewal.result()

    async def _renew(self, operation: Operation) -> None:
        while True:
            try:
                async with self._database.write() as session:
                    lease = utcnow(self._settings.lease_seconds)
                    renewed = await claims.fenced_update(session, operation, claims.is_leased(), lease_expires_at=lease)
            except Exception as error:
                if not failures.is_away(error):
                    raise
                await asyncio.sleep(self._settings.lease_seconds / 40)
            else:
                if not renewed:
                    raise LeaseLostError
                return

    def _again(self, context: Context, limit: int, failure: Failure, retry_after: float | None) -> Result:
        attempts = context.operation.attempts + 1
        if attempts >= limit:
            dead = limit == BUG_ATTEMPTS
            if dead:
                DEAD_LETTERS.inc()
            return Result(context, Fail(failure), attempts=attempts, dead_letter=dead)
        return self._later(context, attempts, limit, failure, retry_after)

    def _later(
        self, context: Context, attempts: int, limit: int, failure: Failure, retry_after: float | None = None
    ) -> Result:
        log.info("not now (%s), attempt %d of %d", failure.message, attempts, limit)
        if attempts & (attempts - 1) == 0:  # the 1st, 2nd, 4th, 8th …: told while it lasts, and not each time
            what_next = f"{failure.hint} " if failure.hint else ""
            message = f"Attempt {attempts} of {limit} met: {failure.message} {what_next}It is tried again."
            context.events.append(NewEvent("operation.waiting", message, data=failure.as_json()))
        return Result(context, Wait(retry_after or backoff(attempts)), attempts=attempts)

    async def _persist(self, context: Context) -> None:
        await context.secrets.prepare()
        told = len(context.events)
        async with self._database.write() as session:
            steps = await self._writer.keep(session, context)
        if steps is None:
            raise LeaseLostError
        context.operation.steps, context.steps = copy.deepcopy(steps), steps
        del context.events[:told]

    async def _flush(self) -> None:
        batch = list(self._results)
        if not batch:
            return
        try:
            await self._write(batch)
        except Exception as error:
            if failures.is_away(error):
                raise
            log.exception("a batch of results cannot be written, writing one by one")
            for result in batch:  # one that cannot be written must not hold the others up
                await self._write_alone(result)
        del self._results[: len(batch)]
        for result in batch:
            self._claimed.pop(result.operation.id, None)

    async def _write(self, batch: list[Result]) -> None:
        async with self._database.write() as session:
            await claims.lock_results(session, [result.operation.id for result in batch])
            for result in sorted(batch, key=lambda result: result.operation.id):
                if not await self._writer.apply(session, result):
                    FENCED.inc()
                    log.warning("a result of %s came too late and is thrown away", result.operation.id)

    async def _write_alone(self, result: Result) -> None:
        try:
            await self._write([result])
        except Exception as error:
            if failures.is_away(error):
                raise
            log.exception("the result of %s cannot be written", result.operation.id)
            await self._write_instead(result.operation, error)

    async def _write_instead(self, operation: Operation, error: Exception) -> None:
        """Have the operation tried again from what is written of it: what came of this call cannot be written."""
        UNWRITTEN.inc()
        try:
            async with self._database.read() as session:
                written = await session.get(Operation, operation.id)
            if written is not None and written.gen == operation.gen:
                await self._write_at_least_the_row(self._instead(written, error))
        except Exception as again:
            if failures.is_away(again):
                raise
            log.exception("%s is left to the end of its lease", operation.id)

    def _instead(self, written: Operation, error: Exception) -> Result:
        context = self._context(written)
        count = context.data.pop(failures.UNWRITTEN, 0) + 1
        failure = failures.not_written(written.phase, error)
        if count < failures.UNWRITTEN_RESULTS:
            context.data[failures.UNWRITTEN] = count
            return self._later(context, count, failures.UNWRITTEN_RESULTS, failure)
        log.error("%s is given up: %d of its results could not be written", written.id, count)
        DEAD_LETTERS.inc()
        return Result(context, Fail(failure), attempts=count, dead_letter=True)

    async def _write_at_least_the_row(self, result: Result) -> None:
        try:
            await self._write([result])
        except Exception as error:
            if failures.is_away(error):
                raise
            log.exception("only the row of %s is written", result.operation.id)
            async with self._database.write() as session:
                await claims.lock_results(session, [result.operation.id])
                await self._writer.apply_to_row(session, result)

    def _foregone(self, context: Context) -> Result | None:
        """Return the end of an operation that is not to be called at all."""
        operation = context.operation
        missing = Admission.of(context.data).failed_dependency
        if missing and not operation.cancel_requested:
            return Result(context, Fail(failures.dependency_failed(missing)))
        if failure := lost.failure(operation):
            log.error("%s: %s", operation.kind, failure.message)
            DEAD_LETTERS.inc()
            return Result(context, Fail(failure), dead_letter=True)
        return None
