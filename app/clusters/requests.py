"""From the body of a request to a checked cluster spec: Slipway's own, or an eksctl ClusterConfig. Pure."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import create_model

from app.clusters.clusterconfig import Expectation, translate
from app.clusters.schemas import ClusterCreate, ClusterSpec, Documents
from app.core.documents import parse_yaml
from app.core.errors import FieldError, InvalidError
from app.core.merge_patch import merge_patch
from app.core.validation import validate
from app.stacks.template import refuse_dynamic_references

ORIGINAL = "original:"
"""Marks a pointer that is one of the caller's own document already."""


def _same(pointer: str) -> str:
    return pointer


@dataclass(frozen=True, slots=True)
class ClusterRequest:
    """What a caller asks for.

    Attributes:
        spec: The cluster.
        parts: Documents of what is to be made with it, without what the cluster gives, by field: `nodegroups`, ….
        releases: Documents of its releases, likewise.
        warnings: What works in a way that the caller should know.
        expectations: What the document says of things that exist already.
        whole: It was a ClusterConfig, which always gets a parent operation.
        pointer: From a pointer of Slipway's spec to one of the caller's document.
    """

    spec: ClusterSpec
    parts: dict[str, list[dict[str, Any]]]
    releases: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)
    whole: bool = False
    pointer: Callable[[str], str] = _same

    def in_their_words(self, error: InvalidError) -> InvalidError:
        """Return the error with its pointers into the caller's own document."""
        errors = [
            FieldError(
                each.pointer.removeprefix(ORIGINAL)
                if each.pointer.startswith(ORIGINAL)
                else self.pointer(each.pointer),
                each.detail,
            )
            for each in error.errors
        ]
        error.errors = errors
        return error


def read_request(document: Any, fields: tuple[str, ...]) -> ClusterRequest:
    """Read a body.

    Args:
        document: Bytes of YAML, or what JSON was parsed to.
        fields: Which of its fields hold what belongs to the cluster.

    Raises:
        MalformedError: YAML that is none.
        InvalidError: with pointers into the caller's document.
    """
    if isinstance(document, bytes):
        document = parse_yaml(document)
        refuse_dynamic_references(document)
        return _clusterconfig(document)
    refuse_dynamic_references(document)
    if isinstance(document, dict) and ("kind" in document or "apiVersion" in document):
        return _clusterconfig(document)
    body: Any = validate(_with_parts(fields), document)
    values = {name: getattr(body, name) for name in ClusterSpec.model_fields}
    parts = {name: getattr(body, name) for name in fields}
    return ClusterRequest(ClusterSpec.model_construct(**values), parts, body.releases)


@functools.cache
def _with_parts(fields: tuple[str, ...]) -> type[ClusterCreate]:
    listed: Any = {name: (Documents, []) for name in fields if name not in ClusterCreate.model_fields}
    return create_model("ClusterCreate", __base__=ClusterCreate, **listed)


def read_patch(spec: dict[str, Any], patch: dict[str, Any]) -> ClusterSpec:
    """Return a spec with a merge patch applied; `version` is None if the patch removes it.

    Raises:
        InvalidError: with pointers into the spec.
    """
    refuse_dynamic_references(patch)
    return validate(ClusterSpec, merge_patch(spec, patch))


def _clusterconfig(document: Any) -> ClusterRequest:
    translation = translate(document)
    try:
        spec = validate(ClusterSpec, translation.cluster)
    except InvalidError as error:
        error.errors = [FieldError(translation.original_pointer(each.pointer), each.detail) for each in error.errors]
        raise
    return ClusterRequest(
        spec,
        {"nodegroups": translation.nodegroups},
        warnings=translation.warnings,
        expectations=translation.expectations,
        whole=True,
        pointer=translation.original_pointer,
    )
