"""The shipping page: a tracking number by one click or typed, a file that is checked first, answers to stop-ships."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from jitui.aftersales import shipping_risks
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.order import FulfillmentStatus, ShipmentSource, ShipmentStatus
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.ports import OrderRef
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, OTHER_SHOP, PREMIUM, SHOP, Marketplace
from tests.console.pages import Page, Visitor

GOODS = [("水壶", 1, 8900)]
HOME = "/merchant/shipping"


async def snapshot(market: Marketplace, ref: OrderRef) -> OrderSnapshot:
    found = await market.service.store.read_order(ref)
    assert found is not None
    return found


def later(market: Marketplace, by: timedelta) -> None:
    """The service's clock goes on, so that what waits becomes a risk."""
    object.__setattr__(market.service, "clock", lambda: datetime.now(UTC) + by)


async def upload(visitor: Visitor, content: bytes) -> httpx.Response:
    token = (await visitor.see(HOME)).form(f"{HOME}/file").fields["_csrf_token"]
    return await visitor.http.post(
        f"{HOME}/file", data={"_csrf_token": token}, files={"file": ("numbers.csv", content, "text/csv")}
    )


async def test_a_number_is_typed_and_what_became_of_it_is_said(market: Marketplace, visit: Visit) -> None:
    ref = await market.order(PREMIUM, "A-1", GOODS)
    others = await market.order(NEWCOMER, "C-1", GOODS, shop=OTHER_SHOP)
    shop = await visit(SHOP)
    typed = {"order_id": "A-1", "carrier": "顺丰", "tracking_no": "SF1"}
    for wrong in ({"order_id": ""}, {"tracking_no": "S F"}, {"tracking_no": "1" * 65}, {"carrier": "x" * 65}):
        form = next(one for one in (await shop.see(HOME)).forms if one.action == HOME)
        refused = await shop.post(HOME, {**form.fields, **typed, **wrong})
        assert refused.status_code == 422
    token = (await shop.see(HOME)).forms[-1].fields["_csrf_token"]
    done = await shop.post(HOME, {"_csrf_token": token, **typed})
    assert done.status_code == 200 and "A-1 · SF1 · Recorded" in Page(done.text).text
    assert (await snapshot(market, ref)).fulfillment is FulfillmentStatus.SHIPPED
    again = await shop.post(HOME, {"_csrf_token": token, **typed})
    assert "Known already" in Page(again.text).text
    foreign = await shop.post(HOME, {"_csrf_token": token, **typed, "order_id": "C-1", "tracking_no": "SF2"})
    assert foreign.status_code == 409
    assert "not yours to see" in Page(foreign.text).text and 'value="SF2"' in foreign.text
    assert (await snapshot(market, others)).shipments == ()


async def test_a_label_is_recorded_as_shipped_by_one_click(market: Marketplace, visit: Visit) -> None:
    ref = await market.order(PREMIUM, "A-1", GOODS)
    await market.parcel(ref, ShipmentStatus.LABEL_PRINTED)
    later(market, shipping_risks.RiskTimes().label_late_after + timedelta(minutes=1))
    shop = await visit(SHOP)
    form = next(one for one in (await shop.see(HOME)).forms if one.fields.get("tracking_no") == "SF1020304050")
    assert (await shop.post(HOME, form.fields)).status_code == 200
    assert (await snapshot(market, ref)).fulfillment is FulfillmentStatus.SHIPPED
    assert "Nothing is at risk" in (await shop.see(HOME)).text


async def test_a_scan_without_a_number_is_entered_by_one_click(market: Marketplace, visit: Visit) -> None:
    ref = await market.order(PREMIUM, "A-1", GOODS)
    await market.parcel(ref, ShipmentStatus.PICKED_UP, ShipmentSource.CARRIER)
    shop = await visit(SHOP)
    form = next(one for one in (await shop.see(HOME)).forms if one.fields.get("tracking_no") == "SF1020304050")
    await shop.post(HOME, form.fields)
    assert (await snapshot(market, ref)).shipments[0].entered_at is not None


@pytest.mark.parametrize("gone", [False, True])
async def test_a_stop_ship_is_answered(market: Marketplace, visit: Visit, gone: bool) -> None:
    ref = await market.order(PREMIUM, "A-1", GOODS)
    await market.parcel(ref, ShipmentStatus.LABEL_PRINTED)
    ticket_id = await market.ask(PREMIUM, "A-1")
    await market.service.feed.publish()
    await market.service.feed.roll_up(market.service.clock())  # what the worker does
    later(market, timedelta(hours=1))
    shop = await visit(SHOP)
    path = f"/merchant/tickets/{ticket_id}/stop-ship"
    fields = {**(await shop.see(HOME)).form(path).fields, "tracking_no": "SF1020304050", "carrier": "顺丰"}
    assert path in {form.action for form in (await shop.see(f"/merchant/tickets/{ticket_id}")).forms}
    other = await visit(OTHER_SHOP)
    theirs = {**fields, "_csrf_token": (await other.see(HOME)).forms[-1].fields["_csrf_token"], "outcome": "held"}
    assert (await other.post(path, theirs)).status_code == 404
    assert (await shop.post(path, {**fields, "outcome": "lost"})).status_code == 400
    assert (await shop.post(path, {**fields, "outcome": "already_gone", "tracking_no": ""})).status_code == 422
    outcome = "already_gone" if gone else "held"
    assert (await shop.post(path, {**fields, "outcome": outcome})).status_code == 303
    told = [event.why for event in (await snapshot(market, ref)).timeline]
    assert f"stop_ship_{outcome}" in told
    assert path not in {form.action for form in (await shop.see(f"/merchant/tickets/{ticket_id}")).forms}
    incidents = await market.service.queries.incidents(IncidentFilter(shop_id=SHOP.subject_id))
    assert len(incidents) == int(gone)
    if gone:
        assert (await shop.post(path, {**fields, "outcome": "held"})).status_code == 409


async def test_a_file_is_checked_and_then_recorded(market: Marketplace, visit: Visit) -> None:
    refs = [await market.order(PREMIUM, order_id, GOODS) for order_id in ("1234567890123456789", "A-2", "A-3")]
    await market.order(NEWCOMER, "C-1", GOODS, shop=OTHER_SHOP)
    await market.ask(PREMIUM, "A-3")
    shop = await visit(SHOP)
    lines = ["订单号,物流单号,物流公司", "1234567890123456789,SF1,顺丰"]
    lines += ["A-2,SF2,", "A-3,SF3,", "C-1,SF4,", "A-2,,", "gone,SF5,"]
    checked = await upload(shop, "\n".join(lines).encode("gb18030"))
    page = Page(checked.text)
    assert checked.status_code == 200 and "Nothing is recorded yet." in page.text
    assert "2 rows are fine, 4 are not." in page.text and "Line 6" in page.text
    assert page.text.count("Will be recorded") == 2
    assert "These units were refunded: do not ship them." in page.text and "not yours to see" in page.text
    assert [(await snapshot(market, ref)).shipments for ref in refs] == [(), (), ()]
    done = Page((await shop.post(f"{HOME}/record", page.form(f"{HOME}/record").fields)).text)
    assert done.text.count("Recorded") == 2
    shipped = [(await snapshot(market, ref)).shipments for ref in refs]
    assert [[one.tracking_no for one in parcels] for parcels in shipped] == [["SF1"], ["SF2"], []]
    again = Page((await upload(shop, "\n".join(lines).encode())).text)
    assert "Known already" in again.text


async def test_rows_of_another_shops_order_are_refused_as_they_are_recorded(market: Marketplace, visit: Visit) -> None:
    """What a form sends is not what a check has shown."""
    own = await market.order(PREMIUM, "A-1", GOODS)
    others = await market.order(NEWCOMER, "C-1", GOODS, shop=OTHER_SHOP)
    shop = await visit(SHOP)
    fields = Page((await upload(shop, b"order_id,tracking_no\nA-1,SF1\n")).text).form(f"{HOME}/record").fields
    assert '"A-1"' in fields["rows"]
    foreign = {**fields, "rows": fields["rows"].replace('"A-1"', '"C-1"')}
    done = Page((await shop.post(f"{HOME}/record", foreign)).text)
    assert "not yours to see" in done.text and (await snapshot(market, others)).shipments == ()
    await shop.post(f"{HOME}/record", fields)
    assert [one.tracking_no for one in (await snapshot(market, own)).shipments] == ["SF1"]


async def test_carrier_and_time_of_a_row_are_recorded_as_they_were_checked(market: Marketplace, visit: Visit) -> None:
    ref = await market.order(PREMIUM, "A-1", GOODS)
    left = (market.service.clock() - timedelta(hours=1)).replace(microsecond=0)
    shop = await visit(SHOP)
    content = f"order_id,tracking_no,carrier,happened_at\nA-1,SF1,sf,{left.isoformat()}\n"
    page = Page((await upload(shop, content.encode())).text)
    await shop.post(f"{HOME}/record", page.form(f"{HOME}/record").fields)
    (parcel,) = (await snapshot(market, ref)).shipments
    assert (parcel.carrier, parcel.happened_at, parcel.source) == ("sf", left, ShipmentSource.MERCHANT)


async def test_of_a_number_for_two_buyers_only_the_first_row_is_recorded(market: Marketplace, visit: Visit) -> None:
    """A check knows each row alone; as they are recorded, a number is one buyer's."""
    refs = [await market.order(who, order_id, GOODS) for who, order_id in ((PREMIUM, "A-1"), (NEWCOMER, "B-1"))]
    shop = await visit(SHOP)
    page = Page((await upload(shop, b"order_id,tracking_no\nA-1,SF1\nB-1,SF1\n")).text)
    assert page.text.count("Will be recorded") == 2
    done = Page((await shop.post(f"{HOME}/record", page.form(f"{HOME}/record").fields)).text)
    assert done.text.count("Recorded") == 1
    assert [len((await snapshot(market, ref)).shipments) for ref in refs] == [1, 0]


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"\x00\xff\xfe\x01", b"order_id,tracking_no\n" + b"a,b\n" * 501]
)
async def test_what_is_no_file_of_numbers_is_refused_in_words(visit: Visit, content: bytes) -> None:
    refused = await upload(await visit(SHOP), content)
    assert refused.status_code == 422
    assert "banner-bad" in refused.text


async def test_a_form_without_the_sessions_token_uploads_nothing(visit: Visit) -> None:
    shop = await visit(SHOP)
    files = {"file": ("numbers.csv", b"order_id,tracking_no\nA-1,SF1\n", "text/csv")}
    assert (await shop.http.post(f"{HOME}/file", data={"_csrf_token": "x"}, files=files)).status_code == 403


ROW = '{"order_id": "a", "tracking_no": "b"}'


@pytest.mark.parametrize("rows", ["", "{}", '[{"order_id": "a b", "tracking_no": "1"}]', f"[{', '.join([ROW] * 501)}]"])
async def test_rows_that_no_check_made_are_a_bad_request(visit: Visit, rows: str) -> None:
    shop = await visit(SHOP)
    token = (await shop.see(HOME)).forms[-1].fields["_csrf_token"]
    assert (await shop.post(f"{HOME}/record", {"_csrf_token": token, "rows": rows})).status_code == 400
