"""What the routes of registries need: the services that a root wired, and the answers in full."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Query, Request

from app.core.caller import Caller
from app.db.session import Database
from app.gateways.aws.cloud import Cloud, Clouds
from app.gateways.aws.ecr_resources import Authorization, Deletion, Image, Preview, Scan
from app.http.pagination import PageRequest
from app.kinds import rows
from app.kinds.registry.kind import REGISTRIES
from app.kinds.registry.models import Registry
from app.registries.contents import (
    CredentialsOut,
    ExpiryOut,
    FindingOut,
    ImageDeletion,
    ImageDeletions,
    ImageOut,
    ImageScanOut,
    PreviewOut,
    ScanOut,
)
from app.registries.images import ImageFilter, ImageLists, check_ready


@dataclass(frozen=True, slots=True)
class RegistryFeature:
    """All that the routes use."""

    clouds: Clouds
    lists: ImageLists

    async def ready(self, database: Database, caller: Caller, reference: str) -> tuple[Registry, Cloud]:
        """Return a registry that is there, and the AWS that it is in.

        Raises:
            ResourceNotFoundError: the caller has none of that id or name.
            RegistryNotReadyError: it is not there yet.
        """
        async with database.read() as session:
            registry: Registry = await rows.get(session, caller.project_id, REGISTRIES, reference)
        check_ready(registry)
        return registry, await self.clouds.of(registry.account_id, registry.region)


def get_feature(request: Request) -> RegistryFeature:
    """Return what the root wired."""
    feature: RegistryFeature = request.app.state.registries
    return feature


FeatureDep = Annotated[RegistryFeature, Depends(get_feature)]


async def image_filter(
    tag: Annotated[
        str | None, Query(max_length=128, description="A pattern of tags; `*` stands for anything.", examples=["1.*"])
    ] = None,
    untagged: Annotated[bool | None, Query(description="Only images without a tag (false: with one).")] = None,
    older_than_days: Annotated[int | None, Query(ge=0, le=36_500)] = None,
    newer_than_days: Annotated[int | None, Query(ge=0, le=36_500)] = None,
) -> ImageFilter:
    """Return the filter of the query."""
    return ImageFilter(tag, untagged, older_than_days, newer_than_days)


FilterDep = Annotated[ImageFilter, Depends(image_filter)]


def image_out(image: Image) -> ImageOut:
    """Return what callers see of an image."""
    scan = None
    if image.scan_status:
        scan = ImageScanOut(
            status=image.scan_status, description=image.scan_description, severity_counts=dict(image.severity_counts)
        )
    return ImageOut(
        digest=image.digest,
        tags=list(image.tags),
        size_bytes=image.size_bytes,
        media_type=image.media_type,
        artifact_media_type=image.artifact_media_type,
        pushed_at=image.pushed_at,
        last_pulled_at=image.pulled_at,
        scan=scan,
    )


def deletions_out(results: Sequence[Deletion]) -> ImageDeletions:
    """Return what callers hear of a delete of images."""
    shown = [
        ImageDeletion(
            digest=result.digest,
            tag=result.tag,
            status="failed" if result.code else "deleted",
            code=result.code,
            message=result.reason,
        )
        for result in results
    ]
    failed = sum(result.status == "failed" for result in shown)
    return ImageDeletions(results=shown, deleted=len(shown) - failed, failed=failed)


def scan_out(scan: Scan, page: PageRequest | None = None, severity: str | None = None) -> ScanOut:
    """Return what callers see of a scan: a page of its findings, of one severity if that is asked for."""
    chosen = [finding for finding in scan.findings if severity in (None, finding.severity)]
    findings, token = (chosen, None) if page is None else page_of_numbered(chosen, page)
    return ScanOut(
        digest=scan.digest,
        status=scan.status,
        description=scan.description,
        completed_at=scan.completed_at,
        severity_counts=dict(scan.severity_counts),
        findings=[FindingOut(**asdict(finding)) for finding in findings],
        next_page_token=token,
    )


def preview_out(preview: Preview, page: PageRequest) -> PreviewOut:
    """Return what callers see of a lifecycle preview: a page of its images."""
    images, token = page_of_numbered(preview.images, page)
    return PreviewOut(
        status=preview.status,
        expiring=preview.count,
        policy=json.loads(preview.policy) if preview.policy else None,
        images=[
            ExpiryOut(
                digest=image.digest,
                tags=list(image.tags),
                pushed_at=image.pushed_at,
                action=image.action,
                rule_priority=image.priority,
            )
            for image in images
        ],
        next_page_token=token,
    )


def credentials_out(registry: Registry, authorization: Authorization) -> CredentialsOut:
    """Return the way in, with lines to paste that read the password from standard input."""
    endpoint = urlsplit(authorization.endpoint)
    plain_http = endpoint.scheme == "http"
    login = f"login --username {authorization.username} --password-stdin"
    return CredentialsOut(
        username=authorization.username,
        password=authorization.password,
        registry=endpoint.netloc,
        repository_uri=registry.outputs.get("repository_uri"),
        plain_http=plain_http,
        expires_at=authorization.expires_at,
        docker_login=f"docker {login} {endpoint.netloc}",
        helm_registry_login=f"helm registry {login} {'--plain-http ' if plain_http else ''}{endpoint.netloc}",
    )


def page_of_numbered(rows: Sequence[Any], page: PageRequest) -> tuple[list[Any], str | None]:
    """Return the page of rows that are known by their place alone, and the token of the next one."""
    begin = 0 if page.after_number is None else page.after_number + 1
    kept, token = page.cut(list(enumerate(rows))[begin : begin + page.fetch], lambda row: row[0])
    return [row for _, row in kept], token
