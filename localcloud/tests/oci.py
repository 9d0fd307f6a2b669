"""A small client of the registry protocol, and images to push with it."""

from __future__ import annotations

import hashlib
import itertools
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from .conftest import Cloud

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
HELM = "application/vnd.cncf.helm.config.v1+json"
_SERIAL = itertools.count(1)


def digest_of(data: bytes) -> str:
    """The digest of a blob or manifest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Answer:
    """What the registry answered."""

    status: int
    headers: Any
    body: bytes

    @property
    def error(self) -> str:
        """The code and message of the first error."""
        found = json.loads(self.body)["errors"][0]
        return f"{found['code']}: {found['message']}"


class Registry:
    """The registry, with the token that an ECR client gets."""

    def __init__(self, cloud: Cloud, client: Any = None) -> None:
        self.endpoint = cloud.endpoint
        given = (client or cloud.client("ecr")).get_authorization_token()["authorizationData"][0]
        self.authorization = f"Basic {given['authorizationToken']}"
        self.given = given

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; the authorization is sent unless it is given as ""."""
        sent = {"Authorization": self.authorization, **{k.replace("_", "-"): v for k, v in headers.items()}}
        url = path if path.startswith("http") else f"{self.endpoint}{path}"
        sent = {name: value for name, value in sent.items() if value}
        request = urllib.request.Request(url, body, sent, method=method)
        try:
            with urllib.request.urlopen(request) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def blob(self, name: str, data: bytes) -> dict[str, Any]:
        """Pushes a blob with POST and PUT, and returns its size and digest."""
        digest = digest_of(data)
        begun = self.call("POST", f"/v2/{name}/blobs/uploads/", b"")
        assert begun.status == 202, begun.body
        put = self.call("PUT", f"{begun.headers['Location']}?digest={digest}", data)
        assert put.status == 201, put.body
        return {"digest": digest, "size": len(data)}

    def image(self, name: str, tag: str = "", layer: bytes = b"", kind: str = CONFIG, **more: Any) -> str:
        """Pushes an image of one layer, by tag or by digest, and returns its digest."""
        serial = next(_SERIAL)
        config = self.blob(name, json.dumps({"architecture": "amd64", "os": "linux", "serial": serial}).encode())
        layers = [{"mediaType": LAYER, **self.blob(name, layer or f"layer {serial}".encode())}]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": kind, **config},
            "layers": layers,
        }
        return self.manifest(name, tag, {**manifest, **more})

    def manifest(self, name: str, tag: str, document: dict[str, Any]) -> str:
        """Pushes a manifest and returns its digest."""
        data = json.dumps(document).encode()
        put = self.call(
            "PUT", f"/v2/{name}/manifests/{tag or digest_of(data)}", data, Content_Type=document["mediaType"]
        )
        assert put.status == 201, put.body
        return str(put.headers["Docker-Content-Digest"])

    def index(self, name: str, tag: str, *children: str) -> str:
        """Pushes an index of images that are there."""
        listed = [{"mediaType": MANIFEST, "digest": child, "size": 1} for child in children]
        return self.manifest(name, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
