import re

from hypothesis import given
from hypothesis import strategies as st
from stack_samples import ULID, examples, ulids

from app.stacks.naming import change_set_name, client_token, stack_name

LEGAL = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
anything = st.text(max_size=300) | st.text("aB3-_/.", min_size=130, max_size=300)
kinds = st.sampled_from(["cluster", "nodegroup", "addon", "registry"])


@examples
@given(kinds, ulids, anything)
def test_stack_names_are_legal_for_any_name(kind, ulid, name):
    made = stack_name(kind, f"clu_{ulid}", name)
    assert LEGAL.fullmatch(made)
    assert made.startswith("slipway-")
    assert made.endswith(f"-{kind}")


@examples
@given(kinds, st.lists(ulids, min_size=2, max_size=2, unique_by=lambda ulid: ulid[-12:]), anything)
def test_another_resource_of_the_same_name_has_another_stack(kind, ulids_, name):
    first, second = (stack_name(kind, f"clu_{ulid}", name) for ulid in ulids_)
    assert first != second


def test_a_stack_name_can_be_read():
    assert stack_name("cluster", f"clu_{ULID}", "prod") == "slipway-prod-7v5x3wtr6hbn-cluster"
    assert stack_name("registry", f"reg_{ULID}", "team/app_one.x") == "slipway-team-app-one-x-7v5x3wtr6hbn-registry"
    assert stack_name("cluster", f"clu_{ULID}", "集群") == "slipway-7v5x3wtr6hbn-cluster"


@examples
@given(ulids, st.lists(st.tuples(anything, st.integers(1, 10**6)), min_size=2, max_size=2, unique=True))
def test_tokens_are_legal_and_differ_with_phase_and_try(ulid, calls):
    first, second = (client_token(f"op_{ulid}", phase, attempt) for phase, attempt in calls)
    assert first != second
    assert LEGAL.fullmatch(first)
    assert LEGAL.fullmatch(second)


def test_phases_that_share_a_slug_have_different_tokens():
    made = {client_token(f"op_{ULID}", phase, 1) for phase in ("create-stack", "create_stack", "create stack")}
    assert len(made) == 3
    assert f"slipway-op-{ULID}-create-stack-1" in made


@examples
@given(ulids, st.integers(1, 10**6))
def test_change_set_names_are_legal_and_repeatable(ulid, attempt):
    made = change_set_name(f"op_{ulid}", attempt)
    assert LEGAL.fullmatch(made)
    assert made == change_set_name(f"op_{ulid}", attempt)
    assert made != change_set_name(f"op_{ulid}", attempt + 1)
