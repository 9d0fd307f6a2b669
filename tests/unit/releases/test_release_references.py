"""References to secrets in values: what is one, what is refused, what is filled in, hidden and remembered."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.crypto import Vault
from app.core.secrets.scope import current, entered
from app.releases import resolutions
from app.releases.errors import SecretReferenceError
from app.releases.references import (
    MOST,
    Reference,
    at,
    check_references,
    filled,
    pointer_to,
    references_in,
    texts_of,
)
from app.releases.request_secrets import Checked
from app.releases.resolutions import Known
from app.releases.resolve import _Held, _value
from app.releases.secrets.opened import Opened
from app.releases.secrets.places import Places
from app.releases.secrets.rendered import places_in_secrets

ARN = "arn:aws:secretsmanager:us-west-2:123456789012:secret:shop/db-AbCdEf"
DB = {"from_secret": {"name": "db", "key": "password"}}
AWS = {"from_secrets_manager": {"arn": ARN, "key": "password"}}
WHOLE = {"from_secrets_manager": {"arn": ARN}}

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b/c", "~", "password", "name", "key"]), inner, max_size=3)
    ),
    max_leaves=10,
)
WITH_REFERENCES = st.dictionaries(
    st.sampled_from(["a", "b/c", "env", "password"]),
    st.recursive(
        PLAIN | st.sampled_from([DB, AWS, WHOLE]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "token"]), inner, max_size=3)
        ),
        max_leaves=10,
    ),
    max_size=4,
)


def refused(values: Any) -> list[str]:
    with pytest.raises(SecretReferenceError) as error:
        check_references(values, "/values")
    return [found.pointer for found in error.value.errors]


@given(WITH_REFERENCES)
def test_what_is_well_formed_is_found_in_its_place(values: dict[str, Any]) -> None:
    check_references(values, "/values")
    found = references_in(values)
    assert all(at(values, each.path) == each.as_json() for each in found)
    assert json.dumps(values).count('"from_secret') == len(found)


@given(WITH_REFERENCES)
def test_filled_values_hold_no_reference_and_all_else(values: dict[str, Any]) -> None:
    before = json.dumps(values)
    found = references_in(values)
    whole = filled(values, {each.path: index for index, each in enumerate(found)})
    assert references_in(whole) == []
    assert [at(whole, each.path) for each in found] == list(range(len(found)))
    assert filled(whole, {each.path: each.as_json() for each in found}) == values
    assert json.dumps(values) == before


@given(WITH_REFERENCES)
def test_references_are_shown_as_they_are(values: dict[str, Any]) -> None:
    with entered():
        opened = Opened(values, known=Places([()]))
        assert references_in(opened.shown()) == references_in(values)
        assert Opened(opened.shown()).sent_back(opened, "/values").values == values


@given(st.dictionaries(st.text(max_size=5), PLAIN, max_size=3))
def test_plain_values_are_none(values: dict[str, Any]) -> None:
    check_references(values, "")
    assert references_in(values) == []


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"from_secret": "db"}, "/values/x/from_secret"),
        ({"from_secret": None}, "/values/x/from_secret"),
        ({"from_secret": {"name": "db"}}, "/values/x/from_secret/key"),
        ({"from_secret": {"key": "k"}}, "/values/x/from_secret/name"),
        ({"from_secret": {"name": "DB", "key": "k"}}, "/values/x/from_secret/name"),
        ({"from_secret": {"name": "a" * 254, "key": "k"}}, "/values/x/from_secret/name"),
        ({"from_secret": {"name": "../db", "key": "k"}}, "/values/x/from_secret/name"),
        ({"from_secret": {"name": "db", "key": "a/b"}}, "/values/x/from_secret/key"),
        ({"from_secret": {"name": "db", "key": ".."}}, "/values/x/from_secret/key"),
        ({"from_secret": {"name": "db", "key": 1}}, "/values/x/from_secret/key"),
        ({"from_secret": {"name": "db", "key": "k", "namespace": "kube-system"}}, "/values/x/from_secret/namespace"),
        ({"from_secrets_manager": {"arn": ARN, "version": "1"}}, "/values/x/from_secrets_manager/version"),
        ({"from_secrets_manager": {"arn": ARN, "key": ""}}, "/values/x/from_secrets_manager/key"),
        ({"from_secrets_manager": {"arn": ARN, "key": None}}, "/values/x/from_secrets_manager/key"),
        ({"from_secrets_manager": {"arn": "shop/db"}}, "/values/x/from_secrets_manager/arn"),
        (
            {"from_secrets_manager": {"arn": ARN.replace("secretsmanager", "ssm")}},
            "/values/x/from_secrets_manager/arn",
        ),
        (
            {"from_secrets_manager": {"arn": ARN.replace("us-west-2", "evil.example/")}},
            "/values/x/from_secrets_manager/arn",
        ),
        (
            {"from_secrets_manager": {"arn": ARN.replace("us-west-2", "cn-north-1")}},
            "/values/x/from_secrets_manager/arn",
        ),
        ({**DB, **AWS}, "/values/x/from_secret"),
        ({**DB, "other": 1}, "/values/x/from_secret"),
    ],
)
def test_what_can_never_be_resolved_is_refused(value: Any, pointer: str) -> None:
    assert refused({"x": value}) == [pointer]
    assert references_in({"x": value}) == []


@pytest.mark.parametrize(
    "value",
    [
        {"from_secret": True, "name": "x"},
        {"from_secret": {"enabled": True}, "secretName": "x"},
        {"from_secret": "x", "from_secrets_manager": "y"},
    ],
)
def test_a_charts_own_value_of_that_name_beside_others_stays(value: Any) -> None:
    check_references({"x": value, "from_secret": True}, "")
    assert references_in({"x": value}) == []


def test_arns_of_other_partitions_accounts_and_regions() -> None:
    for arn in (
        ARN.replace(":aws:", ":aws-cn:").replace("us-west-2", "cn-north-1"),
        ARN.replace(":aws:", ":aws-us-gov:").replace("us-west-2", "us-gov-west-1"),
        ARN.replace("123456789012", "210987654321").replace("us-west-2", "eu-central-1"),
    ):
        check_references({"x": {"from_secrets_manager": {"arn": arn}}}, "")


def test_how_many_there_may_be() -> None:
    check_references({"x": [DB] * MOST}, "/values")
    assert refused({"x": [DB] * (MOST + 1)}) == ["/values"]
    assert refused({"from_secret": {"name": "db", "key": "k"}}) == ["/values/from_secret"]


def test_names_of_references_are_no_secrets_and_what_they_stand_for_is() -> None:
    reference = {"from_secret": {"name": "shop-prod-db1", "key": "tls.key"}}
    values = {"password": reference, "token": "an-own-token-1", "env": [{"name": "DB_PASSWORD", "value": reference}]}
    places = Places([("password",), ("env",)])
    opened = Opened(values, known=places, named=[("password", "from_secret", "name")])
    assert opened.secrets == ["an-own-token-1", "DB_PASSWORD"]
    assert opened.shown()["password"] == opened.shown()["env"][0]["value"] == reference
    entries = {"stringData": {"a": "shop-prod-db1", "b": "an-own-token-1", "c": "tls.key"}}
    assert places_in_secrets(values, places, [entries]) == []
    assert places_in_secrets(values, Places(), [entries]) == []
    assert set(texts_of({"host": "shop-prod-db1", "port": 54321})) == {"shop-prod-db1", "54321"}
    current().add(["shop-prod-db1", "a-resolved-one-2"])  # an RDS secret tells the name of its database, too
    assert current().value({"reference": reference, "message": "a-resolved-one-2 an-own-token-1 of shop-prod-db1"}) == {
        "reference": reference,
        "message": "(redacted) (redacted) of shop-prod-db1",
    }
    document = '{"user": "shop", "password": "inner-secret", "n": [1]}'
    assert list(texts_of(document)) == [document, "shop", "inner-secret", "1"]
    assert list(texts_of("{no json")) == ["{no json"]


def reference(key: str | None, kind: Any = "from_secrets_manager") -> Reference:
    return Reference(("x",), kind, "db", key)


@pytest.mark.parametrize(
    ("held", "key", "expected"),
    [
        ("text", None, "text"),
        ('{"a": 1}', None, '{"a": 1}'),
        ('{"a": "x", "b": 5432, "c": true}', "a", "x"),
        ('{"a": "x", "b": 5432, "c": true}', "b", 5432),
        ('{"a": "x", "b": 5432, "c": true}', "c", True),
    ],
)
def test_what_a_secret_of_secrets_manager_gives(held: str, key: str | None, expected: Any) -> None:
    assert _value(reference(key), _Held(held)) == expected


@pytest.mark.parametrize(
    ("held", "key", "code"),
    [
        (b"\x00", None, "secret_not_text"),
        ("no json", "a", "secret_not_text"),
        ("[1]", "a", "secret_not_text"),
        ("[" * 5000, "a", "secret_not_text"),
        ('{"a": {"b": 1}}', "a", "secret_not_text"),
        ('{"a": null}', "a", "secret_not_text"),
        ('{"a": NaN}', "a", "secret_not_text"),
        ('{"a": 1}', "b", "secret_key_not_found"),
    ],
)
def test_what_a_secret_of_secrets_manager_cannot_give(held: Any, key: str | None, code: str) -> None:
    assert _value(reference(key), _Held(held)).failure.code == code


def test_what_a_secret_of_kubernetes_gives() -> None:
    held = _Held({"a": base64.b64encode("grüße\n".encode()).decode(), "b": base64.b64encode(b"\xff").decode()})
    assert _value(reference("a", "from_secret"), held) == "grüße\n"
    assert _value(reference("b", "from_secret"), held).failure.code == "secret_not_text"
    assert _value(reference("c", "from_secret"), held).failure.code == "secret_key_not_found"


def test_only_what_a_schema_says_for_want_of_a_secret_is_let_pass() -> None:
    checked = Checked(Opened({}), ("/db/password",))
    assert all(checked.is_open(pointer) for pointer in ("/db/password", "/db", "", "/db/password/x"))
    assert not any(checked.is_open(pointer) for pointer in ("/db/passwords", "/d", "/replicas"))


def facts_of(*made: tuple[str, int, dict[str, Any], str]) -> dict[str, Any]:
    facts: dict[str, Any] = {"other": 1}
    for operation, revision, values, fingerprint in made:
        known = [Known(each, fingerprint) for each in references_in(values)]
        facts = resolutions.settled(resolutions.noted(facts, operation, known), operation, revision)
    return facts


def test_what_helm_keeps_is_shown_as_references() -> None:
    facts = facts_of(("op_1", 1, {"a": DB}, "f1"), ("op_2", 2, {"b": AWS}, "f2"))
    kept = {"a": "one", "b": "two", "c": 3}
    assert resolutions.concealed(kept, facts, 1) == {"a": DB, "b": "(redacted)", "c": 3}
    assert resolutions.concealed(kept, facts, 2) == {"a": "(redacted)", "b": AWS, "c": 3}
    assert resolutions.concealed(kept, facts, None) == {"a": "(redacted)", "b": AWS, "c": 3}
    assert resolutions.concealed({"c": 3}, facts, 7) == {"c": 3}
    assert resolutions.secrets_of(kept, facts) == ["one", "two"]
    assert resolutions.concealed(kept, {}, 1) == kept


def test_what_is_remembered_of_revisions() -> None:
    facts = facts_of(("op_1", 1, {"a": DB}, "f1"))
    failed = resolutions.noted(facts, "op_2", [Known(Reference(("b",), "from_secret", "x", "k"), "f2")])
    assert resolutions.of_revision(failed, None) == []
    assert ("b",) in resolutions.paths(failed)
    back = resolutions.settled(failed, "op_2", 3, like=1)
    assert [each.fingerprint for each in resolutions.of_revision(back, 3)] == ["f1"]
    assert back["other"] == 1
    assert resolutions.settled(failed, "op_2", 1, like=1) == failed
    many = facts_of(*((f"op_{n}", n, {"a": DB}, f"f{n}") for n in range(1, 40)))
    assert len(many[resolutions.FACT]) == resolutions.MOST
    assert [each.fingerprint for each in resolutions.of_revision(many, 39)] == ["f39"]
    again = resolutions.settled(resolutions.noted(many, "op_x", []), "op_x", 39)
    assert resolutions.of_revision(again, 39) == []
    assert resolutions.settled({"x": 1}, "op_1", 1) == {"x": 1}


def test_what_somebody_installed_by_hand_gets_references_for_known_secrets_only() -> None:
    facts = facts_of(("op_1", 1, {"a": DB, "b": DB, "c": DB}, "f1"))
    same = {"old": True, "own": False, "lost": None}
    values = {"a": "old", "b": "own", "c": "lost"}
    assert resolutions.with_references(values, facts, lambda value, _: same[value]) == {"a": DB, "b": "own", "c": DB}


def test_fingerprints_are_keyed_and_outlive_a_new_key() -> None:
    old, new = "the-old-key-of-0123456789-abcdefgh", "the-new-key-of-0123456789-abcdefgh"
    fingerprint = Vault(lambda: old).fingerprint("secret")
    both = Vault(lambda: f"{new},{old}")
    assert both.has_fingerprint("secret", fingerprint) is True
    assert both.has_fingerprint("other", fingerprint) is False
    assert both.fingerprint("secret") != fingerprint
    assert fingerprint.startswith(f"{Vault(lambda: old).key_ids[0]}:")
    assert Vault(lambda: new).has_fingerprint("secret", fingerprint) is None
    assert "secret" not in fingerprint


def test_pointers() -> None:
    assert pointer_to(("a/b", 0, "~")) == "/a~1b/0/~0"
