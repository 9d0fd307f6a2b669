"""From a cluster's spec to the input of its template. Pure."""

from typing import Any

from app.clusters.schemas import AddonSpec, ClusterSpec
from app.stacks.cluster import FIRST_ADDONS, Access, ClusterInput, Encryption, Endpoints, FirstAddon, cluster_template
from app.stacks.network import DEFAULT_CIDR, GivenNetwork, Network, OwnNetwork
from app.stacks.template import StackTemplate


def cluster_stack(cluster_id: str, spec: ClusterSpec, facts: dict[str, Any]) -> StackTemplate:
    """Return the cluster's stack.

    Args:
        cluster_id: `clu_…`.
        spec: What is asked for.
        facts: `zones` (names, for a VPC that is made), `control_plane_zone`, `slipway_role_arn`, `bootstrap_creator`,
            `addon_versions` (of `vpc-cni` and `kube-proxy` where the spec names none, once an upgrade moved them).

    Raises:
        InvalidError: No template can say that; pointers are the spec's.
    """
    return cluster_template(
        ClusterInput(
            resource_id=cluster_id,
            name=spec.name,
            network=_network(spec, facts),
            version=spec.version,
            endpoints=Endpoints(spec.endpoints.public, spec.endpoints.private, tuple(spec.endpoints.public_cidrs)),
            access=Access(
                mode=spec.access.mode,
                admin_role_arn=facts.get("slipway_role_arn"),
                bootstrap_creator=facts.get("bootstrap_creator", False),
            ),
            log_types=tuple(spec.logging.types),
            encryption=Encryption(spec.encryption.kms_key) if spec.encryption else None,
            ip_family=spec.network.ip_family,
            service_ipv4_cidr=spec.network.service_cidr,
            deletion_protection=spec.deletion_protection,
            support_type=spec.upgrade_policy,
            zonal_shift=spec.zonal_shift,
            with_oidc=spec.access.oidc,
            first_addons=_first_addons(spec, facts.get("addon_versions", {})),
            tags=spec.tags,
        )
    )


def _first_addons(spec: ClusterSpec, versions: dict[str, str]) -> tuple[FirstAddon, ...]:
    given = {addon.name: addon for addon in spec.addons or ()}
    found = []
    for name in FIRST_ADDONS:
        addon = given.get(name) or AddonSpec(name=name)
        found.append(FirstAddon(name, addon.version or versions.get(name), addon.configuration))
    return tuple(found)


def _network(spec: ClusterSpec, facts: dict[str, Any]) -> Network:
    network = spec.network
    if network.vpc_id and network.subnets:
        return GivenNetwork(network.vpc_id, tuple(network.subnets.public), tuple(network.subnets.private))
    return OwnNetwork(
        zones=tuple(facts["zones"]),
        cidr=network.cidr or DEFAULT_CIDR,
        nat=network.nat or "single",
        control_plane_zone=facts.get("control_plane_zone"),
    )


def cluster_outputs(outputs: dict[str, str]) -> dict[str, Any]:
    """Return the contract's outputs from those of the stack."""
    return {
        "arn": outputs.get("Arn"),
        "endpoint": outputs.get("Endpoint"),
        "certificate_authority": outputs.get("CertificateAuthorityData"),
        "oidc_issuer": outputs.get("OidcIssuer"),
        "vpc_id": outputs.get("VpcId"),
        "subnet_ids": _split(outputs.get("SubnetIds")),
        "security_group_id": outputs.get("SecurityGroupId"),
        "role_arn": outputs.get("RoleArn"),
    }


def network_facts(outputs: dict[str, str], facts: dict[str, Any]) -> dict[str, Any]:
    """Return what node groups need to know of the cluster's network, from its stack's outputs and earlier facts."""
    public, private = _split(outputs.get("PublicSubnetIds")), _split(outputs.get("PrivateSubnetIds"))
    found: dict[str, Any] = {
        "public_subnet_ids": public,
        "private_subnet_ids": private,
        "node_subnet_ids": _split(outputs.get("NodeSubnetIds")),
    }
    if "zones" in facts:  # a VPC of our own: each zone has a subnet of both kinds, in order
        zones = [*facts["zones"], *filter(None, [facts.get("control_plane_zone")])]
        found["subnet_zones"] = {**dict(zip(public, zones, strict=True)), **dict(zip(private, zones, strict=True))}
    return found


def _split(value: str | None) -> list[str]:
    return value.split(",") if value else []
