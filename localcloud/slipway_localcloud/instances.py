"""EC2 instance types: what exists, how big it is, and which quota it counts against.

Sizes follow EC2's scheme (an `xlarge` has four vCPUs), so a table of families describes the types.
"""

from __future__ import annotations

from dataclasses import dataclass

_VCPUS = {
    "nano": 2, "micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4, "2xlarge": 8, "3xlarge": 12,
    "4xlarge": 16, "6xlarge": 24, "8xlarge": 32, "9xlarge": 36, "12xlarge": 48, "16xlarge": 64, "18xlarge": 72,
    "24xlarge": 96, "32xlarge": 128, "48xlarge": 192, "metal": 96,
}  # fmt: skip
_BURST = ("nano", "micro", "small", "medium", "large", "xlarge", "2xlarge")
_BURST_MEMORY = {"nano": 0.5, "micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16, "2xlarge": 32}
_COMMON = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge", "metal")
_OLD_C5 = ("large", "xlarge", "2xlarge", "4xlarge", "9xlarge", "12xlarge", "18xlarge", "24xlarge", "metal")
_BIG = (*_COMMON, "32xlarge", "48xlarge")


@dataclass(frozen=True)
class Family:
    """A family of types: GiB of memory for each vCPU, sizes, architecture, quota bucket, GPUs."""

    ratio: float
    sizes: tuple[str, ...]
    architecture: str = "x86_64"
    bucket: str = "standard"
    gpu: bool = False


_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(("t2", "t3", "t3a"), Family(4, _BURST)),
    "t4g": Family(4, _BURST, "arm64"),
    **dict.fromkeys(("m5", "m5a", "m5d", "m5n", "m6i", "m6a", "m6id", "m7i", "m7a", "m8i", "m8a"), Family(4, _BIG)),
    "m7i-flex": Family(4, _COMMON),
    **dict.fromkeys(("m6g", "m7g", "m6gd", "m7gd", "m8g"), Family(4, ("medium", *_BIG), "arm64")),
    **dict.fromkeys(("c5", "c5a", "c5d", "c5n"), Family(2, (*_OLD_C5, "8xlarge", "16xlarge"))),
    **dict.fromkeys(("c6i", "c6a", "c7i", "c7a", "c8i", "c7i-flex"), Family(2, _BIG)),
    **dict.fromkeys(("c6g", "c7g", "c6gn", "c7gn", "c8g"), Family(2, ("medium", *_BIG), "arm64")),
    **dict.fromkeys(("r5", "r5a", "r5d", "r6i", "r6a", "r7i", "r7a", "r8i"), Family(8, _BIG)),
    **dict.fromkeys(("r6g", "r7g", "r8g"), Family(8, ("medium", *_BIG), "arm64")),
    **dict.fromkeys(("i3", "i3en", "i4i", "i7i", "d3"), Family(8, _BIG)),
    **dict.fromkeys(("i4g", "i7ie"), Family(8, _BIG, "arm64")),
    **dict.fromkeys(("g4dn", "g5", "g6", "g6e", "gr6"), Family(4, _BIG, bucket="G and VT", gpu=True)),
    "g5g": Family(2, _COMMON, "arm64", "G and VT", True),
    "vt1": Family(2, ("3xlarge", "6xlarge", "24xlarge"), bucket="G and VT"),
    "p3": Family(7.6, ("2xlarge", "8xlarge", "16xlarge"), bucket="P", gpu=True),
    "p3dn": Family(8, ("24xlarge",), bucket="P", gpu=True),
    **dict.fromkeys(("p4d", "p4de"), Family(12, ("24xlarge",), bucket="P", gpu=True)),
    **dict.fromkeys(("p5", "p5e", "p5en"), Family(10.6, ("4xlarge", "48xlarge"), bucket="P", gpu=True)),
    "p6-b200": Family(10.6, ("48xlarge",), bucket="P", gpu=True),
    **dict.fromkeys(("inf1", "inf2"), Family(4, ("xlarge", "2xlarge", "6xlarge", "8xlarge", "24xlarge", "48xlarge"))),
    **dict.fromkeys(("trn1", "trn1n"), Family(4, ("2xlarge", "32xlarge"))),
}

# A fresh account may run no GPU instances; the quotas of the other families are not emulated.
ZERO_QUOTA = {"P", "G and VT"}


@dataclass(frozen=True)
class InstanceType:
    """One instance type."""

    name: str
    vcpus: int
    memory_mib: int
    family: Family


def find(name: str) -> InstanceType | None:
    """The instance type of that name, if there is one."""
    family_name, _, size = name.partition(".")
    family = _FAMILIES.get(family_name)
    if family is None or size not in family.sizes:
        return None
    vcpus = 1 if size == "medium" and family.architecture == "arm64" and family_name != "t4g" else _VCPUS[size]
    memory = _BURST_MEMORY[size] if family_name.startswith("t") and size in _BURST_MEMORY else vcpus * family.ratio
    return InstanceType(name, vcpus, int(memory * 1024), family)


def all_names() -> list[str]:
    """The names of all instance types."""
    return [f"{name}.{size}" for name, family in _FAMILIES.items() for size in family.sizes]
