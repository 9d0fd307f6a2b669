"""Our reader of fetched YAML against helm's own (`fromYaml`, which is sigs.k8s.io/yaml, as Kubernetes has it)."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.documents import UnreadableError, fetched_yaml
from app.core.yaml_scalars import KUBERNETES_TEXT

Read = Callable[[list[str]], list[Any]]
UNREADABLE = "cannot be read"

SCALARS = re.split(
    r"\s+",
    r"""= y n Y N yes No on OFF true TRUE tRue ~ null NULL nUll << 012 0o17 0O17 0x1F 0X1f 0b101 0B11 1_000 1_0.5 1__0
    1_ 0_1 _1 0x_1F 1:30 2024-01-01 2001-12-14t21:59:43.10-05:00 .5 +.5 5. 1. 1e3 1E+3 1.5e-3 .1e+2 .e3 1e -.5 +12 -0o7
    -012
    089 08 00 0 -0 -0.0 1.10 .inf -.INF +.inf .nan .Nan 0x 0b2 0o8 -0x1F +0x1F -0b11 1e400 -1e400 0xFFFFFFFFFFFFFFFF
    0b12 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551615
    18446744073709551616 -18446744073709551616 100000000000000000000000 1e20 1e21 1000000.0 0.00001 123456789.5 .1_0
    - + . '1' "1" "\u0041" 'it''s' "a\tb" "\0" "\x85" """.strip(),
)
TAGGED = [
    '!!str 12', '!!int "12"', "!!int 1.5", "!!float 3", "!!float x", "!!bool yes", "!!null ~", "!!null x",
    "!!binary aGk=", "!!binary '%'", "!foo 12", "!!timestamp 2024-01-01", "! 12", "|\n  12\n",
    ">-\n  a\n  b\n", "!!str", "!!set {a, b}",
]  # fmt: skip
DOCUMENTS = [
    "1: a", "yes: a", "012: a", "1.5: a", "null: a", "~: a", "? [a]\n: b", "? {a: b}\n: c", "a: 1\na: 2", "0x1F: a",
    "2024-01-01: a", "1e3: a", "1000000.0: a", "12345678.5: a", "123456.5: a", "0.00001: a",
    "0.0001: a", "3.4e39: a", "1e-50: a", "16777217.0: a", "-1.5e-7: a", ".inf: a", "-0.0: a", "1_0: x", "=: 1",
    "<<: {a: 1}\na: 2", "a: 2\n<<: {a: 1}", "x: &x {a: 1}\nz: {<<: *x, b: 2}", "<<: [{a: 1}, {a: 2, b: 3}]", "<<: 1",
    '"<<": {a: 1}', "<<: []\na: 1", "x: {<<: {a: 1}, <<: {a: 3}}", "a: &a [*a]", "a: *b", "a: &x 1\n&y b: *x\nc: *y",
    "a: &x 12\n*x : b", "a: &x ~\n*x : b", "a: {b, c}", "a: [b: c]", "a: 1\n---\nb: 2", "a: 1\n...\nb: 2",
    "%YAML 1.1\n---\na: 1", "\ta: 1", "a: \x7f", "a: \ufeff", "!!str 1: a", "a:", "- a", "a", "", "# x", "a: 'b",
    "{a: 1", "a: |\n  x\n  y\n", "a: >\n  x\n  y\n", "a: b: c", "a: 'x' y", "a: @x", "a: %x", "? a", "a: !!map {b: 1}",
    'a: "\\ud800"', "a: [1, 2", "a: &x\nb: *x", "a: ? b", "'a': 1\n\"a\": 2", "a: -\n", "-a: 1", "a: [,]", "a: {,}",
]  # fmt: skip


@pytest.fixture
def helms(helm_binary: Path, tmp_path: Path) -> Read:
    """Let helm read documents; `UNREADABLE` for each that it doesn't take."""
    chart = tmp_path / "reader"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: reader\nversion: 0.1.0\n")
    (chart / "templates" / "x.yaml").write_text(
        "{{ range .Values.texts }}\n---\nr: {{ fromYaml . | toJson | quote }}\n{{ end }}"
    )

    def read(texts: list[str]) -> list[Any]:
        command = [str(helm_binary), "template", "reader", str(chart), "--values", "-"]
        told = subprocess.run(command, input=json.dumps({"texts": texts}), capture_output=True, text=True, check=True)
        found = [json.loads(json.loads(line)) for line in re.findall(r"^r: (.*)$", told.stdout, re.MULTILINE)]
        assert len(found) == len(texts)
        return [UNREADABLE if set(value) == {"Error"} else value for value in found]

    return read


def ours(text: str) -> Any:
    """Read a document as `fromYaml` gives it: a map, an empty one for nothing, and numbers as Go's floats."""
    try:
        value = next(fetched_yaml(text, "it"), None)
    except UnreadableError:
        return UNREADABLE
    return json.loads(json.dumps(value or {}), parse_int=float) if isinstance(value, dict | None) else UNREADABLE


def floats(value: Any) -> Any:
    text = json.dumps(value).replace(r"\u0000", r"\ufffd")  # ours is stored in databases
    return value if value == UNREADABLE else json.loads(text, parse_int=float)


def test_scalars(helms: Read) -> None:
    texts = [f"a: {scalar}" for scalar in [*SCALARS, *TAGGED]]
    found = dict(zip(texts, map(floats, helms(texts)), strict=True))
    assert {text: ours(text) for text in texts} == found


def test_documents(helms: Read) -> None:
    found = dict(zip(DOCUMENTS, map(floats, helms(DOCUMENTS)), strict=True))
    assert {text: ours(text) for text in DOCUMENTS} == found


PIECES = st.sampled_from(
    [
        "0",
        "1",
        "7",
        "9",
        "x",
        "o",
        "b",
        "e",
        "E",
        "+",
        "-",
        ".",
        "_",
        "y",
        "n",
        "~",
        ":",
        "F",
        "inf",
        "'",
        '"',
        "!!str ",
    ]
)


@pytest.mark.slow
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.lists(PIECES, min_size=1, max_size=7).map("".join), min_size=400, max_size=400))
def test_any_plain_scalar(helms: Read, scalars: list[str]) -> None:
    """As value and as key, but for what is no scalar; helm's map has no order, so keys stand alone."""
    texts = [f"a: {scalar}" for scalar in scalars] + [f"? {scalar}\n: 1" for scalar in scalars]
    found = dict(zip(texts, map(floats, helms(texts)), strict=True))
    assert {text: ours(text) for text in texts} == found


@pytest.mark.parametrize(
    "version",
    ["1.10", "1", "1000000.0", "12345678.5", "1e3", "1e21", "0.00001", "yes", "012", "2024-01-01", "1_0", "''"],
)
def test_texts_of_a_chart(helm_binary: Path, tmp_path: Path, version: str) -> None:
    """A number where text is wanted becomes text as Go writes it."""
    about = f"apiVersion: v2\nname: reader\nversion: 0.1.0\nappVersion: {version}\n"
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text(about)
    (tmp_path / "templates" / "x.yaml").write_text("r: {{ .Chart.AppVersion | quote }}")
    told = subprocess.run([helm_binary, "template", "x", tmp_path], capture_output=True, text=True, check=True)
    found = next(fetched_yaml(about, "Chart.yaml", dialect=KUBERNETES_TEXT))
    assert f'r: "{found["appVersion"]}"\n' in told.stdout
