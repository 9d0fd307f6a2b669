"""Kernels that cannot confine helm: the real call of Landlock, refused by seccomp as an old kernel refuses it."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.gateways.helm import confine, confinement

OLD_KERNEL = """
import ctypes, struct, sys
# seccomp's classic BPF: ENOSYS for landlock_create_ruleset (444), as before Linux 5.13; all else is allowed.
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
filters = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filters, 0, 0) == 0
"""
FETCH = """
import asyncio, json, logging, sys, urllib.request
from pathlib import Path
from app.gateways.helm import confinement
from app.gateways.helm.chart import RepositoryChart
from app.gateways.helm.client import Helm
from app.gateways.helm.errors import HelmError
logging.basicConfig(stream=sys.stderr)

async def main():
    helm = Helm(Path(sys.argv[2]), root=Path(sys.argv[3]), confined=sys.argv[4])
    await helm.start()
    try:
        async with helm.chart(RepositoryChart("https://charts.invalid", "demo")):
            pass
    except HelmError as error:
        failure = error.as_failure()
        return {"code": failure.code, "hint": failure.hint, "problem": confinement.problem()}

print(json.dumps(asyncio.run(main())))
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux'")


def fetched(helm_binary: Path, folder: Path, mode: str, before: str) -> tuple[dict[str, str], str]:
    script = before + FETCH
    command = [sys.executable, "-c", script, "", str(helm_binary), str(folder), mode]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout), ended.stderr


@linux
def test_an_old_kernel(helm_binary: Path, tmp_path: Path) -> None:
    told, log = fetched(helm_binary, tmp_path, "required", OLD_KERNEL)
    assert (told["code"], told["problem"]) == ("helm_unconfined", confinement.WARNING)
    assert "SLIPWAY_HELM_CONFINEMENT" in told["hint"]
    assert "WARNING" in log
    assert "Linux 6.7" in log
    told, log = fetched(helm_binary, tmp_path, "preferred", OLD_KERNEL)
    assert told["code"] == "repository_unreachable"
    assert "Linux 6.7" in log


@linux
@pytest.mark.skipif(not confine.is_possible(), reason="this kernel has no Landlock that knows of ports")
def test_a_new_kernel(helm_binary: Path, tmp_path: Path) -> None:
    told, log = fetched(helm_binary, tmp_path, "required", "")
    assert (told["code"], told["problem"]) == ("repository_unreachable", None)
    assert "Landlock" not in log


def _ran(mode: str, before: str, port: int) -> tuple[int, str]:
    """Run a program that connects to a port, behind `confine.py`, which allows none."""
    connect = f"import socket; socket.create_connection(('127.0.0.1', {port})); print('connected')"
    chain = [*confinement.chain(mode, ()), sys.executable, "-c", connect]  # type: ignore[arg-type]
    start = f"import os; os.execv({chain[0]!r}, {chain!r})"
    ended = subprocess.run([sys.executable, "-c", before + start], capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@linux
def test_the_program_itself_is_not_started_unconfined() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert _ran("required", OLD_KERNEL, port) == (confine.UNCONFINED, "")
        assert _ran("preferred", OLD_KERNEL, port) == (0, "connected\n")
        code, said = _ran("required", "", port)
        assert (code == 1 and "PermissionError" in said) or not confine.is_possible()


def test_ports_on_the_way_to_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in confinement.PROXIES:
        monkeypatch.delenv(name, raising=False)
    assert confinement.ports_to("https://abc.gr7.eu-west-1.eks.amazonaws.com") == {443, 53}
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("http_proxy", "proxy")
    assert confinement.ports_to("https://127.0.0.1:6443") == {6443, 53, 3128, 80}
    monkeypatch.setenv("HTTPS_PROXY", "http://[")
    assert confinement.ports_to("https://127.0.0.1:6443") == {6443, 53, 443, 80}
