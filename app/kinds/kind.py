"""What Slipway has to know of one kind of resource: data and a few functions. The rest of the package works with it."""

import builtins
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, Field
from troposphere import Template

from app.core.errors import FieldError
from app.core.fields import Spec, Tags
from app.core.validation import differences
from app.db.base import ResourceColumns
from app.gateways.aws.cloud import Cloud
from app.kinds.rows import Resource
from app.kinds.scope import CLUSTER, Owner, Scope
from app.stacks.naming import stack_name
from app.stacks.template import StackTemplate, render, stack_tags

if TYPE_CHECKING:
    from app.kinds.reconcile import KindReconciler

Facts = Mapping[str, Any]
Options = Mapping[str, bool]


class OwnedSpec(Spec):
    """What the spec of everything that belongs to a cluster has."""

    cluster: str = Field(max_length=100, description="Id or name of the cluster.")
    tags: Tags = {}


S = TypeVar("S", bound=Spec)
_PLACEHOLDER = "0" * 26


class Stage(IntEnum):
    """When the delete of a cluster takes something away: the lowest first, each after all before it has succeeded."""

    NODES = 1
    ADDONS = 2
    ACCESS = 3


@dataclass(frozen=True, slots=True)
class Patch:
    """What a merge patch makes of a spec.

    Attributes:
        document: The whole spec after it, not validated yet.
        said: What the operation's `input` is to keep of the request beside the spec.
    """

    document: dict[str, Any]
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Looking:
    """What a kind is told when it looks at AWS in the background.

    Attributes:
        name: The resource's.
        exists: Whether it was ever there.
        said: The operation's `input`.
        facts: What is kept of earlier looks.
    """

    name: str
    exists: bool
    said: Mapping[str, Any]
    facts: Mapping[str, Any]


def owned_stack_name(type_: str, resource_id: str, owner: Owner, name: str) -> str:
    """Return the name of a resource's stack: with its cluster's, if it has one; of an ARN what follows its account."""
    own = name.rpartition(":")[2]
    return stack_name(type_, resource_id, f"{owner.cluster_name}/{own}" if owner.cluster_name else own)


def owned_stack(
    template: Template,
    type_: str,
    resource_id: str,
    name: str,
    owner: Owner,
    tags: Mapping[str, str],
    *capabilities: str,
) -> StackTemplate:
    """Return the stack of a resource.

    Args:
        template: What it holds.
        type_: Of the kind.
        resource_id: Of the resource.
        name: Of the resource.
        owner: What it belongs to.
        tags: The caller's.
        capabilities: `CAPABILITY_IAM` if it makes roles.
    """
    tagged = stack_tags(resource_id, owner.cluster_name, tags)
    return StackTemplate(owned_stack_name(type_, resource_id, owner, name), render(template), capabilities, tagged)


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes of a kind's problems; literal in its file, so that they are found by searching."""

    not_found: str
    exists: str
    deleting: str


def _as_it_is(spec: S, _owner: Any, _before: S | None) -> S:
    return spec


async def _is_free(_cloud: Cloud, _spec: Any) -> None:
    pass


async def _nothing_wrong(_cloud: Cloud, _spec: Any, _owner: Any, _before: Any) -> Sequence[FieldError]:
    return ()


async def _no_facts(_cloud: Cloud, _spec: Any, _owner: Any, _looking: Looking) -> Facts:
    return {}


def _only_the_stack(_options: Options) -> Sequence[str]:
    return ("delete_stack",)


@dataclass(frozen=True, slots=True)
class Deletion:
    """What is special about a kind's delete.

    Attributes:
        options: What a caller may ask for by `?force=true`, each with what the document says of it. What was asked for
            stands in the operation's `input`, and a retry keeps it.
        steps: Pure. The operation's steps.
        check: What AWS is asked before it begins; raises what a caller is told if it cannot be.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    steps: Callable[[Options], Sequence[str]] = _only_the_stack
    check: Callable[[Cloud, Any, Options], Awaitable[None]] | None = None


def _no_more_rules(_before: Any, _after: Any) -> Sequence[FieldError]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[S]):
    """One kind.

    Attributes:
        type: Its word in operations, events and webhooks: `fargate_profile`.
        plural: Its word in a cluster's own request, and in paths with `-` for `_`: `fargate_profiles`.
        prefix: Of ids, two to five letters.
        title: For people, in the middle of a sentence: `Fargate profile`.
        about: What it is, at the begin of a sentence: `A managed node group`.
        codes: Of its problems.
        spec: The desired state; the document has it as `FargateProfileSpec`.
        outputs: What callers see of what AWS made; a field `role_arn` is the stack's output `RoleArn`.
        scope: What it belongs to; what it is given below as `owner` is a `ClusterView`, or an `AccountView`.
        identity: Fields that make a resource's name, which is unique in its owner; more than one are joined by `/`.
        fixed: What AWS cannot change, by JSON pointer, each with what to tell a caller. Name the source in the file.
        stage: When a cluster's delete takes it away; None: never.
        after: Types whose changes that run must have ended before a change of this kind begins.
        managed: Its cluster's own spec says which there are: no routes, and no further field of the cluster's request.
        example: A spec.
        example_outputs: What may come of it.
        patch_example: A merge patch of it.
        template: Pure. From id, spec, owner and facts to the stack; byte-identical for equal inputs. A cluster that
            is not there yet has no outputs; then only the form counts.
        check: What AWS can be asked before anything begins: errors with pointers into the spec. `before` is the spec
            that AWS has: only what differs needs a look.
        check_free: Asks AWS, before a create alone, whether the name is free there; raises what a caller is told.
        complete: Pure. Fills in what the owner decides; raises `InvalidError` for what cannot be in it.
        rules: Pure. What else cannot be changed than whole fields.
        observe: What the template needs beside the spec, asked in the background; kept for the whole operation, since
            a template that changes between two looks would be another update.
        keeps: What `observe` finds that is kept with the resource, for later looks.
        patch: Pure. What a merge patch makes of a spec, if more than that.
        deletion: What is special about its delete.
        reconciler: Who carries its operations out, if that is more than bringing a stack to a template, or away.
        says: Sentences of the document, by verb, where there is more to say.
        table: Where its rows are; one that does not belong to clusters has a table of its own.
    """

    type: str
    plural: str
    prefix: str
    title: str
    about: str
    codes: Codes
    spec: builtins.type[S]
    outputs: builtins.type[BaseModel]
    scope: Scope[Any] = CLUSTER
    identity: tuple[str, ...] = ("name",)
    fixed: Mapping[str, str] = field(default_factory=dict)
    stage: Stage | None
    after: tuple[str, ...] = ()
    managed: bool = False
    example: Mapping[str, Any]
    example_outputs: Mapping[str, Any]
    patch_example: Mapping[str, Any]
    template: Callable[[str, S, Any, Facts], StackTemplate]
    check: Callable[[Cloud, S, Any, S | None], Awaitable[Sequence[FieldError]]] = _nothing_wrong
    check_free: Callable[[Cloud, S], Awaitable[None]] = _is_free
    complete: Callable[[S, Any, S | None], S] = _as_it_is
    rules: Callable[[S, S], Sequence[FieldError]] = _no_more_rules
    observe: Callable[[Cloud, S, Any, Looking], Awaitable[Facts]] = _no_facts
    keeps: tuple[str, ...] = ()
    patch: Callable[[dict[str, Any], dict[str, Any]], Patch] | None = None
    deletion: Deletion = Deletion()
    reconciler: "builtins.type[KindReconciler] | None" = None
    says: Mapping[str, str] = field(default_factory=dict)
    table: builtins.type[ResourceColumns] = Resource

    @property
    def word(self) -> str:
        """The kind's name in the document: `FargateProfile`."""
        return "".join(part.capitalize() for part in self.type.split("_"))

    @property
    def path(self) -> str:
        """The path of its list: `/fargate-profiles`."""
        return "/" + self.plural.replace("_", "-")

    @property
    def a_title(self) -> str:
        """The title with its article: `an access entry`."""
        return f"an {self.title}" if self.title[0].lower() in "aeiou" else f"a {self.title}"

    @property
    def titles(self) -> str:
        """The title of several: `access entries`."""
        return f"{self.title[:-1]}ies" if self.title.endswith("y") else f"{self.title}s"

    @property
    def heading(self) -> str:
        """The title at the begin of a sentence: `Access entry`."""
        return f"{self.title[0].upper()}{self.title[1:]}"

    def name_of(self, spec: S) -> str:
        """Return a resource's name."""
        return "/".join(str(getattr(spec, name)) for name in self.identity)

    def stack_name(self, resource_id: str, owner: Owner, name: str) -> str:
        """Return the name of a resource's stack."""
        return owned_stack_name(self.type, resource_id, owner, name)

    def preview(self, spec: S, owner: Owner, before: S | None = None, resource_id: str = "") -> StackTemplate:
        """Return the stack of a spec as a request sees it: nothing was asked in the background yet.

        Raises:
            InvalidError: no template can say that, or the owner cannot have it.
        """
        complete = self.complete(spec, owner, before)
        return self.template(resource_id or f"{self.prefix}_{_PLACEHOLDER}", complete, owner, {})

    def violations(self, before: S, after: S) -> Sequence[FieldError]:
        """Return which changes AWS could only make by a replacement, each with the pointer of the innermost field."""
        old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
        found = [
            FieldError(pointer, reason)
            for rule, reason in self.fixed.items()
            for pointer in differences(old.get(rule[1:]), new.get(rule[1:]), rule)
        ]
        return [*found, *self.rules(before, after)]

    def outputs_of(self, stack: Mapping[str, str]) -> dict[str, Any]:
        """Return what callers see of a stack's outputs."""
        return {
            name: stack.get("".join(part.capitalize() for part in name.split("_")))
            for name in self.outputs.model_fields
        }
