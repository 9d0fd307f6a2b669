"""A client generated from the committed document by a generator of the field: it does the work, with typed answers."""

import asyncio
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from integration.running import KEY, REGION, running

DOCUMENT = Path(__file__).resolve().parents[2] / "openapi" / "openapi.json"
PACKAGE = "generated_slipway"
UNTYPED = {"POST /clusters", "GET /clusters/{cluster}/kubeconfig"}
"""The generator has no types for bodies in YAML; both operations are there all the same."""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What the generator said; the package can be imported."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "config.yaml").write_text("post_hooks: []\n")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--path", str(DOCUMENT)]
    command += ["--output-path", str(folder / PACKAGE), "--config", str(folder / "config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield done.stdout + done.stderr
    sys.path.remove(str(folder))


def part(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.{name}")


def test_the_generator_leaves_nothing_out_but_yaml(generated: str) -> None:
    assert set(re.findall(r"WARNING parsing (\w+ \S+) within", generated)) == UNTYPED
    assert generated.count("application/yaml") >= len(UNTYPED)
    assert "duplicate" not in generated


async def test_a_cluster_from_request_to_delete_with_typed_answers(
    generated: str, sqlite_url: str, localcloud: Any, aws_environment: None
) -> None:
    models, api = part("models"), f"{PACKAGE}.api"
    create_cluster = importlib.import_module(f"{api}.clusters.create_cluster")
    get_cluster = importlib.import_module(f"{api}.clusters.get_cluster")
    delete_cluster = importlib.import_module(f"{api}.clusters.delete_cluster")
    get_operation = importlib.import_module(f"{api}.operations.get_operation")

    async with running(sqlite_url, localcloud) as slipway:
        transport = httpx.ASGITransport(slipway.app)
        client = part("client").AuthenticatedClient(
            base_url="http://slipway.test", token=KEY, httpx_args={"transport": transport}
        )

        async def wait(operation: Any) -> Any:
            while operation.status in ("pending", "running"):
                await asyncio.sleep(0.05)
                operation = await get_operation.asyncio(operation.id, client=client)
            return operation

        body = models.ClusterCreate(
            name=slipway.name, region=REGION, addons=[], network=models.NetworkSpec(zones=2, nat="none")
        )
        begun = await create_cluster.asyncio(client=client, body=body)
        assert isinstance(begun, models.Operation)
        ended = await wait(begun)
        assert (ended.kind, ended.status) == ("cluster.create", "succeeded")

        cluster = await get_cluster.asyncio(slipway.name, client=client)
        assert isinstance(cluster, models.Cluster)
        assert cluster.status.phase == "active"
        assert cluster.status.outputs.endpoint

        refused = await create_cluster.asyncio(client=client, body=body)
        assert isinstance(refused, models.Problem)
        assert (refused.status, refused.code) == (409, "cluster_exists")

        assert (await wait(await delete_cluster.asyncio(slipway.name, client=client))).status == "succeeded"
        gone = await get_cluster.asyncio(slipway.name, client=client)
        assert isinstance(gone, models.Problem)
        assert gone.code == "cluster_not_found"
