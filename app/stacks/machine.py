"""What a node group's machine types say about its image: architecture, accelerator, root device.

Source: the naming of EC2 instance types (https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html)
and the AMI types of CreateNodegroup (https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html).
"""

import re
from collections.abc import Sequence

from app.core.errors import FieldError, InvalidError

_FAMILY = re.compile(r"^(?P<series>[a-z]+)(?P<generation>\d+)(?P<attributes>[a-z]*)(?P<rest>-[a-z0-9-]+)?$")

_DEFAULTS = {
    ("x86_64", "none"): "AL2023_x86_64_STANDARD",
    ("arm64", "none"): "AL2023_ARM_64_STANDARD",
    ("x86_64", "nvidia"): "AL2023_x86_64_NVIDIA",
    ("arm64", "nvidia"): "AL2023_ARM_64_NVIDIA",
    ("x86_64", "neuron"): "AL2023_x86_64_NEURON",
}


def architecture(instance_type: str) -> str:
    """Return `arm64` for Graviton and Grace families (a `g` among the attributes, `a1`, `…-gb200`), else `x86_64`."""
    family = instance_type.split(".")[0]
    match = _FAMILY.match(family)
    if match is None:
        return "x86_64"
    is_arm = "g" in match["attributes"] or family == "a1" or (match["rest"] or "").startswith("-gb")
    return "arm64" if is_arm else "x86_64"


def accelerator(instance_type: str) -> str:
    """Return `nvidia` (series p, g, gr; not g4ad, which is AMD's), `neuron` (inf, trn) or `none`."""
    family = instance_type.split(".")[0]
    match = _FAMILY.match(family)
    series = match["series"] if match else ""
    if series in {"inf", "trn"}:
        return "neuron"
    return "nvidia" if series in {"p", "g", "gr"} and family != "g4ad" else "none"


def default_ami_type(instance_types: Sequence[str]) -> str:
    """Return the Amazon Linux 2023 AMI type that fits all of the types.

    Raises:
        InvalidError: They differ in architecture or accelerator, so that no one image fits (`/instance_types`).
    """
    kinds = {(architecture(name), accelerator(name)) for name in instance_types}
    if len(kinds) != 1:
        detail = "must share one architecture and one kind of accelerator, for one image to fit them all"
        raise InvalidError("the instance types do not fit together", [FieldError("/instance_types", detail)])
    return _DEFAULTS[kinds.pop()]


def is_bottlerocket(ami_type: str) -> bool:
    """Tell whether the image is Bottlerocket, which keeps the system and containers' data on two volumes."""
    return ami_type.startswith("BOTTLEROCKET")


def data_device(ami_type: str) -> str:
    """Return the device whose size a caller means: images, logs and `emptyDir` live on it.

    Amazon Linux has one volume, `/dev/xvda`; Windows one, `/dev/sda1`; Bottlerocket's data volume is `/dev/xvdb`
    (https://github.com/bottlerocket-os/bottlerocket/blob/develop/README.md#default-volumes).
    """
    if is_bottlerocket(ami_type):
        return "/dev/xvdb"
    return "/dev/sda1" if ami_type.startswith("WINDOWS") else "/dev/xvda"
