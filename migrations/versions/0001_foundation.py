"""Foundation: projects, accounts and keys; the operations ledger; clusters, their addons and node groups.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.db.base import DEFAULT_ACCOUNT, DEFAULT_PROJECT
from app.db.types import utcnow

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "poller_leases",
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(80), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "region", name="pk_poller_leases"),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("name", name="uq_projects_name"),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("project_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role_arn", sa.String(2048), nullable=True),
        sa.Column("external_id", sa.String(1224), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_accounts_project_id_projects"),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_index("ix_accounts_project_id", "accounts", ["project_id"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("project_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_api_keys_project_id_projects"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
    )
    op.create_index("ix_api_keys_project_id", "api_keys", ["project_id"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("project_id", sa.String(40), nullable=False),
        sa.Column("method", sa.String(8), nullable=False),
        sa.Column("path", sa.String(512), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(40), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", JSON, nullable=False),
        sa.Column("body", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_idempotency_keys_project_id_projects"),
        sa.PrimaryKeyConstraint("project_id", "method", "path", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "clusters",
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
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_clusters_account_id_accounts"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_clusters_project_id_projects"),
        sa.PrimaryKeyConstraint("id", name="pk_clusters"),
    )
    op.create_index("ix_clusters_project_id_id", "clusters", ["project_id", "id"], unique=False)
    op.create_index(
        "uq_clusters_live_name",
        "clusters",
        ["account_id", "region", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "operations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("project_id", sa.String(40), nullable=False),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("resource_type", sa.String(32), nullable=False),
        sa.Column("resource_id", sa.String(40), nullable=False),
        sa.Column("resource_name", sa.String(256), nullable=False),
        sa.Column("parent_id", sa.String(40), nullable=True),
        sa.Column("retry_of", sa.String(40), nullable=True),
        sa.Column("lock_key", sa.String(80), nullable=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("phase", sa.String(64), nullable=False),
        sa.Column("input", JSON, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.Column("steps", JSON, nullable=False),
        sa.Column("warnings", JSON, nullable=False),
        sa.Column("error", JSON, nullable=True),
        sa.Column("dead_letter", sa.Boolean(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        sa.Column("callback_url", sa.String(2048), nullable=True),
        sa.Column("request_id", sa.String(128), nullable=True),
        sa.Column("gen", sa.BigInteger(), nullable=False),
        sa.Column("wakes", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(80), nullable=True),
        sa.Column("lease_expires_at", TIME, nullable=True),
        sa.Column("next_run_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_operations_account_id_accounts"),
        sa.ForeignKeyConstraint(["parent_id"], ["operations.id"], name="fk_operations_parent_id_operations"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_operations_project_id_projects"),
        sa.PrimaryKeyConstraint("id", name="pk_operations"),
    )
    op.create_index(
        "ix_operations_due",
        "operations",
        ["next_run_at"],
        unique=False,
        sqlite_where=sa.text("status IN ('pending', 'running')"),
        postgresql_where=sa.text("status IN ('pending', 'running')"),
    )
    op.create_index("ix_operations_finished_at", "operations", ["finished_at"], unique=False)
    op.create_index("ix_operations_parent_id", "operations", ["parent_id"], unique=False)
    op.create_index("ix_operations_project_id_id", "operations", ["project_id", "id"], unique=False)
    op.create_index("ix_operations_resource_id", "operations", ["resource_id"], unique=False)
    op.create_index(
        "uq_operations_live_lock",
        "operations",
        ["lock_key"],
        unique=True,
        sqlite_where=sa.text("status IN ('pending', 'running')"),
        postgresql_where=sa.text("status IN ('pending', 'running')"),
    )
    op.create_table(
        "addons",
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
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_addons_account_id_accounts"),
        sa.ForeignKeyConstraint(["cluster_id"], ["clusters.id"], name="fk_addons_cluster_id_clusters"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_addons_project_id_projects"),
        sa.PrimaryKeyConstraint("id", name="pk_addons"),
    )
    op.create_index("ix_addons_cluster_id", "addons", ["cluster_id"], unique=False)
    op.create_index("ix_addons_project_id_id", "addons", ["project_id", "id"], unique=False)
    op.create_index(
        "uq_addons_live_name",
        "addons",
        ["cluster_id", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "nodegroups",
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
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_nodegroups_account_id_accounts"),
        sa.ForeignKeyConstraint(["cluster_id"], ["clusters.id"], name="fk_nodegroups_cluster_id_clusters"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_nodegroups_project_id_projects"),
        sa.PrimaryKeyConstraint("id", name="pk_nodegroups"),
    )
    op.create_index("ix_nodegroups_cluster_id", "nodegroups", ["cluster_id"], unique=False)
    op.create_index("ix_nodegroups_project_id_id", "nodegroups", ["project_id", "id"], unique=False)
    op.create_index(
        "uq_nodegroups_live_name",
        "nodegroups",
        ["cluster_id", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "operation_dependencies",
        sa.Column("operation_id", sa.String(40), nullable=False),
        sa.Column("depends_on_id", sa.String(40), nullable=False),
        sa.Column("needs", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(
            ["depends_on_id"],
            ["operations.id"],
            name="fk_operation_dependencies_depends_on_id_operations",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["operation_id"],
            ["operations.id"],
            name="fk_operation_dependencies_operation_id_operations",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("operation_id", "depends_on_id", name="pk_operation_dependencies"),
    )
    op.create_index(
        "ix_operation_dependencies_depends_on_id", "operation_dependencies", ["depends_on_id"], unique=False
    )
    op.create_table(
        "operation_events",
        sa.Column("seq", SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(40), nullable=False),
        sa.Column("operation_id", sa.String(40), nullable=False),
        sa.Column("resource_type", sa.String(32), nullable=False),
        sa.Column("resource_id", sa.String(40), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("source_id", sa.String(256), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["operation_id"], ["operations.id"], name="fk_operation_events_operation_id_operations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("seq", name="pk_operation_events"),
        sa.UniqueConstraint("operation_id", "source_id", name="uq_operation_events_operation_id_source_id"),
    )
    op.create_index("ix_operation_events_project_id_seq", "operation_events", ["project_id", "seq"], unique=False)
    op.create_index("ix_operation_events_resource_id_seq", "operation_events", ["resource_id", "seq"], unique=False)
    op.create_table(
        "stack_watches",
        sa.Column("operation_id", sa.String(40), nullable=False),
        sa.Column("stack_id", sa.String(512), nullable=False),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("followed_until", TIME, nullable=True),
        sa.Column("last_event_id", sa.String(256), nullable=True),
        sa.ForeignKeyConstraint(
            ["operation_id"], ["operations.id"], name="fk_stack_watches_operation_id_operations", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("operation_id", "stack_id", name="pk_stack_watches"),
    )
    op.create_index("ix_stack_watches_account_id_region", "stack_watches", ["account_id", "region"], unique=False)

    projects = sa.table("projects", *map(sa.column, ("id", "name", "created_at")))
    op.execute(projects.insert().values(id=DEFAULT_PROJECT, name="default", created_at=utcnow()))
    accounts = sa.table("accounts", *map(sa.column, ("id", "project_id", "name", "created_at")))
    op.execute(
        accounts.insert().values(id=DEFAULT_ACCOUNT, project_id=DEFAULT_PROJECT, name="default", created_at=utcnow())
    )


def downgrade() -> None:
    op.drop_index("ix_stack_watches_account_id_region", table_name="stack_watches")
    op.drop_table("stack_watches")
    op.drop_index("ix_operation_events_resource_id_seq", table_name="operation_events")
    op.drop_index("ix_operation_events_project_id_seq", table_name="operation_events")
    op.drop_table("operation_events")
    op.drop_index("ix_operation_dependencies_depends_on_id", table_name="operation_dependencies")
    op.drop_table("operation_dependencies")
    op.drop_index(
        "uq_nodegroups_live_name",
        table_name="nodegroups",
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index("ix_nodegroups_project_id_id", table_name="nodegroups")
    op.drop_index("ix_nodegroups_cluster_id", table_name="nodegroups")
    op.drop_table("nodegroups")
    op.drop_index(
        "uq_addons_live_name",
        table_name="addons",
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index("ix_addons_project_id_id", table_name="addons")
    op.drop_index("ix_addons_cluster_id", table_name="addons")
    op.drop_table("addons")
    op.drop_index(
        "uq_operations_live_lock",
        table_name="operations",
        sqlite_where=sa.text("status IN ('pending', 'running')"),
        postgresql_where=sa.text("status IN ('pending', 'running')"),
    )
    op.drop_index("ix_operations_resource_id", table_name="operations")
    op.drop_index("ix_operations_project_id_id", table_name="operations")
    op.drop_index("ix_operations_parent_id", table_name="operations")
    op.drop_index("ix_operations_finished_at", table_name="operations")
    op.drop_index(
        "ix_operations_due",
        table_name="operations",
        sqlite_where=sa.text("status IN ('pending', 'running')"),
        postgresql_where=sa.text("status IN ('pending', 'running')"),
    )
    op.drop_table("operations")
    op.drop_index(
        "uq_clusters_live_name",
        table_name="clusters",
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.drop_index("ix_clusters_project_id_id", table_name="clusters")
    op.drop_table("clusters")
    op.drop_index("ix_idempotency_keys_created_at", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index("ix_api_keys_project_id", table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_index("ix_accounts_project_id", table_name="accounts")
    op.drop_table("accounts")
    op.drop_table("projects")
    op.drop_table("poller_leases")
