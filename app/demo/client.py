"""Slipway as its callers know it: HTTP and nothing else."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from app.demo.facts import UnexpectedError
from app.demo.screen import Screen

TIMEOUT_SECONDS = 30.0
LOOK_SECONDS = 0.1


class SlipwayClient:
    """Sends requests, and shows those that are part of the story."""

    def __init__(self, url: str, key: str, screen: Screen) -> None:
        self.url = url
        self.key = key
        self._screen = screen
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)

    def read(self, path: str, **query: str | int) -> dict[str, Any]:
        """GET a JSON document without a word."""
        document: dict[str, Any] = self._answered(self._http.get(path, params=query), 200).json()
        return document

    def until(self, path: str, holds: Callable[[dict[str, Any]], bool], **query: Any) -> dict[str, Any]:
        """GET a JSON document again and again, without a word, until something holds of it.

        Raises:
            UnexpectedError: it does not within TIMEOUT_SECONDS.
        """
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not holds(document := self.read(path, **query)):
            if time.monotonic() > deadline:
                raise UnexpectedError(f"GET {path} comes to its end", expected="an end", found=document)
            time.sleep(LOOK_SECONDS)
        return document

    def show(self, path: str) -> httpx.Response:
        """GET something that is part of the story."""
        self._screen.request("GET", path)
        return self._answered(self._http.get(path), 200)

    def change(self, method: str, path: str, note: str, **body: Any) -> dict[str, Any]:
        """Ask for a change and return the operation that the 202 tells of.

        Args:
            method: HTTP method.
            path: Path.
            note: What the body is, for the reader.
            body: As httpx takes it: `json`, or `content` with `headers`.
        """
        self._screen.request(method, path, note)
        began = time.monotonic()
        answer = self._answered(self._http.request(method, path, **body), 202)
        operation: dict[str, Any] = answer.json()
        took = (time.monotonic() - began) * 1000
        self._screen.answer(f"202  Location: {answer.headers['location']}   ({took:.0f} ms)")
        return operation

    def ask(self, method: str, path: str, note: str, *, status: int = 200, **body: Any) -> dict[str, Any]:
        """Ask for something that is done at once and return the answer; `note` and `body` as for `change`."""
        self._screen.request(method, path, note)
        document: dict[str, Any] = self._answered(self._http.request(method, path, **body), status).json()
        return document

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _answered(self, answer: httpx.Response, status: int) -> httpx.Response:
        if answer.status_code != status:
            request = answer.request
            fact = f"{request.method} {request.url.path} is answered with {status}"
            raise UnexpectedError(fact, expected=status, found=f"{answer.status_code} {answer.text}")
        return answer
