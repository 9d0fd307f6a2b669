"""The CloudFormation calls that only read."""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation.engine import _parse_template

from .model import STORE, Resource, Stack
from .stacks_api import find
from .template import IAM_TYPES
from .wire import ApiError, Params, invalid, page


def _not_there(name: str) -> ApiError:
    return invalid(f"Stack with id {name} does not exist")


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def parameters_of(stack: Stack) -> list[dict[str, str]]:
    """A stack's parameters; the values of NoEcho ones stay hidden."""
    return [
        {"ParameterKey": key, "ParameterValue": "****" if item.get("NoEcho") else str(item["Value"])}
        for key, item in stack.blueprint.parameters.items()
    ]


def _stack(stack: Stack) -> dict[str, Any]:
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "ChangeSetId": stack.change_set_id,
        "Description": stack.blueprint.document.get("Description", ""),
        "Parameters": parameters_of(stack),
        "CreationTime": stack.created_at,
        "DeletionTime": stack.deleted_at,
        "LastUpdatedTime": stack.updated_at,
        "RollbackConfiguration": {"RollbackTriggers": []},
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "DisableRollback": stack.on_failure == "DO_NOTHING",
        "NotificationARNs": stack.notification_arns,
        "TimeoutInMinutes": stack.timeout_minutes,
        "Capabilities": stack.blueprint.capabilities,
        "Outputs": stack.outputs,
        "RoleARN": stack.role_arn,
        "Tags": _tags(stack.blueprint.tags),
        "EnableTerminationProtection": stack.termination_protection,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }


async def describe_stacks(params: Params) -> dict[str, Any]:
    """DescribeStacks: by name only what is not deleted, by id everything."""
    name = params.get("StackName")
    if name:
        stack = STORE.find(name)
        if stack is None:
            raise _not_there(name)
        return {"Stacks": [_stack(stack)]}
    shown, token = page([s for s in STORE.here() if s.status != "DELETE_COMPLETE"], params)
    return {"Stacks": [_stack(stack) for stack in shown], "NextToken": token}


async def list_stacks(params: Params) -> dict[str, Any]:
    """ListStacks: deleted ones too, in pages of a hundred."""
    wanted = set(params.strings("StackStatusFilter"))
    shown, token = page([s for s in STORE.here() if not wanted or s.status in wanted], params)
    summaries = [
        {
            "StackId": s.id,
            "StackName": s.name,
            "TemplateDescription": s.blueprint.document.get("Description", ""),
            "CreationTime": s.created_at,
            "LastUpdatedTime": s.updated_at,
            "DeletionTime": s.deleted_at,
            "StackStatus": s.status,
            "StackStatusReason": s.reason,
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }
        for s in shown
    ]
    return {"StackSummaries": summaries, "NextToken": token}


async def describe_events(params: Params) -> dict[str, Any]:
    """DescribeStackEvents, newest first."""
    import json

    name = params.need("StackName")
    stack = STORE.find(name)
    if stack is None:
        raise invalid(f"Stack [{name}] does not exist")
    shown, token = page(list(reversed(stack.events)), params)
    events = []
    for event in shown:
        properties = event["ResourceProperties"]
        text = json.dumps(properties, default=str) if properties is not None else None
        events.append({**event, "ResourceProperties": text})
    return {"StackEvents": events, "NextToken": token}


def _resource(stack: Stack, resource: Resource) -> dict[str, Any]:
    return {
        "StackName": stack.name,
        "StackId": stack.id,
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": resource.physical_id,
        "ResourceType": resource.type,
        "Timestamp": resource.updated_at,
        "ResourceStatus": resource.status,
        "ResourceStatusReason": resource.reason,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }


async def describe_resources(params: Params) -> dict[str, Any]:
    """DescribeStackResources, of a stack or of what has a physical id."""
    logical, physical = params.get("LogicalResourceId"), params.get("PhysicalResourceId")
    if not params.get("StackName") and physical:
        owners = [s for s in STORE.here() for r in s.resources.values() if r.physical_id == physical]
        if not owners:
            raise invalid(f"Stack for {physical} does not exist")
        stack = owners[0]
    else:
        name = params.need("StackName")
        found = STORE.find(name)
        if found is None:
            raise _not_there(name)
        stack = found
    shown = [r for r in stack.resources.values() if logical in ("", r.logical_id)][:100]
    return {"StackResources": [_resource(stack, resource) for resource in shown]}


async def describe_resource(params: Params) -> dict[str, Any]:
    """DescribeStackResource."""
    stack, logical = find(params), params.need("LogicalResourceId")
    if logical not in stack.resources:
        raise invalid(f"Resource {logical} does not exist for stack {stack.name}")
    detail = _resource(stack, stack.resources[logical])
    detail["LastUpdatedTimestamp"] = detail.pop("Timestamp")
    return {"StackResourceDetail": detail}


async def list_resources(params: Params) -> dict[str, Any]:
    """ListStackResources."""
    name = params.need("StackName")
    stack = STORE.find(name)
    if stack is None:
        raise _not_there(name)
    shown, token = page(list(stack.resources.values()), params)
    summaries = []
    for resource in shown:
        item = _resource(stack, resource)
        item["LastUpdatedTimestamp"] = item.pop("Timestamp")
        summaries.append({k: v for k, v in item.items() if k not in ("StackName", "StackId")})
    return {"StackResourceSummaries": summaries, "NextToken": token}


async def get_template(params: Params) -> dict[str, Any]:
    """GetTemplate, of a stack or a change set, as it was sent."""
    from .changesets_api import find_set

    if params.get("ChangeSetName"):
        body = find_set(params).blueprint.body
    else:
        name = params.need("StackName")
        stack = STORE.find(name)
        if stack is None:
            raise _not_there(name)
        body = stack.blueprint.body
    return {"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}


async def validate_template(params: Params) -> dict[str, Any]:
    """ValidateTemplate."""
    return _summary(params)


async def get_template_summary(params: Params) -> dict[str, Any]:
    """GetTemplateSummary, of a template or a stack."""
    return _summary(params)


def _summary(params: Params) -> dict[str, Any]:
    if params.get("StackName"):
        document = find(params).blueprint.document
    else:
        try:
            document = _parse_template(params.get("TemplateBody"))
        except Exception as error:
            raise invalid(f"Template format error: {error}") from error
        if not isinstance(document, dict) or not document.get("Resources"):
            raise invalid("Template format error: At least one Resources member must be defined.")
    types = {resource.get("Type", "") for resource in document["Resources"].values()}
    iam = sorted(types & IAM_TYPES)
    return {
        "Description": document.get("Description", ""),
        "Parameters": [
            {"ParameterKey": key, "DefaultValue": item.get("Default"), "NoEcho": bool(item.get("NoEcho"))}
            for key, item in (document.get("Parameters") or {}).items()
        ],
        "Capabilities": ["CAPABILITY_NAMED_IAM"] if iam else [],
        "CapabilitiesReason": f"The following resource(s) require capabilities: [{', '.join(iam)}]" if iam else "",
        "ResourceTypes": sorted(types),
    }


async def list_exports(params: Params) -> dict[str, Any]:
    """ListExports."""
    found = [
        {"ExportingStackId": s.id, "Name": output["ExportName"], "Value": output["OutputValue"]}
        for s in STORE.here()
        if s.status != "DELETE_COMPLETE"
        for output in s.outputs
        if "ExportName" in output
    ]
    shown, token = page(found, params)
    return {"Exports": shown, "NextToken": token}
