"""The routes of the API, all of them."""

from fastapi import FastAPI

from app import probes
from app.clusters.router import router as clusters_router
from app.nodegroups.router import router as nodegroups_router
from app.operations.router import router as operations_router
from app.webhooks.router import router as webhooks_router


def include_routers(app: FastAPI) -> None:
    """Add every router to the app."""
    app.include_router(clusters_router)
    app.include_router(nodegroups_router)
    app.include_router(operations_router)
    app.include_router(webhooks_router)
    app.include_router(probes.router)
