"""What a manifest would change: each object applied server-side as a dry run, against what is there.

The API server fills in defaults and runs its webhooks, so that only real changes show. Secrets' values are never in
the result.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.core.secrets import REDACTED
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.errors import Forbidden, Invalid, KindNotAvailable, KubernetesError, NotFound
from app.gateways.kubernetes.objects import Json, Ref, mapping, ref_of
from app.gateways.kubernetes.resources import AT_ONCE, together

HELM = "helm"
"""The field manager of helm 4."""
_OF_SECRETS = ("/data", "/stringData", "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration")
"""Where the values of a Secret stand in it; the annotation is a copy of the whole."""
MOST_FIELDS = 200
"""Changes of one object that are listed."""

Action = Literal["create", "change", "delete", "none", "refused"]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that would change.

    Attributes:
        pointer: JSON pointer into the object.
        before: What is there; None for nothing.
        after: What would be; None for nothing.
    """

    pointer: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """What would happen to one object.

    Attributes:
        ref: Which.
        action: `refused` if the API server would not take it.
        fields: What would change, for `change`.
        message: Why it is refused, or why nothing more can be told.
    """

    ref: Ref
    action: Action
    fields: tuple[FieldChange, ...] = ()
    message: str = ""


async def diff(
    kubernetes: Kubernetes, wanted: Sequence[Json], present: Sequence[Json], *, namespace: str, release: str
) -> list[ObjectChange]:
    """Return what helm would change by applying `wanted`, objects without a change too; in its order, deletions last.

    Args:
        kubernetes: The cluster.
        wanted: Objects of the new manifest.
        present: Objects of the manifest that is installed; those that aren't wanted any more would be deleted.
        namespace: Of the release.
        release: Its name, which helm writes on every object.

    Raises:
        KubernetesError: The cluster can't be asked; what it says of one object is in the result instead.
    """
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(item: Json) -> ObjectChange:
        async with turn:
            return await _change(kubernetes, _as_helms(item, release, namespace), namespace)

    changes = await together(one(item) for item in wanted)
    kept = {_identity(change.ref) for change in changes}
    for ref in dict.fromkeys(ref_of(item) for item in present):
        ref = await _placed(kubernetes, ref, namespace)
        if _identity(ref) not in kept and await kubernetes.get(ref) is not None:
            changes.append(ObjectChange(ref, "delete"))
    return changes


def field_changes(before: Json, after: Json) -> tuple[FieldChange, ...]:
    """Return the fields that differ, without those that the API server keeps for itself; at most `MOST_FIELDS`.

    Args:
        before: An object.
        after: The same one later.
    """
    secret = before.get("kind") == "Secret" and before.get("apiVersion") == "v1"
    found: list[FieldChange] = []
    for pointer, old, new in _differences(_own(before), _own(after), ""):
        if secret and (pointer.startswith(_OF_SECRETS) or pointer == "/metadata/annotations"):
            old, new = _redacted(old), _redacted(new)
        found.append(FieldChange(pointer, old, new))
        if len(found) >= MOST_FIELDS:
            break
    return tuple(found)


def _as_helms(item: Json, release: str, namespace: str) -> dict[str, Any]:
    """Return an object as helm applies it (pkg/action/validate.go, setMetadataVisitor)."""
    metadata = dict(mapping(item.get("metadata")))
    owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    metadata["labels"] = {**mapping(metadata.get("labels")), "app.kubernetes.io/managed-by": "Helm"}
    metadata["annotations"] = {**mapping(metadata.get("annotations")), **owner}
    return {**item, "metadata": metadata}


async def _change(kubernetes: Kubernetes, item: Json, namespace: str) -> ObjectChange:
    ref = await _placed(kubernetes, ref_of(item), namespace)
    try:
        live = await kubernetes.get(ref)
        body = {**item, "metadata": {**mapping(item.get("metadata"))}}
        if ref.namespace:
            body["metadata"]["namespace"] = ref.namespace
        merged = await kubernetes.apply(body, manager=HELM, force=True, dry_run=True)
    except KindNotAvailable as error:
        return ObjectChange(ref, "create", message=error.message)
    except NotFound as error:  # the namespace isn't there yet
        return ObjectChange(ref, "create", message=error.message)
    except (Invalid, Forbidden) as error:
        return ObjectChange(ref, "refused", message=error.message)
    except KubernetesError as error:
        if error.status is None or error.retryable:
            raise
        return ObjectChange(ref, "refused", message=error.message)
    if live is None:
        return ObjectChange(ref, "create")
    fields = field_changes(live, merged)
    return ObjectChange(ref, "change" if fields else "none", fields)


async def _placed(kubernetes: Kubernetes, ref: Ref, namespace: str) -> Ref:
    try:
        return ref.within(namespace) if await kubernetes.is_namespaced(ref) else ref
    except KindNotAvailable:
        return ref.within(namespace)


def _identity(ref: Ref) -> tuple[str, str, str, str]:
    """Without the version: an object that moves from v1beta1 to v1 is the same one."""
    return ref.api_version.rpartition("/")[0], ref.kind, ref.namespace, ref.name


_KEPT_BY_SERVER = frozenset({"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"})


def _own(item: Json) -> dict[str, Any]:
    metadata = {key: value for key, value in mapping(item.get("metadata")).items() if key not in _KEPT_BY_SERVER}
    return {key: value for key, value in item.items() if key not in ("status", "metadata")} | {"metadata": metadata}


def _differences(before: Any, after: Any, pointer: str) -> Iterator[tuple[str, Any, Any]]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            place = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
            yield from _differences(before.get(key), after.get(key), place)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _differences(old, new, f"{pointer}/{index}")
    else:
        yield pointer, before, after


def _redacted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict.fromkeys(value, REDACTED)
    return None if value is None else REDACTED
