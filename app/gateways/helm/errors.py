# ruff: noqa: N818  # the class names are the words of the domain: `except ReleaseNotFound`
"""What a call of helm may raise: one class for each thing that a caller can do something about.

`classify.py` picks the class by what helm wrote. `as_failure()` gives the form that an operation keeps.
"""

from typing import ClassVar

from app.core.errors import FieldError
from app.core.failure import Cause, Failure
from app.gateways.kubernetes.diagnosis import Diagnosis
from app.gateways.kubernetes.hints import advise

MESSAGE_LIMIT = 2000
"""Characters of helm's message that are kept."""


class HelmError(Exception):
    """Helm failed, in a way that no subclass knows.

    Attributes:
        code: Stable, snake_case; part of what callers see.
        hint: What to do about it, when that holds for the whole class.
        retryable: Whether the same call may succeed later, with nothing changed by anybody.
        message: What helm said, at most `MESSAGE_LIMIT` characters.
        exit_code: Of the process, negative for a signal; None if the error was found without one.
    """

    code: ClassVar[str] = "helm_failed"
    hint: ClassVar[str | None] = None
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        self.message = message if len(message) <= MESSAGE_LIMIT else message[:MESSAGE_LIMIT] + " …"
        super().__init__(self.message)
        self.exit_code = exit_code

    def as_failure(
        self,
        *,
        resource: str = "",
        type: str = "Release",  # noqa: A002  # Cause's own word
        diagnosis: Diagnosis | None = None,
    ) -> Failure:
        """Return the failure of an operation that this error ends.

        Args:
            resource: Name of the release or chart, for `cause`.
            type: What that is.
            diagnosis: Why an object isn't ready, if `gateways/kubernetes` found out: it knows more than helm does.
        """
        if diagnosis is not None:
            message = f"{self.message.splitlines()[0]}: {diagnosis.cause.resource}: {diagnosis.cause.message}"
            code = diagnosis.code if diagnosis.hint else self.code
            return Failure(code, message, diagnosis.hint or self.hint, diagnosis.cause, self.retryable)
        advice = advise(None, self.message)
        return Failure(
            code=self.code,
            message=self.message,
            hint=advice.hint if advice else self.hint,
            cause=Cause(resource=resource, type=type, message=self.message),
            retryable=self.retryable,
        )


class BinaryUnusable(HelmError):
    """There is no helm binary here, or not one of the version that this gateway speaks to."""

    code = "helm_unusable"
    hint = "The operator of Slipway has to install helm 4, or name it in SLIPWAY_HELM."


class Unconfined(HelmError):
    """Helm may not fetch here, since nothing keeps it from connecting past its gate."""

    code = "helm_unconfined"
    hint = (
        "The operator set SLIPWAY_HELM_CONFINEMENT=required, and this kernel has no Landlock that knows of ports: run "
        "Slipway on Linux 6.7 or newer (on EKS: Bottlerocket, Amazon Linux 2023 with a 6.12 kernel), or set preferred."
    )


class OutOfMemory(HelmError):
    """Helm hit its memory limit: a template that makes too much, or a chart or index that is too large."""

    code = "helm_out_of_memory"
    hint = "The chart needs more memory to render than allowed; look for a template that loops or repeats too much."


class Killed(HelmError):
    """Somebody killed the process; a release that it worked on may be left `pending-*`."""

    code = "helm_killed"
    hint = "The helm process was killed from outside. Retry: what it left is repaired first."
    retryable = True


class Cancelled(HelmError):
    """Helm was told to stop and has marked the release as failed."""

    code = "helm_cancelled"
    hint = "The helm process was stopped. Retry."
    retryable = True


class OutputTooLarge(HelmError):
    """Helm wrote more than is kept."""

    code = "helm_output_too_large"
    hint = "The chart makes more output than is kept; make it, or its values, smaller."


class InvalidReleaseName(HelmError):
    """Helm doesn't take the name."""

    code = "invalid_release_name"
    hint = (
        "Lower-case letters, digits, '-' and '.', at most 53 characters, beginning and ending with a letter or digit."
    )


class ReleaseNotFound(HelmError):
    """There is no such release, or not that revision of it."""

    code = "release_not_found"
    hint = "The cluster has no such release (or revision). Somebody may have uninstalled it with helm."


class ReleaseInProgress(HelmError):
    """The release is `pending-*`: another helm works on it, or one was killed."""

    code = "release_in_progress"
    hint = "Another helm works on this release, or one was killed meanwhile. Retry once it has ended."
    retryable = True


class NameInUse(HelmError):
    """There is a release of that name in the namespace already."""

    code = "release_name_in_use"
    hint = "Choose another name, or uninstall the release that has it."


class ChartNotFound(HelmError):
    """The repository or registry has no such chart."""

    code = "chart_not_found"
    hint = "Check the chart's name and the repository's URL."


class ChartVersionNotFound(ChartNotFound):
    """The chart is there, not in that version."""

    code = "chart_version_not_found"
    hint = "Ask for a version that the repository has, or leave it out to get the newest."


class ChartDigestMismatch(HelmError):
    """The archive isn't the one that was asked for."""

    code = "chart_digest_mismatch"
    hint = "The chart changed at its source though its version did not. Check it before you take the new digest."


class ChartInvalid(HelmError):
    """What was fetched is no chart, or one that helm can't install."""

    code = "chart_invalid"
    hint = "The source has to give a packaged Helm chart (a .tgz with Chart.yaml) of type application."


class ChartTooLarge(ChartInvalid):
    """The archive, or what it unpacks to, is over the limit."""

    code = "chart_too_large"
    hint = "Make the chart, or its repository's index, smaller: a packaged chart seldom has more than a few hundred kB."


class ChartIncompatible(ChartInvalid):
    """The chart's `kubeVersion` excludes the cluster's version."""

    code = "chart_incompatible"
    hint = "Use a chart version for the cluster's Kubernetes version, or upgrade the cluster."


class RepositoryUnreachable(HelmError):
    """The repository or registry doesn't answer, or answers 5xx or something that is no index."""

    code = "repository_unreachable"
    hint = "Check the URL, and that Slipway may reach it from where it runs."
    retryable = True


class AddressRefused(HelmError):
    """The source, or what it refers or redirects to, is at an address that Slipway may not connect to."""

    code = "address_not_allowed"
    hint = (
        "The source, its chart URLs and its redirects have to be HTTPS on the public internet; for development the "
        "operator can set SLIPWAY_ALLOW_PRIVATE_ADDRESSES and SLIPWAY_ALLOW_HTTP."
    )


class RepositoryInvalid(HelmError):
    """The URL answers, and what it answers is no chart repository."""

    code = "repository_invalid"
    hint = "The URL has to be the folder that holds index.yaml, not a web page about the chart."


class RepositoryDenied(HelmError):
    """The repository or registry wants other credentials."""

    code = "repository_credentials_invalid"
    hint = "Store credentials for this registry that may pull the chart."


class ValuesInvalid(HelmError):
    """The values don't fit the chart's schema, or can't be read.

    Attributes:
        errors: Each wrong place, as a JSON pointer into the values.
    """

    code = "values_invalid"
    hint = "Change the values that are named, or see the chart's values.schema.json."

    def __init__(self, message: str, errors: tuple[FieldError, ...] = (), *, exit_code: int | None = None) -> None:
        super().__init__(message, exit_code=exit_code)
        self.errors = errors


class RenderError(HelmError):
    """A template failed with these values."""

    code = "chart_render_failed"
    hint = "The chart's templates fail with these values; the message names file and line."


class KindNotAvailable(HelmError):
    """The cluster doesn't know a kind that the chart uses."""

    code = "kind_not_available"
    hint = "Install first what defines the kind (its CRDs), or use a chart for this Kubernetes version."


class ObjectInvalid(HelmError):
    """The API server doesn't take an object of the chart."""

    code = "object_invalid"
    hint = "The chart makes an object that Kubernetes refuses with these values; the message names the field."


class AdmissionDenied(HelmError):
    """An admission webhook or policy of the cluster said no."""

    code = "admission_denied"
    hint = "A policy of the cluster refuses the object; change the values to satisfy it, or ask who runs the policy."


class QuotaExceeded(HelmError):
    """A ResourceQuota of the namespace is used up."""

    code = "namespace_quota_exceeded"
    hint = "Ask for less, or raise the namespace's ResourceQuota."


class NamespaceTerminating(HelmError):
    """The namespace is being deleted."""

    code = "namespace_terminating"
    hint = "Wait until the namespace is gone, or use another one."
    retryable = True


class NamespaceNotFound(HelmError):
    """There is no such namespace."""

    code = "namespace_not_found"
    hint = "Set create_namespace, or create the namespace first."


class Conflict(HelmError):
    """Somebody else manages a field or an object of the release, or changed it at the same time."""

    code = "object_conflict"
    hint = "Another tool manages the field that is named; leave it to that, or take it over deliberately."


class NotOwned(Conflict):
    """An object of the chart exists and belongs to no release, or to another one."""

    code = "object_not_owned"
    hint = "An object of that name exists and isn't this release's: delete it, rename ours, or take it over."


class WaitTimeout(HelmError):
    """Not ready in time; helm has marked the release as failed."""

    code = "release_timeout"
    hint = "Look at what isn't ready; give it a longer timeout_seconds if it only needs time."


class HookFailed(HelmError):
    """A hook (mostly a Job) failed."""

    code = "hook_failed"
    hint = "Look at the logs of the hook's pod; the release's own objects are not at fault."


class TestFailed(HelmError):
    """A test of the release failed."""

    code = "release_test_failed"
    hint = "Look at the logs of the test's pod."


class WorkloadFailed(HelmError):
    """An object of the release failed for good, so that waiting was of no use."""

    code = "workload_failed"
    hint = "Look at the object that is named and its pods."


class Unauthorized(HelmError):
    """The cluster doesn't know us, or our token expired."""

    code = "cluster_unauthorized"
    hint = "Slipway's AWS principal needs an access entry of the cluster."


class Forbidden(HelmError):
    """The cluster knows us, and its RBAC says no."""

    code = "cluster_forbidden"
    hint = "Give Slipway's access entry a policy that allows what the message names."


class ClusterUnreachable(HelmError):
    """The API server can't be reached."""

    code = "cluster_unreachable"
    hint = "Check the cluster's endpoint access (endpoints.public, public_cidrs) and that it is active."
    retryable = True
