"""Parameters of requests: checked against the service model that the SDKs have, and pages of lists."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from typing import Any

from .records import invalid, refuse


@functools.cache
def _model() -> Any:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("ecr", "service-2"))


def known(operation: str) -> bool:
    """Whether ECR has an operation of this name."""
    return operation in _model().operation_names


def check(operation: str, body: dict[str, Any]) -> None:
    """Refuses what the model does not allow: missing members, lengths, patterns and values of enumerations."""
    shape = _model().operation_model(operation).input_shape
    _check_structure(shape, body, "")


def _check(shape: Any, value: Any, path: str) -> None:
    if shape.type_name == "structure":
        _check_structure(shape, value, path)
    elif shape.type_name == "list":
        _check_type(list, value, path)
        _check_length(shape, value, path)
        for item in value:
            _check(shape.member, item, path)
    elif shape.type_name == "string":
        _check_type(str, value, path)
        _check_string(shape, value, path)
    elif shape.type_name in ("integer", "long"):
        _check_type(int, value, path)
        _check_range(shape, value, path)
    elif shape.type_name == "boolean":
        _check_type(bool, value, path)


def _check_type(wanted: type, value: Any, path: str) -> None:
    if not isinstance(value, wanted):
        raise refuse("Serialization", f"{path} must be of type {wanted.__name__}")


def _check_structure(shape: Any, value: Any, path: str) -> None:
    _check_type(dict, value, path or "the body")
    for name in shape.required_members:
        if value.get(name) is None:
            raise invalid(f"{path}{name}", "must not be null")
    for name, member in shape.members.items():
        if value.get(name) is not None:
            _check(member, value[name], name)


def _check_string(shape: Any, value: str, path: str) -> None:
    choices = shape.metadata.get("enum")
    if choices and value not in choices:
        raise invalid(path, f"Member must satisfy enum value set: [{', '.join(choices)}]")
    _check_length(shape, value, path)
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        raise invalid(path, f"must satisfy regular expression '{pattern}'")


def _check_length(shape: Any, value: Any, path: str) -> None:
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max")
    if len(value) < low:
        raise invalid(path, f"Member must have length greater than or equal to {low}")
    if high is not None and len(value) > high:
        raise invalid(path, f"Member must have length less than or equal to {high}")


def _check_range(shape: Any, value: int, path: str) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        raise invalid(path, f"Member must have value greater than or equal to {low}")
    if high is not None and value > high:
        raise invalid(path, f"Member must have value less than or equal to {high}")


def page(body: dict[str, Any], key: str, items: list[Any], size: int = 100) -> dict[str, Any]:
    """A page of `items` under `key`, with the token of the next one if there is more."""
    start, size = _start(body.get("nextToken")), body.get("maxResults") or size
    answer: dict[str, Any] = {key: items[start : start + size]}
    if start + size < len(items):
        answer["nextToken"] = base64.b64encode(f"after {start + size}".encode()).decode()
    return answer


def _start(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token, validate=True).decode().removeprefix("after "))
    except (binascii.Error, ValueError) as error:
        raise refuse("InvalidParameter", "Invalid parameter at 'nextToken': the token is not valid") from error
