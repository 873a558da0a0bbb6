"""The completion of an order."""

from __future__ import annotations

from datetime import timedelta

from litestar.params import FromPath

from jitui.aftersales.commands.ship import complete_order
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.fields import Time
from jitui.entrypoints.http.operation import operation, post
from jitui.entrypoints.http.problems import FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, respond
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.order_view import OrderAnswer, find_order, recorded
from jitui.entrypoints.http.resources.shared import Sent
from jitui.identity.access import Permission


class CompletionSent(Sent, frozen=True, kw_only=True):
    """The buyer has received the goods."""

    completed_at: Time


@post(
    "/v1/orders/{order_id:str}/completion",
    tags=["Orders"],
    summary="Complete an order",
    description="From then on it counts in the buyer's history.",
    opt=operation(
        {201: OrderAnswer, 200: OrderAnswer},
        Permission.ORDERS_WRITE,
        body=CompletionSent,
        idempotent=True,
        refusals=(RefusalCode.ORDER_NOT_PAID,),
    ),
)
async def record_completion(request: RequestContext, order_id: FromPath[str]) -> Reply:
    """Record that the buyer has received the goods."""
    sent = await read_body(request, CompletionSent)
    faults = FaultCollector()
    faults.time("completed_at", sent.completed_at)
    faults.settle()
    ref = await find_order(request, order_id)
    if ref is None:
        return not_found()
    service = request.service
    return await respond(
        request,
        sent,
        lambda reply: complete_order(
            service.store,
            ref,
            now=service.clock(),
            completed_at=sent.completed_at,
            reply=reply,
        ),
        lambda done: recorded(request, done),
    )


HANDLERS = (record_completion,)

EXAMPLES = (CompletionSent(completed_at=sample.PAID_AT + timedelta(days=7)),)
