"""What is wrong with a request, said so that a human can put it right: JSON pointers and plain sentences.

pydantic's own error locations hold names of union branches and tags, which are nowhere in what the caller sent; they
are found out by walking the data along the location. An unknown field is answered with the name that was meant.
"""

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError

from app.core.errors import FieldError, InvalidError

MAX_ERRORS = 50
_LONGEST_GUESSED = 64  # difflib is quadratic

Location = Sequence[str | int]
T = TypeVar("T")

_MESSAGES = {
    "missing": "is required",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_from_float": "must be an integer",
    "int_parsing_size": "is too large",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dataclass_type": "must be an object",
    "none_required": "must be null",
    "json_invalid": "is not JSON",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_pattern_mismatch": "must match {pattern}",
    "union_tag_not_found": "must say which kind it is, in {discriminator}",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}",
}


def validate(model: type[T], data: Any, *, pointer: str = "") -> T:
    """Return `data` as `model` (a pydantic model, or any type that pydantic knows).

    Args:
        model: What the data should be; its own configuration decides how strictly types are taken.
        data: JSON values.
        pointer: Where `data` stands in the request, put before every pointer of the errors.

    Raises:
        InvalidError: Code `invalid`, with one `FieldError` for each wrong place.
    """
    try:
        return TypeAdapter(model).validate_python(data)
    except ValidationError as error:
        raise invalid(field_errors(error.errors(include_url=False), data, model, pointer=pointer)) from None


def invalid(errors: list[FieldError], total: int | None = None) -> InvalidError:
    """Return the error for these places."""
    count = total or len(errors)
    if count == 1:
        where = f" at {errors[0].pointer}" if errors[0].pointer else ""
        return InvalidError(f"The request is not valid{where}: {errors[0].detail}".rstrip("?.") + ".", errors)
    return InvalidError(f"The request is not valid in {count} places.", errors)


def repeated(places: Mapping[str, str]) -> list[FieldError]:
    """Return an error for each value that an earlier place has, too.

    Args:
        places: Values that must differ, by their JSON pointers, in the order of the request.
    """
    seen: set[str] = set()
    errors = []
    for pointer, value in places.items():
        if value in seen:
            errors.append(FieldError(pointer, f"{value!r} stands twice"))
        seen.add(value)
    return errors


def field_errors(
    errors: Iterable[Mapping[str, Any]], data: Any, model: Any = None, *, pointer: str = ""
) -> list[FieldError]:
    """Return pydantic's errors as places and sentences, at most `MAX_ERRORS`, each place once.

    Args:
        errors: `ValidationError.errors()`.
        data: What was validated.
        model: The type it was validated against, to guess what an unknown field was meant to be.
        pointer: Put before every pointer.
    """
    found: dict[str, list[str]] = {}
    for error in errors:
        location = _real_location(error["loc"], data, missing=error["type"] == "missing")
        place = pointer + json_pointer(location)
        if place not in found and len(found) == MAX_ERRORS:
            break
        details = found.setdefault(place, [])
        detail = _detail(error, location, model)
        if detail not in details:
            details.append(detail)
    return [FieldError(place, ", or ".join(details)) for place, details in found.items()]


def json_pointer(location: Location) -> str:
    """Return the JSON pointer (RFC 6901) of a path of keys and indexes; the empty path is the whole document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "…"?` for the name that is close to `word`, or nothing."""
    if len(word) > _LONGEST_GUESSED:
        return ""
    by_folded = {name.replace("_", "").lower(): name for name in known}
    close = difflib.get_close_matches(word.replace("_", "").replace("-", "").lower(), by_folded, n=1, cutoff=0.7)
    return f'; did you mean "{by_folded[close[0]]}"?' if close else ""


def _real_location(location: Location, data: Any, *, missing: bool) -> list[str | int]:
    """Drop what is not in the data: names of union branches and tags, pydantic's `[key]`."""
    path: list[str | int] = []
    here = data
    for index, part in enumerate(location):
        in_list = isinstance(here, list) and isinstance(part, int) and 0 <= part < len(here)
        if in_list or (isinstance(here, Mapping) and part in here):
            here = here[part]
        elif not (missing and index == len(location) - 1):
            continue
        path.append(part)
    return path


def _detail(error: Mapping[str, Any], location: Location, model: Any) -> str:
    kind, context = error["type"], error.get("ctx") or {}
    if kind == "extra_forbidden":
        return "unknown field" + did_you_mean(str(location[-1]) if location else "", _names_at(model, location[:-1]))
    if kind == "value_error" and "error" in context:
        return str(context["error"]).rstrip(".")
    if kind == "missing" and not location:
        return "a body is required"
    template = _MESSAGES.get(kind)
    if template is None:
        message = str(error["msg"])
        return message[:1].lower() + message[1:]
    return template.format_map(context)


def _names_at(model: Any, location: Location) -> set[str]:
    """Return the names of the fields that the models at `location` have."""
    types_here = list(_branches(model))
    for part in location:
        types_here = [branch for here in types_here for child in _children(here, part) for branch in _branches(child)]
    return {
        field.alias or name
        for here in types_here
        if _is_model(here) and not issubclass(here, RootModel)
        for name, field in here.model_fields.items()
    }


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _branches(annotation: Any) -> Iterator[Any]:
    """Take off Annotated, and open unions and root models."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _branches(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _branches(member)
    elif _is_model(annotation) and issubclass(annotation, RootModel):
        yield from _branches(annotation.model_fields["root"].annotation)
    elif annotation is not None:
        yield annotation


def _children(annotation: Any, part: str | int) -> Iterator[Any]:
    """Return the types of the member `part` of a type."""
    arguments = get_args(annotation)
    if _is_model(annotation):
        for name, field in annotation.model_fields.items():
            if part in (name, field.alias):
                yield field.annotation
    elif arguments and isinstance(part, int):
        yield arguments[0]
    elif len(arguments) == 2:  # a mapping
        yield arguments[1]


def differences(before: Any, after: Any, pointer: str) -> Iterator[str]:
    """Yield the pointers of all innermost fields that differ; lists count as one field."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            escaped = key.replace("~", "~0").replace("/", "~1")
            yield from differences(before.get(key), after.get(key), f"{pointer}/{escaped}")
    elif before != after:
        yield pointer


def at_pointer(document: Any, pointer: str) -> Any:
    """Return what stands at a pointer that leads through mappings only; None if nothing does."""
    for part in pointer.split("/")[1:]:
        if not isinstance(document, Mapping):
            return None
        document = document.get(part.replace("~1", "/").replace("~0", "~"))
    return document
