"""A TCP proxy that can fall silent: what goes through it is neither answered nor refused, as when a node is lost."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Proxy:
    """Passes bytes to a port of this machine, on a thread for each direction of each connection."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._silent: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> int:
        """Pass nothing more on the connections that are open now; return how many ends they have."""
        with self._lock:
            self._silent |= self._open
            return len(self._silent)

    def close(self) -> None:
        self._listener.close()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                with self._lock:
                    self._open |= {client, server}
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source in self._silent:
                    return  # both ends stay open: nobody hears that the other one is gone
                target.sendall(data)
        if source not in self._silent:
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxy(port: int) -> Iterator[Proxy]:
    """Run a proxy to a port of this machine."""
    made = Proxy(port)
    try:
        yield made
    finally:
        made.close()
