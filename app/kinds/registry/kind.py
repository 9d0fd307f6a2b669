"""Registries: ECR repositories, in an account and region; what they hold is `app.registries`.

Sources: AWS::ECR::Repository (`RepositoryName`, `EncryptionConfiguration`: "Update requires: Replacement"), and
https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-delete.html.
"""

from app.kinds.kind import Codes, Deletion, Kind, Options
from app.kinds.registry import checks
from app.kinds.registry.models import Registry
from app.kinds.registry.reconcile import RegistryReconciler
from app.kinds.registry.spec import REGISTRY_EXAMPLE, RegistryOutputs, RegistrySpec
from app.kinds.registry.template import template
from app.kinds.scope import ACCOUNT


def _delete_steps(options: Options) -> tuple[str, ...]:
    return ("empty_on_delete" if options["force"] else "check_images", "delete_stack")


REGISTRIES = Kind(
    type="registry",
    plural="registries",
    prefix="reg",
    title="registry",
    about="A registry",
    codes=Codes(not_found="registry_not_found", exists="registry_exists", deleting="registry_deleting"),
    spec=RegistrySpec,
    outputs=RegistryOutputs,
    scope=ACCOUNT,
    fixed={
        "/name": "AWS can only replace a repository to rename it",
        "/region": "a registry cannot move to another region; replication copies it there",
        "/account": "a registry cannot move to another account; replication copies it there",
        "/encryption": "AWS can only replace a repository to encrypt it otherwise",
    },
    stage=None,
    example=REGISTRY_EXAMPLE,
    example_outputs={
        "arn": "arn:aws:ecr:us-west-2:111122223333:repository/shop/sock-shop",
        "repository_uri": "111122223333.dkr.ecr.us-west-2.amazonaws.com/shop/sock-shop",
    },
    patch_example={"tag_mutability": "IMMUTABLE", "tag_mutability_exclusions": None},
    template=template,
    check_free=checks.check_free,
    complete=checks.checked,
    deletion=Deletion(
        options={"force": "Its images are deleted too; else one that holds some is a 409."},
        steps=_delete_steps,
        check=checks.check_empty,
    ),
    reconciler=RegistryReconciler,
    says={"create": "Create a registry: an ECR repository, in a stack of its own."},
    table=Registry,
)
