"""Notifications, signed by payment providers, and webhooks of commerce platforms."""

from __future__ import annotations

from litestar.params import FromPath

from jitui.aftersales.commands.dispute import take_dispute
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import AttemptRef
from jitui.aftersales.provider import DisputeNotification, NotificationIgnored, NotificationRefused
from jitui.entrypoints.http.operation import operation, post
from jitui.entrypoints.http.problems import INVALID_REQUEST, SIGNATURE_REFUSED, Problem, not_found
from jitui.entrypoints.http.read_body import read_all
from jitui.entrypoints.http.reply import NO_CONTENT, Answer, Reply
from jitui.entrypoints.http.request import RequestContext
from jitui.ids import lane_of_id
from jitui.logs import get_logger
from jitui.platform_syncing import take_hint

log = get_logger("jitui.http")


@post(
    "/v1/notifications/{provider:str}",
    tags=["Notifications"],
    summary="Receive a notification from a payment provider",
    description="For payment providers: signed by them, no API key. Idempotent. When a provider expects a word "
    "instead of a status, the answer is 200 with that word.",
    opt=operation({200: str, 204: None}, problems=(SIGNATURE_REFUSED,), signed=True),
)
async def take_notification(request: RequestContext, provider: FromPath[str]) -> Reply:
    """Process a notification; repeating it changes nothing."""
    service = request.service
    told_by = service.providers.get(provider)
    if told_by is None:
        return not_found()
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
    body = await read_all(request)
    platform = service.platforms.source(provider)
    read = (
        told_by.read_notification(headers, body, service.clock())
        if platform is None
        else await take_hint(service, platform, headers, body)
    )
    if isinstance(read, NotificationRefused):
        if read.signed:
            return Problem(INVALID_REQUEST, "The notification is signed and cannot be read.")
        return Problem(SIGNATURE_REFUSED, "The signature or the age of the notification is not valid.")
    if isinstance(read, NotificationIgnored):
        return _acknowledged(read.acknowledgement)  # with any other response the provider would send it again for days
    if isinstance(read, DisputeNotification):
        if not await take_dispute(
            service.store, service.parked_disputes, service.tasks, read.dispute, now=service.clock()
        ):
            log.warning("dispute_parked", provider=told_by.name, dispute=read.dispute.dispute_id)
        return _acknowledged("")
    ref = AttemptRef(lane_of_id(read.attempt_id), read.attempt_id)
    done = await confirm(service.store, ref, RefundUpdate(read.result, provider=told_by.name), now=service.clock())
    return done if isinstance(done, Refusal) else _acknowledged(read.acknowledgement)


def _acknowledged(acknowledgement: str) -> Answer:
    """The response that the provider expects, so that it does not send the notification again."""
    if not acknowledgement:
        return NO_CONTENT
    return Answer(200, acknowledgement.encode(), media_type="text/plain; charset=utf-8")


HANDLERS = (take_notification,)

EXAMPLES: tuple[object, ...] = ()
