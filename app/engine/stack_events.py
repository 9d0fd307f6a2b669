"""A CloudFormation event in the form in which operations keep it."""

from collections.abc import Iterable
from datetime import datetime

from app.engine.contract import NewEvent
from app.gateways.aws.stack import StackEvent


def since(events: Iterable[StackEvent], began: datetime | None) -> list[StackEvent]:
    """Return the events of an operation that began at `began` (None: all): a stack remembers those before it too.

    To the second, because AWS's clock and the database's are two.
    """
    return [event for event in events if began is None or event.at >= began.replace(microsecond=0)]


def stack_event(event: StackEvent) -> NewEvent:
    """Return the operation's event of a stack's event; AWS's event id makes it unique."""
    reason = f": {event.reason}" if event.reason else ""
    return NewEvent(
        "stack.event",
        f"{event.type} {event.logical_id} {event.status}{reason}",
        data={
            "stack_id": event.stack_id,
            "logical_id": event.logical_id,
            "physical_id": event.physical_id,
            "resource_type": event.type,
            "resource_status": event.status,
            "reason": event.reason,
        },
        source_id=event.id,
        at=event.at,
    )
