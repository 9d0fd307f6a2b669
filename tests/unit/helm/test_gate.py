"""The real helm behind its gate: where it may not go it doesn't come to, whatever brought it there."""

import asyncio
import base64
import hashlib
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from certificates import certificate
from unit.helm.conftest import Source, chart_of, serving

from app.core.outbound import AddressNotAllowedError, Rules
from app.gateways import network
from app.gateways.helm import confine, confinement, errors
from app.gateways.helm import gate as gates
from app.gateways.helm.chart import ChartLimits, ChartSource, Credential, OciChart, RepositoryChart
from app.gateways.helm.client import Helm, trusted_hosts
from app.gateways.helm.gate import Gate, gate
from app.gateways.helm.process import Limits, run
from app.releases.errors import chart_problem

LOOSE = Rules(allow_http=True, allow_private_addresses=True)
METADATA = "169.254.169.254"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture(autouse=True)
def no_proxy_of_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that the tests run on may have one."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[str]]]:
    """Names and their addresses, in place of a name server; `*` is every other name's."""
    known: dict[str, list[str]] = {"*": ["127.0.0.1"]}

    def look_up(host: str, port: int) -> list[Any]:
        kinds = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(kinds[":" in each], 1, 6, "", (each, port)) for each in known.get(host, known["*"])]

    monkeypatch.setattr(network, "_look_up", look_up)
    return known


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    """A source behind TLS, whose certificate is that of ECR's host."""
    (tmp_path / "tls").mkdir()
    context = certificate(tmp_path / "tls", ECR)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls" / "ca.pem"))
    with serving(context) as made:
        yield made


@pytest.fixture
def strict(helm_binary: Path, tmp_path: Path) -> Helm:
    """Helm as it is in production."""
    return Helm(helm_binary, root=tmp_path)


async def fetched(helm: Helm, source: ChartSource, credential: Credential | None = None) -> str:
    async with helm.chart(source, credential) as chart:
        return f"{chart.name} {chart.version}"


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.1.2.3"], [METADATA], ["::1"], ["::ffff:127.0.0.1"], ["93.184.215.14", "127.0.0.1"]],
)
async def test_names_that_have_a_private_address(
    strict: Helm, secure: Source, resolving: dict[str, list[str]], addresses: list[str]
) -> None:
    resolving["*"] = addresses
    place = f"{ECR}:{secure.port}"
    for source in (RepositoryChart(f"https://{place}/charts", "demo"), OciChart(f"oci://{place}/charts/demo", "0.1.0")):
        with pytest.raises(errors.AddressRefused, match="not public") as caught:
            await fetched(strict, source)
        assert (caught.value.code, caught.value.retryable) == ("address_not_allowed", False)
        assert caught.value.as_failure().hint
    with pytest.raises(errors.AddressRefused):
        await fetched(strict, OciChart(f"oci://{place}/charts/demo"), Credential("AWS", "s3cret"))
    assert secure.requests == []


async def test_a_caller_hears_which_part_of_the_request_it_is() -> None:
    problem = chart_problem(errors.AddressRefused("leads inside"), "/releases/0")
    assert isinstance(problem, AddressNotAllowedError)
    assert problem.errors[0].pointer == "/releases/0/chart"
    assert problem.facts["hint"] == errors.AddressRefused.hint


async def test_plain_http_where_it_is_allowed(
    helm: Helm, source: Source, resolving: dict[str, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    source.publish(("demo", "0.1.0", chart_of()))
    source.push("demo", "0.1.0", chart_of())
    source.credential = "me:s3cret"
    repository = RepositoryChart(f"http://charts.example:{source.port}/charts", "demo")
    assert await fetched(helm, repository, Credential("me", "s3cret")) == "demo 0.1.0"
    registry = OciChart(f"oci://registry.internal:{source.port}/charts/demo", "0.1.0")
    assert await fetched(helm, registry, Credential("me", "s3cret")) == "demo 0.1.0"
    with pytest.raises(errors.RepositoryDenied) as caught:
        await fetched(helm, repository, Credential("me", "wr0ng"))
    resolving["charts.example"] = ["127.0.0.1", "::1"]
    with pytest.raises(errors.ChartNotFound):
        await fetched(helm, RepositoryChart(repository.repository, "other"), Credential("me", "s3cret"))
    told = caplog.text + str(caught.value)
    assert not [secret for secret in ("s3cret", "wr0ng", "slipway:") if secret in told]


async def test_plain_http_where_it_is_not_allowed(
    helm_binary: Path, tmp_path: Path, secure: Source, resolving: dict[str, list[str]]
) -> None:
    """The source itself can't be one; what it redirects to could."""
    secure.redirects["index.yaml"] = "http://charts.example/index.yaml"
    helm = Helm(helm_binary, root=tmp_path, rules=Rules(allow_private_addresses=True))
    with pytest.raises(errors.AddressRefused, match="https://"):
        await fetched(helm, RepositoryChart(f"https://{ECR}:{secure.port}/charts", "demo"))


@pytest.mark.calendar
async def test_tls_goes_through(helm: Helm, secure: Source, resolving: dict[str, list[str]]) -> None:
    secure.publish(("demo", "0.1.0", chart_of()))
    secure.push("demo", "0.1.0", chart_of())
    secure.credential = "AWS:s3cret"
    credential = Credential("AWS", "s3cret")
    repository = RepositoryChart(f"https://{ECR}:{secure.port}/charts", "demo", "0.1.0")
    assert await fetched(helm, repository, credential) == "demo 0.1.0"
    assert await fetched(helm, OciChart(f"oci://{ECR}:{secure.port}/charts/demo", "0.1.0"), credential) == "demo 0.1.0"
    with pytest.raises(errors.RepositoryUnreachable, match="certificate"):
        await fetched(helm, RepositoryChart(f"https://other.example:{secure.port}/charts", "demo"))


@pytest.mark.parametrize("part", ["index.yaml", "demo-0.1.0.tgz", "blobs", "in the index"])
@pytest.mark.parametrize("inside", [f"http://{METADATA}/latest", f"https://{METADATA}/x", "http://inside.example/x"])
async def test_what_a_source_leads_to(
    helm: Helm, source: Source, resolving: dict[str, list[str]], part: str, inside: str
) -> None:
    """A redirect, or a URL in an index. Link-local addresses are refused even where private ones are allowed."""
    resolving["inside.example"] = [METADATA]
    source.publish(("demo", "0.1.0", chart_of()), url=inside if part == "in the index" else "{name}-{version}.tgz")
    source.push("demo", "0.1.0", chart := chart_of())
    source.redirects[hashlib.sha256(chart).hexdigest() if part == "blobs" else part] = inside
    oci = OciChart(source.oci(), "0.1.0")
    with pytest.raises(errors.AddressRefused, match=urlsplit(inside).hostname):
        await fetched(helm, oci if part == "blobs" else RepositoryChart(source.repository, "demo"))


async def test_the_accounts_own_registry_may_be_inside(
    strict: Helm, secure: Source, resolving: dict[str, list[str]]
) -> None:
    secure.push("demo", "0.1.0", chart_of())
    reference = f"oci://{ECR}:{secure.port}/charts/demo"
    assert await fetched(strict, OciChart(reference, "0.1.0", own=True)) == "demo 0.1.0"
    resolving["*"] = [METADATA]
    with pytest.raises(errors.AddressRefused):
        await fetched(strict, OciChart(reference, "0.1.0", own=True))


async def test_the_local_clouds_registry_is_on_loopback(helm_binary: Path, tmp_path: Path, source: Source) -> None:
    source.push("demo", "0.1.0", chart_of())
    helm = Helm(helm_binary, root=tmp_path, rules=Rules(allow_http=True))
    assert await fetched(helm, OciChart(source.oci(), "0.1.0", own=True)) == "demo 0.1.0"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_redirect_to_this_machine_itself(
    strict: Helm, secure: Source, source: Source, resolving: dict[str, list[str]], scheme: str, host: str
) -> None:
    """Helm doesn't ask the gate for that; a kernel that can (`confine.py`) keeps it from going there by itself."""
    secure.push("demo", "0.1.0", chart := chart_of())
    port = source.port if scheme == "http" else secure.port
    secure.redirects[hashlib.sha256(chart).hexdigest()] = f"{scheme}://{host}:{port}/secret"
    with pytest.raises(errors.HelmError) as caught:
        await fetched(strict, OciChart(f"oci://{ECR}:{secure.port}/charts/demo", "0.1.0", own=True))
    assert isinstance(caught.value, errors.AddressRefused) is confine.is_possible()
    assert ("/secret" not in source.requests + secure.requests) or not confine.is_possible()


async def test_a_confined_program_still_dies_with_its_parent() -> None:
    """PDEATHSIG outlives what `confine.py` does; and the one port is open, others are not."""
    script = (
        "import ctypes, socket, sys\n"
        "signal = ctypes.c_int()\n"
        "ctypes.CDLL(None).prctl(2, ctypes.byref(signal))\n"
        "print(signal.value)\n"
        "for port in sys.argv[1:]:\n"
        "    try: socket.create_connection(('127.0.0.1', int(port))); print('open')\n"
        "    except PermissionError: print('refused')\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [str(server.getsockname()[1]) for server in (one, other)]
        chain = [*confinement.chain("preferred", {int(ports[0])}), sys.executable, "-c", script, *ports]
        finished = await run(chain, environment={}, folder=Path("/"), limits=Limits(), deadline_seconds=60)
    assert finished.stdout.decode().split() == ["9", "open", "refused" if confine.is_possible() else "open"]


@pytest.mark.parametrize("part", ["index.yaml", "demo-0.1.0.tgz"])
@pytest.mark.parametrize("tls", [True, False])
async def test_more_than_a_chart_may_have_is_cut(
    helm_binary: Path,
    tmp_path: Path,
    secure: Source,
    source: Source,
    resolving: dict[str, list[str]],
    part: str,
    tls: bool,
) -> None:
    served = secure if tls else source
    served.publish(("demo", "0.1.0", chart_of()))
    served.endless = part
    helm = Helm(
        helm_binary,
        root=tmp_path,
        rules=LOOSE,
        limits=Limits(file_bytes=10_000_000),
        chart_limits=ChartLimits(archive_bytes=1_000_000),
    )
    place = f"https://{ECR}:{served.port}" if tls else f"http://charts.example:{served.port}"
    with pytest.raises(errors.ChartTooLarge, match="more bytes"):
        await fetched(helm, RepositoryChart(f"{place}/charts", "demo"))


async def test_the_gate_is_for_its_own_helm(source: Source) -> None:
    source.files["/charts/x"] = b"hello"
    async with gate(LOOSE) as way:
        way.room = 10_000
        line = f"GET http://127.0.0.1:{source.port}/charts/x HTTP/1.1"
        for header in ("", "Proxy-Authorization: Basic c2xpcHdheTp4\r\n", "Proxy-Authorization: x\r\n"):
            for asked in (line, f"CONNECT 127.0.0.1:{source.port} HTTP/1.1"):
                answer = await _asked(way, asked, header)
                assert answer.startswith("HTTP/1.1 407 ")
                assert "proxy-authenticate: basic" in answer.lower()
        assert source.requests == []
        assert (await _asked(way, line)).endswith("hello")
        assert way.failure is None
    with pytest.raises(ConnectionRefusedError):
        await _asked(way, line)


async def test_requests_that_are_none(source: Source) -> None:
    async with gate(LOOSE) as way:
        for line in ("GET / HTTP/1.1", "CONNECT a b HTTP/1.1", "GET https://charts.example/ HTTP/1.1", "\x00"):
            answer = await _asked(way, line)
            assert answer == "" or answer.startswith("HTTP/1.1 400 ")
        too_much = f"Content-Length: {gates.MOST_SENT + 1}\r\n"
        body = "x" * (gates.MOST_SENT + 1)
        answer = await _asked(
            way, f"POST http://127.0.0.1:{source.port}/ HTTP/1.1", _authorization(way) + too_much, body
        )
        assert answer.startswith("HTTP/1.1 413 ")
    assert source.requests == []


async def test_connections_have_a_bound(source: Source) -> None:
    async with gate(LOOSE) as way:
        proxy = urlsplit(way.environment["HTTPS_PROXY"])
        held = [await asyncio.open_connection("127.0.0.1", proxy.port) for _ in range(gates.MOST_CONNECTIONS)]
        line = f"GET http://127.0.0.1:{source.port}/ HTTP/1.1"
        assert await _asked(way, line) == ""
        _, freed = held.pop()
        freed.close()
        way.room = 10_000
        while not (answer := await _asked(way, line)):
            pass
        assert answer.startswith("HTTP/1.1 404 ")
    for reader, writer in held:
        assert await _all(reader) == b""
        writer.close()


@pytest.mark.parametrize(
    ("host", "layers"),
    [
        (ECR, "prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com"),
        (
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "prod-cn-north-1-starport-layer-bucket.s3.cn-north-1.amazonaws.com.cn",
        ),
        ("123456789012.dkr-ecr.us-east-1.on.aws", "prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com"),
    ],
)
def test_hosts_of_an_own_registry(host: str, layers: str) -> None:
    assert trusted_hosts(OciChart(f"oci://{host}/team/web", own=True)) == {host, layers}
    assert trusted_hosts(OciChart(f"oci://{host}/team/web")) == frozenset()


def _authorization(way: Gate) -> str:
    userinfo = urlsplit(way.environment["HTTP_PROXY"]).netloc.rpartition("@")[0]
    return f"Proxy-Authorization: Basic {base64.b64encode(userinfo.encode()).decode()}\r\n"


async def _asked(way: Gate, line: str, headers: str | None = None, body: str = "") -> str:
    """Ask the gate, with its password if no other headers are given, and return all that it says."""
    port = urlsplit(way.environment["HTTP_PROXY"]).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = _authorization(way) if headers is None else headers
    writer.write(f"{line}\r\nHost: x\r\n{sent}\r\n{body}".encode())
    answer = await _all(reader)
    writer.close()
    return answer.decode()


async def _all(reader: asyncio.StreamReader) -> bytes:
    """Read to the end; a reset is one, too."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
