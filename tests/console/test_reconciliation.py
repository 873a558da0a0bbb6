"""The operators' page of reconciliation: both sides of a difference, and what was booked at each provider by days."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jitui.aftersales.reconciliation.reconcile import Reconciling, reconcile
from jitui.aftersales.reconciliation.statement import RowKind, StatementRow, StatementWindow
from tests.console.conftest import Visit
from tests.console.marketplace import Marketplace
from tests.console.operators import AUDITOR, LI, SUCCEEDED, hears, refunding, staffed

PAGE = "/operations/reconciliation"


@pytest.fixture(autouse=True)
async def _staff(market: Marketplace) -> None:
    await staffed(market)


async def reconciled(market: Marketplace, *rows: StatementRow) -> None:
    """A statement of the last day, with these rows."""
    service, now = market.service, market.service.clock()
    parts = Reconciling(service.store, service.staging, service.tasks, service.clock)
    window = StatementWindow(now - timedelta(days=1), now + timedelta(days=1))
    await reconcile(parts, "simulator", rows, lambda _: window)


async def test_a_difference_is_shown_from_both_sides(market: Marketplace, visit: Visit) -> None:
    refund_id = await refunding(market, "A-1")
    await hears(market, refund_id, SUCCEEDED)
    now = market.service.clock()
    differs = StatementRow(7, RowKind.REFUND, now, 12800, "CNY", provider_refund_id="rf-7")
    await reconciled(market, differs, StatementRow(8, RowKind.REFUND, now, 500, "CNY", provider_refund_id="rf-9"))
    visitor = await visit(LI)
    page = await visitor.see(PAGE)
    assert "rf-9" in page.text and "CN¥5.00" in page.text, "the first kind that has any: only in their statement"
    page = await visitor.see(f"{PAGE}?kind=amount_differs")
    assert "CN¥129.00" in page.text and "CN¥128.00" in page.text
    assert f"/operations/refunds/{refund_id}" in [given.get("href") for _, given in page.tags]
    assert "rf-9" not in page.text
    for empty in ("ours_only", "unreadable_row"):
        assert "Nothing differs" in (await visitor.see(f"{PAGE}?kind={empty}")).text
    for wrong in ("kind=no_worker", "kind=x", "since=x", "since=2026-06-02&until=2026-06-01", "after=x"):
        assert (await visitor.get(f"{PAGE}?{wrong}")).status_code == 400, wrong


async def test_what_was_booked_at_a_provider_by_days(market: Marketplace, visit: Visit) -> None:
    refund_id = await refunding(market, "A-1")
    await hears(market, refund_id, SUCCEEDED)
    visitor = await visit(AUDITOR)
    page = await visitor.see(PAGE)
    booked = [word.strip() for word in page.words if word.strip().startswith("CN¥")]
    assert booked == ["CN¥0.00", "CN¥129.00", "CN¥129.00", "CN¥0.00"], "at the beginning, in, out, at the end"
    assert "Nothing was booked" in (await visitor.see(f"{PAGE}?since=2026-01-01&until=2026-01-31")).text
    assert (await visitor.get(f"{PAGE}?since=2026-01-01&until=2026-02-01")).status_code == 400, "a month at most"
