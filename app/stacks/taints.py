"""Taints of node groups and the tolerations that match them (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Effect = Literal["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"]

_KUBERNETES: Mapping[str, str] = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
}


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint, its effect as EKS spells it; a value may be left out.

    Attributes:
        key: Up to 253 characters of prefix, `/`, and 63 of name.
        effect: `NO_SCHEDULE`, `NO_EXECUTE` or `PREFER_NO_SCHEDULE`.
        value: At most 63 characters; None and "" are the same to Kubernetes.
    """

    key: str
    effect: Effect
    value: str | None = None

    @property
    def is_hard(self) -> bool:
        """Whether it keeps pods away; PREFER_NO_SCHEDULE only makes other nodes preferred."""
        return self.effect != "PREFER_NO_SCHEDULE"


def unavoidable(groups: Sequence[Sequence[Taint]]) -> tuple[Taint, ...]:
    """Return the taints that a pod has to tolerate to be sure of a node, in the order of first appearance.

    Empty if there is no group, or one without hard taints: then there is a node for pods without tolerations.

    Args:
        groups: The taints of each node group of a cluster.
    """
    hard = [[taint for taint in group if taint.is_hard] for group in groups]
    if not hard or not all(hard):
        return ()
    return tuple(dict.fromkeys(taint for group in hard for taint in group))


def tolerations_for(taints: Sequence[Taint]) -> list[dict[str, Any]]:
    """Return one Kubernetes toleration for each hard taint."""
    return [
        {
            "key": taint.key,
            "effect": _KUBERNETES[taint.effect],
            **({"operator": "Equal", "value": taint.value} if taint.value else {"operator": "Exists"}),
        }
        for taint in taints
        if taint.is_hard
    ]


def merge_tolerations(
    present: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return `present` and, after it, what of `wanted` no toleration of `present` covers."""
    missing = [toleration for toleration in wanted if not any(_covers(other, toleration) for other in present)]
    return [*present, *missing]


def _covers(wide: Mapping[str, Any], narrow: Mapping[str, Any]) -> bool:
    """Tell whether every taint that `narrow` matches is matched by `wide`, for as long."""
    if wide.get("tolerationSeconds") is not None:
        return False
    if wide.get("effect") and wide.get("effect") != narrow.get("effect"):
        return False
    if wide.get("operator", "Equal") == "Exists":
        return not wide.get("key") or wide.get("key") == narrow.get("key")
    return (
        narrow.get("operator", "Equal") != "Exists"
        and wide.get("key") == narrow.get("key")
        and (wide.get("value") or "") == (narrow.get("value") or "")
    )
