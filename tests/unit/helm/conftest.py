"""The real helm, charts written by the tests, and a web server that is a chart repository and an OCI registry."""

import base64
import gzip
import hashlib
import http.server
import io
import json
import ssl
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.core.outbound import Rules
from app.gateways.helm import binary
from app.gateways.helm.client import Helm

CHART = "apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: '1.10'\n"
VALUES_TEMPLATE = (
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n"
    "data: {values: {{ toJson .Values | quote }}}\n"
)


def archive_of(files: dict[str, bytes | str], *, folder: str = "demo") -> bytes:
    """Return a .tgz of the files, in a folder."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def chart_of(name: str = "demo", version: str = "0.1.0", **files: str) -> bytes:
    """Return a packaged chart; `files` replace or add files, `__` in their names is a slash."""
    endings = {"values_schema_json": "values.schema.json", "_yaml": ".yaml", "__": "/"}
    named = {}
    for key, text in files.items():
        for written, meant in endings.items():
            key = key.replace(written, meant)
        named[key] = text
    base = {
        "Chart.yaml": CHART.format(name=name, version=version),
        "values.yaml": "replicas: 1\n",
        "templates/values.yaml": VALUES_TEMPLATE,
    }
    return archive_of(base | named, folder=name)


@pytest.fixture(scope="session")
def helm_binary() -> Path:
    """The helm that this machine has."""
    return binary.locate()


@pytest.fixture
def helm(helm_binary: Path, tmp_path: Path) -> Helm:
    """Helm, allowed to speak to this machine over plain HTTP."""
    return Helm(helm_binary, root=tmp_path, rules=Rules(allow_http=True, allow_private_addresses=True))


@dataclass
class Source:
    """A chart repository under /charts, and an OCI registry under /v2/."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    status: int = 200
    endless: str | None = None
    """The end of the paths whose answer never ends."""
    credential: str | None = None
    redirects: dict[str, str] = field(default_factory=dict)
    """From the end of a path to a URL."""
    requests: list[str] = field(default_factory=list)

    @property
    def repository(self) -> str:
        return f"http://127.0.0.1:{self.port}/charts"

    def oci(self, name: str = "demo") -> str:
        return f"oci://127.0.0.1:{self.port}/charts/{name}"

    def publish(self, *charts: tuple[str, str, bytes], url: str = "{name}-{version}.tgz") -> None:
        """Put charts (name, version, archive) into the repository's index."""
        entries: dict[str, list[dict[str, object]]] = {}
        for name, version, content in charts:
            self.files[f"/charts/{name}-{version}.tgz"] = content
            entry = {
                "apiVersion": "v2",
                "name": name,
                "version": version,
                "urls": [url.format(name=name, version=version)],
            }
            entries.setdefault(name, []).append({**entry, "digest": hashlib.sha256(content).hexdigest()})
        self.files["/charts/index.yaml"] = json.dumps({"apiVersion": "v1", "entries": entries}).encode()

    def push(self, name: str, version: str, content: bytes, *, size: int | None = None) -> str:
        """Put a chart into the registry, whose manifest may name another size; return the manifest's digest."""
        config = json.dumps({"name": name, "version": version, "apiVersion": "v2"}).encode()
        layers = []
        for data, kind in ((config, "config.v1+json"), (content, "chart.content.v1.tar+gzip")):
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            self.files[f"/v2/charts/{name}/blobs/{digest}"] = data
            layers.append({"mediaType": f"application/vnd.cncf.helm.{kind}", "digest": digest, "size": len(data)})
        layers[-1]["size"] = layers[-1]["size"] if size is None else size
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": kind, "config": layers[0], "layers": layers[1:]}
        ).encode()
        digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
        for tag in (version, digest):
            self.files[f"/v2/charts/{name}/manifests/{tag}"] = manifest
            self.types[f"/v2/charts/{name}/manifests/{tag}"] = kind
        self.files[f"/v2/charts/{name}/tags/list"] = json.dumps({"name": f"charts/{name}", "tags": [version]}).encode()
        return digest


class _Handler(http.server.BaseHTTPRequestHandler):
    source: Source

    def do_GET(self) -> None:
        source, path = self.source, self.path.partition("?")[0]
        source.requests.append(path)
        if source.credential is not None and self.headers.get("Authorization") != self._expected():
            self._answer(401, b"{}", {"WWW-Authenticate": 'Basic realm="test"'})
        elif source.status != 200:
            self._answer(source.status, b"no")
        elif source.endless is not None and path.endswith(source.endless):
            self._pour()
        elif moved := [url for end, url in source.redirects.items() if path.endswith(end)]:
            self._answer(302, b"", {"Location": moved[0]})
        elif path == "/v2/":
            self._answer(200, b"{}")
        elif path in source.files:
            self._answer(200, source.files[path], {"Content-Type": source.types.get(path, "application/octet-stream")})
        else:
            self._answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')

    do_HEAD = do_GET  # noqa: N815  # the name that http.server looks for

    def _expected(self) -> str:
        return "Basic " + base64.b64encode((self.source.credential or "").encode()).decode()

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        if self.path.startswith("/v2/") and status == 200 and "/manifests/" in self.path:
            self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(body).hexdigest())
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _pour(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(3000):
                self.wfile.write(bytes(1 << 20))
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def source() -> Iterator[Source]:
    """A running source of charts."""
    with serving() as made:
        yield made


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Source]:
    """Run a source of charts, with TLS if there is a context."""
    made = Source()
    handler = type("Handler", (_Handler,), {"source": made})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def gzipped(size: int) -> bytes:
    """Return a gzip of `size` zeros."""
    return gzip.compress(bytes(size), mtime=0)
