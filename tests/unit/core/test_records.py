"""State in JSON columns: read from any version, written back without a loss, under names that are there for ever."""

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from app import wiring  # noqa: F401 - whoever keeps something is imported
from app.cloudformation.driver import ChangeSets, StackState
from app.clusters.progress import AskedOfCluster
from app.clusters.progress import Progress as ClusterProgress
from app.core.record import Record
from app.engine.models import Admission
from app.operations.records import Asked, Found
from app.releases.progress import AskedOfRelease
from app.releases.progress import Progress as ReleaseProgress

THEN = "2026-11-23T08:01:14.502000+00:00"
PINNED = {"name": "demo", "version": "1.0.0", "app_version": "1", "digest": "sha256:0", "source": {"oci": "oci://x"}}
ASKED: dict[str, Any] = {"generation": 3, "usable": True, "force": True}
FOUND: dict[str, Any] = {"outputs": {"revision": 3}, "facts": {"chart": PINNED}}
WRITTEN: dict[type[Record], dict[str, Any]] = {
    Asked: ASKED,
    Found: FOUND,
    Admission: {"failed_dependency": {"operation_id": "op_1", "message": "cluster.create of 'c' failed"}},
    ChangeSets: {"change_sets": 2},
    StackState: {
        "intent": "execute",
        "stack_id": "arn:aws:cloudformation:x",
        "change_set": "slipway-1",
        "changes": 1,
        "deleting": True,
        "done": {"create": 1},
    },
    AskedOfCluster: {**ASKED, "before": {"version": "1.33"}, "version_change": True},
    ClusterProgress: {**FOUND, "done": 2},
    AskedOfRelease: {**ASKED, "registry_id": "reg_1", "chart": PINNED, "revision": 2, "anew": True},
    ReleaseProgress: {
        **FOUND,
        "deadline": THEN,
        "away_since": THEN,
        "chart": PINNED,
        "begun": True,
        "running": False,
        "kills": 4,
        "failure": {"code": "x", "message": "y", "hint": None, "cause": None, "retryable": False},
        "before": 2,
        "recovered": 1,
    },
}
"""What the versions before records wrote, as plain dicts: a version that runs beside this one still does."""
NEWER = {"of_a_newer_version": {"a": [1, None]}, "of another owner": 7}


def below(kind: type[Record]) -> Iterator[type[Record]]:
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def in_python(value: Any) -> Any:
    """Return a document with its times as times, which may be written in more than one way."""
    if isinstance(value, dict):
        return {key: in_python(each) for key, each in value.items()}
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) and value.startswith("20") else value
    except ValueError:
        return value


def test_every_owner_is_known_with_every_key() -> None:
    """A new record or field is written down here as it looks: from then on it is there for ever."""
    assert {kind: set(kind.model_fields) for kind in below(Record)} == {
        kind: set(each) for kind, each in WRITTEN.items()
    }


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_was_written_is_read_and_written_back(kind: type[Record]) -> None:
    document = {**WRITTEN[kind], **NEWER}
    assert in_python(kind.of(document).as_json()) == in_python(document)


@pytest.mark.parametrize("kind", WRITTEN)
def test_an_older_version_had_none_of_the_fields(kind: type[Record]) -> None:
    document = copy.deepcopy(NEWER)
    record = kind.within(document)
    assert kind.of({}).as_json() == {}
    for name, value in WRITTEN[kind].items():
        setattr(record, name, getattr(kind.of({name: value}), name))
        assert document.keys() == NEWER.keys() | record.model_fields_set & WRITTEN[kind].keys(), "no default is written"
    assert in_python(document) == in_python({**NEWER, **WRITTEN[kind]})


def test_owners_of_one_object_leave_each_other_alone() -> None:
    data: dict[str, Any] = {"done": 1, "change_sets": 1, "create_stack": {"intent": "create", "new": 1}}
    progress, made = ClusterProgress.within(data), ChangeSets.within(data)
    made.change_sets += 1
    progress.done += 1
    StackState.within(data["create_stack"]).stack_id = "arn"
    assert data == {"done": 2, "change_sets": 2, "create_stack": {"intent": "create", "new": 1, "stack_id": "arn"}}


def test_times_are_such_as_the_versions_before_read() -> None:
    data: dict[str, Any] = {}
    ReleaseProgress.within(data).deadline = at = datetime(2026, 11, 23, 8, 1, 14, 502000, UTC)
    assert datetime.fromisoformat(data["deadline"]) == at
