"""What must hold of releases after kills: helm's own records, the live objects and Slipway's answers, compared."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.gateways.helm.records import decode_record
from app.gateways.helm.release import PENDING
from app.gateways.helm.repair import DESCRIPTION
from app.gateways.kubernetes.client import Kubernetes

Record = dict[str, Any]


@dataclass(slots=True)
class Asked:
    """What was asked of a release.

    Attributes:
        operations: Ids, one for each change, in turn.
        values: Of the last change: `replicas` and `word`.
        deployment: The uid of its Deployment, once seen.
    """

    operations: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    deployment: str = ""


async def histories(cluster: Kubernetes, namespace: str) -> dict[str, list[Record]]:
    """Return helm's records by release, oldest first."""
    found: dict[str, list[Record]] = {}
    for secret in await cluster.list("v1", "Secret", namespace=namespace, labels="owner=helm"):
        record = decode_record(secret)
        found.setdefault(record["name"], []).append(record)
    return {name: sorted(records, key=lambda record: int(record["version"])) for name, records in found.items()}


def left_by_kills(asked: Asked, history: Sequence[Record]) -> dict[int, str]:
    """Return the revisions that no change ended with, with their descriptions."""
    return {record["version"]: _description(record) for record in history if not _change_of(asked, record)}


def in_history(asked: Asked, history: Sequence[Record], told: Mapping[tuple[str, int], int]) -> Iterator[str]:
    """Give what is wrong with the revisions of a release.

    Args:
        asked: Of it.
        history: Its records, oldest first; helm keeps ten.
        told: How often Slipway told of a repair, by operation and revision.
    """
    if not history:
        yield "helm does not know it"
        return
    states = [record["info"]["status"] for record in history]
    if states[-1] != "deployed" or states.count("deployed") != 1 or PENDING.intersection(states):
        yield f"its revisions are {states}"
    newest, values = history[-1], asked.values
    if newest["config"] != values:
        yield f"it was installed with {newest['config']}, not {values}"
    if f"replicas: {values['replicas']}\n" not in newest["manifest"] or newest["manifest"].count(values["word"]) != 2:
        yield f"its manifest is not that of {values}: {newest['manifest']}"
    is_cut = history[0]["version"] > 1
    made = [operation for record in history if (operation := _change_of(asked, record))]
    if made != (asked.operations[-len(made) :] if is_cut else asked.operations):
        yield f"its changes {asked.operations} were made by {made}"
    repaired = {version for version, text in left_by_kills(asked, history).items() if text == DESCRIPTION}
    own = {revision: times for (operation, revision), times in told.items() if operation in asked.operations}
    if max(own.values(), default=1) > 1 or (own.keys() - repaired and not is_cut):
        yield f"repairs told, with how often, are {own}; those made are {repaired}"


def in_answer(asked: Asked, history: Sequence[Record], shown: dict[str, Any] | None) -> Iterator[str]:
    """Give what is wrong with what Slipway shows of a release."""
    if shown is None or not history:
        yield "Slipway, or the cluster, does not know it"
        return
    status, changes = shown["status"], len(asked.operations)
    if (status["phase"], shown["spec"]["values"]) != ("active", asked.values):
        yield f"Slipway shows it {status['phase']} with {shown['spec']['values']}, not {asked.values}"
    if status["outputs"]["revision"] != history[-1]["version"]:
        yield f"Slipway shows revision {status['outputs']['revision']}, not {history[-1]['version']}"
    if (shown["generation"], status["observed_generation"]) != (changes, changes):
        yield f"it is at generation {shown['generation']} after {changes} changes"


async def in_deployments(cluster: Kubernetes, namespace: str, asked: Mapping[str, Asked]) -> list[str]:
    """Return what is wrong with the Deployments of a namespace whose releases are those asked for."""
    found = {
        item["metadata"]["name"]: item for item in await cluster.list("apps/v1", "Deployment", namespace=namespace)
    }
    sets = await cluster.list("apps/v1", "ReplicaSet", namespace=namespace)
    templates = Counter(owner["uid"] for item in sets for owner in item["metadata"].get("ownerReferences", []))
    if found.keys() != asked.keys():
        return [f"{namespace} has the Deployments {sorted(found)}"]
    faults = []
    for name, release in asked.items():
        metadata = found[name]["metadata"]
        live = {"replicas": found[name]["spec"]["replicas"], "word": metadata["annotations"]["word"]}
        if live != release.values:
            faults.append(f"Deployment {name} has {live}, not {release.values}")
        if release.deployment not in ("", metadata["uid"]):
            faults.append(f"Deployment {name} was made anew")
        if templates[metadata["uid"]] != len(release.operations):
            faults.append(f"Deployment {name} had {templates[metadata['uid']]} pod templates")
        release.deployment = metadata["uid"]
    return faults


def _change_of(asked: Asked, record: Record) -> str:
    """Return the operation that this revision ended; Slipway names it in the description, which helm writes last."""
    return next((operation for operation in asked.operations if _description(record).endswith(operation)), "")


def _description(record: Record) -> str:
    return str(record["info"].get("description", ""))
