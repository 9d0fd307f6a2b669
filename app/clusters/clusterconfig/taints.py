"""The two forms of `taints`: a list of {key, value, effect}, and the older map of key to `value:Effect`.

In eksctl's map a text without a colon is the effect. The article that Slipway replaces writes a value there
(`{dedicated: worker}`): what isn't an effect is taken as the value, with NoSchedule, and a warning says so.
"""

from typing import Any

from app.clusters.clusterconfig import schema
from app.clusters.clusterconfig.draft import Draft
from app.clusters.clusterconfig.reading import Found, Section, objects
from app.clusters.clusterconfig.report import Report, at, quoted
from app.clusters.clusterconfig.values import choice, kind, text, text_map

MAX_TAINTS = 50
"""As EKS has it."""

EFFECTS: dict[str, str | None] = {
    "NoSchedule": "NO_SCHEDULE",
    "PreferNoSchedule": "PREFER_NO_SCHEDULE",
    "NoExecute": "NO_EXECUTE",
    "NO_SCHEDULE": "NO_SCHEDULE",
    "PREFER_NO_SCHEDULE": "PREFER_NO_SCHEDULE",
    "NO_EXECUTE": "NO_EXECUTE",
}
_LOWER_EFFECTS = frozenset(effect.lower() for effect in EFFECTS)
_effect = choice(EFFECTS)
_listed = objects(Section(schema.TAINT, {"key": text, "value": text, "effect": _effect}, required=("key",)), MAX_TAINTS)


def taints(value: Any, pointer: str, report: Report) -> list[Found] | None:
    """Read either form; each taint is a `Found` with key, value and effect."""
    if isinstance(value, list):
        return _listed(value, pointer, report)
    if isinstance(value, dict):
        if len(value) > MAX_TAINTS:
            report.wrong(pointer, f"must have at most {MAX_TAINTS} entries and has {len(value)}")
            return None
        pairs = text_map(value, pointer, report) or {}
        return [_from_map(key, pair, at(pointer, key), report) for key, pair in pairs.items()]
    report.wrong(pointer, f"must be a list of {{key, value, effect}} or an object and is {kind(value)}")
    return None


def put_taints(found: Found, draft: Draft, report: Report) -> None:
    """Write `/taints` of a node group."""
    listed: list[Found] | None = found.get("taints")
    if listed is None:
        return
    draft.put("/taints", [_spec(taint, report) for taint in listed], found.where("taints"))
    for index, taint in enumerate(listed):
        draft.trace(f"/taints/{index}", taint.pointer)
        for key in ("key", "value", "effect"):
            draft.trace(f"/taints/{index}/{key}", taint.where(key))


def _from_map(key: str, pair: str, pointer: str, report: Report) -> Found:
    value, colon, effect = pair.rpartition(":")
    if not colon and pair.lower() not in _LOWER_EFFECTS:
        value, effect = pair, ""
    values = {"key": key}
    if value:
        values["value"] = value
    if effect:
        values["effect"] = _effect(effect, pointer, report)
    elif colon:
        report.wrong(pointer, f"{quoted(pair)} has no effect after its colon")
    return Found(pointer, values)


def _spec(taint: Found, report: Report) -> dict[str, str]:
    spec = {name: taint.get(name) for name in ("key", "value", "effect") if taint.get(name) is not None}
    if "effect" not in spec and not taint.tried("effect"):
        spec["effect"] = "NO_SCHEDULE"
        report.warn(taint.pointer, "the taint names no effect and gets NO_SCHEDULE")
    return spec
