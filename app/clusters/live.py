"""What a request must ask AWS before its transaction begins: versions, zones, the given VPC, names in use."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from app.clusters.clusterconfig import Expectation
from app.clusters.errors import ClusterExistsError
from app.clusters.models import Cluster
from app.clusters.render import cluster_stack
from app.clusters.schemas import ClusterSpec
from app.core.errors import FieldError, InvalidError
from app.gateways.aws.cloud import Cloud, no_such_region
from app.gateways.aws.ec2 import Subnet
from app.gateways.aws.eks_resources import ClusterVersion
from app.gateways.aws.errors import first

T = TypeVar("T")
Facts = dict[str, Any]

PLACEHOLDER_ID = "clu_00000000000000000000000000"
PLACEHOLDER_ROLE = "arn:aws:iam::000000000000:role/placeholder"

KEEP_SECONDS = 600.0
"""How long versions and zones are remembered; they change a few times a year."""


class LiveChecks:
    """Asks AWS, and remembers what seldom changes."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], tuple[float, Any]] = {}

    async def versions(self, cloud: Cloud) -> tuple[list[str], str]:
        """Return the versions that a new cluster can have, newest first, and EKS's default.

        Raises:
            AwsError: AWS could not be asked, or lists none.
        """
        found = await self._keep(cloud, "versions", lambda: _versions(cloud))
        names = [version.version for version in found]
        return names, next((version.version for version in found if version.is_default), names[0])

    async def creation(
        self, cloud: Cloud, spec: ClusterSpec, expectations: Sequence[Expectation] = (), *, again: bool = False
    ) -> tuple[ClusterSpec, Facts]:
        """Check a spec against AWS; return it with its version, and the facts that its template needs.

        Args:
            cloud: Where the cluster is to be.
            spec: What is asked for.
            expectations: What the caller's document says of the VPC that it names.
            again: An earlier create failed; what AWS has of that name may be its remains.

        Raises:
            InvalidError: AWS does not have what it names, or no template can say that; with pointers.
            ClusterExistsError: AWS has a cluster of that name.
            AwsError: AWS could not be asked.
        """
        await self._check_region(cloud)
        names, default = await self.versions(cloud)
        version = spec.version or default
        if version not in names:
            detail = f"EKS does not offer {version} for new clusters in {cloud.region}; it offers {', '.join(names)}"
            raise InvalidError("The version is not supported.", [FieldError("/version", detail)])
        if not again and await cloud.eks.describe_cluster(spec.name) is not None:
            raise ClusterExistsError(f"AWS has a cluster named {spec.name!r} in {spec.region} that is not Slipway's.")
        if spec.network.vpc_id:
            facts = await _check_vpc(cloud, spec, expectations)
        else:
            facts = await self._zones(cloud, spec)
        spec = spec.model_copy(update={"version": version})
        cluster_stack(PLACEHOLDER_ID, spec, {**facts, "slipway_role_arn": PLACEHOLDER_ROLE})
        return spec, facts

    async def change(self, cloud: Cloud, cluster: Cluster, spec: ClusterSpec) -> tuple[ClusterSpec, Facts | None]:
        """Check the spec that a cluster shall be brought to; return it with its version.

        A cluster that never came to be is laid out anew: for it, and only for it, the facts are returned, too.

        Raises:
            InvalidError: AWS does not have what it names, or does not take that version.
            AwsError: AWS could not be asked.
        """
        if not cluster.observed_generation:
            return await self.creation(cloud, spec, again=True)
        before = str(cluster.applied_spec["version"])
        if spec.version not in (None, before):
            await self.upgrade(cloud, before, str(spec.version))
        return spec.model_copy(update={"version": spec.version or before}), None

    async def upgrade(self, cloud: Cloud, before: str, after: str) -> None:
        """Check that AWS takes a cluster from one version to another: to the next minor, never back.

        Raises:
            InvalidError: it does not.
        """
        names, _ = await self.versions(cloud)
        old, new = int(before.split(".")[1]), int(after.split(".")[1])
        if new < old:
            detail = f"is older than the cluster's {before}: a control plane cannot go back"
        elif new > old + 1:
            detail = f"is more than one minor after {before}: go to 1.{old + 1} first"
        elif after not in names:
            detail = f"EKS does not offer {after}; it offers {', '.join(names)}"
        else:
            return
        raise InvalidError("The version cannot be reached.", [FieldError("/version", detail)])

    async def _check_region(self, cloud: Cloud) -> None:
        others = await self._keep(cloud, "regions", cloud.other_regions)
        if others is not None:
            raise no_such_region(cloud.region, others)

    async def _zones(self, cloud: Cloud, spec: ClusterSpec) -> Facts:
        available = [zone.name for zone in await self._keep(cloud, "zones", cloud.ec2.availability_zones)]
        asked = spec.network.zones
        if isinstance(asked, list):
            errors = [
                FieldError(f"/network/zones/{index}", f"{name!r} is not a zone that EKS can use in {cloud.region}")
                for index, name in enumerate(asked)
                if name not in available
            ]
            zones = list(asked)
        else:
            number = asked or 3
            zones = available[:number]
            errors = []
            if len(zones) < number and (asked or len(zones) < 2):
                errors = [FieldError("/network/zones", f"{cloud.region} has {len(available)} zones that EKS can use")]
        second = next((name for name in available if name not in zones), None) if len(zones) == 1 else None
        if len(zones) == 1 and second is None:
            errors.append(FieldError("/network/zones", "EKS needs subnets in two zones"))
        if errors:
            raise InvalidError("The zones cannot be used.", errors)
        return {"zones": zones, **({"control_plane_zone": second} if second else {})}

    async def _keep(self, cloud: Cloud, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        key = cloud.account.id, cloud.region, what
        kept = self._kept.get(key)
        if kept is None or time.monotonic() - kept[0] > KEEP_SECONDS:
            kept = time.monotonic(), await ask()
            self._kept[key] = kept
        value: T = kept[1]
        return value


async def _versions(cloud: Cloud) -> list[ClusterVersion]:
    found = await cloud.eks.cluster_versions()
    first(found, "eks:DescribeClusterVersions", f"Kubernetes version for new clusters in {cloud.region}")
    return found


async def _check_vpc(cloud: Cloud, spec: ClusterSpec, expectations: Sequence[Expectation]) -> Facts:
    network = spec.network
    assert network.vpc_id is not None  # noqa: S101 - the schema ties
    assert network.subnets is not None  # noqa: S101 - both together
    vpc = await cloud.ec2.vpc(network.vpc_id)
    if vpc is None:
        detail = f"there is no VPC {network.vpc_id} in {cloud.region}"
        raise InvalidError("The VPC does not exist.", [FieldError("/network/vpc_id", detail)])
    ids = [*network.subnets.public, *network.subnets.private]
    found = {subnet.id: subnet for subnet in await cloud.ec2.subnets(ids)}
    errors = [
        FieldError(f"/network/subnets/{kind}/{index}", problem)
        for kind, named in (("public", network.subnets.public), ("private", network.subnets.private))
        for index, subnet_id in enumerate(named)
        if (problem := _subnet_problem(found.get(subnet_id), subnet_id, network.vpc_id))
    ]
    if not errors and len({subnet.zone for subnet in found.values()}) < 2:
        errors = [FieldError("/network/subnets", "EKS needs subnets in two zones or more")]
    real = {(network.vpc_id, "cidr"): vpc.cidrs[0]}
    for subnet in found.values():
        real[subnet.id, "cidr"], real[subnet.id, "zone"] = subnet.cidr, subnet.zone
    errors += [
        FieldError(f"original:{wanted.pointer}", f"{wanted.resource} has {real[key]!r}, not {wanted.value!r}")
        for wanted in expectations
        if (key := (wanted.resource, wanted.attribute)) in real and real[key] != wanted.value
    ]
    if errors:
        raise InvalidError("The network cannot be used.", errors)
    return {"subnet_zones": {subnet.id: subnet.zone for subnet in found.values()}}


def _subnet_problem(subnet: Subnet | None, subnet_id: str, vpc_id: str) -> str | None:
    if subnet is None:
        return f"there is no subnet {subnet_id}"
    if subnet.vpc_id != vpc_id:
        return f"{subnet_id} is in {subnet.vpc_id}, not in {vpc_id}"
    return None


async def default_addon_version(cloud: Cloud, name: str, cluster_version: str) -> str | None:
    """Return the version of an addon that EKS takes by default for a Kubernetes version; None if it names none."""
    versions = await cloud.eks.addon_versions(name, cluster_version)
    return next((version.version for version in versions if version.is_default), None)
