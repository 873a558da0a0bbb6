"""The service as it is configured: the worker's steps read the shop and pay there."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.request_refund import RefundRequest
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.operations.platform_connections import LATE
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.entrypoints.cli.doctor_operations import DoctorFinding, Level
from jitui.entrypoints.cli.doctor_platforms import platforms
from jitui.platform_syncing import request_refund_now, sync_platforms
from jitui.worker import pay_due
from tests.platforms.market import open_shop_service
from tests.platforms.vendure.shop import Vendure, books, fulfil, place, refunds_in


async def test_the_workers_steps_read_and_pay(vendure: Vendure, database_url: str, tmp_path: Path) -> None:
    code = await place(vendure, "ann", method="by-hand")
    async with open_shop_service("vendure", vendure.url, vendure.token, database_url, tmp_path) as service:
        await sync_platforms(service)
        ref = await service.store.find_order(code)
        assert ref is not None
        order = await service.store.read_order(ref)
        assert order is not None
        assert order.order.shop_id == "my-shop"
        await service.feed.roll_up()
        request = RefundRequest(order.order.buyer_id, code)
        asked = await request_refund_now(service, await service.decision_settings(), request)
        assert isinstance(asked, Executed), asked
        assert await pay_due(service) == 1
        paid = await service.store.read_order(ref)
        assert paid is not None
        assert paid.ticket(asked.ticket.ticket_id).state is TicketState.REFUNDED
        state = await service.platforms.states.state("vendure")
        assert (state.synced_at is not None, state.problem) == (True, "")
    assert [refund["state"] for refund in refunds_in(await books(vendure, code))] == ["Settled"]


@pytest.mark.parametrize(("url", "said"), [("", "does not take the key"), ("http://127.0.0.1:9", "does not answer")])
async def test_what_keeps_it_from_reading_is_kept(
    vendure: Vendure, database_url: str, tmp_path: Path, url: str, said: str
) -> None:
    async with open_shop_service("vendure", url or vendure.url, "not-the-key", database_url, tmp_path) as service:
        await sync_platforms(service)
        state = await service.platforms.states.state("vendure")
        assert said in state.problem
        assert state.synced_at is None


async def test_doctor_says_how_old_what_we_know_is(vendure: Vendure, database_url: str, tmp_path: Path) -> None:
    async with open_shop_service("vendure", vendure.url, vendure.token, database_url, tmp_path) as service:
        connections = await service.platforms.connections.all()

        async def found(now: datetime) -> DoctorFinding:
            seen = await service.platforms.connections.seen()
            (finding,) = await platforms(connections, seen, (), service.settings, now)
            return finding

        never = await found(service.clock())
        await sync_platforms(service)
        fresh, late = await found(service.clock()), await found(service.clock() + LATE)
    assert [never.level, fresh.level, late.level] == [Level.FAILED, Level.OK, Level.FAILED]
    assert "never read" in never.found


async def test_what_shipped_since_the_last_reading_is_not_approved(
    vendure: Vendure, database_url: str, tmp_path: Path
) -> None:
    """Nobody has read in between; an order that was never read is taken in, and its buyer's address is known there."""
    code, other = await place(vendure, "ann"), await place(vendure, "ann")
    async with open_shop_service("vendure", vendure.url, vendure.token, database_url, tmp_path) as service:
        await sync_platforms(service)
        new = await place(vendure, "ann")
        await fulfil(vendure, code, "SF-SINCE")
        await service.feed.roll_up()
        buyer = (await service.store.read_order(await service.store.find_order(other))).order.buyer_id  # type: ignore[arg-type, union-attr]
        deciding = await service.decision_settings()
        gone = await request_refund_now(service, deciding, RefundRequest(buyer, code))
        assert isinstance(gone, Refusal)
        assert gone.code is RefusalCode.ORDER_ALREADY_SHIPPED
        taken = await request_refund_now(service, deciding, RefundRequest(buyer, new))
        assert isinstance(taken, Executed), taken
        (shop,) = service.platforms.connected
        assert await shop.source.contact_address(new) == "ann@example.com"
        assert await shop.source.contact_address("NOBODYS") is None
