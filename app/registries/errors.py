"""Errors of what registries hold, and of their settings."""

from app.core.errors import ConflictError, InvalidError, NotFoundError


class ImageNotFoundError(NotFoundError):
    """The registry holds no such image."""

    code = "image_not_found"


class ScanNotFoundError(NotFoundError):
    """The image was never scanned."""

    code = "scan_not_found"


class CacheRuleNotFoundError(NotFoundError):
    """The account has no pull-through cache rule for that prefix in that region."""

    code = "cache_rule_not_found"


class PreviewNotFoundError(NotFoundError):
    """No preview of a lifecycle policy was started, or AWS has forgotten it."""

    code = "lifecycle_preview_not_found"


class RegistryNotReadyError(ConflictError):
    """The registry is not there (yet), or is gone from ECR."""

    code = "registry_not_ready"
    title = "The registry is not ready"


class ImageNotScannableError(ConflictError):
    """ECR cannot scan that: a chart, or an image of an operating system that it does not know."""

    code = "image_not_scannable"
    title = "The image cannot be scanned"


class ScanLimitError(ConflictError):
    """ECR scans an image once in 24 hours."""

    code = "scan_limit_reached"
    title = "The image was scanned already"


class EcrQuotaError(ConflictError):
    """The account has as many of these as ECR allows it; Service Quotas may raise that."""

    code = "quota_exceeded"
    title = "A quota of the account is used up"


class PreviewInProgressError(ConflictError):
    """A preview is being made; read it."""

    code = "lifecycle_preview_in_progress"
    title = "A preview is being made"


class LifecycleMissingError(ConflictError):
    """The registry has no lifecycle policy, and the request brought none."""

    code = "lifecycle_missing"
    title = "There is no lifecycle policy"


class RefusedByEcrError(InvalidError):
    """ECR did not take what was sent; `aws_code` and `hint` say more."""

    code = "refused_by_ecr"
    title = "ECR does not take that"
