"""Executes a program that can open TCP connections to one port alone; run as a script, between `setpriv` and helm.

Go's HTTP client speaks to loopback addresses without a proxy, so a redirect to https://localhost would go around the
gate. Landlock (Linux 6.7 and later, without root) lets the kernel refuse that. Where it is missing the program runs as
it would without this.

    python confine.py PORT PROGRAM [ARGUMENT]...
"""

import ctypes
import os
import sys

# include/uapi/linux/landlock.h, prctl.h; the numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_NET_PORT = 2
_CONNECT_TCP = 1 << 1
_ABI_WITH_PORTS = 4
_NO_NEW_PRIVILEGES = 38


def is_possible() -> bool:
    """Tell whether the kernel has Landlock, on, and new enough to know of ports."""
    if sys.platform != "linux":
        return False
    version: int = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    return version >= _ABI_WITH_PORTS


def allow_only(port: int) -> bool:
    """Let this thread, and what it executes, connect by TCP to `port` alone; tell whether that holds now."""
    if not is_possible():
        return False
    libc = ctypes.CDLL(None)
    handled = (ctypes.c_uint64 * 2)(0, _CONNECT_TCP)  # handled_access_fs, handled_access_net
    ruleset = libc.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(ctypes.sizeof(handled)), 0)
    if ruleset < 0:
        return False
    rule = (ctypes.c_uint64 * 2)(_CONNECT_TCP, port)  # allowed_access, port
    done = (
        libc.syscall(_ADD_RULE, ruleset, _RULE_NET_PORT, rule, 0) == 0
        and libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
        and libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    )
    os.close(ruleset)
    return bool(done)


if __name__ == "__main__":
    allow_only(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the same chain as `process.py`, no shell
