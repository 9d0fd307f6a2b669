"""Memory after hostile charts: archives of a few kB that unpack to what is dear to hold, read as a process does it.

`--charts` says how many; the newest `KEEP_CHARTS` of them are kept, as `releases/charts.py` does.
In a process of its own, so that its memory is that of reading charts alone.
"""

import argparse
import io
import itertools
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

from benchmarks.table import show

MOST_MB = 400
"""Resident memory that a process may have after all of them; a bare one that has read a small chart has some 60."""
_ABOUT = b"apiVersion: v2\nname: c\nversion: 1.0.0\ndescription: " + b"d" * 5000 + b"\n"
_MB = 1024 * 1024


def _packed(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in {"Chart.yaml": _ABOUT, **files}.items():
            info = tarfile.TarInfo(f"c/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def _schema(text: bytes) -> bytes:
    return _packed({"values.schema.json": text})


HOSTILE: dict[str, Callable[[], bytes]] = {
    "5 MB of [],[],… as schema": lambda: _schema(b"[" + b"[]," * 1_700_000 + b"[]]"),
    "as many as are read": lambda: _schema(b'{"x": [' + b"[]," * 99_000 + b"[]]}"),
    "5 MB of one text as schema": lambda: _schema(b'{"description": "' + b"x" * (5 * _MB - 100) + b'"}'),
    "a schema with many secrets": lambda: _schema(
        json.dumps({"properties": {f"{n:0>200}": {"writeOnly": True} for n in range(20_000)}}).encode()
    ),
    "a schema 60,000 deep": lambda: _schema(b"[" * 60_000 + b"]" * 60_000),
    "Chart.yaml 60,000 deep": lambda: _packed({"Chart.yaml": _ABOUT + b"x: " + b"[" * 60_000 + b"]" * 60_000}),
    "Chart.yaml of 5 MB, wide": lambda: _packed({"Chart.yaml": _ABOUT + b"x: [" + b"a," * 2_500_000 + b"a]"}),
    "values.yaml of 5 MB": lambda: _packed({"values.yaml": b"- 1\n" * (_MB + _MB // 5)}),
    "15,000 subcharts": lambda: _packed({f"charts/s{n}/Chart.yaml": _ABOUT[:100] for n in range(15_000)}),
    "500 subcharts": lambda: _packed({f"charts/s{n}/Chart.yaml": _ABOUT for n in range(500)}),
    "a bomb of 200 MB": lambda: _packed({f"f{n}": bytes(4 * _MB) for n in range(50)}),
    "90 MB of zeros": lambda: _packed({f"f{n}": bytes(4 * _MB) for n in range(22)}),
}


def run(options: argparse.Namespace) -> bool:
    """Measure, print, and tell whether memory stays bounded."""
    command = [sys.executable, "-m", "benchmarks.charts", str(getattr(options, "charts", 1000))]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rows = [(name, *figures) for name, figures in measured["kinds"].items()]
    show("hostile charts: the worst of each", ("kind", "archive kB", "outcome", "seconds"), rows)
    rows = [(f"after {count}", f"{megabytes:.0f}") for count, megabytes in measured["resident"]]
    show("resident memory", ("charts", "MB"), [*rows, ("most at any time", f"{measured['peak']:.0f}")])
    return bool(measured["resident"][-1][1] <= MOST_MB)


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / _MB


def _measure(count: int) -> None:
    from app.gateways.helm.chart import ChartLimits, read_chart
    from app.gateways.helm.errors import ChartInvalid
    from app.releases.charts import KEEP_CHARTS

    archives = {name: make() for name, make in HOSTILE.items()}
    kept: deque[object] = deque(maxlen=KEEP_CHARTS)
    outcomes: Counter[str] = Counter()
    kinds: dict[str, tuple[float, str, float]] = {}
    resident = [(0, _resident())]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.tgz"
        for number, (name, content) in zip(range(count), itertools.cycle(archives.items()), strict=False):
            path.write_bytes(content)
            began = time.monotonic()
            try:
                kept.append(read_chart(path, f"sha256:{number}", ChartLimits()))
                outcome = "a chart"
            except ChartInvalid as error:
                outcome = error.code
            outcomes[outcome] += 1
            seconds = max(time.monotonic() - began, kinds[name][2] if name in kinds else 0.0)
            kinds[name] = (round(len(content) / 1024, 1), outcome, round(seconds, 2))
            if number + 1 in (1, 10, 100, 500, count):
                resident.append((number + 1, _resident()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"kinds": kinds, "resident": resident, "peak": peak}))


if __name__ == "__main__":
    _measure(int(sys.argv[1]))
