"""What monitors ask: is the process alive, is it ready, and what are its figures. None of them needs a key."""

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError

from app import migrate
from app.core.errors import UnavailableError
from app.core.metrics import REGISTRY
from app.db.session import Database
from app.gateways.helm import confinement
from app.http.errors import NoSuchPathError
from app.operations import figures
from app.webhooks import metrics as webhook_metrics

CHECK_SECONDS = 3.0
"""How long the database may take to answer a probe."""

router = APIRouter(tags=["probes"])


class NotReadyError(UnavailableError):
    """The process cannot do its work now; `checks` tells which part is wrong."""

    code = "not_ready"
    title = "Not ready"


class DeadError(UnavailableError):
    """The process can only be started anew; `checks` tells which part stands still."""

    code = "dead"
    title = "Not alive"


class Health(BaseModel):
    """The answer of a probe that is content."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"] = "ok"


class Readiness(Health):
    """The answer of `/readyz`: ready, and what falls short all the same."""

    warnings: dict[str, str] = Field(
        default_factory=dict, description="What does not keep Slipway from its work, by the part that it is about."
    )


@router.get("/healthz")
async def get_health(request: Request) -> Health:
    """Tell that the process is alive: it answers, and the worker does not stand still if it runs here."""
    worker = getattr(request.app.state, "worker", None)
    if worker is not None and (death := worker.death()):
        raise DeadError(f"worker: {death}", checks={"worker": death})
    return Health()


@router.get("/readyz")
async def get_readiness(request: Request) -> Readiness:
    """Tell that the database answers, that its schema is the right one, and that the worker turns if it runs here.

    `warnings.helm` says so where the kernel cannot keep helm from connecting past its gate.
    """
    checks = {
        "database": await _database_problem(request.app.state.database),
        "worker": _worker_problem(getattr(request.app.state, "worker", None)),
    }
    wrong = {name: problem for name, problem in checks.items() if problem}
    if wrong:
        raise NotReadyError("; ".join(f"{name}: {problem}" for name, problem in wrong.items()), checks=wrong)
    unconfined = confinement.problem()
    return Readiness(warnings={"helm": unconfined} if unconfined else {})


async def _database_problem(database: Database) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS), database.read() as session:
            revision = await migrate.current(session)
    except (SQLAlchemyError, OSError, TimeoutError):
        return "it does not answer"
    if not migrate.is_ready(revision):
        return f"its schema is at {revision or 'nothing'}, not at {migrate.newest()}: run `slipway migrate`"
    return None


def _worker_problem(worker: Any) -> str | None:
    return None if worker is None else worker.problem()


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_metrics(request: Request) -> Response:
    """Return the process's figures and the ledger's, in Prometheus' text form.

    Raises:
        NoSuchPathError: the operator has closed it.
    """
    if not request.app.state.settings.metrics:
        raise NoSuchPathError("There is nothing at this path.")
    ledger = await _ledger_figures(request.app.state.database)
    return Response(generate_latest(REGISTRY) + generate_latest(ledger), media_type=CONTENT_TYPE_LATEST)


async def _ledger_figures(database: Database) -> CollectorRegistry:
    registry = CollectorRegistry()
    up = Gauge("slipway_database_up", "Whether the database answered this scrape.", registry=registry)
    try:
        async with asyncio.timeout(CHECK_SECONDS), database.read() as session:
            found = await figures.read(session)
            told = await webhook_metrics.read(session)
    except (SQLAlchemyError, OSError, TimeoutError):
        up.set(0)
        return registry
    up.set(1)
    counts = Gauge("slipway_operations", "Operations in the database.", ["status", "kind"], registry=registry)
    for (status, kind), count in found.counts.items():
        counts.labels(status, kind).set(count)
    for name, text, value in (
        ("oldest_pending_seconds", "Age of the oldest pending operation.", found.oldest_pending_seconds),
        ("oldest_due_seconds", "How long the most overdue operation has waited.", found.oldest_due_seconds),
        ("dead_letters", "Operations given up on an unforeseen error.", found.dead_letters),
    ):
        Gauge(f"slipway_operations_{name}", text, registry=registry).set(value)
    for name, text, value in (
        ("pending", "Deliveries that have neither arrived nor been given up.", told.pending),
        ("oldest_due_seconds", "How long the most overdue delivery has waited.", told.oldest_due_seconds),
        ("endpoints_disabled", "Endpoints that Slipway disabled and nobody enabled again.", told.disabled),
    ):
        Gauge(f"slipway_webhook_{name}", text, registry=registry).set(value)
    return registry
