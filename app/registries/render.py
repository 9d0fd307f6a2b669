"""From a registry's row to the input of its template. Pure."""

from app.registries.lifecycle import aws_document
from app.registries.schemas import GranteesSpec, RegistrySpec
from app.stacks.registry import Encryption, Grantees, RegistryInput, registry_template
from app.stacks.template import StackTemplate


def registry_stack(registry_id: str, spec: RegistrySpec, *, empty_on_delete: bool = False) -> StackTemplate:
    """Return the registry's stack.

    Args:
        registry_id: `reg_…`.
        spec: What is asked for.
        empty_on_delete: A delete, which comes next, takes the images too.
    """
    return registry_template(
        RegistryInput(
            resource_id=registry_id,
            name=spec.name,
            tag_mutability=spec.tag_mutability,
            exclusions=tuple(spec.tag_mutability_exclusions),
            scan_on_push=spec.scan_on_push,
            encryption=Encryption(spec.encryption.kms_key) if spec.encryption else None,
            lifecycle=aws_document(spec.lifecycle) if spec.lifecycle else None,
            pull=_grantees(spec.access.pull),
            push=_grantees(spec.access.push),
            empty_on_delete=empty_on_delete,
            tags=spec.tags,
        )
    )


def _grantees(who: GranteesSpec) -> Grantees:
    return Grantees(tuple(who.accounts), tuple(who.roles), tuple(who.organizations))
