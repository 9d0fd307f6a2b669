"""From a node group's row to the input of its template. Pure."""

from app.clusters.view import ClusterView
from app.kinds.nodegroup.spec import NodegroupSpec
from app.stacks.nodegroup import ClusterFacts, NodegroupInput, Scaling, Ssh, Update, nodegroup_template
from app.stacks.taints import Taint
from app.stacks.template import StackTemplate


def nodegroup_stack(
    nodegroup_id: str, spec: NodegroupSpec, cluster: ClusterView, *, desired: int | None
) -> StackTemplate:
    """Return the node group's stack.

    Args:
        nodegroup_id: `ng_…`.
        spec: What is asked for, its `version` filled in.
        cluster: The cluster, active.
        desired: Nodes that it should have now.
    """
    return nodegroup_template(
        NodegroupInput(
            resource_id=nodegroup_id,
            name=spec.name,
            cluster=ClusterFacts(
                name=cluster.name,
                vpc_id=cluster.outputs["vpc_id"],
                security_group_id=cluster.outputs["security_group_id"],
                ip_family="ipv6" if cluster.ip_family == "ipv6" else "ipv4",
            ),
            subnets=subnets_of(spec, cluster),
            scaling=Scaling(spec.scaling.min, spec.scaling.max, desired),
            instance_types=tuple(spec.instance_types),
            capacity_type=spec.capacity_type,
            ami_type=spec.ami_type,
            version=spec.version,
            disk_size_gib=spec.disk_size_gib,
            labels=spec.labels,
            taints=taints_of(spec),
            ssh=Ssh(spec.ssh.key_name, spec.ssh.public_key, tuple(spec.ssh.source_security_groups))
            if spec.ssh
            else None,
            update=Update(spec.update.max_unavailable, spec.update.max_unavailable_percent)
            if spec.update.max_unavailable or spec.update.max_unavailable_percent
            else None,
            tags=spec.tags,
        )
    )


def subnets_of(spec: NodegroupSpec, cluster: ClusterView) -> tuple[str, ...]:
    """Return the subnets of the nodes: those named, or those of the cluster by type and zone."""
    if spec.subnets:
        return tuple(spec.subnets)
    facts = cluster.facts
    found: list[str] = facts.get(f"{spec.subnet_type}_subnet_ids" if spec.subnet_type else "node_subnet_ids", [])
    wanted = spec.zones or facts.get("zones")  # of a VPC of our own: not the extra zone of the control plane
    zone_of: dict[str, str] = facts.get("subnet_zones", {})
    return tuple(subnet for subnet in found if not wanted or zone_of.get(subnet) in wanted)


def taints_of(spec: NodegroupSpec) -> tuple[Taint, ...]:
    """Return the taints as templates take them."""
    return tuple(Taint(taint.key, taint.effect, taint.value) for taint in spec.taints)
