"""A small client of a plane's API server, with the administrator's certificate. It blocks: use it in a thread."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class ApiError(Exception):
    """The API server refused, with this HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """One connection, kept open."""

    def __init__(self, folder: Path, port: int, timeout: float = 10.0) -> None:
        self._context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
        self._timeout = timeout
        self._port = port
        self._connection: http.client.HTTPSConnection | None = None

    def ready(self) -> bool:
        """Whether the API server takes requests, its default roles included."""
        try:
            self.request("GET", "/readyz")
        except (OSError, http.client.HTTPException, ApiError):
            self.close()
            return False
        return True

    def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """The parsed answer (text, if it is not JSON). Raises ApiError, OSError or HTTPException."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", **({"Content-Type": kind} if data else {})}
        fresh = self._connection is None
        try:
            return self._once(method, path, data, headers)
        except (ConnectionError, http.client.HTTPException):
            self.close()
            if fresh:
                raise
        # It was an old connection that the server had closed.
        return self._once(method, path, data, headers)

    def _once(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Any:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", self._port, timeout=self._timeout, context=self._context
            )
        self._connection.request(method, path, data, headers)
        response = self._connection.getresponse()
        text = response.read()
        answer: Any = json.loads(text) if "json" in response.headers.get("Content-Type", "") else text.decode()
        if response.status >= 400:
            raise ApiError(response.status, answer.get("message", "") if isinstance(answer, dict) else str(answer))
        return answer

    def close(self) -> None:
        """Closes the connection; the next request opens another."""
        if self._connection:
            self._connection.close()
            self._connection = None
