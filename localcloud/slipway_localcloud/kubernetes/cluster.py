"""The Kubernetes of one EKS cluster: authority and endpoint from the start, the plane when it is needed."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
from pathlib import Path
from typing import Any

from ministack.services import ec2, eks

from . import binaries, build, nodes
from .api import Api, ApiError
from .binaries import Binaries, NoBinaries
from .certificates import Authority
from .front import Front
from .plane import Plane, Wish
from .sync import Sync

_LOG = logging.getLogger(__name__)
_INTERVAL = 0.25  # seconds between two looks at the EKS records
_NAMESPACES_EVERY = 4  # looks

Record = dict[str, Any]


class Cluster:
    """One EKS cluster's Kubernetes. `scope` is account, region and name; `record` EKS's own, which changes."""

    def __init__(self, folder: Path, cloud_port: int, scope: tuple[str, str, str], record: Record) -> None:
        self.scope = scope
        self.authority = Authority()
        self.front = Front(self.serving)
        self._record = record
        self._folder = folder
        self._cloud_port = cloud_port
        self._plane: Plane | None = None
        self._starting: asyncio.Task[Plane] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._fleet = nodes.Fleet()
        self._sync = Sync()
        self._namespaces: dict[str, str] = {}

    @property
    def plane(self) -> Plane | None:
        """The plane, once it runs."""
        return self._plane

    async def serving(self) -> int:
        """The port of the API server; the first call starts it. Raises NoBinaries or PlaneFailed."""
        if self._plane is None:
            if self._starting is None or (self._starting.done() and self._starting.exception()):
                self._starting = asyncio.get_running_loop().create_task(self._start())
            # Others wait for the same start: a client that goes away must not end it.
            await asyncio.shield(self._starting)
        assert self._plane is not None
        return self._plane.port

    async def upgrade(self, version: str) -> None:
        """Makes a running plane this version; one that does not run yet will start with it."""
        async with self._changing:
            if self._plane and _minor(version) > _minor(self._plane.version):
                await self._plane.upgrade(version)

    async def close(self) -> None:
        """Ends everything."""
        for task in (self._keeping, self._starting):
            if task:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
        await self.front.close()
        if self._plane:
            await self._plane.stop()

    def processes(self) -> dict[str, int | None]:
        """The process ids of the plane by program; {} while it does not run."""
        return self._plane.processes() if self._plane else {}

    async def _start(self) -> Plane:
        network = self._record["kubernetesNetworkConfig"]
        account, region, name = self.scope
        url = f"http://127.0.0.1:{self._cloud_port}/_ministack/eks-auth/{account}/{region}/{name}"
        wish = Wish(
            folder=self._folder,
            version=self._record["version"],
            region=region,
            # IPv6 would need an API server that listens on IPv6.
            service_cidr=network.get("serviceIpv4Cidr", "10.100.0.0/16"),
            pod_cidr="10.244.0.1/16",
            review_url=f"{url}/{self._record['_auth_token']}",
        )
        plane = Plane(await _wait_for_binaries(), self.authority, wish)
        try:
            await plane.start()
            await self._look(plane)
        except BaseException:
            await plane.stop()
            raise
        self._plane = plane
        self._keeping = asyncio.get_running_loop().create_task(self._keep(plane))
        _LOG.info("%s is ready after %.1f s", name, plane.seconds_to_ready)
        return plane

    async def _keep(self, plane: Plane) -> None:
        """Follows the EKS records. Looking is cheap: they are in this process, and most looks find nothing new."""
        number = 0
        while True:
            await asyncio.sleep(_INTERVAL)
            number += 1
            try:
                await self.upgrade(self._record["version"])
                await self._look(plane, namespaces=number % _NAMESPACES_EVERY == 0)
            except Exception:
                _LOG.exception("the Kubernetes of %s can't follow its EKS records", self.scope[2])
                await asyncio.sleep(1)

    async def _look(self, plane: Plane, namespaces: bool = True) -> None:
        account, region, name = self.scope
        if namespaces and eks._has_namespace_access_policy(name, account, region):
            with contextlib.suppress(ApiError, OSError, http.client.HTTPException):
                self._namespaces = await plane.with_api(_list_namespaces)
        desired = self._fleet.desired(self._groups())
        access = eks._access_policy_rbac_objects(name, account, region, list(self._namespaces))
        known = dict(self._namespaces)
        await plane.with_api(lambda api: self._sync.apply(api, desired, access, known))

    def _groups(self) -> list[nodes.Group]:
        account, region, name = self.scope
        found = []
        for (owner, place, key), record in eks._nodegroups.all_items():
            if (owner, place) == (account, region) and key.startswith(f"{name}/"):
                subnets = [ec2._subnets.get_scoped(account, region, subnet) for subnet in record["subnets"]]
                group = nodes.group_of(record, region, [subnet for subnet in subnets if subnet])
                found += [group] if group else []
        return found


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def _list_namespaces(api: Api) -> dict[str, str]:
    """Names and uids."""
    listed = api.request("GET", "/api/v1/namespaces")["items"]
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in listed}


async def _wait_for_binaries() -> Binaries:
    """The programs, also if they are being built just now. Raises NoBinaries."""
    while True:
        going_on = build.running()
        found = binaries.find()
        if found:
            return found
        if not going_on:
            raise NoBinaries("the Kubernetes programs are not built: run `slipway localcloud build`")
        await asyncio.sleep(1)
