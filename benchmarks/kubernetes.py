"""A cluster of the local cloud seen past Slipway, and a chart repository for it, both on loopback."""

import asyncio
import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from app.gateways.kubernetes.connection import Connection
from benchmarks import processes
from benchmarks.processes import LocalCloud


class _Quiet(SimpleHTTPRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a helm that is killed does not read on
            super().handle()

    def log_message(self, *_arguments: object) -> None:
        pass


@contextlib.contextmanager
def repository(where: Path, helm: Path, name: str, templates: Mapping[str, str]) -> Iterator[str]:
    """Serve a repository with one chart, version 0.1.0; gives its URL.

    Args:
        where: A folder for it.
        helm: The binary, which packs it.
        name: Of the chart.
        templates: Text by file name.
    """
    made, chart = where / "charts", where / name
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": name, "version": "0.1.0"}))
    for file, text in templates.items():
        (chart / "templates" / file).write_text(text)
    subprocess.run([helm, "package", chart, "--destination", made], check=True, capture_output=True)
    subprocess.run([helm, "repo", "index", made], check=True, capture_output=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(made)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def connection(cloud: LocalCloud, cluster: str, outputs: Mapping[str, Any]) -> Connection:
    """Return the way to a cluster's API server.

    Args:
        cloud: Where it is.
        cluster: Its name.
        outputs: Of it, as Slipway says them.
    """

    def get() -> str:
        aws = processes.ROOT / "localcloud" / ".venv" / "bin" / "aws"
        command = [str(aws), "eks", "get-token", "--cluster-name", cluster, "--output", "json"]
        env = processes.environment() | cloud.env | {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
        said = json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)
        return str(said["status"]["token"])

    return Connection(outputs["endpoint"], outputs["certificate_authority"], lambda: asyncio.to_thread(get))
