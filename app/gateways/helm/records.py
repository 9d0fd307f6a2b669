"""Helm's own records of a release, read from their Secrets: quicker than another helm, and also while one works."""

import asyncio
import base64
import binascii
import json
import zlib
from collections.abc import Collection, Mapping
from typing import Any

from app.core.documents import UnreadableError, fetched_json
from app.gateways.helm.errors import HelmError
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.objects import Json, ManifestError, mapping, metadata_of, parse_manifest

RECORD_BYTES = 64 * 1024 * 1024
"""Most bytes of an unpacked record; Kubernetes keeps at most 1 MiB of it packed."""


async def records(kubernetes: Kubernetes, name: str, namespace: str, *, status: Collection[str] = ()) -> list[Json]:
    """Return the Secrets of a release's revisions, oldest first.

    Args:
        kubernetes: The cluster.
        name: Of the release.
        namespace: Of the release.
        status: Only those in one of these states, if there are some.

    Raises:
        KubernetesError: the cluster cannot be asked.
    """
    labels = f"owner=helm,name={name}"
    if status:
        labels += f",status in ({','.join(sorted(status))})"
    return sorted(await kubernetes.list("v1", "Secret", namespace=namespace, labels=labels), key=_revision)


def decode_record(secret: Json) -> dict[str, Any]:
    """Return a revision's record from its Secret.

    Args:
        secret: As the API has it; `release` of its data is base64 of base64 of gzip of JSON.

    Raises:
        HelmError: It can't be read.
    """
    data = str(mapping(secret.get("data")).get("release") or "")
    try:
        packed = base64.b64decode(base64.b64decode(data, validate=True), validate=True)
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        text = unpacker.decompress(packed, RECORD_BYTES)
        if unpacker.unconsumed_tail:
            raise HelmError(f"the release's record has more than {RECORD_BYTES} bytes")
        record = fetched_json(text, "the record")
    except (binascii.Error, zlib.error, UnreadableError, ValueError) as error:
        raise HelmError(f"the release's record can't be read: {error}") from error
    if not isinstance(record, dict):
        raise HelmError("the release's record is no map")
    return record


def encode_record(record: Mapping[str, Any]) -> str:
    """Return a record as the `release` of its Secret's data, which `decode_record` takes."""
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    packed = packer.compress(json.dumps(record, separators=(",", ":")).encode()) + packer.flush()
    return base64.b64encode(base64.b64encode(packed)).decode()


async def objects_of(record: Json) -> list[Json]:
    """Return the objects of a revision's manifest; none if it cannot be read as such.

    Raises:
        HelmError: the record cannot be read.
    """
    decoded = await asyncio.to_thread(decode_record, record)
    return await objects_in(str(decoded.get("manifest") or ""))


async def objects_in(manifest: str) -> list[Json]:
    """Return the objects of a manifest; none if it cannot be read."""
    try:
        return list(await asyncio.to_thread(parse_manifest, manifest))
    except ManifestError:
        return []


def label(record: Json, name: str) -> str:
    """Return one of the labels that helm gives its records; "" if it is not there."""
    return str(mapping(metadata_of(record).get("labels")).get(name) or "")


def _revision(record: Json) -> int:
    version = label(record, "version")
    return int(version) if version.isdecimal() and len(version) < 20 else 0
