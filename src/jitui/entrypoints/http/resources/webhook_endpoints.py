"""Webhook endpoints: addresses that get events as they happen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import UNSET, Meta, UnsetType, field

from jitui.aftersales.changes import OutgoingEventKind
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.entrypoints.http.cursors import TimePlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Cursor, Id, PageLimit, Text, read_uuid
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import delete, get, operation, post, put
from jitui.entrypoints.http.problems import not_found, refuse
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import NO_CONTENT, Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown, said
from jitui.errors import BadInput
from jitui.identity.access import Permission
from jitui.webhooks.addresses import LONGEST_URL
from jitui.webhooks.endpoints import NewEndpoint, change_endpoint, create_endpoint, rotate_secret
from jitui.webhooks.model import EndpointChange, EndpointState, WebhookEndpoint

Url = Annotated[str, Meta(min_length=1, max_length=LONGEST_URL, description="https, of a host that is public.")]
Kinds = Annotated[list[OutgoingEventKind], Meta(max_length=50, description="None named: every kind.")]
PAUSED_BY_HAND = "Paused by hand."
DEFAULT_OVERLAP_HOURS = 24


class EndpointSent(Sent, frozen=True, kw_only=True):
    """A new endpoint. With a platform's key it gets the events of all shops, unless `shop_id` names one."""

    url: Url
    kinds: Kinds = field(default_factory=list)
    description: Text = ""
    shop_id: Annotated[Id | None, Meta(description="Not given: the platform, or the shop of the key.")] = None


class EndpointChangeSent(Sent, frozen=True, kw_only=True):
    """What changes of an endpoint; what is not given stays as it is."""

    url: Url | UnsetType = UNSET
    kinds: Kinds | UnsetType = UNSET
    description: Text | UnsetType = UNSET


class EndpointPauseSent(Sent, frozen=True, kw_only=True):
    """Why an endpoint is paused."""

    reason: Text = ""


class SecretRotationSent(Sent, frozen=True, kw_only=True):
    """How long the secret that stands signs beside the new one."""

    overlap_hours: Annotated[int, Meta(ge=0, le=168)] = DEFAULT_OVERLAP_HOURS


class EndpointQuery(Sent, frozen=True, kw_only=True):
    """A page of endpoints, newest first."""

    shop_id: Id | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class EndpointAnswer(Shown, frozen=True, kw_only=True):
    """A webhook endpoint, and how it fares."""

    endpoint_id: UUID
    shop_id: str | None
    url: str
    description: str
    kinds: tuple[str, ...]
    state: EndpointState
    paused_because: str
    created_at: datetime
    created_by: str
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_failure: str
    failing_since: datetime | None


class EndpointSecretAnswer(Shown, frozen=True, kw_only=True):
    """An endpoint with its new secret, which is shown this once."""

    endpoint: EndpointAnswer
    secret: str


class EndpointPage(Shown, frozen=True, kw_only=True):
    """A page of endpoints, newest first; `next` is null on the last one."""

    endpoints: tuple[EndpointAnswer, ...]
    next: str | None


_TAG = ["Webhooks"]
_KEPT_ENCRYPTED = (RefusalCode.ENCRYPTION_NOT_CONFIGURED,)


@post(
    "/v1/webhook-endpoints",
    tags=_TAG,
    summary="Create a webhook endpoint",
    description="It gets what happens from now on as CloudEvents, signed as Standard Webhooks says. The secret is "
    "shown this once. An owner has one endpoint for an address: the same call again is 409.",
    opt=operation(
        {201: EndpointSecretAnswer},
        Permission.WEBHOOKS_WRITE,
        body=EndpointSent,
        refusals=(
            *_KEPT_ENCRYPTED,
            RefusalCode.WEBHOOK_ENDPOINT_EXISTS,
            RefusalCode.TOO_MANY_WEBHOOK_ENDPOINTS,
        ),
    ),
)
async def create_webhook_endpoint(request: RequestContext) -> Reply:
    """A new endpoint of the platform, or of a shop."""
    sent = await read_body(request, EndpointSent)
    shop_id = sent.shop_id if sent.shop_id is not None else request.own_shop
    if not request.may_see(shop_id=shop_id):
        return not_found()
    try:
        made = await create_endpoint(
            request.service.webhook_keeping,
            shop_id=shop_id or "",
            url=sent.url,
            description=sent.description,
            kinds=sent.kinds,
            by=request.actor.id,
            now=request.service.clock(),
        )
    except BadInput as error:
        raise refuse(error.path, str(error)) from None
    return _with_secret(made, 201)


@get(
    "/v1/webhook-endpoints",
    tags=_TAG,
    summary="List webhook endpoints",
    description="Newest first. A shop key lists its own, a platform key all of them.",
    opt=operation({200: EndpointPage}, Permission.WEBHOOKS_READ, query=EndpointQuery),
)
async def list_webhook_endpoints(request: RequestContext) -> Reply:
    """The endpoints that the key may see."""
    query = read_query(request, EndpointQuery)
    if not request.may_filter(shop_id=query.shop_id, buyer_id=None):
        return not_found()
    place = read_cursor(query.cursor, TimePlace)
    after = (place.at, place.id) if place is not None else None
    shop_id = query.shop_id if query.shop_id is not None else request.own_shop
    found = await request.service.webhooks.endpoints.list(shop_id=shop_id, after=after, limit=query.limit + 1)
    rows, following = page_of(found, query.limit, lambda one: (one.created_at, one.endpoint_id))
    return answer(EndpointPage(endpoints=tuple(map(_endpoint, rows)), next=following))


@get(
    "/v1/webhook-endpoints/{endpoint_id:str}",
    tags=_TAG,
    summary="Read a webhook endpoint",
    opt=operation({200: EndpointAnswer}, Permission.WEBHOOKS_READ),
)
async def get_webhook_endpoint(request: RequestContext, endpoint_id: FromPath[str]) -> Reply:
    """An endpoint and how it fares; never its secret."""
    known = await known_endpoint(request, endpoint_id)
    return not_found() if known is None else answer(_endpoint(known))


@put(
    "/v1/webhook-endpoints/{endpoint_id:str}",
    tags=_TAG,
    summary="Change a webhook endpoint",
    description="What is not given stays as it was. What waits already goes to the new address; other kinds count for "
    "what happens from now on.",
    opt=operation(
        {200: EndpointAnswer},
        Permission.WEBHOOKS_WRITE,
        body=EndpointChangeSent,
        refusals=(RefusalCode.WEBHOOK_ENDPOINT_EXISTS,),
    ),
)
async def put_webhook_endpoint(request: RequestContext, endpoint_id: FromPath[str]) -> Reply:
    """Another address, kinds or description."""
    sent = await read_body(request, EndpointChangeSent)
    known = await known_endpoint(request, endpoint_id)
    if known is None:
        return not_found()
    kinds: Sequence[OutgoingEventKind] | None = said(sent.kinds, None)
    change = EndpointChange(
        url=said(sent.url, None),
        description=said(sent.description, None),
        kinds=tuple(sorted(set(kinds))) if kinds is not None else None,
    )
    try:
        stands = await change_endpoint(request.service.webhook_keeping, known.endpoint_id, change)
    except BadInput as error:
        raise refuse(error.path, str(error)) from None
    return stands if isinstance(stands, Refusal) else answer(_endpoint(stands))


@post(
    "/v1/webhook-endpoints/{endpoint_id:str}/pause",
    tags=_TAG,
    summary="Pause a webhook endpoint",
    description="Events wait until it is resumed. Idempotent by nature: one that is paused keeps its reason.",
    opt=operation({200: EndpointAnswer}, Permission.WEBHOOKS_WRITE, body=EndpointPauseSent, body_optional=True),
)
async def pause_webhook_endpoint(request: RequestContext, endpoint_id: FromPath[str]) -> Reply:
    """Send nothing to it for now."""
    sent = await read_body(request, EndpointPauseSent)
    known = await known_endpoint(request, endpoint_id)
    if known is None:
        return not_found()
    await request.service.webhooks.endpoints.pause(known.endpoint_id, sent.reason.strip() or PAUSED_BY_HAND)
    return await _stands(request, known.endpoint_id)


@post(
    "/v1/webhook-endpoints/{endpoint_id:str}/resume",
    tags=_TAG,
    summary="Resume a webhook endpoint",
    description="What waited is sent at once, each order's events in their order. Idempotent by nature.",
    opt=operation({200: EndpointAnswer}, Permission.WEBHOOKS_WRITE),
)
async def resume_webhook_endpoint(request: RequestContext, endpoint_id: FromPath[str]) -> Reply:
    """Send to it again."""
    known = await known_endpoint(request, endpoint_id)
    if known is None:
        return not_found()
    await request.service.webhooks.endpoints.resume(known.endpoint_id, request.service.clock())
    return await _stands(request, known.endpoint_id)


@post(
    "/v1/webhook-endpoints/{endpoint_id:str}/rotate-secret",
    tags=_TAG,
    summary="Rotate a webhook endpoint's secret",
    description="The new secret is shown this once. Until the old one ends, after 24 hours or as `overlap_hours` "
    "says, both sign each event.",
    opt=operation(
        {200: EndpointSecretAnswer},
        Permission.WEBHOOKS_WRITE,
        body=SecretRotationSent,
        body_optional=True,
        refusals=_KEPT_ENCRYPTED,
    ),
)
async def rotate_webhook_secret(request: RequestContext, endpoint_id: FromPath[str]) -> Reply:
    """A new secret beside the old one."""
    sent = await read_body(request, SecretRotationSent)
    known = await known_endpoint(request, endpoint_id)
    if known is None:
        return not_found()
    service, overlap = request.service, timedelta(hours=sent.overlap_hours)
    return _with_secret(
        await rotate_secret(service.webhook_keeping, known.endpoint_id, overlap=overlap, now=service.clock()), 200
    )


@delete(
    "/v1/webhook-endpoints/{endpoint_id:str}",
    tags=_TAG,
    summary="Delete a webhook endpoint",
    description="With all that waits for it. What is on its way may still arrive.",
    opt=operation({204: None}, Permission.WEBHOOKS_WRITE),
)
async def delete_webhook_endpoint(request: RequestContext, endpoint_id: FromPath[str]) -> Reply:
    """Send nothing to it any more."""
    known = await known_endpoint(request, endpoint_id)
    if known is None or not await request.service.webhooks.endpoints.delete(known.endpoint_id):
        return not_found()
    return NO_CONTENT


async def known_endpoint(request: RequestContext, endpoint_id: str) -> WebhookEndpoint | None:
    """The endpoint, where there is one that the caller may see."""
    known_id = read_uuid(endpoint_id)
    found = await request.service.webhooks.endpoints.get(known_id) if known_id is not None else None
    return found if found is not None and request.may_see(shop_id=found.shop_id or None) else None


async def _stands(request: RequestContext, endpoint_id: UUID) -> Reply:
    """The endpoint as it stands now; it may have been deleted meanwhile."""
    found = await request.service.webhooks.endpoints.get(endpoint_id)
    return not_found() if found is None else answer(_endpoint(found))


def _with_secret(made: NewEndpoint | Refusal, status: int) -> Reply:
    if isinstance(made, Refusal):
        return made
    return answer(EndpointSecretAnswer(endpoint=_endpoint(made.endpoint), secret=made.secret), status)


def _endpoint(endpoint: WebhookEndpoint) -> EndpointAnswer:
    return shown(EndpointAnswer, endpoint, shop_id=endpoint.shop_id or None)


HANDLERS = (
    create_webhook_endpoint,
    list_webhook_endpoints,
    get_webhook_endpoint,
    put_webhook_endpoint,
    pause_webhook_endpoint,
    resume_webhook_endpoint,
    rotate_webhook_secret,
    delete_webhook_endpoint,
)

_URL = "https://shop.example/webhooks"
_ENDPOINT = EndpointAnswer(
    endpoint_id=sample.ENDPOINT_ID,
    shop_id="s-1",
    url=_URL,
    description="Warehouse",
    kinds=("stop_ship", "ticket.refunded"),
    state=EndpointState.ACTIVE,
    paused_because="",
    created_at=sample.PAID_AT,
    created_by="s-1",
    last_success_at=sample.REFUNDED_AT,
    last_failure_at=None,
    last_failure="",
    failing_since=None,
)
EXAMPLES = (
    EndpointSent(
        url=_URL,
        kinds=[OutgoingEventKind.STOP_SHIP, OutgoingEventKind.TICKET_REFUNDED],
        description="Warehouse",
        shop_id="s-1",
    ),
    EndpointChangeSent(description="Warehouse in Hangzhou"),
    EndpointPauseSent(reason="The warehouse moves."),
    SecretRotationSent(overlap_hours=48),
    _ENDPOINT,
    EndpointSecretAnswer(endpoint=_ENDPOINT, secret="whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD/vJJKJYMo1o="),
    EndpointPage(endpoints=(_ENDPOINT,), next=None),
)
