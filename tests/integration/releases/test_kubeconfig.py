"""`kubectl` and `helm` with the kubeconfig that Slipway gives, and the token that `aws eks get-token` makes."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from integration.conftest import PROJECT, LocalCloud
from integration.releases.conftest import CLUSTER, Helmed

from app.gateways.helm import binary


class Shell:
    """A user's shell: the kubeconfig, keys, `aws` on PATH, and nothing that says where the local cloud is."""

    def __init__(self, kubeconfig: Path, env: dict[str, str]) -> None:
        keys = {name: env[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        path = f"{PROJECT / '.venv' / 'bin'}{os.pathsep}{os.defpath}"
        self._env = {"PATH": path, "HOME": str(kubeconfig.parent), "KUBECONFIG": str(kubeconfig), **keys}

    async def run(self, program: Path, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error."""
        process = await asyncio.create_subprocess_exec(
            program, *arguments, env=self._env | env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, errors = await process.communicate()
        return process.returncode or 0, output.decode(), errors.decode()


@pytest.fixture(scope="session")
def kubectl() -> Path:
    found = binary.from_wheel("kubectl")
    assert found is not None
    return found


@pytest.fixture
async def shell(slipway: Helmed, aws_environment: LocalCloud, tmp_path: Path) -> Shell:
    answer = await slipway.client.get(f"/clusters/{CLUSTER}/kubeconfig")
    assert answer.status_code == 200
    path = tmp_path / "kubeconfig"
    path.write_text(answer.text)
    path.chmod(0o600)
    return Shell(path, aws_environment.env)


async def test_kubectl_and_helm_see_what_slipway_made(
    slipway: Helmed, shell: Shell, kubectl: Path, helm_binary: Path
) -> None:
    await slipway.install(values={"replicas": 2})
    at = ("--namespace", slipway.namespace)
    code, output, errors = await shell.run(kubectl, "get", "deployment", "web", "--output", "json", *at)
    assert (code, errors) == (0, "")
    assert json.loads(output)["status"]["readyReplicas"] == 2
    code, output, errors = await shell.run(helm_binary, "list", "--output", "json", *at)
    assert (code, errors) == (0, "")
    assert [(release["name"], release["status"]) for release in json.loads(output)] == [("web", "deployed")]
    code, output, _ = await shell.run(kubectl, "auth", "whoami", "--output", "json")
    assert code == 0
    assert json.loads(output)["status"]["userInfo"]["username"].startswith("arn:aws:iam::")


async def test_another_secret_opens_nothing(shell: Shell, kubectl: Path) -> None:
    code, output, errors = await shell.run(kubectl, "get", "namespaces", AWS_SECRET_ACCESS_KEY="another")
    assert (code, output) == (1, "")
    assert "the server has asked for the client to provide credentials" in errors


async def test_the_local_clouds_own_environment(shell: Shell, kubectl: Path, aws_environment: LocalCloud) -> None:
    """A token has to name AWS's own STS, as clusters of AWS want it, too."""
    env = aws_environment.env | {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    code, output, _ = await shell.run(kubectl, "get", "nodes", "--output", "name", **env)
    assert (code, len(output.splitlines())) == (0, 2)
