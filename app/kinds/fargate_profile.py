"""Fargate profiles: which pods run without nodes of the cluster's own.

Sources: AWS::EKS::FargateProfile (all but `Tags`: "Update requires: Replacement"), CreateFargateProfile for its limits
(https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateFargateProfile.html), and for the role
https://docs.aws.amazon.com/eks/latest/userguide/pod-execution-role.html.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field
from troposphere import GetAtt, Sub, eks, iam

from app.clusters.view import ClusterView
from app.core.errors import FieldError
from app.core.fields import NodegroupName, Spec, SubnetId
from app.gateways.aws.cloud import Cloud
from app.kinds.kind import Codes, Facts, Kind, OwnedSpec, Stage, owned_stack
from app.stacks.template import (
    CAPABILITY_IAM,
    StackTemplate,
    add_outputs,
    managed_policy,
    new_template,
    tag_list,
    trust,
)

_REPLACED = "AWS can only replace a Fargate profile to change this"


class SelectorSpec(Spec):
    """Pods of a namespace that have all of the labels; `*` and `?` stand for anything."""

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9*?-]{1,63}$", examples=["batch"])]
    labels: dict[str, str] = Field(default={}, max_length=5)


class FargateProfileSpec(OwnedSpec):
    """The desired state of a Fargate profile."""

    name: NodegroupName
    selectors: list[SelectorSpec] = Field(min_length=1, max_length=5)
    subnets: list[SubnetId] | None = Field(
        default=None, min_length=1, max_length=5, description="Private ones; None takes the cluster's."
    )


class FargateProfileOutputs(BaseModel):
    """What AWS made."""

    arn: str | None = None
    role_arn: str | None = Field(default=None, description="The pod execution role.")


def _template(resource_id: str, spec: FargateProfileSpec, cluster: ClusterView, _facts: Facts) -> StackTemplate:
    """Return the stack: a role for the kubelet, and the profile. Outputs: `Arn`, `RoleArn`."""
    template = new_template("Slipway: an EKS Fargate profile")
    trusted = trust("eks-fargate-pods.amazonaws.com")
    source = f"arn:${{AWS::Partition}}:eks:${{AWS::Region}}:${{AWS::AccountId}}:fargateprofile/{cluster.name}/*"
    trusted["Statement"][0]["Condition"] = {"ArnLike": {"aws:SourceArn": Sub(source)}}
    role = template.add_resource(
        iam.Role(
            "Role",
            AssumeRolePolicyDocument=trusted,
            ManagedPolicyArns=[managed_policy("AmazonEKSFargatePodExecutionRolePolicy")],
        )
    )
    profile = template.add_resource(
        eks.FargateProfile(
            "Profile",
            ClusterName=cluster.name,
            FargateProfileName=spec.name,
            PodExecutionRoleArn=GetAtt(role, "Arn"),
            Selectors=[_selector(selector) for selector in spec.selectors],
            Subnets=spec.subnets or list(cluster.facts.get("private_subnet_ids", ())),
            Tags=tag_list(spec.tags),
        )
    )
    add_outputs(template, {"Arn": GetAtt(profile, "Arn"), "RoleArn": GetAtt(role, "Arn")})
    return owned_stack(template, "fargate_profile", resource_id, spec.name, cluster, spec.tags, CAPABILITY_IAM)


def _selector(selector: SelectorSpec) -> eks.Selector:
    labels = [eks.Label(Key=key, Value=value) for key, value in sorted(selector.labels.items())]
    return eks.Selector(Namespace=selector.namespace, **({"Labels": labels} if labels else {}))


async def _check(
    cloud: Cloud, spec: FargateProfileSpec, cluster: ClusterView, _before: FargateProfileSpec | None
) -> Sequence[FieldError]:
    """Look whether the subnets are there, in the cluster's VPC; and whether the cluster has private ones at all."""
    if spec.subnets is None:
        if cluster.is_there and not cluster.facts.get("private_subnet_ids"):
            return [FieldError("/subnets", "the cluster has no private subnets, and Fargate takes no others")]
        return ()
    vpc_id = cluster.outputs.get("vpc_id")
    found = {subnet.id: subnet for subnet in await cloud.ec2.subnets(spec.subnets)}
    errors = []
    for index, subnet_id in enumerate(spec.subnets):
        subnet = found.get(subnet_id)
        if subnet is None:
            errors.append(FieldError(f"/subnets/{index}", f"there is no subnet {subnet_id}"))
        elif vpc_id and subnet.vpc_id != vpc_id:
            errors.append(FieldError(f"/subnets/{index}", f"{subnet_id} is not in the cluster's {vpc_id}"))
    return errors


FARGATE_PROFILES = Kind(
    type="fargate_profile",
    plural="fargate_profiles",
    prefix="fgp",
    title="Fargate profile",
    about="A Fargate profile",
    codes=Codes(
        not_found="fargate_profile_not_found",
        exists="fargate_profile_exists",
        deleting="fargate_profile_deleting",
    ),
    spec=FargateProfileSpec,
    outputs=FargateProfileOutputs,
    fixed=dict.fromkeys(("/name", "/selectors", "/subnets"), _REPLACED),
    stage=Stage.NODES,
    example={"cluster": "shop", "name": "batch", "selectors": [{"namespace": "batch"}]},
    example_outputs={"arn": "arn:aws:eks:us-west-2:111122223333:fargateprofile/shop/batch/0ac1"},
    patch_example={"tags": {"team": "shop"}},
    template=_template,
    check=_check,
)
