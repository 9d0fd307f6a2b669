"""Start-up: seconds from exec to the first 200 of `/readyz`, and the memory then; beside a bare FastAPI app.

Both are started in turn on the same machine in the same run, so that the ratio of the medians holds elsewhere too.
SQLite, once with a new database (which is migrated first) and once with one that is there.
"""

import argparse
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import Memory, Process
from benchmarks.table import quantile, show

TIMES = 9


@dataclass
class _Kind:
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)

    def row(self, name: str, bare: "_Kind") -> tuple[object, ...]:
        middle, its = quantile(self.seconds, 0.5), quantile(bare.seconds, 0.5)
        rss = quantile((each.rss for each in self.memory), 0.5)
        pss = quantile((each.pss for each in self.memory), 0.5)
        least = quantile((each.rss for each in bare.memory), 0.5)
        cpu = quantile(self.cpu, 0.5)
        return name, middle, max(self.seconds), f"{middle / its:.2f}x", cpu, rss, pss, f"{rss / least:.2f}x"


def run(_options: argparse.Namespace) -> bool:
    """Measure and print."""
    bare, new, known = _Kind(), _Kind(), _Kind()
    with processes.folder() as where, processes.local_cloud(where) as cloud:
        for number in range(TIMES):
            url = f"sqlite:///{where}/{number}.db"
            _measure(_bare(where), bare)
            for kind in (new, known):
                service = processes.slipway(where, url, cloud)
                _measure((service, service.port), kind)
    head = ("", "s to ready", "slowest", "to bare", "CPU s", "RSS MB", "PSS MB", "RSS to bare")
    rows = [kind.row(name, bare) for name, kind in (("bare", bare), ("slipway", known), ("slipway, new file", new))]
    show(f"startup: exec to the first 200 of /readyz, median of {TIMES}", head, rows)
    return True


def _bare(where: Path) -> tuple[Process, int]:
    port = processes.free_port()
    command = [sys.executable, "-m", "benchmarks.bare", str(port)]
    return Process(command, processes.environment(), where / "bare.log"), port


def _measure(what: tuple[Process, int], kind: _Kind) -> None:
    process, port = what
    began = time.monotonic()
    process.start()
    try:
        processes.wait_for(f"http://127.0.0.1:{port}/readyz", process, every=0.01)
        kind.seconds.append(time.monotonic() - began)
        kind.cpu.append(processes.cpu_seconds(process.pid))
        kind.memory.append(processes.memory(process.pid))
    finally:
        process.stop()
