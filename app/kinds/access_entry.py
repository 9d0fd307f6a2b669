"""Access entries: what an IAM principal may do in a cluster.

Sources: AWS::EKS::AccessEntry (`ClusterName`, `PrincipalArn`, `Type`: "Update requires: Replacement"),
https://docs.aws.amazon.com/eks/latest/userguide/access-policies.html, and CreateAccessEntry for what goes with a type
(https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAccessEntry.html).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator
from troposphere import GetAtt, Sub, eks

from app.clusters.view import ClusterView
from app.core.fields import PrincipalArn, Spec
from app.kinds.kind import Codes, Facts, Kind, OwnedSpec, Stage, owned_stack
from app.stacks.template import StackTemplate, add_outputs, new_template, tag_list

_REPLACED = "AWS can only replace an access entry to change this"


class AccessPolicySpec(Spec):
    """One of EKS's access policies, in the whole cluster or in namespaces."""

    name: Annotated[str, Field(pattern=r"^Amazon[A-Za-z]+Policy$", max_length=128)] = Field(
        examples=["AmazonEKSViewPolicy"]
    )
    namespaces: list[Annotated[str, Field(pattern=r"^[a-z0-9*-]{1,63}$")]] = Field(
        default=[], max_length=100, description="`*` stands for anything; none means the whole cluster."
    )


class AccessEntrySpec(OwnedSpec):
    """The desired state of an access entry."""

    principal_arn: PrincipalArn
    type: Literal["STANDARD", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "HYBRID_LINUX", "EC2"] = "STANDARD"
    kubernetes_groups: list[Annotated[str, Field(min_length=1, max_length=63)]] = Field(default=[], max_length=100)
    username: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="In Kubernetes; None lets EKS make one of the principal's name."
    )
    policies: list[AccessPolicySpec] = Field(default=[], max_length=20)

    @model_validator(mode="after")
    def _of_the_type(self) -> "AccessEntrySpec":
        if self.type != "STANDARD" and (self.kubernetes_groups or self.username):
            raise ValueError("kubernetes_groups and username are for the type STANDARD alone")
        names = [policy.name for policy in self.policies]
        if len(set(names)) != len(names):
            raise ValueError("a policy stands twice")
        return self


class AccessEntryOutputs(BaseModel):
    """What AWS made."""

    arn: str | None = None


def _template(resource_id: str, spec: AccessEntrySpec, cluster: ClusterView, _facts: Facts) -> StackTemplate:
    """Return the stack. Output: `Arn`."""
    template = new_template("Slipway: an EKS access entry")
    given: dict[str, Any] = {"Username": spec.username} if spec.username else {}
    if spec.type == "STANDARD":
        given["KubernetesGroups"] = spec.kubernetes_groups
    entry = template.add_resource(
        eks.AccessEntry(
            "Entry",
            ClusterName=cluster.name,
            PrincipalArn=spec.principal_arn,
            Type=spec.type,
            AccessPolicies=[_policy(policy) for policy in spec.policies],
            Tags=tag_list(spec.tags),
            **given,
        )
    )
    add_outputs(template, {"Arn": GetAtt(entry, "AccessEntryArn")})
    return owned_stack(template, "access_entry", resource_id, spec.principal_arn, cluster, spec.tags)


def _policy(policy: AccessPolicySpec) -> eks.AccessPolicy:
    scope: dict[str, Any] = {"Type": "namespace", "Namespaces": policy.namespaces} if policy.namespaces else {}
    return eks.AccessPolicy(
        PolicyArn=Sub(f"arn:${{AWS::Partition}}:eks::aws:cluster-access-policy/{policy.name}"),
        AccessScope=eks.AccessScope(**(scope or {"Type": "cluster"})),
    )


ACCESS_ENTRIES = Kind(
    type="access_entry",
    plural="access_entries",
    prefix="ace",
    title="access entry",
    about="What an IAM principal may do in a cluster",
    codes=Codes(not_found="access_entry_not_found", exists="access_entry_exists", deleting="access_entry_deleting"),
    spec=AccessEntrySpec,
    outputs=AccessEntryOutputs,
    identity=("principal_arn",),
    fixed={"/principal_arn": _REPLACED, "/type": _REPLACED},
    stage=Stage.ACCESS,
    example={
        "cluster": "shop",
        "principal_arn": "arn:aws:iam::111122223333:role/developers",
        "policies": [{"name": "AmazonEKSViewPolicy", "namespaces": ["shop"]}],
    },
    example_outputs={"arn": "arn:aws:eks:us-west-2:111122223333:access-entry/shop/role/111122223333/developers/0ac1"},
    patch_example={"policies": [{"name": "AmazonEKSEditPolicy"}]},
    template=_template,
)
