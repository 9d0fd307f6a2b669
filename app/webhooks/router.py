"""Routes of webhooks, their deliveries, and the secret of callbacks."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Path, Request, Response

from app.http.caller import CallerDep
from app.http.change import DirectChangeDep
from app.http.etag import conditional, etag
from app.http.openapi import CALLBACK_KEY, problems
from app.http.pagination import Page, PageQuery
from app.http.route import StrictRoute
from app.operations.dependencies import DatabaseDep
from app.webhooks import repository
from app.webhooks.dependencies import (
    DeliveryFilter,
    ServiceDep,
    deliveries_out,
    delivery_filter,
    page_of_deliveries,
    webhook_out,
    with_secret,
)
from app.webhooks.payloads import (
    ENDINGS,
    PATHS,
    PING,
    STEP,
    OperationEnded,
    OperationStepped,
    PhaseChanged,
    Pinged,
)
from app.webhooks.schemas import (
    DeliveryOut,
    ResendFailed,
    ResentOut,
    RotateSecret,
    SecretOut,
    WebhookCreate,
    WebhookOut,
    WebhookWithSecret,
)

router = APIRouter(route_class=StrictRoute, tags=["webhooks"])
outgoing = APIRouter(tags=["outgoing"])
"""What Slipway sends; for the document only."""

WebhookPath = Annotated[str, Path(description="Id of the webhook.")]
LogPath = Annotated[
    str, Path(description="Id of the webhook; `callbacks` stands for the callback URLs of the project's requests.")
]
RotateBody = Annotated[RotateSecret | None, Body()]


@router.get("/webhooks", responses=problems(422))
async def list_webhooks(caller: CallerDep, database: DatabaseDep, page: PageQuery) -> Page[WebhookOut]:
    """List webhooks, newest first."""
    async with database.read() as session:
        rows = await repository.list_page(session, caller.project_id, limit=page.fetch, before=page.after_text)
    kept, token = page.cut(rows, lambda row: row.id)
    return Page(items=[webhook_out(row) for row in kept], next_page_token=token)


@router.post("/webhooks", status_code=201, response_model=WebhookWithSecret, responses=problems(409, 422))
async def create_webhook(body: WebhookCreate, change: DirectChangeDep, service: ServiceDep) -> Response:
    """Register an endpoint; the answer holds the secret that signs what it is sent, and no later answer does."""
    async with change.transaction() as session:
        webhook, secret = await service.create(session, change.caller, body)
        headers = {"Location": f"/webhooks/{webhook.id}", "ETag": etag(webhook.generation)}
        return await change.answer(session, 201, with_secret(webhook, secret), headers, secret=True)


@router.post("/webhooks/callback-secret/rotate", response_model=SecretOut, responses=problems(422))
async def rotate_callback_secret(change: DirectChangeDep, service: ServiceDep, body: RotateBody = None) -> Response:
    """Make a new secret for the callbacks of the project's requests, the first one included."""
    async with change.transaction() as session:
        answer = await service.rotate_callback_secret(session, change.caller, body or RotateSecret())
        return await change.answer(session, 200, answer, secret=True)


@router.get("/webhooks/{webhook}", response_model=WebhookOut, responses=problems(404))
async def get_webhook(webhook: WebhookPath, caller: CallerDep, database: DatabaseDep, request: Request) -> Response:
    """Read a webhook."""
    async with database.read() as session:
        row = await repository.get(session, caller.project_id, webhook)
    return conditional(request, row.generation, webhook_out(row))


@router.patch("/webhooks/{webhook}", response_model=WebhookOut, responses=problems(404, 412, 422))
async def update_webhook(
    webhook: WebhookPath,
    patch: Annotated[dict[str, Any], Body(examples=[{"enabled": True}])],
    change: DirectChangeDep,
    service: ServiceDep,
) -> Response:
    """Change a webhook: a JSON merge patch (RFC 7396) of its fields."""
    async with change.transaction() as session:
        row = await repository.get(session, change.caller.project_id, webhook, lock=True)
        change.check_match(row.generation)
        changed = await service.update(session, row, patch)
        return await change.answer(session, 200, webhook_out(changed), {"ETag": etag(changed.generation)})


@router.delete("/webhooks/{webhook}", status_code=204, response_class=Response, responses=problems(404, 412))
async def delete_webhook(webhook: WebhookPath, change: DirectChangeDep, service: ServiceDep) -> Response:
    """Forget a webhook, with the log of its deliveries; nothing more is sent to it."""
    async with change.transaction() as session:
        row = await repository.get(session, change.caller.project_id, webhook, lock=True)
        change.check_match(row.generation)
        await service.delete(session, row)
        return await change.answer(session, 204, None)


@router.post("/webhooks/{webhook}/rotate-secret", response_model=SecretOut, responses=problems(404, 422))
async def rotate_webhook_secret(
    webhook: WebhookPath, change: DirectChangeDep, service: ServiceDep, body: RotateBody = None
) -> Response:
    """Make a new secret; the present one goes on signing beside it, by default for a day."""
    async with change.transaction() as session:
        row = await repository.get(session, change.caller.project_id, webhook, lock=True)
        answer = await service.rotate(session, row, body or RotateSecret())
        return await change.answer(session, 200, answer, secret=True)


@router.post("/webhooks/{webhook}/ping", response_model=DeliveryOut, responses=problems(404, 409))
async def ping_webhook(webhook: WebhookPath, change: DirectChangeDep, service: ServiceDep) -> Response:
    """Send the endpoint a `webhook.ping`; what comes of it stands in the delivery."""
    async with change.transaction() as session:
        row = await repository.get(session, change.caller.project_id, webhook)
        logged = await service.ping(session, row)
        return await change.answer(session, 200, (await deliveries_out(session, [logged]))[0])


@router.get("/webhooks/{webhook}/deliveries", responses=problems(404, 422))
async def list_deliveries(
    webhook: LogPath,
    caller: CallerDep,
    database: DatabaseDep,
    page: PageQuery,
    wanted: Annotated[DeliveryFilter, Depends(delivery_filter)],
) -> Page[DeliveryOut]:
    """List what was sent, or is to be, with every attempt; newest first."""
    async with database.read() as session:
        return await page_of_deliveries(session, caller, webhook, wanted, page)


@router.get("/webhooks/{webhook}/deliveries/{delivery}", responses=problems(404))
async def get_delivery(webhook: LogPath, delivery: str, caller: CallerDep, database: DatabaseDep) -> DeliveryOut:
    """Read one delivery with its attempts."""
    async with database.read() as session:
        logged = await repository.get_delivery(session, caller.project_id, webhook, delivery)
        return (await deliveries_out(session, [logged]))[0]


@router.post("/webhooks/{webhook}/deliveries/resend", response_model=ResentOut, responses=problems(404, 409, 422))
async def resend_failed_deliveries(
    webhook: LogPath, body: ResendFailed, change: DirectChangeDep, service: ServiceDep
) -> Response:
    """Send all deliveries again that were given up since a time, oldest first."""
    async with change.transaction() as session:
        count = await service.resend_failed(session, change.caller, webhook, body)
        return await change.answer(session, 200, ResentOut(resent=count))


@router.post(
    "/webhooks/{webhook}/deliveries/{delivery}/resend", response_model=DeliveryOut, responses=problems(404, 409)
)
async def resend_delivery(webhook: LogPath, delivery: str, change: DirectChangeDep, service: ServiceDep) -> Response:
    """Send a delivery again now: the same event, under the same `webhook-id`."""
    async with change.transaction() as session:
        logged = await service.resend(session, change.caller, webhook, delivery)
        return await change.answer(session, 200, (await deliveries_out(session, [logged]))[0])


_TAKEN = (
    "Any 2xx takes it. Everything else is tried again over three days, but for 410, which disables the "
    "webhook; redirects are not followed, and `Retry-After` of a 429 or 503 is waited for."
)


async def signature(
    webhook_id: Annotated[str, Header(alias="webhook-id", description="The event: the same in every try.")],
    webhook_timestamp: Annotated[int, Header(alias="webhook-timestamp", description="Of the try, in Unix seconds.")],
    webhook_signature: Annotated[
        str,
        Header(
            alias="webhook-signature",
            description="`v1,` and the base64 of HMAC-SHA-256 of `id.timestamp.body`; several while a secret is "
            "rotated. https://www.standardwebhooks.com",
        ),
    ],
) -> None:
    """Document the headers."""


async def operation_ended(body: OperationEnded) -> None:
    """An operation has ended: the one that a request with `callback_url` began, or any one, to a webhook."""


async def operation_stepped(body: OperationStepped) -> None:
    """A step of an operation has begun or ended."""


async def phase_changed(body: PhaseChanged) -> None:
    """A resource is in another phase."""


async def pinged(body: Pinged) -> None:
    """Somebody asked for a ping."""


def _document(event: str, endpoint: Callable[..., Any]) -> None:
    outgoing.add_api_route(
        event,
        endpoint,
        methods=["POST"],
        status_code=204,
        response_description=_TAKEN,
        dependencies=[Depends(signature)],
        operation_id=event.replace(".", "_"),
        openapi_extra={CALLBACK_KEY: "operation_ended"} if event == ENDINGS[0] else None,
    )


_document(PING, pinged)
_document(STEP, operation_stepped)
for _event in ENDINGS:
    _document(_event, operation_ended)
for _type in PATHS:
    _document(f"{_type}.phase_changed", phase_changed)
