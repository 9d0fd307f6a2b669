"""What the ECR operations share: repositories and what is in them, their addresses, and ECR's errors."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ministack.core.responses import (
    AccountRegionScopedDict,
    get_account_id,
    get_region,
    set_request_account_id,
    set_request_region,
)
from ministack.services import ecr

from ..errors import AwsError

Record = dict[str, Any]


@dataclass
class Image:
    """A manifest, with its tags in the order in which they were put."""

    digest: str
    manifest: bytes
    media_type: str
    pushed_at: float
    tags: list[str] = field(default_factory=list)
    pulled_at: float | None = None
    scanned_at: float | None = None
    replicas: list[Record] = field(default_factory=list)

    @cached_property
    def document(self) -> Record:
        """The manifest, parsed."""
        document: Record = json.loads(self.manifest)
        return document

    @cached_property
    def children(self) -> list[str]:
        """The digests of the images that an index lists."""
        return [child["digest"] for child in self.document.get("manifests") or []]

    @property
    def blobs(self) -> list[Record]:
        """The descriptors of configuration and layers; an index has none."""
        config = self.document.get("config")
        return [*([config] if config else []), *(self.document.get("layers") or [])]

    @property
    def artifact_type(self) -> str:
        """What the image is: its artifactType, else the media type of its configuration; "" for an index."""
        return str(self.document.get("artifactType") or (self.document.get("config") or {}).get("mediaType", ""))

    @property
    def subject(self) -> str:
        """The digest of the image that this one refers to, or ""."""
        return str((self.document.get("subject") or {}).get("digest", ""))


@dataclass
class Contents:
    """What is in a repository, and what was asked about it."""

    images: dict[str, Image] = field(default_factory=dict)
    tagged: dict[str, Image] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    lifecycle: str = ""
    preview: Record | None = None

    def size(self, image: Image) -> int:
        """Bytes of configuration and layers; of an index, those of its largest image."""
        if image.children:
            return max((self.size(self.images[c]) for c in image.children if c in self.images), default=0)
        return sum(int(blob.get("size", 0)) for blob in image.blobs)

    def tag(self, image: Image, tag: str) -> None:
        """Puts a tag on an image, taken from another one if need be."""
        before = self.tagged.get(tag)
        if before is image:
            return
        if before is not None:
            before.tags.remove(tag)
        image.tags.append(tag)
        self.tagged[tag] = image

    def drop(self, image: Image) -> None:
        """Takes an image away. Its blobs stay: ECR, too, gives no word on when it cleans up."""
        del self.images[image.digest]
        for tag in image.tags:
            del self.tagged[tag]


@dataclass
class Registry:
    """The settings of an account's registry in a region."""

    policy: str = ""
    replication: Record = field(default_factory=lambda: {"rules": []})
    scanning: Record = field(default_factory=lambda: {"scanType": "BASIC", "rules": []})
    cache_rules: dict[str, Record] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


contents = AccountRegionScopedDict()  # repository name -> Contents
registries = AccountRegionScopedDict()  # "" -> Registry


def registry() -> Registry:
    """The caller's registry."""
    if "" not in registries:
        registries[""] = Registry()
    found: Registry = registries[""]
    return found


@contextmanager
def within(account: str, region: str) -> Iterator[None]:
    """Works in the registry of another account or region."""
    before = get_account_id(), get_region()
    set_request_account_id(account)
    set_request_region(region)
    try:
        yield
    finally:
        set_request_account_id(before[0])
        set_request_region(before[1])


def host() -> str:
    """The address and port that stand in place of ACCOUNT.dkr.ecr.REGION.amazonaws.com."""
    return f"127.0.0.1:{os.environ['GATEWAY_PORT']}"


def arn(name: str) -> str:
    """The ARN of a repository."""
    return f"arn:aws:ecr:{get_region()}:{get_account_id()}:repository/{name}"


def now() -> float:
    """The time as ECR writes it."""
    return round(time.time(), 3)


def refuse(code: str, message: str) -> AwsError:
    """An error of ECR; `code` without its "Exception"."""
    return AwsError(f"{code}Exception", message, service="Ecr")


def invalid(parameter: str, constraint: str) -> AwsError:
    """ECR's refusal of a parameter."""
    message = f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'"
    return refuse("InvalidParameter", message)


def in_registry() -> str:
    """How ECR's messages name the registry."""
    return f"in the registry with id '{get_account_id()}'"


def repository(name: str) -> Record:
    """The record of a repository."""
    found: Record | None = ecr._repositories.get(name)
    if found is None:
        raise refuse("RepositoryNotFound", f"The repository with name '{name}' does not exist {in_registry()}")
    return found


def contents_of(name: str) -> Contents:
    """What is in a repository."""
    repository(name)
    found: Contents = contents[name]
    return found


def describe_id(image_id: Record) -> str:
    """How ECR's messages name an image."""
    digest, tag = (f"'{image_id[key]}'" if key in image_id else "'null'" for key in ("imageDigest", "imageTag"))
    return f"{{imageDigest:{digest}, imageTag:{tag}}}"


def find(inside: Contents, image_id: Record) -> Image | None:
    """The image with this digest, tag, or both."""
    digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
    image = inside.images.get(digest) if digest else inside.tagged.get(tag or "")
    if image is not None and digest and tag and inside.tagged.get(tag) is not image:
        return None
    return image


def image(name: str, image_id: Record) -> Image:
    """The image of a repository, or ECR's error."""
    if not image_id:
        raise refuse("InvalidParameter", "Invalid request parameters: both tag and digest cannot be null")
    found = find(contents_of(name), image_id)
    if found is None:
        raise refuse(
            "ImageNotFound",
            f"The image with imageId {describe_id(image_id)} does not exist within the repository "
            f"with name '{name}' {in_registry()}",
        )
    return found


def identifier(found: Image, image_id: Record) -> Record:
    """The identifier of an image in an answer: its digest, and the tag by which it was asked for."""
    tag = {"imageTag": image_id["imageTag"]} if image_id.get("imageTag") else {}
    return {"imageDigest": found.digest, **tag}
