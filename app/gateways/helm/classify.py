"""From helm's words to the class of the error: a table, read from the top, so the specific stand before the general.

The messages are those of helm 4.3 (`helm.sh/helm/v4`) and of the API server that helm passes on; the tests have each
as it was seen.
"""

import re

from app.core.logging import without_userinfo
from app.gateways.helm import errors
from app.gateways.helm.process import Finished
from app.gateways.helm.values_errors import schema_errors
from app.gateways.kubernetes.errors import without_values

_PREFIX = re.compile(r"^(?:Error: )?(?:(?:INSTALLATION|UPGRADE) FAILED: )?")
_NOISE = re.compile(r"^(?:goroutine |runtime[.:/]|\t|level=|time=|coalesce\.go|WARNING:|I\d{4} |W\d{4} |E\d{4} )")
_OUT_OF_MEMORY = re.compile(r"fatal error: (?:runtime: )?(?:cannot allocate|out of memory)|runtime: out of memory")
_UNREACHABLE = (
    r"connection refused|no such host|i/o timeout|no route to host|network is unreachable|connection reset|x509:|tls: "
    r"|TLS handshake|\bEOF\b|client connection lost|Client\.Timeout|server misbehaving|proxyconnect"
)

Rules = tuple[tuple[type[errors.HelmError], re.Pattern[str]], ...]


def _rules(*rules: tuple[type[errors.HelmError], str]) -> Rules:
    return tuple((error, re.compile(pattern, re.IGNORECASE | re.DOTALL)) for error, pattern in rules)


_CHART = _rules(
    (errors.ValuesInvalid, r"values don't meet the specifications|failed to parse -: |cannot load values\b"),
    (errors.ChartTooLarge, r"larger than the maximum size|exceeds maximum decompressed size|file too large"),
    (errors.ChartIncompatible, r"chart requires kubeVersion"),
    (
        errors.ChartInvalid,
        r"charts are not installable|Chart\.yaml|valid chart file|chart illegally|illegally named files"
        r"|no files in chart|unable to detect chart|missing in charts/ directory|unable to load chart"
        r"|chart metadata|validation: chart\.|unsupported chart version|invalid chart apiVersion"
        r"|error unpacking subchart|gzip: invalid|not appear to be a gzipped|manifest does not contain"
        r"|could not load config with mediatype",
    ),
    (errors.InvalidReleaseName, r"release name .{0,80}invalid|release name is invalid|invalid release name"),
    (
        errors.RenderError,
        r"execution error at|parse error at|YAML parse error|\btemplate: |executing \"|nil pointer evaluating"
        r"|error converting YAML to JSON|error calling \w+",
    ),
)
"""What is wrong with a chart or the values for it, wherever it is rendered."""

_SOURCE = _rules(
    (errors.AddressRefused, r"connect: permission denied"),  # `confine.py`: around the gate, to this machine itself
    (
        errors.RepositoryDenied,
        r"\b401\b|\b403\b|unauthorized|access denied|denied: |basic credential not found|no basic auth"
        r"|authenticating to",
    ),
    (
        errors.ChartVersionNotFound,
        r"chart \"[^\"]*\" (?:version|matching) \S+ not found in|improper constraint|invalid semver",
    ),
    (
        errors.ChartVersionNotFound,
        r"could not locate a version matching|manifest unknown|FetchReference.{0,300}not found",
    ),
    (
        errors.ChartNotFound,
        r"chart \"[^\"]*\" (?:matching +)?not found in|unable to locate any tags|name unknown|has no downloadable",
    ),
    (errors.ChartInvalid, r"trailing data|mismatched digest|size exceeded limit"),
    (errors.RepositoryUnreachable, _UNREACHABLE + r"|context deadline exceeded|\b50[0234]\b|\b429\b"),
    (errors.RepositoryInvalid, r"valid chart repository|no API version specified|empty index\.yaml|error loading"),
    (errors.ChartNotFound, r"failed to fetch .{0,300}404|response status code 404"),
    (errors.RepositoryInvalid, r"protocol handler|scheme .{0,40}not supported|invalid reference|invalid OCI reference"),
)
"""Where charts come from."""

_CLUSTER = _rules(
    (
        errors.ReleaseInProgress,
        r"another operation \(install/upgrade/rollback\) is in progress|release: already exists",
    ),
    (errors.NameInUse, r"cannot reuse a name that is still in use"),
    (errors.ReleaseNotFound, r"release: not found|release has no -?\d+ version|has no deployed releases"),
    (errors.ReleaseNotFound, r"no revision for release"),
    (errors.NotOwned, r"cannot be imported into the current release|cannot be owned|invalid ownership metadata"),
    (errors.NamespaceTerminating, r"because it is being terminated"),
    (errors.NamespaceNotFound, r"namespaces \"[^\"]+\" not found"),
    (errors.QuotaExceeded, r"exceeded quota"),
    (errors.AdmissionDenied, r"denied the request|denied request:|violates PodSecurity|failed calling webhook"),
    (errors.KindNotAvailable, r"no matches for kind|ensure CRDs are installed first|resource mapping not found"),
    (errors.Unauthorized, r"\bUnauthorized\b|client to provide credentials|must be logged in"),
    (errors.Forbidden, r"is forbidden: User |cannot \w+ resource \""),
    (errors.Conflict, r"conflict occurred while applying|Apply failed with \d+ conflict|object has been modified"),
    (
        errors.ObjectInvalid,
        r" is invalid: |error validating|unknown field|\bis immutable\b|failed to create typed patch"
        r"|failed to convert new object",
    ),
    (errors.ObjectInvalid, r"unable to build kubernetes objects|unrecognized type|cannot unmarshal|is forbidden: "),
    (errors.HookFailed, r"failed (?:pre|post)-(?:install|delete)|(?:pre|post)-(?:upgrade|rollback) hooks failed"),
    (errors.ClusterUnreachable, r"cluster unreachable|cluster reachability check failed"),
    (errors.WorkloadFailed, r"status: Failed|job \S+ failed|pod \S+ failed|job is failed"),
    (errors.WaitTimeout, r"context deadline exceeded|timed out waiting|would exceed context deadline"),
    (errors.Cancelled, r"context canceled|operation was canceled"),
    (errors.ClusterUnreachable, _UNREACHABLE + r"|server is currently unable to handle|etcdserver: "),
)
"""What the cluster, or the state of the release in it, has against it."""

_HOOKS_FIRST = _rules(
    (errors.HookFailed, r"hooks failed:.{0,400}status: Failed|failed (?:pre|post)-\w+:.{0,400}status: Failed"),
)


def error_of(
    finished: Finished, *, late: type[errors.HelmError], fetching: bool = False, chart: str = ""
) -> errors.HelmError:
    """Return the error of a process that did not succeed.

    Args:
        finished: How it ended.
        late: What it means that its deadline has passed, unless it was fetching.
        fetching: Whether it talked to a chart's source, and not to a cluster.
        chart: Name of the chart, to tell its own values from those of its subcharts.
    """
    message = message_of(finished.stderr)
    code = finished.exit_code
    if _OUT_OF_MEMORY.search(finished.stderr):
        if fetching:
            return errors.ChartTooLarge("the source gave more than helm may hold in memory", exit_code=code)
        return errors.OutOfMemory("helm hit its memory limit", exit_code=code)
    if finished.expired:
        late = errors.RepositoryUnreachable if fetching else late
        said = "" if message.endswith("context canceled") else message  # that was us: it says nothing to anybody
        return late(f"helm did not end in time{': ' if said else ''}{said}", exit_code=code)
    if code < 0:
        return errors.Killed(f"helm was killed by signal {-code}", exit_code=code)
    kind = class_of(message, fetching=fetching)
    if issubclass(kind, errors.ValuesInvalid):
        return kind(message, schema_errors(message, chart), exit_code=code)
    return kind(message or f"helm ended with exit code {code}", exit_code=code)


def class_of(message: str, *, fetching: bool = False) -> type[errors.HelmError]:
    """Return the class for what helm wrote."""
    tables = (_SOURCE, _CHART) if fetching else (_HOOKS_FIRST, _CLUSTER_WORDS_OF_CHARTS, _CLUSTER, _CHART)
    for table in tables:
        for error, pattern in table:
            if pattern.search(message):
                return error
    return errors.HelmError


_CLUSTER_WORDS_OF_CHARTS = tuple(
    rule for rule in _CHART if rule[0] in (errors.ValuesInvalid, errors.ChartIncompatible, errors.RenderError)
)
"""Charts say anything in their own messages (`fail "context canceled"`): where they are quoted, that counts first."""


def message_of(stderr: str) -> str:
    """Return the error itself, without helm's prefix, warnings, stack traces, passwords of URLs and quoted values."""
    lines = [line for line in stderr.splitlines() if line.strip() and not _NOISE.match(line)]
    starts = [index for index, line in enumerate(lines) if line.startswith("Error: ")]
    kept = lines[starts[-1] :] if starts else lines[-20:]
    return without_values(without_userinfo(_PREFIX.sub("", "\n".join(kept), count=1))).strip()
