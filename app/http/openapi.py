"""The OpenAPI document: what FastAPI makes of the routes, with the problems that every route has in common added.

Routers say only what is special to a route (`responses=problems(404, 409)`); what follows from its form (a body, a
key, an ETag, a page) is added here.
"""

import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app.http.problems import MEDIA_TYPE, Problem
from app.http.route import MEDIA_TYPES_KEY

Document = dict[str, Any]

CALLBACK_KEY = "x-slipway-callback"
"""Names, among the webhooks, the callback that is sent to a request's `callback_url`; taken out of the document."""

_CALLBACK_URL = "callback_url"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_FASTAPI_ERRORS = ("HTTPValidationError", "ValidationError")
_DESCRIPTIONS = {
    400: "The request cannot be parsed.",
    401: "Credentials are missing or wrong.",
    403: "Not allowed.",
    404: "There is no such resource.",
    409: "It conflicts with the present state, for example with an operation that runs (`operation_id`).",
    412: "`If-Match` names another generation.",
    413: "The body is too large.",
    415: "The content type is not one that this path takes.",
    422: "The request is not valid; `errors` names each place.",
    429: "Too many requests; come back after `Retry-After` seconds.",
    503: "Temporarily unavailable; come back after `Retry-After` seconds.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses=` of a route that may answer with these problems.

    401, 503, and what follows from a body, a page or an idempotency key, need not be named.
    """
    return {status: _problem_response(status) for status in statuses}


def _problem_response(status: int) -> dict[str, Any]:
    description = _DESCRIPTIONS.get(status, HTTPStatus(status).phrase)
    return {"description": description, "content": {MEDIA_TYPE: {"schema": dict(_PROBLEM)}}}


def operation_id(route: APIRoute) -> str:
    """Return a route's operation id: its handler's name, which is a good name for a client's method."""
    return route.name


_OLD_NAMES = frozenset({"application/x-yaml", "text/yaml"})
"""Taken for `application/yaml` (RFC 9512), and not worth a line in the document."""


def document(app: FastAPI) -> Document:
    """Return the OpenAPI document of the app; needs nothing but the routes."""
    made: Document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        webhooks=app.webhooks.routes,
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name in _FASTAPI_ERRORS:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    callbacks = _callbacks(made)
    for operation in _operations(made):
        if any(parameter["name"] == _CALLBACK_URL for parameter in operation.get("parameters", ())):
            operation["callbacks"] = callbacks
        _add_body_types(operation, operation.pop(MEDIA_TYPES_KEY, ()), schemas)
        _add_problems(operation)
        _add_headers(operation)
    _spread_examples(schemas)
    return _named_by_title(made)


def render(app: FastAPI) -> str:
    """Return the document as text that only changes when the API does."""
    return json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _operations(made: Document) -> Iterator[dict[str, Any]]:
    for path in made.get("paths", {}).values():
        yield from (operation for operation in path.values() if "responses" in operation)


def _callbacks(made: Document) -> Document:
    """Return what is sent to a `callback_url`, for each operation to hold: client generators follow no reference."""
    callbacks: Document = {}
    for path in made.get("webhooks", {}).values():
        operation = path["post"]
        operation["responses"].pop("422", None)
        if name := operation.pop(CALLBACK_KEY, None):
            url = "{$request.query." + _CALLBACK_URL + "}"
            callbacks[name] = {url: {"post": {**operation, "operationId": name}}}
    return callbacks


def _add_body_types(operation: dict[str, Any], media_types: Iterable[str], schemas: Document) -> None:
    """Say in which forms a body may come; its schema has a name, so that a client has one type for all of them."""
    body = operation.get("requestBody")
    if not body:
        return
    media = next(iter(body["content"].values()))
    if "$ref" not in media["schema"]:
        words = [*operation["operationId"].split("_"), media["schema"].pop("title", "body")]
        name = "".join(word.capitalize() for word in words)
        schemas[name] = media["schema"]
        media = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    body["content"] = {media_type: media for media_type in media_types if media_type not in _OLD_NAMES}


def _add_problems(operation: dict[str, Any]) -> None:
    names = {parameter["name"].lower() for parameter in operation.get("parameters", ())}
    statuses = {503}
    if operation.get("security"):
        statuses |= {401, 422}
    if "requestBody" in operation:
        statuses |= {400, 413, 415}
    if "if-match" in names:
        statuses |= {400, 412}
    if "idempotency-key" in names:
        statuses |= {409}
    responses = operation["responses"]
    if not operation.get("security"):
        responses.pop("422", None)
    for status in statuses:
        if MEDIA_TYPE not in responses.get(str(status), {}).get("content", {}):
            responses[str(status)] = _problem_response(status)


def _add_headers(operation: dict[str, Any]) -> None:
    accepted = operation["responses"].get("202")
    if accepted:
        accepted["description"] = "Accepted; the work goes on in the background."
        accepted["headers"] = {
            "Location": {"description": "The operation.", "schema": {"type": "string"}},
            "Retry-After": {"description": "Seconds until it is worth a look.", "schema": {"type": "integer"}},
        }


def _named_by_title(made: Document) -> Document:
    """Call each schema what its title says (`Operation`, `OperationPage`), where that is one word and nobody else's."""
    schemas = made["components"]["schemas"]
    titles = [schema.get("title", "") for schema in schemas.values()]
    names = {
        f"#/components/schemas/{name}": schema["title"]
        for name, schema in schemas.items()
        if schema.get("title", "").isidentifier()
        and titles.count(schema["title"]) == 1
        and schema["title"] not in schemas.keys() - {name}
    }

    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: rename(child) for key, child in value.items()}
        if isinstance(value, list):
            return [rename(child) for child in value]
        return f"#/components/schemas/{names[value]}" if isinstance(value, str) and value in names else value

    renamed: Document = rename(made)
    renamed["components"]["schemas"] = {
        names.get(f"#/components/schemas/{name}", name): schema
        for name, schema in renamed["components"]["schemas"].items()
    }
    return renamed


def _spread_examples(schemas: Document) -> None:
    """Give the parts of a model that has an example their part of it."""
    pending = list(schemas)
    while pending:
        schema = schemas[pending.pop()]
        for example in schema.get("examples", ())[:1]:
            for target, part in _parts(schema, example):
                if target in schemas and "examples" not in schemas[target] and "enum" not in schemas[target]:
                    schemas[target]["examples"] = [part]
                    pending.append(target)
    for schema in schemas.values():
        _example_from_parts(schema, schemas)


def _parts(schema: Document, example: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(example, dict):
        return
    for name, property_ in schema.get("properties", {}).items():
        value = example.get(name)
        items = property_.get("items", {})
        for target in _refs(property_):
            if isinstance(value, dict):
                yield target, value
        for target in _refs(items):
            if isinstance(value, list) and value:
                yield target, value[0]


def _refs(schema: Document) -> Iterator[str]:
    for candidate in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if "$ref" in candidate:
            yield candidate["$ref"].rpartition("/")[2]


def _example_from_parts(schema: Document, schemas: Document) -> None:
    """Give a page the example of its items."""
    properties = schema.get("properties", {})
    if "examples" in schema or set(properties) != {"items", "next_page_token"}:
        return
    for target in _refs(properties["items"].get("items", {})):
        item = schemas[target].get("examples", [{}])[0]
        schema["examples"] = [{"items": [item], "next_page_token": None}]
