"""What was shown comes back whole, whatever it was; and what cannot be told apart is refused, never guessed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidError
from app.core.secrets import REDACTED
from app.core.secrets.scope import Scope, entered
from app.gateways.helm.value_schema import secret_pointers
from app.releases.errors import RedactedValueError, TooManySecretsError
from app.releases.schemas import ReleaseSpec
from app.releases.secrets.opened import MOST_SECRETS, Opened
from app.releases.secrets.places import Places, places_of_pointers
from app.releases.secrets.rendered import places_in_secrets
from app.releases.values import of_row, wanted

SPEC: dict[str, Any] = {
    "cluster": "c",
    "namespace": "n",
    "name": "r",
    "chart": {"repository": "https://charts.example.com", "name": "demo"},
}
NAMES = st.sampled_from(
    ["a", "password", "token", "env", "name", "value", "tls", "key", "cert", "args", "kind", "data"]
)
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["Secret", "DB_PASSWORD", "--password", "--password=abcdefgh1", "postgres://u:abcdefgh1@h", "abcdefgh1", "monkey",
     "a monkey here", "password: abcdefgh1", "Bearer abcdefgh1", "https://hooks.slack.com/services/T/B"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=16,
)


def back(stored: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    return Opened(sent).sent_back(Opened(stored), "/values").values


def refused(stored: dict[str, Any], sent: dict[str, Any]) -> list[str]:
    with pytest.raises(RedactedValueError) as caught:
        back(stored, sent)
    assert caught.value.code == "redacted_value"
    return [error.pointer for error in caught.value.errors]


@given(VALUES)
def test_what_was_shown_comes_back_whole(values: Any) -> None:
    with entered(Scope()):
        document = {"values": values}
        opened = Opened(document)
        assert back(document, opened.shown()) == document
        assert Opened(opened.shown()).shown() == opened.shown()


ENV = [{"name": "A_TOKEN", "value": "aaaa-secret"}, {"name": "B_TOKEN", "value": "bbbb-secret"}]


def test_entries_are_found_by_their_names() -> None:
    assert back({"env": ENV}, {"env": [{"name": "B_TOKEN", "value": REDACTED}]}) == {"env": [ENV[1]]}
    new = {"name": "NEW", "value": "1"}
    sent = {"env": [new, {"name": "B_TOKEN", "value": REDACTED, "more": 1}, {"name": "A_TOKEN", "value": REDACTED}]}
    assert back({"env": ENV}, sent) == {"env": [new, {**ENV[1], "more": 1}, ENV[0]]}


def test_an_entry_without_a_name_is_found_by_all_that_is_shown_of_it() -> None:
    stored = {"env": [{"DB_PASSWORD": "hunter2abc"}, {"LOG": "debug"}]}
    sent = {"env": [{"NEW": 1}, {"DB_PASSWORD": REDACTED}, {"LOG": "debug"}]}
    assert back(stored, sent) == {"env": [{"NEW": 1}, {"DB_PASSWORD": "hunter2abc"}, {"LOG": "debug"}]}
    args = {"args": ["--db-password=hunter2abc", "--log=info"]}
    sent_args = {"args": ["--log=info", "--new", "--db-password=(redacted)"]}
    assert back(args, sent_args) == {"args": ["--log=info", "--new", "--db-password=hunter2abc"]}


def test_a_secret_does_not_move_under_another_name() -> None:
    harmless = {"env": [{"name": "HARMLESS", "value": REDACTED}, ENV[1]]}
    assert refused({"env": ENV}, harmless) == ["/values/env/0/value"]
    assert refused({"password": "hunter2abc"}, {"motto": REDACTED}) == ["/values/motto"]
    by_id = {"env": [{"key": "1", "name": "DB_PASSWORD", "value": "hunter2abc"}]}
    assert refused(by_id, {"env": [{"key": "1", "name": "MOTTO", "value": REDACTED}]}) == ["/values/env/0/value"]
    objects = {"extra": [{"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"x": "hunter2abc"}}]}
    bare = {"extra": [{"kind": "ConfigMap", "metadata": {"name": "s"}, "stringData": {"x": REDACTED}}]}
    assert refused(objects, bare) == ["/values/extra/0/stringData/x"]
    assert refused({"args": ["--password", "hunter2abc"]}, {"args": ["--motto", REDACTED]}) == ["/values/args/1"]


def test_what_could_mean_several_is_refused() -> None:
    passwords = {"passwords": ["hunter2abc", "hunter3abc"]}
    assert back(passwords, {"passwords": [REDACTED, REDACTED, "new"]}) == {
        "passwords": [*passwords["passwords"], "new"]
    }
    assert refused(passwords, {"passwords": [REDACTED]}) == ["/values/passwords/0"]
    assert refused(passwords, {"passwords": [REDACTED] * 3}) == [f"/values/passwords/{place}" for place in range(3)]
    same = {"passwords": ["hunter2abc", "hunter2abc"]}
    assert back(same, {"passwords": [REDACTED]}) == {"passwords": ["hunter2abc"]}


def test_texts_come_back_when_the_rest_is_as_it_was_shown() -> None:
    stored = {"url": "postgres://me:hunter2abc@db/x", "args": ["--db-password=hunter2abc"]}
    assert back(stored, {"url": "postgres://me:(redacted)@db/x"}) == {"url": stored["url"]}
    assert refused(stored, {"url": "postgres://me:(redacted)@other/x"}) == ["/values/url"]
    assert refused(stored, {"args": ["--other-password=(redacted)"]}) == ["/values/args/0"]


def test_a_marker_without_a_value_behind_it_is_refused() -> None:
    assert refused({"a": {}}, {"a": {"password": REDACTED}, "b/c": [REDACTED]}) == [
        "/values/a/password",
        "/values/b~1c/0",
    ]
    with pytest.raises(RedactedValueError):
        Opened({"password": REDACTED}).sent_back(None, "/values")


def test_places_that_the_caller_names() -> None:
    body = {**SPEC, "values": {"a": {"b": "one", "c": "two"}, "l": [{"x": "three", "y": "four"}]}}
    spec = ReleaseSpec.model_validate({**body, "secret_values": ["a.b", "l[0].x"]})
    opened = wanted(spec)
    assert opened.shown() == {"a": {"b": REDACTED, "c": "two"}, "l": [{"x": REDACTED, "y": "four"}]}
    assert of_row(opened.values, spec.document(), {}).shown() == opened.shown()
    assert "secret_values" not in ReleaseSpec.model_validate(body).document()
    with pytest.raises(RedactedValueError) as caught:
        wanted(ReleaseSpec.model_validate(body), opened)
    assert [error.pointer for error in caught.value.errors] == ["/secret_values"]
    for bad in ("", "a=b", "a,b", "a[", "a.", "a=b.c"):
        with pytest.raises(ValueError, match="secret_values"):
            ReleaseSpec.model_validate({**body, "secret_values": [bad]})


def test_places_that_the_chart_knows() -> None:
    schema = {
        "properties": {
            "seed": {"type": "string", "writeOnly": True},
            "pin": {"format": "password"},
            "people": {"items": {"$ref": "#/$defs/person"}},
            "loop": {"$ref": "#"},
        },
        "$defs": {"person": {"properties": {"mark": {"writeOnly": True}}}},
    }
    values = {"seed": "one", "pin": 5, "people": [{"mark": "two", "age": 3}], "loop": {"seed": "deep"}}
    known = Places(places_of_pointers("".join(f"/{key}" for key in path) for path in secret_pointers(schema)))
    assert Places.of_json(known.as_json()).all == known.all
    assert Opened(values, known=known).shown() == {
        "seed": REDACTED,
        "pin": REDACTED,
        "people": [{"mark": REDACTED, "age": 3}],
        "loop": {"seed": REDACTED},
    }
    rendered = [{"kind": "Secret", "data": {"config": "c2VlZDogcGxhaW4tbG9va2luZy0x"}, "stringData": {"n": "blossom"}}]
    values = {"greeting": "plain-looking-1", "flower": "blossom", "list": [{"name": "x", "v": "plain-looking-1"}],
              "host": "plain-looking-1", "word": "plain"}  # fmt: skip
    places = places_in_secrets(values, Places(), rendered)
    assert set(places) == {("greeting",), ("flower",), ("list", ("name", "x"), "v")}
    assert Opened(values, known=Places(places)).shown() == {
        "greeting": REDACTED,
        "flower": REDACTED,
        "list": [{"name": "x", "v": REDACTED}],
        "host": REDACTED,  # by its value, which is a secret of this release
        "word": "plain",
    }


def test_bounds() -> None:
    many = {"secrets": [f"s3cret-{number}" for number in range(MOST_SECRETS + 1)]}
    with pytest.raises(TooManySecretsError) as caught:
        wanted(ReleaseSpec.model_validate({**SPEC, "values": many}))
    assert [error.pointer for error in caught.value.errors] == ["/values"]
    with pytest.raises(TooManySecretsError):
        wanted(ReleaseSpec.model_validate({**SPEC, "values": {"password": "x" * 70_000}}))
    written = {"secrets": [f"{number}{'<&é' * 20}" for number in range(MOST_SECRETS)]}
    with pytest.raises(TooManySecretsError, match="in all ways of writing them"):
        wanted(ReleaseSpec.model_validate({**SPEC, "values": written}))
    plain = {"secrets": [f"{number:04}-{'s3cret' * 9}" for number in range(MOST_SECRETS)]}
    assert len(wanted(ReleaseSpec.model_validate({**SPEC, "values": plain})).secrets) == MOST_SECRETS
    for expressions in (
        ["a[65536][65536]=1"],
        [f"a{number}[9999]=1" for number in range(30)],
        ["x=1", "y[60000]=1"] * 5,
    ):
        spec = ReleaseSpec.model_validate({**SPEC, "set": expressions})
        with pytest.raises(InvalidError) as refused_set:
            wanted(spec, max_bytes=100_000)
        assert refused_set.value.errors[0].pointer.startswith("/set/")
    grown = ReleaseSpec.model_validate({**SPEC, "values": {"a": "x" * 2000}})
    with pytest.raises(InvalidError):
        wanted(grown, max_bytes=1000)
    assert wanted(grown, Opened({"a": "x" * 3000}), max_bytes=1000).values == grown.values
