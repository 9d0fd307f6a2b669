"""The receiver of `examples/` takes what Slipway sends, and nothing else."""

import asyncio
import base64
import json
import sys
from pathlib import Path

import httpx
import pytest
from integration.webhooks.conftest import serving

SECRET = "whsec_" + base64.b64encode(b"x" * 32).decode()
RECEIVER = Path(__file__).parents[3] / "examples" / "webhook_receiver.py"


@pytest.mark.calendar
async def test_the_example_verifies_what_comes(sqlite_url: str) -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(RECEIVER), "--port", "0", "--secret", SECRET, stdout=pipe
    )
    assert process.stdout is not None

    async def line() -> dict[str, object]:
        async with asyncio.timeout(120):
            return dict(json.loads(await process.stdout.readline()))

    try:
        url = str((await line())["listening"])
        async with serving(sqlite_url) as service:
            await service.webhook(url, secret=SECRET)
            await service.operate(await service.cluster())
            came = await line()
            assert came["verified"] is True
            assert (came["type"], came["operation"], came["status"], came["sequence"]) == (
                "operation.succeeded", "cluster.apply", "succeeded", 1
            )  # fmt: skip
            async with httpx.AsyncClient() as forger:
                assert (await forger.post(url, json={}, headers={"webhook-id": "evt_x"})).status_code == 401
            assert await line() == {"path": "/", "verified": False, "id": "evt_x"}
    finally:
        process.kill()
        await process.wait()
