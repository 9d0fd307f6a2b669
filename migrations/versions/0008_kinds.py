"""One table for all kinds of what belongs to a cluster; and who watches what an operation waits for.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
LIVE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "resources",
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
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("cluster_id", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_resources_project_id_projects"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_resources_account_id_accounts"),
        sa.ForeignKeyConstraint(["cluster_id"], ["clusters.id"], name="fk_resources_cluster_id_clusters"),
        sa.PrimaryKeyConstraint("id", name="pk_resources"),
    )
    op.create_index("ix_resources_project_id_type_id", "resources", ["project_id", "type", "id"])
    op.create_index("ix_resources_cluster_id", "resources", ["cluster_id"])
    columns = ["cluster_id", "type", "name"]
    op.create_index(
        "uq_resources_live_name", "resources", columns, unique=True, sqlite_where=LIVE, postgresql_where=LIVE
    )
    # The default serves a version that runs beside this one: all that it watches is stacks.
    with op.batch_alter_table("stack_watches") as table:
        table.add_column(sa.Column("watcher", sa.String(32), nullable=False, server_default="cloudformation"))


def downgrade() -> None:
    with op.batch_alter_table("stack_watches") as table:
        table.drop_column("watcher")
    op.drop_table("resources")
