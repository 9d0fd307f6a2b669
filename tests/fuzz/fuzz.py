"""`make fuzz`: each target for its share of the time, in a process of its own with bounds of memory and time.

Coverage guides the search where atheris is installed (Linux); elsewhere the same mutations go on without. What is
found is kept: `seeds/<target>/finding-…` is an input that ended in an error that is not allowed, a crash or a hang, and
`seeds/<target>/way-…` one for each way of ending that no seed had before. `make test` tries all of them.
"""

import argparse
import contextlib
import faulthandler
import hashlib
import json
import logging
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

SEEDS = Path(__file__).parent / "seeds"
SECONDS = 10
"""For one input."""
MEMORY = 3 << 30
"""Of address space, the interpreter and the SDK's models included."""
WAYS = 10
"""Seeds of a target that the search may add."""
WAY_BYTES = 2000


class HungError(BaseException):
    """An input took longer than `SECONDS`; no `except Exception` hides it."""


def outcome(target: Any, content: bytes) -> tuple[str, str | None]:
    """Run a target; return the way it ended, and the traceback if that is not allowed."""
    try:
        value = target.read(content)
    except target.allowed as error:
        return f"{type(error).__name__} {_place(error)}", None
    except (Exception, HungError) as error:
        return f"{type(error).__name__} {_place(error)}", traceback.format_exc()
    return f"value {type(value).__name__}", None


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/app/" in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}:{frames[-1].lineno}" if frames else "outside"


def keep(target: str, kind: str, content: bytes) -> Path:
    """Write a seed."""
    path = SEEDS / target / f"{kind}-{hashlib.sha256(content).hexdigest()[:10]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


class _Search:
    """One target in this process."""

    def __init__(self, target: Any, running: Path, report: Path) -> None:
        self._target, self._running, self._report = target, running, report
        self._ways: dict[str, int] = {}
        self._findings: dict[str, str] = {}
        self._added = 0
        self.runs = 0

    def __call__(self, content: bytes) -> None:
        self._running.write_bytes(content)
        signal.alarm(SECONDS)
        way, trace = outcome(self._target, content)
        signal.alarm(0)
        self.runs += 1
        if trace is not None and way not in self._findings:
            self._findings[way] = trace
            keep(self._target.name, "finding", content)
        elif way not in self._ways and trace is None:
            self._ways[way] = len(content)
            if self._added < WAYS and len(content) <= WAY_BYTES and self.runs > len(self.known):
                self._added += 1
                keep(self._target.name, "way", content)
        if self.runs % 200 == 0 or trace is not None:
            self.tell()

    known: tuple[bytes, ...] = ()

    def tell(self) -> None:
        self._report.write_text(json.dumps({"runs": self.runs, "findings": self._findings, "ways": len(self._ways)}))


def child(name: str, seconds: float, folder: Path) -> None:
    """Search one target; what it found stands in `folder`."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    faulthandler.enable()
    logging.disable()
    atheris: Any = None
    with contextlib.suppress(ImportError):
        import atheris
    guard = contextlib.nullcontext() if atheris is None else atheris.instrument_imports(include=["app"])
    with guard:
        from mutation import mutated
        from targets import BY_NAME, seeds, words

    def hung(_signal: int, _frame: FrameType | None) -> None:
        raise HungError

    signal.signal(signal.SIGALRM, hung)
    search = _Search(BY_NAME[name], folder / "running", folder / "report")
    search.known = tuple(seeds(name))
    for seed in search.known:
        search(seed)
    search.tell()
    known = words(name)
    if atheris is None:
        _blind(search, lambda content, rng: mutated(content, known, rng), seconds)
        return
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(search.known):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={max(1, int(seconds))}", "-max_len=4096", "-rss_limit_mb=0", "-timeout=60"]
    atheris.Setup(
        [sys.argv[0], *options, "-verbosity=0", str(corpus)],
        search,
        custom_mutator=lambda content, most, seed: mutated(content, known, random.Random(seed), most),
    )
    atheris.Fuzz()


def _blind(search: _Search, change: Callable[[bytes, random.Random], bytes], seconds: float) -> None:
    rng, end = random.Random(0), time.monotonic() + seconds
    while time.monotonic() < end:
        search(change(rng.choice(search.known or (b"",)), rng))
    search.tell()


def search_target(name: str, seconds: float) -> dict[str, Any]:
    """Search one target in child processes, again after each that died; return what came of it."""
    runs, findings, ways, end = 0, {}, 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 1 and len(findings) < 20:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
            folder = Path(place)
            command = [sys.executable, __file__, "--child", name, "--seconds", str(left), "--folder", place]
            died = ""
            try:
                done = subprocess.run(command, capture_output=True, timeout=left + 90, check=False)
                if done.returncode:
                    died = f"ended with {done.returncode}: {done.stderr.decode(errors='replace')[-1500:]}"
            except subprocess.TimeoutExpired:
                died = "hung, and could not be interrupted"
            if (folder / "report").exists():
                report = json.loads((folder / "report").read_text())
                runs, ways = runs + report["runs"], max(ways, report["ways"])
                findings |= report["findings"]
            if died and (folder / "running").exists():
                content = (folder / "running").read_bytes()
                findings[f"died on {keep(name, 'finding', content).name}"] = died
            elif died:
                findings["died before its first input"] = died
            if died:
                # The input would end the next child at once.
                break
    return {"runs": runs, "ways": ways, "findings": findings}


def main() -> int:
    """Search all targets, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--targets", default="", help="names with commas; all")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.seconds, given.folder)
        return 0
    from targets import TARGETS

    wanted = [target.name for target in TARGETS if not given.targets or target.name in given.targets.split(",")]
    found = 0
    for name in wanted:
        began = time.monotonic()
        result = search_target(name, given.minutes * 60 / len(wanted))
        minutes = (time.monotonic() - began) / 60
        found += len(result["findings"])
        figures = f"{minutes:.1f} min, {result['runs']} runs, {result['ways']} ways, {len(result['findings'])} findings"
        print(f"{name}: {figures}", flush=True)  # noqa: T201
        for way, trace in result["findings"].items():
            print(f"  {way}\n{trace}", flush=True)  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
