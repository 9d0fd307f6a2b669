"""Request bodies: what is read, what is refused, and that nothing that is sent gets anything else out of it."""

import json
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.core import yaml_builder
from app.core.documents import MAX_DEPTH, MAX_YAML_NODES, parse_json, parse_yaml
from app.core.errors import MalformedError

MIB = 1 << 20
BOTH = pytest.mark.parametrize("parse", [parse_json, parse_yaml])


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def yaml_parser(request, monkeypatch):
    """Everything holds with either parser; an environment without libyaml has only Python's."""
    if request.param == "python":
        monkeypatch.setattr(yaml_builder, "_PARSER", yaml.SafeLoader)
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML was built without libyaml")


def refused(parse, body):
    with pytest.raises(MalformedError) as caught:
        parse(body if isinstance(body, bytes) else body.encode())
    return caught.value


def repeated(text):
    return (text * (MIB // len(text) + 1))[:MIB]


@BOTH
def test_json_is_read_by_both(parse):
    text = '{"a": [1, -2, 1.5, true, false, null, "é\\u00e9", {}], "b": {"c": []}}'
    assert parse(text.encode()) == {"a": [1, -2, 1.5, True, False, None, "éé", {}], "b": {"c": []}}


@BOTH
def test_a_byte_order_mark_is_skipped(parse):
    assert parse(b"\xef\xbb\xbf{}") == {}


@BOTH
@pytest.mark.parametrize("body", [b"", b" \n\t ", b"\xef\xbb\xbf"])
def test_an_empty_body(parse, body):
    assert "empty" in refused(parse, body).message


@BOTH
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1", "cp1252"])
def test_other_encodings(parse, encoding):
    error = refused(parse, '{"name":\n "Zürich"}'.encode(encoding))
    assert "UTF-8" in error.message
    assert error.facts["line"] >= 1


def test_where_the_body_stops_being_utf8():
    error = refused(parse_json, b'{"name":\n "Z\xfcrich"}')
    assert error.facts == {"line": 2, "column": 4}


def test_utf16_without_a_mark():
    refused(parse_json, "{}".encode("utf-16-le"))
    refused(parse_yaml, "{}".encode("utf-16-le"))


def test_where_json_is_wrong():
    error = refused(parse_json, '{"a": 1,\n "b" 2}')
    assert error.facts == {"line": 2, "column": 6}


def test_where_yaml_is_wrong():
    error = refused(parse_yaml, "a: 1\nb: [1, 2\nc: 3\n")
    assert error.facts["line"] in (2, 3)


@BOTH
@pytest.mark.parametrize(
    "body", ['{"a": 1, "b": 2, "a": 3}', '{"x": [{"y": {"a": 1, "a": 1}}]}', '{"a": 1, "\\u0061": 2}']
)
def test_a_key_given_twice_is_named(parse, body):
    error = refused(parse, body)
    assert '"a"' in error.message
    assert "twice" in error.message


def test_yaml_says_where_the_second_key_is():
    assert refused(parse_yaml, "x:\n  a: 1\n  b: 2\n  a: 3\n").facts == {"line": 4, "column": 3}


@pytest.mark.parametrize("body", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "[-1e999]"])
def test_json_numbers_that_are_none(body):
    refused(parse_json, body)


@pytest.mark.parametrize("body", [".nan", "a: .inf", "- -.INF", "1e999", "a: 9.9e400"])
def test_yaml_numbers_that_are_none(body):
    assert refused(parse_yaml, body).facts["line"] == 1


@BOTH
def test_integers_have_64_bits(parse):
    assert parse(f"[{2**63 - 1}, {-(2**63)}]".encode()) == [2**63 - 1, -(2**63)]
    for number in (2**63, -(2**63) - 1, 10**30):
        assert "string" in refused(parse, f"[{number}]").message


@BOTH
def test_a_megabyte_of_digits(parse):
    limit = sys.get_int_max_str_digits()
    assert "64 bits" in refused(parse, "9" * MIB).message
    assert sys.get_int_max_str_digits() == limit


@BOTH
@pytest.mark.parametrize("text", ["\\ud800", "a\\udfffb", "\\u0000", "\\uDC00\\uD800"])
def test_text_that_nothing_can_store(parse, text):
    refused(parse, f'{{"a": ["{text}"]}}')
    refused(parse, f'{{"{text}": 1}}')


def test_json_escapes_of_whole_characters_are_text():
    assert parse_json(b'["\\ud83d\\ude00", "\\\\ud800"]') == ["\U0001f600", "\\ud800"]


@BOTH
def test_depth(parse):
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        deep = MAX_DEPTH + 1
        error = refused(parse, f"{opening * deep}1{closing * deep}")
        assert "deeper" in error.message
        assert error.facts["line"] == 1


@BOTH
@pytest.mark.parametrize("text", ["[", "{", '{"a":', "[{", '["', '\\"', '[{"a":['])
def test_a_megabyte_of_openings(parse, text):
    refused(parse, f"[{repeated(text)}")


@pytest.mark.parametrize("text", ["- ", "? ", "{a: ", "[1,", "&a [", "- - -\n", "-\n", "- 1\n", "? [a]\n", "---\n"])
def test_a_megabyte_of_yaml(text):
    refused(parse_yaml, repeated(text))


def test_depth_of_a_hundred_thousand_blocks():
    refused(parse_yaml, "\n".join(" " * n + "a:" for n in range(1000)))
    refused(parse_yaml, "- " * 100_000)
    refused(parse_yaml, "[" * 100_000 + "]" * 100_000)
    refused(parse_json, "[" * 100_000 + "]" * 100_000)


def test_brackets_inside_of_strings_are_no_depth():
    assert parse_json(json.dumps(["[" * 500, '"[{' * 100]).encode())


def test_a_billion_laughs():
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert str(MAX_YAML_NODES) in refused(parse_yaml, "\n".join(lines)).message


def test_a_smaller_limit_of_nodes():
    assert parse_yaml(b"[1, 2]", max_nodes=3) == [1, 2]
    assert "more than 3" in refused(lambda body: parse_yaml(body, max_nodes=3), "[1, 2, 3]").message


def test_a_billion_laughs_of_merges():
    lines = ["a0: &a0 {x: {y: {z: 1}}}"]
    lines += [f"a{n}: &a{n}\n  <<: *a{n - 1}\n  k{n}: *a{n - 1}" for n in range(1, 40)]
    refused(parse_yaml, "\n".join(lines))


def test_aliases_cannot_stack_depth():
    lines = [f"a0: &a0 {'[' * 40}1{']' * 40}", f"b: {'[' * 40}*a0{']' * 40}"]
    assert "deeper" in refused(parse_yaml, "\n".join(lines)).message


@pytest.mark.parametrize("body", ["&a [*a]", "a: &a\n  b: *a", "&a {<<: *a}", "x: &x [1, {y: [*x]}]"])
def test_an_alias_of_what_it_stands_in(body):
    assert "inside" in refused(parse_yaml, body).message


def test_an_alias_without_an_anchor():
    assert "*gone" in refused(parse_yaml, "a: *gone").message


def test_anchors_aliases_and_merges():
    body = b"""
base: &base {type: m5.large, labels: {a: x}}
more: &more {type: t3.large, size: 3}
groups:
  - {<<: *base, name: one}
  - <<: [*base, *more]
    name: two
    labels: {b: y}
  - *base
"""
    groups = parse_yaml(body)["groups"]
    assert groups == [
        {"type": "m5.large", "labels": {"a": "x"}, "name": "one"},
        {"type": "m5.large", "size": 3, "labels": {"b": "y"}, "name": "two"},
        {"type": "m5.large", "labels": {"a": "x"}},
    ]
    groups[0]["labels"]["a"] = "changed"
    assert groups[2]["labels"] == {"a": "x"}


@pytest.mark.parametrize("value", ["1", "[1]", "[]", "[{a: 1}, 2]", "~"])
def test_only_mappings_are_merged(value):
    assert "merges" in refused(parse_yaml, f"<<: {value}").message


def test_a_quoted_merge_key_is_a_key():
    assert parse_yaml(b'{"<<": 1}') == {"<<": 1}


@pytest.mark.parametrize("body", ["a: 1\n---\nb: 2", "--- 1\n--- 2", "---\n---\n"])
def test_several_documents(body):
    assert "several" in refused(parse_yaml, body).message


def test_one_document_with_its_marks():
    assert parse_yaml(b"# made by hand\n---\na: 1\n...\n") == {"a": 1}
    assert parse_yaml(b"---\n") is None


@pytest.mark.parametrize(
    "body",
    ["!!python/object/apply:os.system [ls]", "a: !!python/name:os.system", "!foo x", "- !!binary aGk=", "!!set {a}"],
)
def test_tags(body):
    assert "tag" in refused(parse_yaml, body).message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-23", "2026-11-23"),
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("012", "012"),
        ("012345678901", "012345678901"),
        ("123456789012", 123456789012),
        ("0x1F", 31),
        ("0o17", 15),
        ("-0", 0),
        ("+7", 7),
        ("1.30", 1.3),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1.2.3", "1.2.3"),
        ("'1.30'", "1.30"),
        ('"yes"', "yes"),
        ("yes", True),
        ("Off", False),
        ("y", "y"),
        ("~", None),
        ("null", None),
        ("=", "="),
        (".", "."),
        ("-", [None]),
        ("|\n  1\n", "1\n"),
    ],
)
def test_yaml_scalars(text, value):
    result = parse_yaml(f"a: {text}".encode()) if value != [None] else {"a": parse_yaml(b"-")}
    assert result == {"a": value}
    assert type(result["a"]) is type(value)


@pytest.mark.parametrize(
    ("key", "text"), [("1", "1"), ("1.30", "1.30"), ("true", "true"), ("on", "on"), ("012", "012")]
)
def test_keys_are_text_as_written(key, text):
    assert parse_yaml(f"{key}: x".encode()) == {text: "x"}


def test_one_key_in_two_spellings():
    assert "twice" in refused(parse_yaml, "1: a\n'1': b\n").message


@pytest.mark.parametrize("body", ["~: x", "null: x", "{~: x}", "? [a]\n: x", "? {a: b}\n: x", "a: &n 1\n*n : x"])
def test_keys_that_are_none(body):
    assert "key" in refused(parse_yaml, body).message


def test_an_alias_may_be_a_key():
    assert parse_yaml(b"a: &n name\n*n : x\n") == {"a": "name", "name": "x"}


@pytest.mark.parametrize(
    "body", [b"a: \x01", b"a: \x7f", b"\x00", b'"\\0"', b"%YAML 3.0\n---\na", b"%TAG ! x\n%TAG ! y"]
)
def test_characters_and_directives_that_yaml_does_not_allow(body):
    refused(parse_yaml, body)


@given(st.binary(max_size=200) | st.text(alphabet="{}[]:,-?&*!|>'\"%#<~ \n\tab1.\\", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_malformed(body):
    for parse in (parse_json, parse_yaml):
        try:
            value = parse(body)
        except MalformedError:
            continue
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text("abc<~", max_size=3), children),
        max_leaves=20,
    )
)
def test_what_json_holds_is_read_as_it_is(value):
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_yaml(yaml.safe_dump(value).replace("!!float ", "").encode()) == value
