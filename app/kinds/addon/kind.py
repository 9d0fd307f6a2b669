"""Addons: the version that EKS would take today, the roles that some need, and tolerations where every node is tainted.

Source: AWS::EKS::Addon (`AddonName`, `ClusterName`: "Update requires: Replacement"). CloudFormation moves no addon
whose template names no version, so that after an upgrade of the cluster the template names EKS's default for it.
"""

from typing import Any

from pydantic import BaseModel
from troposphere import GetAtt, iam

from app.clusters.live import default_addon_version
from app.clusters.models import Addon
from app.clusters.schemas import AddonSpec
from app.clusters.view import ClusterView
from app.gateways.aws.cloud import Cloud
from app.kinds.addon.reconcile import TAINTS, AddonReconciler
from app.kinds.kind import Codes, Facts, Kind, Looking, Stage, owned_stack
from app.stacks.addon import POD_IDENTITIES, add_addon, tolerating
from app.stacks.taints import Taint
from app.stacks.template import CAPABILITY_IAM, StackTemplate, Value, add_outputs, new_template

VERSION = "version"
"""The fact that names EKS's default version, once an addon without one of its own was brought to it."""


class AddonOutputs(BaseModel):
    """What AWS made."""

    arn: str | None = None


def _template(resource_id: str, spec: AddonSpec, cluster: ClusterView, facts: Facts) -> StackTemplate:
    """Return the stack. Outputs: `Arn`, `AddonName`, and `RoleArn` if it makes a role."""
    template = new_template("Slipway: an EKS addon")
    identity = POD_IDENTITIES.get(spec.name)
    addon = add_addon(
        template,
        spec.name,
        cluster.name,
        cluster.tags,
        version=spec.version or facts.get(VERSION),
        configuration=tolerating(spec.name, spec.configuration, [Taint(**taint) for taint in facts.get(TAINTS, ())]),
        pod_identities=(identity,) if identity else (),
    )
    outputs: dict[str, Value] = {"Arn": GetAtt(addon, "Arn"), "AddonName": spec.name}
    roles = [title for title, value in template.resources.items() if isinstance(value, iam.Role)]
    if roles:
        outputs["RoleArn"] = GetAtt(roles[0], "Arn")
    add_outputs(template, outputs)
    capabilities = (CAPABILITY_IAM,) if roles else ()
    return owned_stack(template, "addon", resource_id, spec.name, cluster, cluster.tags, *capabilities)


async def _observe(cloud: Cloud, spec: AddonSpec, cluster: ClusterView, looking: Looking) -> Facts:
    """Tell the version of one that names none: EKS's default for the cluster's, unless the update is to keep it."""
    if spec.version:
        return {}
    version: Any = looking.facts.get(VERSION)
    if looking.exists and not looking.said.get("keeps_version"):
        version = await default_addon_version(cloud, spec.name, cluster.applied_version)
    return {VERSION: version} if version else {}


ADDONS = Kind(
    type="addon",
    plural="addons",
    prefix="add",
    title="addon",
    about="An EKS addon",
    codes=Codes(not_found="addon_not_found", exists="addon_exists", deleting="addon_deleting"),
    spec=AddonSpec,
    outputs=AddonOutputs,
    fixed={"/name": "AWS can only replace an addon to rename it"},
    stage=Stage.ADDONS,
    after=("nodegroup",),
    managed=True,
    example={"name": "coredns", "configuration": {"replicaCount": 2}},
    example_outputs={"arn": "arn:aws:eks:us-west-2:111122223333:addon/shop/coredns/0ac1"},
    patch_example={"configuration": {"replicaCount": 3}},
    template=_template,
    observe=_observe,
    keeps=(VERSION,),
    reconciler=AddonReconciler,
    table=Addon,
)
