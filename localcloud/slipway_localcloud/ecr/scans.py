"""Basic scans. What they find depends on the names of repository and tags alone, so that it can be foretold.

An image has vulnerabilities if the word `vulnerable` is in one of them (`shop/vulnerable-api`,
`1.0-vulnerable`). `unscannable` means an operating system that ECR does not know.
"""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatchcase

from ministack.core.responses import get_account_id

from .parameters import page
from .records import Image, Record, identifier, image, in_registry, now, refuse, registry

_SCANNABLE = {"application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"}
_DAY, _SECONDS = 86_400, 0.05  # How long there is no other scan, and how long one takes.
_UNSUPPORTED = "UnsupportedImageError: The operating system and/or package manager are not supported."

# Name, severity, package, version, CVSS 3 score and what it is about; the worst first.
_FINDINGS = (
    ("CVE-2023-38545", "CRITICAL", "curl", "7.88.1-10", "9.8", "Heap overflow in curl's SOCKS5 proxy handshake."),
    ("CVE-2022-37434", "CRITICAL", "zlib", "1:1.2.11.dfsg-2", "9.8", "Over-read in inflate of a large gzip header."),
    ("CVE-2023-4911", "HIGH", "glibc", "2.36-9", "7.8", "Overflow in ld.so while it reads GLIBC_TUNABLES."),
    ("CVE-2022-0778", "HIGH", "openssl", "1.1.1k-1", "7.5", "BN_mod_sqrt() may loop forever on a bad curve."),
    ("CVE-2023-0464", "HIGH", "openssl", "1.1.1k-1", "7.5", "Exponential use of resources by policy constraints."),
    ("CVE-2022-48303", "MEDIUM", "tar", "1.34+dfsg-1", "5.5", "One byte read out of bounds in a V7 archive."),
    ("CVE-2023-28322", "LOW", "curl", "7.88.1-10", "3.7", "A handle used for PUT may send a POST by mistake."),
    ("CVE-2019-20838", "INFORMATIONAL", "pcre3", "2:8.39-13", "7.5", "Over-read in pcre_jit with UTF disabled."),
)


def _words(*names: str) -> set[str]:
    return {word for name in names for word in re.split(r"[^a-z0-9]+", name.lower())}


def _scannable(found: Image) -> bool:
    return found.artifact_type in _SCANNABLE


def on_push(record: Record, found: Image) -> None:
    """Scans a new image if its repository, or a rule of the registry, wants that."""
    wanted = record["imageScanningConfiguration"]["scanOnPush"] or any(
        rule["scanFrequency"] == "SCAN_ON_PUSH"
        and any(fnmatchcase(record["repositoryName"], f"*{f['filter']}*") for f in rule["repositoryFilters"])
        for rule in registry().scanning["rules"]
    )
    if wanted and _scannable(found):
        found.scanned_at = now()


def start(name: str, body: Record) -> Record:
    """StartImageScan: an image can be scanned once in 24 hours, the scan on push included."""
    found = image(name, body["imageId"])
    if not _scannable(found):
        raise refuse("UnsupportedImageType", f"The image of type '{found.artifact_type}' cannot be scanned")
    if found.scanned_at is not None and now() - found.scanned_at < _DAY:
        raise refuse("LimitExceeded", "The scan quota per image has been exceeded. Wait and try again.")
    found.scanned_at = now()
    return {
        "repositoryName": name,
        "imageId": identifier(found, body["imageId"]),
        "imageScanStatus": {"status": "IN_PROGRESS"},
    }


def _status(name: str, found: Image, began: float) -> Record:
    if now() < began + _SECONDS:
        return {"status": "IN_PROGRESS"}
    if "unscannable" in _words(name, *found.tags):
        return {"status": "FAILED", "description": _UNSUPPORTED}
    return {"status": "COMPLETE", "description": "The scan was completed successfully."}


def _findings(name: str, found: Image) -> list[Record]:
    if "vulnerable" not in _words(name, *found.tags):
        return []
    return [
        {
            "name": cve,
            "description": about,
            "uri": f"https://security-tracker.debian.org/tracker/{cve}",
            "severity": severity,
            "attributes": [
                {"key": "package_name", "value": package},
                {"key": "package_version", "value": version},
                {"key": "CVSS3_SCORE", "value": score},
            ],
        }
        for cve, severity, package, version, score, about in _FINDINGS
    ]


def _summary(name: str, found: Image, began: float) -> Record:
    return {
        "imageScanCompletedAt": began + _SECONDS,
        "vulnerabilitySourceUpdatedAt": began,
        "findingSeverityCounts": dict(Counter(finding["severity"] for finding in _findings(name, found))),
    }


def summary(name: str, found: Image) -> Record:
    """What DescribeImages says of the scan of an image."""
    if found.scanned_at is None:
        return {}
    status = _status(name, found, found.scanned_at)
    if status["status"] != "COMPLETE":
        return {"imageScanStatus": status}
    return {"imageScanStatus": status, "imageScanFindingsSummary": _summary(name, found, found.scanned_at)}


def findings(name: str, body: Record) -> Record:
    """DescribeImageScanFindings."""
    found = image(name, body["imageId"])
    image_id = identifier(found, body["imageId"])
    if found.scanned_at is None:
        shown = ", ".join(f"{key}:'{image_id[key]}'" for key in ("imageDigest", "imageTag") if key in image_id)
        raise refuse(
            "ScanNotFound",
            f"Image scan does not exist for the image with '{{{shown}}}' in the repository with name '{name}' "
            f"{in_registry()}",
        )
    status = _status(name, found, found.scanned_at)
    answer = {"registryId": get_account_id(), "repositoryName": name, "imageId": image_id, "imageScanStatus": status}
    if status["status"] == "COMPLETE":
        listed = page(body, "findings", _findings(name, found))
        answer["imageScanFindings"] = {**_summary(name, found, found.scanned_at), "findings": listed.pop("findings")}
        answer.update(listed)
    return answer
