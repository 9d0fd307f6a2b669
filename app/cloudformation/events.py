"""A CloudFormation event in the form in which operations keep it."""

from app.engine.contract import NewEvent
from app.engine.models import Operation
from app.gateways.aws.stack import StackEvent
from app.stacks.naming import operation_token_prefix


def is_of(event: StackEvent, operation: Operation) -> bool:
    """Tell whether an operation caused an event of a stack, which may have a long history.

    CloudFormation gives the token of the call that began a stack operation to all its events (DescribeStackEvents,
    `ClientRequestToken`); an event that has none is the operation's if it is not older.
    """
    if event.token:
        return event.token.startswith(operation_token_prefix(operation.id))
    began = operation.started_at
    return began is None or event.at >= began.replace(microsecond=0)


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
