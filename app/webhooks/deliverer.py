"""The loop: claim, send at once, write the results together. Any number of processes may run it.

Each lane (endpoint) has a limit of its own: one at first, doubled by every success, back to one by a failure. An
endpoint that hangs thus holds one place, and nobody else up.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import NoEncryptionKeyError, UndecryptableError, Vault
from app.core.settings import Settings
from app.db.notify import DELIVERIES
from app.db.session import Database
from app.webhooks import queue, schedule, secrets
from app.webhooks.claimed import Attempt, Claimed
from app.webhooks.metrics import ATTEMPTS, IN_FLIGHT, SECONDS
from app.webhooks.sender import Answer, Message, Sender

log = logging.getLogger(__name__)

LEASE_MARGIN_SECONDS = 15.0
"""Beyond the longest try: after this, what a process that died had taken is taken by another one."""

_MOST_LANES = 10_000
_GONE = 410
_HELD = (429, 503)


@dataclass(slots=True)
class _Lane:
    limit: int = 1
    in_flight: int = 0


class Deliverer:
    """Sends what the outbox holds, as long as `run` runs."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        vault: Vault,
        sender: Sender,
        waits: Sequence[float] = schedule.SCHEDULE,
    ) -> None:
        self._database = database
        self._settings = settings
        self._vault = vault
        self._sender = sender
        self._waits = waits
        self._wake = asyncio.Event()
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._claimed: dict[str, Claimed] = {}
        self._results: list[Attempt] = []
        self._turning = asyncio.Lock()
        self._stopping = False

    async def run(self) -> None:
        """Turn until `drain` is called; a database that is away is waited for, and no result is lost meanwhile."""
        with self._database.notifier.subscribe(DELIVERIES, self._wake):
            while not self._stopping:
                try:
                    async with self._turning:
                        pause = await self._turn()
                except (SQLAlchemyError, OSError) as error:
                    log.warning("the database does not answer, trying again: %s", error)
                    pause = 1.0
                if pause > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), pause)

    async def drain(self) -> None:
        """Stop claiming, let what is being sent finish, write it, and give the rest back."""
        self._stopping = True
        self._wake.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._settings.drain_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        async with self._turning, self._database.write() as session:
            written = await queue.write(session, self._results)
            tried = {attempt.claimed.id for attempt in self._results}
            await queue.release(session, [claimed for claimed in self._claimed.values() if claimed.id not in tried])
        self._tell(self._results, written)
        self._results.clear()
        self._claimed.clear()
        self._sender.close()

    async def _turn(self) -> float:
        """Write what was sent and take what is due; return the seconds to sleep."""
        self._wake.clear()
        tick = self._settings.tick_seconds
        full = [name for name, lane in self._lanes.items() if lane.in_flight >= lane.limit]
        room = self._settings.webhook_max_inflight - len(self._tasks)
        async with self._database.read() as session:
            wait = await queue.seconds_to_next(session, full)
        due = wait == 0.0 and room > 0
        results = list(self._results)
        if not due and not results:
            return min(tick, max(wait, 0.01)) if wait else tick
        async with self._database.write() as session:
            written = await queue.write(session, results)
            lost = await queue.write_lost(session, waits=self._waits, skip=list(self._claimed)) if due else 0
            claimed = await self._claim(session, room) if due else []
        ATTEMPTS.labels("lost").inc(lost)
        del self._results[: len(results)]
        self._tell(results, written)
        for delivery in claimed:
            self._start(delivery)
        return 0.0 if results and not due else tick

    async def _claim(self, session: AsyncSession, room: int) -> list[Claimed]:
        places = {name: lane.limit - lane.in_flight for name, lane in self._lanes.items()}
        claimed = await queue.claim(
            session,
            limit=room,
            room=places,
            usual_room=1,
            lease_seconds=self._settings.webhook_timeout_seconds + LEASE_MARGIN_SECONDS,
        )
        unsigned = {delivery.project_id for delivery in claimed if not delivery.sealed}
        for project_id in sorted(unsigned):
            with contextlib.suppress(NoEncryptionKeyError):
                sealed = secrets.first(self._vault, queue.callbacks_place(project_id), secrets.make())
                await queue.make_callback_secret(session, project_id, sealed)
        return await queue.read(session, [delivery.id for delivery in claimed]) if unsigned else claimed

    def _start(self, delivery: Claimed) -> None:
        self._claimed[delivery.id] = delivery
        self._lanes.setdefault(delivery.lane, _Lane()).in_flight += 1
        task = asyncio.create_task(self._deliver(delivery), name=delivery.id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        IN_FLIGHT.inc()

    async def _deliver(self, delivery: Claimed) -> None:
        lane = self._lanes[delivery.lane]
        try:
            answer = await self._send(delivery)
            lane.limit = 1 if answer.error else min(lane.limit * 2, self._settings.webhook_max_per_endpoint)
            self._results.append(self._attempt(delivery, answer))
        except Exception:  # its lease runs out, which counts as a try
            log.exception("%s could not be tried", delivery.id)
            lane.limit = 1
            self._claimed.pop(delivery.id, None)
        finally:
            lane.in_flight -= 1
            IN_FLIGHT.dec()
            self._wake.set()

    async def _send(self, delivery: Claimed) -> Answer:
        try:
            signing = secrets.opened(self._vault, delivery.sealed_at, delivery.sealed, datetime.now(UTC))
        except UndecryptableError as error:
            log.error("%s cannot be signed: %s", delivery.id, error)
            return Answer(datetime.now(UTC), 0, error=f"Slipway cannot sign it: {error}")
        if not signing:
            return Answer(datetime.now(UTC), 0, error="Slipway cannot sign it: there is no secret")
        message = Message(delivery.event_id, delivery.url, delivery.payload)
        with SECONDS.time():
            return await self._sender.send(message, signing)

    def _attempt(self, delivery: Claimed, answer: Answer) -> Attempt:
        asked = schedule.parse_retry_after(answer.retry_after) if answer.retry_after else None
        hold = asked if answer.status_code in _HELD else None
        gone = answer.status_code == _GONE
        return Attempt(
            claimed=delivery,
            at=answer.at,
            status_code=answer.status_code,
            latency_ms=answer.latency_ms,
            error=answer.error,
            response=answer.response,
            retry_in=None if gone or not answer.error else schedule.delay(delivery.tries + 1, hold, self._waits),
            hold_lane=hold,
            disable="It answered 410 Gone." if gone else None,
        )

    def _tell(self, tried: Sequence[Attempt], written: Sequence[Attempt]) -> None:
        """Forget what was written, count it, and log what did not arrive."""
        for attempt in tried:
            self._claimed.pop(attempt.claimed.id, None)
        ATTEMPTS.labels("fenced").inc(len(tried) - len(written))
        for attempt in written:
            outcome = "succeeded" if attempt.error is None else "failed" if attempt.retry_in is None else "retried"
            ATTEMPTS.labels(outcome).inc()
            if attempt.error:
                claimed = attempt.claimed
                wait = "given up" if attempt.retry_in is None else f"next try in {attempt.retry_in:.0f} s"
                log.info(
                    "%s of %s to %s, try %d: %s; %s",
                    *(claimed.id, claimed.event_type, claimed.lane, claimed.tries + 1, attempt.error, wait),
                )
        if len(self._lanes) > _MOST_LANES:
            self._lanes = {name: lane for name, lane in self._lanes.items() if lane.in_flight}
