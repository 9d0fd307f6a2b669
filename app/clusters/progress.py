"""What operations on clusters keep while they are carried out, and what they were begun with."""

from typing import Any

from app.operations.records import Asked, Found


class AskedOfCluster(Asked):
    """What an operation on a cluster was begun with.

    Attributes:
        before: The spec that AWS had, of an update.
        version_change: An update brings it to another Kubernetes version.
    """

    before: dict[str, Any] = {}
    version_change: bool = False


class Progress(Found):
    """How far an operation on a cluster is.

    Attributes:
        done: How many of its stages its stack has been brought to.
    """

    done: int = 0
