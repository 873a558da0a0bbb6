"""The completeness of the history, per kind of event."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from litestar.params import FromPath
from msgspec import UNSET, Meta, UnsetType

from jitui.aftersales.ports import HistoryRecord
from jitui.entrypoints.http.fields import Time
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation, put
from jitui.entrypoints.http.problems import FaultCollector
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown, check_event_kind, left_out, said
from jitui.identity.access import Permission
from jitui.policy.facts import BUYER_EVENTS, SHOP_EVENTS

_KINDS = sorted({*BUYER_EVENTS, *SHOP_EVENTS})


class HistorySent(Sent, frozen=True, kw_only=True):
    """From when on a kind of event is complete; fields that are not sent stay.

    Up to when it is fresh; null (the default): fed as it happens. ||| Up to when it is fresh; null (the default): fed
    as it happens.
    """

    complete_from: Time
    fresh_until: Annotated[
        Time | UnsetType | None, Meta(description="Up to when it is fresh; null, and at first: fed as it happens.")
    ] = UNSET


class HistoryAnswer(Shown, frozen=True, kw_only=True):
    """From when on a kind of event is complete."""

    kind: str
    complete_from: datetime
    fresh_until: datetime | None


class HistoryList(Shown, frozen=True, kw_only=True):
    """All kinds that were ever declared; the history of other kinds is unknown, not zero."""

    history: tuple[HistoryAnswer, ...]


@put(
    "/v1/history/{kind:str}",
    tags=["History"],
    summary="Declare a kind of history complete",
    description="History that was never declared is unknown, and unknown never approves.",
    opt=operation({200: HistoryAnswer}, Permission.HISTORY_WRITE, body=HistorySent),
)
async def put_history(request: RequestContext, kind: FromPath[str]) -> Reply:
    """Declare from when on a kind of event is complete."""
    sent = await read_body(request, HistorySent)
    fresh_until = said(sent.fresh_until, None)
    faults = FaultCollector()
    check_event_kind(faults, "kind", kind, _KINDS)
    faults.time("complete_from", sent.complete_from)
    faults.time("fresh_until", fresh_until)
    faults.settle()
    record = HistoryRecord(kind, sent.complete_from, fresh_until)
    (stands,) = await request.service.registry.record_history([record], kept=left_out(sent))
    return answer(shown(HistoryAnswer, stands))


@get(
    "/v1/history",
    tags=["History"],
    summary="List what is declared complete",
    opt=operation({200: HistoryList}, Permission.HISTORY_READ),
)
async def list_history(request: RequestContext) -> Reply:
    """Return the kinds that are declared complete."""
    records = await request.service.registry.history_records()
    return answer(HistoryList(history=tuple(shown(HistoryAnswer, record) for record in records)))


HANDLERS = (put_history, list_history)

_DECLARED = HistoryAnswer(kind="order_completed", complete_from=sample.PAID_AT - timedelta(days=730), fresh_until=None)
EXAMPLES = (
    HistorySent(complete_from=sample.PAID_AT - timedelta(days=730)),
    _DECLARED,
    HistoryList(history=(_DECLARED,)),
)
