"""What callers send and see of webhooks and their deliveries."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from app.core.fields import Spec, Tags
from app.core.outbound import LONGEST
from app.kinds.all import KINDS
from app.webhooks import secrets
from app.webhooks.payloads import PATHS, EventType

if TYPE_CHECKING:
    ResourceType: TypeAlias = str
else:
    ResourceType = Literal[(*PATHS, *(kind.type for kind in KINDS.values() if kind.managed))]
DeliveryStatus = Literal["pending", "succeeded", "failed"]

DEFAULT_EVENTS: list[EventType] = ["operation.succeeded", "operation.failed", "operation.cancelled"]
DAY = 86_400
Secret = Annotated[
    str,
    AfterValidator(secrets.check),
    Field(description="`whsec_` and 24 to 64 bytes in base64; made for you if it is not given.", max_length=200),
]

_WEBHOOK_EXAMPLE: dict[str, Any] = {
    "id": "whk_01jd3x8k7q2v5w9z4c6b8n0m1r",
    "url": "https://deploys.example.com/slipway",
    "events": DEFAULT_EVENTS,
    "resource_types": [],
    "tags": {"team": "shop"},
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "held_until": None,
    "generation": 1,
    "created_at": "2026-11-23T08:00:01.870000Z",
    "updated_at": "2026-11-23T08:00:01.870000Z",
}


def _unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


class WebhookSpec(Spec):
    """What an endpoint is to be told, and where it is."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": _WEBHOOK_EXAMPLE["url"], "tags": _WEBHOOK_EXAMPLE["tags"]}]}
    )

    url: str = Field(
        min_length=1,
        max_length=LONGEST,
        description="HTTPS, at a public address; no credentials, no fragment.",
        examples=["https://deploys.example.com/slipway"],
    )
    events: Annotated[list[EventType], AfterValidator(_unique)] = Field(default=DEFAULT_EVENTS, min_length=1)
    resource_types: Annotated[list[ResourceType], AfterValidator(_unique)] = Field(
        default=[], description="Only events about these; none means all."
    )
    tags: Tags = Field(default={}, description="Only events about resources that have all of these tags.")
    enabled: bool = True


class WebhookCreate(WebhookSpec):
    """A new endpoint."""

    secret: Secret | None = None


class WebhookOut(BaseModel):
    """An endpoint; its secret is told only when it is made or rotated."""

    model_config = ConfigDict(title="Webhook", json_schema_extra={"examples": [_WEBHOOK_EXAMPLE]})

    id: str
    url: str
    events: list[EventType]
    resource_types: list[ResourceType]
    tags: dict[str, str]
    enabled: bool
    disabled_reason: str | None = Field(description="Why Slipway disabled it; `PATCH {enabled: true}` begins anew.")
    failing_since: datetime | None = Field(description="Nothing has got through since then.")
    held_until: datetime | None = Field(description="It asked for a pause (`Retry-After`): nothing new before then.")
    generation: int
    created_at: datetime
    updated_at: datetime


class WebhookWithSecret(WebhookOut):
    """A new endpoint, with its secret: it is not shown again."""

    model_config = ConfigDict(
        title="WebhookWithSecret",
        json_schema_extra={
            "examples": [{**_WEBHOOK_EXAMPLE, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}]
        },
    )

    secret: str


class RotateSecret(Spec):
    """How to rotate; an empty body makes a new secret and lets the old one sign for another day."""

    secret: Secret | None = None
    overlap_seconds: int = Field(
        default=DAY, ge=0, le=30 * DAY, description="How long the old secret goes on signing beside the new one."
    )


class SecretOut(BaseModel):
    """The new secret: it is not shown again."""

    model_config = ConfigDict(title="WebhookSecret")

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="])
    previous_expires_at: datetime | None = Field(description="Until then the one before signs as well.")


class ResendFailed(Spec):
    """Which failed deliveries are to be sent again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"since": "2026-11-23T06:00:00Z"}]})

    since: Annotated[AwareDatetime, Field(strict=False, examples=["2026-11-23T06:00:00Z"])] = Field(
        description="All whose event happened at or after this time."
    )


class ResentOut(BaseModel):
    """How many deliveries are on their way again."""

    model_config = ConfigDict(title="Resent", json_schema_extra={"examples": [{"resent": 12}]})

    resent: int


class AttemptOut(BaseModel):
    """One try."""

    model_config = ConfigDict(title="Attempt")

    at: datetime
    status_code: int | None = Field(description="None when there was no answer.")
    latency_ms: int
    error: str | None = Field(description="Why it does not count as delivered.")
    response: str | None = Field(description="The beginning of the answer's body.")


class DeliveryOut(BaseModel):
    """One event on its way to one endpoint."""

    model_config = ConfigDict(
        title="Delivery",
        json_schema_extra={
            "examples": [
                {
                    "id": "dlv_01jd3x8k7q2v5w9z4c6b8n0m1r",
                    "event": "operation.succeeded",
                    "event_id": "evt_01jd3x8k7q2v5w9z4c6b8n0m1r",
                    "status": "succeeded",
                    "webhook_id": "whk_01jd3x8k7q2v5w9z4c6b8n0m1r",
                    "callback_url": None,
                    "operation_id": "op_01jd3x8k7q2v5w9z4c6b8n0m1r",
                    "resource_id": "clu_01jd3x8k7q2v5w9z4c6b8n0m1r",
                    "sequence": 3,
                    "next_attempt_at": None,
                    "created_at": "2026-11-23T08:01:14.502000Z",
                    "finished_at": "2026-11-23T08:01:14.702000Z",
                    "attempts": [
                        {
                            "at": "2026-11-23T08:01:14.602000Z",
                            "status_code": 204,
                            "latency_ms": 41,
                            "error": None,
                            "response": "",
                        }
                    ],
                }
            ]
        },
    )

    id: str
    event: str
    event_id: str = Field(description="`webhook-id` of every try, the same for every endpoint: the idempotency key.")
    status: DeliveryStatus
    webhook_id: str | None
    callback_url: str | None
    operation_id: str | None
    resource_id: str
    sequence: int
    next_attempt_at: datetime | None = Field(description="While it is pending.")
    created_at: datetime
    finished_at: datetime | None
    attempts: list[AttemptOut]
