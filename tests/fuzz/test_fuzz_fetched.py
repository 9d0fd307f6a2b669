"""Whatever bytes are fetched, their readers give a value or their own error: charts, manifests, records, answers.

The seeds are inputs that once ended the process, or were wrong in another way; they are tried first at each run. To
search for new ones: `pytest --hypothesis-profile=default tests/fuzz`.
"""

import base64
import contextlib
import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.core.documents import FETCHED_DEPTH, UnreadableError, fetched_json, fetched_yaml
from app.gateways.helm.archive import files_of
from app.gateways.helm.chart import ChartLimits, read_chart
from app.gateways.helm.errors import ChartInvalid, HelmError
from app.gateways.helm.records import decode_record, encode_record
from app.gateways.helm.release import first_json
from app.gateways.helm.value_schema import refers_outside, secret_pointers
from app.gateways.kubernetes.diff import field_changes
from app.gateways.kubernetes.objects import ManifestError, parse_manifest, ref_of
from app.gateways.kubernetes.readiness import readiness_of
from app.releases.manifest import without_secrets

DEEP = 60_000
LIMITS = ChartLimits(archive_bytes=1 << 20, unpacked_bytes=4 << 20, file_bytes=1 << 20, files=200)
ABOUT = b"apiVersion: v2\nname: c\nversion: 1.0.0\n"

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
KEYS = st.text(max_size=6) | st.sampled_from(
    ["kind", "metadata", "name", "items", "data", "stringData", "status", "conditions", "$ref", "$schema", "properties",
     "allOf", "writeOnly", "format", "spec", "type", "apiVersion", "namespace", "values", "info", "config", "hooks"]
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.sampled_from(["Secret", "List", "#", "#/properties", "http://x/", "v1", "password", True]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)
PIECES = st.sampled_from(
    ["- ", "? ", ": ", "\n", "\n  ", "{", "}", "[", "]", ",",
     "&a ", "*a", "<<: ", "!!str ", "!x ", "'", '"', "|\n", ">-\n",
     "#", "%YAML 1.1\n", "---\n", "--- # x\n", "...\n", "\t", "\0", "\ufeff", "\x85", "\ud800", "=", "~", "0x1", "1_0",
     "a: ", "kind: Secret\n", "data: ", "metadata: ", "1e999", ".inf", "\\u0000", "\\ud800"]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=40).map("".join)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


def sound(value: Any) -> None:
    """What later layers take for granted: it can be stored as JSON, and is not too deep to be walked."""
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    assert "\\u0000" not in json.dumps(value).replace("\\\\", "")
    assert depth(value) <= FETCHED_DEPTH


@example("[" * DEEP + "]" * DEEP)
@example("{a: " * DEEP + "}" * DEEP)
@example("- " * DEEP)
@example("a: &a [*a]")
@example("? [a]\n: b")
@example("a: &a ~\n*a : 1")
@example("<<: [{a: 1}, 2]")
@example('a: 1\nb: "\\0"')
@example("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 12)))
@example("a: " + "9" * 100_000)
@example("a: !!binary '%'")
@settings(max_examples=400)
@given(TEXTS)
def test_yaml(text: str) -> None:
    for content in (text, text.encode(errors="surrogatepass")):
        try:
            found = list(fetched_yaml(content, "it"))
        except UnreadableError:
            continue
        sound(found)


@example(b"[" * DEEP + b"]" * DEEP)
@example(b'{"a":' * DEEP)
@example(b"9" * 10_000)
@example(b"1e999")
@example(b"NaN")
@example(b'["\\ud800", "\\u0000", "\\\\u0000"]')
@example(b'{"a": 1, "a": 2}')
@example(b"\xff\xfe")
@settings(max_examples=400)
@given(VALUES.map(lambda value: json.dumps(value).encode()) | TEXTS.map(lambda text: text.encode(errors="replace")))
def test_json(content: bytes) -> None:
    try:
        found = fetched_json(content, "it")
    except UnreadableError:
        return
    sound(found)


@example("kind: A\n--- # more\nkind: Secret\nstringData: {password: hunter2}\n")
@example("kind: A\n--- !x {kind: Secret, data: {password: hunter2}}\n")
@example(f"kind: Secret\nstringData: {{password: hunter2, deep: {'[' * DEEP}{']' * DEEP}}}\n")
@example("kind: List\nitems: [{kind: List, items: [{kind: Secret, data: {password: hunter2}}]}]\n")
@example("kind: Secret\nkind: Secret\ndata: {a: hunter2}\n")
@settings(max_examples=300)
@given(TEXTS)
def test_manifests(text: str) -> None:
    shown = without_secrets(text)
    try:
        objects = parse_manifest(text)
    except ManifestError:
        pass
    else:
        for item in objects:
            ref_of(item)
            readiness_of(item)
            field_changes(item, {})
    assert "hunter2" not in shown


@settings(max_examples=300)
@given(VALUES, VALUES)
def test_objects_of_a_cluster(before: Any, after: Any) -> None:
    for item in (before, after):
        if isinstance(item, dict):
            ref_of(item)
            readiness_of(item)
    if isinstance(before, dict) and isinstance(after, dict):
        field_changes(before, after)


def packed_record(text: bytes) -> str:
    return base64.b64encode(base64.b64encode(gzip.compress(text, mtime=0))).decode()


@example({"data": {"release": packed_record(b"[" * DEEP)}})
@example({"data": {"release": packed_record(b'{"version": "x", "info": []}')}})
@example({"data": {"release": "\ud800"}})
@example({"data": []})
@settings(max_examples=300)
@given(
    st.dictionaries(KEYS, VALUES, max_size=4).map(lambda record: {"data": {"release": encode_record(record)}})
    | TEXTS.map(lambda text: {"data": {"release": packed_record(text.encode(errors="replace"))}})
    | VALUES.map(lambda value: {"data": {"release": value}})
)
def test_records(secret: dict[str, Any]) -> None:
    try:
        record = decode_record(secret)
    except HelmError:
        return
    sound(record)


@example(b"[" * DEEP)
@example(b'Pulled: x\n{"a": 1}\n')
@settings(max_examples=200)
@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_what_helm_prints(output: bytes) -> None:
    with contextlib.suppress(HelmError):
        sound(first_json(output))


@example({"$ref": "#"})
@example({"properties": {"a": {"$ref": "#/properties/a"}}})
@example({"properties": {"a": {"$ref": "#/properties/a/0/99999999999999999999"}}})
@settings(max_examples=300)
@given(VALUES)
def test_schemas(schema: Any) -> None:
    refers_outside(schema)
    assert sum(1 for _ in secret_pointers(schema)) <= 20_000


def packed(members: list[tuple[bytes, str, bytes]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for kind, name, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


NAMES = st.lists(
    st.sampled_from(
        ["c", "d", "charts", "templates", "values.yaml", "Chart.yaml", "values.schema.json", "s.tgz", "..", ""]
    )
    | st.text(max_size=4),
    max_size=5,
).map("/".join)
INNER = st.sampled_from(
    [b"", ABOUT, b"a: 1\n", b'{"type": "object"}', b"[" * DEEP, packed([(b"0", "s/Chart.yaml", ABOUT)])]
)
MEMBERS = st.lists(
    st.tuples(st.sampled_from([b"0", b"\0", b"1", b"2", b"5", b"7", b"S", b"Z", b"g", b"x", b"L"]), NAMES, INNER),
    max_size=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An archive with some bytes of its tar changed, and perhaps cut off."""
    content = bytearray(gzip.decompress(packed([(b"0", "c/Chart.yaml", ABOUT), *draw(MEMBERS)])))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=6)):
        content[place] = byte
    return gzip.compress(bytes(content[: draw(st.integers(0, len(content)))]), 1, mtime=0)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    MEMBERS.map(lambda members: packed([(b"0", "c/Chart.yaml", ABOUT), *members])) | mutated() | st.binary(max_size=200)
)
def test_charts(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fetched.tgz"
    path.write_bytes(content)
    try:
        chart = read_chart(path, "sha256:0", LIMITS)
    except ChartInvalid:
        return
    with tarfile.open(chart.path) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    assert len(set(names)) == len(names)
    assert all(member.type == tarfile.REGTYPE and member.name.startswith("chart/") for member in members)
    assert not any("\\" in name or ".." in name.split("/") for name in names)
    for _, schema in files_of(chart.path, lambda name: name.endswith("/values.schema.json")):
        assert not schema or not refers_outside(json.loads(schema))
    with contextlib.suppress(ChartInvalid):
        sound(chart.default_values())
