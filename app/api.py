"""The routes of the API, all of them, and the document that describes them."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from app import probes
from app.clusters.router import router as clusters_router
from app.http import openapi
from app.nodegroups.router import router as nodegroups_router
from app.operations.router import router as operations_router
from app.releases.router import router as releases_router
from app.releases.router_credentials import router as chart_credentials_router
from app.releases.router_live import router as live_releases_router
from app.webhooks.router import router as webhooks_router

ROUTERS: tuple[APIRouter, ...] = (
    clusters_router,
    nodegroups_router,
    releases_router,
    live_releases_router,
    chart_credentials_router,
    operations_router,
    webhooks_router,
    probes.router,
)


def include_routers(app: FastAPI) -> None:
    """Add the routes of every router to the app.

    The routes themselves: `include_router` has FastAPI analyse each of them again at the first request, which takes an
    eighth of a second, for prefixes and overrides that none has.
    """
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                route.unique_id = openapi.operation_id(route)
            app.router.routes.append(route)


def document(app: FastAPI) -> openapi.Document:
    """Return the OpenAPI document, with what no feature can say of another one: the node groups of a cluster."""
    made = openapi.document(app)
    schemas = made["components"]["schemas"]
    schemas["ClusterNodegroup"] = _without_cluster(schemas["NodegroupSpec"])
    forms = schemas["CreateClusterDocument"]["anyOf"]
    schemas["ClusterCreate"], schemas["ClusterConfig"] = {**forms[0], "title": "ClusterCreate"}, forms[1]
    schemas["ClusterCreate"]["properties"]["nodegroups"]["items"] = {"$ref": "#/components/schemas/ClusterNodegroup"}
    forms[:] = [{"$ref": f"#/components/schemas/{name}"} for name in ("ClusterCreate", "ClusterConfig")]
    return made


def _without_cluster(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        **spec,
        "title": "ClusterNodegroup",
        "description": "A node group that stands in its cluster's own request.",
        "properties": {name: value for name, value in spec["properties"].items() if name != "cluster"},
        "required": [name for name in spec["required"] if name != "cluster"],
        "examples": [{name: value for name, value in spec["examples"][0].items() if name != "cluster"}],
    }
