"""One API server: requests with time-outs, a token that is renewed, and only the discovery that is asked for."""

import asyncio
import base64
import contextlib
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from app.core.documents import UnreadableError, fetched_json
from app.gateways.kubernetes.connection import Connection
from app.gateways.kubernetes.errors import (
    KindNotAvailable,
    NotFound,
    ResponseTooLarge,
    ResponseUnreadable,
    Unauthorized,
    Unreachable,
    error_for,
)
from app.gateways.kubernetes.objects import Json, Ref, entries, mapping, ref_of

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 20.0
TOKEN_SECONDS = 600.0
"""How long a token is used; EKS takes one for 15 minutes."""
KINDS_SECONDS = 1.0
"""How long a kind that was not there is taken as missing."""
RESPONSE_BYTES = 64 * 1024 * 1024
SMALL_BYTES = 256 * 1024
"""Up to here an answer is read at once, in a millisecond or two; beyond in a thread."""
FIELD_MANAGER = "slipway"
PAGE = 500

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Kubernetes:
    """A cluster's API server. `async with`, or `aclose()`; belongs to one event loop.

    The kinds of a cluster are learned one API group version at a time, as they are met, and kept in memory: nothing
    is written to disk. One that is not among them is looked for again: a CRD may have come meanwhile.

    Attributes:
        connection: To the API server; who sets another one of the same server changes where new tokens come from.
    """

    def __init__(
        self, connection: Connection, *, request_seconds: float = REQUEST_SECONDS, connections: int = 20
    ) -> None:
        self.connection = connection
        self._seconds = request_seconds
        self._connections = connections
        self._rest: Any = None
        self._opening = asyncio.Lock()
        self._renewing = asyncio.Lock()
        self._token = ""
        self._token_made_at = 0.0
        self._kinds: dict[str, _Kinds] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        rest, self._rest = self._rest, None
        if rest is not None:
            await rest.close()

    async def version(self) -> str:
        """Return the cluster's Kubernetes version, `v1.34.1-eks-…`; also the way to see whether it answers.

        Raises:
            KubernetesError: As every call.
        """
        return str((await self.request("GET", "/version")).get("gitVersion", ""))

    async def get(self, ref: Ref) -> dict[str, Any] | None:
        """Return an object, or None if there is none, or no such kind.

        Raises:
            KubernetesError: As every call.
        """
        try:
            return await self.request("GET", await self.path(ref))
        except NotFound:
            return None

    async def list(
        self, api_version: str, kind: str, *, namespace: str = "", labels: str = "", fields: str = "", limit: int = 5000
    ) -> list[dict[str, Any]]:
        """Return objects of a kind, page by page; none if there is no such kind.

        Args:
            api_version: `apps/v1`.
            kind: `Deployment`.
            namespace: "" for all.
            labels: A label selector.
            fields: A field selector.
            limit: How many at most.

        Raises:
            KubernetesError: As every call.
        """
        query = {"limit": str(min(limit, PAGE)), "labelSelector": labels, "fieldSelector": fields}
        found: list[dict[str, Any]] = []
        seen: set[str] = set()
        try:
            path = await self.path(Ref(kind, namespace, "", api_version))
            while True:
                page = await self.request("GET", path, query={key: value for key, value in query.items() if value})
                # Items of a list say neither what they are nor in which version.
                found.extend({"apiVersion": api_version, "kind": kind, **item} for item in entries(page.get("items")))
                more = str(mapping(page.get("metadata")).get("continue") or "")
                if not more or len(found) >= limit:
                    return found[:limit]
                if more in seen:
                    raise ResponseUnreadable("the same page came twice", call=f"GET {path}", status=200)
                seen.add(more)
                query["continue"] = more
        except NotFound:
            return []

    async def apply(
        self, item: Json, *, manager: str = FIELD_MANAGER, force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Apply an object server-side, and return what it then is.

        Args:
            item: The fields that the manager cares for.
            manager: Who they belong to.
            force: Whether fields of other managers are taken over.
            dry_run: Whether nothing is kept.

        Raises:
            Conflict: Another manager has a field, and `force` is not set.
            KubernetesError: As every call.
        """
        query = {"fieldManager": manager, "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        path = await self.path(ref_of(item))
        return await self.request("PATCH", path, query=query, body=item, content_type="application/apply-patch+yaml")

    async def replace(self, item: Json) -> dict[str, Any]:
        """Replace an object; with a `resourceVersion` only if it is still that one.

        Raises:
            Conflict: Somebody changed it meanwhile.
            KubernetesError: As every call.
        """
        return await self.request("PUT", await self.path(ref_of(item)), body=item)

    async def delete(self, ref: Ref, *, foreground: bool = False) -> bool:
        """Delete an object; return whether there was one. It may take time to be gone.

        Args:
            ref: Which.
            foreground: Whether what it owns goes first.

        Raises:
            KubernetesError: As every call.
        """
        body = {"propagationPolicy": "Foreground" if foreground else "Background"}
        try:
            await self.request("DELETE", await self.path(ref), body=body)
        except NotFound:
            return False
        return True

    async def path(self, ref: Ref) -> str:
        """Return the path of an object, or of all of its kind if it has no name.

        Raises:
            KindNotAvailable: The cluster doesn't know the kind.
            KubernetesError: As every call.
        """
        plural, namespaced = await self._kind(ref.api_version, ref.kind)
        within = f"/namespaces/{quote(ref.namespace, safe='')}" if namespaced and ref.namespace else ""
        name = f"/{quote(ref.name, safe=':')}" if ref.name else ""
        return f"{_root(ref.api_version)}{within}/{plural}{name}"

    async def is_namespaced(self, ref: Ref) -> bool:
        """Tell whether objects of the kind are in namespaces.

        Raises:
            KindNotAvailable: The cluster doesn't know the kind.
            KubernetesError: As every call.
        """
        return (await self._kind(ref.api_version, ref.kind))[1]

    async def request(
        self,
        method: Method,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Send one request and return the object that it answers; a token that was refused is renewed once.

        Args:
            method: HTTP's.
            path: With a leading slash.
            query: Of the URL.
            body: A JSON value.
            content_type: Of the body.

        Raises:
            Unreachable: No answer, not in time, or 429 or 5xx.
            KubernetesError: The subclass for another answer that isn't 2xx.
        """
        token = await self._bearer()
        try:
            return await self._send(method, path, query, body, content_type, token)
        except Unauthorized:
            newer = await self._bearer(refused=token)
            if newer == token:
                raise
            return await self._send(method, path, query, body, content_type, newer)

    async def _send(
        self, method: Method, path: str, query: Mapping[str, str] | None, body: Any, content_type: str, token: str
    ) -> dict[str, Any]:
        import aiohttp

        call = f"{method} {path}"
        rest = await self._client()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
        headers["Accept"] = "application/json"
        try:
            async with asyncio.timeout(self._seconds):
                response = await rest.request(
                    method,
                    self.connection.endpoint.rstrip("/") + path,
                    query_params=dict(query or {}),
                    headers=headers,
                    body=body,
                    _preload_content=False,  # else the library logs bodies, Secrets too
                    _request_timeout=aiohttp.ClientTimeout(total=self._seconds, connect=CONNECT_SECONDS),
                )
                content = await _content(response, call)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(str(error) or "no answer in time", call=call) from error
        succeeded = 200 <= response.status <= 299
        try:
            answer = await _object(content)
        except UnreadableError as error:
            if succeeded:
                raise ResponseUnreadable(str(error), call=call, status=response.status) from error
            answer = {}
        if succeeded:
            return answer
        message = str(answer.get("message") or content[:300].decode(errors="replace") or response.reason)
        raise error_for(response.status, message, reason=str(answer.get("reason") or ""), call=call)

    async def _client(self) -> Any:
        async with self._opening:
            if self._rest is None:
                configuration = await asyncio.to_thread(_configuration, self._connections)
                with contextlib.ExitStack() as stack:
                    if self.connection.certificate_authority:
                        configuration.ssl_ca_cert = stack.enter_context(_file(self.connection.certificate_authority))
                    from kubernetes_asyncio.client.rest import RESTClientObject

                    self._rest = RESTClientObject(configuration)
            return self._rest

    async def _bearer(self, *, refused: str = "") -> str:
        """Return a token; another one than the refused, unless that was made just now: another would be as good."""
        async with self._renewing:
            age = time.monotonic() - self._token_made_at
            if not self._token or age >= TOKEN_SECONDS or (self._token == refused and age > 1):
                self._token = await self.connection.token()
                self._token_made_at = time.monotonic()
            return self._token

    async def _kind(self, api_version: str, kind: str) -> tuple[str, bool]:
        known = self._kinds.get(api_version)
        if known is None or (kind not in known.by_name and time.monotonic() > known.learned_at + KINDS_SECONDS):
            try:
                answer = await self.request("GET", _root(api_version))
            except NotFound as error:
                raise _no_kind(api_version, kind, error.call) from error
            found = {
                str(entry.get("kind")): (str(entry.get("name")), bool(entry.get("namespaced")))
                for entry in entries(answer.get("resources"))
                if "/" not in str(entry.get("name"))
            }
            known = self._kinds[api_version] = _Kinds(found, time.monotonic())
        try:
            return known.by_name[kind]
        except KeyError:
            raise _no_kind(api_version, kind, f"GET {_root(api_version)}") from None


@dataclass(frozen=True, slots=True)
class _Kinds:
    """The kinds of one API group version: plural name and whether namespaced, by kind."""

    by_name: Mapping[str, tuple[str, bool]]
    learned_at: float


def _no_kind(api_version: str, kind: str, call: str) -> KindNotAvailable:
    return KindNotAvailable(f"the cluster has no kind {kind} in {api_version}", call=call, status=404)


def _root(api_version: str) -> str:
    group = "/".join(quote(part, safe="") for part in api_version.split("/", 1))
    return f"/apis/{group}" if "/" in api_version else f"/api/{group}"


def _configuration(connections: int) -> Any:
    """Import kubernetes-asyncio (2 to 7 s, 100 MB; hence in a thread) and configure it."""
    from kubernetes_asyncio.client import Configuration

    configuration = Configuration()
    configuration.connection_pool_maxsize = connections
    configuration.disable_strict_ssl_verification = True  # EKS's CA lacks what Python 3.13 asks of one
    return configuration


@contextlib.contextmanager
def _file(certificate_authority: str) -> Any:
    """The library takes a CA from a file only, which it reads at once."""
    with tempfile.TemporaryDirectory(prefix="slipway-ca-") as folder:
        path = Path(folder) / "ca.crt"
        path.write_bytes(base64.b64decode(certificate_authority))
        yield str(path)


async def _content(response: Any, call: str) -> bytes:
    content = bytearray()
    try:
        async for chunk in response.content.iter_chunked(1 << 16):
            content += chunk
            if len(content) > RESPONSE_BYTES:
                raise ResponseTooLarge(f"the answer has more than {RESPONSE_BYTES} bytes", call=call)
    finally:
        response.release()
    return bytes(content)


async def _object(content: bytes) -> dict[str, Any]:
    if not content:
        return {}
    subject = "the answer"
    small = len(content) <= SMALL_BYTES
    value = fetched_json(content, subject) if small else await asyncio.to_thread(fetched_json, content, subject)
    return value if isinstance(value, dict) else {}
