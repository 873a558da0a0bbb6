"""The usage of caps over HTTP: for the platform, and for nobody else."""

from __future__ import annotations

from jitui.worker import alert_of_caps
from tests.aftersales.test_category_caps import capped
from tests.http.api import Api
from tests.publishing import put_in_force


async def test_the_platform_reads_usage_and_alerts_and_nobody_else(api: Api) -> None:
    policy = capped("per_category: {count: 2, over: 24h}")
    await put_in_force(api.service.policies, policy, by="test", now=api.now())
    for number in range(2):
        await api.paid_order(f"o-{number}", paid=12900)
        await api.ask(f"o-{number}")
    await api.market.feed.roll_up(api.now())
    await alert_of_caps(api.service)
    got = await api.get("/v1/caps")
    assert got.status_code == 200, got.text
    found = got.json()
    caps = {cap["cap"]: cap for cap in found["caps"]}
    (used,) = caps["per_category"]["used"]
    assert (used["approvals"], used["amount_minor"], used["percent_used"]) == (2, 25800, 100)
    assert found["usage_known"] is True
    assert [(one["scope"], one["percent"]) for one in found["alerts"]] == [("category", 100), ("category", 80)]
    told = (await api.get("/metrics")).text.splitlines()
    assert 'jitui_cap_alerts{percent="80",scope="category"} 1.0' in told
    for key in (api.shop, api.buyer):
        assert (await api.get("/v1/caps", key=key)).status_code == 403


async def test_a_merchant_sees_no_figure_of_a_category(api: Api) -> None:
    await put_in_force(api.service.policies, capped("per_category: {count: 0, over: 24h}"), by="test", now=api.now())
    await api.paid_order("o-1", paid=12900)
    ticket = (await api.ask("o-1"))["ticket"]
    for key in (api.shop, api.buyer):
        shown = await api.get(f"/v1/after-sales/{ticket['ticket_id']}/decision", key=key)
        assert "category" not in shown.text, shown.text
