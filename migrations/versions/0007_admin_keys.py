"""Keys of before: the one that was made stood in a log, and those of the settings are in no table any more.

Nothing else could make one. Where the settings have no key, a new one is made at the next start.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM api_keys WHERE name IN ('admin', 'first')")


def downgrade() -> None:
    """Bring nothing back: only hashes were there, and a build of before makes its row at its start."""
