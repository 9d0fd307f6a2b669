"""One process with everything bounded, tried with the shell's tools in place of helm."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest
import uvloop

from app.core.processes import namespace
from app.gateways.helm import binary
from app.gateways.helm.errors import BinaryUnusable
from app.gateways.helm.process import Finished, Limits, _Reader, run
from app.gateways.helm.workspace import OLD_SECONDS, private_folder, sweep

PATH = {"PATH": os.defpath}


async def python(
    code: str, *, limits: Limits | None = None, deadline_seconds: float = 60, stdin: bytes = b""
) -> Finished:
    return await run(
        [sys.executable, "-c", textwrap.dedent(code)],
        environment=PATH,
        folder=Path("/"),
        stdin=stdin,
        limits=limits or Limits(),
        deadline_seconds=deadline_seconds,
    )


async def test_output_is_kept_within_bounds() -> None:
    code = """
        import sys
        sys.stdout.write("o" * 3_000_000)
        for i in range(500):
            print("line", i, "x" * 9000, file=sys.stderr)
    """
    done = await python(code, limits=Limits(output_bytes=1000))
    assert (done.exit_code, len(done.stdout), done.truncated, done.expired) == (0, 1000, True, False)
    assert done.stderr.startswith("line 0 ")
    assert "line 499 " in done.stderr
    assert len(done.stderr) < 2_000_000


async def test_input_that_is_not_read_does_no_harm() -> None:
    assert (await python("pass", stdin=b"x" * 1_000_000)).exit_code == 0


def test_a_process_that_ended_before_it_was_fed_does_no_harm() -> None:
    async def ended_first() -> Finished:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec("true", stdin=pipe, stdout=pipe, stderr=pipe)
        await process.wait()
        reader = _Reader(process, 1000, None)
        await reader.communicate(b"values")
        return reader.finished(expired=False)

    assert uvloop.run(ended_first()).exit_code == 0  # uvloop, as the service: its closed pipes raise RuntimeError


async def test_memory_is_bounded() -> None:
    done = await python("x = bytearray(400_000_000)", limits=Limits(memory_bytes=100_000_000))
    assert done.exit_code == 1
    assert "MemoryError" in done.stderr


async def test_a_deadline_is_kept_with_sigterm_first() -> None:
    code = """
        import signal, sys, time
        def end(*_):
            print("ended", flush=True)
            sys.exit(3)
        signal.signal(signal.SIGTERM, end)
        print("began", flush=True)
        time.sleep(60)
    """
    done = await python(code, deadline_seconds=2, limits=Limits(grace_seconds=60))
    assert done.expired
    assert done.stdout in (b"began\nended\n", b"ended\n", b"")  # it may not have come so far


async def test_what_ignores_sigterm_is_killed_with_its_children() -> None:
    code = """
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = os.fork()
        print(child or "child", flush=True)
        time.sleep(60)
    """
    for seconds in (3, 45):  # a busy machine may not have brought it so far that it ignores anything
        done = await python(code, deadline_seconds=seconds, limits=Limits(grace_seconds=0.2))
        if done.stdout:
            break
    assert done.exit_code == -signal.SIGKILL
    for word in done.stdout.split():
        if word.isdigit():
            await _gone(word.decode())


async def test_cancelled_twice_it_still_ends_the_process(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = f"""
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open({str(mark)!r}, "w").write(str(os.getpid()))
        time.sleep(60)
    """
    task = asyncio.create_task(python(code, limits=Limits(grace_seconds=0.5)))
    await _written(mark)
    task.cancel()
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _lives(mark.read_text())


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.003, 0.01])
async def test_cancelled_while_it_starts_nothing_is_left(delay: float) -> None:
    word = f"marker_{uuid.uuid4().hex}"  # all processes of the machine are looked at, those of other tests too
    task = asyncio.create_task(python(f"{word} = 1\nimport time\ntime.sleep(60)"))
    await asyncio.sleep(delay)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert word not in _all_commands()


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")
async def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    child = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"""
        import asyncio
        from pathlib import Path
        from app.gateways.helm.process import Limits, run
        asyncio.run(run([{sys.executable!r}, "-c", {child!r}], environment={{"PATH": {os.defpath!r}}}, folder=Path("/"),
            limits=Limits(), deadline_seconds=60))
    """
    with _started(parent) as process:
        await _written(mark)
        process.kill()
    await _gone(mark.read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")
async def test_it_does_not_begin_once_its_parent_is_dead(tmp_path: Path) -> None:
    asked, waiting, orphaned = tmp_path / "asked", tmp_path / "waiting", tmp_path / "orphaned"
    parent = f"""
        import os, pathlib, time
        from app.gateways.helm.process import Limits, _bounded
        parent, chain = os.getpid(), _bounded(Limits())
        if child := os.fork():
            if os.waitpid(child, 0)[1] == 0:  # its first child found its parent alive
                pathlib.Path({str(asked)!r}).write_text("yes")
            if os.fork():
                time.sleep(60)
            pathlib.Path({str(waiting)!r}).write_text(str(os.getpid()))
            while os.getppid() == parent:
                time.sleep(0.01)
            os.execv(chain[0], [*chain, "/usr/bin/env", "touch", {str(orphaned)!r}])
        os.execv(chain[0], [*chain, "/usr/bin/env", "true"])
    """
    with _started(parent) as process:
        await _written(waiting)
        process.kill()
    for _ in range(600):
        if not _lives(waiting.read_text()):
            assert asked.exists()
            assert not orphaned.exists()
            return
        await asyncio.sleep(0.05)
    pytest.fail("it never ended")


def test_versions() -> None:
    assert binary.parse_version("v4.3.1+gc0d08d0") == (4, 3, 1)
    for text in ("v3.19.0+g1234567", "hello"):
        with pytest.raises(BinaryUnusable):
            binary.parse_version(text)


def test_a_binary_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BinaryUnusable):
        binary.locate(tmp_path / "helm")


def test_folders_of_dead_processes_are_swept(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    ours, mine = private_folder(tmp_path), f"slipway-helm-{namespace()}-{os.getpid()}"
    for name in (f"slipway-helm-{namespace()}-{dead.pid}-1-a", f"{mine}-1-an-earlier-one-of-this-id"):
        (tmp_path / name).mkdir()
    kept = {ours.name, "slipway-helm-x", "other", f"slipway-helm-{dead.pid}-a"}  # the last is an older Slipway's
    for name in kept - {ours.name}:
        (tmp_path / name).mkdir()
    assert sweep(tmp_path) == 2
    assert {path.name for path in tmp_path.iterdir()} == kept


IN_ANOTHER = "from app.gateways.helm.workspace import {call}; import pathlib; print({call}(pathlib.Path('{folder}')))"


def test_folders_of_another_container_are_swept_only_when_they_are_old(tmp_path: Path) -> None:
    """Neither side can see whether the other's processes live; both have one with the id 1, as like as not."""
    alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may make no process namespaces")

    def there(call: str) -> str:
        code = IN_ANOTHER.format(call=call, folder=tmp_path)
        return subprocess.run([*alone, sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    theirs, ours = Path(there("private_folder").strip()), private_folder(tmp_path)
    assert (sweep(tmp_path), there("sweep").strip()) == (0, "0")
    a_day_ago = time.time() - OLD_SECONDS - 60
    os.utime(theirs, (a_day_ago, a_day_ago))
    os.utime(ours, (a_day_ago, a_day_ago))
    assert sweep(tmp_path) == 1  # ours lives, as we can see
    assert list(tmp_path.iterdir()) == [ours]


def _text(mark: Path) -> str:
    return mark.read_text() if mark.exists() else ""


async def _written(mark: Path) -> None:
    for _ in range(2000):
        if _text(mark):
            return
        await asyncio.sleep(0.02)
    pytest.fail("it never started")


def _started(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=Path(__file__).parents[3])


def _all_commands() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


async def _gone(pid: str) -> None:
    """Wait for the end of a process that isn't ours to reap: it closes its files and its group a little before."""
    for _ in range(600):
        if not _lives(pid):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"process {pid} lives on")


def _lives(pid: str) -> bool:
    """Whether there is such a process, and it isn't one that only waits to be reaped."""
    try:
        return not re.search(r"\) [ZX] ", Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while, it is read
        return False
