"""Fetches charts, each once: a request looks at the very archive that its operation installs seconds later.

Archives are kept for a while in a private folder. What was asked for by its digest is good for as long as it is kept;
what a version stood for is only believed for some seconds.
"""

import asyncio
import contextlib
import itertools
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from app.core.crypto import UndecryptableError, Vault
from app.db.session import Database
from app.gateways.helm.chart import Chart, ChartSource, Credential, OciChart, RepositoryChart
from app.gateways.helm.client import Helm
from app.gateways.helm.errors import RepositoryDenied
from app.gateways.helm.workspace import private_folder
from app.releases import repository
from app.releases.credentials import password_place
from app.releases.ports import Registries
from app.releases.schemas import ChartSpec

KEEP_BYTES = 128 * 1024 * 1024
KEEP_CHARTS = 200
"""Of archives that nobody uses at the moment. What is kept of one beside its file is at most some 60 kB."""
KEEP_NAMES = 20
"""Ways to ask for one chart (`^1.2`, `1.2.3`, none, its digest) that are remembered, the newest."""

BELIEVE_SECONDS = 30.0
"""How long a version (or none) is taken for the archive that it was; a tag may move."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """Which chart exactly: found once, and kept until the chart of the spec changes.

    Attributes:
        name: From Chart.yaml, as the next ones.
        version: As the chart spells it.
        app_version: Of what it installs.
        digest: `sha256:…` of the archive, or of the manifest in an OCI registry.
        source: The chart of the spec that it was found by.
    """

    name: str
    version: str
    app_version: str
    digest: str
    source: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the form that operations and revisions keep."""
        return asdict(self)

    @classmethod
    def of(cls, chart: Chart, spec: ChartSpec) -> "Pinned":
        """Return what a fetched chart is."""
        return cls(chart.name, chart.version, chart.app_version, chart.digest, spec.model_dump(mode="json"))


def pinned(document: dict[str, Any] | None, spec: ChartSpec) -> Pinned | None:
    """Return what is known of the spec's chart, if `document` (`Pinned.as_json`) is about that."""
    if document and document.get("source") == spec.model_dump(mode="json"):
        return Pinned(**document)
    return None


@dataclass(slots=True)
class _Kept:
    chart: Chart
    found_at: float
    users: int = 0
    used_at: float = field(default_factory=time.monotonic)


_Key = tuple[str, ...]


class Charts:
    """Charts of the sources that callers name, with the credentials that their projects stored."""

    def __init__(self, helm: Helm, database: Database, vault: Vault, registries: Registries) -> None:
        self._helm = helm
        self._database = database
        self._vault = vault
        self._registries = registries
        self._folder: Path | None = None
        self._kept: dict[_Key, _Kept] = {}
        self._fetching: dict[_Key, asyncio.Lock] = {}
        self._names = itertools.count()

    @asynccontextmanager
    async def fetch(
        self, project_id: str, spec: ChartSpec, *, registry_id: str | None = None, pin: Pinned | None = None
    ) -> AsyncIterator[Chart]:
        """Fetch a chart for the block.

        Args:
            project_id: Whose credentials open its source.
            spec: Where it is.
            registry_id: The registry that `spec.registry` stands for.
            pin: What it must be.

        Raises:
            InvalidError: The source's URL is none that may be called.
            HelmError: As `Helm.chart`.
            AwsError: A registry's credentials could not be had.
        """
        key = _key(project_id, spec, registry_id, pin)
        kept = await self._get(key, project_id, spec, registry_id, pin)
        kept.users += 1
        try:
            yield kept.chart
        finally:
            kept.users -= 1
            kept.used_at = time.monotonic()
            await asyncio.shield(self._make_room())

    async def aclose(self) -> None:
        """Remove what is kept."""
        self._kept.clear()
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _get(
        self, key: _Key, project_id: str, spec: ChartSpec, registry_id: str | None, pin: Pinned | None
    ) -> _Kept:
        async with self._fetching.setdefault(key, asyncio.Lock()):
            try:
                kept = self._kept.get(key)
                if not _is_there(kept) or (pin is None and time.monotonic() - kept.found_at > BELIEVE_SECONDS):
                    source, credential = await self._source(project_id, spec, registry_id, pin)
                    async with self._helm.chart(source, credential) as chart:
                        exact = _key(project_id, spec, registry_id, Pinned.of(chart, spec))
                        kept = self._kept[key] = self._kept[exact] = await self._keep(self._kept.get(exact), chart)
                return kept
            finally:
                if key not in self._kept:
                    self._fetching.pop(key, None)

    async def _keep(self, known: _Kept | None, chart: Chart) -> _Kept:
        if _is_there(known):
            known.found_at = time.monotonic()
            return known
        if self._folder is None or not self._folder.exists():
            self._folder = await asyncio.to_thread(private_folder, self._helm.root)
        path = self._folder / f"{next(self._names)}.tgz"
        await asyncio.to_thread(shutil.move, chart.path, path)
        return _Kept(replace(chart, path=path), time.monotonic())

    async def _make_room(self) -> None:
        """Remove the archives that were used longest ago, until the rest is small enough; forget old names."""
        names: dict[int, list[_Key]] = {}
        for key, kept in self._kept.items():
            names.setdefault(id(kept), []).append(key)
        for keys in names.values():
            self._forget(keys[:-KEEP_NAMES])
        known = {id(kept): kept for kept in self._kept.values()}
        total, count = sum(kept.chart.size_bytes for kept in known.values()), len(known)
        for kept in sorted(known.values(), key=lambda kept: kept.used_at):
            if total <= KEEP_BYTES and count <= KEEP_CHARTS:
                return
            if kept.users:
                continue
            total, count = total - kept.chart.size_bytes, count - 1
            self._forget([key for key, value in self._kept.items() if value is kept])
            with contextlib.suppress(FileNotFoundError):
                await asyncio.to_thread(kept.chart.path.unlink)

    def _forget(self, keys: list[_Key]) -> None:
        for key in keys:
            del self._kept[key]
            self._fetching.pop(key, None)

    async def _source(
        self, project_id: str, spec: ChartSpec, registry_id: str | None, pin: Pinned | None
    ) -> tuple[ChartSource, Credential | None]:
        version, digest = (pin.version, pin.digest) if pin else (spec.version, None)
        if spec.registry is not None:
            assert registry_id is not None  # noqa: S101 - resolved with the release
            found = await self._registries.chart(registry_id, str(spec.name), version, digest)
            return found.source, found.credential
        source: ChartSource
        if spec.oci is not None:
            source = OciChart(spec.oci, version, digest)
            return source, await self._credential(project_id, source.host)
        assert spec.repository is not None  # noqa: S101 - the schema says so
        source = RepositoryChart(spec.repository, str(spec.name), version, digest)
        return source, await self._credential(project_id, urlsplit(spec.repository).netloc)

    async def _credential(self, project_id: str, host: str) -> Credential | None:
        async with self._database.read() as session:
            row = await repository.credential_for(session, project_id, host.lower())
        if row is None:
            return None
        try:
            return Credential(row.username, self._vault.decrypt(row.sealed_password, password_place(row.id)))
        except UndecryptableError as error:
            raise RepositoryDenied(f"the stored credential for {host} cannot be decrypted: {error}") from error


def _is_there(kept: _Kept | None) -> TypeGuard[_Kept]:
    """Tell whether an archive is kept, and whoever tidies up old folders has left it."""
    return kept is not None and kept.chart.path.exists()


def _key(project_id: str, spec: ChartSpec, registry_id: str | None, pin: Pinned | None) -> _Key:
    source = spec.repository or spec.oci or registry_id or ""
    return project_id, source, spec.name or "", f"@{pin.digest}" if pin else spec.version or ""
