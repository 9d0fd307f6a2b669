"""What operations on every kind of resource keep: what they were begun with, and what they found.

`Asked` is an operation's `input`, written once; `Found` is in its `data`, written while it is carried out.
"""

from typing import Any

from app.core.record import Record


class Asked(Record):
    """What an operation was begun with.

    Attributes:
        generation: Of the spec that it applies.
        usable: The resource served when the operation was begun.
        force: Leave behind what cannot be deleted: it was tried before.
    """

    generation: int | None = None
    usable: bool = False
    force: bool = False


class Found(Record):
    """What an operation found out, for the resource's row.

    Attributes:
        outputs: Of the resource, by the contract's names.
        facts: Of the resource.
    """

    outputs: dict[str, Any] = {}
    facts: dict[str, Any] = {}
