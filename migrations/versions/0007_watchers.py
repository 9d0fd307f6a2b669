"""Say who watches what an operation waits for.

Revision ID: 0007
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default serves a version that runs beside this one: all that it watches is stacks.
    with op.batch_alter_table("stack_watches") as table:
        table.add_column(sa.Column("watcher", sa.String(32), nullable=False, server_default="cloudformation"))


def downgrade() -> None:
    with op.batch_alter_table("stack_watches") as table:
        table.drop_column("watcher")
