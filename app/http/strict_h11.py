"""HTTP/1.1 as RFC 9112 wants a server to read it, where h11 is lenient.

Two servers that read one request differently can be made to see two requests in it. So what leaves room for that is
refused: a length beside a transfer coding (6.3), a line that ends without CR or a CR within one (2.2), a folded line
(5.2), a second `Host` or none (3.2; h11 does it).
"""

import re
from http import HTTPStatus

import h11

MAX_HEAD_BYTES = 32 * 1024

_END = re.compile(rb"\n\r?\n")
_LOOSE_LINE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_FOLDED = re.compile(rb"\n[ \t]")
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_ABSOLUTE = re.compile(rb"https?://[^/?]*", re.IGNORECASE)


class StrictConnection(h11.Connection):
    """A server's connection; see the module.

    Attributes:
        refused: Status and words of what the peer broke, or None; uvicorn keeps neither.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self.refused: tuple[HTTPStatus, str] | None = None

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event.

        Raises:
            h11.RemoteProtocolError: the peer breaks the protocol.
        """
        try:
            return self._next_event()
        except h11.RemoteProtocolError as error:
            self.refused = HTTPStatus(error.error_status_hint), f"This is not HTTP/1.1: {error}."
            raise

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if self.their_state is not h11.IDLE:
            return super().next_event()
        received = self.trailing_data[0]
        end = _END.search(received)
        if (end.start() if end else len(received)) > MAX_HEAD_BYTES:
            raise h11.RemoteProtocolError(f"the head is over {MAX_HEAD_BYTES} bytes", error_status_hint=431)
        if end:
            _check_lines(received[: end.end()])
        event = super().next_event()
        if not isinstance(event, h11.Request):
            return event
        _check(event)
        return _in_origin_form(event)


def _check_lines(head: bytes) -> None:
    if _LOOSE_LINE.search(head):
        raise h11.RemoteProtocolError("a line must end with CRLF")
    if _FOLDED.search(head):
        raise h11.RemoteProtocolError("a header must stand on one line")


def _check(request: h11.Request) -> None:
    names = [name for name, _ in request.headers]
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version < b"1.1"):
        raise h11.RemoteProtocolError("Transfer-Encoding must not stand beside Content-Length, nor in HTTP/1.0")
    for name, value in request.headers:
        if name == b"host" and not _HOST.fullmatch(value):
            raise h11.RemoteProtocolError("Host is not a host")


def _in_origin_form(request: h11.Request) -> h11.Request:
    """Return the request with a path for its target, where it names the whole URL (RFC 9112, 3.2.2)."""
    absolute = _ABSOLUTE.match(request.target)
    if absolute is None:
        return request
    rest = request.target[absolute.end() :]
    target = rest if rest.startswith(b"/") else b"/" + rest
    return h11.Request(
        method=request.method, target=target, headers=list(request.headers), http_version=request.http_version
    )
