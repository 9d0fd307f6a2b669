"""Routes of registries: the resource, the way in, and what is in it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query, Request, Response
from sqlmodel import col

from app.core.merge_patch import merge_patch
from app.core.validation import validate
from app.db import resources
from app.http.caller import CallerDep
from app.http.change import ChangeDep, DirectChangeDep
from app.http.etag import conditional
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery, TagQuery
from app.http.route import StrictRoute
from app.operations.dependencies import DatabaseDep
from app.operations.schemas import OperationOut
from app.registries import live, repository
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
    registry_out,
    scan_out,
)
from app.registries.errors import ImageNotFoundError
from app.registries.images import reference_of, references_of, refusals, usage
from app.registries.models import Registry
from app.registries.schemas import RegistryOut, RegistrySpec

router = APIRouter(route_class=StrictRoute, tags=["registries"])

RegistryPath = Annotated[str, Path(description="Id of the registry, or its name if that holds no slash.")]
ImagePath = Annotated[str, Path(description="Digest (`sha256:…`) or tag of the image.")]
Severity = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED", "UNTRIAGED"]


@router.get("/registries", responses=problems(422))
async def list_registries(
    caller: CallerDep,
    database: DatabaseDep,
    page: PageQuery,
    tags: TagQuery,
    name: Annotated[str | None, Query(description="Only the one of this name, which may hold slashes.")] = None,
    region: Annotated[str | None, Query(description="Only those in this region.")] = None,
    include_deleted: Annotated[bool, Query(description="Also those that were deleted.")] = False,
) -> Page[RegistryOut]:
    """List registries, newest first."""
    where = [column == value for column, value in ((col(Registry.name), name), (col(Registry.region), region)) if value]
    async with database.read() as session:
        rows = await resources.list_page(
            session,
            Registry,
            caller.project_id,
            *where,
            limit=page.fetch,
            before=page.after_text,
            tags=tags,
            include_deleted=include_deleted,
        )
    kept, token = page.cut(rows, lambda row: row.id)
    return Page(items=[registry_out(row) for row in kept], next_page_token=token)


@router.post("/registries", status_code=202, response_model=OperationOut, responses=problems(409, 422))
async def create_registry(
    spec: RegistrySpec, change: ChangeDep, database: DatabaseDep, feature: FeatureDep
) -> Response:
    """Create a registry: an ECR repository, in a stack of its own."""
    live.check_form(spec)
    async with database.read() as session:
        account_id = await feature.accounts.account_id(session, change.caller.project_id, spec.account)
        existing = await repository.named(session, account_id, spec.region, spec.name)
    if existing is None:  # else the transaction says so
        await live.check_new(await feature.clouds.of(account_id, spec.region), spec)
    async with change.transaction() as session:
        operation = await feature.service.create(session, change.caller, spec, callback_url=change.callback_url)
        return await change.accepted(session, await feature.ledger.out(session, operation))


@router.get("/registries/{registry}", response_model=RegistryOut, responses=problems(404, 409))
async def get_registry(registry: RegistryPath, caller: CallerDep, database: DatabaseDep, request: Request) -> Response:
    """Read a registry."""
    async with database.read() as session:
        row = await repository.get(session, caller.project_id, registry)
    return conditional(request, row.generation, registry_out(row))


@router.patch(
    "/registries/{registry}", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412, 422)
)
async def update_registry(
    registry: RegistryPath,
    patch: Annotated[dict[str, Any], Body(examples=[{"tag_mutability": "IMMUTABLE"}])],
    change: ChangeDep,
    database: DatabaseDep,
    feature: FeatureDep,
) -> Response:
    """Change a registry: a JSON merge patch (RFC 7396) of its spec."""
    async with database.read() as session:
        row = await repository.get(session, change.caller.project_id, registry)
        change.check_match(row.generation)
        spec = validate(RegistrySpec, merge_patch(row.spec, patch))
        await feature.service.check_change(session, row, spec)
    live.check_form(spec)
    async with change.transaction() as session:
        locked = await repository.get(session, change.caller.project_id, row.id, lock=True)
        change.check_match(locked.generation)
        operation = await feature.service.update(
            session, change.caller, locked, spec, seen=row, callback_url=change.callback_url
        )
        return await change.accepted(session, await feature.ledger.out(session, operation))


@router.delete(
    "/registries/{registry}", status_code=202, response_model=OperationOut, responses=problems(404, 409, 412, 422)
)
async def delete_registry(
    registry: RegistryPath,
    change: ChangeDep,
    database: DatabaseDep,
    feature: FeatureDep,
    force: Annotated[bool, Query(description="Its images are deleted too; else one that holds some is a 409.")] = False,
) -> Response:
    """Delete a registry."""
    async with database.read() as session:
        row = await repository.get(session, change.caller.project_id, registry)
        change.check_match(row.generation)
        await feature.service.check_delete(session, row)
    if not force:
        await live.check_empty(await feature.clouds.of(row.account_id, row.region), row)
    async with change.transaction() as session:
        locked = await repository.get(session, change.caller.project_id, row.id, lock=True)
        change.check_match(locked.generation)
        operation = await feature.service.delete(
            session, change.caller, locked, force=force, callback_url=change.callback_url
        )
        return await change.accepted(session, await feature.ledger.out(session, operation))


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
    policy = live.policy_text(body.lifecycle, "/lifecycle") if body and body.lifecycle else None
    with refusals():
        await cloud.ecr.start_preview(row.name, policy)
    started = PreviewOut(status="IN_PROGRESS", expiring=0, policy=None)
    async with change.transaction() as session:
        return await change.answer(session, 200, started)
