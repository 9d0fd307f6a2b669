"""When a delivery is tried again, and what signs it."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook as StandardWebhook

from app.core.crypto import Place, Vault
from app.webhooks import schedule, secrets
from app.webhooks.sender import Message, signed_headers

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
VAULT = Vault(lambda: "an-encryption-key-of-32-characters-or-more")
HERE = Place("webhooks", "secrets", ("whk_1",))


def test_the_schedule_takes_three_days() -> None:
    assert 72 * 3600 <= sum(schedule.SCHEDULE) <= 80 * 3600
    for tries, wait in enumerate(schedule.SCHEDULE, start=1):
        drawn = {schedule.delay(tries) for _ in range(50)}
        assert len(drawn) > 1
        assert all(delay is not None and wait * 0.8 <= delay <= wait * 1.2 for delay in drawn)
    assert schedule.delay(len(schedule.SCHEDULE) + 1) is None
    assert schedule.delay(1, 600.0) == 600.0
    assert (schedule.delay(4, 1.0) or 0) > 5000


@pytest.mark.calendar
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("Mon, 23 Nov 2026 08:02:00 GMT", 120.0),
        ("Mon, 23 Nov 2026 07:00:00 GMT", 0.0),
        ("999999999999", 86_400.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert schedule.parse_retry_after(header, NOW) == seconds


def of_size(size: int) -> str:
    return "whsec_" + base64.b64encode(b"x" * size).decode()


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (of_size(23), "too short"),
        (of_size(65), "too long"),
        ("whsec_", "too short"),
        ("whsec_not base64!", "base64"),
        ("x" * 40, "whsec_"),
    ],
)
def test_secrets_that_are_none(secret: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        secrets.check(secret)


def test_secrets_that_are_some() -> None:
    for secret in (of_size(24), of_size(64), secrets.make()):
        assert secrets.check(secret) == secret
    assert secrets.make() != secrets.make()


@pytest.mark.calendar
def test_a_rotation_has_no_gap() -> None:
    one, two, three = (secrets.make() for _ in range(3))
    sealed = secrets.first(VAULT, HERE, one)
    sealed = secrets.rotated(VAULT, HERE, sealed, two, now=NOW, overlap_seconds=3600)
    assert secrets.opened(VAULT, HERE, sealed, NOW) == [two, one]
    sealed = secrets.rotated(VAULT, HERE, sealed, three, now=NOW, overlap_seconds=60)
    assert secrets.opened(VAULT, HERE, sealed, NOW) == [three, two, one]
    assert secrets.opened(VAULT, HERE, sealed, NOW + timedelta(seconds=61)) == [three]
    sealed = secrets.rotated(VAULT, HERE, sealed, one, now=NOW, overlap_seconds=0)
    assert secrets.opened(VAULT, HERE, sealed, NOW) == [one]
    assert one not in str(sealed)


@pytest.mark.calendar
def test_every_secret_signs() -> None:
    known, now = [secrets.make(), secrets.make()], datetime.now(UTC)
    message = Message("evt_1", "https://example.com/", '{"type":"ü"}')
    headers = dict(signed_headers(message, known, now))
    for secret in known:
        assert StandardWebhook(secret).verify(message.body, headers) == {"type": "ü"}
