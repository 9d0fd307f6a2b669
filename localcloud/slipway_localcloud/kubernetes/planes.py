"""All clusters' Kubernetes: what the EKS functions call when a cluster is made or upgraded, and the process at its end.

That a cluster is gone, or that its node groups and access entries changed, nobody has to say: a look at
the EKS records four times a second finds it, whatever way it happened.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from pathlib import Path
from typing import Any

from . import MODES, binaries, build
from .cluster import Cluster

_LOG = logging.getLogger(__name__)
_INTERVAL = 0.25

Record = dict[str, Any]


class Planes:
    """The Kubernetes of the clusters that have one. Use it on the event loop of the main thread.

    Modes: `off`, no cluster has one; `lazy`, a cluster's starts at the first connection to its endpoint;
    `eager`, it starts with the cluster; `auto`, as `lazy` if the programs are built (or being built) when
    the cluster is made, else as `off`.
    """

    def __init__(self) -> None:
        self._mode = "off"
        self._folder = Path()
        self._port = 0
        self._clusters: dict[str, Cluster] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def configure(self, mode: str, folder: Path, port: int) -> None:
        """Sets what counts for clusters made from now on. Raises NoBinaries for a folder that lacks programs."""
        if mode not in MODES:
            raise ValueError(f"the mode must be one of {', '.join(MODES)}, not {mode}")
        if mode != "off":
            binaries.find()
        self._mode, self._folder, self._port = mode, folder, port

    def attach(self, account: str, region: str, record: Record) -> None:
        """Gives a new cluster's record its endpoint and certificate authority, if it is to have Kubernetes."""
        if self._mode == "off" or (self._mode == "auto" and not (binaries.find() or build.running())):
            return
        token = record["_auth_token"]
        # Names come back; folders must not: the plane of a cluster just deleted may still be ending.
        folder = self._folder / f"{region}-{record['name']}-{token[:8]}"
        cluster = Cluster(folder.resolve(), self._port, (account, region, record["name"]), record)
        self._clusters[token] = cluster
        record["endpoint"] = f"https://127.0.0.1:{cluster.front.port}"
        record["certificateAuthority"] = {"data": base64.b64encode(cluster.authority.certificate).decode()}
        if not self._tasks:
            self._spawn(self._watch())
        if self._mode == "eager":
            self._spawn(cluster.serving())

    async def upgrade(self, record: Record, version: str) -> None:
        """Upgrades the cluster's plane, if one runs."""
        cluster = self._clusters.get(record["_auth_token"])
        if cluster:
            await cluster.upgrade(version)

    def describe(self) -> dict[str, dict[str, int | None]]:
        """The process ids by cluster and program; {} for a cluster whose plane does not run."""
        return {cluster.scope[2]: cluster.processes() for cluster in self._clusters.values()}

    async def stop(self) -> None:
        """Ends all planes."""
        for task in list(self._tasks):
            task.cancel()
        clusters, self._clusters = self._clusters, {}
        await asyncio.gather(*(cluster.close() for cluster in clusters.values()), return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            _LOG.error("a control plane did not start: %s", task.exception())

    async def _watch(self) -> None:
        """Ends the planes of clusters that are gone."""
        from ministack.services import eks

        while True:
            await asyncio.sleep(_INTERVAL)
            living = {record["_auth_token"] for _, record in eks._clusters.all_items() if "_auth_token" in record}
            for token in self._clusters.keys() - living:
                cluster = self._clusters.pop(token)
                with contextlib.suppress(Exception):
                    await cluster.close()


PLANES = Planes()
