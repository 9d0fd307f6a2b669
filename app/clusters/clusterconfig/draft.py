"""The specs while they are being put together, and where in the document each part of them comes from."""

from typing import Any

from app.clusters.clusterconfig.report import at


class Draft:
    """One spec. `root` is where it stands in the translation: empty for the cluster, `/nodegroups/0` for a group."""

    def __init__(self, root: str, origin: str) -> None:
        self.root = root
        self.spec: dict[str, Any] = {}
        self.origins: dict[str, str] = {root: origin}

    def put(self, target: str, value: Any, origin: str) -> None:
        """Set the field at a pointer such as `/network/cidr`.

        What is inside of a list or an object has the same place inside of the origin, unless `trace` says otherwise.
        """
        *parents, last = target.split("/")[1:]
        place = self.spec
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
        self.trace(target, origin)
        inside = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for token in inside:
            self.trace(at(target, token), at(origin, token))

    def trace(self, target: str, origin: str) -> None:
        """Say where the field at a pointer comes from."""
        self.origins[f"{self.root}{target}"] = origin
