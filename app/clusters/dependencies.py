"""What the routes of clusters need: the services that a root wired, and a cluster's full answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema
from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters import repository
from app.clusters.changes import ClusterChanges
from app.clusters.models import Addon, Cluster
from app.clusters.schemas import AddonStatus, ClusterCreate, ClusterOut, ClusterOutputs, ClusterSpec, ClusterStatus
from app.gateways.aws.cloud import Clouds
from app.operations.schemas import Condition
from app.operations.service import Ledger


@dataclass(frozen=True, slots=True)
class ClusterFeature:
    """All that the routes use."""

    changes: ClusterChanges
    ledger: Ledger
    clouds: Clouds


def get_feature(request: Request) -> ClusterFeature:
    """Return what the root wired."""
    feature: ClusterFeature = request.app.state.clusters
    return feature


FeatureDep = Annotated[ClusterFeature, Depends(get_feature)]


class ClusterDocument:
    """A body that is a `ClusterCreate`, or an eksctl ClusterConfig as JSON or YAML; `read_request` takes it apart."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.any_schema()

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        own = handler(ClusterCreate.__pydantic_core_schema__)
        foreign = {
            "title": "ClusterConfig",
            "description": "An eksctl ClusterConfig, v1alpha5.",
            "type": "object",
            "required": ["apiVersion", "kind", "metadata"],
            "properties": {
                "apiVersion": {"const": "eksctl.io/v1alpha5"},
                "kind": {"const": "ClusterConfig"},
                "metadata": {"type": "object", "required": ["name", "region"]},
            },
        }
        return {"anyOf": [own, foreign], "title": "ClusterDocument"}


async def clusters_out(session: AsyncSession, clusters: Sequence[Cluster]) -> list[ClusterOut]:
    """Return what callers see of clusters, with how far their addons are."""
    addons: dict[str, list[Addon]] = {cluster.id: [] for cluster in clusters}
    for addon in await repository.addons_of(session, list(addons)):
        addons[addon.cluster_id].append(addon)
    return [_cluster_out(cluster, addons[cluster.id]) for cluster in clusters]


def _cluster_out(cluster: Cluster, addons: Sequence[Addon]) -> ClusterOut:
    return ClusterOut(
        id=cluster.id,
        name=cluster.name,
        spec=ClusterSpec.model_validate(cluster.spec),
        status=ClusterStatus(
            phase=cluster.phase,
            conditions=[Condition.model_validate(condition) for condition in cluster.conditions],
            outputs=ClusterOutputs.model_validate(cluster.outputs),
            observed_generation=cluster.observed_generation,
            addons=[_addon_status(addon) for addon in addons],
        ),
        generation=cluster.generation,
        created_at=cluster.created_at,
        updated_at=cluster.updated_at,
        deleted_at=cluster.deleted_at,
    )


def _addon_status(addon: Addon) -> AddonStatus:
    failed = [condition["message"] for condition in addon.conditions if condition["status"] == "False"]
    return AddonStatus(
        name=addon.name, phase=addon.phase, version=addon.spec.get("version"), message=failed[0] if failed else ""
    )
