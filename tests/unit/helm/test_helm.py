"""The gateway against the real helm: charts from repositories and registries, rendering, and each way that it fails."""

import asyncio
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from unit.helm.conftest import CHART, Source, archive_of, chart_of, gzipped

from app.core.errors import FieldError
from app.core.outbound import AddressNotAllowedError, Rules, SchemeNotAllowedError
from app.gateways.helm import client, errors
from app.gateways.helm.chart import Chart, ChartLimits, Credential, OciChart, RepositoryChart, read_chart
from app.gateways.helm.client import Helm
from app.gateways.helm.process import Limits
from app.gateways.helm.releases import Releases
from app.gateways.kubernetes.connection import Connection

SCHEMA = """{"type": "object", "required": ["image"], "additionalProperties": false, "properties": {"global": {},
 "replicas": {"type": "integer", "minimum": 1}, "image": {"type": "object", "required": ["tag"],
 "properties": {"tag": {"type": "string"}, "list": {"type": "array", "items": {"type": "string"}}}}}}"""

PROC = Path("/proc")
ABOUT = CHART.format(name="demo", version="1.0.0")


def bounded(binary: Path, folder: Path, limits: Limits) -> Helm:
    """Return a helm with bounds of its own, that may speak to this machine."""
    return Helm(binary, root=folder, rules=Rules(allow_http=True, allow_private_addresses=True), limits=limits)


@contextmanager
def silent() -> Iterator[int]:
    """Give the port of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def chart_at(folder: Path, content: bytes, limits: ChartLimits | None = None) -> Chart:
    """Read a chart as `Helm.chart` does once it has fetched it."""
    path = folder / "chart.tgz"
    path.write_bytes(content)
    return read_chart(path, "sha256:0", limits or ChartLimits())


async def render(helm: Helm, chart: Chart, values: dict[str, object] | None = None) -> str:
    return await helm.template("shop", chart, values or {}, namespace="apps")


async def test_version(helm: Helm) -> None:
    assert await helm.start() >= (4, 0, 0)


async def test_a_chart_of_a_repository(helm: Helm, source: Source) -> None:
    source.publish(("demo", "0.1.0", chart_of()), ("demo", "0.2.0", chart_of(version="0.2.0", values_schema_json="{}")))
    async with helm.chart(RepositoryChart(source.repository, "demo")) as chart:
        assert (chart.name, chart.version, chart.app_version) == ("demo", "0.2.0", "1.10")
        assert chart.has_schema
        assert chart.default_values() == {"replicas": 1}
        assert chart.path.is_file()
    assert not chart.path.exists()
    async with helm.chart(RepositoryChart(source.repository, "demo", "^0.1", digest=None)) as older:
        assert older.version == "0.1.0"
        assert older.digest.startswith("sha256:")
        pinned = RepositoryChart(source.repository, "demo", "0.2.0", digest=older.digest)
    with pytest.raises(errors.ChartDigestMismatch):
        async with helm.chart(pinned):
            pass


async def test_a_chart_of_a_registry(helm: Helm, source: Source) -> None:
    digest = source.push("demo", "0.1.0", chart_of())
    source.credential = "AWS:s3cret"
    async with helm.chart(OciChart(source.oci(), "0.1.0"), Credential("AWS", "s3cret")) as chart:
        assert (chart.name, chart.digest) == ("demo", digest)
    async with helm.chart(OciChart(source.oci(), "0.1.0", digest), Credential("AWS", "s3cret")) as chart:
        assert chart.digest == digest
    with pytest.raises(errors.RepositoryDenied):
        async with helm.chart(OciChart(source.oci(), "0.1.0"), Credential("AWS", "wrong")):
            pass
    source.credential = None
    with pytest.raises(errors.ChartNotFound):
        async with helm.chart(OciChart(source.oci("other"), "0.1.0")):
            pass


async def test_what_a_repository_does_not_have(helm: Helm, source: Source) -> None:
    source.publish(("demo", "0.1.0", chart_of()))
    with pytest.raises(errors.ChartVersionNotFound) as version:
        async with helm.chart(RepositoryChart(source.repository, "demo", "9.9.9")):
            pass
    assert version.value.as_failure().code == "chart_version_not_found"
    with pytest.raises(errors.ChartNotFound) as chart:
        async with helm.chart(RepositoryChart(source.repository, "other", "0.1.0")):
            pass
    assert type(chart.value) is errors.ChartNotFound


async def test_a_repository_with_a_password(helm: Helm, source: Source) -> None:
    source.publish(("demo", "0.1.0", chart_of()))
    source.credential = "me:s3cret"
    async with helm.chart(RepositoryChart(source.repository, "demo"), Credential("me", "s3cret")) as chart:
        assert chart.name == "demo"
    with pytest.raises(errors.RepositoryDenied) as caught:
        async with helm.chart(RepositoryChart(source.repository, "demo"), Credential("me", "wr0ng")):
            pass
    assert "wr0ng" not in str(caught.value)


async def test_a_repository_that_is_none(helm: Helm, source: Source) -> None:
    with pytest.raises(errors.RepositoryInvalid):
        async with helm.chart(RepositoryChart(source.repository, "demo")):
            pass
    source.status = 503
    with pytest.raises(errors.RepositoryUnreachable):
        async with helm.chart(RepositoryChart(source.repository, "demo")):
            pass
    with pytest.raises(errors.RepositoryUnreachable) as caught:
        async with helm.chart(RepositoryChart("http://127.0.0.1:1/charts", "demo")):
            pass
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("part", "size", "error"),
    [
        ("index.yaml", None, errors.ChartTooLarge),
        ("demo-0.1.0.tgz", None, errors.ChartTooLarge),
        ("layer", 3000 << 20, errors.ChartTooLarge),
        ("layer", None, errors.ChartInvalid),  # larger than its manifest says
    ],
)
async def test_answers_without_end(
    helm_binary: Path, tmp_path: Path, source: Source, part: str, size: int | None, error: type[errors.HelmError]
) -> None:
    """500 MB, or more: helm's memory ends it, and the caller hears why."""
    source.publish(("demo", "0.1.0", chart_of()))
    source.push("demo", "0.1.0", chart := chart_of(), size=size)
    source.endless = hashlib.sha256(chart).hexdigest() if part == "layer" else part
    helm = bounded(helm_binary, tmp_path, Limits(memory_bytes=100_000_000, file_bytes=10_000_000))
    place = OciChart(source.oci(), "0.1.0") if part == "layer" else RepositoryChart(source.repository, "demo")
    with pytest.raises(error) as caught:
        async with helm.chart(place):
            pass
    assert caught.value.as_failure().hint


async def test_a_source_that_does_not_answer(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    with silent() as port:
        monkeypatch.setattr(client, "FETCH_SECONDS", 0.5)
        with pytest.raises(errors.RepositoryUnreachable, match="in time"):
            async with helm.chart(RepositoryChart(f"http://127.0.0.1:{port}", "demo")):
                pass
    with pytest.raises(errors.RepositoryUnreachable):
        async with helm.chart(RepositoryChart("https://charts.invalid", "demo")):
            pass


async def test_a_template_without_end(helm_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helm = bounded(helm_binary, tmp_path, Limits(grace_seconds=0.1))
    monkeypatch.setattr(client, "RENDER_SECONDS", 0.5)
    loop = "{{ range $i := until 3000 }}{{ range $j := until 3000 }}{{ end }}{{ end }}"
    with pytest.raises(errors.RenderError, match="in time"):
        await render(helm, chart_at(tmp_path, chart_of(templates__x_yaml=loop * 40)))


async def test_a_cluster_that_does_not_answer(helm: Helm, tmp_path: Path) -> None:
    chart = chart_at(tmp_path, chart_of())

    async def token() -> str:
        return "k8s-aws-v1.x"

    with silent() as port:
        found = Releases(helm, Connection(f"https://127.0.0.1:{port}", "", token))
        with pytest.raises(errors.ClusterUnreachable, match="in time") as caught:
            await found.preview("shop", chart, {}, namespace="apps", timeout_seconds=0.5)
    assert caught.value.retryable


async def test_sources_have_to_be_public(helm_binary: Path, tmp_path: Path) -> None:
    helm = Helm(helm_binary, root=tmp_path)
    with pytest.raises(SchemeNotAllowedError):
        async with helm.chart(RepositoryChart("http://charts.example.com", "demo")):
            pass
    for private in (RepositoryChart("https://10.0.0.1", "demo"), OciChart("oci://169.254.169.254/x")):
        with pytest.raises(AddressNotAllowedError):
            async with helm.chart(private):
                pass


NO_CHARTS = {
    "a web page": (lambda: b"<html>hello</html>", errors.ChartInvalid),
    "no tar": (lambda: gzipped(1000), errors.ChartInvalid),
    "cut off": (lambda: chart_of()[:200], errors.ChartInvalid),
    "no Chart.yaml": (lambda: archive_of({"values.yaml": ""}), errors.ChartInvalid),
    "broken YAML": (lambda: chart_of(Chart_yaml="name: ["), errors.ChartInvalid),
    "no map": (lambda: chart_of(Chart_yaml="- a"), errors.ChartInvalid),
    "no version": (lambda: chart_of(Chart_yaml="name: demo"), errors.ChartInvalid),
    "library": (lambda: chart_of(Chart_yaml=ABOUT + "type: library"), errors.ChartInvalid),
    "broken schema": (lambda: chart_of(values_schema_json="{"), errors.ChartInvalid),
    "deep schema": (lambda: chart_of(values_schema_json='{"a":' * 100_000), errors.ChartInvalid),
    "zeros": (lambda: gzipped(200_000_000), errors.ChartInvalid),
    "large file": (lambda: archive_of({"Chart.yaml": ABOUT, "big": bytes(6_000_000)}), errors.ChartTooLarge),
    "bomb": (lambda: archive_of({f"file{n}": bytes(4_000_000) for n in range(30)}), errors.ChartTooLarge),
    "inner bomb": (
        lambda: archive_of({"charts/a.tgz": archive_of({f"f{n}": bytes(4_000_000) for n in range(30)})}),
        errors.ChartTooLarge,
    ),
}


@pytest.mark.parametrize("case", NO_CHARTS)
def test_archives_that_are_no_charts(tmp_path: Path, case: str) -> None:
    make, error = NO_CHARTS[case]
    with pytest.raises(error):
        chart_at(tmp_path, make())


def test_an_archive_over_the_limit(tmp_path: Path) -> None:
    with pytest.raises(errors.ChartTooLarge):
        chart_at(tmp_path, chart_of(), ChartLimits(archive_bytes=100))
    with pytest.raises(errors.ChartTooLarge):
        chart_at(tmp_path, archive_of(dict.fromkeys(map(str, range(50)), "")), ChartLimits(files=40))


@pytest.mark.parametrize(
    ("schema", "external"),
    [
        (
            '{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"$ref": "#/definitions/b"}}}',
            False,
        ),
        ('{"$ref": "file:///etc/passwd"}', True),
        ('{"allOf": [{"\\u0024ref": "http://169.254.169.254/latest"}]}', True),
        ('{"properties": {"a": {"$ref": "other.json"}}}', True),
        ('{"$schema": "https://example.com/schema"}', True),
    ],
)
async def test_schemas_that_refer_outside(tmp_path: Path, schema: str, external: bool) -> None:
    assert chart_at(tmp_path, chart_of(values_schema_json=schema)).external_schema is external
    nested = archive_of({"values.schema.json": schema}, folder="sub")
    both = archive_of({"Chart.yaml": CHART.format(name="a", version="1.0.0"), "charts/sub.tgz": nested}, folder="a")
    assert chart_at(tmp_path, both).external_schema is external


async def test_a_schema_that_refers_outside_is_not_followed(helm: Helm, source: Source, tmp_path: Path) -> None:
    reference = f'{{"$ref": "http://127.0.0.1:{source.port}/secret"}}'
    await render(helm, chart_at(tmp_path, chart_of(values_schema_json=reference)))
    assert source.requests == []


async def test_rendering(helm: Helm, tmp_path: Path) -> None:
    manifest = await render(helm, chart_at(tmp_path, chart_of()), {"replicas": 3, "ä": "€"})
    assert '{\\"replicas\\":3,\\"ä\\":\\"€\\"}' in manifest
    assert "name: shop" in manifest


async def test_values_that_break_the_schema(helm: Helm, tmp_path: Path) -> None:
    chart = chart_at(tmp_path, chart_of(values_schema_json=SCHEMA, values_yaml="{}"))
    with pytest.raises(errors.ValuesInvalid) as caught:
        await render(helm, chart, {"replicas": "x", "image": {"tag": 3, "list": ["a", 1]}, "extra": 1})
    assert set(caught.value.errors) == {
        FieldError("/replicas", "got string, want integer"),
        FieldError("/image/list/1", "got number, want string"),
        FieldError("/image/tag", "got number, want string"),
        FieldError("", "additional properties 'extra' not allowed"),
    }


async def test_values_that_break_a_subcharts_schema(helm: Helm, tmp_path: Path) -> None:
    files = {
        "Chart.yaml": CHART.format(name="demo", version="1.0.0") + "dependencies: [{name: sub, version: 1.0.0}]\n",
        "charts/sub/Chart.yaml": CHART.format(name="sub", version="1.0.0"),
        "charts/sub/values.schema.json": '{"properties": {"port": {"type": "integer"}}}',
    }
    with pytest.raises(errors.ValuesInvalid) as caught:
        await render(helm, chart_at(tmp_path, archive_of(files)), {"sub": {"port": "http"}})
    assert caught.value.errors == (FieldError("/sub/port", "got string, want integer"),)


@pytest.mark.parametrize(
    ("template", "error", "words"),
    [
        ('{{ fail "context canceled" }}', errors.RenderError, "context canceled"),
        ('{{ required "need db" .Values.db }}', errors.RenderError, "need db"),
        ("{{ if }}", errors.RenderError, "missing value for if"),
        ("{{ .Values.a.b.c }}", errors.RenderError, "nil pointer"),
        ("a: b\n  c: d\n", errors.RenderError, "YAML parse error"),
        ('{{- define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}', errors.RenderError, "include"),
        ("{{ range $i, $e := until 2000000000 }}{{ $i }}{{ end }}", errors.OutOfMemory, "memory"),
    ],
)
async def test_templates_that_fail(
    helm: Helm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    template: str,
    error: type[errors.HelmError],
    words: str,
) -> None:
    monkeypatch.setattr(client, "RENDER_SECONDS", 300.0)  # memory must run out before the time, on any machine
    with pytest.raises(error, match=words) as caught:
        await render(helm, chart_at(tmp_path, chart_of(templates__x_yaml=template)))
    assert len(str(caught.value)) < 2100
    assert caught.value.as_failure(resource="shop").hint


async def test_charts_for_other_clusters(helm: Helm, tmp_path: Path) -> None:
    with pytest.raises(errors.ChartIncompatible):
        await render(helm, chart_at(tmp_path, chart_of(Chart_yaml=ABOUT + "kubeVersion: '>=9.0.0'")))
    missing = ABOUT + "dependencies: [{name: foo, version: 1.0.0, repository: 'https://example.com'}]"
    with pytest.raises(errors.ChartInvalid, match="foo"):
        await render(helm, chart_at(tmp_path, chart_of(Chart_yaml=missing)))
    with pytest.raises(errors.InvalidReleaseName):
        await helm.template("Shop_1", chart_at(tmp_path, chart_of()), {}, namespace="apps")


async def test_a_manifest_that_is_too_large(helm_binary: Path, tmp_path: Path) -> None:
    helm = Helm(helm_binary, root=tmp_path, limits=Limits(output_bytes=1000))
    chart = chart_at(tmp_path, chart_of(templates__x_yaml="a: {{ repeat 5000 (quote .Release.Name) | quote }}"))
    with pytest.raises(errors.OutputTooLarge):
        await render(helm, chart)


async def test_secrets_are_on_no_command_line(helm: Helm, tmp_path: Path) -> None:
    """A render that takes long enough to be looked at; and what is cancelled leaves no process."""
    slow = "{{ range $i := until 3000 }}{{ range $j := until 3000 }}{{ end }}{{ end }}"
    chart = chart_at(tmp_path, chart_of(templates__x_yaml=slow * 40))
    task = asyncio.create_task(render(helm, chart, {"password": "hunter2"}))
    commands = await _until_started(str(tmp_path))
    assert not any("hunter2" in command for command in commands)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _commands(str(tmp_path))
    assert not _left(tmp_path)


@pytest.mark.parametrize(
    ("reference", "allowed", "expected"),
    [
        ("oci://127.0.0.1:4566/team/web", True, True),
        ("oci://registry:5000/web", True, True),
        ("oci://127.0.0.1:4566/team/web", False, False),
        ("oci://123456789012.dkr.ecr.us-west-2.amazonaws.com/web", True, False),
    ],
)
def test_only_private_registries_are_spoken_to_without_tls(reference: str, allowed: bool, expected: bool) -> None:
    rules = Rules(allow_http=allowed, allow_private_addresses=True)
    assert client.plain_http(reference, rules) is expected


def _left(folder: Path) -> list[Path]:
    return list(folder.glob("slipway-helm-*"))


async def _until_started(word: str) -> list[str]:
    for _ in range(2000):
        if found := [command for command in _commands(word) if "template" in command]:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("helm never started")


def _commands(word: str) -> list[str]:
    """Return the command lines, of processes other than this one, that hold a word."""
    found = []
    for process in PROC.iterdir():
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if process.name.isdigit() and int(process.name) != os.getpid() and word in command:
            found.append(command)
    return found
