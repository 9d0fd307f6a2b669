"""Layers: pushed and pulled by the JSON API in parts, as well as by the registry protocol; both store the same."""

from __future__ import annotations

import base64
import uuid

from ministack.core.responses import get_account_id

from .images import digest_of
from .records import Contents, Record, contents_of, host, in_registry, refuse

_PART = 5 * 1024 * 1024


def begin(name: str) -> str:
    """Begins an upload and returns its id."""
    upload = str(uuid.uuid4())
    contents_of(name).uploads[upload] = bytearray()
    return upload


def upload_of(name: str, upload: str) -> bytearray:
    """What has arrived of an upload."""
    found = contents_of(name).uploads.get(upload)
    if found is None:
        raise refuse(
            "UploadNotFound",
            f"Upload with id '{upload}' does not exist in the repository with name '{name}' {in_registry()}",
        )
    return found


def finish(name: str, upload: str, digest: str) -> None:
    """Stores what has arrived, which must have this digest."""
    data = bytes(upload_of(name, upload))
    if digest_of(data) != digest:
        raise refuse(
            "InvalidLayer", f"Layer digest '{digest}' does not match the uploaded layer's, '{digest_of(data)}'"
        )
    inside = contents_of(name)
    inside.blobs[digest] = data
    del inside.uploads[upload]


def blob(name: str, digest: str) -> bytes:
    """A stored blob."""
    found = contents_of(name).blobs.get(digest)
    if found is None:
        raise refuse(
            "LayersNotFound",
            f"Layers with digests '[{digest}]' do not exist in the repository with name '{name}' {in_registry()}",
        )
    return found


def initiate(name: str, body: Record) -> Record:
    """InitiateLayerUpload."""
    return {"uploadId": begin(name), "partSize": 2 * _PART}


def upload_part(name: str, body: Record) -> Record:
    """UploadLayerPart: parts come one after another."""
    received = upload_of(name, body["uploadId"])
    try:
        data = base64.b64decode(body["layerPartBlob"], validate=True)
    except (TypeError, ValueError) as error:
        raise refuse("Serialization", "layerPartBlob must be a blob in Base64") from error
    first, last = body["partFirstByte"], body["partLastByte"]
    if first != len(received) or last - first + 1 != len(data):
        raise refuse("InvalidLayerPart", f"Layer part upload must continue at byte {len(received)}")
    received += data
    return {"uploadId": body["uploadId"], "lastByteReceived": len(received) - 1}


def complete(name: str, body: Record) -> Record:
    """CompleteLayerUpload."""
    digest, upload = body["layerDigests"][0], body["uploadId"]
    if not upload_of(name, upload):
        raise refuse("EmptyUpload", f"Upload with id '{upload}' does not contain any layer parts")
    if digest in contents_of(name).blobs:
        raise refuse("LayerAlreadyExists", f"Layer with digest '{digest}' already exists")
    finish(name, upload, digest)
    return {"uploadId": upload, "layerDigest": digest}


def availability(name: str, body: Record) -> Record:
    """BatchCheckLayerAvailability."""
    inside: Contents = contents_of(name)
    layers, failures = [], []
    for digest in body["layerDigests"]:
        if not digest.startswith("sha256:"):
            reason = "Invalid layer digest"
            failures.append({"layerDigest": digest, "failureCode": "InvalidLayerDigest", "failureReason": reason})
            continue
        data = inside.blobs.get(digest)
        state = "UNAVAILABLE" if data is None else "AVAILABLE"
        size = {} if data is None else {"layerSize": len(data)}
        layers.append({"layerDigest": digest, "layerAvailability": state, **size})
    return {"layers": layers, "failures": failures}


def download_url(name: str, body: Record) -> Record:
    """GetDownloadUrlForLayer. On AWS a URL of S3 that needs no token; here the registry's."""
    blob(name, body["layerDigest"])
    url = f"http://{host()}/v2/{name}/blobs/{body['layerDigest']}"
    return {"registryId": get_account_id(), "downloadUrl": url, "layerDigest": body["layerDigest"]}
