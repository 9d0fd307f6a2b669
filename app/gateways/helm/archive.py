r"""Packs a fetched chart anew, so that helm never sees an archive that Slipway did not write.

Two readers of one archive disagree: helm (pkg/chart/loader/archive) takes a file of any tar type that has a body,
splits names at `\` where there is one, drops the first folder whatever it is called, and takes the last of two files of
a name. So what was fetched is read once, here, and written as regular files below one folder, in the same order, with
helm's own names for them; packed subcharts (`charts/*.tgz`) become folders beside them. What helm reads as an empty
file (links, devices) is one. The same bytes give the same archive.

Bounds are those that helm itself has (100 MiB unpacked), and are counted while reading.
"""

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from app.gateways.helm.errors import ChartInvalid, ChartTooLarge

FOLDER = "chart"
"""What all is packed into; helm takes any."""
LONGEST_NAME = 500
"""Characters of a file's name."""

_DEEPEST = 4
"""Archives in archives."""
_FAST = 1
"""Of gzip: the archive lives for minutes."""
_EMPTY = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_NOT_PRINTED = re.compile(r"[\0-\x1f\x7f\ud800-\udfff]")
_UNPACKED = "-unpacked"


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


Look = Callable[[str, bytes], bytes | None]
"""Is given each file's name in the chart (`charts/db/values.yaml`) and content; says what to write, None: nothing."""


def repack(source: Path, target: Path, limits: ChartLimits, look: Look) -> None:
    """Read a chart's archive, and write one of the same files; blocking, up to some seconds for the largest.

    Args:
        source: A .tgz.
        target: Where to write.
        limits: Its bounds.
        look: Sees each file.

    Raises:
        ChartTooLarge: It is over a limit.
        ChartInvalid: It is no archive, or holds names that no chart has.
    """
    size = source.stat().st_size
    if size > limits.archive_bytes:
        raise ChartTooLarge(f"the chart's archive has {size} bytes; the limit is {limits.archive_bytes}")
    with (
        source.open("rb") as packed,
        target.open("wb") as file,
        gzip.GzipFile("", "wb", _FAST, file, mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.GNU_FORMAT) as written,
    ):
        for name, content in _Reader(limits).files(packed, "", 0):
            kept = look(name, content)
            if kept is not None:
                info = tarfile.TarInfo(f"{FOLDER}/{name}")
                info.size = len(kept)
                written.addfile(info, io.BytesIO(kept))


def files_of(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of files of an archive that `repack` wrote; blocking."""
    with tarfile.open(path, mode="r:gz") as members:
        for member in members:
            name = member.name.removeprefix(f"{FOLDER}/")
            if wanted(name) and (file := members.extractfile(member)) is not None:
                yield name, file.read()


def chart_of(name: str) -> tuple[tuple[str, ...], str]:
    """Split a file's name into the folders of the (sub)chart that it belongs to, and its name in that.

    `charts/db/charts/pg/values.yaml` is `values.yaml` of `("db", "pg")`.
    """
    parts = name.split("/")
    folders: list[str] = []
    while len(parts) > 2 and parts[0] == "charts":
        folders.append(parts[1])
        parts = parts[2:]
    return tuple(folders), "/".join(parts)


class _Reader:
    """Reads an archive and those inside it under one budget."""

    def __init__(self, limits: ChartLimits) -> None:
        self._limits = limits
        self._bytes = limits.unpacked_bytes
        self._files = limits.files
        self._seen: set[str] = set()

    def files(self, archive: BinaryIO, prefix: str, depth: int) -> Iterator[tuple[str, bytes]]:
        """Yield the files of an archive by their names in the whole chart."""
        if depth > _DEEPEST:
            raise ChartInvalid(f"the chart holds archives more than {_DEEPEST} deep")
        root: str | None = None
        try:
            unpacked: Any = _Bounded(gzip.GzipFile(fileobj=archive), self)
            with tarfile.open(fileobj=unpacked, mode="r|") as members:
                for member in members:
                    self._count(member)
                    if member.isdir():
                        continue
                    folder, name = _placed(member.name)
                    if root not in (None, folder):
                        raise ChartInvalid(f"the chart's archive has two folders, {root!r} and {folder!r}")
                    root = folder
                    yield from self._file(prefix + name, _content(members, member), depth)
        except (tarfile.TarError, EOFError, OSError, zlib.error, UnicodeError, ValueError) as error:
            raise ChartInvalid(f"the chart's archive can't be read: {str(error)[:300]}") from error

    def spend(self, count: int) -> None:
        """Take `count` bytes from the budget."""
        self._bytes -= count
        if self._bytes < 0:
            raise ChartTooLarge(f"the chart unpacks to more than {self._limits.unpacked_bytes} bytes")

    def _count(self, member: tarfile.TarInfo) -> None:
        self._files -= 1
        if self._files < 0:
            raise ChartTooLarge(f"the chart has more than {self._limits.files} files")
        if member.size and member.type not in _REGULAR:
            raise ChartInvalid(f"{member.name[:200]!r} in the chart's archive is no file")  # readers differ on its end
        if member.size > self._limits.file_bytes:
            raise ChartTooLarge(f"{member.name[:200]} has {member.size} bytes; the limit is {self._limits.file_bytes}")

    def _file(self, name: str, content: bytes, depth: int) -> Iterator[tuple[str, bytes]]:
        if name in self._seen:
            raise ChartInvalid(f"the chart's archive holds {name[:200]!r} twice")
        self._seen.add(name)
        folders, inner = chart_of(name)
        if any(folder[0] in "._" for folder in folders) or inner.startswith(("charts/.", "charts/_")):
            return  # helm takes no subchart from there
        if any(folder.endswith(".tgz") for folder in folders):
            raise ChartInvalid(f"the chart's archive holds {name[:200]!r}: a folder named as an archive")
        if inner.startswith("charts/") and inner.endswith(".tgz"):
            prefix = f"{name.removesuffix('.tgz')}{_UNPACKED}/"
            yield from self.files(io.BytesIO(content), prefix, depth + 1)
            return
        yield name, content


class _Bounded:
    """A stream that may give only so much; tarfile would read a header of gigabytes into memory."""

    def __init__(self, stream: gzip.GzipFile, reader: _Reader) -> None:
        self._stream = stream
        self._reader = reader

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self._reader.spend(len(data))
        return data


def _placed(name: str) -> tuple[str, str]:
    """Split a member's name into its first folder and the rest, as helm names the file.

    Raises:
        ChartInvalid: No packaged chart has such a name, and helm might read another one in it than we.
    """
    parts = name.split("/")
    inner = [part for part in parts[1:] if part not in ("", ".")]
    wrong = "\\" in name or _NOT_PRINTED.search(name) or len(name) > LONGEST_NAME or ".." in parts or name[:1] == "/"
    if wrong or not inner or parts[1] == "":
        raise ChartInvalid(f"the chart's archive holds a file named {name[:200]!r}")
    return parts[0], "/".join(inner)


def _content(members: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.type in _EMPTY:
        return b""
    file = members.extractfile(member) if member.type in _REGULAR else None
    if file is None:
        raise ChartInvalid(f"{member.name[:200]!r} in the chart's archive is no file")
    return file.read()
