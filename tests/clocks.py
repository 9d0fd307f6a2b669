"""The clock of processes, moved to another day: of the real ones, from outside, by a library that is loaded first.

libfaketime stands between a program and the C library: Python, SQLite, OpenSSL and PostgreSQL all ask it. Its wheel
brings it compiled, for Linux on x86-64. What is static goes by the kernel's clock all the same: helm and the Kubernetes
programs, which Go made. The monotonic clock stays, so that time-outs take the time that they say.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from datetime import UTC, date, datetime, time
from pathlib import Path

_PRELOAD, _OFFSET = "LD_PRELOAD", "FAKETIME"
# Without the second, threads of Python give each other the interpreter a hundred times too late.
_MONOTONIC_STAYS = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0"}


class CannotMoveError(Exception):
    """The clocks of processes cannot be moved here; the message says why."""


def moved_to(day: date) -> dict[str, str]:
    """Return what moves the clock of a process, and of what that starts, when it is in its environment.

    An offset rather than a day: all processes of a world have one time, whenever they start.

    Raises:
        CannotMoveError: not on this machine.
    """
    if sys.platform != "linux":
        raise CannotMoveError(f"{sys.platform} is not Linux")
    if not sysconfig.get_config_var("HAVE_SEM_CLOCKWAIT"):
        raise CannotMoveError("this Python waits for locks by the wall clock: built on a C library older than 2.30")
    package = importlib.util.find_spec("libfaketime")
    assert package is not None
    assert package.submodule_search_locations
    library = Path(package.submodule_search_locations[0]) / "vendor/libfaketime/src/libfaketime.so.1"
    offset = datetime.combine(day, time(12), UTC).timestamp() - datetime.now(UTC).timestamp()
    env = {_PRELOAD: str(library), _OFFSET: f"{offset:+.0f}", **_MONOTONIC_STAYS}
    script = "import datetime; print(datetime.datetime.now(datetime.UTC).date())"
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    if done.stdout.strip() != str(day):
        raise CannotMoveError(f"its wheel has no libfaketime for this machine: {done.stderr.strip()}")
    return env


def of_this_process(folder: Path) -> dict[str, str]:
    """Return what moves another process's clock as this one's is moved; nothing if it is not.

    Args:
        folder: Where that process may read files: it gets the library there, since another user may not read ours.
    """
    if _OFFSET not in os.environ:
        return {}
    copy = shutil.copy(os.environ[_PRELOAD], folder)
    kept = {name: value for name, value in os.environ.items() if name.startswith(_OFFSET) and name != "FAKETIME_SHARED"}
    return {**kept, _PRELOAD: str(copy)}
