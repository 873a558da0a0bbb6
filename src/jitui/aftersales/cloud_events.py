"""What happened as CloudEvents 1.0 in JSON: one event on the feed and to every webhook endpoint, with one id."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.spec import SPECVERSION_V1_0
from cloudevents.core.v1.event import CloudEvent

from jitui.aftersales.ports import OutgoingEvent

MEDIA_TYPE = "application/cloudevents+json"
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"
TYPE_PREFIX = "jitui."
"""A type is the feed's kind behind it: `jitui.ticket.refunded`."""

_POSITION_DIGITS = 19
_FORMAT = JSONFormat()


def event_json(event: OutgoingEvent, *, for_platform: bool) -> bytes:
    """The event in structured mode. `sequence` sorts as text; events of one `partitionkey`, an order, are in order.

    An event about a cap is of no order: it is the platform's, and its subject is the cap.
    """
    of_cap = f"caps/{event.body.get('scope', '')}/{quote(str(event.body.get('ref', '')), safe='')}"
    attributes = {
        "specversion": SPECVERSION_V1_0,
        "id": event.event_id,
        "source": f"/shops/{quote(event.shop_id, safe='')}" if event.order_id else "/platform",
        "type": f"{TYPE_PREFIX}{event.kind}",
        "subject": f"orders/{quote(event.order_id, safe='')}" if event.order_id else of_cap,
        "time": event.at,
        "datacontenttype": "application/json",
        "sequence": f"{event.position:0{_POSITION_DIGITS}d}",
        "partitionkey": event.order_id or of_cap,
    }
    data = {
        "order_id": event.order_id,
        "buyer_pseudonym": event.buyer_pseudonym,
        "shop_id": event.shop_id,
        "ticket_id": str(event.ticket_id) if event.ticket_id is not None else None,
        "body": dict(visible_body(event, for_platform=for_platform)),
    }
    return _FORMAT.write(CloudEvent(attributes, data))


def visible_body(event: OutgoingEvent, *, for_platform: bool) -> Mapping[str, object]:
    """What the kind of event tells beside; which arm of an experiment decided is the platform's own."""
    return event.body if for_platform else {name: value for name, value in event.body.items() if name != "arm"}
