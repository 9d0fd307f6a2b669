"""Images: put, listed, described and deleted. The registry protocol calls the same functions."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from ministack.core.responses import get_account_id

from . import replication, scans
from .parameters import page
from .records import (
    Contents,
    Image,
    Record,
    contents_of,
    find,
    identifier,
    image,
    in_registry,
    invalid,
    now,
    refuse,
    repository,
)

PUSHED_AT = "localcloud.pushed-at"
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,299}")
_DIGEST = re.compile(r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")
_DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(data: bytes) -> str:
    """The digest of a manifest or blob."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _parsed(manifest: bytes) -> Record:
    try:
        document = json.loads(manifest)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        raise invalid("ImageManifest", "Invalid JSON syntax")
    named = [document[key] for key in ("layers", "manifests") if document.get(key) is not None]
    single = [document[key] for key in ("config", "subject") if document.get(key)]
    if not all(isinstance(listed, list) for listed in named):
        raise invalid("ImageManifest", "layers and manifests must be lists")
    if not all(_is_descriptor(one) for listed in [*named, single] for one in listed):
        raise invalid("ImageManifest", "a descriptor must have a digest and a size")
    return document


def _is_descriptor(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("digest"), str) and isinstance(found.get("size"), int)


def _pushed_at(document: Record) -> float:
    """Now, or what the manifest's annotation says: a test can't wait for images to grow old."""
    annotations = document.get("annotations") or {}
    try:
        told = annotations.get(PUSHED_AT)
        return datetime.fromisoformat(told).timestamp() if told else now()
    except (AttributeError, TypeError, ValueError) as error:
        raise invalid("ImageManifest", f"the annotation {PUSHED_AT} must be a time") from error


def put(name: str, manifest: bytes, media_type: str = "", tag: str = "", digest: str = "") -> tuple[Image, bool]:
    """Stores an image, and puts a tag on it. Returns it, and whether that changed anything."""
    record, inside, document = repository(name), contents_of(name), _parsed(manifest)
    computed = digest_of(manifest)
    if digest and digest != computed:
        raise refuse("ImageDigestDoesNotMatch", f"Digest '{digest}' does not match the image manifest's, '{computed}'")
    if tag and not _TAG.fullmatch(tag):
        raise invalid("imageTag", f"must satisfy regular expression '{_TAG.pattern}'")
    new = Image(computed, manifest, media_type or document.get("mediaType") or _DOCKER, _pushed_at(document))
    _check_references(name, inside, new)
    before = inside.tagged.get(tag)
    if before is not None and before.digest != computed and not mutable(record, tag):
        raise refuse(
            "ImageTagAlreadyExists",
            f"The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten "
            "because the tag is immutable.",
        )
    known = inside.images.get(computed)
    changed = known is None or bool(tag and before is not known)
    stored = inside.images.setdefault(computed, new)
    if tag:
        inside.tag(stored, tag)
    if known is None:
        scans.on_push(record, stored)
    if changed:
        replication.replicate(name, stored)
    return stored, changed


def _check_references(name: str, inside: Contents, new: Image) -> None:
    """An image comes after its layers, and an index after its images."""
    layers = [blob["digest"] for blob in new.blobs if blob["digest"] not in inside.blobs and not blob.get("urls")]
    images = [child for child in new.children if child not in inside.images]
    for code, kind, lacking in (("LayersNotFound", "Layers", layers), ("ReferencedImagesNotFound", "Images", images)):
        if lacking:
            raise refuse(
                code,
                f"{kind} with digests '[{', '.join(lacking)}]' required for pushing image into repository "
                f"with name '{name}' {in_registry()} do not exist",
            )


def mutable(record: Record, tag: str) -> bool:
    """Whether a tag may be moved to another image."""
    setting = record["imageTagMutability"]
    excluded = any(fnmatchcase(tag, f["filter"]) for f in record.get("imageTagMutabilityExclusionFilters", []))
    return setting.startswith("MUTABLE") != excluded


def put_by_api(name: str, body: Record) -> Record:
    """PutImage."""
    tag = body.get("imageTag", "")
    stored, changed = put(
        name, body["imageManifest"].encode(), body.get("imageManifestMediaType", ""), tag, body.get("imageDigest", "")
    )
    if not changed:
        with_tag = f" and tag '{tag}'" if tag else ""
        raise refuse(
            "ImageAlreadyExists",
            f"Image with digest '{stored.digest}'{with_tag} already exists in the repository with name '{name}' "
            f"{in_registry()}",
        )
    return {"image": _shown(name, stored, identifier(stored, {"imageTag": tag}))}


def _shown(name: str, found: Image, image_id: Record) -> Record:
    return {
        "registryId": get_account_id(),
        "repositoryName": name,
        "imageId": image_id,
        "imageManifest": found.manifest.decode(),
        "imageManifestMediaType": found.media_type,
    }


def _failure(image_id: Record, code: str, reason: str) -> Record:
    return {"imageId": image_id, "failureCode": code, "failureReason": reason}


def _find(inside: Contents, image_id: Record) -> Image | Record:
    """The image, or why it can't be used, as the batch operations say it."""
    digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
    if not digest and not tag:
        reason = "Invalid request parameters: both tag and digest cannot be null"
        return _failure(image_id, "MissingDigestAndTag", reason)
    if digest and not _DIGEST.fullmatch(digest):
        reason = f"Invalid request parameters: image digest should satisfy the regex '{_DIGEST.pattern}'"
        return _failure(image_id, "InvalidImageDigest", reason)
    if tag and not _TAG.fullmatch(tag):
        reason = "Invalid request parameters: image tag should satisfy the regex"
        return _failure(image_id, "InvalidImageTag", f"{reason} '{_TAG.pattern}'")
    found = find(inside, image_id)
    if found is not None:
        return found
    if digest and digest in inside.images and tag in inside.tagged:
        return _failure(image_id, "ImageTagDoesNotMatchDigest", "Requested image tag does not match the digest")
    return _failure(image_id, "ImageNotFound", "Requested image not found")


def batch_get(name: str, body: Record) -> Record:
    """BatchGetImage; it counts as a pull."""
    inside, images, failures = contents_of(name), [], []
    for image_id in body["imageIds"]:
        found = _find(inside, image_id)
        if isinstance(found, Image):
            found.pulled_at = now()
            images.append(_shown(name, found, identifier(found, image_id)))
        else:
            failures.append(found)
    return {"images": images, "failures": failures}


def batch_delete(name: str, body: Record) -> Record:
    """BatchDeleteImage: by digest an image with its tags; by tag that tag, and the image if it was the last."""
    inside, gone, failures = contents_of(name), [], []
    for image_id in body["imageIds"]:
        found = _find(inside, image_id)
        if isinstance(found, Image):
            found = _delete(inside, found, image_id)
        if isinstance(found, dict):
            failures.append(found)
        else:
            gone.extend(found)
    return {"imageIds": gone, "failures": failures}


def _delete(inside: Contents, found: Image, image_id: Record) -> list[Record] | Record:
    """What was deleted, or why nothing was."""
    tag = image_id.get("imageTag")
    if tag and not image_id.get("imageDigest") and len(found.tags) > 1:
        found.tags.remove(tag)
        del inside.tagged[tag]
        return [{"imageDigest": found.digest, "imageTag": tag}]
    parents = [other.digest for other in inside.images.values() if found.digest in other.children]
    if parents:
        reason = f"Requested image referenced by manifest list: [{', '.join(parents)}]"
        return _failure(image_id, "ImageReferencedByManifestList", reason)
    identifiers = _identifiers(found)
    inside.drop(found)
    return identifiers


def delete(name: str, reference: Record) -> None:
    """Deletes one image, or raises why not. The registry protocol's DELETE."""
    answer = batch_delete(name, {"imageIds": [reference]})
    for failure in answer["failures"]:
        raise refuse(failure["failureCode"], failure["failureReason"])


def _identifiers(found: Image) -> list[Record]:
    """One identifier for each tag, or one without."""
    named = [{"imageDigest": found.digest, "imageTag": tag} for tag in found.tags]
    return named or [{"imageDigest": found.digest}]


def _chosen(inside: Contents, chosen: Record | None) -> list[Image]:
    """The images that a filter lets through. None is ever archived here."""
    chosen = chosen or {}
    if chosen.get("imageStatus", "ANY") not in ("ACTIVE", "ANY"):
        return []
    tagged = {"TAGGED": (True,), "UNTAGGED": (False,)}.get(chosen.get("tagStatus", "ANY"), (True, False))
    return [found for found in inside.images.values() if bool(found.tags) in tagged]


def listed(name: str, body: Record) -> Record:
    """ListImages: an entry for each tag, and for each image without."""
    found = _chosen(contents_of(name), body.get("filter"))
    return page(body, "imageIds", [image_id for one in found for image_id in _identifiers(one)])


def describe(name: str, body: Record) -> Record:
    """DescribeImages: those asked for, or pages of all that the filter lets through."""
    inside = contents_of(name)
    if not body.get("imageIds"):
        answer = page(body, "imageDetails", _chosen(inside, body.get("filter")))
        answer["imageDetails"] = [_detail(name, inside, one) for one in answer["imageDetails"]]
        return answer
    if body.get("nextToken") or body.get("maxResults"):
        raise refuse("InvalidParameter", "Paging is not allowed when 'imageIds' is given")
    found = {one.digest: one for one in (image(name, image_id) for image_id in body["imageIds"])}
    return {"imageDetails": [_detail(name, inside, one) for one in found.values()]}


def _detail(name: str, inside: Contents, found: Image) -> Record:
    optional: dict[str, Any] = {
        "imageTags": list(found.tags),
        "artifactMediaType": found.artifact_type,
        "lastRecordedPullTime": found.pulled_at,
        "subjectManifestDigest": found.subject,
        **scans.summary(name, found),
    }
    return {
        "registryId": get_account_id(),
        "repositoryName": name,
        "imageDigest": found.digest,
        "imageSizeInBytes": inside.size(found),
        "imagePushedAt": found.pushed_at,
        "imageManifestMediaType": found.media_type,
        "imageStatus": "ACTIVE",
        **{key: value for key, value in optional.items() if value},
    }


def referrers(name: str, digest: str) -> list[Record]:
    """The descriptors of the images that refer to this one."""
    found = [one for one in contents_of(name).images.values() if one.subject == digest]
    return [
        {
            "mediaType": one.media_type, "digest": one.digest, "size": len(one.manifest),
            "artifactType": one.artifact_type, "annotations": one.document.get("annotations") or {},
        }
        for one in found
    ]  # fmt: skip


def list_referrers(name: str, body: Record) -> Record:
    """ListImageReferrers."""
    wanted = (body.get("filter") or {}).get("artifactTypes")
    found = [
        {**one, "artifactStatus": "ACTIVE"}
        for one in referrers(name, body["subjectId"]["imageDigest"])
        if not wanted or one["artifactType"] in wanted
    ]
    return page(body, "referrers", found, 20)
