"""What callers see of the contents of a registry: images, scans, previews, and the way in."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.fields import Spec
from app.kinds.registry.lifecycle import LifecycleSpec

_DIGEST = "sha256:8f1c5b9e0c6a4d1a5d3b2a9e7f6c8d0b1a2c3d4e5f60718293a4b5c6d7e8f901"
_IMAGE: dict[str, Any] = {
    "digest": _DIGEST,
    "tags": ["1.4.2"],
    "size_bytes": 10482,
    "media_type": "application/vnd.oci.image.manifest.v1+json",
    "artifact_media_type": "application/vnd.cncf.helm.config.v1+json",
    "pushed_at": "2026-11-23T08:01:00Z",
    "last_pulled_at": None,
    "scan": {"status": "COMPLETE", "description": None, "severity_counts": {"HIGH": 1, "LOW": 4}},
}


class ImageScanOut(BaseModel):
    """How the last scan of an image is, in short."""

    status: str = Field(description="As ECR spells it: COMPLETE, IN_PROGRESS, FAILED, UNSUPPORTED_IMAGE, ….")
    description: str | None = None
    severity_counts: dict[str, int] = {}


class ImageOut(BaseModel):
    """An image or another artifact, such as a chart: one manifest with its tags."""

    model_config = ConfigDict(title="Image", json_schema_extra={"examples": [_IMAGE]})

    digest: str
    tags: list[str]
    size_bytes: int = Field(description="Compressed, as ECR counts it.")
    media_type: str | None = Field(description="Of the manifest.")
    artifact_media_type: str | None = Field(description="Of its config: what tells a chart from an image.")
    pushed_at: datetime
    last_pulled_at: datetime | None
    scan: ImageScanOut | None = Field(description="None if it was never scanned.")


class ImageDeletion(BaseModel):
    """What came of one digest or tag of a delete."""

    digest: str | None
    tag: str | None
    status: Literal["deleted", "failed"]
    code: str | None = Field(default=None, description="ECR's word for why not: `ImageNotFound`, ….")
    message: str | None = None


class ImageDeletions(BaseModel):
    """What came of each digest and tag, in their order; an image that has other tags keeps those."""

    results: list[ImageDeletion]
    deleted: int
    failed: int


class FindingOut(BaseModel):
    """A vulnerability."""

    name: str = Field(examples=["CVE-2026-31337"])
    severity: str
    package: str | None
    package_version: str | None
    score: float | None = Field(description="CVSS.")
    uri: str | None
    description: str | None


class ScanOut(ImageScanOut):
    """The last scan of an image; findings are listed with the worst first."""

    digest: str
    completed_at: datetime | None = None
    findings: list[FindingOut] = []
    next_page_token: str | None = Field(default=None, description="For `?page_token=`; null on the last page.")


class UsageOut(BaseModel):
    """What a registry holds, all together."""

    model_config = ConfigDict(
        title="RegistryUsage",
        json_schema_extra={
            "examples": [
                {
                    "images": 12,
                    "tagged": 9,
                    "untagged": 3,
                    "size_bytes": 412308224,
                    "last_pushed_at": "2026-11-23T08:01:00Z",
                }
            ]
        },
    )

    images: int
    tagged: int
    untagged: int
    size_bytes: int = Field(description="The sum of the images' sizes; layers that they share are counted for each.")
    last_pushed_at: datetime | None


class CredentialsOut(BaseModel):
    """A way into the account's registry for some hours; never shown again, kept nowhere."""

    model_config = ConfigDict(
        title="RegistryCredentials",
        json_schema_extra={
            "examples": [
                {
                    "username": "AWS",
                    "password": "eyJwYXlsb2FkIjoi…",
                    "registry": "111122223333.dkr.ecr.us-west-2.amazonaws.com",
                    "repository_uri": "111122223333.dkr.ecr.us-west-2.amazonaws.com/shop/sock-shop",
                    "plain_http": False,
                    "expires_at": "2026-11-23T20:00:00Z",
                    "docker_login": "docker login --username AWS --password-stdin 111122223333.dkr.ecr.…",
                    "helm_registry_login": "helm registry login --username AWS --password-stdin 111122223333.dkr…",
                }
            ]
        },
    )

    username: str
    password: str
    registry: str = Field(description="The host to log in to.")
    repository_uri: str | None
    plain_http: bool = Field(description="The registry speaks HTTP (the local cloud's); helm wants `--plain-http`.")
    expires_at: datetime
    docker_login: str = Field(description="Reads the password from standard input, so that no process list shows it.")
    helm_registry_login: str = Field(description="Likewise.")


class PreviewRequest(Spec):
    """Which policy to try; None is the registry's own."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "lifecycle": {
                        "rules": [
                            {
                                "rule_priority": 1,
                                "selection": {
                                    "tag_status": "any",
                                    "count_type": "imageCountMoreThan",
                                    "count_number": 10,
                                },
                            }
                        ]
                    }
                }
            ]
        }
    )

    lifecycle: LifecycleSpec | None = None


class ExpiryOut(BaseModel):
    """An image that the policy would act on."""

    digest: str
    tags: list[str]
    pushed_at: datetime | None
    action: str = Field(description="EXPIRE or TRANSITION.")
    rule_priority: int = Field(description="The rule that decides.")


class PreviewOut(BaseModel):
    """What a lifecycle policy would do now; nothing is done."""

    model_config = ConfigDict(title="LifecyclePreview")

    status: Literal["IN_PROGRESS", "COMPLETE", "EXPIRED", "FAILED"]
    expiring: int = Field(description="How many images in all.")
    policy: Mapping[str, Any] | None = Field(description="The policy as AWS spells it.")
    images: list[ExpiryOut] = []
    next_page_token: str | None = Field(default=None, description="For `?page_token=`; null on the last page.")
