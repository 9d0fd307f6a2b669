"""Charts in registries: where each is, and the token that opens it for the minutes of one fetch.

`helm push` puts a chart into the repository that ends with the chart's name: `shop/sock-shop` takes the chart
`sock-shop`, pushed to `oci://HOST/shop`; its tag is the version, with `_` for `+`.
"""

import re

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.session import Database
from app.gateways.aws.cloud import Cloud, Clouds
from app.gateways.helm.chart import Credential, OciChart
from app.gateways.helm.errors import ChartInvalid, ChartNotFound, ChartVersionNotFound
from app.kinds import errors, rows
from app.kinds.registry.kind import REGISTRIES
from app.kinds.registry.models import Registry
from app.operations import repository as operations
from app.operations.service import Needs

HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
"""What the config of a chart's manifest is (helm.sh/docs/topics/registries)."""

_EXACT = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


class RegistryCharts:
    """Finds charts in the registries of projects."""

    def __init__(self, database: Database, clouds: Clouds) -> None:
        self._database = database
        self._clouds = clouds

    async def registry(self, session: AsyncSession, project_id: str, reference: str) -> Registry:
        """Return the registry that an id or name stands for.

        Raises:
            ResourceNotFoundError: there is none.
            ResourceDeletingError: it is being deleted.
            AmbiguousNameError: registries of several accounts or regions have the name.
        """
        registry: Registry = await rows.get(session, project_id, REGISTRIES, reference)
        if registry.phase == "deleting":
            live = await operations.live_of(session, registry.id)
            raise errors.deleting(REGISTRIES, registry.name, live.id if live else None)
        return registry

    async def needs(self, session: AsyncSession, registry_id: str) -> list[Needs]:
        """Return the registry's create, if it still runs; any other change leaves its charts alone."""
        live = await operations.live_of(session, registry_id)
        return [Needs(live.id)] if live and live.kind == "registry.create" else []

    async def locate(
        self, registry_id: str, name: str, version: str | None, digest: str | None
    ) -> tuple[OciChart, Credential]:
        """Return where a chart is, by its digest if it can be known, and a fresh token.

        Args:
            registry_id: `reg_…`.
            name: Of the chart.
            version: One version, or a range as helm takes it; None for the newest.
            digest: Of the manifest, if only that one will do.

        Raises:
            ChartNotFound: the registry is not there, or takes no chart of that name.
            ChartVersionNotFound: it does not hold that version.
            ChartInvalid: what it holds is no chart.
            AwsError: AWS could not be asked.
        """
        async with self._database.read() as session:
            registry: Registry = await rows.by_id(session, REGISTRIES, registry_id)
        uri = registry.outputs.get("repository_uri")
        if registry.deleted_at is not None or uri is None:
            state = "gone" if registry.deleted_at is not None else registry.phase
            raise ChartNotFound(f"registry {registry.name!r} is {state}, so that no chart can be pulled from it")
        own = registry.name.rpartition("/")[2]
        if name != own:
            raise ChartNotFound(f"registry {registry.name!r} takes the chart {own!r}, after its own name, not {name!r}")
        cloud = await self._clouds.of(registry.account_id, registry.region)
        if digest is None and version is not None and _EXACT.fullmatch(version):
            digest = await self._digest(cloud, registry, version)
        authorization = await cloud.ecr.authorize()
        credential = Credential(authorization.username, authorization.password)
        return OciChart(f"oci://{uri}", version, digest, own=True), credential

    async def _digest(self, cloud: Cloud, registry: Registry, version: str) -> str:
        """Return the digest that a version stands for now: what is installed must be what was looked at."""
        image = await cloud.ecr.image(registry.name, (None, version.replace("+", "_")))
        if image is None:
            raise ChartVersionNotFound(f"registry {registry.name!r} holds no version {version}")
        if image.artifact_media_type not in (None, HELM_CONFIG):
            raise ChartInvalid(f"{version} in registry {registry.name!r} is no chart but {image.artifact_media_type}")
        return image.digest
