"""The files of a SQLite database: for this user alone.

SQLite makes the database's file for everybody whom the umask allows, and the files beside it (WAL, shared memory,
journal) with the mode of that one. So it is made before SQLite finds it missing.
"""

import contextlib
import os
from pathlib import Path

from app.core.private_files import make_folder, sqlite_file, tighten

_BESIDE = ("", "-wal", "-shm", "-journal")


def prepare(url: str) -> None:
    """Make folder and file of a SQLite database if they are missing; take those that are there away from others.

    A folder that is there stays as it is: it may be everybody's (`/tmp`), and the files in it are protected themselves.

    Raises:
        OSError: they cannot be made.
    """
    path = sqlite_file(url)
    if path is None:
        return
    make_folder(path.parent)
    # Never opened if it is there: closing it would give up the locks that this process holds on it (fcntl).
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    real = path.resolve()
    for suffix in _BESIDE:
        tighten(Path(f"{real}{suffix}"), "what Slipway knows")
