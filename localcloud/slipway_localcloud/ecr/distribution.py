"""The registry protocol under /v2/ (the OCI distribution specification, as ECR speaks it).

The token says in whose account and region a request is. A repository that is not there but in another
account of the region is that one's, if its policy lets the token's principal in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote

from ministack.services import ecr

from ..errors import AwsError
from . import access, images, layers, tokens
from .records import Record, contents_of, host, image, now, refuse, within

Response = tuple[int, dict[str, str], bytes]

_NAME = r"(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
_ROUTES = [
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"/v2/?", "ping"),
        (r"/v2/_catalog", "catalog"),
        (rf"/v2/{_NAME}/tags/list", "tags"),
        (rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)", "manifest"),
        (rf"/v2/{_NAME}/referrers/(?P<reference>[^/]+)", "referrers"),
        (rf"/v2/{_NAME}/blobs/uploads/?", "uploads"),
        (rf"/v2/{_NAME}/blobs/uploads/(?P<reference>[^/]+)", "upload"),
        (rf"/v2/{_NAME}/blobs/(?P<reference>[^/]+)", "blob"),
    )
]
# What ECR's errors are in the registry protocol: status and code.
_ERRORS = {
    "RepositoryNotFoundException": (404, "NAME_UNKNOWN"),
    "ImageNotFoundException": (404, "MANIFEST_UNKNOWN"),
    "LayersNotFoundException": (404, "BLOB_UNKNOWN"),
    "ReferencedImagesNotFoundException": (404, "MANIFEST_BLOB_UNKNOWN"),
    "UploadNotFoundException": (404, "BLOB_UPLOAD_UNKNOWN"),
    "InvalidLayerException": (400, "DIGEST_INVALID"),
    "InvalidLayerPartException": (416, "BLOB_UPLOAD_INVALID"),
    "ImageDigestDoesNotMatchException": (400, "DIGEST_INVALID"),
    "ImageTagAlreadyExistsException": (400, "TAG_INVALID"),
    "InvalidParameterException": (400, "MANIFEST_INVALID"),
    "UnsupportedException": (405, "UNSUPPORTED"),
}
_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
_PAGE = 1000


@dataclass
class Call:
    """One request: `name` is the repository, `reference` the tag, digest or upload."""

    method: str
    name: str
    reference: str
    headers: dict[str, str]
    query: dict[str, list[str]]
    body: bytes
    answer: dict[str, str] = field(default_factory=dict)

    def one(self, key: str) -> str:
        """One query parameter, or ""."""
        return (self.query.get(key) or [""])[0]


def is_registry(path: str) -> bool:
    """Whether a path is the registry protocol's."""
    return path == "/v2" or path.startswith("/v2/")


def operation_of(method: str, path: str) -> str:
    """What a request is called in rules and counts: the operation of ECR that it stands for."""
    found, kind = _route(path)
    entry = _entry(method, kind) if found else None
    return f"registry:{entry[0]}" if entry else f"registry:{method} {path}"


def _route(path: str) -> tuple[re.Match[str] | None, str]:
    return next(((match, kind) for pattern, kind in _ROUTES if (match := pattern.fullmatch(path))), (None, ""))


def handle(method: str, path: str, headers: dict[str, str], query: str, body: bytes) -> Response:
    """Answers a request to /v2/. HEAD has the headers of GET, and Content-Length with them."""
    found, kind = _route(path)
    principal = tokens.read(headers.get("authorization", ""))
    if "authorization" not in headers:
        challenge = f'Basic realm="http://{host()}/",service="ecr.amazonaws.com"'
        return 401, {"WWW-Authenticate": challenge, "Content-Type": "text/plain"}, b"Not Authorized\n"
    if principal is None:
        return refusal(400, "DENIED", "Your Authorization Token is invalid.")
    if not principal[1]:
        return refusal(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
    if found is None:
        return refusal(404, "UNSUPPORTED", f"there is nothing at {path}")
    groups = found.groupdict()
    call = Call(method, groups.get("name") or "", groups.get("reference") or "", headers, parse_qs(query), body)
    try:
        return _operate(kind, call, principal[0])
    except AwsError as error:
        status, code = _ERRORS.get(error.code, (403, "DENIED"))
        return refusal(status, code, error.message, call.answer)


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error as the protocol writes it; AWS's codes for throttling have one of their own."""
    code = "TOOMANYREQUESTS" if status == 429 or code.startswith("Throttling") else code
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return status, {**_VERSION, "Content-Type": "application/json", **(headers or {})}, body


def _entry(method: str, kind: str) -> tuple[str, Callable[[Call], tuple[int, bytes]]] | None:
    return _OPERATIONS.get((method, kind)) or (_OPERATIONS.get(("GET", kind)) if method == "HEAD" else None)


def _operate(kind: str, call: Call, principal: access.Principal) -> Response:
    entry = _entry(call.method, kind)
    if entry is None:
        raise refuse("Unsupported", "The operation is unsupported.")
    action, operation = entry
    owner = _owner(call.name, f"ecr:{action}", principal)
    with within(owner, principal.region):
        status, body = operation(call)
    return status, {**_VERSION, **call.answer}, body


def _owner(name: str, action: str, principal: access.Principal) -> str:
    """The account whose repository is meant, if the principal may do this there."""
    if not name:
        return principal.account
    accounts = [principal.account]
    if ecr._repositories.get_scoped(principal.account, principal.region, name) is None:
        keys = (key for key in ecr._repositories._data if key[1:] == (principal.region, name))
        accounts = sorted(account for account, _, _ in keys) or accounts
    refused: AwsError | None = None
    for account in accounts:
        try:
            access.check(principal, action, account, name)
        except AwsError as error:
            refused = refused or error
        else:
            return account
    assert refused is not None
    raise refused


def _ping(call: Call) -> tuple[int, bytes]:
    return _json(call, {})


def _json(call: Call, document: Record, kind: str = "application/json") -> tuple[int, bytes]:
    call.answer["Content-Type"] = kind
    return 200, json.dumps(document).encode()


def _cut(call: Call, items: list[str], path: str) -> list[str]:
    """A page of sorted items, with a Link to the next one."""
    size = int(call.one("n")) if call.one("n").isdigit() else _PAGE
    items = sorted(item for item in items if item > call.one("last"))
    if 0 < size < len(items):
        call.answer["Link"] = f'<{path}?n={size}&last={quote(items[size - 1], safe="")}>; rel="next"'
    return items[:size]


def _catalog(call: Call) -> tuple[int, bytes]:
    return _json(call, {"repositories": _cut(call, list(ecr._repositories), "/v2/_catalog")})


def _tags(call: Call) -> tuple[int, bytes]:
    tags = list(contents_of(call.name).tagged)
    return _json(call, {"name": call.name, "tags": _cut(call, tags, f"/v2/{call.name}/tags/list")})


def _image_id(reference: str) -> Record:
    return {"imageDigest" if ":" in reference else "imageTag": reference}


def _get_manifest(call: Call) -> tuple[int, bytes]:
    found = image(call.name, _image_id(call.reference))
    if call.method == "GET":
        found.pulled_at = now()
    call.answer.update({"Content-Type": found.media_type, "Docker-Content-Digest": found.digest})
    return 200, found.manifest


def _put_manifest(call: Call) -> tuple[int, bytes]:
    by = _image_id(call.reference)
    kind = call.headers.get("content-type", "").partition(";")[0].strip()
    tag, digest = by.get("imageTag", ""), by.get("imageDigest", "")
    stored, _ = images.put(call.name, call.body, kind, tag, digest)
    call.answer.update({"Location": f"/v2/{call.name}/manifests/{stored.digest}"})
    call.answer["Docker-Content-Digest"] = stored.digest
    if stored.subject:
        call.answer["OCI-Subject"] = stored.subject
    return 201, b""


def _delete_manifest(call: Call) -> tuple[int, bytes]:
    image(call.name, _image_id(call.reference))
    images.delete(call.name, _image_id(call.reference))
    return 202, b""


def _referrers(call: Call) -> tuple[int, bytes]:
    wanted = call.one("artifactType")
    found = [r for r in images.referrers(call.name, call.reference) if wanted in ("", r["artifactType"])]
    if wanted:
        call.answer["OCI-Filters-Applied"] = "artifactType"
    kind = "application/vnd.oci.image.index.v1+json"
    return _json(call, {"schemaVersion": 2, "mediaType": kind, "manifests": found}, kind)


def _begin_upload(call: Call) -> tuple[int, bytes]:
    """An upload in parts, or with `digest` all at once. A `mount` is not taken, as by ECR if not asked to."""
    upload, digest = layers.begin(call.name), call.one("digest")
    if digest:
        layers.upload_of(call.name, upload).extend(call.body)
        return _finish(call, upload, digest)
    return _progress(call, upload, 202)


def _progress(call: Call, upload: str, status: int) -> tuple[int, bytes]:
    received = len(layers.upload_of(call.name, upload))
    call.answer.update(
        {
            "Location": f"/v2/{call.name}/blobs/uploads/{upload}",
            "Range": f"0-{max(0, received - 1)}",
            "Docker-Upload-UUID": upload,
        }
    )
    return status, b""


def _append(call: Call) -> None:
    """Adds a part, which must go on where the last one ended."""
    received = layers.upload_of(call.name, call.reference)
    ranged = re.match(r"(?:bytes[ =])?(\d+)-(\d+)", call.headers.get("content-range", ""))
    if ranged and (int(ranged[1]) != len(received) or int(ranged[2]) + 1 - int(ranged[1]) != len(call.body)):
        _progress(call, call.reference, 416)
        raise refuse("InvalidLayerPart", f"Layer part upload must continue at byte {len(received)}")
    received += call.body


def _patch_upload(call: Call) -> tuple[int, bytes]:
    _append(call)
    return _progress(call, call.reference, 202)


def _put_upload(call: Call) -> tuple[int, bytes]:
    """The end of an upload, maybe with its last part. If the digest is wrong, the part counts as not sent."""
    before = len(layers.upload_of(call.name, call.reference))
    if call.body:
        _append(call)
    try:
        return _finish(call, call.reference, call.one("digest"))
    except AwsError:
        del layers.upload_of(call.name, call.reference)[before:]
        raise


def _finish(call: Call, upload: str, digest: str) -> tuple[int, bytes]:
    layers.finish(call.name, upload, digest)
    call.answer.update({"Location": f"/v2/{call.name}/blobs/{digest}", "Docker-Content-Digest": digest})
    return 201, b""


def _cancel_upload(call: Call) -> tuple[int, bytes]:
    layers.upload_of(call.name, call.reference)
    del contents_of(call.name).uploads[call.reference]
    return 204, b""


def _get_blob(call: Call) -> tuple[int, bytes]:
    found = layers.blob(call.name, call.reference)
    call.answer.update({"Content-Type": "application/octet-stream", "Docker-Content-Digest": call.reference})
    call.answer["Accept-Ranges"] = "bytes"
    part = re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("range", ""))
    if part is None:
        return 200, found
    first, last = int(part[1]), min(int(part[2] or len(found)), len(found) - 1)
    call.answer["Content-Range"] = f"bytes {first}-{last}/{len(found)}" if first <= last else f"bytes */{len(found)}"
    return (206, found[first : last + 1]) if first <= last else (416, b"")


_OPERATIONS: dict[tuple[str, str], tuple[str, Callable[[Call], tuple[int, bytes]]]] = {
    ("GET", "ping"): ("GetAuthorizationToken", _ping),
    ("GET", "catalog"): ("DescribeRepositories", _catalog),
    ("GET", "tags"): ("ListImages", _tags),
    ("GET", "manifest"): ("BatchGetImage", _get_manifest),
    ("PUT", "manifest"): ("PutImage", _put_manifest),
    ("DELETE", "manifest"): ("BatchDeleteImage", _delete_manifest),
    ("GET", "referrers"): ("ListImageReferrers", _referrers),
    ("POST", "uploads"): ("InitiateLayerUpload", _begin_upload),
    ("GET", "upload"): ("UploadLayerPart", lambda call: _progress(call, call.reference, 204)),
    ("PATCH", "upload"): ("UploadLayerPart", _patch_upload),
    ("PUT", "upload"): ("CompleteLayerUpload", _put_upload),
    ("DELETE", "upload"): ("UploadLayerPart", _cancel_upload),
    ("GET", "blob"): ("GetDownloadUrlForLayer", _get_blob),
    ("HEAD", "blob"): ("BatchCheckLayerAvailability", _get_blob),
}
