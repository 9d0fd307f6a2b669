"""Which process a thing on disk belongs to: an id alone is used again, and means another one in another container."""

import platform
import re
import subprocess
import uuid
from pathlib import Path

_ALONE = uuid.uuid4().hex


def namespace() -> str:
    """Return what tells apart the sets of processes whose ids can be compared: of this boot, of this container.

    A word of letters, digits and `_`; containers of one machine differ in the second half, machines in the first. A
    process that cannot see itself in /proc has one for itself alone.
    """
    if platform.system() != "Linux":
        return re.sub(r"\W", "_", platform.node())
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{boot}_{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return _ALONE


def born(number: int) -> str:
    """Return when a process began, which tells it from a later one with the same id; empty if it has ended.

    A word of letters, digits and `_` that is to be compared with others of the same process id and namespace.
    """
    if platform.system() == "Linux":
        try:
            state, *fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if state == "Z" else fields[18]
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(number)], capture_output=True, text=True, check=False)
    return re.sub(r"\W", "_", found.stdout.strip())
