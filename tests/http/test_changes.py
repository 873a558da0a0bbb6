"""The feed: stop-ship lines after an approval, cursors, waiting."""

from __future__ import annotations

import asyncio
from typing import Any

from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from tests.http.api import Api, shipment


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
