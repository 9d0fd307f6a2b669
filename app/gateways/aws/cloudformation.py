"""CloudFormation: the stacks of one account and region.

Every change takes a client token. AWS keeps one for about an hour, and the same call with the same token is not done
twice; another call with it is `TokenReused`. Tokens and change set names: letters, digits, hyphens, at most 128.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from app.gateways.aws.clients import AwsAccount, AwsClients
from app.gateways.aws.errors import NotFound, TemplateTooLarge, translate
from app.gateways.aws.pages import pages
from app.gateways.aws.stack import (
    IN_PROGRESS,
    ChangeSet,
    Stack,
    StackEvent,
    StackResource,
    StackSummary,
    change_of,
    event_of,
    resource_of,
    stack_of,
)

if TYPE_CHECKING:
    from types_aiobotocore_cloudformation import CloudFormationClient

TEMPLATE_BODY_LIMIT = 51_200
"""Bytes of a template in the request (docs: cloudformation-limits.html); more would need a bucket."""

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM")
"""What templates with roles need; no template of ours has macros."""


class CloudFormation:
    """Calls to CloudFormation. Cheap to make: the connection is shared through `AwsClients`.

    All methods raise `AwsError` (see `errors.py`); what is said below comes on top.
    """

    def __init__(self, clients: AwsClients, account: AwsAccount, region: str) -> None:
        self._clients = clients
        self._account = account
        self._region = region

    async def describe(self, stack: str) -> Stack | None:
        """Return the stack, or None if there is none.

        Args:
            stack: Name or ARN. By name only what isn't deleted is found; by ARN a deleted stack answers
                `DELETE_COMPLETE` for 90 days.
        """
        client = await self._client()
        try:
            with translate("cloudformation:DescribeStacks"):
                answer = await client.describe_stacks(StackName=stack)
                return stack_of(answer["Stacks"][0]) if answer["Stacks"] else None
        except NotFound:
            return None

    async def create(
        self,
        name: str,
        body: str,
        token: str,
        *,
        capabilities: Sequence[str] = CAPABILITIES,
        tags: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        protect: bool = False,
        timeout_minutes: int | None = None,
    ) -> str:
        """Begin to create a stack and return its ARN; what a failed create made is rolled back by AWS.

        Args:
            name: Letters, digits, hyphens; begins with a letter; at most 128.
            body: Template, JSON or YAML.
            token: Client token of this create.
            capabilities: What the template is allowed to contain.
            tags: Up to 50, given to all resources that take tags.
            parameters: Template parameters.
            protect: Termination protection.
            timeout_minutes: After which AWS gives up and rolls back; None waits as long as the resources do.

        Raises:
            AlreadyExists: A stack of that name exists, in whatever state but DELETE_COMPLETE.
            TemplateTooLarge: The body is over 51,200 bytes.
        """
        _check_size(body, "cloudformation:CreateStack")
        extra: dict[str, Any] = {} if timeout_minutes is None else {"TimeoutInMinutes": timeout_minutes}
        client = await self._client()
        with translate("cloudformation:CreateStack"):
            answer = await client.create_stack(
                StackName=name,
                TemplateBody=body,
                ClientRequestToken=token,
                Capabilities=cast("Any", list(capabilities)),
                Tags=_tags(tags),
                Parameters=_parameters(parameters),
                OnFailure="ROLLBACK",
                EnableTerminationProtection=protect,
                **extra,
            )
            return answer["StackId"]

    async def create_change_set(
        self,
        stack: str,
        name: str,
        body: str,
        token: str,
        *,
        capabilities: Sequence[str] = CAPABILITIES,
        tags: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> str:
        """Ask what the template would change in an existing stack; return the ARN of the change set.

        It is ready when `describe_change_set` no longer says `is_pending`. `tags` replace the stack's tags.

        Raises:
            AlreadyExists: The stack has a change set of that name.
            NotFound: There is no such stack.
            Conflict: The stack is in a state that takes no update.
            TemplateTooLarge: The body is over 51,200 bytes.
        """
        _check_size(body, "cloudformation:CreateChangeSet")
        client = await self._client()
        with translate("cloudformation:CreateChangeSet"):
            answer = await client.create_change_set(
                StackName=stack,
                ChangeSetName=name,
                ChangeSetType="UPDATE",
                TemplateBody=body,
                ClientToken=token,
                Capabilities=cast("Any", list(capabilities)),
                Tags=_tags(tags),
                Parameters=_parameters(parameters),
            )
            return answer["Id"]

    async def describe_change_set(self, stack: str, name: str) -> ChangeSet | None:
        """Return the change set with all its changes, or None if there is none (or no such stack)."""
        client = await self._client()
        operation, changes = "cloudformation:DescribeChangeSet", []
        page: Any = {}
        try:
            async for page in pages(
                operation, client.describe_change_set, "NextToken", StackName=stack, ChangeSetName=name
            ):
                changes.extend(page.get("Changes", ()))
        except NotFound:
            return None
        with translate(operation):
            return ChangeSet(
                id=page["ChangeSetId"],
                name=page["ChangeSetName"],
                stack_id=page["StackId"],
                status=page["Status"],
                status_reason=page.get("StatusReason") or None,
                execution_status=page.get("ExecutionStatus", "UNAVAILABLE"),
                changes=tuple(change_of(change) for change in changes),
            )

    async def execute_change_set(self, stack: str, name: str, token: str) -> None:
        """Begin the update that the change set describes; its events carry `token`.

        Raises:
            Conflict: It isn't `AVAILABLE`, or the stack takes no update now.
            NotFound: There is no such change set; AWS removes a stack's change sets once one was executed.
        """
        client = await self._client()
        with translate("cloudformation:ExecuteChangeSet"):
            await client.execute_change_set(StackName=stack, ChangeSetName=name, ClientRequestToken=token)

    async def delete_change_set(self, stack: str, name: str) -> None:
        """Delete a change set; one that doesn't exist is fine."""
        client = await self._client()
        try:
            with translate("cloudformation:DeleteChangeSet"):
                await client.delete_change_set(StackName=stack, ChangeSetName=name)
        except NotFound:
            return

    async def delete(self, stack: str, token: str, *, retain: Sequence[str] = (), force: bool = False) -> None:
        """Begin to delete a stack; one that doesn't exist, or is being deleted, is fine.

        Args:
            stack: ARN, or name: of two stacks that had the name in turn, an ARN says which is meant.
            token: Client token of this delete.
            retain: Logical ids to leave behind; AWS takes them only in `DELETE_FAILED`.
            force: Leave behind whatever can't be deleted (FORCE_DELETE_STACK); only in `DELETE_FAILED`.

        Raises:
            Conflict: The stack has termination protection.
            InvalidRequest: `retain` or `force` in another state.
        """
        client = await self._client()
        extra: dict[str, Any] = {"DeletionMode": "FORCE_DELETE_STACK"} if force else {}
        if retain:
            extra["RetainResources"] = list(retain)
        with translate("cloudformation:DeleteStack"):
            await client.delete_stack(StackName=stack, ClientRequestToken=token, **extra)

    async def protect(self, stack: str, enabled: bool) -> None:
        """Switch termination protection."""
        client = await self._client()
        with translate("cloudformation:UpdateTerminationProtection"):
            await client.update_termination_protection(StackName=stack, EnableTerminationProtection=enabled)

    async def cancel_update(self, stack: str, token: str) -> None:
        """Stop an update and roll it back.

        Raises:
            Conflict: The stack isn't in `UPDATE_IN_PROGRESS`.
        """
        client = await self._client()
        with translate("cloudformation:CancelUpdateStack"):
            await client.cancel_update_stack(StackName=stack, ClientRequestToken=token)

    async def continue_update_rollback(self, stack: str, token: str, *, skip: Sequence[str] = ()) -> None:
        """Go on with a rollback that stopped in `UPDATE_ROLLBACK_FAILED`.

        Args:
            stack: ARN or name.
            token: Client token.
            skip: Logical ids that AWS shall mark as rolled back without touching them. Only what failed is taken.
        """
        client = await self._client()
        extra: dict[str, Any] = {"ResourcesToSkip": list(skip)} if skip else {}
        with translate("cloudformation:ContinueUpdateRollback"):
            await client.continue_update_rollback(StackName=stack, ClientRequestToken=token, **extra)

    async def in_progress(self) -> dict[str, str]:
        """Return ARN → status of every stack that CloudFormation is at work on, all pages: the poller's question.

        A stack that isn't listed has settled, or hasn't begun: ask for it by its ARN.
        """
        return {stack.id: stack.status for stack in await self.summaries(sorted(IN_PROGRESS))}

    async def summaries(self, states: Sequence[str]) -> list[StackSummary]:
        """Return the stacks in the given states, all pages, newest first."""
        client = await self._client()
        pages = client.get_paginator("list_stacks").paginate(StackStatusFilter=cast("Any", list(states)))
        found: list[StackSummary] = []
        with translate("cloudformation:ListStacks"):
            async for page in pages:
                for data in page["StackSummaries"]:
                    reason = data.get("StackStatusReason") or None
                    created = data["CreationTime"]
                    found.append(
                        StackSummary(data.get("StackId", ""), data["StackName"], data["StackStatus"], reason, created)
                    )
        return found

    async def events(self, stack: str, *, until_event_id: str | None = None) -> list[StackEvent]:
        """Return the stack's events, oldest first.

        AWS sends them newest first, about 100 a page, so reading stops at the first page that holds what is known.

        Args:
            stack: ARN, which also finds a deleted stack, or name.
            until_event_id: The newest event that the caller knows; it and older ones are left out. None: all.

        Raises:
            NotFound: There is no such stack.
        """
        found: list[StackEvent] = []
        async for event in self._newest_first(stack):
            if event.id == until_event_id:
                break
            found.append(event)
        found.reverse()
        return found

    async def resources(self, stack: str) -> list[StackResource]:
        """Return the stack's resources, all pages.

        Raises:
            NotFound: There is no such stack.
        """
        client = await self._client()
        found: list[StackResource] = []
        with translate("cloudformation:ListStackResources"):
            async for page in client.get_paginator("list_stack_resources").paginate(StackName=stack):
                found.extend(resource_of(data) for data in page["StackResourceSummaries"])
        return found

    async def _client(self) -> "CloudFormationClient":
        return await self._clients.client(self._account, self._region, "cloudformation")

    async def _newest_first(self, stack: str) -> AsyncIterator[StackEvent]:
        client = await self._client()
        operation = "cloudformation:DescribeStackEvents"
        async for page in pages(operation, client.describe_stack_events, "NextToken", StackName=stack):
            with translate(operation):
                events = [event_of(data) for data in page["StackEvents"]]
            for event in events:
                yield event


def _check_size(body: str, operation: str) -> None:
    size = len(body.encode())
    if size > TEMPLATE_BODY_LIMIT:
        raise TemplateTooLarge(
            f"The template has {size:,} bytes; CloudFormation takes {TEMPLATE_BODY_LIMIT:,} in a request",
            code="TemplateTooLarge",
            operation=operation,
        )


def _tags(tags: Mapping[str, str] | None) -> Any:
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]


def _parameters(parameters: Mapping[str, str] | None) -> Any:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in (parameters or {}).items()]
