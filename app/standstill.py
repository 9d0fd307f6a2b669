"""Ends a process whose work stands still, so that whatever runs it starts it again."""

import faulthandler
import logging
import os
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""

LOOKS = 24
LOOK_SECONDS = 5.0
"""Two minutes in all; counted in looks and not by the clock, so that a process that was stopped itself is not ended."""


class Standstill:
    """A thread that looks whether something moves on, also while the event loop is held up.

    Args:
        moved: Gives another value each time that the work has moved on.
        looks: Looks in a row that see no other value, before the process ends with the traces of its threads.
        look_seconds: Between two looks.
    """

    def __init__(self, moved: Callable[[], float], *, looks: int = LOOKS, look_seconds: float = LOOK_SECONDS) -> None:
        self._moved = moved
        self._looks = looks
        self._look_seconds = look_seconds
        self._over = threading.Event()

    def start(self) -> None:
        """Look from now on."""
        threading.Thread(target=self._watch, name="standstill", daemon=True).start()

    def end(self) -> None:
        """Look no more."""
        self._over.set()

    def _watch(self) -> None:
        last, still = self._moved(), 0
        while not self._over.wait(self._look_seconds):
            now = self._moved()
            last, still = now, still + 1 if now == last else 0
            if still >= self._looks:
                log.critical("the work has stood still for %.0f s: the process ends", still * self._look_seconds)
                faulthandler.dump_traceback(2, all_threads=True)  # standard error, whatever Python makes of it
                os._exit(EXIT_CODE)
