"""Charts that are kept for whoever asks next, in a folder that others may tidy up."""

import shutil

from unit.helm.conftest import Source, chart_of

from app.accounts.clouds import AccountClouds
from app.core.crypto import open_vault
from app.core.settings import Settings
from app.db.session import Database
from app.gateways.aws.clients import AwsClients
from app.gateways.helm.client import Helm
from app.registries.charts import RegistryCharts
from app.releases.charts import Charts
from app.releases.schemas import ChartSpec


async def test_an_archive_that_somebody_removed_is_fetched_again(helm: Helm, source: Source, sqlite_url: str) -> None:
    source.publish(("demo", "0.1.0", chart_of()))
    database = Database(sqlite_url)
    registries = RegistryCharts(database, AccountClouds(database, AwsClients()))
    charts = Charts(helm, database, open_vault(Settings(database_url=sqlite_url)), registries)
    spec = ChartSpec(repository=source.repository, name="demo")
    async with charts.fetch("prj_default", spec) as chart:
        first = chart.path
    shutil.rmtree(first.parent)
    async with charts.fetch("prj_default", spec) as chart:
        assert chart.path.read_bytes()
    asked = len(source.requests)
    async with charts.fetch("prj_default", spec) as again:
        assert (again.path, len(source.requests)) == (chart.path, asked)
    await charts.aclose()
    await database.close()
    assert not again.path.exists()
