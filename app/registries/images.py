"""The contents of a registry, asked of ECR for one request. Slipway keeps no copy of them.

ECR lists images in no order, so a list that is sorted reads them all, 1,000 in a call. What a first page has read is
kept for a minute for the pages after it: those tell of the same moment, and need not ask again.
"""

import fnmatch
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.core.errors import FieldError, SlipwayError
from app.core.validation import invalid
from app.gateways.aws.cloud import Cloud
from app.gateways.aws.ecr import LARGEST_BATCH, Reference
from app.gateways.aws.ecr_resources import Image
from app.gateways.aws.errors import AlreadyExists, Conflict, InvalidRequest, LimitExceeded, NotFound
from app.kinds.registry.models import Registry
from app.operations.errors import ChangedMeanwhileError
from app.registries.contents import UsageOut
from app.registries.errors import (
    EcrQuotaError,
    ImageNotFoundError,
    ImageNotScannableError,
    LifecycleMissingError,
    PreviewInProgressError,
    PreviewNotFoundError,
    RefusedByEcrError,
    RegistryNotReadyError,
    ScanLimitError,
    ScanNotFoundError,
)

KEPT_SECONDS = 60.0
MOST_KEPT = 100_000
"""Images that the lists of one process keep at once; the oldest list goes first."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")

_REFUSALS: dict[str, type[SlipwayError]] = {
    "RepositoryNotFoundException": RegistryNotReadyError,
    "ImageNotFoundException": ImageNotFoundError,
    "ScanNotFoundException": ScanNotFoundError,
    "UnsupportedImageTypeException": ImageNotScannableError,
    "LifecyclePolicyNotFoundException": LifecycleMissingError,
    "LifecyclePolicyPreviewNotFoundException": PreviewNotFoundError,
    "LifecyclePolicyPreviewInProgressException": PreviewInProgressError,
    "SecretNotFoundException": RefusedByEcrError,
    "PullThroughCacheRuleAlreadyExistsException": ChangedMeanwhileError,
}
"""ECR's codes, and what a caller hears; the message is ECR's own."""


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what ECR refuses inside the block into what a caller can do something about; the rest passes (503)."""
    try:
        yield
    except LimitExceeded as error:
        limit = ScanLimitError if error.operation == "ecr:StartImageScan" else EcrQuotaError
        raise limit(error.message, aws_code=error.code) from error
    except (AlreadyExists, NotFound, Conflict, InvalidRequest) as error:
        refused = _REFUSALS.get(error.code)
        if refused is not None:
            raise refused(error.message, aws_code=error.code) from error
        if not isinstance(error, InvalidRequest):
            raise
        raise RefusedByEcrError(error.message, aws_code=error.code, hint=error.as_failure().hint) from error


def check_ready(registry: Registry) -> None:
    """Refuse to look into a registry that is not there yet.

    Raises:
        RegistryNotReadyError: it is being created, or that failed.
    """
    if not registry.observed_generation:
        raise RegistryNotReadyError(f"Registry {registry.name!r} is {registry.phase}.", registry_id=registry.id)


def reference_of(text: str) -> Reference:
    """Return the digest or tag that a word of a path is.

    Raises:
        ImageNotFoundError: it can be neither.
    """
    if _DIGEST.fullmatch(text):
        return text, None
    if _TAG.fullmatch(text):
        return None, text
    raise ImageNotFoundError(f"{text[:80]!r} is neither a digest nor a tag.")


def references_of(digests: Sequence[str], tags: Sequence[str]) -> list[Reference]:
    """Return the images that a query names.

    Raises:
        InvalidError: none, too many, one that stands twice, or one that is no digest or tag.
    """
    errors = [
        FieldError("/query/digest", f"{word[:80]!r} is no digest") for word in digests if not _DIGEST.fullmatch(word)
    ]
    errors += [FieldError("/query/tag", f"{word[:80]!r} is no tag") for word in tags if not _TAG.fullmatch(word)]
    found: list[Reference] = [*((digest, None) for digest in digests), *((None, tag) for tag in tags)]
    if not found:
        errors.append(FieldError("/query/digest", "at least one digest or tag is required"))
    if len(found) > LARGEST_BATCH:
        errors.append(FieldError("/query/digest", f"at most {LARGEST_BATCH} digests and tags at once"))
    if len(set(found)) != len(found):
        errors.append(FieldError("/query/digest", "a digest or tag stands twice"))
    if errors:
        raise invalid(errors[:50], len(errors))
    return found


class Placed(NamedTuple):
    """An image and its place in a list: text that sorts by the time of its push, and no other image has."""

    place: str
    image: Image


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Which images are asked for; None is all.

    Attributes:
        tag: A pattern that one of the tags matches; `*` stands for anything.
        untagged: Only those without a tag, or only those with one.
        older_than_days: Pushed before that many days.
        newer_than_days: Pushed within that many days.
    """

    tag: str | None = None
    untagged: bool | None = None
    older_than_days: int | None = None
    newer_than_days: int | None = None

    def of(self, images: Iterable[Placed]) -> list[Placed]:
        """Return the images that the filter lets through, in their order."""
        tests = self._tests()
        return [placed for placed in images if all(test(placed.image) for test in tests)]

    def _tests(self) -> list[Callable[[Image], bool]]:
        now = datetime.now(UTC)
        tests: list[Callable[[Image], bool]] = []
        if self.tag is not None:
            matches = re.compile(fnmatch.translate(self.tag)).match
            tests.append(lambda image: any(matches(tag) for tag in image.tags))
        if self.untagged is not None:
            wanted = self.untagged
            tests.append(lambda image: (not image.tags) == wanted)
        if self.older_than_days is not None:
            until = now - timedelta(days=self.older_than_days)
            tests.append(lambda image: image.pushed_at < until)
        if self.newer_than_days is not None:
            since = now - timedelta(days=self.newer_than_days)
            tests.append(lambda image: image.pushed_at >= since)
        return tests


class ImageLists:
    """Sorted lists of images, the newest first, kept for the pages that follow a first one."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, list[Placed]]] = OrderedDict()

    async def of(self, cloud: Cloud, registry: Registry, *, first: bool) -> list[Placed]:
        """Return all images of a registry.

        Args:
            cloud: Its account and region.
            registry: The registry.
            first: A first page is asked for, which tells of now.
        """
        kept_at, images = self._kept.get(registry.id, (0.0, []))
        if first or time.monotonic() - kept_at > KEPT_SECONDS:
            images = sorted((_placed(image) for image in await cloud.ecr.images(registry.name)), reverse=True)
            self._keep(registry.id, images)
        return images

    def _keep(self, registry_id: str, images: list[Placed]) -> None:
        self._kept.pop(registry_id, None)
        self._kept[registry_id] = (time.monotonic(), images)
        while len(self._kept) > 1 and sum(len(kept) for _, kept in self._kept.values()) > MOST_KEPT:
            self._kept.popitem(last=False)


def _placed(image: Image) -> Placed:
    return Placed(f"{image.pushed_at.astimezone(UTC).isoformat(timespec='microseconds')} {image.digest}", image)


def usage(images: Sequence[Image]) -> UsageOut:
    """Return what images are all together."""
    untagged = sum(not image.tags for image in images)
    return UsageOut(
        images=len(images),
        tagged=len(images) - untagged,
        untagged=untagged,
        size_bytes=sum(image.size_bytes for image in images),
        last_pushed_at=max((image.pushed_at for image in images), default=None),
    )
