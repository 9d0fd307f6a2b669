"""Executes a program that can open TCP connections to some ports alone; run as a script, between `setpriv` and helm.

Go's HTTP client speaks to loopback addresses without a proxy, so a redirect to https://localhost would go around the
gate. Landlock (Linux 6.7 and later, without root) lets the kernel refuse that. Where it is missing the program runs as
it would without this, or not at all.

    python confine.py required|preferred PORT[,PORT]...|none PROGRAM [ARGUMENT]...
"""

import ctypes
import os
import sys
from collections.abc import Iterable

# include/uapi/linux/landlock.h, prctl.h; the numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_NET_PORT = 2
_CONNECT_TCP = 1 << 1
_ABI_WITH_PORTS = 4
_NO_NEW_PRIVILEGES = 38

UNCONFINED = 125
"""Exit code of a program that was not started, because it could not be confined."""


def is_possible() -> bool:
    """Tell whether the kernel has Landlock, on, and new enough to know of ports."""
    if sys.platform != "linux":
        return False
    version: int = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    return version >= _ABI_WITH_PORTS


def allow_only(ports: Iterable[int]) -> bool:
    """Let this thread, and what it executes, connect by TCP to these ports alone; tell whether that holds now."""
    if not is_possible():
        return False
    libc = ctypes.CDLL(None)
    handled = (ctypes.c_uint64 * 2)(0, _CONNECT_TCP)  # handled_access_fs, handled_access_net
    ruleset = libc.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(ctypes.sizeof(handled)), 0)
    if ruleset < 0:
        return False
    rules = [(ctypes.c_uint64 * 2)(_CONNECT_TCP, port) for port in ports]  # allowed_access, port
    done = (
        all(libc.syscall(_ADD_RULE, ruleset, _RULE_NET_PORT, rule, 0) == 0 for rule in rules)
        and libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
        and libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    )
    os.close(ruleset)
    return bool(done)


if __name__ == "__main__":
    mode, wanted = sys.argv[1:3]
    if not allow_only(int(port) for port in wanted.split(",") if port != "none") and mode == "required":
        sys.exit(UNCONFINED)
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 - the same chain as `process.py`, no shell
