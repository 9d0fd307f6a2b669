"""The guarded connection: what is resolved is what is checked, and what is checked is what is connected to."""

import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from certificates import certificate
from integration.webhooks.conftest import Receiver, answers

from app.core.outbound import Rules
from app.gateways import network
from app.webhooks import secrets
from app.webhooks.sender import Message, Sender

LOOSE = Rules(allow_http=True, allow_private_addresses=True)
SECRETS = [secrets.make()]


def message(url: str) -> Message:
    return Message("evt_1", url, "{}")


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name have these addresses; return the names that are looked up."""
    asked: list[str] = []

    def look_up(host: str, port: int) -> list[Any]:
        asked.append(host)
        kinds = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [(kind, 1, 6, "", (address, port)) for kind, address in zip(kinds, addresses, strict=True)]

    monkeypatch.setattr(network, "_look_up", look_up)
    return asked


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.1.2.3"], ["169.254.169.254"], ["::1"], ["::ffff:127.0.0.1"], ["93.184.215.14", "127.0.0.1"]],
)
async def test_a_name_that_has_a_private_address(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver, addresses: list[str]
) -> None:
    asked = resolving(monkeypatch, *addresses)
    sender = Sender(Rules(allow_http=True), timeout_seconds=60)
    answer = await sender.send(message(f"http://innocent.example:{receiver.port}/"), SECRETS)
    sender.close()
    assert answer.status_code is None
    assert "not public" in (answer.error or "")
    assert asked == ["innocent.example"]
    assert receiver.received == []


async def test_one_look_up_and_a_name_in_the_host_header(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    asked = resolving(monkeypatch, "127.0.0.1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    sender = Sender(LOOSE, timeout_seconds=60)
    answer = await sender.send(message(f"http://receiver.example:{receiver.port}/a?b=c"), SECRETS)
    sender.close()
    assert (answer.status_code, answer.error) == (204, None)
    assert asked == ["receiver.example"]
    assert receiver.received[0].headers["host"] == f"receiver.example:{receiver.port}"
    assert receiver.received[0].path == "/a?b=c"


async def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    resolving(monkeypatch, "::1", "127.0.0.1")
    sender = Sender(LOOSE, timeout_seconds=60)
    assert (await sender.send(message(f"http://receiver.example:{receiver.port}/"), SECRETS)).error is None
    sender.close()


async def test_a_name_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(network, "_look_up", nobody)
    sender = Sender(LOOSE, timeout_seconds=60)
    answer = await sender.send(message("http://no-such-name.invalid/"), SECRETS)
    sender.close()
    assert "cannot be resolved" in (answer.error or "")


async def test_rules_that_have_become_stricter(receiver: Receiver) -> None:
    sender = Sender(Rules(), timeout_seconds=60)
    answer = await sender.send(message(receiver.url), SECRETS)
    sender.close()
    assert answer.error == "The URL must begin with https://."
    assert receiver.received == []


async def test_an_endless_answer_is_read_to_its_beginning(receivers: Callable[..., Awaitable[Receiver]]) -> None:
    async def endless(_received: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 4096)
            await writer.drain()

    receiver = await receivers(endless)
    sender = Sender(LOOSE, timeout_seconds=60)
    answer = await sender.send(message(receiver.url), SECRETS)
    sender.close()
    assert (answer.status_code, answer.error, answer.response) == (200, None, "x" * 1024)


async def test_a_drip_is_no_answer(receivers: Callable[..., Awaitable[Receiver]]) -> None:
    async def drip(_received: Any, writer: Any) -> None:
        import asyncio

        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    receiver = await receivers(drip)
    sender = Sender(LOOSE, timeout_seconds=0.2)
    answer = await sender.send(message(receiver.url), SECRETS)
    sender.close()
    assert answer.error == "no whole answer within 0.2 s"


@pytest.mark.calendar
@pytest.mark.parametrize(
    ("certified", "called", "taken"),
    [
        ("receiver.example", "receiver.example", True),
        ("other.example", "receiver.example", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("receiver.example", "127.0.0.1", False),
    ],
)
async def test_the_certificate_must_be_the_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certified: str, called: str, taken: bool
) -> None:
    import asyncio

    resolving(monkeypatch, "127.0.0.1")
    receiver = Receiver(answers(204))
    context = certificate(tmp_path, certified)
    server = await asyncio.start_server(receiver._serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    for ours, expected in ((trusting, taken), (None, False)):
        sender = Sender(Rules(allow_private_addresses=True), timeout_seconds=60, ssl_context=ours)
        answer = await sender.send(message(f"https://{called}:{port}/"), SECRETS)
        sender.close()
        assert (answer.error is None) is expected, answer
        if not expected:
            assert "certificate verify failed" in (answer.error or "")
    server.close()
    await receiver.stop()
