"""A real control plane for one cluster: etcd, kube-apiserver, controller-manager, scheduler, and kwok as its nodes.

Nothing of it outlives the local cloud, so it is built for a quick start and end: no fsync, no leader
election, and SIGKILL to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import ipaddress
import shutil
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from . import commands, stages
from .api import Api, ApiError
from .binaries import Binaries
from .certificates import Authority, KeyPair, signing_keys
from .children import Child, free_port, give_back

_READY_WITHIN = 120.0  # seconds; 3 to 4 on an idle machine
_LAST_REQUESTS = 60.0  # seconds that an API server has at most to end its requests after an upgrade
_Result = TypeVar("_Result")


class PlaneFailed(Exception):
    """The API server did not get ready; the message has the end of its log."""


@dataclass(frozen=True)
class Wish:
    """What a plane is to be: its folder, Kubernetes version ("1.34"), ranges, and the URL that reviews tokens."""

    folder: Path
    version: str
    region: str
    service_cidr: str
    pod_cidr: str
    review_url: str


class Plane:
    """The processes of one cluster's control plane. Use it on the main thread's event loop: see `launch`."""

    def __init__(self, binaries: Binaries, authority: Authority, wish: Wish) -> None:
        self._authority = authority
        self._wish = wish
        self.version = wish.version
        self._ports = [free_port() for _ in range(3)]
        etcd_port, peer_port, kwok_port = self._ports
        self._at = commands.Layout(
            binaries=binaries,
            folder=wish.folder,
            etcd_port=etcd_port,
            peer_port=peer_port,
            kwok_port=kwok_port,
            service_cidr=wish.service_cidr,
            pod_cidr=wish.pod_cidr,
        )
        self._children: dict[str, Child] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"plane-{wish.folder.name}")
        self.port = 0
        self.seconds_to_ready = 0.0

    async def start(self) -> None:
        """Starts all processes; returns when the API server is ready. Raises PlaneFailed."""
        started = time.monotonic()
        self._write_files()
        self._run("etcd", commands.etcd(self._at))
        await self._start_apiserver(self.version)
        self._start_followers()
        self.seconds_to_ready = time.monotonic() - started

    async def upgrade(self, version: str) -> None:
        """Makes it another Kubernetes version: the new API server is ready before the old one ends."""
        if commands.emulated_version(version) != commands.emulated_version(self.version):
            old, old_port = self._children["kube-apiserver"], self.port
            try:
                await self._start_apiserver(version)
            except PlaneFailed:
                await self._children["kube-apiserver"].stop()
                self._children["kube-apiserver"], self.port = old, old_port
                raise
            followers = [self._children[name] for name in ("kube-controller-manager", "kube-scheduler", "kwok")]
            await asyncio.gather(*(child.stop() for child in followers))
            self.version = version
            self._start_followers()
            await old.stop(_LAST_REQUESTS)
            give_back(old_port)
        self.version = version

    async def stop(self) -> None:
        """Ends all processes and takes the folder away."""
        await asyncio.gather(*(child.stop() for child in self._children.values()))
        self._thread.shutdown(wait=False, cancel_futures=True)
        give_back(self.port, *self._ports)
        shutil.rmtree(self._wish.folder, ignore_errors=True)

    async def with_api(self, work: Callable[[Api], _Result]) -> _Result:
        """Runs `work` with the administrator's client, in the plane's own thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._api))

    def processes(self) -> dict[str, int | None]:
        """The process ids by program."""
        return {name: child.pid for name, child in self._children.items()}

    def _run(self, name: str, command: list[str], before: Callable[[], Awaitable[None]] | None = None) -> None:
        self._children[name] = child = Child(command, self._wish.folder / f"{name}.log", before)
        child.start()

    async def _start_apiserver(self, version: str) -> None:
        """A new API server takes the place of the one before, if any, once it is ready."""
        port = free_port()
        self._run("kube-apiserver", commands.apiserver(self._at, port, version))
        child = self._children["kube-apiserver"]
        api = Api(self._wish.folder, port)
        end = time.monotonic() + _READY_WITHIN
        while not await asyncio.get_running_loop().run_in_executor(self._thread, api.ready):
            if child.restarts > 2 or time.monotonic() > end:
                give_back(port)
                raise PlaneFailed(f"kube-apiserver is not ready: {child.last_words()}")
            await asyncio.sleep(0.05)
        self._api, self.port = api, port
        folder = self._wish.folder
        user = {"client-certificate": str(folder / "admin.crt"), "client-key": str(folder / "admin.key")}
        self._write("kubeconfig.json", commands.kubeconfig(f"https://127.0.0.1:{port}", user, str(folder / "ca.crt")))

    def _start_followers(self) -> None:
        self._run("kube-controller-manager", commands.controller_manager(self._at, self.version))
        self._run("kube-scheduler", commands.scheduler(self._at, self.version))
        self._run("kwok", commands.kwok(self._at), self._release_nodes)

    async def _release_nodes(self) -> None:
        """Takes away the leases of the kwok before: another one would wait 40 s until they end."""
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        while True:
            try:
                await self.with_api(lambda api: api.request("DELETE", path))
                return
            except (ApiError, OSError, http.client.HTTPException):
                await asyncio.sleep(0.2)

    def _write_files(self) -> None:
        folder = self._wish.folder
        folder.mkdir(parents=True, mode=0o700)
        first = str(next(ipaddress.ip_network(self._wish.service_cidr).hosts()))
        service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        pairs = {
            "server": self._authority.server(["127.0.0.1", "localhost", first, *service]),
            "admin": self._authority.client("local-cloud", "system:masters"),
        }
        for name, pair in pairs.items():
            self._write_pair(pair, f"{name}.key", f"{name}.crt")
        self._write_pair(signing_keys(), "sa.key", "sa.pub")
        self._write("ca.crt", self._authority.certificate)
        self._write("webhook.json", commands.kubeconfig(self._wish.review_url, {}))
        self._write("stages.yaml", stages.compose(self._at.binaries.stages, self._wish.region))

    def _write_pair(self, pair: KeyPair, key: str, public: str) -> None:
        self._write(key, pair.key)
        self._write(public, pair.public)

    def _write(self, name: str, content: str | bytes) -> None:
        path = self._wish.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with contextlib.suppress(OSError):
            path.chmod(0o600)
