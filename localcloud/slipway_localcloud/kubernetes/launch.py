"""Runs a program that ends when its parent ends, however that happens (Linux).

As a script it asks the kernel for a signal at the parent's death and becomes the program: what a
`preexec_fn` would do, without running Python between fork and exec in a process that has threads. The
signal comes when the thread that started the program ends: start programs from a thread that lives on.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def command(program: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The command line that runs `program` so that it dies with this process."""
    listed = [os.fspath(word) for word in program]
    if sys.platform != "linux":
        return listed
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *listed]


def main() -> None:
    """`launch.py PARENT PROGRAM [ARGUMENT…]`"""
    parent, *program = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(1)
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
