"""Routes of credentials for chart repositories and registries."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Request, Response

from app.http.caller import CallerDep
from app.http.change import DirectChangeDep
from app.http.etag import conditional, etag
from app.http.openapi import problems
from app.http.pagination import Page, PageQuery
from app.http.route import StrictRoute
from app.operations.dependencies import DatabaseDep
from app.releases import repository
from app.releases.dependencies import FeatureDep, credential_out
from app.releases.schemas_credentials import ChartCredentialOut, ChartCredentialSpec

router = APIRouter(route_class=StrictRoute, tags=["chart credentials"])

CredentialPath = Annotated[str, Path(description="Id or host of the credential.")]


@router.get("/chart-credentials", responses=problems(422))
async def list_chart_credentials(caller: CallerDep, database: DatabaseDep, page: PageQuery) -> Page[ChartCredentialOut]:
    """List credentials, newest first."""
    async with database.read() as session:
        rows = await repository.list_credentials(session, caller.project_id, limit=page.fetch, before=page.after_text)
    kept, token = page.cut(rows, lambda row: row.id)
    return Page(items=[credential_out(row) for row in kept], next_page_token=token)


@router.post("/chart-credentials", status_code=201, response_model=ChartCredentialOut, responses=problems(409, 422))
async def create_chart_credential(body: ChartCredentialSpec, change: DirectChangeDep, feature: FeatureDep) -> Response:
    """Store what opens a chart repository or registry; charts of that host are fetched with it from then on."""
    async with change.transaction() as session:
        row = await feature.credentials.create(session, change.caller, body)
        headers = {"Location": f"/chart-credentials/{row.id}", "ETag": etag(row.generation)}
        return await change.answer(session, 201, credential_out(row), headers)


@router.get("/chart-credentials/{credential}", response_model=ChartCredentialOut, responses=problems(404))
async def get_chart_credential(
    credential: CredentialPath, caller: CallerDep, database: DatabaseDep, request: Request
) -> Response:
    """Read a credential; its password is never shown."""
    async with database.read() as session:
        row = await repository.credential(session, caller.project_id, credential)
    return conditional(request, row.generation, credential_out(row))


@router.patch("/chart-credentials/{credential}", response_model=ChartCredentialOut, responses=problems(404, 412, 422))
async def update_chart_credential(
    credential: CredentialPath,
    patch: Annotated[dict[str, Any], Body(examples=[{"password": "…"}])],
    change: DirectChangeDep,
    feature: FeatureDep,
) -> Response:
    """Change user name or password: a JSON merge patch (RFC 7396)."""
    async with change.transaction() as session:
        row = await repository.credential(session, change.caller.project_id, credential, lock=True)
        change.check_match(row.generation)
        changed = await feature.credentials.update(session, row, patch)
        return await change.answer(session, 200, credential_out(changed), {"ETag": etag(changed.generation)})


@router.delete(
    "/chart-credentials/{credential}", status_code=204, response_class=Response, responses=problems(404, 412)
)
async def delete_chart_credential(credential: CredentialPath, change: DirectChangeDep, feature: FeatureDep) -> Response:
    """Forget a credential; what was installed with it stays."""
    async with change.transaction() as session:
        row = await repository.credential(session, change.caller.project_id, credential, lock=True)
        change.check_match(row.generation)
        await feature.credentials.delete(session, row)
        return await change.answer(session, 204, None)
