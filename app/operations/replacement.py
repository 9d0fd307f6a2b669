"""Which replacements of resources an update of a stack may make though nobody asked for them."""

from app.gateways.aws.stack import Change
from app.stacks.template import REPLACEABLE_TYPES


def may_replace(change: Change) -> bool:
    """Tell whether a change set may replace this resource."""
    return change.type in REPLACEABLE_TYPES
