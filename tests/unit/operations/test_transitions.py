"""What a resource is once an operation on it has ended."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import pytest

from app.db.base import ResourceColumns
from app.engine.contract import Ending
from app.engine.models import Operation
from app.operations.schemas import Phase, operation_out
from app.operations.transitions import GONE, Verb, phase_after, settle, with_condition

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def row(**values: Any) -> ResourceColumns:
    return ResourceColumns(
        id="clu_1",
        project_id="prj_1",
        account_id="acc_1",
        region="us-west-2",
        name="a",
        spec={},
        phase="creating",
        **values,
    )


def ended(kind: str, **values: Any) -> Operation:
    common = {"id": "op_1", "phase": "begin", "resource_type": "cluster", "resource_id": "clu_1", "resource_name": "a"}
    return Operation(kind=kind, finished_at=AT, created_at=AT, **common, **values)


@pytest.mark.parametrize(("verb", "ending", "usable"), list(product(get_args(Verb), get_args(Ending), (False, True))))
def test_every_end_leads_to_a_phase(verb: Any, ending: Any, usable: bool) -> None:
    phase = phase_after(verb, ending, usable=usable)
    assert phase in (*get_args(Phase), GONE)
    assert phase not in ("creating", "updating", "deleting")
    if usable and verb != "create" and phase != GONE:
        assert phase == "active"
    assert (phase == GONE) == ((verb, ending) in {("create", "cancelled"), ("delete", "succeeded")})


def test_a_create_that_succeeds_makes_it_active() -> None:
    resource = row(generation=3, outputs={"old": 1})
    operation = ended("cluster.create", input={"generation": 2}, data={"outputs": {"arn": "a"}, "facts": {"zone": "b"}})
    settle(resource, operation, "succeeded", usable=False)
    assert (resource.phase, resource.observed_generation, resource.deleted_at) == ("active", 2, None)
    assert (resource.outputs, resource.facts) == ({"old": 1, "arn": "a"}, {"zone": "b"})
    assert [(c["type"], c["status"], c["reason"]) for c in resource.conditions] == [
        ("Ready", "True", "Available"),
        ("Synced", "True", "Applied"),
    ]


def test_an_update_that_fails_leaves_what_serves_active_and_says_so() -> None:
    resource = row(generation=2, observed_generation=1)
    operation = ended(
        "cluster.update", input={"generation": 2}, error={"code": "stack_update_failed", "message": "No."}
    )
    settle(resource, operation, "failed", usable=True)
    assert (resource.phase, resource.observed_generation) == ("active", 1)
    ready, synced = resource.conditions
    assert (ready["status"], ready["message"]) == ("True", "")
    assert (synced["status"], synced["reason"], synced["message"]) == ("False", "StackUpdateFailed", "No.")


def test_what_was_superseded_leaves_the_row_to_who_took_over() -> None:
    resource = row()
    resource.phase = "deleting"
    settle(resource, ended("cluster.create", superseded=True, data={"facts": {"a": 1}}), "cancelled", usable=False)
    assert (resource.phase, resource.deleted_at, resource.conditions, resource.facts) == ("deleting", None, [], {})


def test_a_change_that_a_delete_waits_for_leaves_it_the_phase() -> None:
    resource = row()
    resource.phase = "deleting"
    settle(resource, ended("nodegroup.update", data={"facts": {"a": 1}}), "succeeded", usable=True)
    assert (resource.phase, resource.deleted_at, resource.conditions, resource.facts) == (
        "deleting",
        None,
        [],
        {"a": 1},
    )


@pytest.mark.parametrize(("kind", "ending"), [("cluster.delete", "succeeded"), ("cluster.create", "cancelled")])
def test_what_is_gone_is_marked_as_deleted(kind: str, ending: Any) -> None:
    resource = row()
    settle(resource, ended(kind), ending, usable=False)
    assert resource.deleted_at == AT


def test_a_conditions_time_moves_only_with_its_status() -> None:
    first = with_condition([], "Ready", "False", "StackFailed", "No.", AT)
    second = with_condition(first, "Ready", "False", "QuotaExceeded", "Too many.", AT + timedelta(hours=1))
    third = with_condition(second, "Ready", "True", "Available", "left out", AT + timedelta(hours=2))
    assert [conditions[0]["last_transition_time"] for conditions in (first, second, third)] == [
        AT.isoformat(),
        AT.isoformat(),
        (AT + timedelta(hours=2)).isoformat(),
    ]
    assert (second[0]["reason"], third[0]["message"]) == ("QuotaExceeded", "")


def test_progress_counts_steps_and_children() -> None:
    steps = [
        {"name": "a", "status": "succeeded"},
        {"name": "b", "status": "skipped"},
        {"name": "c", "status": "running"},
    ]
    child = ended("nodegroup.create", status="failed", gen=1)
    running = ended("nodegroup.create", status="running")
    running.finished_at = None
    out = operation_out(ended("cluster.apply", status="running", steps=steps, warnings=[]), [child, running], ["op_0"])
    assert (out.progress.done, out.progress.total, out.depends_on) == (3, 5, ["op_0"])
    assert [each.status for each in out.children] == ["failed", "running"]
