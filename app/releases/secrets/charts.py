"""What a chart itself tells of secrets: its own default values, and the marks in its schema."""

import asyncio

from app.core.secrets.scope import current
from app.gateways.helm.chart import Chart
from app.gateways.helm.errors import ChartInvalid
from app.releases.manifest import secrets_of
from app.releases.secrets.opened import Opened
from app.releases.secrets.places import places_of_pointers
from app.releases.secrets.rendered import hide_secrets, places_in_secrets
from app.releases.secrets.walk import secrets_in


async def learn_from(chart: Chart, opened: Opened) -> None:
    """Hide the secrets among a chart's default values, and what its schemas mark among the release's."""
    await asyncio.to_thread(_learn, chart, opened)


async def learn_from_manifest(manifest: str, opened: Opened) -> None:
    """Take note of the values that a chart puts into Secrets, and hide those Secrets' entries."""
    if "Secret" in manifest:
        await asyncio.to_thread(_learn_from_manifest, manifest, opened)


def _learn_from_manifest(manifest: str, opened: Opened) -> None:
    secrets = list(secrets_of(manifest))
    hide_secrets(secrets)
    opened.learn(places_in_secrets(opened.values, opened.known, secrets))


def _learn(chart: Chart, opened: Opened) -> None:
    places = places_of_pointers(chart.secret_pointers)
    if places:
        opened.learn(places)
    current().add(_secret_defaults(chart, opened), public=opened.public)


def _secret_defaults(chart: Chart, opened: Opened) -> list[str]:
    try:
        return secrets_in(chart.default_values(), opened.known)
    except ChartInvalid:
        return []  # helm does not read them either: nothing is rendered
