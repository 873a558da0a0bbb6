"""Medusa's orders become ours: lines, money, refunds and shipments, in what a real one was seen to answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from jitui.adapters.platforms.medusa.forms import Order, Placed
from jitui.adapters.platforms.medusa.mapping import order_of
from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.platform import PlatformOrder, UnreadableOrder, reference_of
from jitui.aftersales.provider import RefundResultKind

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


def amount(value: str) -> dict[str, object]:
    """As Medusa writes exact numbers."""
    return {"value": value, "precision": 20}


def item(line_id: str, quantity: str, total: str) -> dict[str, object]:
    return {
        "id": line_id,
        "title": f"a {line_id}",
        "product_id": f"prod_{line_id}",
        "variant_sku": line_id,
        "raw_quantity": amount(quantity),
        "raw_total": amount(total),
    }


def placed(line_id: str, quantity: str, price: str, *, inclusive: bool = True, **more: Any) -> Placed:
    sold = {
        "title": f"a {line_id}",
        "product_id": f"prod_{line_id}",
        "variant_sku": line_id,
        "raw_unit_price": amount(price),
        "is_tax_inclusive": inclusive,
        **more,
    }
    return msgspec.convert({"item_id": line_id, "raw_quantity": amount(quantity), "item": sold}, Placed)


def order(*first: Placed, **more: Any) -> PlatformOrder | UnreadableOrder:
    """An order of two cups for 39.90 each, with 5.00 of freight, and what a test says of it."""
    told = {
        "id": "order_1",
        "display_id": 7,
        "custom_display_id": None,
        "status": "pending",
        "version": 1,
        "currency_code": "cny",
        "customer_id": "cus_1",
        "created_at": AT.isoformat(),
        "updated_at": (AT + timedelta(minutes=1)).isoformat(),
        "raw_shipping_total": amount("5"),
        "items": [item("cup", "2", "79.8")],
        **more,
    }
    return order_of(msgspec.json.decode(msgspec.json.encode(told), type=Order), first)


def read(*first: Placed, **more: Any) -> PlatformOrder:
    found = order(*first, **more)
    assert isinstance(found, PlatformOrder), found
    return found


def payment(captures: list[str], refunds: list[dict[str, object]] | None = None) -> dict[str, object]:
    times = ((AT + timedelta(minutes=2 + n)).isoformat() for n in range(len(captures)))
    taken = [{"raw_amount": amount(one), "created_at": at} for one, at in zip(captures, times, strict=True)]
    return {"payment_collections": [{"payments": [{"id": "pay_1", "captures": taken, "refunds": refunds or []}]}]}


def refund(refund_id: str, value: str, note: str | None = None) -> dict[str, object]:
    return {"id": refund_id, "raw_amount": amount(value), "created_at": AT.isoformat(), "note": note}


# Names --------------------------------------------------------------------------------------------------------------


def test_an_order_has_the_number_that_buyers_know() -> None:
    found = read()
    assert (found.order_id, found.platform_id, found.buyer_id) == ("7", "order_1", "medusa-cus_1")
    assert read(custom_display_id="A-7").order_id == "A-7"


def test_a_line_that_was_written_by_hand_has_a_name_too() -> None:
    by_hand = {**item("ordli_1", "1", "3"), "product_id": None, "variant_sku": None}
    (line,) = read(items=[by_hand]).lines
    assert (line.sku, line.item_id) == ("ordli_1", "ordli_1")


# Money --------------------------------------------------------------------------------------------------------------


def test_amounts_are_exact() -> None:
    found = read(**payment(["84.8"]))
    assert [line.paid_minor for line in found.lines] == [7980]
    assert found.freight_minor == 500
    assert [paid.amount_minor for paid in found.payments] == [8480]
    large = read(items=[item("cup", "1", "90071992547.93")], raw_shipping_total=amount("0"))
    assert large.lines[0].paid_minor == 9007199254793, "no float has these digits"


@pytest.mark.parametrize(("currency", "value", "minor"), [("jpy", "500", 500), ("bhd", "1.234", 1234)])
def test_the_decimals_are_the_currency_s(currency: str, value: str, minor: int) -> None:
    found = read(currency_code=currency, items=[item("cup", "1", value)], raw_shipping_total=amount("0"))
    assert found.lines[0].paid_minor == minor


def test_fractions_are_rounded_so_that_the_parts_fit_the_payment() -> None:
    """A discount of 7 %: 111.321 and 9.3 and 5, in all 125.621."""
    items = [item("a", "3", "111.3210000000000007"), item("b", "1", "9.300000000000000075")]
    found = read(items=items, **payment(["125.621"]))
    assert [line.paid_minor for line in found.lines] == [11132, 930]
    assert (found.freight_minor, found.payments[0].amount_minor) == (500, 12562)


def test_a_half_is_rounded_up_and_no_part_is_lost() -> None:
    items = [item(name, "1", "0.005") for name in "abc"]
    found = read(items=items, raw_shipping_total=amount("0"), **payment(["0.015"]))
    assert [line.paid_minor for line in found.lines] == [1, 0, 1]
    assert (found.freight_minor, found.payments[0].amount_minor) == (0, 2)


def test_a_payment_is_what_was_captured_so_far() -> None:
    found = read(**payment(["20", "24.9"]))
    assert [(paid.amount_minor, paid.captured_at) for paid in found.payments] == [(4490, AT + timedelta(minutes=2))]
    assert read(**payment([])).payments == ()


# Refunds ------------------------------------------------------------------------------------------------------------


def test_a_refund_is_ours_by_its_note_and_done_by_its_transaction() -> None:
    attempt = uuid4()
    refunds = [refund("ref_1", "39.9", reference_of(attempt)), refund("ref_2", "10", "goodwill"), refund("ref_3", "1")]
    found = read(
        **payment(["84.8"], refunds),
        transactions=[
            {"reference": "refund", "reference_id": "ref_1"},
            {"reference": "capture", "reference_id": "ref_2"},
        ],
    )
    (paid,) = found.payments
    ours = paid.refund_of(attempt)
    assert ours is not None
    assert (ours.refund_id, ours.amount_minor, ours.state) == ("ref_1", 3990, RefundResultKind.SUCCEEDED)
    assert [one.state for one in paid.refunds[1:]] == [RefundResultKind.UNKNOWN, RefundResultKind.UNKNOWN]
    assert "does not say" in paid.refunds[1].said
    assert paid.elsewhere_minor == 1100, "also what may have been paid"


def test_a_refund_of_less_than_a_minor_unit_is_none() -> None:
    assert read(**payment(["84.8"], [refund("ref_1", "0.001")])).payments[0].refunds == ()


# Edited orders ------------------------------------------------------------------------------------------------------


def test_units_that_an_edit_took_out_are_cancelled() -> None:
    found = read(placed("cup", "3", "39.9"), placed("card", "1", "10"), version=2)
    assert [(line.line_id, line.quantity, line.cancelled, line.paid_minor) for line in found.lines] == [
        ("card", 1, 1, 1000),
        ("cup", 3, 1, 11970),
    ]


def test_what_a_shortened_line_cost_has_its_taxes_and_its_first_discount() -> None:
    """As a real one computed it: three at 39.90 with 13 % in them, less 7 %, make 111.321."""
    taxes = [{"raw_rate": amount("13")}]
    discounts = [
        {"raw_amount": amount("7.41504424778761"), "version": 1, "is_tax_inclusive": False},
        {"raw_amount": amount("7.41504424778761"), "version": 2, "is_tax_inclusive": False},
    ]
    with_taxes = placed("cup", "3", "39.9", tax_lines=taxes, adjustments=discounts)
    assert read(with_taxes, version=2).lines[0].paid_minor == 11132
    on_top = placed("cup", "3", "10", inclusive=False, tax_lines=taxes)
    assert read(on_top, version=2).lines[0].paid_minor == 3390
    gross = [{"raw_amount": amount("9"), "version": 1, "is_tax_inclusive": True}]
    assert read(placed("cup", "3", "10", tax_lines=taxes, adjustments=gross), version=2).lines[0].paid_minor == 2100


def test_what_an_edit_added_is_a_line_and_more_units_are_no_cancelling() -> None:
    found = read(placed("cup", "1", "39.9"), version=2, items=[item("cup", "2", "79.8"), item("plate", "1", "60")])
    assert [(line.line_id, line.quantity, line.cancelled, line.paid_minor) for line in found.lines] == [
        ("cup", 2, 0, 7980),
        ("plate", 1, 0, 6000),
    ]


def test_a_line_with_all_of_its_units_costs_what_medusa_says_now() -> None:
    """Somebody may have changed its price."""
    assert read(placed("cup", "2", "50"), version=2).lines[0].paid_minor == 7980


def test_nothing_of_a_cancelled_order_is_shipped() -> None:
    assert [line.cancelled for line in read(status="canceled").lines] == [2]


# Shipments ----------------------------------------------------------------------------------------------------------


def sent(sent_id: str = "ful_1", units: str = "1", *more: Mapping[str, object], **times: Any) -> dict[str, object]:
    return {
        "id": sent_id,
        "created_at": AT.isoformat(),
        "provider_id": "manual_manual",
        "items": [{"line_item_id": "cup", "raw_quantity": amount(units)}, *more],
        "labels": [{"tracking_number": " "}, {"tracking_number": "SF1"}] if times.get("shipped_at") else [],
        **{name: at.isoformat() for name, at in times.items()},
    }


@pytest.mark.parametrize(
    ("times", "status", "tracking"),
    [
        ({}, ShipmentStatus.LABEL_PRINTED, "medusa-ful_1"),
        ({"packed_at": AT}, ShipmentStatus.LABEL_PRINTED, "medusa-ful_1"),
        ({"packed_at": AT, "shipped_at": AT}, ShipmentStatus.SHIPPED, "SF1"),
        ({"shipped_at": AT, "delivered_at": AT}, ShipmentStatus.DELIVERED, "SF1"),
    ],
)
def test_a_fulfilment_is_a_shipment(times: dict[str, Any], status: ShipmentStatus, tracking: str) -> None:
    (found,) = read(fulfillments=[sent(**times)]).shipments
    assert (found.status, found.tracking_no, found.shipment_id) == (status, tracking, "medusa-ful_1")
    assert found.lines == (LineUnits("cup", 1),)


def test_a_cancelled_fulfilment_is_none() -> None:
    assert read(fulfillments=[sent(canceled_at=AT)]).shipments == ()


def test_a_kit_is_counted_by_its_least_part() -> None:
    """Each part of a kit has a row, with as many as the kit has of it."""
    four = {"line_item_id": "cup", "raw_quantity": amount("4")}
    (found,) = read(items=[item("cup", "9", "90")], fulfillments=[sent("ful_1", "2", four)]).shipments
    assert found.lines == (LineUnits("cup", 2),)
    (found,) = read(fulfillments=[sent("ful_1", "8")]).shipments
    assert found.lines == (LineUnits("cup", 2),), "and never more than the line has"
    (found,) = read(fulfillments=[sent("ful_1", "1", {"line_item_id": None, "raw_quantity": amount("1")})]).shipments
    assert found.lines == (LineUnits("cup", 1),)


def test_an_order_is_completed_when_all_of_it_arrived() -> None:
    later = AT + timedelta(days=1)
    both = [sent("ful_1", delivered_at=AT), sent("ful_2", delivered_at=later)]
    gone = sent("ful_3", delivered_at=later + timedelta(days=1), canceled_at=AT)
    assert read(fulfillment_status="delivered", fulfillments=[*both, gone]).delivered_at == later
    assert read(fulfillment_status="partially_delivered", fulfillments=both).delivered_at is None


# What cannot be an order --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"currency_code": "xau"}, "minor units"),
        ({"customer_id": None}, "no customer"),
        ({"items": []}, "no lines"),
        ({"items": [item("cup", "0", "0")]}, "no lines"),
        ({"items": [item("cup", "1.5", "10")]}, "1.5 units"),
        ({"items": [item("cup", "1", "-0.01")]}, "less than nothing"),
        ({"raw_shipping_total": amount("-1")}, "less than nothing"),
        ({"items": [item("cup", "1", "1e30")]}, "too large"),
        ({"items": [item("cup", "1", "NaN")]}, "is no number"),
        ({"items": [item("cup", "1", "Infinity")]}, "is no number"),
        ({"items": [item("cup", "NaN", "1")]}, "NaN units"),
        ({"fulfillments": [sent("ful_1", "0.5")]}, "0.5 units"),
    ],
)
def test_what_cannot_be_an_order_says_why(more: dict[str, Any], said: str) -> None:
    found = order(**more)
    assert isinstance(found, UnreadableOrder), found
    assert (found.order_id, found.changed_at) == ("7", AT + timedelta(minutes=1))
    assert said in found.reason
