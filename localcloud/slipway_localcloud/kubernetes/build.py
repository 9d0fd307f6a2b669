"""`build`: the Kubernetes programs from their Go modules, once per user and version.

Two builds at once are safe: the second waits for the first, tells how far that is, and takes its result. What
is half done is never seen, since the folder gets its name when it is complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from . import binaries, launch, toolchain
from .binaries import MODULES, SOURCES, STAGES, Binaries, NoBinaries
from .toolchain import Say

_STAGE_FOLDERS = ("node/fast", "node/heartbeat-with-lease", "pod/fast")
_BETWEEN_LINES = 5.0  # seconds
_BETWEEN_LOOKS = 0.2  # seconds
_LONGEST_WAIT = 40 * 60.0  # seconds, for another's build


def build(say: Say) -> Binaries:
    """The programs, built if they are not there yet; `say` gets the progress, line by line.

    Takes 6 to 10 minutes on two cores the first time. Raises NoBinaries with the compiler's last lines, or if
    another's build takes too long.
    """
    found = binaries.find()
    if found:
        return found
    root = binaries.cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root, say) as say:
        found = binaries.find()
        if found:
            return found
        started = time.monotonic()
        for stale in root.glob(".building-*"):
            shutil.rmtree(stale, ignore_errors=True)
        go = toolchain.find(root, say)
        say(f"building with {go}; the first time takes about ten minutes on two cores")
        with tempfile.TemporaryDirectory(prefix=".building-", dir=root) as temporary:
            folder = Path(temporary) / "programs"
            folder.mkdir()
            for module in MODULES:
                _compile(go, module, folder, say)
            (folder / STAGES).write_text(_stages(go))
            final = root / binaries.fingerprint()
            shutil.rmtree(final, ignore_errors=True)
            folder.rename(final)
        size = sum(path.stat().st_size for path in final.iterdir()) / 1e6
        say(f"built in {time.monotonic() - started:.0f} s, {size:.0f} MB: {final}")
        return Binaries(final)


def running() -> bool:
    """Whether a build goes on, in this process or another."""
    try:
        with (binaries.cache_root() / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextlib.contextmanager
def _alone(root: Path, say: Say) -> Iterator[Say]:
    """Waits for other builds. Gives a `say` that also those hear who wait for us: they read it in the lock's file.

    The kernel gives the lock back when its holder dies, however that happens.
    """
    with (root / "lock").open("a+") as file:
        _wait_for_others(file, say)

        def tell(line: str) -> None:
            file.truncate(0)
            file.write(line)
            file.flush()
            say(line)

        yield tell


def _wait_for_others(lock: IO[str], say: Say) -> None:
    started = time.monotonic()
    told, next_line = "", started
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            now = time.monotonic()
        if now - started > _LONGEST_WAIT:
            raise NoBinaries(f"another build goes on for more than {_LONGEST_WAIT / 60:.0f} minutes: end it, and retry")
        lock.seek(0)
        line = lock.read()
        if line and line != told and now >= next_line:
            told, next_line = line, now + _BETWEEN_LINES
            say(f"waiting for another build: {line}")
        time.sleep(_BETWEEN_LOOKS)


def _environment() -> dict[str, str]:
    """The user's Go settings (proxy, cache), except those that change what comes out."""
    kept = {k: v for k, v in os.environ.items() if k not in ("GOFLAGS", "GOOS", "GOARCH", "GOWORK")}
    return {**kept, "CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local", "GOFLAGS": ""}


def _compile(go: Path, module: str, folder: Path, say: Say) -> None:
    packages = MODULES[module]
    names = {package: _program(package) for package in packages}
    say(f"{', '.join(names.values())}: fetching sources")
    started = time.monotonic()
    counted = _run_quietly([str(go), "list", "-deps", *binaries.FLAGS, *packages], module)
    total = len(counted.splitlines())
    # One package may be named otherwise than its program (etcd's is `v3`); several go into a folder by their own.
    output = folder / names[packages[0]] if len(packages) == 1 else f"{folder}{os.sep}"
    command = [str(go), "build", "-v", *binaries.FLAGS, "-ldflags", binaries.linker_flags(module), "-o", str(output)]
    with subprocess.Popen(
        launch.command(["nice", *command, *packages]),  # whoever waits for it goes on with other work meanwhile
        cwd=SOURCES / module,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            last = _follow(process, ", ".join(names.values()), total, say)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise NoBinaries(f"{module} can't be built: " + "\n".join(last))
    say(f"{', '.join(names.values())}: done in {time.monotonic() - started:.0f} s")


def _program(package: str) -> str:
    return "etcd" if package == "go.etcd.io/etcd/server/v3" else package.rpartition("/")[2]


def _follow(process: subprocess.Popen[str], what: str, total: int, say: Say) -> list[str]:
    """Turns the compiler's list of packages into a line now and then. Returns its last lines."""
    assert process.stderr is not None
    last: list[str] = []
    count, said = 0, time.monotonic()
    for line in process.stderr:
        last = [*last[-19:], line.rstrip()]
        count += " " not in line.strip()
        if time.monotonic() - said >= _BETWEEN_LINES:
            said = time.monotonic()
            say(f"{what}: {count} of at most {total} packages, {line.strip()}")
    return last


def _run_quietly(command: list[str], module: str) -> str:
    done = subprocess.run(
        launch.command(command), cwd=SOURCES / module, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NoBinaries(f"{module}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _stages(go: Path) -> str:
    """kwok has no stages built in: those of its own repository, from the module's folder."""
    source = Path(_run_quietly([str(go), "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"], "kwok").strip())
    files = [path for name in _STAGE_FOLDERS for path in sorted((source / "kustomize" / "stage" / name).glob("*.yaml"))]
    return "---\n".join(path.read_text().strip() + "\n" for path in files if path.name != "kustomization.yaml")
