"""One delivery: how it is signed, and what follows from its outcome. Without a clock and without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from standardwebhooks import Webhook

from jitui.aftersales.cloud_events import MEDIA_TYPE, event_json
from jitui.aftersales.ports import OutgoingEvent
from jitui.webhooks.model import Attempted, ClaimedDelivery, DeliveryState, SendResult, WebhookEndpoint

FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(hours=1)
LONGEST_RETRY_AFTER = timedelta(hours=6)
"""A receiver may ask for a longer pause than ours, but not for the rest of the event's life."""
_DOUBLINGS = 20
GONE = 410
NOT_KEPT = "The event is not kept any more."


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent."""

    headers: Mapping[str, str]
    body: bytes


def signed_message(
    event: OutgoingEvent, endpoint: WebhookEndpoint, secrets: Sequence[str], now: datetime, user_agent: str
) -> Message:
    """The event as a CloudEvent, signed by every secret that is valid now (Standard Webhooks), the newest first.

    `webhook-id` is the event's own id, the same each time it is sent and to whichever endpoint.
    """
    body = event_json(event, for_platform=endpoint.for_platform)
    signatures = [Webhook(secret).sign(event.event_id, now, body.decode()) for secret in secrets]
    headers = {
        "content-type": f"{MEDIA_TYPE}; charset=utf-8",
        "user-agent": user_agent,
        "webhook-id": event.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    return Message(headers, body)


def after_attempt(
    claimed: ClaimedDelivery, result: SendResult, *, now: datetime, dead_after: timedelta, spread: float
) -> Attempted:
    """Delivered, due again, or dead: dead is an event whose last attempt failed when its time was over.

    `spread`, from 0 to 1, places the next attempt in the second half of its pause, so that not all come at once.
    """
    if result.taken:
        return Attempted(DeliveryState.DELIVERED, now, now, result.status)
    ends_at = claimed.queued_at + dead_after
    if now >= ends_at:
        return Attempted(DeliveryState.DEAD, now, now, result.status, result.failure)
    pause = max(retry_pause(claimed.tries, spread), _asked_for(result))
    return Attempted(DeliveryState.PENDING, now, min(now + pause, ends_at), result.status, result.failure)


def retry_pause(tries: int, spread: float) -> timedelta:
    """How long to wait after so many failures before this one: doubled each time, up to an hour."""
    doubled: int = 2 ** min(tries, _DOUBLINGS)
    full = min(FIRST_RETRY * doubled, LONGEST_RETRY)
    return full / 2 + full / 2 * spread


def _asked_for(result: SendResult) -> timedelta:
    if result.retry_after_seconds is None:
        return timedelta(0)
    return min(timedelta(seconds=result.retry_after_seconds), LONGEST_RETRY_AFTER)
