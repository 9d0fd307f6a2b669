"""When a delivery is tried again. Pure, but for the jitter."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_HOUR = 3600.0
SCHEDULE: Sequence[float] = (
    5.0, 300.0, 1800.0, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR,
)  # fmt: skip
"""Seconds from one failed try to the next; over three days in all, as Standard Webhooks recommends."""

JITTER = 0.2
"""Part of the wait by which it is longer or shorter, so that what failed together does not come back together."""

DISABLE_SECONDS = 72 * _HOUR
"""An endpoint to which nothing has got through for this long is disabled."""

LONGEST_RETRY_AFTER = 24 * _HOUR


def delay(tries: int, retry_after: float | None = None, schedule: Sequence[float] = SCHEDULE) -> float | None:
    """Return the seconds until the next try after `tries` failed ones, or None when it is given up.

    Args:
        tries: At least 1.
        retry_after: What the endpoint asked for: it is not tried earlier.
        schedule: Waits in seconds.
    """
    if tries > len(schedule):
        return None
    wait = schedule[tries - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    return max(wait, retry_after or 0.0)


def parse_retry_after(header: str, now: datetime | None = None) -> float | None:
    """Return the seconds that a `Retry-After` asks for (a number or a date), at most a day; None if it is neither."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return min(max(0.0, (at - (now or datetime.now(UTC))).total_seconds()), LONGEST_RETRY_AFTER)
