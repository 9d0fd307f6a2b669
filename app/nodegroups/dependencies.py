"""What the routes of node groups need: the services that a root wired, and a group's full answer."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.gateways.aws.cloud import Clouds
from app.nodegroups.models import Nodegroup
from app.nodegroups.ports import Clusters
from app.nodegroups.schemas import NodegroupOut, NodegroupOutputs, NodegroupSpec, NodegroupStatus
from app.nodegroups.service import NodegroupService
from app.operations.schemas import Condition
from app.operations.service import Ledger


@dataclass(frozen=True, slots=True)
class NodegroupFeature:
    """All that the routes use."""

    service: NodegroupService
    ledger: Ledger
    clusters: Clusters
    clouds: Clouds


def get_feature(request: Request) -> NodegroupFeature:
    """Return what the root wired."""
    feature: NodegroupFeature = request.app.state.nodegroups
    return feature


FeatureDep = Annotated[NodegroupFeature, Depends(get_feature)]


def nodegroup_out(group: Nodegroup) -> NodegroupOut:
    """Return what callers see of a node group."""
    return NodegroupOut(
        id=group.id,
        name=group.name,
        cluster_id=group.cluster_id,
        spec=NodegroupSpec.model_validate(group.spec),
        status=NodegroupStatus(
            phase=group.phase,
            conditions=[Condition.model_validate(condition) for condition in group.conditions],
            outputs=NodegroupOutputs.model_validate(group.outputs),
            observed_generation=group.observed_generation,
        ),
        generation=group.generation,
        created_at=group.created_at,
        updated_at=group.updated_at,
        deleted_at=group.deleted_at,
    )
