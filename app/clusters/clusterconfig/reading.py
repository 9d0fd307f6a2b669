"""Reads one object of a document by tables: what its keys are, how each is read, which values mean nothing new.

No key is passed over in silence: one that v1alpha5 doesn't know is an unknown key, one that it knows and no table
reads is not supported yet, unless its value is what Slipway does anyway.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from app.clusters.clusterconfig.report import Report, at, quoted
from app.clusters.clusterconfig.schema import Keys
from app.clusters.clusterconfig.values import Reader, kind


@dataclass(frozen=True)
class Section:
    """One kind of object. Paths are its keys, joined by dots from the object on.

    `harmless` lists, for a path, the values that change nothing; null and an empty list are harmless everywhere.
    `hints` end the sentences "not supported yet" and "is required".
    """

    keys: Keys
    readers: Mapping[str, Reader]
    harmless: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def branches(self) -> frozenset[str]:
        """The paths below which something is read or harmless."""
        ends = [path.split(".") for path in (*self.readers, *self.harmless)]
        return frozenset(".".join(steps[:count]) for steps in ends for count in range(1, len(steps)))


@dataclass(frozen=True)
class Found:
    """What was read of one object; `pointer` is where it stands, and `is_object` is false when it isn't one at all."""

    pointer: str
    values: dict[str, Any] = field(default_factory=dict)
    pointers: dict[str, str] = field(default_factory=dict)
    is_object: bool = True

    def get(self, path: str) -> Any:
        """The value at a path, None when it isn't there or is wrong."""
        return self.values.get(path)

    def tried(self, path: str) -> bool:
        """Whether something stands at a path, be it right or wrong."""
        return path in self.pointers

    def where(self, *paths: str) -> str:
        """The pointer of the first of the paths that stands in the document, else the object's own."""
        return next((self.pointers[path] for path in paths if path in self.pointers), self.pointer)


def read(section: Section, value: Any, pointer: str, report: Report) -> Found:
    """Read an object by its section; what is wrong goes to the report."""
    found = Found(pointer, is_object=isinstance(value, dict))
    if not isinstance(value, dict):
        report.wrong(pointer, f"must be an object and is {kind(value)}")
        return found
    _walk(section, section.keys, value, "", found, report)
    return found


def objects(section: Section, most: int) -> Callable[[Any, str, Report], list[Found] | None]:
    """Make a reader of a list of at most so many objects: a `Found` for each, also for those that are wrong."""

    def read_all(value: Any, pointer: str, report: Report) -> list[Found] | None:
        if not isinstance(value, list):
            report.wrong(pointer, f"must be a list and is {kind(value)}")
            return None
        if len(value) > most:
            report.wrong(pointer, f"must have at most {most} entries and has {len(value)}")
            return None
        return [read(section, item, at(pointer, index), report) for index, item in enumerate(value)]

    return read_all


def named(section: Section, most: int) -> Reader:
    """Make a reader of an object that names at most so many objects: `{name: Found}`."""

    def read_all(value: Any, pointer: str, report: Report) -> dict[str, Found] | None:
        if not isinstance(value, dict):
            report.wrong(pointer, f"must be an object and is {kind(value)}")
            return None
        if len(value) > most:
            report.wrong(pointer, f"must have at most {most} entries and has {len(value)}")
            return None
        return {str(name): read(section, item, at(pointer, name), report) for name, item in value.items()}

    return read_all


def _walk(section: Section, keys: Keys, mapping: dict[str, Any], prefix: str, found: Found, report: Report) -> None:
    base = found.where(prefix[:-1])
    for key, value in mapping.items():
        pointer, path = at(base, key), f"{prefix}{key}"
        if key not in keys:
            report.wrong(pointer, f"unknown key{report.similar(str(key), keys)}")
        elif value is not None:
            found.pointers[path] = pointer
            _take(section, keys[key], value, path, found, report)
    for path in section.required:
        parent, _, key = path.rpartition(".")
        if f"{parent}." == (prefix or ".") and mapping.get(key) is None:
            report.wrong(at(base, key), f"is required{section.hints.get(path, '')}")


def _take(section: Section, keys: "Keys | None", value: Any, path: str, found: Found, report: Report) -> None:
    pointer = found.pointers[path]
    if path in section.readers:
        result = section.readers[path](value, pointer, report)
        if result is not None:
            found.values[path] = result
    elif path in section.branches:
        if isinstance(value, dict):
            _walk(section, keys or {}, value, f"{path}.", found, report)
        else:
            report.wrong(pointer, f"must be an object and is {kind(value)}")
    elif not _is_harmless(value, section.harmless.get(path, ())):
        hint = section.hints.get(path) or _otherwise(section.harmless.get(path, ()))
        report.wrong(pointer, f"not supported yet{hint}")


def _is_harmless(value: Any, harmless: tuple[Any, ...]) -> bool:
    return value == [] or any(type(value) is type(one) and value == one for one in harmless)


def _otherwise(harmless: tuple[Any, ...]) -> str:
    shown = [str(one).lower() if isinstance(one, bool) else quoted(one).strip('"') for one in harmless]
    return f" (only {' or '.join(shown)} is)" if shown else ""
