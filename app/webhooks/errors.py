"""Errors of webhooks."""

from app.core.errors import ConflictError, NotFoundError


class WebhookNotFoundError(NotFoundError):
    """No such webhook in the caller's project."""

    code = "webhook_not_found"


class DeliveryNotFoundError(NotFoundError):
    """The webhook has no such delivery, or no longer."""

    code = "delivery_not_found"


class DeliveryInProgressError(ConflictError):
    """The delivery is being sent, or is about to be."""

    code = "delivery_in_progress"
    title = "The delivery is under way"


class WebhookDisabledError(ConflictError):
    """Nothing is sent to a webhook that is disabled; enable it first."""

    code = "webhook_disabled"
    title = "The webhook is disabled"


class TooManyWebhooksError(ConflictError):
    """The project has as many webhooks as it may have."""

    code = "too_many_webhooks"
    title = "Too many webhooks"
