"""Links by which a shop leads a buyer whom it knows to the refund page of one order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.entrypoints.http.operation import operation, post
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.order_view import find_order
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.identity.access import Permission
from jitui.identity.shopper import LINK_LASTS, LONGEST_LINK, link_for, signer_of
from jitui.platform_syncing import take_in_now
from jitui.text import why_no_id

HOUR = timedelta(hours=1)


class RefundLinkSent(Sent, frozen=True, kw_only=True):
    """For how long the link opens the order."""

    valid_hours: Annotated[int, Meta(ge=1, le=LONGEST_LINK // HOUR)] = LINK_LASTS // HOUR


class RefundLinkAnswer(Shown, frozen=True, kw_only=True):
    """The link; whoever has it sees the order and may ask for its refund."""

    url: str
    expires_at: datetime


@post(
    "/v1/orders/{order_id:str}/refund-link",
    tags=["Orders"],
    summary="Make a link to an order's refund page",
    description="For the shop's own mails and account pages. Nothing is kept: the link is signed, and ends by itself. "
    "An order of a connected commerce platform that is not recorded yet is read there first.",
    opt=operation(
        {200: RefundLinkAnswer},
        Permission.REFUND_LINKS_WRITE,
        body=RefundLinkSent,
        body_optional=True,
        refusals=(RefusalCode.PLATFORM_UNAVAILABLE,),
    ),
)
async def make_refund_link(request: RequestContext, order_id: FromPath[str]) -> Reply:
    """Sign the order and the end of the link."""
    sent = await read_body(request, RefundLinkSent)
    service = request.service
    ref = await find_order(request, order_id)
    if ref is None and why_no_id(order_id) is None:
        done = await take_in_now(service, order_id)
        if isinstance(done, Refusal):
            return done
        ref = await find_order(request, order_id)
    snapshot = None if ref is None else await service.store.read_order(ref)
    if snapshot is None or not request.may_see(shop_id=snapshot.order.shop_id, buyer_id=snapshot.order.buyer_id):
        return not_found()
    expires_at = (service.clock() + sent.valid_hours * HOUR).replace(microsecond=0)
    url = link_for(await signer_of(service.people), service.settings.console_url, order_id, expires_at)
    return answer(RefundLinkAnswer(url=url, expires_at=expires_at))


HANDLERS = (make_refund_link,)

EXAMPLES = (
    RefundLinkSent(valid_hours=72),
    RefundLinkAnswer(
        url="https://refunds.example.com/shop/link?order=o-1001&exp=1767225600&sig=3q2-7w", expires_at=sample.ASKED_AT
    ),
)
