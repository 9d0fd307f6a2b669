"""Releases: installed through Slipway and by the helm binary alone, in turn, on the same cluster of the local cloud.

Both fetch the chart from the same repository on loopback, make the namespace, and wait with the `watcher` strategy.
helm alone has a kubeconfig with a token in it, so that no AWS CLI starts within what is measured. The whole is the time
from the POST to the operation's end by its own clock; the wait part is the operation's step in which helm works. The
releases are uninstalled in between. Then many releases at once, beside helm alone with as many processes at a time.
"""

import argparse
import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from app.gateways.helm.binary import locate
from benchmarks import fleet, processes
from benchmarks.processes import LocalCloud, Slipway
from benchmarks.table import quantile, show

CLUSTER = "bench"
CHARTS = ("sock-shop", "one-deployment")
TIMES = (9, 9)
GOAL_RATIO, GOAL_ADDED = 1.15, 0.5
"""The wait part by helm alone, and the seconds that the whole may take more."""
MANY, AT_A_TIME = 50, 10
"""Releases at once, and helm processes of one cluster by Slipway's default."""

_TEMPLATE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: web, image: "registry.example/web:1.0"}]}
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@contextlib.contextmanager
def repository(where: Path, helm: Path) -> Iterator[str]:
    """Serve a chart repository with both charts; gives its URL."""
    made, one = where / "charts", where / "one-deployment"
    (one / "templates").mkdir(parents=True)
    (one / "Chart.yaml").write_text("apiVersion: v2\nname: one-deployment\nversion: 0.1.0\n")
    (one / "templates" / "app.yaml").write_text(_TEMPLATE)
    for chart in (processes.ROOT / "examples" / "charts" / "sock-shop", one):
        subprocess.run([helm, "package", chart, "--destination", made], check=True, capture_output=True)
    subprocess.run([helm, "repo", "index", made], check=True, capture_output=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(made)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(path: Path, cloud: LocalCloud, outputs: dict[str, Any]) -> Path:
    """Write a kubeconfig with a token of now, which EKS takes for 15 minutes."""
    aws = str(processes.ROOT / "localcloud" / ".venv" / "bin" / "aws")
    command = [aws, "eks", "get-token", "--cluster-name", CLUSTER, "--output", "json"]
    env = processes.environment() | cloud.env | {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    said = json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)
    cluster = {"server": outputs["endpoint"], "certificate-authority-data": outputs["certificate_authority"]}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": said["status"]["token"]}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            }
        )
    )
    path.chmod(0o600)
    return path


@dataclass(frozen=True, slots=True)
class Bench:
    """Where both work: the cluster, the chart repository, helm, and Slipway."""

    helm: Path
    config: Path
    home: Path
    url: str
    service: Slipway
    client: httpx.Client

    def run(self, *arguments: str) -> str:
        """Run helm to its end; return what it prints."""
        homes = {f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        env = processes.environment() | homes | {"KUBECONFIG": str(self.config)}
        ended = subprocess.run([str(self.helm), *arguments], env=env, capture_output=True, text=True)
        if ended.returncode:
            raise RuntimeError(f"helm {arguments[0]}: {ended.stderr}")
        return ended.stdout


def alone(bench: Bench, chart: str, namespace: str) -> float:
    """Install with helm itself; return the seconds."""
    source = [chart, "--repo", bench.url, "--version", "0.1.0"]
    began = time.monotonic()
    bench.run("install", "web", *source, "--create-namespace", "--wait", "--namespace", namespace)
    return time.monotonic() - began


def body(url: str, chart: str, namespace: str) -> dict[str, Any]:
    """Return the request for a release."""
    source = {"repository": url, "name": chart, "version": "0.1.0"}
    place = {"cluster": CLUSTER, "namespace": namespace, "name": "web", "create_namespace": True}
    return {**place, "chart": source, "wait": "watcher", "timeout_seconds": 600}


def through(bench: Bench, chart: str, namespace: str) -> tuple[float, float]:
    """Install through Slipway and uninstall; return the seconds of the whole and of the wait part."""
    client, began = bench.client, time.time()
    operation = _done(client, client.post("/releases", json=body(bench.url, chart, namespace)))
    took = _time(operation["finished_at"]) - began
    step = next(step for step in operation["steps"] if step["name"] == "install")
    waited = _time(step["finished_at"]) - _time(step["started_at"])
    _done(client, client.delete("/releases/web", params={"namespace": namespace, "cluster": CLUSTER}))
    return took, waited


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _done(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != httpx.codes.ACCEPTED:
        raise RuntimeError(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")
    operation = dict(answer.json())
    while operation["finished_at"] is None:
        time.sleep(0.25)
        operation = client.get(f"/operations/{operation['id']}").raise_for_status().json()
    if operation["status"] != "succeeded":
        raise RuntimeError(f"{operation['kind']}: {operation['status']}: {operation['error']}")
    return operation


def _compare(bench: Bench, chart: str, times: int) -> None:
    """Install a chart by both in turn, and print the medians beside the goals."""
    own, whole, waits = [], [], []
    for number in range(times):
        own.append(alone(bench, chart, f"a-{chart}-{number}"))
        bench.run("uninstall", "web", "--wait", "--namespace", f"a-{chart}-{number}")
        took, waited = through(bench, chart, f"s-{chart}-{number}")
        whole.append(took)
        waits.append(waited)
    by_helm, by_us, wait = (quantile(values, 0.5) for values in (own, whole, waits))
    ratio, added = wait / by_helm, by_us - by_helm
    rows: list[tuple[object, ...]] = [
        ("helm alone", by_helm, min(own), max(own), "", ""),
        ("Slipway, wait part", wait, min(waits), max(waits), f"{ratio:.2f}x", _goal(ratio, GOAL_RATIO, "x")),
        ("Slipway, whole", by_us, min(whole), max(whole), f"{added:+.2f} s", _goal(added, GOAL_ADDED, " s")),
    ]
    show(f"releases: {chart}, {times} times in turn, seconds", ("", "median", "least", "most", "by helm", "goal"), rows)


def _goal(found: float, goal: float, unit: str) -> str:
    return f"{'met' if found < goal else 'missed'} ({goal}{unit})"


def _at_once(bench: Bench) -> bool:
    """Ask for many releases at once; True if each of them is there."""
    chart = CHARTS[1]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        began = time.time()
        list(pool.map(lambda number: alone(bench, chart, f"h-{number}"), range(MANY)))
        by_helm = time.time() - began
    pid = bench.service.pid
    idle = processes.memory(pid).pss
    with _peak(pid) as peak:
        began = time.time()
        requests = [body(bench.url, chart, f"m-{number}") for number in range(MANY)]
        with ThreadPoolExecutor(MANY) as pool:
            answers = list(
                pool.map(lambda each: bench.client.post("/releases", json=each).raise_for_status(), requests)
            )
        accepted = time.time() - began
        operations = [_done(bench.client, answer) for answer in answers]
        by_us = max(_time(operation["finished_at"]) for operation in operations) - began
    listed = fleet.everything(bench.client, "/releases")
    active = sum(item["namespace"].startswith("m-") and item["status"]["phase"] == "active" for item in listed)
    deployed = _deployed(bench, "m-")
    rows = [
        (f"helm alone, {AT_A_TIME} at a time", by_helm, "", "", MANY),
        ("Slipway, accepted", accepted, "", "", ""),
        ("Slipway, installed", by_us, idle, max(peak), deployed),
    ]
    head = ("", "seconds", "PSS MB idle", "at most, with helm", "deployed")
    show(f"releases: {MANY} at once to one cluster", head, rows)
    return active == MANY and deployed == MANY


def _deployed(bench: Bench, prefix: str) -> int:
    """Return how many releases helm itself finds deployed in the namespaces of that prefix."""
    found = json.loads(bench.run("list", "--all-namespaces", "--max", "1000", "--output", "json"))
    return sum(each["namespace"].startswith(prefix) and each["status"] == "deployed" for each in found)


@contextlib.contextmanager
def _peak(pid: int) -> Iterator[list[float]]:
    """Give a list that fills with the memory (PSS, MB) of a process and all that it has started."""
    found, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            found.append(processes.memory(pid).pss)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield found
    finally:
        over.set()
        looking.join()


@contextlib.contextmanager
def _bench() -> Iterator[Bench]:
    """Run a cluster, a chart repository and Slipway, all warm."""
    helm = locate()
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(processes.folder())
        url = stack.enter_context(repository(where, helm))
        cloud = stack.enter_context(processes.local_cloud(where))
        database = f"sqlite:///{where}/slipway.db"
        service = stack.enter_context(processes.serving(where, database, cloud, helm=helm))
        client = stack.enter_context(service.client())
        groups = [{"name": "workers", "scaling": {"min": 4, "max": 4, "desired": 4}}]
        fleet.wait(client, fleet.begin(client, [fleet.spec(CLUSTER, version="1.34", nodegroups=groups)]), seconds=300)
        outputs = client.get(f"/clusters/{CLUSTER}").raise_for_status().json()["status"]["outputs"]
        bench = Bench(helm, kubeconfig(where / "kubeconfig", cloud, outputs), where / "home", url, service, client)
        alone(bench, CHARTS[1], "warm")  # which starts the control plane
        through(bench, CHARTS[1], "warmer")
        yield bench


def run(_options: argparse.Namespace) -> bool:
    """Measure and print; True if nothing is lost."""
    with _bench() as bench:
        for chart, times in zip(CHARTS, TIMES, strict=True):
            _compare(bench, chart, times)
        return _at_once(bench)
