"""A process that runs an engine until SIGTERM: `python worker_process.py`, set up by SLIPWAY_* variables.

Its operations succeed at once, but for those named `hold`, which the process that has it first never ends, `slow`,
which takes a moment, and `poison`, which kills every process that works on it. What is settled goes into the table
`settled`, with the process that did it, in the transaction that ends the operation.
"""

import asyncio
import os
import signal
import sys
from typing import Any, ClassVar

from sqlalchemy import text

from app import models  # noqa: F401 - SQLAlchemy must know every table
from app.core.settings import Settings
from app.db.session import Database
from app.engine.contract import Advance, Context, Done, Ending, Outcome, Reconciler
from app.engine.models import Operation
from app.engine.runner import Engine

KIND = "thing.create"


class Thing(Reconciler):
    phases: ClassVar[tuple[str, ...]] = ("begin", "second")

    async def reconcile(self, context: Context) -> Outcome:
        name = context.operation.resource_name
        if name == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "slow":
            await asyncio.sleep(0.3)
        if context.phase == "begin":
            return Advance("second")
        if name == "hold" and context.data.get("held", os.getpid()) == os.getpid():
            await context.intend(held=os.getpid())
            await asyncio.sleep(60)
        return Done()

    async def settle(self, session: Any, operation: Operation, ending: Ending) -> None:
        values = {"id": operation.id, "pid": os.getpid()}
        await session.execute(text("INSERT INTO settled (operation_id, pid) VALUES (:id, :pid)"), values)


async def main() -> None:
    settings = Settings()
    database = Database(settings.database_url)
    engine = Engine(database, {KIND: Thing()}, settings)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    listening = asyncio.create_task(database.notifier.run())
    running = asyncio.create_task(engine.run())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await stop.wait()
    await engine.drain()
    await running
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main())
