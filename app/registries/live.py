"""What a request must ask ECR before its transaction begins, and what can be checked without asking."""

from app.core.errors import FieldError, InvalidError
from app.gateways.aws.cloud import Cloud, no_such_region
from app.registries.errors import RegistryNotEmptyError, RepositoryExistsError
from app.registries.lifecycle import LONGEST_POLICY, LifecycleSpec, aws_document, violations
from app.registries.models import Registry
from app.registries.render import registry_stack
from app.registries.schemas import RegistrySpec
from app.stacks.registry import lifecycle_text
from app.stacks.template import refuse_dynamic_references


async def check_region(cloud: Cloud, pointer: str = "/region") -> None:
    """Refuse a region that does not exist.

    Raises:
        InvalidError: with the pointer.
        AwsError: AWS could not be asked.
    """
    others = await cloud.other_regions()
    if others is not None:
        raise no_such_region(cloud.region, others, pointer)


async def check_new(cloud: Cloud, spec: RegistrySpec) -> None:
    """Ask AWS whether there is such a region, and ECR whether the name is free.

    Raises:
        InvalidError: there is no such region.
        RepositoryExistsError: somebody else's repository has it.
        AwsError: AWS could not be asked.
    """
    await check_region(cloud)
    found = await cloud.ecr.repository(spec.name)
    if found is not None:
        raise RepositoryExistsError(
            f"ECR has a repository {spec.name!r} in {spec.region}, which Slipway did not make: choose another name, or "
            "delete it first.",
            arn=found.arn,
        )


async def check_empty(cloud: Cloud, registry: Registry) -> None:
    """Ask ECR whether a registry can go without taking images with it.

    Raises:
        RegistryNotEmptyError: it holds some; `images` counts them.
        AwsError: AWS could not be asked.
    """
    count = await cloud.ecr.count_images(registry.name)
    if count:
        raise RegistryNotEmptyError(
            f"Registry {registry.name!r} holds {count} {'image' if count == 1 else 'images'}; ?force=true deletes them "
            "too.",
            images=count,
            registry_id=registry.id,
        )


def check_form(spec: RegistrySpec, pointer: str = "") -> None:
    """Check what AWS would refuse in a spec, and that a template can be made of it; no network.

    Raises:
        InvalidError: each place has its pointer.
    """
    refuse_dynamic_references(spec.model_dump(mode="json"), pointer)
    if spec.lifecycle is not None:
        policy_text(spec.lifecycle, f"{pointer}/lifecycle")
    try:
        registry_stack("reg_00000000000000000000000000", spec)
    except InvalidError as error:
        raise error.below(pointer) from error


def policy_text(policy: LifecycleSpec, pointer: str) -> str:
    """Return a lifecycle policy as ECR takes it.

    Raises:
        InvalidError: ECR would refuse it; each place has its pointer.
    """
    errors = violations(policy, pointer)
    text = lifecycle_text(aws_document(policy))
    if not errors and len(text) > LONGEST_POLICY:
        errors = [FieldError(pointer, f"has {len(text)} characters as ECR takes it; at most {LONGEST_POLICY}")]
    if errors:
        raise InvalidError("ECR would refuse the lifecycle policy.", errors)
    return text
