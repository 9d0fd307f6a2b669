"""What every stack has: its rendered form, its tags, and the checks that hold for all of them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from troposphere import AWSHelperFn, Join, Output, Sub, Tags, Template

from app.core.errors import FieldError, InvalidError

MAX_BODY_BYTES = 51_200
"""CloudFormation's limit of `TemplateBody` (CreateStack, CreateChangeSet); more would need an S3 bucket."""

CAPABILITY_IAM = "CAPABILITY_IAM"

Value: TypeAlias = str | AWSHelperFn
"""A literal, or something CloudFormation fills in (`Ref`, `Fn::GetAtt`, `Fn::Sub`, …)."""

TAG_ID = "slipway:id"
TAG_CLUSTER = "slipway:cluster"

REPLACEABLE_TYPES = frozenset({"AWS::EC2::KeyPair", "AWS::EKS::AccessEntry", "AWS::EC2::SecurityGroupIngress"})
"""Types that a change set may replace with nobody having asked for it: a key pair is replaced when its public key
changes (under another name), an access entry when Slipway's own role does, a rule has no state. Anything else that a
change set would replace is a mistake or an outage, and the change set has to be refused."""

_DYNAMIC_REFERENCE = "{{resolve:"


@dataclass(frozen=True, slots=True)
class StackTemplate:
    """All that CreateStack and CreateChangeSet need of us.

    Attributes:
        name: The stack's name.
        body: The template as JSON, at most 51,200 bytes in UTF-8; byte-identical for equal inputs.
        capabilities: `CAPABILITY_IAM`, if the stack makes roles. No role has a fixed name, so never NAMED_IAM.
        tags: The stack's own tags. CloudFormation hands them on to every resource that can be tagged.
    """

    name: str
    body: str
    capabilities: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


class TemplateTooLargeError(InvalidError):
    """The template is over CloudFormation's limit: in practice, too many long tags."""

    code = "template_too_large"
    title = "The template is larger than CloudFormation accepts"


class DynamicReferenceError(InvalidError):
    """A value holds `{{resolve:…}}`.

    CloudFormation would replace it by a secret or parameter of the account, read with Slipway's rights, and show it
    to whoever may read the resource.
    """

    code = "dynamic_reference"
    title = "Dynamic references are not allowed"


def dynamic_references(document: Any, pointer: str = "") -> Iterator[str]:
    """Yield the JSON pointer of every string (key or value) in `document` that holds a dynamic reference."""
    if isinstance(document, str):
        if _DYNAMIC_REFERENCE in document:
            yield pointer
    elif isinstance(document, Mapping):
        for key, value in document.items():
            inner = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if _DYNAMIC_REFERENCE in str(key):
                yield inner
            yield from dynamic_references(value, inner)
    elif isinstance(document, list | tuple):
        for index, value in enumerate(document):
            yield from dynamic_references(value, f"{pointer}/{index}")


def refuse_dynamic_references(document: Any, pointer: str = "") -> None:
    """Refuse a caller's document that holds a dynamic reference.

    Raises:
        DynamicReferenceError: It does; each place has its JSON pointer, after `pointer`.
    """
    places = list(dynamic_references(document, pointer))
    if places:
        errors = [FieldError(place, "dynamic references are not allowed") for place in places]
        raise DynamicReferenceError("A value holds a CloudFormation dynamic reference.", errors)


def render(template: Template) -> str:
    """Return the template's JSON: sorted keys, no white space, so that equal templates are equal bytes.

    Raises:
        DynamicReferenceError: A value holds `{{resolve:…}}`; the pointers are those of the template.
        TemplateTooLargeError: The body is over 51,200 bytes.
    """
    document = template.to_dict()
    refuse_dynamic_references(document)
    body = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    size = len(body.encode())
    if size > MAX_BODY_BYTES:
        raise TemplateTooLargeError(
            f"the template has {size} bytes, and CloudFormation accepts {MAX_BODY_BYTES}", size=size
        )
    return body


def new_template(description: str) -> Template:
    """Return an empty template with a fixed description (it must not change with the input's order or time)."""
    template = Template(Description=description)
    template.set_version("2010-09-09")
    return template


def stack_tags(resource_id: str, cluster: str | None, tags: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's tags and Slipway's own, which win: they are how leftovers are found again."""
    own = {TAG_ID: resource_id, **({TAG_CLUSTER: cluster} if cluster else {})}
    return dict(sorted({**tags, **own}.items()))


def tag_list(tags: Mapping[str, str]) -> Tags:
    """Return tags in CloudFormation's list form, sorted by key."""
    return Tags(dict(sorted(tags.items())))


def managed_policy(path: str) -> Sub:
    """Return the ARN of an AWS managed policy in the stack's partition (`aws`, `aws-cn`, `aws-us-gov`)."""
    return Sub(f"arn:${{AWS::Partition}}:iam::aws:policy/{path}")


def trust(principal: Value, *actions: str) -> dict[str, Any]:
    """Return the trust policy that lets one service assume a role."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": [principal]},
        "Action": list(actions or ("sts:AssumeRole",)),
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def comma_list(values: tuple[Value, ...]) -> Value:
    """Return one string of all values with commas between them, as outputs carry lists."""
    if all(isinstance(value, str) for value in values):
        return ",".join(str(value) for value in values)
    joined: Value = Join(",", list(values))
    return joined


def add_outputs(template: Template, values: Mapping[str, Value]) -> None:
    """Add one output for each value; an empty string is left out, because CloudFormation refuses empty outputs."""
    for name, value in values.items():
        if value != "":
            template.add_output(Output(name, Value=value))
