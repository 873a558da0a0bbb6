"""Notices over HTTP: the list, what one would say now, sending one again, and what operators choose."""

from __future__ import annotations

from tests.http.api import SHOP, Api


async def queued(api: Api, orders: int) -> None:
    """Notices are on; then requests come in, of which buyer and shop are to be told."""
    queue = api.service.notices.queue
    await queue.fan_out(api.now())
    for number in range(orders):
        await api.reviewed(f"o-{number}")
        api.now.later(minutes=2)
    await queue.fan_out(api.now())


async def test_the_list_is_read_in_pages_and_by_one_recipient(api: Api) -> None:
    await queued(api, 3)
    cursor, read = "", []
    while cursor is not None:
        page = (await api.get(f"/v1/notices?limit=2{cursor and f'&cursor={cursor}'}")).json()
        read += [row["notice_id"] for row in page["notices"]]
        cursor = page["next"]
    assert len(read) == len(set(read)) == 6
    of_shop = (await api.get(f"/v1/notices?shop_id={SHOP}&state=pending")).json()["notices"]
    assert {row["kind"] for row in of_shop} == {"review_asked"} and len(of_shop) == 3
    assert (await api.get(f"/v1/notices?operator={SHOP}")).json()["notices"] == []
    both = await api.get(f"/v1/notices?shop_id={SHOP}&buyer_id=b-1")
    assert (both.status_code, both.json()["path"]) == (400, "shop_id")


async def test_a_preview_says_what_is_true_now_and_only_what_was_given_up_is_sent_again(api: Api) -> None:
    await queued(api, 1)
    (asked,) = (await api.get(f"/v1/notices?shop_id={SHOP}")).json()["notices"]
    path = f"/v1/notices/{asked['notice_id']}"
    mail = (await api.get(f"{path}/preview?language=en")).json()["mail"]
    assert mail["subject"] == "A refund request waits for you: order o-0" and "CN¥129.00" in mail["text"]
    assert (
        "商家" not in mail["text"] and "退款" in (await api.get(f"{path}/preview?language=zh")).json()["mail"]["text"]
    )
    approve = f"/v1/after-sales/{asked['subject']}/approve"
    assert (await api.post(approve, headers={"if-match": '"1"'})).status_code == 200
    assert (await api.get(f"{path}/preview")).json() == {"mail": None}
    assert (await api.post(f"{path}/retry")).status_code == 404, "it waits: there is nothing to retry"
    async with api.market.pool.connection() as connection:
        await connection.execute("UPDATE notice SET state = 'dead', due_at = NULL, closed_at = queued_at")
    again = await api.post(f"{path}/retry")
    assert (again.status_code, again.json()["state"]) == (200, "pending")
    assert (await api.get("/v1/notices/nothing/preview")).status_code == 404


async def test_an_operator_chooses_of_the_kinds_that_operators_get(api: Api) -> None:
    path = "/v1/operators/chen.jie/notice-preferences"
    assert (await api.get(path)).json() == {"off": [], "on": ["task_opened"], "required": [], "language": None}
    chosen = await api.put(path, {"off": ["task_opened"], "language": "en"})
    assert chosen.json() == (await api.get(path)).json()
    assert (chosen.json()["off"], chosen.json()["language"]) == (["task_opened"], "en")
    refused = await api.put(path, {"off": ["refunded"]})
    assert (refused.status_code, refused.json()["path"]) == (400, "off[0]")
    assert (await api.get(path, key=api.shop)).status_code == 403


async def test_the_platform_lists_the_arbitrations_of_one_shop(api: Api) -> None:
    for order_id, shop_id in (("o-1", SHOP), ("o-2", "shop-2")):
        ticket = await api.reviewed(order_id, buyer_id=f"buyer-{order_id}", shop_id=shop_id)
        path = f"/v1/after-sales/{ticket['ticket_id']}"
        no = {"reason_code": "made_to_order", "reason": "It is made.", "evidence": [{"text": "A photo."}]}
        await api.post(f"{path}/reject", no, headers={"if-match": '"1"'})
        assert (await api.post(f"{path}/arbitration", {"reason": "Not shipped."})).status_code == 200
    of_one = (await api.get("/v1/arbitrations?shop_id=shop-2")).json()["arbitrations"]
    assert [row["order_id"] for row in of_one] == ["o-2"]
    assert (await api.get("/v1/arbitrations?shop_id=shop-2", key=api.shop)).status_code == 404
