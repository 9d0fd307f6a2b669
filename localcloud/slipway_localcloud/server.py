"""Start and end of the process: the port, the line that says it is ready, and signals."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path

from . import upstream

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Asks the kernel (Linux) to end this process when its parent ends."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        sys.exit(f"the local cloud can't listen on port {port}: {error.strerror}")
    listener.listen(1024)
    return listener


def up(port: int, directory: Path, kubernetes: str = "auto") -> None:
    """Runs the local cloud until SIGTERM or SIGINT. Port 0 means any that is free; `kubernetes` is one of its MODES."""
    directory.mkdir(parents=True, exist_ok=True)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    listener = _listen(port)
    port = listener.getsockname()[1]
    upstream.configure(port, str(directory))
    ministack = upstream.load()
    logging.basicConfig(filename=directory / "localcloud.log", level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    from .kubernetes.binaries import NoBinaries
    from .kubernetes.planes import PLANES

    try:
        PLANES.configure(kubernetes, directory / "kubernetes", port)
    except NoBinaries as error:
        sys.exit(str(error))
    asyncio.run(_serve(ministack, listener, port))


async def _serve(ministack: object, listener: socket.socket, port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from .gateway import Gateway
    from .kubernetes.planes import PLANES

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, _stop_soon, stop)

    def ready() -> None:
        environment = upstream.client_environment(port)
        print(json.dumps({"endpoint": environment["AWS_ENDPOINT_URL"], "env": environment}), flush=True)

    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.2
    config.shutdown_timeout = 0.5
    config.backlog = 1024
    # Pollers use one connection for long: the default would close it under them after a thousand calls.
    config.keep_alive_max_requests = 1_000_000
    config.accesslog = None
    config.errorlog = None
    try:
        await serve(Gateway(ministack, ready), config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]
    finally:
        await PLANES.stop()


def _stop_soon(stop: asyncio.Event) -> None:
    """Stops, by force if open connections would hold it up: the state is in memory and ends anyway."""
    stop.set()
    timer = threading.Timer(2.0, os._exit, (0,))
    timer.daemon = True
    timer.start()
