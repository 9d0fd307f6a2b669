"""What a reconciler gets and gives: `reconcile(context) -> Advance | Wait | Done | Fail | Cancelled`."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.failure import Failure
from app.core.secrets.scope import Scope
from app.engine.models import Operation


@dataclass(frozen=True, slots=True)
class Advance:
    """Go on with `phase` at once."""

    phase: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Something outside that is watched: `watcher` says by whom (`cloudformation`), `id` is its name for it."""

    watcher: str
    id: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again in `seconds`, or as soon as what is watched has come to rest."""

    seconds: float
    on: Watch | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The operation has succeeded."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The operation has failed for good."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The operation ends cancelled; what it had begun is cleared or handed over."""


Outcome = Advance | Wait | Done | Fail | Cancelled
Ending = Literal["succeeded", "failed", "cancelled"]


class LeaseLostError(Exception):
    """Somebody else holds the operation now: whatever this call still wanted to do must not be done."""


class TransientError(Exception):
    """Not now: the engine calls again later, with backoff, until its limit; `failure` is what then ends it."""

    def __init__(self, failure: Failure, *, retry_after: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to write with the result; `source_id` makes it unique within the operation."""

    type: str
    message: str
    data: dict[str, Any] = field(default_factory=dict)
    source_id: str | None = None
    at: datetime | None = None


class Observer(Protocol):
    """Hears what the engine writes down, in the same transaction: what it writes itself is as certain (an outbox)."""

    async def recorded(self, session: AsyncSession, operation: Operation, events: Sequence[NewEvent]) -> None:
        """Hear of events of an operation; `operation` has the state that they led to."""
        ...


@dataclass(slots=True)
class Context:
    """One claim of one operation.

    Attributes:
        operation: The row as it was claimed. Read it; what is to be kept goes into the fields below.
        data: Scratch of the operation, a JSON object.
        steps: Ordered steps (`name`, `status`, `started_at`, `finished_at`); times are filled in when written.
        warnings: What the caller should know though it did not fail.
        events: What happened.
        secrets: What was opened for it; it is hidden in all that is written for callers.

    All of it is written with the result, and by `intend` before that: so a long activity tells how far it is.
    """

    operation: Operation
    data: dict[str, Any]
    steps: list[dict[str, Any]]
    warnings: list[str]
    persist: Callable[["Context"], Awaitable[None]]
    events: list[NewEvent] = field(default_factory=list)
    secrets: Scope = field(default_factory=Scope)

    @property
    def phase(self) -> str:
        """Return the phase that this call is to carry on."""
        return self.operation.phase

    async def intend(self, **data: Any) -> None:
        """Write down what is about to be done, before it is done, and all else that the context holds.

        Raises:
            LeaseLostError: the operation belongs to somebody else; do nothing.
        """
        self.data.update(data)
        await self.persist(self)

    def step(self, name: str) -> None:
        """Begin the step `name`; those before it have succeeded (or are `skipped` if they never began)."""
        for step in self.steps:
            if step["name"] == name:
                if step["status"] == "pending":
                    step["status"] = "running"
                return
            if step["status"] in ("pending", "running"):
                step["status"] = "succeeded" if step["status"] == "running" else "skipped"
        raise KeyError(f"{self.operation.kind} has no step {name}")

    def step_ended(self, name: str, status: str) -> None:
        """End the step `name` before the operation does: it failed, and what is done about that is a step of its own.

        Args:
            name: Of the step.
            status: `succeeded`, `failed` or `cancelled`.
        """
        for step in self.steps:
            if step["name"] == name:
                step["status"] = status

    def hide_secrets(self) -> None:
        """Take what was opened for the operation out of its warnings and events, before they are written."""
        if not self.secrets:
            return
        self.warnings[:] = map(self.secrets.text, self.warnings)
        self.events[:] = [
            replace(event, message=self.secrets.text(event.message), data=self.secrets.value(event.data))
            for event in self.events
        ]

    def warn(self, message: str) -> None:
        """Add a warning once."""
        if message not in self.warnings:
            self.warnings.append(message)


class Reconciler(ABC):
    """How operations of one kind are carried out.

    `reconcile` looks at where things stand and does the one next thing; it is called again after a crash, so every
    side effect is idempotent and preceded by `Context.intend`. It takes less than the lease and holds no transaction.
    """

    phases: ClassVar[tuple[str, ...]]
    """The phases that this build knows, the first one first. Names are append-only."""

    activities: ClassVar[frozenset[str]] = frozenset()
    """Phases that hold a process: their lease is renewed while they run, and they are cancelled if that fails."""

    @abstractmethod
    async def reconcile(self, context: Context) -> Outcome:
        """Do the one next thing."""

    @abstractmethod
    async def settle(self, session: AsyncSession, operation: Operation, ending: Ending) -> None:
        """Bring the resource's row into line with the operation's end, in the transaction that ends it.

        `operation` already has its final `status`, `error`, `data` and `finished_at`.
        """
