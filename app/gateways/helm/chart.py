"""Charts: where they come from, and what is in an archive. Pure but for reading the archive's file.

An archive is read by us before helm sees it, within the bounds that helm itself has (100 MiB unpacked), so that a
caller hears `chart_too_large` and not that a process died. Helm also follows `$ref` of a chart's values.schema.json to
any URL and any local file; a chart whose schemas do that is marked, and its schemas are not used.
"""

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import yaml

from app.gateways.helm.errors import ChartInvalid, ChartTooLarge


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and a password or token, for a repository or registry."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RepositoryChart:
    """A chart of a repository with an index.

    Attributes:
        repository: `https://…`, the folder of index.yaml.
        name: Of the chart.
        version: A version or a range as helm takes it (`^1.2`); None for the newest stable one.
        digest: `sha256:…` of the archive, if only that one will do.
    """

    repository: str
    name: str
    version: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class OciChart:
    """A chart of an OCI registry.

    Attributes:
        reference: `oci://host/path/name`, without tag and digest.
        version: As in `RepositoryChart`.
        digest: `sha256:…` of the manifest, if only that one will do.
        own: Whether AWS, not a caller, named the registry as the account's own: it may have private addresses, since
            a VPC endpoint's are.
    """

    reference: str
    version: str | None = None
    digest: str | None = None
    own: bool = False

    @property
    def host(self) -> str:
        """The registry, with its port if there is one."""
        return self.reference.removeprefix("oci://").partition("/")[0]


ChartSource = RepositoryChart | OciChart


@dataclass(frozen=True, slots=True)
class ChartLimits:
    """How large a chart may be.

    Attributes:
        archive_bytes: The .tgz.
        unpacked_bytes: All files; helm's own limit (`MaxDecompressedChartSize`).
        file_bytes: One file; helm's own limit (`MaxDecompressedFileSize`).
        files: How many.
    """

    archive_bytes: int = 20 * 1024 * 1024
    unpacked_bytes: int = 100 * 1024 * 1024
    file_bytes: int = 5 * 1024 * 1024
    files: int = 20_000


@dataclass(frozen=True, slots=True)
class Chart:
    """A fetched and checked chart.

    Attributes:
        path: The archive.
        digest: `sha256:…`: of the manifest for OCI, else of the archive.
        size_bytes: Of the archive.
        name: From Chart.yaml, as the next ones.
        version: As the chart spells it.
        app_version: Of what it installs; "" if it doesn't say.
        description: One sentence; "" if there is none.
        kube_version: The Kubernetes versions that it takes; "" for all.
        dependencies: Names of its subcharts.
        schema: values.schema.json, if the chart has one.
        default_values: values.yaml as it is written.
        external_schema: Whether a schema in it refers to something outside, which is then not asked for.
        has_schema: Whether it or a subchart has a schema that values are checked against.
    """

    path: Path
    digest: str
    size_bytes: int
    name: str
    version: str
    app_version: str = ""
    description: str = ""
    kube_version: str = ""
    dependencies: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    default_values: str = field(default="", repr=False)
    external_schema: bool = False
    has_schema: bool = False


_METASCHEMAS = ("http://json-schema.org/draft-", "https://json-schema.org/draft-", "https://json-schema.org/draft/")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef", "$schema")
_KEPT = ("Chart.yaml", "values.yaml", "values.schema.json")
_DEEPEST = 4


def read_chart(path: Path, digest: str, limits: ChartLimits) -> Chart:
    """Return what an archive holds; blocking, up to a second for the largest.

    Args:
        path: A .tgz.
        digest: What it is known by.
        limits: Its bounds.

    Raises:
        ChartTooLarge: It, or what it unpacks to, is over a limit.
        ChartInvalid: It is no chart that can be installed.
    """
    size = path.stat().st_size
    if size > limits.archive_bytes:
        raise ChartTooLarge(f"the chart's archive has {size} bytes; the limit is {limits.archive_bytes}")
    with path.open("rb") as file:
        reader = _ArchiveReader(limits)
        files = dict(reader.files(file, 0))
    if "Chart.yaml" not in files:
        raise ChartInvalid("the archive holds no Chart.yaml in its folder")
    about = _mapping(files["Chart.yaml"])
    if about.get("type") not in (None, "", "application"):
        raise ChartInvalid(f"a chart of type {about['type']!r} cannot be installed")
    schema = _json(files["values.schema.json"]) if "values.schema.json" in files else None
    dependencies = about.get("dependencies")
    return Chart(
        path=path,
        digest=digest,
        size_bytes=size,
        name=_text(about, "name"),
        version=_text(about, "version"),
        app_version=_text(about, "appVersion"),
        description=_text(about, "description"),
        kube_version=_text(about, "kubeVersion"),
        dependencies=tuple(_text(entry, "name") for entry in dependencies if isinstance(entry, dict))
        if isinstance(dependencies, list)
        else (),
        schema=schema if isinstance(schema, dict) else None,
        default_values=files.get("values.yaml", b"").decode(errors="replace"),
        external_schema=reader.external_schema,
        has_schema=reader.has_schema,
    )


class _ArchiveReader:
    """Reads an archive and those inside it (charts/*.tgz) under one budget."""

    def __init__(self, limits: ChartLimits) -> None:
        self._limits = limits
        self._bytes = limits.unpacked_bytes
        self._files = limits.files
        self.external_schema = False
        self.has_schema = False

    def files(self, archive: BinaryIO, depth: int) -> Iterator[tuple[str, bytes]]:
        """Yield the chart's own files that are of use, by their names."""
        try:
            unpacked: Any = _Bounded(gzip.GzipFile(fileobj=archive), self)
            with tarfile.open(fileobj=unpacked, mode="r|") as members:
                for member in members:
                    yield from self._member(members, member, depth)
        except (tarfile.TarError, EOFError, OSError, zlib.error, UnicodeError) as error:
            raise ChartInvalid(f"the chart's archive can't be read: {error}") from error

    def spend(self, count: int) -> None:
        """Take `count` bytes from the budget."""
        self._bytes -= count
        if self._bytes < 0:
            raise ChartTooLarge(f"the chart unpacks to more than {self._limits.unpacked_bytes} bytes")

    def _member(self, members: tarfile.TarFile, member: tarfile.TarInfo, depth: int) -> Iterator[tuple[str, bytes]]:
        self._files -= 1
        if self._files < 0:
            raise ChartTooLarge(f"the chart has more than {self._limits.files} files")
        if not member.isfile():
            return
        if member.size > self._limits.file_bytes:
            raise ChartTooLarge(f"{member.name[:200]} has {member.size} bytes; the limit is {self._limits.file_bytes}")
        parts = PurePosixPath(member.name).parts
        wanted = parts[1:] and parts[-1] in _KEPT
        nested = len(parts) > 2 and parts[-2] == "charts" and parts[-1].endswith((".tgz", ".tar.gz"))
        if not wanted and not nested:
            return
        file = members.extractfile(member)
        content = file.read() if file else b""
        if nested:
            self._nested(content, depth)
            return
        if parts[-1] == "values.schema.json":
            self.has_schema = True
            self.external_schema |= refers_outside(_json(content))
        if len(parts) == 2:
            yield parts[-1], content

    def _nested(self, content: bytes, depth: int) -> None:
        if depth >= _DEEPEST:
            raise ChartInvalid(f"the chart holds archives more than {_DEEPEST} deep")
        for _ in self.files(io.BytesIO(content), depth + 1):
            pass


class _Bounded:
    """A stream that may give only so much; tarfile would read a header of gigabytes into memory."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, reader: _ArchiveReader) -> None:
        self._stream = stream
        self._reader = reader

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self._reader.spend(len(data))
        return data


def refers_outside(schema: Any) -> bool:
    """Tell whether a JSON schema refers to a URL or a file, other than to JSON Schema's own drafts."""
    open_nodes = [schema]
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, list):
            open_nodes.extend(node)
        elif isinstance(node, dict):
            open_nodes.extend(node.values())
            if any(_outside(node.get(name)) for name in _REFERENCES):
                return True
    return False


def _outside(reference: Any) -> bool:
    return isinstance(reference, str) and not reference.startswith(("#", *_METASCHEMAS)) and reference != ""


def _mapping(content: bytes) -> Mapping[str, Any]:
    try:
        loaded = yaml.load(content, yaml.CBaseLoader)  # noqa: S506  # only builds text, lists and maps
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ChartInvalid(f"Chart.yaml can't be read: {str(error)[:300]}") from error
    if not isinstance(loaded, dict):
        raise ChartInvalid("Chart.yaml is no map")
    for key in ("name", "version"):
        if not _text(loaded, key):
            raise ChartInvalid(f"Chart.yaml has no {key}")
    return loaded


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ChartInvalid(f"values.schema.json can't be read: {str(error)[:300]}") from error


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value[:1000] if isinstance(value, str) else ""
