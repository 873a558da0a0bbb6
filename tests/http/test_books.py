"""Settling a refund by hand, an order's ledger and tasks over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.model.task import NewTask, TaskKind
from jitui.aftersales.ports import AttemptRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from tests.http.api import Api, money, open_api

PAYOUT = {"reference": "BANK-7", "note": "By hand.", "amount": money(12900)}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(database_url, home=tmp_path) as opened:
        yield opened


async def failed_refund(api: Api) -> tuple[str, UUID]:
    """A refund that its provider declined for good."""
    await api.paid_order("o-1")
    ticket = (await api.ask("o-1"))["ticket"]
    now = api.now()
    (claim,) = await api.market.store.claim_refunds(now=now, lease_until=now + timedelta(seconds=60), limit=9)
    attempt = AttemptRef(claim.lane, claim.attempt.attempt_id)
    await confirm(
        api.market.store, attempt, RefundUpdate(RefundResult(RefundResultKind.DECLINED, reason="closed")), now=now
    )
    return ticket["refunds"][0]["refund_id"], claim.attempt.attempt_id


async def settle(api: Api, refund_id: str, body: Any = PAYOUT, key: str = "k-1") -> Any:
    return await api.post(f"/v1/refunds/{refund_id}/settle-manually", body, headers={"idempotency-key": key})


async def test_a_failed_refund_is_settled_once_and_shown(api: Api) -> None:
    refund_id, _ = await failed_refund(api)
    first, again = await settle(api, refund_id), await settle(api, refund_id)
    assert (first.status_code, first.json()["state"]) == (200, "refunded")
    assert again.content == first.content and again.headers["idempotency-replayed"] == "true"
    other = await settle(api, refund_id, key="k-2")
    assert (other.status_code, other.json()["type"]) == (409, "/problems/refund-not-failed")
    used = await settle(api, refund_id, {**PAYOUT, "reference": "BANK-8"})
    assert (used.status_code, used.json()["type"]) == (422, "/problems/idempotency-key-reused")
    shown = (await api.get(f"/v1/refunds/{refund_id}")).json()
    assert (shown["state"], shown["settlement"]["reference"], shown["settlement"]["by"]) == (
        "succeeded",
        "BANK-7",
        "tests",
    )
    assert (await api.get(f"/v1/refunds/{refund_id}", key=api.buyer)).json()["settlement"] is None
    assert "By hand." not in (await api.get(f"/v1/after-sales/{first.json()['ticket_id']}", key=api.buyer)).text


async def test_evidence_is_required_and_the_amount_is_the_refunds(api: Api) -> None:
    refund_id, _ = await failed_refund(api)
    for missing in ("reference", "note", "amount"):
        body = {name: value for name, value in PAYOUT.items() if name != missing}
        assert (await settle(api, refund_id, body)).json()["path"] == missing
    assert (await settle(api, refund_id, {**PAYOUT, "note": ""})).status_code == 400
    for wrong in (money(12899), money(12900, "USD")):
        got = await settle(api, refund_id, {**PAYOUT, "amount": wrong})
        assert (got.status_code, got.json()["type"]) == (422, "/problems/settlement-differs")


async def test_an_orders_ledger_sums_to_zero(api: Api) -> None:
    refund_id, _ = await failed_refund(api)
    await settle(api, refund_id)
    got = (await api.get("/v1/orders/o-1/ledger")).json()
    assert [row["cause"] for row in got["postings"]] == ["captured", "granted", "settled"]
    held = {row["account"]: row["balance_minor"] for row in got["balances"]}
    assert held["manual_payout"] == -12900 and sum(held.values()) == 0
    assert (await api.get("/v1/orders/o-404/ledger")).status_code == 404


async def test_tasks_are_paged_filtered_and_resolved_once(api: Api) -> None:
    kinds = (TaskKind.OURS_ONLY, TaskKind.PAID_TWICE, TaskKind.UNREADABLE_ROW)
    tasks = [
        NewTask(f"task {kind}", kind, "simulator", {}, api.now() + timedelta(seconds=at))
        for at, kind in enumerate(kinds)
    ]
    await api.service.tasks.open(tasks)
    await api.service.tasks.open(tasks)
    first = (await api.get("/v1/tasks?limit=2")).json()
    rest = (await api.get(f"/v1/tasks?limit=2&cursor={first['next']}")).json()
    assert [task["kind"] for task in (*first["tasks"], *rest["tasks"])] == [kind.value for kind in reversed(kinds)]
    assert rest["next"] is None
    path = f"/v1/tasks/{tasks[0].task_id}/resolve"
    assert (await api.post(path, {"note": ""})).status_code == 400
    done = (await api.post(path, {"note": "Booked late."})).json()
    assert (done["state"], done["resolved_by"], done["note"]) == ("resolved", "tests", "Booked late.")
    assert (await api.post(path, {"note": "Another."})).json()["note"] == "Booked late."
    assert len((await api.get("/v1/tasks?state=open")).json()["tasks"]) == 2
    assert (await api.get("/v1/tasks?kind=paid_twice&provider=stripe")).json()["tasks"] == []
    by_state = (await api.get("/v1/tasks?sort=state&limit=2")).json()
    last = (await api.get(f"/v1/tasks?sort=state&limit=2&cursor={by_state['next']}")).json()
    states = [task["state"] for page in (by_state, last) for task in page["tasks"]]
    assert states == ["resolved", "open", "open"] and last["next"] is None
    by_amount = (await api.get("/v1/tasks?sort=amount&order=asc&limit=2")).json()
    assert len((await api.get(f"/v1/tasks?sort=amount&order=asc&cursor={by_amount['next']}")).json()["tasks"]) == 1
    assert (await api.get("/v1/tasks?order_id=o-1")).json()["tasks"] == []
    assert (await api.get("/v1/tasks?shop_id=shop-1&buyer_id=b-1")).json()["tasks"] == []
