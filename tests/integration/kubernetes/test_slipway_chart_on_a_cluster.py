"""The chart that Slipway ships as, on a real API server: what only a cluster can tell."""

import asyncio
import base64
from pathlib import Path

from unit.charts.rendering import ROOT, helm

from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.connection import Connection
from app.gateways.kubernetes.objects import Ref


async def test_the_first_key_stays_through_upgrades(
    connection: Connection, kubernetes: Kubernetes, namespace: str, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_bytes(base64.b64decode(connection.certificate_authority))
    where = ["--kube-apiserver", connection.endpoint, "--kube-ca-file", str(authority), "--namespace", namespace]

    async def run(*arguments: str) -> str:
        token = ["--kube-token", await connection.token()]
        done = await asyncio.to_thread(helm, *arguments, *where, *token)
        assert done.returncode == 0, done.stderr
        secret = await kubernetes.get(Ref("Secret", namespace, "slipway-admin-key"))
        return str(secret["data"]["admin-key"]) if secret else ""

    chart = str(ROOT / "charts" / "slipway")
    first = await run("install", "slipway", chart)
    assert len(base64.b64decode(first)) == 48
    assert await run("upgrade", "slipway", chart, "--set", "settings.log_level=DEBUG") == first
    given = f"secrets.adminKey={'0123456789abcdef' * 2}-given"
    assert await run("upgrade", "slipway", chart, "--set", given) == ""
    assert await run("upgrade", "slipway", chart, "--reset-values") not in ("", first)
    assert await run("uninstall", "slipway") == ""
