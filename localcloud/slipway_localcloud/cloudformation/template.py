"""From a request's template, parameters and tags to what a stack is made from.

The template language is ministack's; what is added is the check for references to nothing, which AWS
makes before a stack exists.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from ministack.services.cloudformation import engine

from ..resources import TAGGED, known_types
from .model import Blueprint, Resource, Stack
from .wire import ApiError, Params, invalid

_MAX_BODY = 51200
_NAMED_IAM = {
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::Group": "GroupName",
}
IAM_TYPES = {*_NAMED_IAM, "AWS::IAM::Policy", "AWS::IAM::AccessKey", "AWS::IAM::UserToGroupAddition"}


def blueprint_of(params: Params, previous: Blueprint | None = None) -> Blueprint:
    """Reads and checks the template, parameters, tags and capabilities of a request. Raises ApiError."""
    body = _body(params, previous)
    try:
        document = engine._parse_template(body)
    except Exception as error:
        raise invalid(f"Template format error: {error}") from error
    if not isinstance(document, dict) or not document.get("Resources"):
        raise invalid("Template format error: At least one Resources member must be defined.")
    provided = [
        {
            "Key": item.get("ParameterKey", ""),
            "Value": item.get("ParameterValue", ""),
            "UsePreviousValue": item.get("UsePreviousValue", "").lower() == "true",
        }
        for item in params.objects("Parameters")
    ]
    try:
        parameters = engine._resolve_parameters(document, provided, previous.parameters if previous else None)
        conditions = engine._evaluate_conditions(document, parameters)
        known_types()
        engine.validate_template_support(document, conditions, params=parameters)
    except ValueError as error:
        raise invalid(str(error)) from error
    tags = _tags(params, previous)
    blueprint = Blueprint(body, document, parameters, conditions, tags, params.strings("Capabilities"))
    _check_references(document)
    _check_capabilities(document, blueprint.capabilities)
    return blueprint


def _body(params: Params, previous: Blueprint | None) -> str:
    if params.flag("UsePreviousTemplate"):
        if previous is None:
            raise invalid("UsePreviousTemplate can only be specified when updating a stack.")
        return previous.body
    body = params.get("TemplateBody")
    if params.get("TemplateURL"):
        raise invalid("The local cloud reads TemplateBody only, not TemplateURL.")
    if not body:
        raise invalid("Either Template URL or Template Body must be specified.")
    if len(body.encode()) > _MAX_BODY:
        raise invalid(
            "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have "
            f"length less than or equal to {_MAX_BODY}"
        )
    return body


def _tags(params: Params, previous: Blueprint | None) -> dict[str, str]:
    if "Tags" not in params and "Tags.member.1.Key" not in params:
        return dict(previous.tags) if previous else {}
    tags = {item.get("Key", ""): item.get("Value", "") for item in params.objects("Tags")}
    if len(tags) > 50:
        raise invalid("A maximum number of 50 tags can be specified")
    for key in tags:
        if key.lower().startswith("aws:"):
            raise invalid(f"Tag key '{key}' is reserved: keys with the prefix aws: can not be used")
    return tags


def _check_references(document: dict[str, Any]) -> None:
    resources = document["Resources"]
    names = {*resources, *(document.get("Parameters") or {})}
    for section, scope in (("Resources", resources), ("Outputs", document.get("Outputs") or {})):
        missing = {
            name
            for item in scope.values()
            for name, _ in engine._intrinsic_references(item)
            if name not in names and not name.startswith("AWS::")
        }
        missing |= {name for item in scope.values() for name in depends_on(item) if name not in resources}
        if missing:
            raise invalid(
                f"Template format error: Unresolved resource dependencies [{', '.join(sorted(missing))}] "
                f"in the {section} block of the template"
            )


def _check_capabilities(document: dict[str, Any], given: list[str]) -> None:
    needed = set()
    for resource in document["Resources"].values():
        if resource.get("Type") in IAM_TYPES:
            named = (resource.get("Properties") or {}).get(_NAMED_IAM.get(resource["Type"], ""))
            needed.add("CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM")
    if "CAPABILITY_NAMED_IAM" in given or ("CAPABILITY_IAM" in given and "CAPABILITY_NAMED_IAM" not in needed):
        return
    if needed:
        worst = "CAPABILITY_NAMED_IAM" if "CAPABILITY_NAMED_IAM" in needed else "CAPABILITY_IAM"
        raise ApiError("InsufficientCapabilitiesException", f"Requires capabilities : [{worst}]")


def depends_on(definition: dict[str, Any]) -> list[str]:
    """The DependsOn of a resource, as a list."""
    value = definition.get("DependsOn") or []
    return [value] if isinstance(value, str) else list(value)


def dependencies(blueprint: Blueprint) -> dict[str, set[str]]:
    """What each active resource must wait for. Raises ValueError if there is a circle."""
    active = blueprint.active()
    engine._topological_sort(blueprint.document["Resources"], blueprint.conditions)
    return {key: engine._extract_deps(blueprint.definition(key), set(active)) - {key} for key in active}


def _view(resources: dict[str, Resource]) -> dict[str, dict[str, Any]]:
    return {
        key: {"PhysicalResourceId": r.physical_id, "Attributes": r.attributes, "ResourceType": r.type}
        for key, r in resources.items()
        if r.physical_id
    }


def resolve(value: Any, stack: Stack, blueprint: Blueprint) -> Any:
    """A value of the template with its functions worked out. Raises ValueError for an attribute that is not there."""
    resolved = engine._resolve_refs(
        copy.deepcopy(value),
        _view(stack.resources),
        blueprint.parameters,
        blueprint.conditions,
        blueprint.document.get("Mappings") or {},
        stack.name,
        stack.id,
    )
    return None if resolved is engine._NO_VALUE else _without_nothing(resolved)


def _without_nothing(value: Any) -> Any:
    """AWS::NoValue takes the property away at any depth."""
    if isinstance(value, dict):
        return {k: _without_nothing(v) for k, v in value.items() if v is not engine._NO_VALUE}
    if isinstance(value, list):
        return [_without_nothing(v) for v in value if v is not engine._NO_VALUE]
    return value


def properties(stack: Stack, blueprint: Blueprint, logical_id: str) -> dict[str, Any]:
    """The properties of a resource, resolved against what the stack has so far."""
    resolved = resolve(blueprint.definition(logical_id).get("Properties") or {}, stack, blueprint)
    if "{{resolve:" in json.dumps(resolved, default=str):
        resolved, _ = engine._resolve_dynamic_references(resolved, None)
    return dict(resolved)


def with_stack_tags(stack: Stack, blueprint: Blueprint, resource: Resource) -> dict[str, Any]:
    """The properties a resource is made with: CloudFormation adds the stack's tags and three of its own."""
    shape = TAGGED.get(resource.type)
    if shape is None:
        return resource.properties
    extra = {
        **blueprint.tags,
        "aws:cloudformation:stack-name": stack.name,
        "aws:cloudformation:stack-id": stack.id,
        "aws:cloudformation:logical-id": resource.logical_id,
    }
    own = resource.properties.get("Tags")
    if isinstance(own, list):
        own = {item["Key"]: item.get("Value", "") for item in own}
    merged = {**extra, **(own or {})}
    tags: Any = merged if shape == "map" else [{"Key": k, "Value": v} for k, v in merged.items()]
    return {**resource.properties, "Tags": tags}


def outputs(stack: Stack, blueprint: Blueprint) -> list[dict[str, str]]:
    """The stack's outputs. Raises ValueError for one that can't be worked out."""
    found = []
    for key, output in (blueprint.document.get("Outputs") or {}).items():
        if output.get("Condition") and not blueprint.conditions.get(output["Condition"], True):
            continue
        value = resolve(output.get("Value", ""), stack, blueprint)
        if not isinstance(value, str | int | float):
            raise ValueError(
                "Template format error: The Value field of every Outputs member must evaluate to a String."
            )
        item = {"OutputKey": key, "OutputValue": str(value), "Description": output.get("Description", "")}
        if output.get("Export"):
            item["ExportName"] = str(resolve(output["Export"].get("Name", ""), stack, blueprint))
        found.append(item)
    return found
