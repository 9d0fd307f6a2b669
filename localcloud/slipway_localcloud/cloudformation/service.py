"""CloudFormation's front door: from a signed form request to one of the operations."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from . import changesets_api, read_api, stacks_api
from .wire import ApiError, Params, Response, answer, refusal

LOG = logging.getLogger("slipway.localcloud")

_OPERATIONS: dict[str, Callable[[Params], Awaitable[dict[str, Any] | None]]] = {
    "CreateStack": stacks_api.create_stack,
    "UpdateStack": stacks_api.update_stack,
    "DeleteStack": stacks_api.delete_stack,
    "CancelUpdateStack": stacks_api.cancel_update,
    "ContinueUpdateRollback": stacks_api.continue_rollback,
    "RollbackStack": stacks_api.rollback_stack,
    "UpdateTerminationProtection": stacks_api.termination_protection,
    "DescribeStacks": read_api.describe_stacks,
    "ListStacks": read_api.list_stacks,
    "DescribeStackEvents": read_api.describe_events,
    "DescribeStackResources": read_api.describe_resources,
    "DescribeStackResource": read_api.describe_resource,
    "ListStackResources": read_api.list_resources,
    "GetTemplate": read_api.get_template,
    "GetTemplateSummary": read_api.get_template_summary,
    "ValidateTemplate": read_api.validate_template,
    "ListExports": read_api.list_exports,
    "CreateChangeSet": changesets_api.create_change_set,
    "DescribeChangeSet": changesets_api.describe_change_set,
    "ExecuteChangeSet": changesets_api.execute_change_set,
    "DeleteChangeSet": changesets_api.delete_change_set,
    "ListChangeSets": changesets_api.list_change_sets,
}


async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]) -> Response:
    """Answers a CloudFormation request, in the form that ministack hands requests on."""
    fields = {**query, **parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)}
    action = (fields.get("Action") or [""])[0]
    operation = _OPERATIONS.get(action)
    if operation is None:
        return refusal(ApiError("InvalidAction", f"Could not find operation {action} for version 2010-05-15"))
    try:
        return answer(action, await operation(Params(fields)))
    except ApiError as error:
        return refusal(error)
    except Exception as error:
        LOG.exception("%s broke off", action)
        return refusal(ApiError("InternalFailure", str(error), 500))
