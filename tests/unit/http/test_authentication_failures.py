"""What is told of wrong keys."""

import logging
from collections.abc import Callable

import pytest

from app.core.metrics import REGISTRY
from app.http import authentication_failures
from app.http.authentication_failures import MOST, AuthenticationFailures


class Minutes:
    """Calls back when a test says that a minute is over."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, seconds: float, call: Callable[[], None]) -> None:
        assert seconds == authentication_failures.WINDOW_SECONDS
        self.waiting.append(call)

    def over(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


@pytest.fixture
def minutes() -> Minutes:
    return Minutes()


@pytest.fixture
def failures(minutes: Minutes, caplog: pytest.LogCaptureFixture) -> AuthenticationFailures:
    caplog.set_level(logging.WARNING, logger=authentication_failures.__name__)
    return AuthenticationFailures(minutes)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    found = [(record.client, record.failures) for record in caplog.records]  # type: ignore[attr-defined]
    caplog.clear()
    return found


def counted(reason: str) -> float:
    return REGISTRY.get_sample_value("slipway_authentication_failures_total", {"reason": reason}) or 0.0


def test_each_is_counted_and_a_minute_is_told_in_two_lines(
    failures: AuthenticationFailures, minutes: Minutes, caplog: pytest.LogCaptureFixture
) -> None:
    before = counted("wrong"), counted("missing")
    for _ in range(3000):
        failures.wrong("192.0.2.1")
    failures.missing()
    assert (counted("wrong"), counted("missing")) == (before[0] + 3000, before[1] + 1)
    assert told(caplog) == [("192.0.2.1", 1)]
    minutes.over()
    assert told(caplog) == [("192.0.2.1", 2999)]
    minutes.over()
    assert told(caplog) == []
    assert minutes.waiting == []
    failures.wrong("192.0.2.1")
    assert told(caplog) == [("192.0.2.1", 1)]


def test_what_is_kept_is_bounded(
    failures: AuthenticationFailures, minutes: Minutes, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10_000):
        failures.wrong(f"10.0.{number // 250}.{number % 250}")
    assert len(told(caplog)) == len(minutes.waiting) == MOST + 1
    minutes.over()
    assert told(caplog) == [(authentication_failures.OTHERS, 10_000 - MOST - 1)]


@pytest.mark.parametrize(
    ("hosts", "name"),
    [
        (["2001:db8::1", "2001:db8::ffff:1"], "2001:db8::/64"),
        (["::ffff:192.0.2.7", "192.0.2.7"], "192.0.2.7"),
        ([None, "", "nonsense\n", "fe80::1%eth0"], None),
    ],
)
def test_who_is_counted_together(
    failures: AuthenticationFailures, caplog: pytest.LogCaptureFixture, hosts: list[str | None], name: str | None
) -> None:
    for host in hosts:
        failures.wrong(host)
    first = told(caplog)
    failures.close()
    if name:
        assert first == [(name, 1)]
        assert told(caplog) == [(name, len(hosts) - 1)]
    else:
        assert "nonsense" not in str(first)


def test_the_end_of_a_process_tells_the_rest(
    failures: AuthenticationFailures, minutes: Minutes, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        failures.wrong("192.0.2.1")
    told(caplog)
    failures.close()
    assert told(caplog) == [("192.0.2.1", 4)]
    failures.close()
    minutes.over()
    assert told(caplog) == []
