"""A database with secrets of every kind, in the form of today and in that of before."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.clusters.models import Cluster
from app.core.crypto import Place, Vault, fernet_key
from app.core.ids import new_id
from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT, Table
from app.db.sealed import MarkedText, place
from app.db.session import Database
from app.http.models import IdempotencyKey
from app.releases.models import ChartCredential, Release, ReleaseRevision
from app.webhooks.models import CallbackSecret, Webhook

OLD, NEW, OTHER = (f"the-{name}-key-of-these-tests-0123456789" for name in ("old", "new", "other"))

Seal = Callable[[str, Place], str]
KINDS = 6
"""Columns that hold secrets."""


def vault_of(*keys: str) -> Vault:
    return Vault(lambda: ",".join(keys))


def before(key: str) -> Seal:
    """Encrypt as earlier builds did."""
    return lambda text, _place: Fernet(fernet_key(key)).encrypt(text.encode()).decode()


def webhook(seal: Seal, *texts: str) -> Webhook:
    webhook_id = new_id("whk")
    kept = [{"secret": seal(text, place(Webhook, "secrets", webhook_id)), "expires_at": None} for text in texts]
    return Webhook(id=webhook_id, project_id=DEFAULT_PROJECT, url="https://x.example", events=[], secrets=kept)


async def fill(session: AsyncSession, seal: Seal, text: str, rows: int = 2) -> None:
    """Write `rows` rows with secrets into each table, for the callback secret one; each says `text` and its kind."""
    cluster = Cluster(
        id=new_id("clu"), project_id=DEFAULT_PROJECT, account_id=DEFAULT_ACCOUNT, region="eu-central-1",
        name=new_id("c").replace("_", "-"), spec={}, phase="active",
    )  # fmt: skip
    session.add(cluster)
    await session.flush()
    if await session.get(CallbackSecret, DEFAULT_PROJECT) is None:
        kept = [
            {"secret": seal(f"{text} callback", place(CallbackSecret, "secrets", DEFAULT_PROJECT)), "expires_at": None}
        ]
        session.add(CallbackSecret(project_id=DEFAULT_PROJECT, secrets=kept))
    for number in range(rows):
        release, credential, key = new_id("rel"), new_id("cred"), new_id("req")
        session.add(webhook(seal, f"{text} webhook {number}", f"{text} webhook before {number}"))
        session.add(
            Release(
                id=release, project_id=DEFAULT_PROJECT, account_id=DEFAULT_ACCOUNT, region="eu-central-1",
                name=f"r{number}", namespace="n", cluster_id=cluster.id, spec={}, phase="active",
                sealed_values=seal(f"{text} release {number}", place(Release, "sealed_values", release)),
            )
        )  # fmt: skip
        session.add(
            ChartCredential(
                id=credential, project_id=DEFAULT_PROJECT, host=credential, username="u",
                sealed_password=seal(f"{text} login {number}", place(ChartCredential, "sealed_password", credential)),
            )
        )  # fmt: skip
        answer = ("POST", f"/webhooks?{number}", key)
        sealed = seal(f"{text} answer {number}", place(IdempotencyKey, "body", DEFAULT_PROJECT, *answer))
        for body, name in (
            (MarkedText.MARK + sealed, key),
            ('{"no": "secret"}', f"{key}-plain"),
            (None, f"{key}-empty"),
        ):
            session.add(
                IdempotencyKey(
                    project_id=DEFAULT_PROJECT, method=answer[0], path=answer[1], key=name, fingerprint="f", owner="o",
                    status=201, body=body,
                )
            )  # fmt: skip
        await session.flush()
        for revision in (1, 2):
            at = place(ReleaseRevision, "sealed_values", release, revision)
            sealed = seal(f"{text} revision {number}.{revision}", at)
            session.add(ReleaseRevision(release_id=release, revision=revision, spec={}, chart={}, sealed_values=sealed))


async def read(database: Database, vault: Vault) -> list[str]:
    """Return all that `fill` wrote, sorted; every secret must be readable at its place."""
    found: list[str] = []
    async with database.read() as session:

        async def rows(table: type[Table]) -> list[Any]:
            return list((await session.execute(select(table))).scalars())

        for hook in await rows(Webhook):
            found += [vault.decrypt(entry["secret"], place(Webhook, "secrets", hook.id)) for entry in hook.secrets]
        for callback in await rows(CallbackSecret):
            at = place(CallbackSecret, "secrets", callback.project_id)
            found += [vault.decrypt(entry["secret"], at) for entry in callback.secrets]
        for release in await rows(Release):
            found.append(vault.decrypt(release.sealed_values, place(Release, "sealed_values", release.id)))
        for kept in await rows(ReleaseRevision):
            at = place(ReleaseRevision, "sealed_values", kept.release_id, kept.revision)
            found.append(vault.decrypt(kept.sealed_values, at))
        for row in await rows(ChartCredential):
            found.append(vault.decrypt(row.sealed_password, place(ChartCredential, "sealed_password", row.id)))
        for answer in await rows(IdempotencyKey):
            if answer.body and answer.body.startswith(MarkedText.MARK):
                at = place(IdempotencyKey, "body", answer.project_id, answer.method, answer.path, answer.key)
                found.append(vault.decrypt(answer.body.removeprefix(MarkedText.MARK), at))
            else:
                assert answer.body in (None, '{"no": "secret"}')
    return sorted(found)


@pytest.fixture
async def filled(database: Database) -> Database:
    """The database, with secrets under the old key in either form."""
    async with database.write() as session:
        await fill(session, vault_of(OLD).encrypt, "bound", rows=30)
    async with database.write() as session:
        await fill(session, before(OLD), "before")
    return database
