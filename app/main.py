"""The web app, put together: database, access, ledger, routes, and the worker unless others do the work."""

import asyncio
import contextlib
import gc
import logging
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette

from app import aws_problems, models  # noqa: F401 - SQLAlchemy must know every table
from app.access import admin_keys
from app.access.service import Access
from app.api import document, include_routers
from app.core.settings import Settings
from app.db.session import Database
from app.gateways.aws.clients import AwsClients
from app.gateways.helm.client import Helm
from app.gateways.helm.errors import BinaryUnusable
from app.http import documentation, openapi, problems
from app.http.authentication_failures import AuthenticationFailures
from app.http.concurrency import Requests, Streams
from app.http.middleware import RequestContext
from app.operations.feed import Feed
from app.webhooks.router import outgoing
from app.wiring import Services, wire
from app.worker import Worker

log = logging.getLogger(__name__)

DESCRIPTION = (
    "Builds and runs Amazon EKS clusters. Every change answers 202 with an operation, whose steps, events and cause "
    "of failure can be read and followed."
)


def create_app(settings: Settings, *, with_worker: bool = True) -> FastAPI:
    """Return the app. The schema must be the newest one (`slipway migrate`) before it starts; `/readyz` tells.

    Args:
        settings: Where the database is, and limits.
        with_worker: Whether this process also carries operations out.
    """
    app = FastAPI(
        title="Slipway",
        version=version("slipway"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id,
        webhooks=outgoing,
    )
    app.state.settings = settings
    app.state.with_worker = with_worker
    app.state.authentication_failures = AuthenticationFailures()
    app.state.streams = Streams(settings.max_streams, settings.max_streams_per_key)
    include_routers(app)
    if settings.docs:
        app.router.routes.extend(documentation.ROUTES)
    problems.install(app)
    aws_problems.install(app)
    app.add_middleware(Requests, limit=settings.http_max_requests)
    app.add_middleware(RequestContext)  # outermost: what is refused has an id, too
    _document_once(app)
    return app


def end_streams(app: FastAPI) -> None:
    """End every event stream, from wherever a signal is handled; their readers come back, to another replica."""
    if hasattr(app.state, "feed"):
        app.state.loop.call_soon_threadsafe(app.state.feed.close)


def _document_once(app: FastAPI) -> None:
    def document_once() -> openapi.Document:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = document_once  # type: ignore[method-assign]  # how FastAPI's own documentation extends the document


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    keys = admin_keys.of_settings(settings)
    database = Database(settings.database_url)
    app.state.database = database
    clients = AwsClients()
    services = wire(settings, database, clients)
    app.state.ledger = services.ledger
    app.state.clusters = services.clusters
    app.state.changes = services.changes
    app.state.releases = services.releases
    app.state.registries = services.registries
    app.state.webhooks = services.webhooks
    app.state.vault = services.vault
    app.state.feed = feed = Feed(database)
    app.state.loop = asyncio.get_running_loop()
    access = Access(database, keys)
    app.state.authenticate = access.authenticate
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        stack.push_async_callback(clients.aclose)
        stack.push_async_callback(services.aclose)
        stack.push_async_callback(feed.aclose)
        stack.callback(app.state.authentication_failures.close)
        await _bootstrap(access, settings)
        await stack.enter_async_context(_running(database.notifier.run(), "notifier"))
        await stack.enter_async_context(_running(_warm(clients), "warm"))
        await stack.enter_async_context(_running(_find_helm(services.helm), "helm"))
        if app.state.with_worker:
            await stack.enter_async_context(_working(app, database, services))
        yield


async def _bootstrap(access: Access, settings: Settings) -> None:
    """Show a key that was made to whoever sits at a terminal; anything else that reads stderr keeps it as a log.

    So does what runs a container, even one that was given a terminal; in it this process is the first one.
    """
    made = await access.bootstrap(admin_keys.made_file(settings))
    if made and sys.stderr.isatty() and os.getpid() != 1:
        sys.stderr.write(f"\nSLIPWAY_ADMIN_KEY is not set. The first API key:\n\n    {made}\n\n")
        sys.stderr.flush()


async def _warm(clients: AwsClients) -> None:
    """Load the SDK beside the first requests, which would else wait seconds for it.

    What is loaded then stays for good, so the collector need not look through it again: a full collection, one for
    every 16 pages of clusters, would stop the process for 200 ms each time.
    """
    await clients.warm(("eks", "ec2", "ecr", "cloudformation"))
    gc.collect()
    gc.freeze()


async def _find_helm(helm: Helm) -> None:
    """Find helm beside the first requests, and remove what killed processes left of theirs."""
    try:
        await helm.start()
    except (BinaryUnusable, OSError) as error:
        log.warning("no release can be installed: %s", error)


@contextlib.asynccontextmanager
async def _working(app: Starlette, database: Database, services: Services) -> AsyncIterator[None]:
    worker = Worker(app.state.settings, database, services)
    app.state.worker = worker
    async with _running(worker.run(), "worker") as task:
        try:
            yield
        finally:
            await worker.stop()
            await asyncio.wait({task}, timeout=app.state.settings.drain_seconds)


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
