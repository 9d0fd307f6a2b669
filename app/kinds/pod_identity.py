"""Pod identities: the IAM role that the pods of a service account have.

Sources: AWS::EKS::PodIdentityAssociation (`ClusterName`, `Namespace`, `ServiceAccount`: "Update requires:
Replacement"), and https://docs.aws.amazon.com/eks/latest/userguide/pod-id-association.html; the cluster needs the addon
`eks-pod-identity-agent` for them to work.
"""

from typing import Annotated

from pydantic import BaseModel, Field
from troposphere import GetAtt, eks

from app.clusters.view import ClusterView
from app.core.fields import RoleArn
from app.kinds.kind import Codes, Facts, Kind, OwnedSpec, Stage, owned_stack
from app.stacks.template import StackTemplate, add_outputs, new_template, tag_list

_REPLACED = "AWS can only replace a pod identity to change this"


class PodIdentitySpec(OwnedSpec):
    """The desired state of a pod identity."""

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", examples=["shop"])]
    service_account: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", examples=["orders"])]
    role_arn: RoleArn = Field(description="Its trust policy must let `pods.eks.amazonaws.com` assume it.")


class PodIdentityOutputs(BaseModel):
    """What AWS made."""

    arn: str | None = None
    association_id: str | None = None


def _template(resource_id: str, spec: PodIdentitySpec, cluster: ClusterView, _facts: Facts) -> StackTemplate:
    """Return the stack. Outputs: `Arn`, `AssociationId`."""
    template = new_template("Slipway: an EKS pod identity association")
    association = template.add_resource(
        eks.PodIdentityAssociation(
            "Association",
            ClusterName=cluster.name,
            Namespace=spec.namespace,
            ServiceAccount=spec.service_account,
            RoleArn=spec.role_arn,
            Tags=tag_list(spec.tags),
        )
    )
    outputs = {"Arn": GetAtt(association, "AssociationArn"), "AssociationId": GetAtt(association, "AssociationId")}
    add_outputs(template, outputs)
    name = f"{spec.namespace}/{spec.service_account}"
    return owned_stack(template, "pod_identity", resource_id, name, cluster, spec.tags)


POD_IDENTITIES = Kind(
    type="pod_identity",
    plural="pod_identities",
    prefix="pid",
    title="pod identity",
    about="The IAM role of a service account's pods",
    codes=Codes(not_found="pod_identity_not_found", exists="pod_identity_exists", deleting="pod_identity_deleting"),
    spec=PodIdentitySpec,
    outputs=PodIdentityOutputs,
    identity=("namespace", "service_account"),
    fixed=dict.fromkeys(("/namespace", "/service_account"), _REPLACED),
    stage=Stage.ACCESS,
    example={
        "cluster": "shop",
        "namespace": "shop",
        "service_account": "orders",
        "role_arn": "arn:aws:iam::111122223333:role/orders",
    },
    example_outputs={"arn": "arn:aws:eks:us-west-2:111122223333:podidentityassociation/shop/a-0123456789abcdef0"},
    patch_example={"role_arn": "arn:aws:iam::111122223333:role/orders-v2"},
    template=_template,
)
