"""Webhooks: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import UNSET, UnsetType

from jitui.client.call import Call, ListCall, Sent, Shown, Word


class DeliveryState(Word):
    """Pending until the receiver took the event, or until it is given up: a dead letter."""

    DEAD = "dead"
    DELIVERED = "delivered"
    PENDING = "pending"


class EndpointState(Word):
    """Whether events are sent to an endpoint; while it is paused they wait for it."""

    ACTIVE = "active"
    PAUSED = "paused"


class OutgoingEventKind(Word):
    """The kinds of events on the feed; warehouses act on `stop_ship`."""

    DISPUTE_RECORDED = "dispute.recorded"
    INCIDENT_OPENED = "incident.opened"
    ORDER_COMPLETED = "order.completed"
    ORDER_PAID = "order.paid"
    SHIPMENT_RECORDED = "shipment.recorded"
    STOP_SHIP = "stop_ship"
    TICKET_AMOUNT_RAISED = "ticket.amount_raised"
    TICKET_APPROVED = "ticket.approved"
    TICKET_REFUND_FAILED = "ticket.refund_failed"
    TICKET_REFUNDED = "ticket.refunded"
    TICKET_REJECTED = "ticket.rejected"
    TICKET_REOPENED = "ticket.reopened"
    TICKET_REQUESTED = "ticket.requested"
    TICKET_WITHDRAWN = "ticket.withdrawn"


class DeliveryAnswer(Shown, frozen=True, kw_only=True):
    """What became of an event for an endpoint."""

    event_id: str
    kind: str
    at: datetime
    order_id: str
    ticket_id: UUID | None
    state: DeliveryState
    tries: int
    queued_at: datetime
    tried_at: datetime | None
    closed_at: datetime | None
    status: int | None
    failure: str


class DeliveryPage(Shown, frozen=True, kw_only=True):
    """A page of deliveries, newest event first; `next` is null on the last one."""

    deliveries: tuple[DeliveryAnswer, ...]
    next: str | None


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


class EndpointChangeSent(Sent, frozen=True, kw_only=True):
    """What changes of an endpoint; what is not given stays as it is."""

    url: str | UnsetType = UNSET
    kinds: Sequence[OutgoingEventKind] | UnsetType = UNSET
    description: str | UnsetType = UNSET


class EndpointPage(Shown, frozen=True, kw_only=True):
    """A page of endpoints, newest first; `next` is null on the last one."""

    endpoints: tuple[EndpointAnswer, ...]
    next: str | None


class EndpointPauseSent(Sent, frozen=True, kw_only=True):
    """Why an endpoint is paused."""

    reason: str = ""


class EndpointSecretAnswer(Shown, frozen=True, kw_only=True):
    """An endpoint with its new secret, which is shown this once."""

    endpoint: EndpointAnswer
    secret: str


class EndpointSent(Sent, frozen=True, kw_only=True):
    """A new endpoint. With a platform's key it gets the events of all shops, unless `shop_id` names one."""

    url: str
    kinds: Sequence[OutgoingEventKind] = ()
    description: str = ""
    shop_id: str | None = None


class RedeliveryAnswer(Shown, frozen=True, kw_only=True):
    """How many events are sent again."""

    redelivered: int


class RedeliverySent(Sent, frozen=True, kw_only=True):
    """One event, or those since a time: exactly one of the two."""

    event_id: str | None = None
    since: datetime | None = None
    delivered: bool = False


class SecretRotationSent(Sent, frozen=True, kw_only=True):
    """How long the secret that stands signs beside the new one."""

    overlap_hours: int = 24


def create_webhook_endpoint(sent: EndpointSent) -> Call[EndpointSecretAnswer]:
    """Create a webhook endpoint.

    It gets what happens from now on as CloudEvents, signed as Standard Webhooks says. The secret is shown this once. An
    owner has one endpoint for an address: the same call again is 409. Keys of scope: platform, shop. Permission:
    `webhooks:write`.
    """
    return Call(
        operation="create_webhook_endpoint",
        method="POST",
        path="/v1/webhook-endpoints",
        answer=EndpointSecretAnswer,
        statuses=(201,),
        body=sent,
    )


def list_webhook_endpoints(
    *, shop_id: str | None = None, cursor: str | None = None, limit: int | None = None
) -> ListCall[EndpointPage, EndpointAnswer]:
    """List webhook endpoints.

    Newest first. A shop key lists its own, a platform key all of them. Keys of scope: platform, shop. Permission:
    `webhooks:read`.
    """
    return ListCall(
        operation="list_webhook_endpoints",
        method="GET",
        path="/v1/webhook-endpoints",
        answer=EndpointPage,
        statuses=(200,),
        query={"shop_id": shop_id, "cursor": cursor, "limit": limit},
        may_repeat=True,
        rows="endpoints",
    )


def get_webhook_endpoint(endpoint_id: UUID) -> Call[EndpointAnswer]:
    """Read a webhook endpoint. Keys of scope: platform, shop. Permission: `webhooks:read`."""
    return Call(
        operation="get_webhook_endpoint",
        method="GET",
        path="/v1/webhook-endpoints/{endpoint_id}",
        answer=EndpointAnswer,
        statuses=(200,),
        places={"endpoint_id": endpoint_id},
        may_repeat=True,
    )


def put_webhook_endpoint(endpoint_id: UUID, sent: EndpointChangeSent) -> Call[EndpointAnswer]:
    """Change a webhook endpoint.

    What is not given stays as it was. What waits already goes to the new address; other kinds count for what happens
    from now on. Keys of scope: platform, shop. Permission: `webhooks:write`.
    """
    return Call(
        operation="put_webhook_endpoint",
        method="PUT",
        path="/v1/webhook-endpoints/{endpoint_id}",
        answer=EndpointAnswer,
        statuses=(200,),
        places={"endpoint_id": endpoint_id},
        body=sent,
        may_repeat=True,
    )


def delete_webhook_endpoint(endpoint_id: UUID) -> Call[None]:
    """Delete a webhook endpoint.

    With all that waits for it. What is on its way may still arrive. Keys of scope: platform, shop. Permission:
    `webhooks:write`.
    """
    return Call(
        operation="delete_webhook_endpoint",
        method="DELETE",
        path="/v1/webhook-endpoints/{endpoint_id}",
        answer=type(None),
        statuses=(204,),
        places={"endpoint_id": endpoint_id},
        may_repeat=True,
    )


def pause_webhook_endpoint(endpoint_id: UUID, sent: EndpointPauseSent | None = None) -> Call[EndpointAnswer]:
    """Pause a webhook endpoint.

    Events wait until it is resumed. Idempotent by nature: one that is paused keeps its reason. Keys of scope: platform,
    shop. Permission: `webhooks:write`.
    """
    return Call(
        operation="pause_webhook_endpoint",
        method="POST",
        path="/v1/webhook-endpoints/{endpoint_id}/pause",
        answer=EndpointAnswer,
        statuses=(200,),
        places={"endpoint_id": endpoint_id},
        body=sent,
        may_repeat=True,
    )


def resume_webhook_endpoint(endpoint_id: UUID) -> Call[EndpointAnswer]:
    """Resume a webhook endpoint.

    What waited is sent at once, each order's events in their order. Idempotent by nature. Keys of scope: platform,
    shop. Permission: `webhooks:write`.
    """
    return Call(
        operation="resume_webhook_endpoint",
        method="POST",
        path="/v1/webhook-endpoints/{endpoint_id}/resume",
        answer=EndpointAnswer,
        statuses=(200,),
        places={"endpoint_id": endpoint_id},
        may_repeat=True,
    )


def rotate_webhook_secret(endpoint_id: UUID, sent: SecretRotationSent | None = None) -> Call[EndpointSecretAnswer]:
    """Rotate a webhook endpoint's secret.

    The new secret is shown this once. Until the old one ends, after 24 hours or as `overlap_hours` says, both sign each
    event. Keys of scope: platform, shop. Permission: `webhooks:write`.
    """
    return Call(
        operation="rotate_webhook_secret",
        method="POST",
        path="/v1/webhook-endpoints/{endpoint_id}/rotate-secret",
        answer=EndpointSecretAnswer,
        statuses=(200,),
        places={"endpoint_id": endpoint_id},
        body=sent,
    )


def list_webhook_deliveries(
    endpoint_id: UUID, *, state: DeliveryState | None = None, cursor: str | None = None, limit: int | None = None
) -> ListCall[DeliveryPage, DeliveryAnswer]:
    """List an endpoint's deliveries.

    Newest event first. `pending` ones wait or are tried again, `dead` ones were given up. Keys of scope: platform,
    shop. Permission: `webhooks:read`.
    """
    return ListCall(
        operation="list_webhook_deliveries",
        method="GET",
        path="/v1/webhook-endpoints/{endpoint_id}/deliveries",
        answer=DeliveryPage,
        statuses=(200,),
        places={"endpoint_id": endpoint_id},
        query={"state": state, "cursor": cursor, "limit": limit},
        may_repeat=True,
        rows="deliveries",
    )


def redeliver_webhooks(endpoint_id: UUID, sent: RedeliverySent) -> Call[RedeliveryAnswer]:
    """Send events again.

    One event by its id, or the dead ones since a time, with `delivered` those that were taken too. They have the same
    ids, and all their attempts anew. 404 when the endpoint never had the event, or it is not kept any more. Keys of
    scope: platform, shop. Permission: `webhooks:write`.
    """
    return Call(
        operation="redeliver_webhooks",
        method="POST",
        path="/v1/webhook-endpoints/{endpoint_id}/redeliver",
        answer=RedeliveryAnswer,
        statuses=(200,),
        places={"endpoint_id": endpoint_id},
        body=sent,
    )
