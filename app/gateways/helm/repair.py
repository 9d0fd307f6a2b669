"""A release that is `pending-*` because its helm was killed, made `failed`, as SIGTERM would have left it.

Helm refuses to touch a release that is pending, and nothing but the process that made it so takes that away (helm
#8987). The record is a Secret (`sh.helm.release.v1.NAME.vREVISION`); its status is changed there and in its label,
under its resourceVersion. No object of the release is touched: the next upgrade, rollback or uninstall brings those in
line.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.gateways.helm.errors import ReleaseInProgress
from app.gateways.helm.records import decode_record, encode_record, records
from app.gateways.helm.release import PENDING
from app.gateways.kubernetes.client import Kubernetes
from app.gateways.kubernetes.errors import Conflict
from app.gateways.kubernetes.objects import mapping, metadata_of, number

DESCRIPTION = "The helm process was killed; marked as failed by Slipway."
_TYPE = "helm.sh/release.v1"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was repaired.

    Attributes:
        revision: The revision that was pending.
        was: Its status before: `pending-install`, `pending-upgrade`, `pending-rollback`, `uninstalling`.
    """

    revision: int
    was: str


async def repair_pending(kubernetes: Kubernetes, name: str, *, namespace: str) -> list[Repaired]:
    """Mark the pending revisions of a release as failed; return them, oldest first; none if there were none.

    The caller must hold the lock of the release, and know that no helm works on it: its own processes are dead when
    `Releases.*` returned or was cancelled, those of a killed Slipway die with it (PDEATHSIG), and a helm that a person
    runs elsewhere cannot be told from a dead one: for that, leave a release alone that was never changed by us.

    Args:
        kubernetes: The cluster.
        name: Of the release.
        namespace: Of the release.

    Raises:
        ReleaseInProgress: A helm changed the record meanwhile, so it is alive.
        HelmError: A record can't be read.
        KubernetesError: As every call.
    """
    found = []
    for record in await records(kubernetes, name, namespace, status=PENDING):
        if record.get("type") != _TYPE:
            continue
        try:
            found.append(await _fail(kubernetes, record))
        except Conflict as error:
            raise ReleaseInProgress(f"the record of {name} was changed meanwhile") from error
    return found


async def _fail(kubernetes: Kubernetes, secret: Mapping[str, Any]) -> Repaired:
    record = decode_record(secret)
    info = dict(mapping(record.get("info")))
    repaired = Repaired(revision=number(record.get("version")), was=str(info.get("status")))
    info |= {"status": "failed", "description": DESCRIPTION}
    metadata = dict(metadata_of(secret))
    labels = dict(mapping(metadata.get("labels"))) | {"status": "failed", "modifiedAt": str(int(time.time()))}
    metadata |= {"labels": labels}
    data = dict(mapping(secret.get("data"))) | {"release": encode_record(record | {"info": info})}
    await kubernetes.replace({**secret, "metadata": metadata, "data": data})
    return repaired
