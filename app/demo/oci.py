"""A small container image in an OCI layout, and its push by oras: no Docker engine is needed for either.

Layout: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def write_layout(
    folder: Path, files: Mapping[str, bytes], tag: str, annotations: Mapping[str, str] | None = None
) -> str:
    """Write an image of one layer as an OCI layout; return the digest of its manifest.

    Args:
        folder: Where; it is made.
        files: Paths in the image and what stands there.
        tag: Its name in the layout.
        annotations: Of its manifest.
    """
    unpacked = _tar(files)
    layer = _blob(folder, gzip.compress(unpacked, mtime=0), LAYER)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(unpacked).hexdigest()}"]},
    }
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _blob(folder, _json(config), CONFIG),
        "layers": [layer],
    }
    if annotations:
        manifest["annotations"] = dict(annotations)
    described = _blob(folder, _json(manifest), MANIFEST)
    named = {**described, "annotations": {"org.opencontainers.image.ref.name": tag}}
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}))
    return str(described["digest"])


def push_layout(folder: Path, uri: str, username: str, password: str, *, plain_http: bool) -> None:
    """Push every image of an OCI layout under its name in it.

    Args:
        folder: The layout.
        uri: Host and repository, `127.0.0.1:4566/shop/catalogue`.
        username: Of the registry.
        password: Likewise.
        plain_http: The registry speaks no TLS.

    Raises:
        HTTPError: the registry refuses something.
    """
    from oras.provider import Registry

    registry = Registry(hostname=uri.partition("/")[0], insecure=plain_http, auth_backend="basic")
    registry.auth.set_basic_auth(username, password)
    for described in json.loads((folder / "index.json").read_bytes())["manifests"]:
        manifest = _path(folder, described["digest"]).read_bytes()
        container = registry.get_container(f"{uri}:{described['annotations']['org.opencontainers.image.ref.name']}")
        document = json.loads(manifest)
        for blob in (document["config"], *document["layers"]):
            registry.upload_blob(str(_path(folder, blob["digest"])), container, blob).raise_for_status()
        url = f"{registry.prefix}://{container.manifest_url()}"
        headers = {"Content-Type": described["mediaType"]}
        registry.do_request(url, "PUT", data=manifest, headers=headers).raise_for_status()


def _blob(folder: Path, data: bytes, media_type: str) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    path = _path(folder, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _path(folder: Path, digest: str) -> Path:
    algorithm, _, value = digest.partition(":")
    return folder / "blobs" / algorithm / value


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()
