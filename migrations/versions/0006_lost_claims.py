"""How many claims in a row an operation has lost with the process that held them.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

HAS_LOST_CLAIMS = sa.text("lost_claims > 0")


def upgrade() -> None:
    # The database's default: replicas of the version before insert operations without naming this column.
    op.add_column("operations", sa.Column("lost_claims", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.create_index(
        "ix_operations_lost_claims",
        "operations",
        ["lost_claims"],
        unique=False,
        sqlite_where=HAS_LOST_CLAIMS,
        postgresql_where=HAS_LOST_CLAIMS,
    )


def downgrade() -> None:
    op.drop_index("ix_operations_lost_claims", "operations")
    op.drop_column("operations", "lost_claims")
