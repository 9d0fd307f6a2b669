"""The background work, put together: the engine with every feature's reconcilers, pollers, and what tidies up."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError

from app.cloudformation.poller import Poller
from app.core.outbound import Rules
from app.core.settings import Settings
from app.db.session import Database
from app.engine import retention
from app.engine.runner import Engine
from app.gateways.aws.cloudformation import CloudFormation
from app.http import idempotency
from app.standstill import Standstill
from app.webhooks import queue as webhook_queue
from app.webhooks.deliverer import Deliverer
from app.webhooks.sender import Sender
from app.wiring import Services

log = logging.getLogger(__name__)

TIDY_SECONDS = 3600.0
STUCK_SECONDS = 15.0
"""How long the engine's loop may fail to turn before the process is not ready."""
DEAD_SECONDS = 60.0
"""How long it may stand still, neither turning nor failing, before the process counts as dead."""


class Worker:
    """Carries operations out until it is stopped."""

    def __init__(self, settings: Settings, database: Database, services: Services) -> None:
        self._settings = settings
        self._database = database
        self._engine = Engine(database, services.reconcilers, settings, [services.outbox])
        self._poller = Poller(database, settings, self._engine.owner, _cloudformation(services))
        sender = Sender(Rules.of(settings), timeout_seconds=settings.webhook_timeout_seconds)
        self._deliverer = Deliverer(database, settings, services.vault, sender)
        self._standstill = Standstill(lambda: self._engine.last_look)
        self._stopping = False

    async def run(self) -> None:
        """Work until `stop`; a part that fails unexpectedly is logged and begun again."""
        beside = [
            asyncio.create_task(self._tidy(), name="tidy"),
            asyncio.create_task(self._poller.run(), name="poller"),
        ]
        self._standstill.start()
        delivering = asyncio.create_task(self._keep_running("the delivery of webhooks", self._deliverer.run))
        try:
            await self._keep_running("the engine", self._engine.run)
            await delivering
        finally:
            self._standstill.end()
            beside.append(delivering)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def stop(self) -> None:
        """Stop taking operations up, let what is under way finish, and give the rest back."""
        self._stopping = True
        self._standstill.end()
        await self._drain(
            self._engine.drain
        )  # first: what it ends is still written, to be delivered by whoever is next
        await self._drain(self._deliverer.drain)

    def problem(self) -> str | None:
        """Say what is wrong with the worker, or None."""
        still = time.monotonic() - self._engine.last_turn
        return f"its loop has not turned for {still:.0f} s" if still > STUCK_SECONDS else None

    def death(self) -> str | None:
        """Say why only a new process can help, or None."""
        still = time.monotonic() - self._engine.last_look
        return f"its loop has stood still for {still:.0f} s" if still > DEAD_SECONDS else None

    async def _drain(self, drain: Callable[[], Awaitable[None]]) -> None:
        try:
            await drain()
        except (SQLAlchemyError, OSError) as error:
            log.warning("what was under way could not be written; its leases run out by themselves: %s", error)

    async def _keep_running(self, what: str, run: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping:
            try:
                await run()
            except Exception:  # the last line of defence: without it, nothing would be done any more
                log.exception("%s failed unexpectedly and is begun again", what)
                await asyncio.sleep(1)

    async def _tidy(self) -> None:
        while True:
            try:
                async with self._database.write() as session:
                    await idempotency.delete_expired(session)
                await retention.delete_old(self._database, self._settings.operation_retention_days)
                await webhook_queue.delete_old(self._database, self._settings.operation_retention_days)
            except (SQLAlchemyError, OSError) as error:
                log.warning("could not tidy up, trying again in an hour: %s", error)
            await asyncio.sleep(TIDY_SECONDS)


def _cloudformation(services: Services) -> Callable[[str, str], Awaitable[CloudFormation]]:
    async def find(account_id: str, region: str) -> CloudFormation:
        return (await services.clouds.of(account_id, region)).cloudformation

    return find
