"""Charts: where they come from, and what is in one that was fetched. Pure but for reading the archive's file.

An archive is read and packed anew by us before helm sees it (`archive.py`), so that a caller hears `chart_too_large`
and not that a process died, and helm reads what was checked. Helm also follows `$ref` of a chart's values.schema.json
to any URL and any local file: a schema that leads outside is left out, and the chart marked; the others are written
anew from what was checked.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from app.core.documents import UnreadableError, fetched_json, fetched_yaml
from app.core.yaml_scalars import KUBERNETES_TEXT
from app.gateways.helm.archive import ChartLimits, chart_of, files_of, repack
from app.gateways.helm.errors import ChartInvalid, ChartTooLarge
from app.gateways.helm.value_schema import LONGEST_POINTER, MOST_POINTERS, refers_outside, secret_pointers

ABOUT_NODES = 50_000
SCHEMA_NODES = 200_000
VALUES_NODES = 200_000
"""Nodes of all Chart.yaml, all values.schema.json and all values.yaml of a chart: tens of megabytes at the worst."""
MOST_SUBCHARTS = 500
"""Of a chart, all in all; each has a document of its own to be read."""

_MOST_TEXT = 1000


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
class Chart:
    """A fetched and checked chart.

    Attributes:
        path: The archive that we made of what was fetched; helm gets no other one.
        digest: `sha256:…` of what was fetched: of the manifest for OCI, else of the archive.
        size_bytes: Of `path`.
        name: From Chart.yaml, as the next ones; at most 1,000 characters each.
        version: As the chart spells it.
        app_version: Of what it installs; "" if it doesn't say.
        description: One sentence; "" if there is none.
        kube_version: The Kubernetes versions that it takes; "" for all.
        external_schema: Whether a schema of it refers to something outside; that one is not in `path`.
        has_schema: Whether it or a subchart has another one, that values are checked against.
        secret_pointers: Values that its schemas call secret (`writeOnly`, `format: password`), as JSON pointers, those
            of subcharts among them; `*` is any entry or key. At most 200, of 256 characters at most.
    """

    path: Path
    digest: str
    size_bytes: int
    name: str
    version: str
    app_version: str = ""
    description: str = ""
    kube_version: str = ""
    external_schema: bool = False
    has_schema: bool = False
    secret_pointers: tuple[str, ...] = ()

    def default_values(self) -> dict[str, Any]:
        """Return the values that the chart has of its own, those of its subcharts under their names.

        Read from the archive each time, since they may take much memory. Blocking, up to a second: call it in a thread.

        Raises:
            ChartInvalid: A values.yaml is none, or has too much.
        """
        return _default_values(self.path)


def read_chart(path: Path, digest: str, limits: ChartLimits) -> Chart:
    """Check a fetched archive, make helm's of it beside it, and return what it is; blocking, seconds for the largest.

    Args:
        path: A .tgz.
        digest: What it is known by.
        limits: Its bounds.

    Raises:
        ChartTooLarge: It, or what it unpacks to, is over a limit.
        ChartInvalid: It is no chart that can be installed.
    """
    packed = path.with_suffix(".packed.tgz")
    parts = _Parts()
    repack(path, packed, limits, parts.look)
    about = parts.about.get(())
    if about is None:
        raise ChartInvalid("the archive holds no Chart.yaml in its folder")
    for key in ("name", "version"):
        if not _text(about, key):
            raise ChartInvalid(f"Chart.yaml has no {key}")
    if about.get("type") not in (None, "", "application"):
        raise ChartInvalid(f"a chart of type {_text(about, 'type')!r} cannot be installed")
    return Chart(
        path=packed,
        digest=digest,
        size_bytes=packed.stat().st_size,
        name=_text(about, "name"),
        version=_text(about, "version"),
        app_version=_text(about, "appVersion"),
        description=_text(about, "description"),
        kube_version=_text(about, "kubeVersion"),
        external_schema=parts.external_schema,
        has_schema=parts.has_schema,
        secret_pointers=parts.secret_pointers(),
    )


_Folders = tuple[str, ...]


@dataclass(slots=True)
class _Parts:
    """What is looked at while a chart is packed anew, by the folders of the (sub)chart that it is of."""

    about: dict[_Folders, Mapping[str, Any]] = field(default_factory=dict)
    external_schema: bool = False
    has_schema: bool = False
    secrets: list[tuple[_Folders, tuple[str, ...]]] = field(default_factory=list)
    about_room: int = ABOUT_NODES
    schema_room: int = SCHEMA_NODES

    def look(self, name: str, content: bytes) -> bytes | None:
        folders, inner = chart_of(name)
        if inner == "Chart.yaml":
            if len(self.about) > MOST_SUBCHARTS:
                raise ChartTooLarge(f"the chart has more than {MOST_SUBCHARTS} subcharts")
            about = _mapping(name, content, self.about_room)
            self.about_room -= _size(about)
            self.about[folders] = _kept(about)
        elif inner == "values.schema.json" and content:
            return self._schema(folders, name, content)
        return content

    def _schema(self, folders: _Folders, name: str, content: bytes) -> bytes | None:
        try:
            schema = fetched_json(content, name, max_nodes=self.schema_room)
        except UnreadableError as error:
            raise ChartInvalid(str(error)) from error
        self.schema_room -= _size(schema)
        if refers_outside(schema):
            self.external_schema = True
            return None
        self.has_schema = True
        room = MOST_POINTERS - len(self.secrets)
        self.secrets += [(folders, path) for path, _ in zip(secret_pointers(schema), range(room), strict=False)]
        return json.dumps(schema, separators=(",", ":")).encode()

    def secret_pointers(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for folders, path in self.secrets:
            for keys in _keys(self.about, folders):
                pointer = "".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in (*keys, *path))
                if len(pointer) <= LONGEST_POINTER:
                    found[pointer] = None
        return tuple(found)[:MOST_POINTERS]


def _kept(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the little of a Chart.yaml that is of use, since an archive may hold thousands of them."""
    texts = {key: _text(about, key) for key in ("name", "version", "appVersion", "description", "kubeVersion", "type")}
    entries = about.get("dependencies")
    found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return texts | {"aliases": [(_text(entry, "name"), _text(entry, "alias")) for entry in found if entry.get("alias")]}


def _keys(about: Mapping[_Folders, Mapping[str, Any]], folders: _Folders) -> Iterator[tuple[str, ...]]:
    """Yield the keys below which the values of a subchart stand: its name, and those that its parent gives it."""
    names: list[list[str]] = []
    for depth in range(len(folders)):
        parent, name = about.get(folders[:depth], {}), about.get(folders[: depth + 1], {}).get("name") or folders[depth]
        names.append([name, *(alias for known, alias in parent.get("aliases", ()) if known == name)])
    for _, keys in zip(range(MOST_POINTERS), product(*names), strict=False):
        yield keys


def _default_values(path: Path) -> dict[str, Any]:
    about: dict[_Folders, Mapping[str, Any]] = {}
    values: dict[_Folders, dict[str, Any]] = {}
    room = VALUES_NODES
    for name, content in files_of(path, lambda name: chart_of(name)[1] in ("Chart.yaml", "values.yaml")):
        folders, inner = chart_of(name)
        if inner == "Chart.yaml":
            about[folders] = _kept(_mapping(name, content, ABOUT_NODES))
            continue
        try:
            found = next(fetched_yaml(content, name, max_nodes=room), None)
        except UnreadableError as error:
            raise ChartInvalid(str(error)) from error
        values[folders] = found if isinstance(found, dict) else {}
        room -= _size(values[folders])
    for folders in sorted(values, key=len, reverse=True):
        if folders:
            parent = values.setdefault(folders[:-1], {})
            for keys in _keys(about, folders):
                given = parent.get(keys[-1])
                parent[keys[-1]] = _joined(given, values[folders]) if isinstance(given, dict) else values[folders]
    return values.get((), {})


def _joined(over: Mapping[str, Any], under: Mapping[str, Any]) -> dict[str, Any]:
    """Return two maps as one, where the first counts; both are at most `FETCHED_DEPTH` deep."""
    return {
        **under,
        **{
            key: _joined(value, below)
            if isinstance(value, dict) and isinstance(below := under.get(key), dict)
            else value
            for key, value in over.items()
        },
    }


def _size(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting:
        node = waiting.pop()
        count += 1
        waiting.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
    return count


def _mapping(name: str, content: bytes, room: int) -> Mapping[str, Any]:
    try:
        loaded = next(fetched_yaml(content, name, max_nodes=room, dialect=KUBERNETES_TEXT), None)
    except UnreadableError as error:
        raise ChartInvalid(str(error)) from error
    if not isinstance(loaded, dict):
        raise ChartInvalid(f"{name} is no map")
    return loaded


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value[:_MOST_TEXT] if isinstance(value, str) else ""
