"""The running service, on SQLite, and who pushes to its registries."""

import asyncio
import subprocess
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import LocalCloud
from integration.running import REGION, Slipway, running

from app.cloudformation import driver
from app.demo import oci
from app.gateways.helm import binary


@pytest.fixture
async def slipway(
    sqlite_url: str, aws_environment: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Slipway]:
    monkeypatch.setattr(driver, "CHANGE_SET_SECONDS", 0.1)  # AWS takes seconds, the local cloud none
    async with running(sqlite_url, aws_environment) as service:
        yield service


class Pusher:
    """Pushes images to one registry, with the credentials that Slipway gives out."""

    def __init__(self, folder: Path, credentials: dict[str, Any]) -> None:
        self._folder = folder
        self.credentials = credentials
        self._count = 0

    def image(self, tag: str, *, repository_uri: str | None = None, pushed_at: datetime | None = None) -> str:
        """Push an image that no other is like; return its digest."""
        self._count += 1
        folder = self._folder / f"layout-{self._count}"
        annotations = {"localcloud.pushed-at": pushed_at.isoformat()} if pushed_at else {}
        digest = oci.write_layout(folder, {"etc/serial": uuid.uuid4().bytes}, tag, annotations)
        oci.push_layout(
            folder,
            repository_uri or self.credentials["repository_uri"],
            self.credentials["username"],
            self.credentials["password"],
            plain_http=self.credentials["plain_http"],
        )
        return digest


async def helm_push(credentials: dict[str, Any], archive: Path, folder: Path) -> None:
    """Log helm in by the line that Slipway gives, and push a packaged chart to where its name belongs."""
    helm = str(await asyncio.to_thread(binary.locate))
    home = {f"HELM_{name}_HOME": str(folder / name) for name in ("CONFIG", "CACHE", "DATA")}
    parent, password = credentials["repository_uri"].rpartition("/")[0], credentials["password"]
    for command in (
        [helm, *credentials["helm_registry_login"].split()[1:]],
        [helm, "push", str(archive), f"oci://{parent}", "--plain-http"],
    ):
        ended = await asyncio.to_thread(
            subprocess.run,
            command,
            input=password,
            text=True,
            capture_output=True,
            env=home,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr


async def pusher_of(slipway: Slipway, folder: Path, registry: str) -> Pusher:
    """Return who pushes to a registry."""
    answer = await slipway.client.post(f"/registries/{registry}/credentials")
    assert answer.status_code == 200, answer.text
    return Pusher(folder / registry, answer.json())


async def made(slipway: Slipway, name: str, **spec: Any) -> dict[str, Any]:
    """Return a registry once it is there."""
    await slipway.do("POST", "/registries", {"name": name, "region": REGION, **spec})
    [registry] = (await slipway.get("/registries", name=name))["items"]
    return dict(registry)
