"""What helm is handed is what was checked: each proof of a chart that helm and we read differently, and helm's word.

Charts of the proofs that once ended the process, or made helm call somebody, are refused or harmless here.
"""

import asyncio
import gzip
import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.helm.conftest import CHART, VALUES_TEMPLATE, Source, chart_of

from app.gateways.helm import errors
from app.gateways.helm.archive import files_of
from app.gateways.helm.chart import Chart, ChartLimits, read_chart
from app.gateways.helm.client import Helm
from app.gateways.helm.value_schema import LONGEST_POINTER, MOST_POINTERS, refers_outside

Member = tuple[str, bytes, bytes]
"""Type, name, content."""

ABOUT = CHART.format(name="c", version="1.0.0").encode()
SHOWN = (
    b"values: {{ toJson .Values | quote }}\nof: {{ .Chart | toJson | quote }}\n"
    b'file: {{ .Files.Get "data.txt" | quote }}'
)
DEEP = 60_000
EXAMPLES = Path(__file__).parents[3] / "examples" / "charts"


def packed(*members: Member) -> bytes:
    """Return a .tgz of tar members as they are given, whatever they are."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for kind, name, content in members:
            info = tarfile.TarInfo(name.decode(errors="surrogateescape"))
            info.type, info.linkname = kind, "c/values.yaml" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def chart_with(*members: Member) -> bytes:
    return packed(
        (b"0", b"c/Chart.yaml", ABOUT), (b"0", b"c/templates/x.yaml", SHOWN), (b"0", b"c/data.txt", b"hello"), *members
    )


def read(folder: Path, content: bytes) -> Chart:
    folder.mkdir(exist_ok=True)
    path = folder / "fetched.tgz"
    path.write_bytes(content)
    return read_chart(path, "sha256:0", ChartLimits())


def rendered(helm: Path, chart: Path, option: str = "--skip-schema-validation") -> tuple[int, str]:
    told = subprocess.run([helm, "template", "r", chart, option], capture_output=True, text=True, check=False)
    return told.returncode, told.stdout


def _sub_charts(count: int) -> bytes:
    about = CHART.format(name="s", version="1.0.0").encode()
    return packed(*((b"0", b"s/charts/s%d/Chart.yaml" % number, about) for number in range(count)))


PILLS = {
    "Chart.yaml": (b"0", b"c/Chart.yaml", ABOUT + b"x: " + b"[" * DEEP + b"]" * DEEP),
    "Chart.yaml, maps": (b"0", b"c/Chart.yaml", ABOUT + b"x: " + b"{a: " * DEEP + b"}" * DEEP),
    "Chart.yaml, block": (b"0", b"c/Chart.yaml", ABOUT + b"x:\n" + b"- " * DEEP),
    "Chart.yaml, aliases": (
        b"0",
        b"c/Chart.yaml",
        ABOUT
        + b"a0: &a0 [x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b"*a%d, " % (n - 1) * 9) for n in range(1, 12)),
    ),
    "schema": (b"0", b"c/values.schema.json", b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "schema, lists": (b"0", b"c/values.schema.json", b"[" * DEEP + b"]" * DEEP),
    "schema, wide": (b"0", b"c/values.schema.json", b"[" + b"[]," * 1_600_000 + b"[]]"),
    "schema, number": (b"0", b"c/values.schema.json", b'{"maximum": ' + b"9" * 100_000 + b"}"),
    "schema, infinite": (b"0", b"c/values.schema.json", b'{"maximum": 1e999}'),
    "schema of a subchart": (b"0", b"c/charts/s/values.schema.json", b"[" * DEEP + b"]" * DEEP),
    "many subcharts": (b"0", b"c/charts/s.tgz", _sub_charts(600)),
    "Chart.yaml of a subchart": (b"0", b"c/charts/s/Chart.yaml", b"x: " + b"[" * DEEP + b"]" * DEEP),
}


@pytest.mark.parametrize("pill", PILLS)
def test_charts_that_ended_the_process(tmp_path: Path, pill: str) -> None:
    with pytest.raises(errors.ChartInvalid):
        read(tmp_path, _with(PILLS[pill]))


def _with(member: Member) -> bytes:
    """Return a chart with a member in place of its own of that name."""
    own = [] if member[1] == b"c/Chart.yaml" else [(b"0", b"c/Chart.yaml", ABOUT)]
    return packed(*own, member)


def test_values_that_are_too_deep_are_not_read(tmp_path: Path) -> None:
    for text in (b"a: " + b"[" * DEEP + b"]" * DEEP, b"a: 1\n- b", b"- 1\n" * 300_000):
        chart = read(tmp_path, chart_with((b"0", b"c/values.yaml", text)))
        with pytest.raises(errors.ChartInvalid, match=r"values\.yaml"):
            chart.default_values()


OUTSIDE = '{"$ref": "http://127.0.0.1:%d/latest/meta-data"}'
SMUGGLED: dict[str, Member] = {
    "backslash": (b"0", b"c\\values.schema.json", b""),
    "backslash in a subchart": (b"0", b"c\\charts\\s\\values.schema.json", b""),
    "mixed": (b"0", b"c/x\\values.schema.json", b""),
    "another type": (b"Z", b"c/values.schema.json", b""),
    "another folder": (b"0", b"d/values.schema.json", b""),
    "parent": (b"0", b"c/x/../values.schema.json", b""),
    "absolute": (b"0", b"/c/values.schema.json", b""),
    "absolute inside": (b"0", b"c//values.schema.json", b""),
    "folder outside": (b"0", b"../values.schema.json", b""),
    "control character": (b"0", b"c/values.schema.json\n", b""),
    "not UTF-8": (b"0", b"c/\xff", b""),
    "no folder": (b"0", b"values.schema.json", b""),
    "second Chart.yaml": (b"0", b"e/Chart.yaml", CHART.format(name="evil", version="9.9.9").encode()),
    "Chart.yaml twice": (b"0", b"c/Chart.yaml", CHART.format(name="evil", version="9.9.9").encode()),
    "Chart.yaml twice, in another way": (b"0", b"c/./Chart.yaml", CHART.format(name="evil", version="9.9.9").encode()),
    "sparse": (tarfile.GNUTYPE_SPARSE, b"c/values.schema.json", b""),
}


@pytest.mark.parametrize("case", SMUGGLED)
async def test_what_helm_would_read_otherwise_is_refused(tmp_path: Path, source: Source, case: str) -> None:
    kind, name, content = SMUGGLED[case]
    member = kind, name, content or (OUTSIDE % source.port).encode()
    with pytest.raises(errors.ChartInvalid):
        await asyncio.to_thread(read, tmp_path, chart_with(member))


@pytest.mark.parametrize(
    "schema",
    [
        OUTSIDE,
        '{"$ref": "file:///etc/passwd?%d"}',
        '{"$id": "http://127.0.0.1:%d/", "$ref": "x.json"}',
        '{"$id": "http://127.0.0.1:%d/x", "properties": {"a": {"$ref": "/y#/a"}}}',
        '{"$schema": "http://127.0.0.1:%d/s"}',
        '{"$schema": "http://json-schema.org/draft-07/../../x?%d"}',
        '{"$schema": "http://json-schema.org/draft-07/schema/x?%d#"}',
        '{"$defs": {"a": {"$dynamicRef": "//127.0.0.1:%d/x#a"}}}',
        '{"\\u0024ref": "http://127.0.0.1:%d/x"}',
        '{"$ref": "#", "$ref": "http://127.0.0.1:%d/x"}',
        '{"if": [{"$recursiveRef": "urn:x:%d"}]}',
    ],
)
@pytest.mark.parametrize("place", ["c/values.schema.json", "c/charts/s/values.schema.json", "tgz"])
async def test_a_schema_that_leads_outside_is_left_out(
    helm: Helm, tmp_path: Path, source: Source, schema: str, place: str
) -> None:
    """Also within what renders; a schema beside it that stays within itself goes on being used."""
    text = (schema % source.port).encode()
    sub = (b"0", b"s/Chart.yaml", CHART.format(name="s", version="1.0.0").encode())
    if place == "tgz":
        content = chart_with((b"0", b"c/charts/s.tgz", packed(sub, (b"0", b"s/values.schema.json", text))))
    else:
        content = chart_with((b"0", b"c/charts/s/Chart.yaml", sub[2]), (b"0", place.encode(), text))
    chart = await asyncio.to_thread(read, tmp_path, content)
    assert (chart.external_schema, chart.has_schema) == (True, False)
    assert not [name for name, _ in files_of(chart.path, lambda name: "schema" in name)]
    await helm.template("r", chart, {"a": 1}, namespace="n")
    assert source.requests == []


async def test_a_schema_within_itself_is_used(helm: Helm, tmp_path: Path) -> None:
    schema = (
        b'\xef\xbb\xbf{"$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://example.com/x",'
        b' "properties": {"a": {"$ref": "#/definitions/b"}}, "definitions": {"b": {"type": "integer"}}}'
    )
    chart = read(tmp_path, chart_with((b"0", b"c/values.schema.json", schema)))
    assert (chart.external_schema, chart.has_schema) == (False, True)
    await helm.template("r", chart, {"a": 1}, namespace="n")
    with pytest.raises(errors.ValuesInvalid) as caught:
        await helm.template("r", chart, {"a": "x"}, namespace="n")
    assert caught.value.errors[0].pointer == "/a"


@pytest.mark.parametrize("draft", ["draft-04", "draft-06", "draft-07", "draft/2019-09", "draft/2020-12"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_every_draft_that_is_let_pass_is_compiled_into_helm(
    helm: Helm, tmp_path: Path, draft: str, scheme: str
) -> None:
    """Rendering is confined to no port at all, so a draft that helm had to fetch would fail."""
    schema = f'{{"$schema": "{scheme}://json-schema.org/{draft}/schema"}}'
    assert not refers_outside({"$ref": f"{scheme}://json-schema.org/{draft}/schema#/definitions/x"})
    await helm.template(
        "r", read(tmp_path, chart_with((b"0", b"c/values.schema.json", schema.encode()))), {}, namespace="n"
    )


async def test_what_renders_connects_to_nobody(helm: Helm, tmp_path: Path, source: Source, helm_binary: Path) -> None:
    """Were a schema that leads outside let pass, the kernel still kept helm at home."""
    chart = read(tmp_path, chart_with())
    leak = chart_with((b"0", b"c/values.schema.json", (OUTSIDE % source.port).encode()))
    chart.path.write_bytes(leak)
    with pytest.raises(errors.HelmError):
        await helm.template("r", chart, {}, namespace="n")
    assert source.requests == []
    await asyncio.to_thread(rendered, helm_binary, chart.path, "--set=x=1")
    assert source.requests != []


def test_the_same_archive_each_time(tmp_path: Path) -> None:
    content = chart_with((b"0", b"c/values.schema.json", b'{ "type": "object" }'), (b"0", b"c/values.yaml", b"a: 1"))
    first, second = read(tmp_path / "a", content), read(tmp_path / "b", gzip.compress(gzip.decompress(content), 1))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert (first.size_bytes, first.digest) == (first.path.stat().st_size, "sha256:0")
    again = tmp_path / "c"
    again.mkdir()
    (again / "fetched.tgz").write_bytes(first.path.read_bytes())
    assert read_chart(again / "fetched.tgz", "", ChartLimits()).path.read_bytes() == first.path.read_bytes()


def test_only_regular_files_of_one_folder_are_left(tmp_path: Path) -> None:
    kinds = {tarfile.SYMTYPE: b"l", tarfile.LNKTYPE: b"h", tarfile.FIFOTYPE: b"f", tarfile.CHRTYPE: b"d", b"7": b"k"}
    chart = read(
        tmp_path,
        chart_with(
            (tarfile.DIRTYPE, b"c/empty/", b""),
            *((kind, b"c/" + name, b"") for kind, name in kinds.items()),
            (b"0", b"c/charts/_hidden.tgz", b"no archive"),
            (b"0", b"c/charts/.git/x", b""),
        ),
    )
    with tarfile.open(chart.path) as archive:
        found = {member.name: member.type for member in archive}
    assert set(found.values()) == {tarfile.REGTYPE}
    assert set(found) == {f"chart/{name}" for name in ["Chart.yaml", "templates/x.yaml", "data.txt", *"lhfdk"]}


def _sub(name: str, *members: Member, root: str | None = None) -> bytes:
    about = CHART.format(name=name, version="1.0.0").encode()
    folder = (root or name).encode()
    template = f"apiVersion: v1\nkind: {name}\n".encode() + SHOWN
    named = [(kind, folder + b"/" + inner, content) for kind, inner, content in members]
    return packed((b"0", folder + b"/Chart.yaml", about), (b"0", folder + b"/templates/t.yaml", template), *named)


LAYOUTS: dict[str, bytes] = {
    "packed subcharts": chart_with(
        (b"0", b"c/charts/a-1.0.0.tgz", _sub("a", (b"0", b"values.yaml", b"x: 1"), (b"0", b"charts/b.tgz", _sub("b")))),
        (b"0", b"c/charts/a.tgz", _sub("d")),
        (b"0", b"c/values.yaml", b"a: {x: 2}\nb: 3"),
    ),
    "subchart in a folder with a packed one": chart_with(
        (b"0", b"c/charts/s/Chart.yaml", CHART.format(name="s", version="1.0.0").encode()),
        (b"0", b"c/charts/s/charts/t.tgz", _sub("t", (b"0", b"values.yaml", b"y: 1"), root="other")),
    ),
    "ignored subcharts": chart_with((b"0", b"c/charts/_x.tgz", b"no"), (b"0", b"c/charts/.x/Chart.yaml", b"[")),
    "links": chart_with((tarfile.SYMTYPE, b"c/values.yaml", b""), (tarfile.LNKTYPE, b"c/templates/y.yaml", b"")),
    "byte order marks": chart_with((b"0", b"c/values.yaml", b"\xef\xbb\xbfa: 1"), (b"0", b"c/LICENSE", b"\xff\0")),
    "dots and slashes": chart_with((b"0", b"c/./values.yaml", b"a: 1"), (b"0", b"c/templates//z.yaml", b"q: 1")),
    "crds, lock, ignore": chart_with(
        (b"0", b"c/crds/x.yaml", b"kind: X\n"),
        (b"0", b"c/Chart.lock", b"dependencies: []\ndigest: x\n"),
        (b"0", b"c/.helmignore", b"templates\n"),
        (b"0", b"c/templates/NOTES.txt", b"hi"),
        (b"0", b"c/templates/_helpers.tpl", b'{{ define "x" }}1{{ end }}'),
        (b"0", b"c/charts/x.prov", b"signed"),
    ),
    "version 1": packed(
        (b"0", b"c/Chart.yaml", b"name: c\nversion: 1.0.0\n"),
        (b"0", b"c/requirements.yaml", b"dependencies: [{name: s, version: 1.0.0, alias: z}]"),
        (b"0", b"c/charts/s.tgz", _sub("s", (b"0", b"values.yaml", b"k: v"))),
        (b"0", b"c/templates/x.yaml", SHOWN),
    ),
    "aliases and conditions": packed(
        (
            b"0",
            b"c/Chart.yaml",
            ABOUT + b"dependencies: [{name: s, version: 1.0.0, alias: one}, {name: s, version: 1.0.0, alias: two},"
            b" {name: t, version: 1.0.0, condition: t.enabled}]\n",
        ),
        (b"0", b"c/values.yaml", b"t: {enabled: false}\none: {k: w}"),
        (b"0", b"c/charts/s-1.0.0.tgz", _sub("s", (b"0", b"values.yaml", b"k: v"))),
        (b"0", b"c/charts/t-1.0.0.tgz", _sub("t")),
        (b"0", b"c/templates/x.yaml", SHOWN),
    ),
    "subchart that is none": chart_with((b"0", b"c/charts/README.md", b"x")),
    "missing dependency": packed((b"0", b"c/Chart.yaml", ABOUT + b"dependencies: [{name: s, version: 1.0.0}]\n")),
    "long names": chart_with((b"0", b"c/templates/" + b"n" * 200 + b"/" + b"m" * 150 + b".yaml", SHOWN)),
    "a name in other letters": chart_with((b"0", "c/templates/ä €.yaml".encode(), SHOWN)),
    "values in a template's name": chart_of("c", templates__values_yaml=VALUES_TEMPLATE),
}


def in_order(manifest: tuple[int, str]) -> tuple[int, list[str]]:
    """Helm gives subcharts of one kind in the order of a map of Go's, another one each time."""
    return manifest[0], sorted(manifest[1].split("---\n"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_helm_reads_the_same_in_both(helm_binary: Path, tmp_path: Path, layout: str) -> None:
    chart = read(tmp_path, LAYOUTS[layout])
    assert in_order(rendered(helm_binary, chart.path)) == in_order(rendered(helm_binary, tmp_path / "fetched.tgz"))


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir()))
def test_the_examples_stay_what_they_are(helm_binary: Path, tmp_path: Path, name: str) -> None:
    subprocess.run(
        [helm_binary, "package", EXAMPLES / name, "--destination", tmp_path], capture_output=True, check=True
    )
    (archive,) = tmp_path.glob("*.tgz")
    chart = read_chart(archive, "", ChartLimits())
    assert in_order(rendered(helm_binary, chart.path)) == in_order(rendered(helm_binary, archive))


SEGMENTS = st.sampled_from(
    ["a", "b", "charts", "templates", "values.yaml", "Chart.yaml", "..", ".", "", "s.tgz", "_x", "\\"]
)
NAMES = st.lists(SEGMENTS, max_size=4).map("/".join).map(lambda name: f"c/{name}".encode())
CONTENTS = st.sampled_from(
    [b"", b"a: 1\n", b"k: {{ .Values | toJson | quote }}\n", ABOUT, _sub("s"), b"\xef\xbb\xbfb: 2\n"]
)
TYPES = st.sampled_from([b"0", b"0", b"0", b"\0", b"7", b"2", b"1", b"5", b"6", b"Z", b"g"])


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(TYPES, NAMES, CONTENTS), max_size=5))
def test_whatever_is_in_an_archive_helm_reads_the_same_or_nothing(
    helm_binary: Path, tmp_path: Path, members: list[Member]
) -> None:
    content = chart_with(*((kind, name, text if kind in b"0\x007Z" else b"") for kind, name, text in members))
    try:
        chart = read(tmp_path, content)
    except errors.ChartInvalid:
        return
    ours, theirs = rendered(helm_binary, chart.path), rendered(helm_binary, tmp_path / "fetched.tgz")
    assert in_order(ours) == in_order(theirs)


def test_default_values_as_helm_joins_them(tmp_path: Path) -> None:
    chart = read(tmp_path, LAYOUTS["packed subcharts"])
    assert chart.default_values() == {"a": {"x": 2}, "b": 3}
    aliased = read(tmp_path, LAYOUTS["aliases and conditions"])
    assert aliased.default_values() == {"t": {"enabled": False}, "s": {"k": "v"}, "one": {"k": "w"}, "two": {"k": "v"}}
    assert read(tmp_path, chart_with()).default_values() == {}


def test_which_values_a_schema_calls_secret(tmp_path: Path) -> None:
    schema = b"""{"properties": {
      "db": {"properties": {"pass": {"writeOnly": true}, "user": {"type": "string"}}},
      "keys": {"type": "array", "items": {"properties": {"a/b~": {"format": "password"}}}},
      "any": {"additionalProperties": {"$ref": "#/$defs/secret"},
              "allOf": [{"properties": {"x": {"$ref": "#/$defs/secret"}}}]},
      "loop": {"$ref": "#"}}, "$defs": {"secret": {"writeOnly": true}}}"""
    sub = packed(
        (b"0", b"s/Chart.yaml", CHART.format(name="s", version="1.0.0").encode()),
        (b"0", b"s/values.schema.json", b'{"properties": {"p": {"writeOnly": true}}}'),
    )
    about = ABOUT + b"dependencies: [{name: s, version: 1.0.0, alias: t}]\n"
    chart = read(
        tmp_path,
        packed((b"0", b"c/values.schema.json", schema), (b"0", b"c/charts/q.tgz", sub), (b"0", b"c/Chart.yaml", about)),
    )
    found = set(chart.secret_pointers)
    assert {"/db/pass", "/keys/*/a~1b~0", "/any/*", "/any/x", "/loop/db/pass", "/s/p", "/t/p"} <= found
    assert "/db/user" not in found
    assert len(found) <= MOST_POINTERS
    assert max(map(len, found)) <= LONGEST_POINTER


def test_many_secrets_are_bounded(tmp_path: Path) -> None:
    wide = b'{"properties": {' + b",".join(b'"k%d": {"writeOnly": true}' % n for n in range(9000)) + b"}}"
    assert len(read(tmp_path, chart_with((b"0", b"c/values.schema.json", wide))).secret_pointers) == MOST_POINTERS
    doubling = b'{"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}, "' + b"s" * 300 + b'": {"writeOnly": true}}}'
    assert read(tmp_path, chart_with((b"0", b"c/values.schema.json", doubling))).secret_pointers == ()


def test_archive_of_an_archive_of_an_archive(tmp_path: Path) -> None:
    inner = _sub("x")
    for _ in range(4):
        inner = _sub("x", (b"0", b"charts/x.tgz", inner))
    with pytest.raises(errors.ChartInvalid, match="deep"):
        read(tmp_path, chart_with((b"0", b"c/charts/x.tgz", inner)))
