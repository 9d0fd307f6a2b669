"""A new kind of resource is known to webhooks, or this fails: its tags, its name in filters, its changes of phase."""

from typing import get_args

from app import models
from app.db.base import ResourceColumns
from app.kinds.all import KINDS
from app.kinds.rows import Resource
from app.webhooks import tags
from app.webhooks.payloads import EventType
from app.webhooks.schemas import ResourceType

TABLES = {
    table.__tablename__: table
    for table in vars(models).values()
    if isinstance(table, type) and issubclass(table, ResourceColumns) and table is not ResourceColumns
}
TYPES = {table.TYPE for table in TABLES.values() if table is not Resource} | KINDS.keys()
NOT_TOLD = {"addon"}
"""What belongs to its cluster and has no path of its own."""


def test_every_resource_has_tags_to_filter_by() -> None:
    assert {"clusters", "nodegroups", "registries", "releases"} < TABLES.keys()
    assert set(tags.TABLES.values()) == set(TABLES.values())
    assert tags.TABLES.keys() == TYPES == set(get_args(ResourceType))


def test_phases_of_every_resource_are_told_under_the_name_that_operations_use() -> None:
    told = {event.removesuffix(".phase_changed") for event in get_args(EventType) if event.endswith(".phase_changed")}
    assert told == TYPES - NOT_TOLD
