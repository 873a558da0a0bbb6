"""Reads a merchant's refund requests on Kuaishou, and answers them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from jitui.adapters.platforms.kuaishou.answers import END_OF_LIST, Order, RefundPage, RefundRow, RejectReason
from jitui.adapters.platforms.kuaishou.client import KuaishouClient
from jitui.adapters.platforms.kuaishou.credentials import Credentials
from jitui.adapters.platforms.kuaishou.hints import read_message
from jitui.adapters.platforms.kuaishou.mapping import (
    REFUND_ONLY,
    WAITING_NEGOTIATION,
    WAITING_STATUS,
    milliseconds,
    order_of,
    request_of,
)
from jitui.adapters.platforms.shop_client import sentence
from jitui.aftersales.platform import CallFailed, CallRefused, PlatformOrder, UnreadableOrder
from jitui.aftersales.platform_requests import ListRules, PlatformRequest, UnreadableRequest, Window
from jitui.aftersales.provider import CallTrouble, NotificationIgnored, NotificationRefused
from jitui.errors import Unavailable

NAME = "kuaishou"
PAGE = 100
LONGEST_WINDOW, FURTHEST_BACK = timedelta(days=1), timedelta(days=90)
_A_LITTLE = timedelta(minutes=10)
"""Less than the platform's ninety days, so that a window does not fall out of them while it is read."""
MOST_PAGES = 1000
CLOCKS_DIFFER = timedelta(minutes=5)
ALL_REQUESTS, BY_UPDATE, OLDEST_FIRST = 9, 2, 2
MOST_WORDS = 200
_Row = TypeVar("_Row")

LIST, DETAIL = "open.seller.order.refund.pcursor.list", "open.seller.order.refund.detail"
ORDER, ORDERS = "open.order.detail", "open.order.cursor.list"
APPROVE, REFUSE, REASONS = "open.seller.order.refund.approve", "open.refund.reject", "open.refund.reject.reason"


@dataclass(frozen=True, slots=True)
class KuaishouOptions:
    """What a shop may set. `window`: the longest span of a list, which Kuaishou makes hours or minutes in campaigns."""

    window: timedelta = LONGEST_WINDOW


class KuaishouRequests:
    """See `jitui.aftersales.platform_requests.RequestSource`; an order's id here is its number there."""

    def __init__(
        self, client: KuaishouClient, credentials: Credentials, options: KuaishouOptions | None = None
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._window = min((options or KuaishouOptions()).window, LONGEST_WINDOW)

    @property
    def name(self) -> str:
        return NAME

    @property
    def lists(self) -> ListRules:
        return ListRules(self._window, FURTHEST_BACK - _A_LITTLE)

    async def check(self) -> str | None:
        """Why the shop cannot be read; it reads a request and an order, so both rights are tried."""
        now = milliseconds(self._client.now())
        span = {"beginTime": now - 3_600_000, "endTime": now, "pageSize": 1}
        lists = {
            LIST: _listing(span["beginTime"], span["endTime"], 1, "", 1),
            ORDERS: {**span, "orderViewStatus": 1, "queryType": BY_UPDATE, "sort": OLDEST_FIRST, "cursor": ""},
        }
        for method, param in lists.items():
            answer = await self._client.read(method, param)
            if isinstance(answer, CallFailed | CallRefused):
                return problem_of(answer)
        ahead = self._client.ahead
        if ahead is not None and abs(ahead) > CLOCKS_DIFFER:
            return f"This machine's clock and Kuaishou's differ by {round(abs(ahead).total_seconds())} s: set it."
        return None

    async def requests_since(self, window: Window) -> AsyncIterator[list[PlatformRequest | UnreadableRequest]]:
        """By the time of the change, page by page with Kuaishou's cursor; the page's number is told as well."""
        begins_at, ends_at = milliseconds(window.begins_at), milliseconds(window.ends_at)
        cursor = ""
        for number in range(1, MOST_PAGES + 1):
            answer = await self._client.read(LIST, _listing(begins_at, ends_at, number, cursor, PAGE))
            page = _read(answer, RefundPage)
            if isinstance(page, CallFailed | CallRefused):
                raise Unavailable(problem_of(page))
            if page.refund_order_info_list:
                yield [self._listed(row) for row in page.refund_order_info_list]
            if page.pcursor == END_OF_LIST:
                return
            if page.pcursor in ("", cursor):
                raise Unavailable("Kuaishou's list of refund requests does not go on: it gave the same cursor again.")
            cursor = page.pcursor
        raise Unavailable(f"Kuaishou's list of refund requests has more than {MOST_PAGES} pages in one window.")

    async def read_request(self, request_id: str) -> PlatformRequest | UnreadableRequest | CallFailed | None:
        """The request now."""
        if not request_id.isdecimal():
            return None
        answer = await self._client.read(DETAIL, {"refundId": int(request_id)})
        row = _read(answer, RefundRow)
        if isinstance(answer, CallFailed):
            return answer
        if isinstance(row, CallFailed | CallRefused):
            return UnreadableRequest(request_id, self._client.now(), row.reason)
        return request_of(row) if str(row.refund_id) == request_id else _other("request")

    async def find_order(self, order_id: str) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        """The order now."""
        if not order_id.isdecimal():
            return None
        answer = await self._client.read(ORDER, {"oid": int(order_id)})
        order = _read(answer, Order)
        if isinstance(answer, CallFailed):
            return answer
        if isinstance(order, CallFailed | CallRefused):
            return UnreadableOrder(order_id, self._client.now(), order.reason)
        return order_of(order) if str(order.order_base_info.oid) == order_id else _other("order")

    async def contact_address(self, order_id: str) -> str | None:
        """None: Kuaishou gives a buyer's address only encrypted, and no e-mail."""
        return None

    async def approve(self, request: PlatformRequest) -> CallFailed | CallRefused | None:
        """Approve it as it was read.

        The call has no version, unlike a refusal: the amount, both states and the kind that were read are told, and
        Kuaishou refuses a request that is in another state.
        """
        done = await self._client.write(
            APPROVE,
            {
                "refundId": int(request.request_id),
                "refundAmount": request.amount_minor,
                "status": WAITING_STATUS,
                "negotiateStatus": WAITING_NEGOTIATION,
                "refundHandingWay": REFUND_ONLY,
            },
        )
        return done if isinstance(done, CallFailed | CallRefused) else None

    async def refuse(self, request: PlatformRequest, why: str) -> CallFailed | CallRefused | None:
        """Refuse the version that was read, with the first of Kuaishou's reasons that wants no picture."""
        answer = await self._client.read(REASONS, {"refundId": int(request.request_id)})
        reasons = _read(answer, list[RejectReason])
        if isinstance(reasons, CallFailed | CallRefused):
            return reasons
        reason = next((one for one in reasons if not one.required_reject_image), None)
        if reason is None:
            return CallRefused("every reason for a refusal wants a picture: refuse it in Kuaishou's own console")
        done = await self._client.write(
            REFUSE,
            {
                "refundId": int(request.request_id),
                "reasonCode": reason.reason_code,
                "rejectDesc": why[:MOST_WORDS],
                "refundVersion": int(request.version),
            },
        )
        return done if isinstance(done, CallFailed | CallRefused) else None

    def _listed(self, told: dict[str, Any]) -> PlatformRequest | UnreadableRequest:
        row = _read(told, RefundRow)
        if isinstance(row, RefundRow):
            return request_of(row)
        return UnreadableRequest(str(told.get("refundId", "")), self._client.now(), row.reason)

    def read_hint(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> NotificationIgnored | NotificationRefused:
        """Whether a message is Kuaishou's and for this app."""
        return read_message(body, self._credentials)


def _listing(begins_at: int, ends_at: int, number: int, cursor: str, size: int) -> dict[str, object]:
    return {
        "beginTime": begins_at,
        "endTime": ends_at,
        "type": ALL_REQUESTS,
        "queryType": BY_UPDATE,
        "sort": OLDEST_FIRST,
        "pageSize": size,
        "currentPage": number,
        "pcursor": cursor,
    }


def _read(answer: Any, form: type[_Row]) -> _Row | CallFailed | CallRefused:
    if isinstance(answer, CallFailed | CallRefused):
        return answer
    try:
        return msgspec.convert(answer, form, strict=False)
    except msgspec.ValidationError as error:
        return CallFailed(f"unreadable answer: {error}", CallTrouble.UNREADABLE)


def _other(what: str) -> CallFailed:
    return CallFailed(f"it answered with another {what} than was asked for", CallTrouble.UNREADABLE)


def problem_of(failed: CallFailed | CallRefused) -> str:
    """What to do about a call that came to nothing."""
    said = sentence(failed.reason)
    if isinstance(failed, CallRefused):
        return f"Kuaishou refuses to be read: {said} If it speaks of the time range, make the window smaller."
    match failed.trouble:
        case CallTrouble.UNAUTHORISED:
            return f"Kuaishou does not let us in: {said}"
        case CallTrouble.UNREADABLE:
            return f"What answers at the shop's address is not Kuaishou's gateway: {said} Check the address."
    return f"Kuaishou does not answer: {said} Check the address, and that it can be reached from here."
