"""How an event of the feed looks as a CloudEvent, in answers and in what webhook endpoints get."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Shown


class ChangeData(Shown, frozen=True, kw_only=True):
    """What happened, without what the event's attributes say."""

    order_id: str
    buyer_pseudonym: str
    shop_id: str
    ticket_id: UUID | None
    body: Mapping[str, object]


class CloudEventAnswer(Shown, frozen=True, kw_only=True):
    """An event of the feed as a CloudEvent 1.0 (structured mode, JSON)."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"]
    sequence: str
    partitionkey: str
    data: ChangeData


EXAMPLES = (
    CloudEventAnswer(
        specversion="1.0",
        id="evt_42_5b3c0f0e7f1a4b0c9d2e6a7b8c9d0e1f",
        source="/shops/s-1",
        type="jitui.ticket.refunded",
        subject="orders/o-1001",
        time=sample.REFUNDED_AT,
        datacontenttype="application/json",
        sequence="0000000000000000042",
        partitionkey="o-1001",
        data=ChangeData(
            order_id="o-1001",
            buyer_pseudonym=sample.PSEUDONYM,
            shop_id="s-1",
            ticket_id=sample.TICKET_ID,
            body={"amount_minor": 12900, "currency": "CNY"},
        ),
    ),
)
