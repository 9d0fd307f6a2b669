"""The helm binary on the local cloud's ECR: what a user does with the token that ECR gives."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.gateways.aws.clients import PROCESS, AwsClients
from app.gateways.helm import binary

REGION = "us-east-1"
CHART = "apiVersion: v2\nname: {name}\nversion: 0.1.0\n"


class Helm:
    """The binary, with a registry configuration of its own."""

    def __init__(self, folder: Path) -> None:
        self._binary = binary.locate()
        self._folder = folder
        self._env = {
            **os.environ,
            "HELM_REGISTRY_CONFIG": str(folder / "registry.json"),
            "HELM_CACHE_HOME": str(folder),
        }

    async def run(self, *arguments: str, stdin: str = "", fails: bool = False) -> str:
        """Runs helm, checks whether it failed, and returns all that it wrote."""
        process = await asyncio.create_subprocess_exec(
            self._binary, *arguments, cwd=self._folder, env=self._env,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        written, _ = await process.communicate(stdin.encode())
        assert bool(process.returncode) is fails, written
        return written.decode()


@pytest.fixture
async def ecr(clients: AwsClients) -> Any:
    return await clients.client(PROCESS, REGION, "ecr")


@pytest.fixture
async def repository(ecr: Any, name: str) -> AsyncIterator[dict[str, Any]]:
    made = await ecr.create_repository(repositoryName=f"charts/{name}")
    yield made["repository"]
    await ecr.delete_repository(repositoryName=f"charts/{name}", force=True)


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    return Helm(tmp_path)


@pytest.fixture
async def package(helm: Helm, tmp_path: Path, name: str) -> str:
    """The file name of a chart that is called as the repository."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "Chart.yaml").write_text(CHART.format(name=name))
    await helm.run("package", name)
    return f"{name}-0.1.0.tgz"


async def test_helm_logs_in_pushes_and_pulls(
    ecr: Any, helm: Helm, repository: dict[str, Any], package: str, aws_environment: Any
) -> None:
    """Nothing without the token; the chart shows up as an image; an old token is refused."""
    given = (await ecr.get_authorization_token())["authorizationData"][0]
    user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    host = given["proxyEndpoint"].removeprefix("http://")
    uri = repository["repositoryUri"]
    assert uri.startswith(f"{host}/")
    push = ("push", package, f"oci://{uri.rpartition('/')[0]}", "--plain-http")
    pull = ("pull", f"oci://{uri}", "--version", "0.1.0", "--plain-http")
    login = ("registry", "login", host, "--username", user, "--password-stdin", "--plain-http")

    assert "basic credential not found" in await helm.run(*push, fails=True)
    assert "denied" in await helm.run(*login, stdin="wrong", fails=True)
    assert "Login Succeeded" in await helm.run(*login, stdin=password)
    pushed = await helm.run(*push)
    image = (await ecr.describe_images(repositoryName=repository["repositoryName"]))["imageDetails"][0]
    assert image["imageTags"] == ["0.1.0"]
    assert image["imageDigest"] in pushed
    assert image["artifactMediaType"] == "application/vnd.cncf.helm.config.v1+json"
    assert image["imageDigest"] in await helm.run(*pull)

    async with httpx.AsyncClient(base_url=aws_environment.endpoint, timeout=60) as control:
        (await control.delete("/_localcloud/registry-tokens")).raise_for_status()
    assert "authorization token has expired" in await helm.run(*pull, fails=True)
