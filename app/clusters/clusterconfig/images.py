"""eksctl's `amiFamily` -> EKS's `ami_type`, which also says the processor and the accelerator.

Both follow from the names of instance types, as AWS forms them: family letters, generation, attributes, a dot, a size;
`g` among the attributes is an ARM processor of Amazon or NVIDIA. See "Naming conventions" in the EC2 user guide.
"""

import re

from app.clusters.clusterconfig.report import Report, quoted

FAMILIES: dict[str, str | None] = {
    "AmazonLinux2023": "AL2023",
    "Bottlerocket": "BOTTLEROCKET",
    **dict.fromkeys(("AmazonLinux2", "BottlerocketFips")),
    **dict.fromkeys(f"Ubuntu{pro}{year}04" for pro in ("", "Pro") for year in (20, 22, 24, 26)),
    **dict.fromkeys(f"WindowsServer{year}{core}Container" for year in (2019, 2022, 2025) for core in ("Core", "Full")),
}
"""Families by their names in v1alpha5; those with None are not supported yet."""

DEFAULT_FAMILY = "AL2023"

_ARM, _X86 = "ARM_64", "x86_64"
_TYPES: dict[tuple[str, str, str], str] = {
    ("AL2023", _X86, ""): "AL2023_x86_64_STANDARD",
    ("AL2023", _ARM, ""): "AL2023_ARM_64_STANDARD",
    ("AL2023", _X86, "nvidia"): "AL2023_x86_64_NVIDIA",
    ("AL2023", _ARM, "nvidia"): "AL2023_ARM_64_NVIDIA",
    ("AL2023", _X86, "neuron"): "AL2023_x86_64_NEURON",
    ("BOTTLEROCKET", _X86, ""): "BOTTLEROCKET_x86_64",
    ("BOTTLEROCKET", _ARM, ""): "BOTTLEROCKET_ARM_64",
    ("BOTTLEROCKET", _X86, "nvidia"): "BOTTLEROCKET_x86_64_NVIDIA",
    ("BOTTLEROCKET", _ARM, "nvidia"): "BOTTLEROCKET_ARM_64_NVIDIA",
    ("BOTTLEROCKET", _X86, "neuron"): "BOTTLEROCKET_x86_64",
}

_INSTANCE_TYPE = re.compile(r"([a-z]+)([0-9]+)([a-z0-9-]*)\.")
_NVIDIA = frozenset({"g", "gr", "p"})
_NEURON = frozenset({"inf", "trn"})


def architecture(instance_type: str) -> str:
    """Tell the processor of an instance type: `ARM_64` or `x86_64`."""
    match = _INSTANCE_TYPE.match(instance_type)
    if match is None:
        return _X86
    family, _, attributes = match.groups()
    return _ARM if family == "a" or "g" in attributes else _X86


def accelerator(instance_type: str) -> str:
    """Tell what an instance type computes with besides its processor: `nvidia`, `neuron` or nothing."""
    match = _INSTANCE_TYPE.match(instance_type)
    if match is None:
        return ""
    family, generation, attributes = match.groups()
    if (family, generation) == ("g", "4") and attributes.startswith("ad"):
        return ""  # AMD's, for which there is no image of its own
    return "nvidia" if family in _NVIDIA else "neuron" if family in _NEURON else ""


def ami_type(family: str, instance_types: list[str], pointer: str, report: Report) -> str | None:
    """Choose the image for all of the instance types; `pointer` is where they stand."""
    kinds = {(architecture(name), accelerator(name)): name for name in instance_types}
    if len(kinds) > 1:
        shown = " and ".join(quoted(name) for name in list(kinds.values())[:2])
        report.wrong(pointer, f"{shown} need different images: make a node group for each kind")
        return None
    return _TYPES.get((family, *next(iter(kinds))), _TYPES[family, next(iter(kinds))[0], ""])
