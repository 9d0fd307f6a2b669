"""The operator's own proxy: charts are fetched through it, and what the gate refuses is refused all the same."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from certificates import certificate
from unit.helm.conftest import Source, chart_of
from unit.helm.test_gate import ECR, fetched, no_proxy_of_the_operator, resolving, secure, strict

from app.gateways.helm import confine, errors
from app.gateways.helm.chart import OciChart, RepositoryChart
from app.gateways.helm.client import Helm

__all__ = ["no_proxy_of_the_operator", "resolving", "secure", "strict"]

HOST = "charts.example.com"


@dataclass
class Proxy:
    """An HTTP proxy that leads everywhere to one server of this machine, as one that knows names which we do not."""

    target: int
    status: str = "200 OK"
    port: int = 0
    heads: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [head.partition("\r\n")[0] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            tunnel = head.startswith("CONNECT ")
            if not self.status.startswith("200"):
                writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())
            else:
                there, back = await asyncio.open_connection("127.0.0.1", self.target)
                if tunnel:
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    back.write(head.replace(f"http://{HOST}", "", 1).encode())
                await asyncio.gather(_relay(reader, back), _relay(there, writer))
        writer.close()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def proxy_to(port: int, context: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    made = Proxy(port)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


async def test_tls_goes_through_the_proxy(
    strict: Helm, secure: Source, resolving: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that only it knows, with its user name and password; what `NO_PROXY` excepts goes there, too."""
    resolving["*"] = []
    secure.publish(("demo", "0.1.0", chart_of()))
    secure.push("demo", "0.1.0", chart_of())
    async with proxy_to(secure.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "*")
        assert await fetched(strict, RepositoryChart(f"https://{ECR}/charts", "demo")) == "demo 0.1.0"
        assert await fetched(strict, OciChart(f"oci://{ECR}/charts/demo", "0.1.0")) == "demo 0.1.0"
    assert set(proxy.lines) == {f"CONNECT {ECR}:443 HTTP/1.1"}
    expected = base64.b64encode(b"me:p@ss").decode()
    assert all(f"proxy-authorization: basic {expected}".lower() in head.lower() for head in proxy.heads)


async def test_plain_http_goes_through_the_proxy(
    helm: Helm, source: Source, resolving: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving["*"] = []
    source.publish(("demo", "0.1.0", chart_of()))
    async with proxy_to(source.port) as proxy:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
        assert await fetched(helm, RepositoryChart(f"http://{HOST}/charts", "demo")) == "demo 0.1.0"
    assert proxy.lines[0] == f"GET http://{HOST}/charts/index.yaml HTTP/1.1"
    assert not any("slipway" in head for head in proxy.heads)  # our own password stays here


async def test_a_proxy_behind_tls(
    strict: Helm, secure: Source, resolving: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving["*"] = []
    secure.publish(("demo", "0.1.0", chart_of()))
    (tmp_path / "proxy").mkdir()
    context = certificate(tmp_path / "proxy", "localhost")
    both = (tmp_path / "tls" / "ca.pem").read_text() + (tmp_path / "proxy" / "ca.pem").read_text()
    (tmp_path / "both.pem").write_text(both)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "both.pem"))
    async with proxy_to(secure.port, context) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{proxy.port}")
        assert await fetched(strict, RepositoryChart(f"https://{ECR}/charts", "demo")) == "demo 0.1.0"


INSIDE = [
    "http://127.0.0.1:{port}/secret", "https://127.0.0.1:{port}/secret", "http://localhost:{port}/secret",
    "https://[::1]:{port}/secret", "https://10.1.2.3/secret", "https://169.254.169.254/secret",
    "https://2130706433:{port}/secret", "https://inside.example/secret", "https://metadata.internal/secret",
]  # fmt: skip


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("by", ["index", "redirect"])
async def test_what_a_source_leads_to_is_refused_in_front_of_the_proxy(
    strict: Helm,
    secure: Source,
    source: Source,
    resolving: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    inside: str,
    by: str,
) -> None:
    resolving.update({"*": [], "inside.example": ["10.0.0.7"]})
    url = inside.format(port=source.port)
    secure.publish(("demo", "0.1.0", chart_of()), url=url if by == "index" else "{name}-{version}.tgz")
    if by == "redirect":
        secure.redirects["demo-0.1.0.tgz"] = url
    async with proxy_to(secure.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        around = any(name in inside for name in ("127.0.0.1", "localhost", "[::1]"))
        with pytest.raises(errors.AddressRefused if confine.is_possible() or not around else errors.HelmError):
            await fetched(strict, RepositoryChart(f"https://{ECR}/charts", "demo"))
    assert set(proxy.lines) == {f"CONNECT {ECR}:443 HTTP/1.1"}
    assert source.requests == [] or not confine.is_possible()
    assert not any("secret" in path for path in secure.requests)


async def test_the_accounts_own_registry_may_be_excepted(
    strict: Helm, secure: Source, resolving: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a VPC endpoint, whose addresses are private; without `NO_PROXY` it is the proxy that leads there."""
    secure.push("demo", "0.1.0", chart_of())
    own = OciChart(f"oci://{ECR}:{secure.port}/charts/demo", "0.1.0", own=True)
    async with proxy_to(secure.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", ".amazonaws.com")
        assert await fetched(strict, own) == "demo 0.1.0"
        assert proxy.heads == []
        monkeypatch.setenv("NO_PROXY", ".example.org")
        assert await fetched(strict, own) == "demo 0.1.0"
        assert proxy.heads


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "503 No", "0 x"])
async def test_a_proxy_that_refuses(
    strict: Helm, secure: Source, resolving: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    resolving["*"] = []
    async with proxy_to(secure.port) as proxy:
        proxy.status = status
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(errors.RepositoryUnreachable, match="proxy"):
            await fetched(strict, RepositoryChart(f"https://{ECR}/charts", "demo"))
    assert secure.requests == []


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://", "http://[", "http://127.0.0.1:99999"])
async def test_a_proxy_that_is_none(
    strict: Helm, secure: Source, resolving: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """There is no way around it."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(errors.RepositoryUnreachable, match="HTTPS_PROXY"):
        await fetched(strict, RepositoryChart(f"https://{ECR}:{secure.port}/charts", "demo"))
    assert secure.requests == []
