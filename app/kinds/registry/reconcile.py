"""What is special about the stack of a registry: what is in the repository is not lost unless that is asked for."""

from app.cloudformation.driver import StackDriver
from app.core.failure import Cause, Failure
from app.engine.contract import Done, Fail, Outcome, Wait
from app.gateways.aws.stack import IN_PROGRESS, STABLE
from app.kinds.reconcile import KindReconciler, Work
from app.kinds.registry.spec import RegistrySpec
from app.kinds.registry.template import emptying_template

BATCHES = 5
"""Batches of images that one call deletes, where CloudFormation cannot."""


_HALF_DELETED = Failure(
    "delete_unfinished",
    "An earlier delete of the registry failed half-way; its stack takes no update any more.",
    hint="Send the delete again, with ?force=true if the images may go, and create the registry anew.",
)


class RegistryReconciler(KindReconciler):
    """A registry's stack is neither made anew when it was half deleted, nor deleted by force."""

    async def ensure(self, work: Work) -> Outcome:
        """Bring the stack to the spec, unless an earlier delete failed: a new stack would want the same name."""
        touched = bool(work.context.data.get("stack"))
        if work.row.observed_generation and not touched and await self._is_half_deleted(work):
            return Fail(_HALF_DELETED)
        return await super().ensure(work)

    async def delete(self, work: Work) -> Outcome:
        """Take the stack away: with the images if that was asked for, else only if there are none."""
        context = work.context
        if not context.data.get("prepared"):
            context.step(context.operation.steps[0]["name"])
            force = context.operation.input.get("force")
            unprepared = await self._empty(work) if force else await self._refuse_images(work)
            if unprepared is not None:
                return unprepared
            context.data["prepared"] = True
        context.step("delete_stack")
        gone = await work.driver.remove(self.stack_name(work))
        return Done() if gone is None else gone

    async def _is_half_deleted(self, work: Work) -> bool:
        stack = await work.cloud.cloudformation.describe(self.stack_name(work))
        return stack is not None and stack.status == "DELETE_FAILED"

    async def _refuse_images(self, work: Work) -> Fail | None:
        """Fail before anything is touched if images came since the request: a stack that failed takes no update."""
        name = work.row.name
        count = await work.cloud.ecr.count_images(name)
        if not count:
            return None
        message = f"The registry holds {count} {'image' if count == 1 else 'images'}; nothing was deleted."
        return Fail(
            Failure(
                "registry_not_empty",
                message,
                hint="Delete the images first, or send the delete again with ?force=true, which deletes them too.",
                cause=Cause(name, "AWS::ECR::Repository", message, aws_code="RepositoryNotEmptyException"),
            )
        )

    async def _empty(self, work: Work) -> Outcome | None:
        """Have CloudFormation empty the repository with the delete; where the stack takes no update, empty it here."""
        cloud, row = work.cloud, work.row
        if await cloud.ecr.repository(row.name) is None:
            return None  # deleted by somebody else, or never made
        stack = await cloud.cloudformation.describe(self.stack_name(work))
        if stack is None:
            return None  # the repository is not ours (any more)
        if stack.status not in STABLE | IN_PROGRESS:
            return await self._delete_images(work)
        spec = RegistrySpec.model_validate(row.applied_spec)
        driver = StackDriver(work.context, cloud.cloudformation, key="emptying")
        result = await driver.ensure(emptying_template(row.id, spec, work.owner))
        if isinstance(result, Fail):
            work.context.warn(
                f"The images are deleted one by one, since the stack takes no update: {result.failure.message}"
            )
            return await self._delete_images(work)
        return result if isinstance(result, Wait) else None

    async def _delete_images(self, work: Work) -> Wait | Fail | None:
        name = work.row.name
        for _ in range(BATCHES):
            results = await work.cloud.ecr.delete_some_images(name)
            if not results:
                return None
            if all(result.code for result in results):
                message = f"ECR did not delete {len(results)} images: {results[0].digest}: {results[0].reason}"
                cause = Cause(name, "AWS::ECR::Repository", message, aws_code=results[0].code)
                return Fail(Failure("images_not_deleted", message, cause=cause))
        return Wait(0.1)
