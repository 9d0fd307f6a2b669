"""Which ports each helm may connect to, and what is done where the kernel cannot see to it.

What fetches gets to its gate alone, what renders to nothing, and what works on a cluster to the ports of its API
server, of the operator's proxies and of name servers.
"""

import os
import sys
from collections.abc import Collection
from typing import Literal
from urllib.parse import urlsplit

from prometheus_client import Gauge

from app.core.metrics import REGISTRY
from app.gateways.helm import confine

Mode = Literal["required", "preferred"]
"""`required` refuses to fetch where helm cannot be confined; `preferred` fetches all the same."""

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
WARNING = (
    "helm cannot be confined: this kernel has no Landlock that knows of ports (Linux 6.7 or newer; the seccomp profile "
    "of a container may hide it). A chart's redirect, token realm or index may make helm send a GET to a port of this "
    "machine itself; SLIPWAY_HELM_CONFINEMENT=required refuses to fetch instead."
)

_SCRIPT = confine.__file__
_DEFAULT_PORTS = {"https": 443, "http": 80, "socks5": 1080, "socks5h": 1080}
_NAME_SERVER = 53

Gauge(
    "slipway_helm_confined",
    "Whether the kernel keeps helm from connecting past its gate (1) or cannot (0).",
    registry=REGISTRY,
).set_function(lambda: float(problem() is None))


def problem() -> str | None:
    """Return why helm cannot be confined on this machine; None if it can."""
    return None if confine.is_possible() else WARNING


def chain(mode: Mode, ports: Collection[int]) -> tuple[str, ...]:
    """Return what stands before a program that may connect by TCP to these ports alone; () where there is no Landlock.

    Args:
        mode: With `required` the program is not executed where it cannot be confined.
        ports: None at all if it is empty.
    """
    if sys.platform != "linux":
        return ()
    return (sys.executable, "-I", "-S", _SCRIPT, mode, ",".join(map(str, sorted(ports))) or "none")


def ports_to(endpoint: str) -> frozenset[int]:
    """Return the ports on the way to an API server.

    Args:
        endpoint: `https://…`.
    """
    proxies = (os.environ.get(name, "") for name in PROXIES)
    return frozenset({_port(endpoint), _NAME_SERVER, *(_port(proxy) for proxy in proxies if proxy)})


def _port(url: str) -> int:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        return parts.port or _DEFAULT_PORTS.get(parts.scheme, 443)
    except ValueError:
        return 443
