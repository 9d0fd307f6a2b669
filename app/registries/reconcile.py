"""How operations on registries are carried out: each registry is a stack of its own."""

from typing import ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.cloudformation.driver import StackDriver
from app.core.failure import Cause, Failure
from app.db.base import APPLIED
from app.db.session import Database
from app.engine.contract import Cancelled, Context, Done, Ending, Fail, Outcome, Reconciler, Wait
from app.engine.models import Operation
from app.gateways.aws.cloud import Cloud, Clouds
from app.gateways.aws.stack import IN_PROGRESS, STABLE
from app.operations.transitions import settle
from app.registries import repository
from app.registries.models import Registry
from app.registries.render import registry_stack
from app.registries.schemas import RegistrySpec
from app.stacks.registry import registry_stack_name

BATCHES = 5
"""Batches of images that one call deletes, where CloudFormation cannot."""


_HALF_DELETED = Failure(
    "delete_unfinished",
    "An earlier delete of the registry failed half-way; its stack takes no update any more.",
    hint="Send the delete again, with ?force=true if the images may go, and create the registry anew.",
)


class RegistryReconciler(Reconciler):
    """What all operations of registries share."""

    phases: ClassVar[tuple[str, ...]] = ("begin",)

    def __init__(self, database: Database, clouds: Clouds) -> None:
        self._database = database
        self._clouds = clouds

    async def settle(self, session: AsyncSession, operation: Operation, ending: Ending) -> None:
        """Write phase, conditions and outputs into the registry's row."""
        registry = await repository.by_id(session, operation.resource_id)
        usable = operation.input.get("usable", False)
        if operation.kind == "registry.delete":
            usable = usable and "stack" not in operation.data
        settle(registry, operation, ending, usable=usable)

    async def _load(self, context: Context) -> tuple[Registry, Cloud]:
        async with self._database.read() as session:
            registry = await repository.by_id(session, context.operation.resource_id)
        return registry, await self._clouds.of(registry.account_id, registry.region)


class EnsureRegistry(RegistryReconciler):
    """Create and update: the stack is brought to the spec, whatever state it is in."""

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing."""
        registry, cloud = await self._load(context)
        context.step(context.operation.steps[0]["name"])
        driver = StackDriver(context, cloud.cloudformation)
        if context.operation.cancel_requested:
            return await self._cancel(context, registry, driver)
        if (
            registry.observed_generation
            and not context.data.get("stack")
            and (await self._is_half_deleted(registry, cloud))
        ):
            return Fail(_HALF_DELETED)
        template = registry_stack(registry.id, RegistrySpec.model_validate(registry.spec))
        result = await driver.ensure(template)
        if isinstance(result, Wait | Fail):
            return result
        context.data["outputs"] = {
            "arn": result.outputs.get("Arn"),
            "repository_uri": result.outputs.get("RepositoryUri"),
        }
        context.data["facts"] = {"stack_id": result.id, APPLIED: registry.spec}
        return Done()

    async def _is_half_deleted(self, registry: Registry, cloud: Cloud) -> bool:
        """Tell whether a delete failed: such a stack takes no update, and a new one would want the same name."""
        stack = await cloud.cloudformation.describe(registry_stack_name(registry.id, registry.name))
        return stack is not None and stack.status == "DELETE_FAILED"

    async def _cancel(self, context: Context, registry: Registry, driver: StackDriver) -> Outcome:
        if context.operation.superseded:
            return Cancelled()
        name = registry_stack_name(registry.id, registry.name)
        if registry.observed_generation:
            taken_back = await driver.cancel_update(name)
            if taken_back is not None or not context.data.get("stack"):
                return taken_back or Cancelled()
            return Done()  # the update was complete before it could be taken back
        gone = await driver.remove(name, force=True)
        return Cancelled() if gone is None else gone


class DeleteRegistry(RegistryReconciler):
    """The stack is taken away: with the images if that was asked for, else only if there are none."""

    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing."""
        registry, cloud = await self._load(context)
        prepared = context.data.get("prepared", False)
        if not prepared:
            step = context.operation.steps[0]["name"]
            context.step(step)
            if context.operation.input.get("force"):
                unprepared = await self._empty(context, registry, cloud)
            else:
                unprepared = await self._refuse_images(registry, cloud)
            if unprepared is not None:
                return unprepared
            context.data["prepared"] = True
        context.step("delete_stack")
        driver = StackDriver(context, cloud.cloudformation)
        gone = await driver.remove(registry_stack_name(registry.id, registry.name))
        return Done() if gone is None else gone

    async def _refuse_images(self, registry: Registry, cloud: Cloud) -> Fail | None:
        """Fail before anything is touched if images came since the request: a stack that failed takes no update."""
        count = await cloud.ecr.count_images(registry.name)
        if not count:
            return None
        message = f"The registry holds {count} {'image' if count == 1 else 'images'}; nothing was deleted."
        return Fail(
            Failure(
                "registry_not_empty",
                message,
                hint="Delete the images first, or send the delete again with ?force=true, which deletes them too.",
                cause=Cause(registry.name, "AWS::ECR::Repository", message, aws_code="RepositoryNotEmptyException"),
            )
        )

    async def _empty(self, context: Context, registry: Registry, cloud: Cloud) -> Outcome | None:
        """Have CloudFormation empty the repository with the delete; where the stack takes no update, empty it here."""
        if await cloud.ecr.repository(registry.name) is None:
            return None  # deleted by somebody else, or never made
        stack = await cloud.cloudformation.describe(registry_stack_name(registry.id, registry.name))
        if stack is None:
            return None  # the repository is not ours (any more)
        if stack.status not in STABLE | IN_PROGRESS:
            return await self._delete_images(registry, cloud)
        spec = RegistrySpec.model_validate(registry.applied_spec)
        driver = StackDriver(context, cloud.cloudformation, key="emptying")
        result = await driver.ensure(registry_stack(registry.id, spec, empty_on_delete=True))
        if isinstance(result, Fail):
            context.warn(
                f"The images are deleted one by one, since the stack takes no update: {result.failure.message}"
            )
            return await self._delete_images(registry, cloud)
        return result if isinstance(result, Wait) else None

    async def _delete_images(self, registry: Registry, cloud: Cloud) -> Wait | Fail | None:
        for _ in range(BATCHES):
            results = await cloud.ecr.delete_some_images(registry.name)
            if not results:
                return None
            if all(result.code for result in results):
                message = f"ECR did not delete {len(results)} images: {results[0].digest}: {results[0].reason}"
                cause = Cause(registry.name, "AWS::ECR::Repository", message, aws_code=results[0].code)
                return Fail(Failure("images_not_deleted", message, cause=cause))
        return Wait(0.1)
