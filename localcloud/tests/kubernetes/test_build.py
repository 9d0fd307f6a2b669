"""The build around the compiler: one at a time, whole or not at all. The compiler is a script here."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from slipway_localcloud.kubernetes import binaries, build, commands

_GO = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
env) echo go1.26.9 ;;
list) if [ "$2" = -m ]; then echo {module}; else echo one; echo two; fi ;;
build)
  while [ -e {hold} ]; do sleep 0.02; done
  {fail}
  while [ "$1" != -o ]; do shift; done
  shift; out=$1; shift
  case "$out" in */) for p in "$@"; do echo x > "$out${{p##*/}}"; chmod +x "$out${{p##*/}}"; done ;;
  *) echo x > "$out"; chmod +x "$out" ;; esac ;;
esac
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `go` on PATH, an empty cache, and the file in which the script notes how it was called.

    It compiles for as long as there is a file `hold` beside.
    """
    for name in ("node/fast", "node/heartbeat-with-lease", "pod/fast"):
        folder = tmp_path / "module" / "kustomize" / "stage" / name
        folder.mkdir(parents=True)
        (folder / "one.yaml").write_text(f"kind: Stage # {name}\n")
        (folder / "kustomization.yaml").write_text("no stage")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(binaries.VARIABLE, raising=False)
    write_go(tmp_path)
    return tmp_path / "log"


def write_go(folder: Path, fail: str = ":") -> None:
    """Writes the script."""
    go = folder / "bin" / "go"
    go.write_text(_GO.format(log=folder / "log", hold=folder / "hold", module=folder / "module", fail=fail))
    go.chmod(0o755)


def compiled(log: Path) -> int:
    """How often the compiler ran."""
    return sum(line.startswith("build") for line in log.read_text().splitlines())


def until_running(*, expected: bool = True) -> None:
    """Waits for the build of another process, or for its end."""
    end = time.monotonic() + 20
    while build.running() is not expected:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_build_is_found_again(log: Path) -> None:
    """The second asks nobody."""
    lines: list[str] = []
    assert binaries.find() is None
    made = build.build(lines.append)
    assert made.missing() == []
    assert "pod/fast" in made.stages and "no stage" not in made.stages
    assert any(line.startswith("etcd: done in") for line in lines)
    log.write_text("")
    assert build.build(lines.append) == made == binaries.find()
    assert log.read_text() == ""
    assert not build.running()


def test_two_builds_at_once_compile_once(log: Path) -> None:
    """In two processes, as two `make` do it; the second tells how far the first is."""
    process = multiprocessing.get_context("fork").Process(target=build.build, args=(lambda line: None,))
    hold = log.with_name("hold")
    hold.touch()
    process.start()
    until_running()
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        hold.unlink(missing_ok=True)

    assert build.build(say).missing() == []
    process.join(60)
    assert process.exitcode == 0
    assert compiled(log) == len(binaries.MODULES)
    assert lines and all(line.startswith("waiting for another build: ") for line in lines)


def test_a_build_that_fails_says_why_and_leaves_nothing(log: Path, tmp_path: Path) -> None:
    """The next one starts anew."""
    write_go(tmp_path, fail='echo "no space left" >&2; exit 1')
    with pytest.raises(binaries.NoBinaries, match="etcd can't be built: no space left"):
        build.build(lambda line: None)
    assert binaries.find() is None
    assert [path.name for path in binaries.cache_root().iterdir()] == ["lock"]
    write_go(tmp_path)
    assert build.build(lambda line: None).missing() == []


def test_a_killed_build_does_not_stand_in_the_way(log: Path) -> None:
    """Its lock ends with it, and its files are taken away."""
    process = multiprocessing.get_context("fork").Process(target=build.build, args=(lambda line: None,))
    hold = log.with_name("hold")
    hold.touch()
    process.start()
    until_running()
    process.kill()
    process.join()
    until_running(expected=False)  # a child that it was just starting has the lock's file until it executes
    hold.unlink()
    assert build.build(lambda line: None).missing() == []
    assert not list(binaries.cache_root().glob(".building-*"))


def test_a_folder_of_ones_own(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts before the cache, and must be whole."""
    made = build.build(lambda line: None)
    monkeypatch.setenv(binaries.VARIABLE, str(made.folder))
    assert binaries.find() == made
    monkeypatch.setenv(binaries.VARIABLE, str(tmp_path))
    with pytest.raises(binaries.NoBinaries, match=r"lacks etcd, kwok, kube-apiserver"):
        binaries.find()


def test_versions_that_can_be_emulated() -> None:
    """Older ones are what comes closest."""
    wanted = {"1.31": "1.34", "1.33": "1.34", "1.34": "1.34", "1.35": "1.35", "1.37": "1.37", "1.40": "1.37"}
    assert {version: commands.emulated_version(version) for version in wanted} == wanted
