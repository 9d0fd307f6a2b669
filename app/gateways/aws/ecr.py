"""ECR: repositories and their images, scans, lifecycle previews, and the token that docker and helm log in with."""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from app.gateways.aws.clients import AwsAccount, AwsClients
from app.gateways.aws.ecr_resources import (
    Authorization,
    Deletion,
    Expiry,
    Finding,
    Image,
    Preview,
    Repository,
    Scan,
    expiry_of,
    findings_of,
    image_of,
    worst_first,
)
from app.gateways.aws.errors import NotFound, first, translate
from app.gateways.aws.pages import pages

if TYPE_CHECKING:
    from types_aiobotocore_ecr import ECRClient
    from types_aiobotocore_ecr.type_defs import ImageIdentifierTypeDef

LARGEST_PAGE = 1000
"""Entries that DescribeImages, ListImages and DescribeImageScanFindings give at once (`maxResults`)."""

LARGEST_BATCH = 100
"""Images that BatchDeleteImage takes at once, and entries of GetLifecyclePolicyPreview."""

Reference = tuple[str | None, str | None]
"""How an image is named: digest and tag, one of them None."""


class Ecr:
    """Calls to ECR in one account and region. Methods raise `AwsError`."""

    def __init__(self, clients: AwsClients, account: AwsAccount, region: str) -> None:
        self._clients = clients
        self._account = account
        self._region = region

    async def repository(self, name: str) -> Repository | None:
        """Return the repository, or None if there is none."""
        client = await self._client()
        try:
            with translate("ecr:DescribeRepositories"):
                answer = await client.describe_repositories(repositoryNames=[name])
                found = first(answer["repositories"], "ecr:DescribeRepositories", "repository")
                return Repository(found["repositoryName"], found["repositoryArn"], found["repositoryUri"])
        except NotFound:
            return None

    async def images(self, repository: str) -> list[Image]:
        """Return all images, in no order (ECR has none): one call for each `LARGEST_PAGE` of them.

        Raises:
            NotFound: there is no such repository.
        """
        client = await self._client()
        pages = client.get_paginator("describe_images").paginate(
            repositoryName=repository, PaginationConfig={"PageSize": LARGEST_PAGE}
        )
        found: list[Image] = []
        with translate("ecr:DescribeImages"):
            async for page in pages:
                found.extend(image_of(detail) for detail in page["imageDetails"])
        return found

    async def image(self, repository: str, reference: Reference) -> Image | None:
        """Return one image, or None if there is none (or no such repository)."""
        client = await self._client()
        try:
            with translate("ecr:DescribeImages"):
                answer = await client.describe_images(repositoryName=repository, imageIds=[_image_id(reference)])
                return next((image_of(detail) for detail in answer["imageDetails"]), None)
        except NotFound:
            return None

    async def count_images(self, repository: str) -> int:
        """Return how many images there are, tagged or not; none if there is no such repository."""
        client = await self._client()
        pages = client.get_paginator("list_images").paginate(
            repositoryName=repository, PaginationConfig={"PageSize": LARGEST_PAGE}
        )
        digests: set[str] = set()  # an image with two tags is listed twice
        try:
            with translate("ecr:ListImages"):
                async for page in pages:
                    digests.update(entry["imageDigest"] for entry in page["imageIds"])
        except NotFound:
            return 0
        return len(digests)

    async def delete_images(self, repository: str, references: Sequence[Reference]) -> list[Deletion]:
        """Delete up to `LARGEST_BATCH` images, or tags of them; the results are in the order of `references`.

        An image that has several tags loses the one that is named; by its digest, or with its last tag, it goes.

        Raises:
            NotFound: there is no such repository.
        """
        client = await self._client()
        with translate("ecr:BatchDeleteImage"):
            answer = await client.batch_delete_image(
                repositoryName=repository, imageIds=[_image_id(reference) for reference in references]
            )
        failed = {_reference(failure.get("imageId") or {}): failure for failure in answer.get("failures", ())}
        results = []
        for digest, tag in references:
            failure = failed.get((digest, tag)) or {}
            results.append(Deletion(digest, tag, failure.get("failureCode"), failure.get("failureReason")))
        return results

    async def delete_some_images(self, repository: str) -> list[Deletion]:
        """Delete up to `LARGEST_BATCH` images, whichever come first; return what came of each, nothing if none is left.

        An image that a manifest list names cannot go before that list: a second call takes it.

        Raises:
            NotFound: there is no such repository.
        """
        client = await self._client()
        with translate("ecr:ListImages"):
            answer = await client.list_images(repositoryName=repository, maxResults=LARGEST_BATCH)
            digests = sorted({entry["imageDigest"] for entry in answer["imageIds"]})
        return await self.delete_images(repository, [(digest, None) for digest in digests]) if digests else []

    async def scan(self, repository: str, reference: Reference) -> Scan:
        """Return what the last scan of an image found, all pages.

        Raises:
            NotFound: there is no such repository or image, or it was never scanned (`code` tells).
        """
        client = await self._client()
        findings: list[Finding] = []
        counts: dict[str, int] = {}
        operation, completed_at = "ecr:DescribeImageScanFindings", None
        page: Any = {}
        async for page in pages(
            operation,
            client.describe_image_scan_findings,
            "nextToken",
            repositoryName=repository,
            imageId=_image_id(reference),
            maxResults=LARGEST_PAGE,
        ):
            with translate(operation):
                found: Any = page.get("imageScanFindings") or {}
                findings += findings_of(found)
                counts.update(found.get("findingSeverityCounts") or {})
                completed_at = found.get("imageScanCompletedAt") or completed_at
        with translate(operation):
            status: Any = page.get("imageScanStatus") or {}
            ordered = tuple(sorted(findings, key=worst_first))
            digest, state = page["imageId"]["imageDigest"], status.get("status", "PENDING")
        return Scan(digest, state, status.get("description"), completed_at, counts, ordered)

    async def start_scan(self, repository: str, reference: Reference) -> Scan:
        """Start a basic scan of an image; AWS takes one a day for each image.

        Raises:
            NotFound: there is no such repository or image.
            InvalidRequest: it is nothing that can be scanned.
            LimitExceeded: it was scanned in the last 24 hours.
        """
        client = await self._client()
        with translate("ecr:StartImageScan"):
            answer = await client.start_image_scan(repositoryName=repository, imageId=_image_id(reference))
            status: Any = answer.get("imageScanStatus") or {}
            digest = answer["imageId"]["imageDigest"]
        return Scan(digest, status.get("status", "PENDING"), status.get("description"), None, {}, ())

    async def authorize(self) -> Authorization:
        """Return a fresh token for the account's registry. Keep it nowhere, log it nowhere."""
        client = await self._client()
        with translate("ecr:GetAuthorizationToken"):
            answer = await client.get_authorization_token()
            found = first(answer["authorizationData"], "ecr:GetAuthorizationToken", "token")
            username, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
            return Authorization(
                username=username,
                password=password,
                endpoint=found["proxyEndpoint"],
                expires_at=found["expiresAt"],
            )

    async def start_preview(self, repository: str, policy: str | None = None) -> None:
        """Start to find out what a lifecycle policy would do; None is the one that the repository has.

        Raises:
            NotFound: there is no such repository, or it has no policy (`code` tells).
            Conflict: a preview is being made.
            InvalidRequest: ECR does not take the policy.
        """
        client = await self._client()
        text: dict[str, Any] = {} if policy is None else {"lifecyclePolicyText": policy}
        with translate("ecr:StartLifecyclePolicyPreview"):
            await client.start_lifecycle_policy_preview(repositoryName=repository, **text)

    async def preview(self, repository: str) -> Preview:
        """Return how far the last preview is, and what it found; all pages.

        Raises:
            NotFound: there is no such repository, or no preview was started (`code` tells).
        """
        client = await self._client()
        images: list[Expiry] = []
        operation, page = "ecr:GetLifecyclePolicyPreview", cast("Any", {})
        call = client.get_lifecycle_policy_preview
        async for page in pages(operation, call, "nextToken", repositoryName=repository, maxResults=LARGEST_BATCH):
            with translate(operation):
                images += [expiry_of(result) for result in page.get("previewResults") or ()]
        with translate(operation):
            count = (page.get("summary") or {}).get("expiringImageTotalCount")
            policy = page.get("lifecyclePolicyText") or ""
            return Preview(page["status"], policy, len(images) if count is None else count, tuple(images))

    async def _client(self) -> "ECRClient":
        return await self._clients.client(self._account, self._region, "ecr")


def _image_id(reference: Reference) -> "ImageIdentifierTypeDef":
    digest, tag = reference
    return {"imageDigest": digest} if digest is not None else {"imageTag": tag or ""}


def _reference(image_id: Any) -> Reference:
    """Return how a failure names its image: as it was asked for."""
    return image_id.get("imageDigest"), image_id.get("imageTag")
