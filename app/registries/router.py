"""Routes of what registries hold: the way in, images, scans, what a lifecycle policy would do."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from app.http.caller import CallerDep
from app.http.change import DirectChangeDep
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery
from app.http.route import StrictRoute
from app.kinds.registry.lifecycle import check_policy, policy_text
from app.operations.dependencies import DatabaseDep
from app.registries.contents import (
    CredentialsOut,
    ImageDeletions,
    ImageOut,
    PreviewOut,
    PreviewRequest,
    ScanOut,
    UsageOut,
)
from app.registries.dependencies import (
    FeatureDep,
    FilterDep,
    credentials_out,
    deletions_out,
    image_out,
    preview_out,
    scan_out,
)
from app.registries.errors import ImageNotFoundError
from app.registries.images import reference_of, references_of, refusals, usage

router = APIRouter(route_class=StrictRoute, tags=["registries"])

RegistryPath = Annotated[str, Path(description="Id of the registry, or its name if that holds no slash.")]
ImagePath = Annotated[str, Path(description="Digest (`sha256:…`) or tag of the image.")]
Severity = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED", "UNTRIAGED"]


@router.post("/registries/{registry}/credentials", responses=problems(404, 409))
async def create_registry_credentials(
    registry: RegistryPath, caller: CallerDep, database: DatabaseDep, feature: FeatureDep
) -> CredentialsOut:
    """Get a short-lived password for docker and helm.

    It is AWS's, and opens what Slipway's own role may do in the whole account's registry. It is not kept, also not
    under an `Idempotency-Key`: each request gets one of its own.
    """
    row, cloud = await feature.ready(database, caller, registry)
    return credentials_out(row, await cloud.ecr.authorize())


@router.get("/registries/{registry}/usage", responses=problems(404, 409))
async def get_registry_usage(
    registry: RegistryPath, caller: CallerDep, database: DatabaseDep, feature: FeatureDep
) -> UsageOut:
    """Read how much a registry holds: images, bytes, the last push."""
    row, cloud = await feature.ready(database, caller, registry)
    with refusals():
        return usage(await cloud.ecr.images(row.name))


@router.get("/registries/{registry}/images", responses=problems(404, 409, 422))
async def list_images(
    registry: RegistryPath,
    caller: CallerDep,
    database: DatabaseDep,
    feature: FeatureDep,
    page: PageQuery,
    wanted: FilterDep,
) -> Page[ImageOut]:
    """List images and other artifacts, newest first; pages after the first tell of the same moment as that one."""
    row, cloud = await feature.ready(database, caller, registry)
    with refusals():
        every = await feature.lists.of(cloud, row, first=page.after is None)
    if (after := page.after_text) is not None:
        every = [placed for placed in every if placed.place < after]
    kept, token = page.cut(wanted.of(every)[: page.fetch], lambda placed: placed.place)
    return Page(items=[image_out(placed.image) for placed in kept], next_page_token=token)


@router.delete("/registries/{registry}/images", response_model=ImageDeletions, responses=problems(404, 409, 422))
async def delete_images(
    registry: RegistryPath,
    change: DirectChangeDep,
    database: DatabaseDep,
    feature: FeatureDep,
    digest: Annotated[list[str] | None, Query(description="Digests of images, which go with all their tags.")] = None,
    tag: Annotated[list[str] | None, Query(description="Tags; an image goes with its last one.")] = None,
) -> Response:
    """Delete up to 100 images by digest or tag; the answer tells what came of each."""
    references = references_of(digest or [], tag or [])
    row, cloud = await feature.ready(database, change.caller, registry)
    with refusals():
        results = await cloud.ecr.delete_images(row.name, references)
    async with change.transaction() as session:
        return await change.answer(session, 200, deletions_out(results))


@router.get("/registries/{registry}/images/{digest}", responses=problems(404, 409))
async def get_image(
    registry: RegistryPath, digest: ImagePath, caller: CallerDep, database: DatabaseDep, feature: FeatureDep
) -> ImageOut:
    """Read one image."""
    row, cloud = await feature.ready(database, caller, registry)
    with refusals():
        image = await cloud.ecr.image(row.name, reference_of(digest))
    if image is None:
        raise ImageNotFoundError(f"Registry {row.name!r} holds no image {digest!r}.")
    return image_out(image)


@router.get("/registries/{registry}/images/{digest}/scan", responses=problems(404, 409, 422))
async def get_image_scan(
    registry: RegistryPath,
    digest: ImagePath,
    caller: CallerDep,
    database: DatabaseDep,
    feature: FeatureDep,
    page: PageQuery,
    severity: Annotated[Severity | None, Query(description="Only findings of this severity.")] = None,
) -> ScanOut:
    """Read what the last scan of an image found, the worst first."""
    row, cloud = await feature.ready(database, caller, registry)
    with refusals():
        scan = await cloud.ecr.scan(row.name, reference_of(digest))
    return scan_out(scan, page, severity)


@router.post("/registries/{registry}/images/{digest}/scan", response_model=ScanOut, responses=problems(404, 409, 422))
async def start_image_scan(
    registry: RegistryPath, digest: ImagePath, change: DirectChangeDep, database: DatabaseDep, feature: FeatureDep
) -> Response:
    """Start a scan of an image; ECR takes one in 24 hours for each image."""
    row, cloud = await feature.ready(database, change.caller, registry)
    with refusals():
        scan = await cloud.ecr.start_scan(row.name, reference_of(digest))
    async with change.transaction() as session:
        return await change.answer(session, 200, scan_out(scan))


@router.get("/registries/{registry}/lifecycle-preview", responses=problems(404, 409, 422))
async def get_lifecycle_preview(
    registry: RegistryPath, caller: CallerDep, database: DatabaseDep, feature: FeatureDep, page: PageQuery
) -> PreviewOut:
    """Read what the last preview found."""
    row, cloud = await feature.ready(database, caller, registry)
    with refusals():
        return preview_out(await cloud.ecr.preview(row.name), page)


@router.post("/registries/{registry}/lifecycle-preview", response_model=PreviewOut, responses=problems(404, 409, 422))
async def start_lifecycle_preview(
    registry: RegistryPath,
    change: DirectChangeDep,
    database: DatabaseDep,
    feature: FeatureDep,
    body: PreviewRequest | None = None,
) -> Response:
    """Start to find out what a lifecycle policy would expire: the registry's own, or one that is only tried."""
    row, cloud = await feature.ready(database, change.caller, registry)
    policy = None
    if body and body.lifecycle:
        check_policy(body.lifecycle, "/lifecycle")
        policy = policy_text(body.lifecycle)
    with refusals():
        await cloud.ecr.start_preview(row.name, policy)
    started = PreviewOut(status="IN_PROGRESS", expiring=0, policy=None)
    async with change.transaction() as session:
        return await change.answer(session, 200, started)
