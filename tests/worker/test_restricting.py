"""A running worker applies the restriction rules of the policy in force as events arrive, and nothing without one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.ports import HistoryRecord
from jitui.bootstrap import install_policy, open_service
from jitui.settings import Settings
from jitui.worker import restrict_by_rules, run_worker
from tests.aftersales.market import HISTORY_KINDS, NOW
from tests.worker.paying import until

BUYER = "b-1"


async def test_a_running_worker_restricts_whoever_meets_a_rule(database_url: str, tmp_path: Path) -> None:
    async with open_service(Settings(home=tmp_path), database_url, clock=lambda: NOW) as service:
        events = [RecordBuyerEvent(BUYER, f"x-{n}", "refund_before_shipment", NOW, NOW) for n in range(10)]
        since = NOW.replace(year=2016)
        await service.registry.record_history([HistoryRecord(kind, since) for kind in HISTORY_KINDS])
        await service.registry.record_buyer_events(events)
        assert await restrict_by_rules(service) == 0, "before the first policy there are no rules, and no fault"
        await install_policy(service)

        async def restricted() -> bool:
            return bool(await service.registry.restrictions_of(BUYER))

        stop = asyncio.Event()
        working = asyncio.create_task(run_worker(service, stop))
        try:
            await until(restricted)
        finally:
            stop.set()
            await working
        found = await service.registry.restrictions_of(BUYER)
        assert [(one.rule_id, one.set_by) for one in found] == [("serial_canceller", "policy")]
