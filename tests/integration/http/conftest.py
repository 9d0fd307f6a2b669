"""The app on both databases, with a tiny router whose changes can be counted: a thing is a row of `projects`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text

from app import probes
from app.core.errors import ConflictError
from app.core.ids import new_id
from app.core.settings import Settings
from app.db.session import Database
from app.http.caller import CallerDep
from app.http.change import ChangeDep
from app.http.etag import conditional
from app.http.pagination import Page, PageQuery, TagQuery
from app.http.route import StrictRoute
from app.main import create_app

KEY = "test-admin-key-0123456789-abcdefghij"
GENERATION = 3


class Size(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    minimum: int = Field(ge=1)


class ThingSpec(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    name: str
    size: Size | None = None


class ThingOut(BaseModel):
    id: str
    name: str = ""


things = APIRouter(route_class=StrictRoute)


async def insert(session: Any, name: str) -> str:
    thing = new_id("prj")
    await session.execute(
        text("INSERT INTO projects (id, name, created_at) VALUES (:id, :name, CURRENT_TIMESTAMP)"),
        {"id": thing, "name": name},
    )
    return thing


@things.post("/things", status_code=202, response_model=ThingOut)
async def create_thing(spec: ThingSpec, change: ChangeDep, request: Request) -> Response:
    async with change.transaction() as session:
        thing = await insert(session, spec.name)
        await asyncio.sleep(getattr(request.app.state, "slowness", 0))
        answer = await change.accepted(session, ThingOut(id=thing, name=spec.name))
        if spec.name == "refused":
            raise ConflictError("refused after the answer was stored", thing=thing)
        if spec.name == "broken":
            raise RuntimeError("a bug with postgresql://me:hunter2@db/x in it")
        return answer


@things.patch("/things/{thing}", status_code=202, response_model=ThingOut)
async def update_thing(thing: str, patch: dict[str, Any], change: ChangeDep) -> Response:
    change.check_match(GENERATION)
    async with change.transaction() as session:
        return await change.accepted(session, ThingOut(id=thing, name=str(patch.get("name"))))


@things.delete("/things/{thing}", status_code=204)
async def delete_thing(thing: str, change: ChangeDep) -> Response:
    async with change.transaction() as session:
        return await change.answer(session, 204, None)


@things.get("/things/{thing}", response_model=ThingOut)
async def get_thing(thing: str, caller: CallerDep, request: Request) -> Response:
    return conditional(request, GENERATION, ThingOut(id=thing))


@things.get("/things")
async def list_things(
    caller: CallerDep, page: PageQuery, tags: TagQuery, colour: Annotated[str | None, Query()] = None
) -> Page[ThingOut]:
    rows = [ThingOut(id=f"{number:03}", name=str(tags)) for number in range(300)]
    after = page.after_text or ""
    found = [row for row in rows if row.id > after][: page.fetch]
    kept, token = page.cut(found, key=lambda row: row.id)
    return Page(items=list(kept), next_page_token=token)


def new_app(url: str, **settings: Any) -> FastAPI:
    app = create_app(Settings(database_url=url, admin_key=KEY, **settings), with_worker=False)
    app.include_router(things)
    return app


@pytest.fixture
def database_of(app: FastAPI) -> Database:
    database: Database = app.state.database
    return database


@pytest.fixture
async def app(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FastAPI]:
    monkeypatch.setattr(probes, "CHECK_SECONDS", 60.0)  # a busy machine is no database that does not answer
    made = new_app(database_url, max_body_bytes=4096)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://slipway.test", headers=headers) as opened:
        yield opened


@pytest.fixture
def count(database_of: Database) -> Callable[[str], Any]:
    async def of(name: str) -> int:
        async with database_of.read() as session:
            query = text("SELECT count(*) FROM projects WHERE name = :name")
            return int((await session.execute(query, {"name": name})).scalar_one())

    return of
