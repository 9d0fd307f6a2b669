"""What a request must ask of a chart's source before its transaction begins: mistakes that are better heard at once."""

import asyncio

from app.core.outbound import Rules, destination
from app.gateways.helm import errors as helm
from app.gateways.helm.chart import Chart
from app.gateways.helm.client import Helm
from app.releases.charts import Charts, Pinned
from app.releases.errors import chart_problem
from app.releases.ports import RegistryView
from app.releases.request_secrets import Checked, unasked
from app.releases.schemas import ChartSpec, ReleaseSpec
from app.releases.secrets.charts import learn_from, learn_from_manifest
from app.releases.secrets.opened import Opened

CHECK_SECONDS = 25.0
"""How long a chart's source may take while a caller waits."""


class ChartChecks:
    """Looks at charts, and at values for them, without a cluster."""

    def __init__(self, helm: Helm, charts: Charts, rules: Rules) -> None:
        self._helm = helm
        self._charts = charts
        self._rules = rules

    async def check(
        self,
        spec: ReleaseSpec,
        values: Opened,
        *,
        project_id: str,
        kubernetes_version: str,
        registry: RegistryView | None = None,
        pin: Pinned | None = None,
        pointer: str = "",
        secrets: Checked | None = None,
    ) -> Pinned | None:
        """Fetch the chart, and check the values against its schemas and the cluster's version against the chart.

        What the chart tells of secrets (its defaults, its schema, what it puts into Secrets) `values` learn here.

        A template that fails is not refused here: it may find in the cluster what it misses here (`lookup`,
        `Capabilities`). The operation fails with it before anything is installed.

        Args:
            spec: What is asked for.
            values: Its values, `set` in them.
            project_id: Whose credentials open the chart's source.
            kubernetes_version: Of the cluster, `1.34`.
            registry: The one that the chart's `registry` stands for; if it is yet to come, there is nothing to look at.
            pin: Which chart it must be, if that is settled.
            pointer: Where the spec stands in the request: `""`, or `/releases/0`.
            secrets: The values with the secrets that they refer to; None if those are not asked for.

        Returns:
            Which chart that is; None if it is yet to come.

        Raises:
            InvalidError: the chart cannot be had or used, or the values do not fit, with pointers.
            HelmUnusableError: there is no helm.
            HelmUnconfinedError: helm has to be confined, and cannot be here.
            AwsError: a registry's credentials could not be had.
        """
        self._check_urls(spec.chart, pointer)
        if spec.chart.registry is not None and (registry is None or not registry.is_there):
            return None
        registry_id = registry.id if registry else None
        if secrets is None:
            secrets = await asyncio.to_thread(unasked, values)
        try:
            async with (
                asyncio.timeout(CHECK_SECONDS),
                self._charts.fetch(project_id, spec.chart, registry_id=registry_id, pin=pin) as chart,
            ):
                await learn_from(chart, values)
                await self._render(chart, spec, values, secrets, kubernetes_version)
                await asyncio.to_thread(values.check_bounds, f"{pointer}/values")
                return Pinned.of(chart, spec.chart)
        except helm.HelmError as error:
            raise chart_problem(error, pointer) from error
        except TimeoutError as error:
            late = helm.RepositoryUnreachable(f"The chart's source did not give it within {CHECK_SECONDS:.0f} s.")
            raise chart_problem(late, pointer) from error

    def _check_urls(self, chart: ChartSpec, pointer: str) -> None:
        if chart.repository is not None:
            destination(chart.repository, self._rules, pointer=f"{pointer}/chart/repository")
        if chart.oci is not None:
            destination("https" + chart.oci.removeprefix("oci"), self._rules, pointer=f"{pointer}/chart/oci")

    async def _render(
        self, chart: Chart, spec: ReleaseSpec, values: Opened, secrets: Checked, kubernetes_version: str
    ) -> None:
        if not chart.has_schema and not chart.kube_version and not values.values:
            return
        try:
            manifest = await self._helm.template(
                spec.name, chart, secrets.values.values, namespace=spec.namespace, kube_version=kubernetes_version
            )
        except helm.ValuesInvalid as error:
            if not error.errors or not all(secrets.is_open(each.pointer) for each in error.errors):
                raise
            return  # it may be only for want of a secret; the operation tells
        except helm.ChartInvalid:
            raise
        except helm.HelmError:
            return  # see `check`
        await learn_from_manifest(manifest, values)
