"""What is looked at before anything begins: at ECR, and in the spec alone."""

from typing import Any

from app.core.errors import ConflictError
from app.gateways.aws.cloud import Cloud, no_such_region
from app.kinds.kind import Options
from app.kinds.registry.lifecycle import check_policy
from app.kinds.registry.models import Registry
from app.kinds.registry.spec import RegistrySpec


class RepositoryExistsError(ConflictError):
    """ECR has a repository of that name, which Slipway did not make."""

    code = "repository_exists"
    title = "The name is in use in ECR"


class RegistryNotEmptyError(ConflictError):
    """The registry holds images (`images` counts them), and the request did not say that they may go."""

    code = "registry_not_empty"
    title = "The registry holds images"


def checked(spec: RegistrySpec, _owner: Any, _before: RegistrySpec | None) -> RegistrySpec:
    """Return the spec, if ECR would take its lifecycle policy.

    Raises:
        InvalidError: each place has its pointer.
    """
    if spec.lifecycle is not None:
        check_policy(spec.lifecycle, "/lifecycle")
    return spec


async def check_region(cloud: Cloud, pointer: str = "/region") -> None:
    """Refuse a region that does not exist.

    Raises:
        InvalidError: with the pointer.
        AwsError: AWS could not be asked.
    """
    others = await cloud.other_regions()
    if others is not None:
        raise no_such_region(cloud.region, others, pointer)


async def check_free(cloud: Cloud, spec: RegistrySpec) -> None:
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


async def check_empty(cloud: Cloud, registry: Registry, options: Options) -> None:
    """Ask ECR whether a registry can go without taking images with it, unless they may go.

    Raises:
        RegistryNotEmptyError: it holds some; `images` counts them.
        AwsError: AWS could not be asked.
    """
    count = 0 if options.get("force") else await cloud.ecr.count_images(registry.name)
    if count:
        raise RegistryNotEmptyError(
            f"Registry {registry.name!r} holds {count} {'image' if count == 1 else 'images'}; ?force=true deletes them "
            "too.",
            images=count,
            registry_id=registry.id,
        )
