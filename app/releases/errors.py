"""Errors of releases, of charts and of what opens them."""

from app.core.errors import ConflictError, FieldError, InvalidError, NotFoundError, UnavailableError
from app.core.outbound import AddressNotAllowedError
from app.gateways.helm import errors as helm


class ReleaseNotFoundError(NotFoundError):
    """No such release in the caller's project."""

    code = "release_not_found"


class ReleaseExistsError(ConflictError):
    """The cluster's namespace has a release of that name."""

    code = "release_exists"
    title = "The name is in use"


class ReleaseDeletingError(ConflictError):
    """The release is being deleted; `operation_id` names the delete."""

    code = "release_deleting"
    title = "The release is being deleted"


class ReleaseNotReadyError(ConflictError):
    """The release is not installed, so there is nothing to be read, tested or rolled back."""

    code = "release_not_ready"
    title = "The release is not installed"


class RevisionNotFoundError(InvalidError):
    """The release has no such revision, or Helm keeps it no more."""

    code = "revision_not_found"
    title = "There is no such revision"


class DependencyNotReadyError(ConflictError):
    """A release that this one depends on is not there and nothing is at work on it."""

    code = "dependency_not_ready"
    title = "A release that is needed is not there"


class ClusterDeletingError(ConflictError):
    """The release's cluster is being deleted."""

    code = "cluster_deleting"
    title = "The cluster is being deleted"


class ClusterFailedError(ConflictError):
    """The release's cluster cannot be used."""

    code = "cluster_not_ready"
    title = "The cluster is not ready"


class ClusterUnreachableError(UnavailableError):
    """The cluster's API server could not be asked."""

    code = "cluster_unreachable"
    title = "The cluster does not answer"


class ClusterRefusesError(ConflictError):
    """The cluster's API server answers, and does not let Slipway do this."""

    code = "cluster_refuses"
    title = "The cluster refuses"


class HelmUnusableError(UnavailableError):
    """There is no helm that Slipway could use."""

    code = "helm_unusable"
    title = "Slipway has no helm"


class HelmUnconfinedError(UnavailableError):
    """Helm may not fetch charts here: nothing keeps it from connecting past its gate."""

    code = "helm_unconfined"
    title = "Charts cannot be fetched safely"


class ValuesLostError(UnavailableError):
    """The values were encrypted with a key that Slipway no longer has."""

    code = "values_undecryptable"
    title = "The values cannot be read"


class RedactedValueError(InvalidError):
    """The marker of a secret value stands where there is none that could stay."""

    code = "redacted_value"
    title = "A redacted value was sent"


class TooManySecretsError(InvalidError):
    """The values hold more secrets than can be hidden quickly."""

    code = "too_many_secrets"
    title = "The values hold too many secrets"


class SecretReferenceError(InvalidError):
    """A value that stands for a secret does so in a form that is not valid."""

    code = "secret_reference_invalid"
    title = "A reference to a secret is not valid"


class SecretError(InvalidError):
    """What a value refers to cannot be had; the subclass says why."""

    code = "secret_unusable"
    title = "A secret cannot be had"


class SecretNotFoundError(SecretError):
    """There is no such secret."""

    code = "secret_not_found"


class SecretKeyNotFoundError(SecretError):
    """The secret is there, and has no such key."""

    code = "secret_key_not_found"


class SecretAccessDeniedError(SecretError):
    """Slipway may not read the secret."""

    code = "secret_access_denied"


class SecretNotTextError(SecretError):
    """What the secret holds is no text, number or boolean, or no JSON object though a key of one is wanted."""

    code = "secret_not_text"


class SecretsTooLargeError(SecretError):
    """The secrets that a release refers to are together larger than can be hidden quickly."""

    code = "secrets_too_large"


class SecretPendingDeletionError(SecretError):
    """The secret is marked for deletion."""

    code = "secret_pending_deletion"


class SecretUndecryptableError(SecretError):
    """The KMS key of the secret cannot be used."""

    code = "secret_undecryptable"


class SecretUnreachableError(UnavailableError):
    """What keeps a secret does not answer now."""

    code = "secret_unreachable"
    title = "A secret cannot be read now"


class CredentialNotFoundError(NotFoundError):
    """No such credential in the caller's project."""

    code = "chart_credential_not_found"


class CredentialExistsError(ConflictError):
    """The project has a credential for that host."""

    code = "chart_credential_exists"
    title = "The host has a credential"


class ChartError(InvalidError):
    """The chart cannot be had, or cannot be used."""

    code = "chart_unusable"
    title = "The chart cannot be used"


class ChartNotFoundError(ChartError):
    """Its source has no such chart."""

    code = "chart_not_found"


class ChartVersionNotFoundError(ChartError):
    """Its source has the chart, not in that version."""

    code = "chart_version_not_found"


class ChartInvalidError(ChartError):
    """What its source gave is no chart that can be installed."""

    code = "chart_invalid"


class ChartTooLargeError(ChartError):
    """It is over the limits."""

    code = "chart_too_large"


class ChartIncompatibleError(ChartError):
    """It does not take the cluster's Kubernetes version."""

    code = "chart_incompatible"


class ChartDigestError(ChartError):
    """Its source gives another archive than the one that was taken before."""

    code = "chart_digest_mismatch"


class ChartRenderError(ChartError):
    """One of its templates fails with these values."""

    code = "chart_render_failed"


class RepositoryUnreachableError(ChartError):
    """Its source does not answer, or not in time."""

    code = "repository_unreachable"


class RepositoryInvalidError(ChartError):
    """What answers is no source of charts."""

    code = "repository_invalid"


class RepositoryDeniedError(ChartError):
    """Its source wants other credentials."""

    code = "repository_credentials_invalid"


class ValuesInvalidError(InvalidError):
    """The values do not fit the chart's schema."""

    code = "values_invalid"
    title = "The values do not fit the chart"


_CHART: tuple[tuple[type[helm.HelmError], type[InvalidError], str], ...] = (
    (helm.AddressRefused, AddressNotAllowedError, ""),
    (helm.ChartVersionNotFound, ChartVersionNotFoundError, "/version"),
    (helm.ChartNotFound, ChartNotFoundError, ""),
    (helm.ChartTooLarge, ChartTooLargeError, ""),
    (helm.ChartIncompatible, ChartIncompatibleError, ""),
    (helm.ChartInvalid, ChartInvalidError, ""),
    (helm.ChartDigestMismatch, ChartDigestError, ""),
    (helm.RepositoryUnreachable, RepositoryUnreachableError, ""),
    (helm.RepositoryInvalid, RepositoryInvalidError, ""),
    (helm.RepositoryDenied, RepositoryDeniedError, ""),
    (helm.RenderError, ChartRenderError, ""),
    (helm.HelmError, ChartError, ""),
)
"""From what helm says of a chart to what a caller hears; the first that fits. The last part: where in `/chart`."""


def chart_problem(error: helm.HelmError, pointer: str) -> InvalidError | HelmUnusableError | HelmUnconfinedError:
    """Return the problem that a caller hears when a chart was looked at and something is wrong with it.

    Args:
        error: What helm said.
        pointer: Where the release's spec stands in the request.
    """
    if isinstance(error, helm.BinaryUnusable):
        return HelmUnusableError(error.message, retry_after=300, hint=error.hint)
    if isinstance(error, helm.Unconfined):
        return HelmUnconfinedError(error.message, retry_after=300, hint=error.hint)
    if isinstance(error, helm.ValuesInvalid):
        places = [FieldError(f"{pointer}/values{found.pointer}", found.detail) for found in error.errors]
        return ValuesInvalidError(
            "The values do not fit the chart's schema.", places or [FieldError(f"{pointer}/values", error.message)]
        )
    problem, place = next((kind, place) for known, kind, place in _CHART if isinstance(error, known))
    return problem(error.message, [FieldError(f"{pointer}/chart{place}", error.message)], hint=error.hint)


_SECRET: dict[str, type[SecretError]] = {
    kind.code: kind
    for kind in (
        SecretNotFoundError,
        SecretKeyNotFoundError,
        SecretAccessDeniedError,
        SecretNotTextError,
        SecretsTooLargeError,
        SecretPendingDeletionError,
        SecretUndecryptableError,
    )
}


def secret_problem(code: str, message: str, places: list[FieldError], hint: str | None) -> SecretError:
    """Return the problem that a caller hears when what a value refers to cannot be had.

    Args:
        code: As an operation would say it.
        message: Likewise.
        places: Where in the request.
        hint: What to do.
    """
    return _SECRET.get(code, SecretError)(message, places, hint=hint)
