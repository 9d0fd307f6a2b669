"""Helm without a cluster: fetch a chart, look into it, render it."""

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.core.documents import UnreadableError, fetched_json
from app.core.outbound import AddressNotAllowedError, Rules, address_of, destination
from app.gateways.helm import confinement
from app.gateways.helm.archive import ChartLimits
from app.gateways.helm.chart import Chart, ChartSource, Credential, OciChart, RepositoryChart, read_chart
from app.gateways.helm.errors import (
    ChartDigestMismatch,
    ChartInvalid,
    ChartNotFound,
    ChartVersionNotFound,
    HelmError,
    OutputTooLarge,
    RenderError,
)
from app.gateways.helm.gate import Gate, gate
from app.gateways.helm.process import Finished, Limits
from app.gateways.helm.runner import Runner
from app.gateways.helm.workspace import Workspace, sweep, workspace
from app.gateways.kubernetes.objects import entries

logger = logging.getLogger(__name__)

FETCH_SECONDS = 90.0
RENDER_SECONDS = 30.0

_DIGEST = re.compile(rb"^Digest: (sha256:[0-9a-f]{64})$", re.MULTILINE)
_REPOSITORY = "source"
_BESIDE_ARCHIVE = 4 * 1024 * 1024
"""Bytes that a fetch of one archive takes beside it: TLS, tokens, manifests, pages of tags."""

_ECR = re.compile(r"\d{12}\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)")


class Helm:
    """The helm binary and the bounds that it runs in; one for the process.

    Args:
        binary: Path that the operator set (`SLIPWAY_HELM`); None to look for it.
        root: Where private folders are made; the system's folder for temporary files by default.
        limits: Of one process.
        chart_limits: Of one chart.
        rules: Where charts may come from. With `allow_http` registries that are not public are spoken
            to without TLS.
        max_changes: Processes at once that change releases.
        max_reads: Processes at once that don't.
        confined: Whether to fetch where the kernel can't keep helm to its gate.
    """

    def __init__(
        self,
        binary: Path | None = None,
        *,
        root: Path | None = None,
        limits: Limits | None = None,
        chart_limits: ChartLimits | None = None,
        rules: Rules | None = None,
        max_changes: int = 20,
        max_reads: int = 4,
        confined: confinement.Mode = "preferred",
    ) -> None:
        self.runner = Runner(binary, limits=limits, max_changes=max_changes, max_reads=max_reads, confined=confined)
        self.root = root
        self._chart_limits = chart_limits or ChartLimits()
        self._rules = rules or Rules()

    async def start(self) -> tuple[int, int, int]:
        """Find and check the binary, remove what killed processes left; return helm's version.

        Where helm can't be confined the log has a warning.

        Raises:
            BinaryUnusable: There is no helm 4.
        """
        if problem := confinement.problem():
            logger.warning(problem)
        await asyncio.to_thread(sweep, self.root)
        return await self.runner.version()

    @asynccontextmanager
    async def chart(self, source: ChartSource, credential: Credential | None = None) -> AsyncIterator[Chart]:
        """Fetch a chart for the block, after which its archive is gone.

        Args:
            source: Where it is.
            credential: For that repository or registry.

        Raises:
            InvalidError: (`app.core.outbound`) The source's URL is none that may be called.
            ChartNotFound: There is no such chart, or (`ChartVersionNotFound`) no such version.
            Unconfined: Helm has to be confined for it, and can't be here.
            AddressRefused: It, or what it refers or redirects to, is where Slipway may not connect to.
            RepositoryUnreachable: It doesn't answer, or not in time.
            RepositoryDenied: It wants other credentials.
            ChartInvalid: It gave no chart, or (`ChartTooLarge`) too much.
            ChartDigestMismatch: It gave another one than `source.digest`.
        """
        self._check(source)
        trusted = trusted_hosts(source)
        async with workspace(self.root) as home:
            async with gate(self._rules, trusted=trusted, around=_ports_around(source)) as way:
                if isinstance(source, OciChart):
                    chart = await self._pull_oci(source, credential, home, way)
                else:
                    chart = await self._pull_repository(source, credential, home, way)
            yield chart

    async def template(
        self,
        name: str,
        chart: Chart,
        values: Mapping[str, Any],
        *,
        namespace: str,
        kube_version: str | None = None,
        api_versions: tuple[str, ...] = (),
    ) -> str:
        """Return the manifest that a chart makes, without a cluster: YAML documents.

        Args:
            name: Of the release.
            chart: The chart.
            values: For it.
            namespace: Of the release.
            kube_version: `1.34`; helm's own by default.
            api_versions: What the chart may ask for as `Capabilities.APIVersions`.

        Raises:
            ValuesInvalid: The chart's schema refuses them; `errors` says where.
            RenderError: A template fails with them.
            ChartInvalid: Helm can't load the chart, or (`ChartIncompatible`) not for this Kubernetes version.
            OutOfMemory: A template makes too much.
            OutputTooLarge: The manifest is too large.
        """
        arguments = ["template", name, str(chart.path), "--namespace", namespace, "--values", "-"]
        if kube_version:
            arguments += ["--kube-version", kube_version]
        for api_version in api_versions:
            arguments += ["--api-versions", api_version]
        async with workspace(self.root) as home:
            finished = await self.runner.expect(
                arguments,
                workspace=home,
                ports=frozenset(),
                stdin=json.dumps(values).encode(),
                deadline_seconds=RENDER_SECONDS,
                chart=chart.name,
                late=RenderError,
            )
        if finished.truncated:
            raise OutputTooLarge(f"the manifest has more than {self.runner.limits.output_bytes} bytes")
        return finished.stdout.decode(errors="replace")

    def _check(self, source: ChartSource) -> None:
        """Check the source's URL, and that no part of it is an option."""
        if isinstance(source, RepositoryChart):
            destination(source.repository, self._rules)
            parts = [source.name, source.version or ""]
        else:
            if not source.reference.startswith("oci://"):
                raise ChartInvalid("the reference of a chart in a registry begins with oci://")
            private = self._rules.allow_private_addresses or source.own
            destination(_https(source.reference), replace(self._rules, allow_private_addresses=private))
            parts = [source.version or ""]
        if any(part.startswith("-") or not part.isprintable() for part in parts):
            raise ChartInvalid("the chart's name or version is none")

    async def _pull_oci(self, source: OciChart, credential: Credential | None, home: Workspace, way: Gate) -> Chart:
        plain = ["--plain-http"] if plain_http(source.reference, self._rules) else []
        if credential is not None:
            await self._login(source.host, credential, home, way, plain)
        reference = source.reference + (f"@{source.digest}" if source.digest else "")
        folder = home.folder / "charts"
        arguments = ["pull", reference, "--destination", str(folder), *plain]
        if source.version and not source.digest:
            arguments += ["--version", source.version]
        finished = await self._fetch(arguments, home, way)
        said = _DIGEST.search(finished.stdout + b"\n" + finished.stderr.encode())
        archive = _only_archive(folder)
        digest = said.group(1).decode() if said else await asyncio.to_thread(_digest, archive)
        return await asyncio.to_thread(read_chart, archive, digest, self._chart_limits)

    async def _login(self, host: str, credential: Credential, home: Workspace, way: Gate, plain: list[str]) -> None:
        arguments = ["registry", "login", host, "--username", credential.username, "--password-stdin", *plain]
        await self._fetch(arguments, home, way, stdin=credential.password.encode())

    async def _pull_repository(
        self, source: RepositoryChart, credential: Credential | None, home: Workspace, way: Gate
    ) -> Chart:
        # Two processes only where there is a password: `helm pull --repo` takes it as an option, for every user to see.
        most_bytes = None
        if credential is None:
            chart, most_bytes = [source.name, "--repo", source.repository.rstrip("/")], self.runner.limits.file_bytes
        else:
            await self._add(source, credential, home, way)
            chart = [f"{_REPOSITORY}/{source.name}"]
        folder = home.folder / "charts"
        arguments = ["pull", *chart, "--destination", str(folder)]
        if source.version:
            arguments += ["--version", source.version]
        try:
            await self._fetch(arguments, home, way, most_bytes=most_bytes)
        except ChartNotFound as error:
            if credential is None:
                await self._add(source, None, home, way)
            raise await self._which(source, home, way, error) from error
        archive = _only_archive(folder)
        digest = await asyncio.to_thread(_digest, archive)
        if source.digest not in (None, digest):
            raise ChartDigestMismatch(f"{source.name} has the digest {digest}, not {source.digest}")
        return await asyncio.to_thread(read_chart, archive, digest, self._chart_limits)

    async def _add(self, source: RepositoryChart, credential: Credential | None, home: Workspace, way: Gate) -> None:
        """Give the repository a name in helm's home; its index, which may be large, is fetched with that."""
        arguments = ["repo", "add", _REPOSITORY, source.repository.rstrip("/")]
        if credential is not None:
            arguments += ["--username", credential.username, "--password-stdin"]
        password = credential.password.encode() if credential else b""
        await self._fetch(arguments, home, way, stdin=password, most_bytes=self.runner.limits.file_bytes)

    async def _which(self, source: RepositoryChart, home: Workspace, way: Gate, error: ChartNotFound) -> HelmError:
        """Tell a chart that isn't there from one that isn't there in this version: helm says the same for both."""
        search = ["search", "repo", f"{_REPOSITORY}/{source.name}", "--devel", "-o", "json"]
        listed = (await self._fetch(search, home, way)).stdout
        try:
            found = fetched_json(listed or b"[]", "what helm printed")
        except UnreadableError as unreadable:
            return HelmError(str(unreadable))
        if f"{_REPOSITORY}/{source.name}" in {entry.get("name") for entry in entries(found)}:
            return ChartVersionNotFound(
                f"{source.repository} has the chart {source.name}, not in version {source.version}",
                exit_code=error.exit_code,
            )
        return ChartNotFound(f"{source.repository} has no chart {source.name}", exit_code=error.exit_code)

    async def _fetch(
        self, arguments: list[str], home: Workspace, way: Gate, *, stdin: bytes = b"", most_bytes: int | None = None
    ) -> Finished:
        way.room = self._chart_limits.archive_bytes + _BESIDE_ARCHIVE if most_bytes is None else most_bytes
        return await self.runner.expect(
            arguments, workspace=home, stdin=stdin, deadline_seconds=FETCH_SECONDS, gate=way, ports=way.ports
        )


def plain_http(reference: str, rules: Rules) -> bool:
    """Tell whether a registry is spoken to without TLS: one that is not public, where the operator allows HTTP.

    Args:
        reference: `oci://…`, which doesn't say; helm wants to be told.
        rules: What the operator allows.
    """
    try:
        destination(_https(reference), Rules())
    except AddressNotAllowedError:
        return rules.allow_http
    return False


def trusted_hosts(source: ChartSource) -> frozenset[str]:
    """Return the hosts that may have private addresses: the account's own registry, and where ECR keeps its layers.

    VPC endpoints give both private addresses (docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html).
    """
    if not isinstance(source, OciChart) or not source.own:
        return frozenset()
    host = (urlsplit(_https(source.reference)).hostname or "").removesuffix(".")
    if not (ecr := _ECR.fullmatch(host)):
        return frozenset({host})
    region, china = ecr["region"], ".cn" if ecr["region"].startswith("cn-") else ""
    return frozenset({host, f"prod-{region}-starport-layer-bucket.s3.{region}.amazonaws.com{china}"})


def _ports_around(source: ChartSource) -> frozenset[int]:
    """Return the port of an own registry that Go goes to without a proxy (golang.org/x/net/http/httpproxy)."""
    if not isinstance(source, OciChart) or not source.own:
        return frozenset()
    parts = urlsplit(_https(source.reference))
    address = address_of(parts.hostname or "")
    loopback = parts.hostname == "localhost" if address is None else address.is_loopback
    return frozenset({parts.port or 443}) if loopback else frozenset()


def _https(reference: str) -> str:
    return "https" + reference.removeprefix("oci")


def _only_archive(folder: Path) -> Path:
    archives = [path for path in folder.iterdir() if path.suffix == ".tgz"]
    if len(archives) != 1:
        raise ChartInvalid(f"the source gave {len(archives)} archives")
    return archives[0]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
