"""Working through resources in the order of their dependencies, as many at once as these allow.

AWS does so; ministack does one after another, which hides how a failure meets its siblings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any


class Failed(Exception):
    """Some resources failed. `failed` are those that did by themselves, in that order."""

    def __init__(self, failed: list[str]) -> None:
        super().__init__(", ".join(failed))
        self.failed = failed


class Stopped(Exception):
    """The walk was stopped from outside."""


Visit = Callable[[str], Awaitable[bool]]


async def walk(dependencies: Mapping[str, set[str]], visit: Visit, stop: asyncio.Event | None = None) -> None:
    """Visits each key once all that it depends on was visited. `visit` says whether it worked.

    At the first failure, and when `stop` is set, visits under way are cancelled and no new ones begin.
    Raises Failed or Stopped.
    """
    waiting = {key: set(needs) & set(dependencies) for key, needs in dependencies.items()}
    running: dict[asyncio.Future[bool], str] = {}
    halt: asyncio.Future[Any] | None = asyncio.ensure_future(stop.wait()) if stop else None
    try:
        while waiting or running:
            for key in [key for key, needs in waiting.items() if not needs]:
                del waiting[key]
                running[asyncio.ensure_future(visit(key))] = key
            watched: list[asyncio.Future[bool]] = [*running, *([halt] if halt else [])]
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if halt in done:
                raise Stopped
            failed = []
            for task in done:
                key = running.pop(task)
                if not task.result():
                    failed.append(key)
                for needs in waiting.values():
                    needs.discard(key)
            if failed:
                raise Failed(failed)
    finally:
        if halt:
            halt.cancel()
        await _cancel(list(running))


async def walk_all(dependencies: Mapping[str, set[str]], visit: Visit) -> list[str]:
    """Like `walk`, but goes on after failures, leaving out what depends on them. Returns those that failed."""
    waiting = {key: set(needs) & set(dependencies) for key, needs in dependencies.items()}
    running: dict[asyncio.Future[bool], str] = {}
    failed: list[str] = []
    try:
        while waiting or running:
            for key in [key for key, needs in waiting.items() if not needs]:
                del waiting[key]
                running[asyncio.ensure_future(visit(key))] = key
            if not running:
                break
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                key = running.pop(task)
                if not task.result():
                    failed.append(key)
                    continue
                for needs in waiting.values():
                    needs.discard(key)
    finally:
        await _cancel(list(running))
    return failed


def reverse(dependencies: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The order of deletion: what depended on a key comes before it."""
    backwards: dict[str, set[str]] = {key: set() for key in dependencies}
    for key, needs in dependencies.items():
        for need in needs & set(dependencies):
            backwards[need].add(key)
    return backwards


async def _cancel(tasks: list[asyncio.Future[bool]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
