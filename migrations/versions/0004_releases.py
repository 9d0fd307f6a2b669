"""Releases, what their revisions were made of, and credentials for charts' sources.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
IS_LIVE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "releases",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("project_id", sa.String(40), nullable=False),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("observed_generation", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("conditions", JSON, nullable=False),
        sa.Column("outputs", JSON, nullable=False),
        sa.Column("facts", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.Column("cluster_id", sa.String(40), nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("sealed_values", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_releases_project_id_projects"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_releases_account_id_accounts"),
        sa.ForeignKeyConstraint(["cluster_id"], ["clusters.id"], name="fk_releases_cluster_id_clusters"),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
    )
    op.create_index("ix_releases_project_id_id", "releases", ["project_id", "id"], unique=False)
    op.create_index("ix_releases_cluster_id", "releases", ["cluster_id"], unique=False)
    op.create_index(
        "uq_releases_live_name",
        "releases",
        ["cluster_id", "namespace", "name"],
        unique=True,
        sqlite_where=IS_LIVE,
        postgresql_where=IS_LIVE,
    )
    op.create_table(
        "release_revisions",
        sa.Column("release_id", sa.String(40), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("sealed_values", sa.Text(), nullable=False),
        sa.Column("chart", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_release_revisions_release_id_releases"),
        sa.PrimaryKeyConstraint("release_id", "revision", name="pk_release_revisions"),
    )
    op.create_table(
        "chart_credentials",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("project_id", sa.String(40), nullable=False),
        sa.Column("host", sa.String(260), nullable=False),
        sa.Column("username", sa.String(256), nullable=False),
        sa.Column("sealed_password", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_chart_credentials_project_id_projects"),
        sa.PrimaryKeyConstraint("id", name="pk_chart_credentials"),
        sa.UniqueConstraint("project_id", "host", name="uq_chart_credentials_project_id_host"),
    )


def downgrade() -> None:
    for table in ("chart_credentials", "release_revisions", "releases"):
        op.drop_table(table)  # its indexes go with it
