"""A chart repository of one chart, on this machine: what a chart museum is for a company."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from app.demo.processes import Processes, StartError
from app.gateways.helm import binary

NAME = "charts"


def serve(processes: Processes, folder: Path, chart: Path, env: Mapping[str, str]) -> str:
    """Package a chart, index it, and serve both on a free port; return the repository's URL.

    Raises:
        StartError: helm refuses the chart, or nothing is served.
    """
    folder.mkdir()
    _helm(folder, "package", str(chart), "--destination", str(folder))
    _helm(folder, "repo", "index", str(folder))
    arguments = ["0", "--bind", "127.0.0.1", "--directory", str(folder)]
    running = processes.start(NAME, arguments, env, program=["-u", "-m", "http.server"])
    port = processes.first_line(running).split(" port ")[1].split()[0]  # Serving HTTP on 127.0.0.1 port 40001 (…) ...
    return f"http://127.0.0.1:{port}"


def _helm(folder: Path, *arguments: str) -> None:
    home = {f"HELM_{name}_HOME": str(folder.with_name("helm")) for name in ("CONFIG", "CACHE", "DATA")}
    command = [str(binary.locate()), *arguments]
    done = subprocess.run(command, env={**os.environ, **home}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartError(f"helm {arguments[0]}: {done.stderr.strip()}")
