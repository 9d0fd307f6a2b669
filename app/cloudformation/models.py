"""The table of the poller's leases, and the name under which operations are watched for it."""

from datetime import datetime

from sqlmodel import Field

from app.db.base import Table
from app.db.types import UtcDateTime

WATCHER = "cloudformation"
"""The watcher of stacks: see `engine.contract.Watch`."""


class PollerLease(Table, table=True):
    """Which process polls CloudFormation for an account and region."""

    __tablename__ = "poller_leases"

    account_id: str = Field(primary_key=True, max_length=40)
    region: str = Field(primary_key=True, max_length=32)
    owner: str = Field(max_length=80)
    expires_at: datetime = Field(sa_type=UtcDateTime)
