"""The parts that need no Kubernetes: endpoint, processes, certificates, nodes."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from slipway_localcloud.kubernetes.certificates import Authority
from slipway_localcloud.kubernetes.children import Child, free_port
from slipway_localcloud.kubernetes.front import Front
from slipway_localcloud.kubernetes.nodes import Fleet, Group, Subnet, max_pods, sizes

from .conftest import gone


async def _say(port: int, text: bytes) -> bytes:
    """Sends a line and returns the answer; b"" if the connection ends first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text + b"\n")
    try:
        return (await reader.readline()).strip()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def _backend(name: bytes) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name + b" " + await reader.readline())
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


def test_connections_wait_for_what_is_behind_the_endpoint() -> None:
    """They are accepted before it is there, passed on when it is, and to another one after a change."""

    async def scenario() -> None:
        started = asyncio.Event()
        behind: list[asyncio.Server] = []

        async def backend() -> int:
            await started.wait()
            return _port(behind[-1])

        front = Front(backend)
        waiting = [asyncio.create_task(_say(front.port, b"hello")) for _ in range(20)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting)
        behind.append(await _backend(b"one"))
        started.set()
        assert await asyncio.gather(*waiting) == [b"one hello"] * 20
        behind.append(await _backend(b"two"))
        assert await _say(front.port, b"hello") == b"two hello"
        await front.close()
        with pytest.raises(OSError):
            await _say(front.port, b"hello")

    asyncio.run(scenario())


def test_a_connection_ends_if_nothing_can_be_started() -> None:
    """And the next one tries again."""

    async def scenario() -> None:
        calls = []

        async def backend() -> int:
            calls.append(1)
            raise RuntimeError("no programs")

        front = Front(backend)
        assert [await _say(front.port, b"x") for _ in range(2)] == [b"", b""]
        assert len(calls) == 2
        await front.close()

    asyncio.run(scenario())


def test_a_program_is_started_again_until_it_is_stopped(tmp_path: Path) -> None:
    """Its log goes on."""

    async def scenario() -> None:
        child = Child(["sh", "-c", "echo started; sleep 100"], tmp_path / "log")
        child.start()
        for count in (1, 2):
            while child.last_words().count("started") < count or child.pid is None:
                await asyncio.sleep(0.01)
            pid = child.pid
            if count == 1:
                os.kill(pid, signal.SIGKILL)
        await child.stop()
        assert child.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at a parent's death is Linux's own")
def test_a_program_dies_with_its_parent(tmp_path: Path) -> None:
    """Also when the parent is killed."""
    script = (
        "import subprocess, time\n"
        "from slipway_localcloud.kubernetes import launch\n"
        "print(subprocess.Popen(launch.command(['sleep', '100'])).pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    while Path(f"/proc/{pid}/comm").read_text().strip() != "sleep":
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    gone([pid])


@pytest.mark.calendar
def test_certificates_pass_the_strictest_check(tmp_path: Path) -> None:
    """Both sides, as the API server and its administrator use them."""
    authority = Authority()
    server, client = authority.server(["127.0.0.1", "localhost"]), authority.client("someone", "system:masters")
    for name, content in {
        "ca": authority.certificate, "s.key": server.key, "s.crt": server.public, "c.key": client.key,
        "c.crt": client.public,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca")
    listening.load_cert_chain(tmp_path / "s.crt", tmp_path / "s.key")
    listening.verify_mode = ssl.CERT_REQUIRED
    asking = ssl.create_default_context(cafile=tmp_path / "ca")
    asking.load_cert_chain(tmp_path / "c.crt", tmp_path / "c.key")
    for context in (listening, asking):
        context.verify_flags |= ssl.VERIFY_X509_STRICT

    async def scenario() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            subject = dict(pair[0] for pair in writer.get_extra_info("peercert")["subject"])
            writer.write(f"{subject['commonName']} of {subject['organizationName']}\n".encode())
            writer.close()

        served = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=listening)
        reader, writer = await asyncio.open_connection("127.0.0.1", _port(served), ssl=asking)
        assert await reader.readline() == b"someone of system:masters\n"
        writer.close()

    asyncio.run(scenario())


def test_no_two_programs_get_the_same_port() -> None:
    """Even before they listen."""
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200
    assert all(20000 <= port < 32000 for port in ports)


GROUP = Group(
    arn="arn", name="g", region="us-west-2", release="1.34.5-20261105", size=3, types=("m5.large", "m5a.large"),
    spot=False, disk_gib=20, ami_type="AL2023_x86_64_STANDARD", labels={}, taints=(),
    subnets=(Subnet("us-west-2a", "usw2-az1", "10.0.1.0/28"), Subnet("us-west-2b", "usw2-az2", "10.0.2.0/28")),
)  # fmt: skip


def test_a_fleet_keeps_its_instances() -> None:
    """Over scaling and label changes; another release replaces them, another group has its own."""
    fleet = Fleet()
    first = fleet.desired([GROUP])
    assert len(first) == 3
    assert fleet.desired([GROUP]) == first
    grown = fleet.desired([replace(GROUP, size=9, labels={"a": "b"})])
    assert len(grown) == 9 and first.keys() < grown.keys()
    assert list(fleet.desired([replace(GROUP, size=2)])) == list(first)[:2]
    other = replace(GROUP, arn="other", size=5)
    both = fleet.desired([replace(GROUP, size=2), other])
    assert len(both) == 7
    newer = fleet.desired([replace(GROUP, size=2, release="1.35.2-20261105"), other])
    assert len(newer) == 7 and not set(list(first)[:2]) & newer.keys()
    assert fleet.desired([]) == {}


def test_instances_spread_over_zones_and_spot_over_types() -> None:
    """On demand takes the first type."""
    kinds = {"node.kubernetes.io/instance-type": set(), "topology.kubernetes.io/zone": set()}  # type: ignore[var-annotated]
    for spot, types in ((False, {"m5.large"}), (True, {"m5.large", "m5a.large"})):
        nodes = Fleet().desired([replace(GROUP, spot=spot)]).values()
        kinds = {label: {node.labels[label] for node in nodes} for label in kinds}
        assert kinds["node.kubernetes.io/instance-type"] == types
        assert kinds["topology.kubernetes.io/zone"] == {"us-west-2a", "us-west-2b"}


def test_sizes_are_those_of_eks() -> None:
    """Known values of common types."""
    assert [max_pods(t) for t in ("t3.small", "t3.medium", "m5.large", "m5.xlarge", "c5.4xlarge", "m5.24xlarge")] == [
        11, 17, 29, 58, 234, 737,
    ]  # fmt: skip
    capacity, allocatable = sizes("m5.large", 20)
    assert (capacity["cpu"], allocatable["cpu"]) == ("2", "1930m")
    assert sizes("m5.xlarge", 20)[1]["cpu"] == "3920m"
    memory = int(capacity["memory"].removesuffix("Ki")) // 1024
    assert 7600 < memory < 7800
    assert memory - int(allocatable["memory"].removesuffix("Ki")) // 1024 == 255 + 11 * 29 + 100
