"""The routes of the API, all of them, and the document that describes them."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from app import probes
from app.clusters.router import router as clusters_router
from app.http import openapi
from app.kinds.all import KINDS
from app.kinds.kind import Kind
from app.kinds.routes import routes
from app.operations.router import router as operations_router
from app.registries.router import router as registries_router
from app.registries.router_settings import router as registry_settings_router
from app.releases.router import router as releases_router
from app.releases.router_credentials import router as chart_credentials_router
from app.releases.router_live import router as live_releases_router
from app.webhooks.router import router as webhooks_router

ROUTERS: tuple[APIRouter, ...] = (
    clusters_router,
    *(routes(kind) for kind in KINDS.values() if not kind.managed),
    releases_router,
    live_releases_router,
    chart_credentials_router,
    registries_router,
    registry_settings_router,
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
    """Return the OpenAPI document, with what no feature can say of another one: what a cluster's request may hold."""
    made = openapi.document(app)
    schemas = made["components"]["schemas"]
    forms = schemas["CreateClusterDocument"]["anyOf"]
    schemas["ClusterCreate"], schemas["ClusterConfig"] = {**forms[0], "title": "ClusterCreate"}, forms[1]
    fields = schemas["ClusterCreate"]["properties"]
    held = {"releases": "ClusterRelease"}
    for kind in (kind for kind in KINDS.values() if not kind.managed):
        held[kind.plural] = f"Cluster{kind.word}"
        about = f"{kind.a_title.replace('a', 'A', 1)} that stands in a cluster's own request."
        schemas[held[kind.plural]] = _within_cluster(schemas[f"{kind.word}Spec"], about, *kind.scope.fields)
        fields.setdefault(kind.plural, _specs_of(kind))
    schemas["ClusterRelease"] = _within_cluster(
        schemas["ReleaseSpec"], "A Helm release that stands in its cluster's own request.", "cluster"
    )
    for field, name in held.items():
        fields[field]["items"] = {"$ref": f"#/components/schemas/{name}"}
    forms[:] = [{"$ref": f"#/components/schemas/{name}"} for name in ("ClusterCreate", "ClusterConfig")]
    return made


def _specs_of(kind: Kind[Any]) -> dict[str, Any]:
    """Return the schema of the field of a cluster's request that holds a kind."""
    without = " and ".join(f"`{name}`" for name in kind.scope.fields)
    stays = " They outlive the cluster." if kind.stage is None else ""
    return {
        "default": [],
        "description": f"{kind.heading} specs without {without}; see `{kind.word}Spec`.{stays}",
        "maxItems": 30,
        "title": kind.plural.replace("_", " ").title(),
        "type": "array",
    }


def _within_cluster(spec: dict[str, Any], description: str, *given: str) -> dict[str, Any]:
    """Return the schema of what stands in a cluster's request, without the fields that the cluster gives."""
    example = spec["examples"][0]
    return {
        **spec,
        "title": f"Cluster{spec['title'].removesuffix('Spec')}",
        "description": description,
        "properties": {name: value for name, value in spec["properties"].items() if name not in given},
        "required": [name for name in spec["required"] if name not in given],
        "examples": [{name: value for name, value in example.items() if name not in given}],
    }
