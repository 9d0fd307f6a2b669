"""Where the Kubernetes programs are: what they are made of, and the cache that keeps them."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

# Module folder -> the packages whose programs it makes.
MODULES = {
    "etcd": ("go.etcd.io/etcd/server/v3",),
    "kwok": ("sigs.k8s.io/kwok/cmd/kwok",),
    "kubernetes": (
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-scheduler",
    ),
}
PROGRAMS = ("etcd", "kwok", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
STAGES = "kwok-stages.yaml"
FLAGS = ("-trimpath", "-buildvcs=false", "-mod=readonly")
VARIABLE = "SLIPWAY_LOCALCLOUD_KUBERNETES"
SOURCES = Path(__file__).resolve().parents[2] / "kubernetes"


class NoBinaries(Exception):
    """There are no Kubernetes programs to run; the message says how to get them."""


@dataclass(frozen=True)
class Binaries:
    """A folder that holds all programs, and kwok's stages."""

    folder: Path

    def program(self, name: str) -> Path:
        """The path of one program."""
        return self.folder / name

    @property
    def stages(self) -> str:
        """kwok's own stages, YAML documents."""
        return (self.folder / STAGES).read_text()

    def missing(self) -> list[str]:
        """What the folder lacks."""
        lacking = [name for name in PROGRAMS if not os.access(self.program(name), os.X_OK)]
        return lacking + ([] if (self.folder / STAGES).is_file() else [STAGES])


def module_version(module: str, path: str) -> str:
    """The version of the Go module `path` that our module's go.mod asks for, as in "v1.37.2"."""
    for line in (SOURCES / module / "go.mod").read_text().splitlines():
        words = line.removeprefix("require").split()
        if len(words) >= 2 and words[0] == path and words[1].startswith("v"):
            return words[1]
    raise LookupError(f"{path} is not required by {module}/go.mod")


def linker_flags(module: str) -> str:
    """No symbols; and Kubernetes' version, without which its clients can't parse what /version answers."""
    if module != "kubernetes":
        return "-s -w"
    version = module_version("kubernetes", "k8s.io/kubernetes")
    major, minor, _ = version.removeprefix("v").split(".")
    package = "k8s.io/component-base/version"
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in stamps.items())])


def fingerprint() -> str:
    """The hash under which the cache keeps what these modules and flags make on this kind of machine."""
    digest = hashlib.sha256()
    for module in sorted(MODULES):
        for name in ("go.mod", "go.sum"):
            digest.update((SOURCES / module / name).read_bytes())
        digest.update(linker_flags(module).encode())
    digest.update(repr((MODULES, FLAGS, sys.platform, platform.machine())).encode())
    return digest.hexdigest()[:16]


def cache_root() -> Path:
    """The user's cache folder for these programs."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    home = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return home / "slipway" / "localcloud-kubernetes"


def find() -> Binaries | None:
    """The programs that are ready: in the folder that the variable names, or in the cache; None if not built.

    Raises NoBinaries if the variable names a folder that lacks some.
    """
    named = os.environ.get(VARIABLE)
    if named:
        binaries = Binaries(Path(named).expanduser().resolve())
        lacking = binaries.missing()
        if lacking:
            raise NoBinaries(f"{VARIABLE}={named} lacks {', '.join(lacking)}")
        return binaries
    binaries = Binaries(cache_root() / fingerprint())
    return binaries if binaries.folder.is_dir() and not binaries.missing() else None
