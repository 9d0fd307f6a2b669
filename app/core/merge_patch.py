"""JSON merge patch (RFC 7396): what PATCH means for a spec."""

from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with `patch` applied: null removes a member, an object merges, anything else replaces.

    Neither argument is changed, and the result shares no dictionary with `target` where the patch reached.
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result
