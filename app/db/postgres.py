"""Connections to PostgreSQL on which nothing is waited for without an end.

A node that loses power, a network that splits, a balancer that forgets: nobody says that a connection is dead. Here
each end gives the other one up: the server what a lost process held (`idle_in_transaction_session_timeout`), a process
a server that says nothing (`WAIT_SECONDS`), and TCP what is not acknowledged.

Sources: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS and
https://www.postgresql.org/docs/current/runtime-config-client.html.
"""

import asyncio
import os
import select
import socket
from collections.abc import Callable
from typing import Any, Self

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import URL

WAIT_SECONDS = 12.0
"""For one answer of the server; longer than it may work on a statement."""

CLIENT = {
    "connect_timeout": "8",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
"""What libpq is told, in seconds (`tcp_user_timeout`: milliseconds)."""

SERVER = {
    "idle_in_transaction_session_timeout": "6s",
    "lock_timeout": "8s",
    "statement_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15s",
}
"""What the session is begun with: a lost process lets go of rows and locks six seconds after its last statement."""


TRANSACTION = "15s"
"""For a whole transaction, where the server knows `transaction_timeout` (PostgreSQL 17).

The server's clock for idle transactions does not run while it waits for the rest of a batch of statements.
"""


def bounded(url: URL) -> URL:
    """Return a URL with every limit that it does not set itself, as a parameter or within its `options`.

    Not for what may take long and is waited for, such as a migration.
    """
    given = dict(url.query)
    own = given.pop("options", "")
    options = [f"-c {name}={value}" for name, value in SERVER.items()]
    words = " ".join([*options, *((own,) if isinstance(own, str) else own)]).strip()  # of two the last one holds
    return url.set(query={**CLIENT, **given, "options": words})


_LIMIT = "SELECT set_config('transaction_timeout', %s, false) WHERE current_setting('transaction_timeout') = '0'"


class Connection(psycopg.AsyncConnection[Any]):
    """A connection that is given up when the server does not answer.

    Cancelling the task that waits would not do: the driver asks the server to cancel first, and waits for that.
    """

    wait_seconds = WAIT_SECONDS

    @classmethod
    async def connect(cls, conninfo: str = "", *, autocommit: bool = False, **parameters: Any) -> Self:
        """Connect as `AsyncConnection.connect` does, and limit transactions unless the URL does."""
        connection = await super().connect(conninfo, autocommit=True, **parameters)
        try:
            if connection.info.server_version >= 170000:
                await connection.execute(_LIMIT, [TRANSACTION])
            await connection.set_autocommit(autocommit)
        except BaseException:  # also a cancelled task leaves none behind
            await connection.close()
            raise
        return connection

    async def wait(self, gen: PQGen[Any], *args: Any, **kwargs: Any) -> Any:
        """Wait for the server as `AsyncConnection.wait` does; raises OperationalError when it says nothing."""
        watchdog = Watchdog(self.wait_seconds, self._give_up)
        try:
            return await super().wait(gen, *args, **kwargs)
        finally:
            watchdog.end()

    def _give_up(self) -> bool:
        """Cut the connection off, unless an answer is there that nobody has come to read yet."""
        descriptor = self.pgconn.socket if self.pgconn.status == psycopg.pq.ConnStatus.OK else -1
        if descriptor < 0:
            return True
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        if waiting.poll(0):
            return False
        with socket.socket(fileno=os.dup(descriptor)) as same:
            same.shutdown(socket.SHUT_RDWR)
        return True


class Watchdog:
    """Calls a function after some seconds, and again if that says that it is not over."""

    def __init__(self, seconds: float, act: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._act = act
        self._handle = asyncio.get_running_loop().call_later(seconds, self._bite)

    def end(self) -> None:
        """Call it no more."""
        self._handle.cancel()

    def _bite(self) -> None:
        if not self._act():
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._bite)
