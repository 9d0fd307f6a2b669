"""A client of a service that is killed: it repeats what was not answered, under the same `Idempotency-Key`."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from benchmarks.processes import LOGIN, Slipway

ALREADY = "idempotency_in_progress"
UNAVAILABLE = "unavailable"


class Client:
    """Asks one of the replicas, whichever; `async with`.

    Attributes:
        faults: What was found wrong.
        counts: Requests that were cut off (`cut off`), and answers to try again, by their code.
    """

    def __init__(self, services: Sequence[Slipway], moments: random.Random) -> None:
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        self._services = services
        self._random = moments
        self._http = httpx.AsyncClient(headers=LOGIN, timeout=30, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def change(
        self, method: str, path: str, key: str, body: dict[str, Any] | None = None, *, within: float = 10.0
    ) -> dict[str, Any]:
        """Ask for a change, repeat the request, and return the operation once it has ended; it must succeed.

        Args:
            method: Of the request.
            path: Likewise.
            key: The `Idempotency-Key`.
            body: As JSON.
            within: Seconds in which it is asked for, at a random moment.
        """
        await asyncio.sleep(self._random.uniform(0, within))
        operation = await self.ask(method, path, key, body)
        again = await self.ask(method, path, key, body)
        if again["id"] != operation["id"]:
            self.faults.append(f"{method} {path}: the same key began {operation['id']} and {again['id']}")
        while operation["finished_at"] is None:
            await asyncio.sleep(1)
            operation = await self.ask("GET", f"/operations/{operation['id']}")
        if operation["status"] != "succeeded":
            self.faults.append(f"{operation['kind']} ({key}): {operation['status']}: {operation['error']}")
        return dict(operation)

    async def ask(self, method: str, path: str, key: str | None = None, body: Any = None) -> Any:
        """Send a request until it is answered; return the answer."""
        headers = {"Idempotency-Key": key} if key else {}
        was_cut_off = False
        while True:
            url = self._random.choice(self._services).url + path
            try:
                answer = await self._http.request(method, url, json=body, headers=headers)
            except httpx.TransportError:
                self.counts["cut off"] += key is not None and not was_cut_off
                was_cut_off = True
                await asyncio.sleep(0.1)
                continue
            if answer.is_success:
                return answer.json()
            problem = answer.json()
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE or problem["code"] == ALREADY:
                self.counts[problem["code"]] += 1
                await asyncio.sleep(0.5)
                continue
            raise RuntimeError(f"{method} {path}: {answer.status_code} {problem}")

    async def all(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Give all items of a list."""
        more = ""
        while True:
            page = await self.ask("GET", f"{path}?limit=200{more}")
            for item in page["items"]:
                yield item
            if page["next_page_token"] is None:
                return
            more = f"&page_token={page['next_page_token']}"
