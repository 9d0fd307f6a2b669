"""Tables of releases, of what each of their revisions was made of, and of credentials for charts' sources."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from app.db.base import ResourceColumns, Table, live_unique_index, page_index
from app.db.sealed import SealedText
from app.db.types import JsonDocument, UtcDateTime, utcnow


class Release(ResourceColumns, table=True):
    """A Helm release: its desired spec and what was observed of it.

    `spec` is without its values, which are encrypted in `sealed_values`. `facts` keeps: `chart` (what the last
    success was made of: name, version, app_version, digest, and `source`, the spec's chart), `serving` (which objects
    serve), `access` and `tests` (as last seen), `begun` (helm has touched the cluster for it),
    `running` (a helm of ours may have been killed), `secret_places` (places in the values that are secret whatever
    their names; see `secrets/places.py`), `resolutions` (which references were resolved, by fingerprint).
    """

    TYPE: ClassVar[str] = "release"
    __tablename__ = "releases"
    __table_args__ = (
        page_index("releases"),
        live_unique_index("uq_releases_live_name", "cluster_id", "namespace", "name"),
    )

    cluster_id: str = Field(max_length=40, foreign_key="clusters.id", index=True)
    namespace: str = Field(max_length=63)
    sealed_values: str = Field(sa_type=SealedText)


class ReleaseRevision(Table, table=True):
    """What a revision that Slipway made was made of: a rollback brings this back."""

    __tablename__ = "release_revisions"

    release_id: str = Field(primary_key=True, max_length=40, foreign_key="releases.id")
    revision: int = Field(primary_key=True)
    spec: dict[str, Any] = Field(sa_type=JsonDocument)
    sealed_values: str = Field(sa_type=SealedText)
    chart: dict[str, Any] = Field(sa_type=JsonDocument)
    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})


class ChartCredential(Table, table=True):
    """What opens a chart repository or registry, by its host."""

    __tablename__ = "chart_credentials"
    __table_args__ = (UniqueConstraint("project_id", "host"),)

    id: str = Field(primary_key=True, max_length=40)
    project_id: str = Field(max_length=40, foreign_key="projects.id")
    host: str = Field(max_length=260)
    username: str = Field(max_length=256)
    sealed_password: str = Field(sa_type=SealedText)
    generation: int = 1
    created_at: datetime = Field(default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow()})
    updated_at: datetime = Field(
        default=None, sa_type=UtcDateTime, sa_column_kwargs={"default": utcnow(), "onupdate": utcnow()}
    )
