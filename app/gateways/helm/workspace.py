"""A private home for one job: helm's own folders, a kubeconfig, and the token in it, which is kept fresh.

Everything is in one folder that only this user can enter, and is gone with the job. What a killed process left is
removed by the next one that starts (`sweep`): a token lives for minutes, a registry's credentials may live longer. A
folder's name says whose it is: of a process in another container, which may share the volume, nobody can tell here
whether it lives, so its folder is only removed once nothing has been written to it for a day.
"""

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.processes import born, namespace
from app.gateways.kubernetes.connection import Connection

TOKEN_SECONDS = 600.0
"""How often a token is written anew. EKS takes one for 15 minutes; client-go reads the file again every minute."""
RETRY_SECONDS = 20.0
"""How soon it is tried again if no new token could be had."""

OLD_SECONDS = 86_400.0
"""How long nothing was written to a folder that nobody has any more. One in use gets a token every few minutes."""

_PREFIX = "slipway-helm-"
_OWNER = re.compile(re.escape(_PREFIX) + r"(?P<namespace>\w+)-(?P<pid>\d+)-(?P<born>\w+)-")
_INHERITED = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
"""How the operator lets this machine reach the world; nothing else of our environment reaches helm."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of one job.

    Attributes:
        folder: Only this user can enter it.
        kubeconfig: None when the job needs no cluster.
    """

    folder: Path
    kubeconfig: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """All of the environment of a helm process."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return inherited | {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "HELM_CACHE_HOME": str(self.folder / "cache"),
            "HELM_CONFIG_HOME": str(self.folder / "config"),
            "HELM_DATA_HOME": str(self.folder / "data"),
            "KUBECONFIG": str(self.kubeconfig or self.folder / "no-kubeconfig"),
            "GOMAXPROCS": "2",
        }


@asynccontextmanager
async def workspace(root: Path | None = None, connection: Connection | None = None) -> AsyncIterator[Workspace]:
    """Make a private folder, and remove it in the end.

    Args:
        root: Where; the system's folder for temporary files by default.
        connection: The cluster that the job is about. Its token is renewed for as long as the block runs.

    Raises:
        Exception: What the connection's token raises, if there is no first one.
    """
    token = await connection.token() if connection else ""
    folder = await asyncio.to_thread(private_folder, root)
    renewal: asyncio.Task[None] | None = None
    try:
        made = await asyncio.to_thread(_fill, folder, connection, token)
        if connection is not None:
            renewal = asyncio.create_task(_renew(connection, folder / "token"), name="helm-token")
        yield made
    finally:
        if renewal is not None:
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewal
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


def private_folder(root: Path | None = None) -> Path:
    """Make a folder that only this user can enter, and that `sweep` removes if this process is killed."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{namespace()}-{os.getpid()}-{born(os.getpid())}-", dir=root))


def sweep(root: Path | None = None) -> int:
    """Remove the folders of processes that are gone, see the module; return how many there were."""
    base, here, count = root or Path(tempfile.gettempdir()), namespace(), 0
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # another process sweeps, too
            if folder.stat().st_uid == os.getuid() and _is_left(folder, here):
                shutil.rmtree(folder, ignore_errors=True)
                count += 1
    return count


def _is_left(folder: Path, here: str) -> bool:
    owner = _OWNER.match(folder.name)
    if owner is not None and owner["namespace"] == here:
        return born(int(owner["pid"])) != owner["born"]
    return time.time() - folder.stat().st_mtime > OLD_SECONDS


def kubeconfig_of(connection: Connection, token_file: Path) -> dict[str, object]:
    """Return a kubeconfig whose token is read from a file, so that it can be renewed while helm waits."""
    cluster: dict[str, object] = {"server": connection.endpoint}
    if connection.certificate_authority:
        cluster["certificate-authority-data"] = connection.certificate_authority
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "slipway", "user": {"tokenFile": str(token_file)}}],
        "contexts": [{"name": "release", "context": {"cluster": "cluster", "user": "slipway"}}],
        "current-context": "release",
    }


def _fill(folder: Path, connection: Connection | None, token: str) -> Workspace:
    for name in ("cache", "config", "data", "charts"):
        (folder / name).mkdir(mode=0o700)
    if connection is None:
        return Workspace(folder)
    write_private(folder / "token", token)
    kubeconfig = folder / "kubeconfig"
    write_private(kubeconfig, json.dumps(kubeconfig_of(connection, folder / "token")))
    return Workspace(folder, kubeconfig)


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read; readers see the old one or the new one, never half of it."""
    new = path.with_name(path.name + ".new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(path)


async def _renew(connection: Connection, path: Path) -> None:
    delay = TOKEN_SECONDS
    while True:
        await asyncio.sleep(delay)
        try:
            write_private(path, await connection.token())
        except Exception as error:
            # The old one is good for five minutes more; what then fails is helm's own call, with its own message.
            logger.warning("No new token for %s: %s", connection.endpoint, error)
            delay = RETRY_SECONDS
        else:
            delay = TOKEN_SECONDS
