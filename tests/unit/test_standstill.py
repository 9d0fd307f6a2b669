"""A process whose work stands still ends; one whose work moves on does not. Real processes."""

import subprocess
import sys

import pytest

from app.standstill import EXIT_CODE

SCRIPT = """
import itertools, sys, time
from app.standstill import Standstill
moves = itertools.count()
moved = (lambda: next(moves)) if sys.argv[1] == "moves" else (lambda: 7.0)
standstill = Standstill(moved, looks=3, look_seconds=0.05)
standstill.start()
if sys.argv[1] == "ended":
    standstill.end()
def holds_the_loop_up():
    time.sleep({seconds})
holds_the_loop_up()
"""


@pytest.mark.parametrize(("what", "seconds", "code"), [("stands", 60, EXIT_CODE), ("moves", 0.5, 0), ("ended", 0.5, 0)])
def test_only_what_stands_still_is_ended(what: str, seconds: float, code: int) -> None:
    script = SCRIPT.format(seconds=seconds)
    done = subprocess.run([sys.executable, "-c", script, what], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == code, done.stderr
    assert ("holds_the_loop_up" in done.stderr) == (code == EXIT_CODE)  # where it stands is told
