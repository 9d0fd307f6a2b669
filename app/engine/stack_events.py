"""A CloudFormation event in the form in which operations keep it."""

from app.engine.contract import NewEvent
from app.gateways.aws.stack import StackEvent


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
