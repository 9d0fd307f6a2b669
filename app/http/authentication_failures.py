"""Tells the operator of keys that nobody has: each counted, and a line in the log for each address and minute.

The first one of an address is told at once, what follows with its number when the minute is over. Never a key, nor a
part of one: it may be a right one with a typing error.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable

from prometheus_client import Counter

from app.core.metrics import REGISTRY

log = logging.getLogger(__name__)

WINDOW_SECONDS = 60.0
MOST = 256
"""Addresses that are told apart at a time; whoever comes beyond is counted together."""

OTHERS = "other addresses"

FAILURES = Counter(
    "slipway_authentication_failures",
    "Requests that were refused because they had no API key (missing), or one that nobody has (wrong).",
    ("reason",),
    registry=REGISTRY,
)
for _reason in ("missing", "wrong"):
    FAILURES.labels(_reason)  # zero from the start, so that the first one is an increase

Schedule = Callable[[float, Callable[[], None]], object]
"""Calls back after some seconds."""


class AuthenticationFailures:
    """What is known of the wrong keys of the present minute."""

    def __init__(self, schedule: Schedule | None = None) -> None:
        self._schedule = schedule
        self._untold: dict[str, int] = {}

    def missing(self) -> None:
        """Count a request without a key: browsers and probes send those, nobody is told."""
        FAILURES.labels("missing").inc()

    def wrong(self, host: str | None) -> None:
        """Count a request with a wrong key, and tell of it now or when the minute is over."""
        FAILURES.labels("wrong").inc()
        address = _whose(host)
        if address not in self._untold and len(self._untold) >= MOST:
            address = OTHERS
        if address in self._untold:
            self._untold[address] += 1
            return
        self._tell(address, 1)
        self._wait(address)

    def close(self) -> None:
        """Tell what is not told yet: the process ends."""
        untold, self._untold = self._untold, {}
        for address, count in untold.items():
            if count:
                self._tell(address, count)

    def _wait(self, address: str) -> None:
        self._untold[address] = 0
        schedule = self._schedule or asyncio.get_running_loop().call_later
        schedule(WINDOW_SECONDS, lambda: self._over(address))

    def _over(self, address: str) -> None:
        if count := self._untold.pop(address, 0):
            self._tell(address, count)
            self._wait(address)

    def _tell(self, address: str, count: int) -> None:
        requests = "a request" if count == 1 else f"{count} requests"
        log.warning("%s with a wrong API key from %s", requests, address, extra={"client": address, "failures": count})


def _whose(host: str | None) -> str:
    """Return what is counted together: an IPv4 address, or the /64 that one IPv6 host may choose its own from."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return "an unknown address"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
