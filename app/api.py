"""The routes of the API, all of them."""

from fastapi import FastAPI

from app import probes
from app.operations.router import router as operations_router


def include_routers(app: FastAPI) -> None:
    """Add every router to the app."""
    app.include_router(operations_router)
    app.include_router(probes.router)
