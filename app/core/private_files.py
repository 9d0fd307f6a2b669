"""Files that hold secrets: this user alone may read them, from the moment that they are there."""

import contextlib
import logging
import os
import stat
import tempfile
from pathlib import Path

from sqlalchemy.engine import make_url

log = logging.getLogger(__name__)

_OTHERS = 0o077


def sqlite_file(database_url: str) -> Path | None:
    """Return the file of a SQLite database; None for one in memory, one that is named by a URI, and PostgreSQL."""
    parsed = make_url(database_url)
    name = parsed.database
    if parsed.get_backend_name() != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name).expanduser()


def make_folder(path: Path) -> None:
    """Make a folder, for this user alone, unless it is there: one that was there may be meant for others, too.

    Raises:
        OSError: it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_file(path: Path, content: bytes) -> None:
    """Make a file, whole or not at all; one that is there, or that another process makes meanwhile, stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


def is_ours(path: Path) -> bool:
    """Tell whether nobody else can have put the file there: it is a file of this user, and no link."""
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def tighten(path: Path, what: str) -> None:
    """Take a file away from others if they may read or write it; warn where that is not ours to do.

    Args:
        path: The file; nothing is done if there is none.
        what: What it holds, for the log.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:  # whoever needs it says so
        return
    if not mode & _OTHERS:
        return
    try:
        path.chmod(mode & ~_OTHERS)
    except OSError as error:
        log.warning("%s holds %s, others can read it (mode %04o), and that stays so: %s", path, what, mode, error)
    else:
        log.warning(
            "%s holds %s and could be read by others (mode %04o): it is %04o now", path, what, mode, mode & ~_OTHERS
        )
