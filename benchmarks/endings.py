"""Operations that end by themselves, to measure what an end sets off: `cluster.apply` without children needs no AWS."""

import asyncio


def begin(database_url: str, count: int, *, of_one_resource: bool = False) -> None:
    """Begin operations, each of a cluster of its own or all of one; a running service ends them at once.

    Args:
        database_url: Of the service; it hears of them within `tick_seconds`.
        count: How many.
        of_one_resource: All of one cluster.
    """
    asyncio.run(_begin(database_url, count, of_one_resource=of_one_resource))


async def _begin(database_url: str, count: int, *, of_one_resource: bool) -> None:
    from app import models  # noqa: F401 - SQLAlchemy must know every table
    from app.core.caller import Caller
    from app.core.ids import new_id
    from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT
    from app.db.session import Database
    from app.operations.group_kinds import CLUSTER_APPLY
    from app.operations.service import Ledger, Plan, Target

    database = Database(database_url)
    ledger = Ledger(database.notifier)
    ids = [new_id("clu")] * count if of_one_resource else [new_id("clu") for _ in range(count)]
    try:
        async with database.write() as session:
            for cluster in ids:
                target = Target("cluster", cluster, "bench", DEFAULT_PROJECT, DEFAULT_ACCOUNT, "eu-central-1")
                plan = Plan(CLUSTER_APPLY, holds_lock=False)
                await ledger.begin(session, Caller(DEFAULT_PROJECT, "key_bench"), target, plan)
    finally:
        await database.close()
