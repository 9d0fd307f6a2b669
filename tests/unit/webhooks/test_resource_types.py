"""A new kind of resource is known to webhooks, or this fails: its tags, its name in filters, its changes of phase."""

from typing import get_args

from app import models
from app.db.base import ResourceColumns
from app.directories import TagDirectory
from app.webhooks.payloads import PHASE_TYPES, EventType
from app.webhooks.schemas import ResourceType

TABLES = {
    table.__tablename__: table
    for table in vars(models).values()
    if isinstance(table, type) and issubclass(table, ResourceColumns) and table is not ResourceColumns
}


def test_every_resource_has_tags_to_filter_by() -> None:
    assert {"clusters", "nodegroups"} < TABLES.keys()
    assert set(TagDirectory.tables.values()) == set(TABLES.values())
    assert TagDirectory.tables.keys() <= set(get_args(ResourceType))


def test_phases_are_told_under_the_name_that_operations_use() -> None:
    for table, kind in PHASE_TYPES.items():
        assert f"{kind}.phase_changed" in get_args(EventType)
        assert kind in get_args(ResourceType)
        if table in TABLES:
            assert TagDirectory.tables[kind] is TABLES[table]
