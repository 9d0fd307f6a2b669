"""What ECR says, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED", "UNTRIAGED")
"""Of findings, the worst first (`FindingSeverity` of ECR; `UNTRIAGED` is Inspector's, of enhanced scans)."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository (DescribeRepositories).

    Attributes:
        uri: `<registry host>/<name>`, without a scheme.
    """

    name: str
    arn: str
    uri: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image or another artifact, by its manifest (DescribeImages).

    Attributes:
        digest: `sha256:…` of the manifest.
        tags: Sorted; empty for an untagged image.
        size_bytes: Of the manifest and its layers, compressed, as ECR counts them.
        media_type: Of the manifest.
        artifact_media_type: Of its config, by which a chart is told from an image.
        pulled_at: When it was last pulled, to about a day.
        scan_status: `COMPLETE`, `IN_PROGRESS`, …; None if it was never scanned.
        severity_counts: Findings of the last scan by severity.
    """

    digest: str
    tags: tuple[str, ...]
    size_bytes: int
    pushed_at: datetime
    media_type: str | None = None
    artifact_media_type: str | None = None
    pulled_at: datetime | None = None
    scan_status: str | None = None
    scan_description: str | None = None
    severity_counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deletion:
    """What came of the delete of one image: by digest or tag, as it was asked for; `code` is None if it is gone."""

    digest: str | None
    tag: str | None
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A vulnerability that a scan found.

    Attributes:
        name: `CVE-…`.
        severity: One of `SEVERITIES`.
        package: Name and version of what has it.
        score: CVSS, if it is known.
    """

    name: str
    severity: str
    uri: str | None = None
    description: str | None = None
    package: str | None = None
    package_version: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """The last scan of an image (DescribeImageScanFindings); findings with the worst first."""

    digest: str
    status: str
    description: str | None
    completed_at: datetime | None
    severity_counts: Mapping[str, int]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Authorization:
    """A way into the account's registry (GetAuthorizationToken): good for 12 hours, for all that Slipway may do there.

    Attributes:
        endpoint: URL of the registry.
    """

    username: str
    password: str = field(repr=False)
    endpoint: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Expiry:
    """An image that a lifecycle policy would act on, and by which rule."""

    digest: str
    tags: tuple[str, ...]
    pushed_at: datetime | None
    action: str
    priority: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a lifecycle policy would do (GetLifecyclePolicyPreview); `images` is complete once it is COMPLETE."""

    status: str
    policy: str
    count: int
    images: tuple[Expiry, ...]


def image_of(detail: Mapping[str, Any]) -> Image:
    """Return an image from an entry of DescribeImages."""
    scan, summary = detail.get("imageScanStatus") or {}, detail.get("imageScanFindingsSummary") or {}
    return Image(
        digest=detail["imageDigest"],
        tags=tuple(sorted(detail.get("imageTags") or ())),
        size_bytes=detail.get("imageSizeInBytes") or 0,
        pushed_at=detail["imagePushedAt"],
        media_type=detail.get("imageManifestMediaType"),
        artifact_media_type=detail.get("artifactMediaType"),
        pulled_at=detail.get("lastRecordedPullTime"),
        scan_status=scan.get("status"),
        scan_description=scan.get("description"),
        severity_counts=summary.get("findingSeverityCounts") or {},
    )


def findings_of(found: Mapping[str, Any]) -> list[Finding]:
    """Return the findings of a page of DescribeImageScanFindings, of a basic or of an enhanced scan."""
    basic = [_basic(finding) for finding in found.get("findings") or ()]
    return basic + [_enhanced(finding) for finding in found.get("enhancedFindings") or ()]


def expiry_of(result: Mapping[str, Any]) -> Expiry:
    """Return an entry of a lifecycle preview."""
    return Expiry(
        digest=result["imageDigest"],
        tags=tuple(sorted(result.get("imageTags") or ())),
        pushed_at=result.get("imagePushedAt"),
        action=(result.get("action") or {}).get("type", "EXPIRE"),
        priority=result["appliedRulePriority"],
    )


def worst_first(finding: Finding) -> tuple[int, str, str]:
    """Return the key that findings are sorted by."""
    rank = SEVERITIES.index(finding.severity) if finding.severity in SEVERITIES else len(SEVERITIES)
    return rank, finding.name, finding.package or ""


def _basic(finding: Mapping[str, Any]) -> Finding:
    attributes = {entry["key"]: entry.get("value") for entry in finding.get("attributes") or ()}
    score = attributes.get("CVSS3_SCORE") or attributes.get("CVSS2_SCORE")
    return Finding(
        name=finding.get("name", ""),
        severity=finding.get("severity", "UNDEFINED"),
        uri=finding.get("uri"),
        description=finding.get("description"),
        package=attributes.get("package_name"),
        package_version=attributes.get("package_version"),
        score=_number(score),
    )


def _enhanced(finding: Mapping[str, Any]) -> Finding:
    details = finding.get("packageVulnerabilityDetails") or {}
    package: Mapping[str, Any] = next(iter(details.get("vulnerablePackages") or ()), {})
    return Finding(
        name=details.get("vulnerabilityId") or finding.get("title", ""),
        severity=finding.get("severity", "UNDEFINED"),
        uri=details.get("sourceUrl"),
        description=finding.get("description"),
        package=package.get("name"),
        package_version=package.get("version"),
        score=_number(finding.get("score")),
    )


def _number(text: Any) -> float | None:
    try:
        return None if text is None else float(text)
    except (TypeError, ValueError):
        return None
