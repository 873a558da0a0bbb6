"""What the worker says once a day: keys that end soon, and where the audit log ends."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from structlog.testing import capture_logs

from jitui import worker
from jitui.aftersales.governance.registry import Shop
from jitui.bootstrap import open_service
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.settings import Settings
from jitui.worker import apply_gates, note_audit_head, warn_of_ending_keys
from tests.aftersales.gating import gated_policy
from tests.aftersales.market import NOW
from tests.publishing import put_in_force

DAY = timedelta(days=1)


async def test_keys_that_end_soon_are_named_and_never_more_than_a_screenful(database_url: str, tmp_path: Path) -> None:
    async with open_service(Settings(home=tmp_path), database_url, clock=lambda: NOW + 70 * DAY) as service:
        for days in (99, 100, 200):
            await issue_key(service.keys, KeyScope.PLATFORM, "", label=f"for {days}", now=NOW, lifetime=days * DAY)
        with capture_logs() as logs:
            await warn_of_ending_keys(service)
        assert [(line["event"], line["log_level"], line["label"]) for line in logs] == [
            ("api_key_ends_soon", "warning", "for 99"),
            ("api_key_ends_soon", "warning", "for 100"),
        ]
        assert logs[0]["ends_at"] == (NOW + 99 * DAY).isoformat(timespec="seconds")
        for _ in range(worker.MOST_KEYS_NAMED):
            await issue_key(service.keys, KeyScope.PLATFORM, "", label="", now=NOW, lifetime=98 * DAY)
        with capture_logs() as logs:
            await warn_of_ending_keys(service)
        assert (len(logs), logs[0]["ending"]) == (worker.MOST_KEYS_NAMED, worker.MOST_KEYS_NAMED + 2)


async def test_the_head_of_the_audit_log_is_kept_in_the_workers_log_too(database_url: str, tmp_path: Path) -> None:
    async with open_service(Settings(home=tmp_path), database_url) as service:
        await issue_key(service.keys, KeyScope.PLATFORM, "", label="", now=NOW)
        (row,) = await service.audit_log.events(actor=None, action=None, subject=None, before=None, limit=9)
        with capture_logs() as logs:
            await note_audit_head(service)
    assert [(line["event"], line["head"]) for line in logs] == [("audit_head", f"1:{row.hash.hex()}")]


async def test_the_gates_are_computed_once_a_day_and_when_another_policy_is_in_force(
    database_url: str, tmp_path: Path
) -> None:
    now = [NOW]
    async with open_service(Settings(home=tmp_path), database_url, clock=lambda: now[0]) as service:
        await put_in_force(service.policies, gated_policy(), by="test", now=NOW)
        await service.registry.put_shop(Shop("s-1", "", {"secret_score": 901}), NOW)
        await apply_gates(service)
        assert await service.registry.coverage_of("s-1") == [], "yesterday is not counted yet"
        await service.feed.roll_up(now[0])
        with capture_logs() as logs:
            await apply_gates(service)
            await apply_gates(service)
        assert [(line["event"], line["places"]) for line in logs] == [("gates_computed", 3)]
        (row,) = await service.registry.coverage_of("s-1")
        assert (row.covered, row.by_gate) == (False, "hidden")
    async with open_service(Settings(home=tmp_path), database_url, clock=lambda: now[0]) as service:
        await put_in_force(service.policies, gated_policy("> 900", "> 950"), by="test", now=NOW)
        with capture_logs() as logs:
            await apply_gates(service)
        assert [line["places"] for line in logs] == [3]
        # Out by the old rule, it stays out between the new bounds' days and is back by the new one.
        now[0] += DAY
        await service.feed.roll_up(now[0])
        await service.registry.put_shop(Shop("s-1", "", {"secret_score": 900}), now[0])
        await apply_gates(service)
        assert await service.registry.coverage_of("s-1") == []
