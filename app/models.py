"""Every table, for migrations and for SQLAlchemy to know the foreign keys: a root imports this once."""

from app.access.models import ApiKey
from app.accounts.models import Account, Project
from app.cloudformation.models import PollerLease
from app.clusters.models import Addon, Cluster
from app.db.base import metadata
from app.engine.models import Operation, OperationDependency, OperationEvent, OperationWatch
from app.http.models import IdempotencyKey
from app.kinds.nodegroup.models import Nodegroup
from app.kinds.registry.models import Registry
from app.kinds.rows import Resource
from app.releases.models import ChartCredential, Release, ReleaseRevision
from app.webhooks.models import (
    CallbackSecret,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEvent,
    WebhookSequence,
)

__all__ = [
    "Account",
    "Addon",
    "ApiKey",
    "CallbackSecret",
    "ChartCredential",
    "Cluster",
    "IdempotencyKey",
    "Nodegroup",
    "Operation",
    "OperationDependency",
    "OperationEvent",
    "OperationWatch",
    "PollerLease",
    "Project",
    "Registry",
    "Release",
    "ReleaseRevision",
    "Resource",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEvent",
    "WebhookSequence",
    "metadata",
]
