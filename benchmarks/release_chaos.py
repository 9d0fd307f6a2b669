"""kill -9 of the service, and of its helm processes, at random moments: every release ends as asked, none made twice.

Rounds of 20 releases are installed and then upgraded, each to values of its own, until the kills of the service are
spent. A killed service is started again at once. Of the moments, some are the first milliseconds of a helm process
(the kernel ends it with its parent, but only once it has been told to), some those after its end, when the service may
not have written down yet what it did; others are any, or while the service starts. One kill in four is of a helm.

What must hold after each half round:

- every operation has succeeded, there is one for each change that was asked for, and its end is told by one event;
- the newest revision of each release is `deployed`, with exactly the asked values, and no other revision is; none is
  pending; each asked change is one revision, and each other revision is one that a kill left, `failed` (or superseded
  since); Slipway tells of no repair twice, and of none that was not made;
- there is one Deployment for each release, from its install on the same one, as the values ask; it had as many pod
  templates (ReplicaSets) as there were changes; Slipway shows the same values, and the newest revision.

And after each kill: no helm process has outlived the service that started it.

SQLite and one process, or with --postgres two replicas, of which each kill hits one.
"""

import argparse
import asyncio
import contextlib
import os
import random
import secrets
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.gateways.helm.binary import locate
from app.gateways.helm.repair import DESCRIPTION
from app.gateways.kubernetes.client import Kubernetes
from benchmarks import fleet, kubernetes, processes, release_checks
from benchmarks.asking import ALREADY, UNAVAILABLE, Client
from benchmarks.processes import Slipway
from benchmarks.release_checks import Asked
from benchmarks.table import show

RELEASES = 20
CLUSTER = "chaos"
HALF_ROUND_SECONDS = 600.0
SETTINGS = {"lease_seconds": 3, "tick_seconds": 0.2, "poll_min_seconds": 0.5}
WATCHING_SECONDS = 3.0
"""How long a kill waits for a helm process to begin or end, before any moment will do."""
DYING_SECONDS = 0.3
"""After its parent's death a helm process that is still there has outlived it."""

_LOOK_SECONDS = 0.001
_ENDS = ("operation.succeeded", "operation.failed", "operation.cancelled")
_MOMENTS = ("begun",) * 3 + ("ended",) * 2 + ("any",) * 3 + ("starting",) + ("helm",) * 3
_TEMPLATE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, annotations: {word: {{ .Values.word | quote }}}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}, annotations: {word: {{ .Values.word | quote }}}}
    spec: {containers: [{name: web, image: "registry.example/web:1.0"}]}
"""


def run(options: argparse.Namespace) -> bool:
    """Run the rounds; True if everything was right."""
    seed = options.seed if options.seed is not None else secrets.randbelow(10**6)
    kind = "two replicas on PostgreSQL" if options.postgres else "one process on SQLite"
    title = f"release-chaos: kill -9 at {options.kills} random moments, {kind}, seed {seed}"
    print(title, flush=True)
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(processes.folder())
        helm = Path(shutil.copy2(locate(), where / "helm"))  # so that its processes are ours alone
        chart = stack.enter_context(kubernetes.repository(where, helm, "web", {"app.yaml": _TEMPLATE}))
        cloud = stack.enter_context(processes.local_cloud(where))
        urls, replicas = [f"sqlite:///{where}/slipway.db"], 1
        if options.postgres:
            urls, replicas = [stack.enter_context(processes.postgres())[0]], 2
        services = [
            stack.enter_context(processes.serving(where, urls[0], cloud, helm=helm, **SETTINGS))
            for _ in range(replicas)
        ]
        with services[0].client() as client:
            # A pod for each release of every round, and for those that an upgrade replaces: 234 fit on such a node.
            scaling = {"min": 6, "max": 6, "desired": 6}
            groups = [{"name": "workers", "instance_types": ["m5.4xlarge"], "scaling": scaling}]
            spec = fleet.spec(CLUSTER, version="1.34", nodegroups=groups)
            fleet.wait(client, fleet.begin(client, [spec]), seconds=300)
            outputs = client.get(f"/clusters/{CLUSTER}").raise_for_status().json()["status"]["outputs"]
        connection = kubernetes.connection(cloud, CLUSTER, outputs)
        chaos = ReleaseChaos(services, helm, chart, random.Random(seed), options.kills)
        asyncio.run(chaos.run(Kubernetes(connection, request_seconds=60)))
    show(title, ("what", "found"), chaos.figures())
    for fault in chaos.faults[:50]:
        print(f"  WRONG: {fault}")
    return not chaos.faults


class ReleaseChaos:
    """The rounds, the kills, and what was found wrong."""

    def __init__(self, services: Sequence[Slipway], helm: Path, chart: str, moments: random.Random, kills: int) -> None:
        self._services = services
        self._helm = str(helm).encode()
        self._chart = chart
        self._random = moments
        self._kills_left = kills
        self._most_of_one_half = -(-kills // 2)
        self._client = Client(services, moments)
        self.faults = self._client.faults
        self._half = ""
        self._under_way = asyncio.Event()
        self._kills: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._asked: dict[str, Asked] = {}
        self._began = time.monotonic()

    async def run(self, cluster: Kubernetes) -> None:
        """Install and upgrade rounds of releases until the kills are spent; the last round is always finished."""
        async with self._client, cluster:
            await cluster.version()  # which starts the control plane
            killing = asyncio.create_task(self._kill())
            rounds = 0
            while rounds == 0 or self._kills_left > 0:
                rounds += 1
                names = [f"r{rounds}-{number:02}" for number in range(1, RELEASES + 1)]
                for half, change in (("install", self._install), ("upgrade", self._upgrade)):
                    await self._half_round(half, [change(name) for name in names])
                    await self._check(cluster, names)
            self._counts["rounds"] = rounds
            await killing
        await asyncio.to_thread(self._find_survivors)

    def figures(self) -> Iterator[tuple[str, object]]:
        """Give what was counted."""
        yield f"rounds of {RELEASES} releases", self._counts["rounds"]
        for half in ("install", "upgrade"):
            yield f"kills of the service during {half}s", self._kills[half]
        yield "of all, just after a helm began", self._kills["begun"]
        yield "of all, just after a helm ended", self._kills["ended"]
        yield "of all, while starting", self._kills["starting"]
        yield "of all, at any other moment", self._kills["any"]
        yield "helm processes that died with their service", self._counts["died"]
        yield "kills of a helm that changes a release", self._kills["helm upgrade"]
        yield "kills of a helm that does something else", self._kills["helm"]
        yield "changes that were cut off and repeated", self._client.counts["cut off"]
        yield f"answers 409 {ALREADY}", self._client.counts[ALREADY]
        yield "answers 503", self._client.counts[UNAVAILABLE]
        yield "operations, all succeeded", self._counts["operations"]
        yield "revisions", self._counts["revisions"]
        yield "of those, left by a kill and repaired", self._counts["repaired"]
        yield "of those, ended by helm itself", self._counts["failed"]
        yield "repairs told", self._counts["told"]
        yield "operations that began helm again after its death", self._counts["again"]
        yield "seconds", round(time.monotonic() - self._began)
        yield "faults", len(self.faults)

    # The kills

    async def _kill(self) -> None:
        while self._kills_left > 0:
            await self._under_way.wait()
            if self._kills[self._half] >= self._most_of_one_half:  # the other half of a round gets as many
                await asyncio.sleep(0.1)
                continue
            service = self._random.choice(self._services)
            kind = self._random.choice(_MOMENTS)
            await self._moment(kind, service)
            await self._under_way.wait()
            if kind == "helm":
                self._kill_helm(service)
                continue
            helms = self._helms_of(service)
            service.kill()
            await asyncio.to_thread(self._find_survivors)
            service.start()
            self._kills_left -= 1
            self._kills[self._half] += 1
            self._kills[kind] += 1
            self._counts["died"] += len(helms)
            print(f"\r{self._kills_left} kills left, {self._half} ", end="", flush=True)
        for service in self._services:
            await asyncio.to_thread(service.wait_until_ready)

    async def _moment(self, kind: str, service: Slipway) -> None:
        """Return at a random moment of the kind."""
        if kind == "starting":
            await asyncio.sleep(self._random.uniform(0.1, 1.5))
            return
        await asyncio.to_thread(service.wait_until_ready)
        await asyncio.sleep(self._random.uniform(0.0, 2.0))
        if kind in ("begun", "ended"):
            await self._helm_has(kind, service)
            await asyncio.sleep(self._random.uniform(0.0, 0.01 if kind == "begun" else 0.05))

    async def _helm_has(self, kind: str, service: Slipway) -> None:
        before = set(processes.children(service.pid))
        for _ in range(round(WATCHING_SECONDS / _LOOK_SECONDS)):
            await asyncio.sleep(_LOOK_SECONDS)
            now = set(processes.children(service.pid))
            if now - before if kind == "begun" else before - now:
                return
            before = now

    def _kill_helm(self, service: Slipway) -> None:
        helms = self._helms_of(service)
        if helms:
            helm = self._random.choice(sorted(helms))
            with contextlib.suppress(ProcessLookupError):
                os.kill(helm, signal.SIGKILL)
                self._kills["helm upgrade" if helms[helm] else "helm"] += 1

    def _helms_of(self, service: Slipway) -> dict[int, bool]:
        """Return the helm processes of a service, and whether they change a release."""
        found = {pid: _words(pid) for pid in processes.children(service.pid)}
        return {pid: b"upgrade" in words for pid, words in found.items() if self._helm in words}

    def _find_survivors(self) -> None:
        """Look for helm processes whose service is gone; end them, so that each is told once."""
        time.sleep(DYING_SECONDS)
        services = {service.pid for service in self._services}
        for pid in (int(process.name) for process in Path("/proc").iterdir() if process.name.isdigit()):
            words = _words(pid)
            if self._helm in words and _parent(pid) not in {None, *services}:
                self.faults.append(f"{b' '.join(words).decode()} outlived its service")
                os.kill(pid, signal.SIGKILL)

    # The client

    async def _half_round(self, half: str, changes: Sequence[Any]) -> None:
        self._half = half
        self._under_way.set()
        try:
            async with asyncio.timeout(HALF_ROUND_SECONDS):
                await asyncio.gather(*changes)
        except TimeoutError:
            self.faults.append(f"{half}: operations had not ended after {HALF_ROUND_SECONDS:.0f} s")
            self._kills_left = 0
        finally:
            self._under_way.clear()

    async def _install(self, name: str) -> None:
        values = self._values(1)
        chart = {"repository": self._chart, "name": "web", "version": "0.1.0"}
        place = {"cluster": CLUSTER, "namespace": _namespace(name), "name": name, "create_namespace": True}
        await self._change("POST", "/releases", name, {**place, "chart": chart, "values": values}, values)

    async def _upgrade(self, name: str) -> None:
        values = self._values(2)
        await self._change("PATCH", f"/releases/{name}", name, {"values": values}, values)

    async def _change(self, method: str, path: str, name: str, body: dict[str, Any], values: dict[str, Any]) -> None:
        body |= {"timeout_seconds": round(HALF_ROUND_SECONDS)}
        operation = await self._client.change(method, path, f"{method}-{name}", body, within=5.0)
        self._counts["again"] += any("begun again" in warning for warning in operation["warnings"])
        asked = self._asked.setdefault(name, Asked())
        asked.operations.append(operation["id"])
        asked.values = values

    def _values(self, replicas: int) -> dict[str, Any]:
        return {"replicas": replicas, "word": f"w{self._random.randrange(10**9)}"}

    # What must hold

    async def _check(self, cluster: Kubernetes, names: Sequence[str]) -> None:
        namespace, asked = _namespace(names[0]), {name: self._asked[name] for name in names}
        told = await self._check_operations()
        histories = await release_checks.histories(cluster, namespace)
        shown = {item["name"]: item async for item in self._client.all("/releases")}
        faults = await release_checks.in_deployments(cluster, namespace, asked)
        if histories.keys() != asked.keys():
            faults.append(f"helm knows {sorted(histories)}")
        for name, release in asked.items():
            history = histories.get(name, [])
            wrong = [*release_checks.in_history(release, history, told)]
            wrong += release_checks.in_answer(release, history, shown.get(name))
            faults += [f"{name}: {what}" for what in wrong]
            if self._half == "upgrade" and history:
                left = release_checks.left_by_kills(release, history)
                self._counts["revisions"] += history[-1]["version"]
                self._counts["repaired"] += sum(text == DESCRIPTION for text in left.values())
                self._counts["failed"] += sum(text != DESCRIPTION for text in left.values())
        self.faults += [f"{self._half}: {fault}" for fault in faults]

    async def _check_operations(self) -> Counter[tuple[str, int]]:
        """Check all operations and events; return how often each repair was told, by operation and revision."""
        operations = {
            op["id"]: op async for op in self._client.all("/operations") if op["resource"]["type"] == "release"
        }
        asked = {operation for release in self._asked.values() for operation in release.operations}
        if operations.keys() != asked:
            self.faults.append(f"{len(asked)} changes were asked for, {len(operations)} operations are there")
        self._counts["operations"] = len(operations)
        ends: Counter[str] = Counter()
        told: Counter[tuple[str, int]] = Counter()
        async for event in self._client.all("/events"):
            if event["operation_id"] in operations and event["type"] in _ENDS:
                ends[event["operation_id"]] += 1
            elif event["type"] == "release.repaired":
                told[event["operation_id"], event["data"]["revision"]] += 1
        self._counts["told"] = told.total()
        for operation in operations.values():
            if operation["status"] != "succeeded" or ends[operation["id"]] != 1:
                what = f"{operation['kind']} of {operation['resource']['name']}"
                self.faults.append(f"{what} is {operation['status']}, told by {ends[operation['id']]} events")
        return told


def _namespace(name: str) -> str:
    return "chaos-" + name.partition("-")[0].removeprefix("r")


def _words(pid: int) -> list[bytes]:
    """Return the command line of a process; nothing if it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def _parent(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None
