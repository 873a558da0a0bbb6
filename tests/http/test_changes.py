"""The feed: stop-ship lines after an approval, cursors, waiting."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from tests.http.api import Api, shipment

BATCH = "application/cloudevents-batch+json"


async def test_an_approval_puts_its_lines_and_labels_on_the_feed(api: Api) -> None:
    await api.paid_order("o-1")
    await api.post("/v1/orders/o-1/shipments", shipment("label_printed"), key=api.shop)
    ticket = (await api.ask("o-1"))["ticket"]
    changes = (await api.get("/v1/changes", key=api.shop)).json()["changes"]
    kinds = [change["kind"] for change in changes]
    assert kinds == ["order.paid", "shipment.recorded", "ticket.requested", "ticket.approved", "stop_ship"]
    stop = changes[-1]
    assert stop["ticket_id"] == ticket["ticket_id"]
    assert stop["body"]["lines"] == [{"line_id": "l1", "sku": "sku-1", "item_id": "item-1", "quantity": 1}]
    assert stop["body"]["labels_printed"] == [{"carrier": "sf", "tracking_no": "SF1"}]


async def test_which_arm_decided_stays_with_the_platform(api: Api) -> None:
    await api.paid_order("o-1")
    await api.ask("o-1")

    async def asked(key: str) -> dict[str, Any]:
        changes = (await api.get("/v1/changes", key=key)).json()["changes"]
        return next(change["body"] for change in changes if change["kind"] == "ticket.requested")

    assert "arm" in await asked(api.platform)
    assert "arm" not in await asked(api.shop)


async def test_a_reader_that_remembers_its_place_sees_everything_once(api: Api) -> None:
    other = (await issue_key(api.service.keys, KeyScope.SHOP, "shop-2", label="", now=api.now())).secret
    for number in range(6):
        await api.paid_order(f"o-{number}", shop_id=f"shop-{number % 2 + 1}")
    seen: list[int] = []
    after = None
    while True:
        page = (await api.get("/v1/changes", params={"limit": 4, **({"after": after} if after else {})})).json()
        after = page["next"]
        if not page["changes"]:
            break
        seen += [change["position"] for change in page["changes"]]
    assert len(seen) == 6
    assert seen == sorted(set(seen))
    theirs = (await api.get("/v1/changes", key=other)).json()["changes"]
    assert {change["shop_id"] for change in theirs} == {"shop-2"}


async def test_a_reader_that_waits_gets_what_comes(api: Api) -> None:
    place = (await api.get("/v1/changes")).json()["next"]
    waiting = asyncio.create_task(api.get("/v1/changes", params={"after": place, "wait_seconds": 30}))
    await asyncio.sleep(0.1)
    await api.paid_order("o-1")
    changes = (await waiting).json()["changes"]
    assert [change["kind"] for change in changes] == ["order.paid"]


async def test_waiting_ends_with_its_time_or_with_the_process(api: Api) -> None:
    assert (await api.get("/v1/changes", params={"wait_seconds": 1})).json()["changes"] == []
    waiting = asyncio.create_task(api.get("/v1/changes", params={"wait_seconds": 30}))
    await asyncio.sleep(0.1)
    api.litestar.state.stopping.now()
    assert (await waiting).json()["changes"] == []


async def test_the_feed_as_cloud_events_says_the_same(api: Api) -> None:
    await api.paid_order("o-1")
    ticket = (await api.ask("o-1"))["ticket"]
    plain = (await api.get("/v1/changes")).json()
    got = await api.get("/v1/changes", headers={"accept": BATCH})
    assert got.headers["content-type"] == f"{BATCH}; charset=utf-8"
    events = got.json()
    assert [event["type"] for event in events] == [f"jitui.{change['kind']}" for change in plain["changes"]]
    for event, change in zip(events, plain["changes"], strict=True):
        read = JSONFormat().read(CloudEvent, json.dumps(event))
        assert (read.get_specversion(), read.get_source()) == ("1.0", "/shops/shop-1")
        assert read.get_time() == datetime.fromisoformat(change["at"])
        assert (read.get_subject(), read.get_extension("partitionkey")) == ("orders/o-1", "o-1")
        assert int(read.get_extension("sequence")) == change["position"]
        same = {name: change[name] for name in ("order_id", "buyer_pseudonym", "shop_id", "ticket_id", "body")}
        assert read.get_data() == same
    assert events[-1]["data"]["ticket_id"] == ticket["ticket_id"]
    assert len({event["id"] for event in events}) == len(events)
    assert got.headers["link"] == f'</v1/changes?after={plain["next"]}&limit=50>; rel="next"'
    assert events == (await api.get("/v1/changes", headers={"accept": BATCH})).json(), "the ids stay"


async def test_pages_of_cloud_events_lead_on(api: Api) -> None:
    for number in range(3):
        await api.paid_order(f"o-{number}")
    seen: list[str] = []
    path = "/v1/changes?limit=2"
    for _ in range(3):
        got = await api.get(path, headers={"accept": BATCH})
        seen += [event["data"]["order_id"] for event in got.json()]
        path = got.headers["link"].partition(">")[0].removeprefix("<")
    assert seen == ["o-0", "o-1", "o-2"]


async def test_cloud_events_come_only_when_they_are_asked_for(api: Api) -> None:
    for accept in ("*/*", "application/json", f"application/json, {BATCH}", "text/html", f"{BATCH};q=inf", ""):
        got = await api.get("/v1/changes", headers={"accept": accept})
        assert got.headers["content-type"] == "application/json", accept
        assert got.headers["vary"] == "Accept"
        assert got.json()["changes"] == []
    got = await api.get("/v1/changes", headers={"accept": f"application/json;q=0.5, {BATCH}"})
    assert got.json() == []


async def test_which_arm_decided_stays_with_the_platform_in_cloud_events_too(api: Api) -> None:
    await api.paid_order("o-1")
    await api.ask("o-1")
    for key, told in ((api.platform, True), (api.shop, False)):
        events = (await api.get("/v1/changes", key=key, headers={"accept": BATCH})).json()
        (requested,) = (event for event in events if event["type"] == "jitui.ticket.requested")
        assert ("arm" in requested["data"]["body"]) is told


async def test_an_event_from_before_this_release_has_an_id_too(api: Api) -> None:
    await api.paid_order("o-1")
    async with api.market.pool.connection() as connection:
        await connection.execute("UPDATE change SET event_uuid = NULL")
    (event,) = (await api.get("/v1/changes", headers={"accept": BATCH})).json()
    assert event["id"] == f"evt_{int(event['sequence'])}"


async def test_ids_of_others_are_written_as_parts_of_an_address(api: Api) -> None:
    await api.market.paid_order("buyer-1", "订单?1", shop_id="店#1")
    (event,) = (await api.get("/v1/changes", headers={"accept": BATCH})).json()
    assert event["source"] == "/shops/%E5%BA%97%231"
    assert event["subject"] == "orders/%E8%AE%A2%E5%8D%95%3F1"
    assert event["partitionkey"] == event["data"]["order_id"] == "订单?1"
