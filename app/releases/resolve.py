"""Reads what the references of values stand for, from the cluster and from Secrets Manager. Nothing of it is kept."""

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.core.crypto import Vault
from app.core.failure import Cause, Failure
from app.core.secrets.needles import needle_bytes
from app.core.secrets.scope import current
from app.gateways.aws.cloud import Clouds
from app.gateways.aws.errors import AccessDenied, AwsError
from app.gateways.kubernetes import errors as kubernetes_errors
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.errors import KubernetesError
from app.gateways.kubernetes.objects import Ref, mapping
from app.releases.ports import ClusterView
from app.releases.references import Kind, Path, Reference, filled, texts_of
from app.releases.secrets.opened import MOST_NEEDLE_BYTES, MOST_SECRET_CHARACTERS, Opened

AT_ONCE = 8
"""Secrets that are read at the same time."""
DEADLINE_SECONDS = 20.0
"""For all of a release's secrets; one that is late counts as away."""

State = Literal["absent", "refused", "away"]
"""`absent`: somebody may make it; `refused`: no use to ask again; `away`: could not be asked now."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why what a reference stands for cannot be had.

    Attributes:
        reference: Which.
        state: Whether it is of use to ask again.
        failure: What is wrong; never with anything that the secret holds.
    """

    reference: Reference
    state: State
    failure: Failure


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was found. Holds secrets, so that it has no `repr`.

    Attributes:
        found: By the path of its reference, as helm takes it: text, number or boolean.
        missing: What could not be had.
    """

    found: Mapping[Path, Any] = field(default_factory=dict, repr=False)
    missing: Sequence[Unresolved] = ()

    def filled(self, values: Opened) -> Opened:
        """Return the values with what was found in the place of the references."""
        return values.with_values(filled(values.values, self.found)) if self.found else values

    @property
    def secrets(self) -> list[str]:
        """What must not be seen."""
        return [text for value in self.found.values() for text in texts_of(value)]


_Source = tuple[Kind, str]


class Resolver:
    """Reads secrets for releases."""

    def __init__(self, clouds: Clouds, vault: Vault) -> None:
        self._clouds = clouds
        self._vault = vault

    async def resolve(
        self, references: Sequence[Reference], cluster: ClusterView, namespace: str, kubernetes: Kubernetes | None
    ) -> Resolved:
        """Read what references stand for, each secret once, and hide it; what cannot be had is in the result.

        Args:
            references: Of one release.
            cluster: Its cluster, whose account reads Secrets Manager.
            namespace: Of the release; the only one that Secrets are read of.
            kubernetes: The cluster's API server; None if that cannot be asked (yet).
        """
        sources = list(dict.fromkeys((each.kind, each.source) for each in references))
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(source: _Source) -> "_Held | _Fault":
            async with turn:
                return await self._read(source, cluster, namespace, kubernetes)

        tasks = [asyncio.create_task(one(source)) for source in sources]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=DEADLINE_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        read = {
            source: _LATE if task.cancelled() else task.result() for source, task in zip(sources, tasks, strict=True)
        }
        found = await asyncio.to_thread(_taken_apart, references, read)
        current().add(found.secrets)
        await current().prepare()
        return found

    def fingerprint(self, release_id: str, value: Any) -> str:
        """Return by what a secret of a release is known again."""
        return self._vault.fingerprint(_canonical(release_id, value))

    def is_same(self, release_id: str, value: Any, fingerprint: str) -> bool | None:
        """Tell whether a secret is the one of a fingerprint; None if that can't be told any more."""
        return self._vault.has_fingerprint(_canonical(release_id, value), fingerprint)

    async def _read(
        self, source: _Source, cluster: ClusterView, namespace: str, kubernetes: Kubernetes | None
    ) -> "_Held | _Fault":
        kind, name = source
        if kind == "from_secrets_manager":
            try:
                return await self._of_secrets_manager(name, cluster)
            except AwsError as error:
                return _aws_fault(error, name)
        if kubernetes is None:
            message = f"Cluster {cluster.name!r} cannot be asked for Secret {name} yet."
            return _Fault("away", Failure("cluster_not_ready", message, retryable=True))
        try:
            secret = await kubernetes.get(Ref("Secret", namespace, name))
        except KubernetesError as error:
            return _kubernetes_fault(error, name, namespace)
        except AwsError as error:  # of the token for the cluster
            return _aws_fault(error, name)
        if secret is None:
            return await _no_secret(kubernetes, name, namespace)
        return _Held(mapping(secret.get("data")))

    async def _of_secrets_manager(self, arn: str, cluster: ClusterView) -> "_Held | _Fault":
        region = arn.split(":")[3]
        cloud = await self._clouds.of(cluster.account_id, cluster.region)
        if region != cluster.region:
            known = await cloud.has_region(region)
            if not known:
                message = f"AWS has no region {region}."
                return _Fault("refused", Failure("secret_not_found", message, cause=Cause(arn, "Secret", message)))
            cloud = await self._clouds.of(cluster.account_id, region)
        return _Held(await cloud.secrets_manager.current(arn))


@dataclass(frozen=True, slots=True)
class _Held:
    """What a secret holds: the data of a Secret in base64, or a text, or bytes."""

    content: Mapping[str, Any] | str | bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Fault:
    state: State
    failure: Failure


_LATE = _Fault(
    "away", Failure("secret_unreachable", f"The secret was not read within {DEADLINE_SECONDS:.0f} s.", retryable=True)
)


async def _no_secret(kubernetes: Kubernetes, name: str, namespace: str) -> _Fault:
    """Tell a Secret that is missing from one of a namespace that is yet to be made, where a controller may put it."""
    message = f"Namespace {namespace} has no Secret {name}."
    hint = "Make the Secret in the release's namespace, or let the release depend_on the one that makes it."
    failure = Failure("secret_not_found", message, hint, Cause(name, "Secret", message))
    try:
        there = await kubernetes.get(Ref("Namespace", "", namespace)) is not None
    except KubernetesError:
        there = True
    return _Fault("absent" if there else "away", failure)


def _taken_apart(references: Sequence[Reference], read: Mapping[_Source, "_Held | _Fault"]) -> Resolved:
    found: dict[Path, Any] = {}
    missing: list[Unresolved] = []
    size = needles = 0
    for each in references:
        source = read[each.kind, each.source]
        value = source if isinstance(source, _Fault) else _value(each, source)
        if isinstance(value, _Fault):
            missing.append(Unresolved(each, value.state, value.failure))
            continue
        size += len(str(value))
        needles += needle_bytes([str(value)], MOST_NEEDLE_BYTES)
        if size > MOST_SECRET_CHARACTERS or needles > MOST_NEEDLE_BYTES:
            message = (
                f"The secrets of the release have more than {MOST_SECRET_CHARACTERS} characters together, or more than "
                f"{MOST_NEEDLE_BYTES} bytes in all ways of writing them."
            )
            missing.append(Unresolved(each, "refused", Failure("secrets_too_large", message)))
            break
        found[each.path] = value
    return Resolved(found, missing)


def _value(reference: Reference, held: _Held) -> Any:
    content = held.content
    if isinstance(content, Mapping):
        key = str(reference.key)
        if key not in content:
            hint = "Name a key that the Secret has, or add it there."
            return _fault(reference, "absent", "secret_key_not_found", "it has no such key", hint)
        try:
            return base64.b64decode(str(content[key] or ""), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return _fault(reference, "refused", "secret_not_text", "it is no UTF-8 text", _TEXT)
    if isinstance(content, bytes):
        return _fault(reference, "refused", "secret_not_text", "it was stored as SecretBinary", _TEXT)
    return content if reference.key is None else _member(reference, content)


_TEXT = "A value of a chart is text: store it as such (base64, if it is binary)."


def _member(reference: Reference, content: str) -> Any:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        hint = "Leave key out to take the whole text."
        return _fault(reference, "refused", "secret_not_text", "it holds no JSON object to take a key of", hint)
    if reference.key not in document:
        hint = "Name a member of the JSON object that the secret holds, or add it there."
        return _fault(reference, "refused", "secret_key_not_found", "it has no such key", hint)
    value = document[reference.key]
    if not isinstance(value, str | int | float) or value != value or value in (float("inf"), float("-inf")):
        return _fault(reference, "refused", "secret_not_text", "the key is no text, number or boolean", _TEXT)
    return value


def _fault(reference: Reference, state: State, code: str, what: str, hint: str) -> _Fault:
    message = f"{str(reference)[0].upper()}{str(reference)[1:]}: {what}."
    return _Fault(state, Failure(code, message, hint, Cause(reference.source, "Secret", message)))


def _aws_fault(error: AwsError, arn: str) -> _Fault:
    failure = error.as_failure(resource=arn, type="Secret")
    if isinstance(error, AccessDenied) and failure.code != "secret_access_denied":
        failure = Failure("secret_access_denied", failure.message, failure.hint, failure.cause)
    return _Fault("away" if failure.retryable else "refused", failure)


def _kubernetes_fault(error: KubernetesError, name: str, namespace: str) -> _Fault:
    failure = error.as_failure(resource=name, type="Secret")
    if isinstance(error, kubernetes_errors.Forbidden):
        hint = f"Slipway's access entry needs a policy that lets it get Secrets in namespace {namespace}."
        return _Fault("refused", Failure("secret_access_denied", failure.message, hint, failure.cause))
    away = failure.retryable or isinstance(error, kubernetes_errors.Unauthorized)
    return _Fault("away" if away else "refused", failure)


def _canonical(release_id: str, value: Any) -> str:
    return json.dumps([release_id, value])
