"""Fault simulation: whatever fails, is lost, repeated or late, every refund is paid exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from jitui.bootstrap import Service, default_policy
from jitui.demo.simulation import SimulationOptions, SimulationReport, Stage, open_stage, run_seeds
from jitui.demo.simulation.invariants import QUOTA_APPROVALS, QUOTA_DAYS, QUOTA_MINOR
from jitui.demo.simulation.workload import draw_workload
from tests.simulation import broken_parts

FEWEST_SEEDS, SECONDS = 6, 20.0
"""As many worlds as fit into that time, and never fewer than these."""
MOST_SEEDS_TO_NOTICE = 12


@pytest.fixture(scope="module")
def stage(server_url: str) -> Iterator[Stage]:
    with open_stage(server_url) as opened:
        yield opened


def explained(report: SimulationReport) -> str:
    return "\n".join(
        line for failure in report.failures for line in (f"seed {failure.seed}:", *failure.wrong, failure.command)
    )


@pytest.mark.timeout(600)
def test_nothing_is_lost_paid_twice_or_paid_over(stage: Stage) -> None:
    report = run_seeds(stage, SimulationOptions(FEWEST_SEEDS, seconds=SECONDS))
    assert report.holds, explained(report)
    assert report.refunds > 0 and report.paid == report.refunds
    for fault in ("kills", "webhook:lost", "webhook:repeated", "webhook:reordered", "clock:jumps"):
        assert report.counts.get(fault, 0) > 0, f"{fault} was never injected"


@pytest.mark.timeout(600)
def test_what_was_answered_survives_the_database_server_killed_in_the_middle() -> None:
    with open_stage(restarts=True) as stage:
        report = run_seeds(stage, SimulationOptions(2, restart_database=True))
    assert report.holds, explained(report)
    assert report.counts["database:kills"] == 2


@pytest.mark.parametrize(
    ("override", "first_seed"),
    [
        (broken_parts.fresh_key_for_each_send, 1),
        (broken_parts.unknown_is_failed, 1),
        (broken_parts.deaf_to_bad_news, 3),
        (broken_parts.no_hold_on_the_tender, 1),
        (broken_parts.no_posting, 1),
        (broken_parts.no_advance, 4),
        (broken_parts.advance_not_ended, 5),
        (broken_parts.no_timeline, 1),
        (broken_parts.refund_not_moved, 1),
        (broken_parts.shipment_forgotten, 1),
        (broken_parts.quota_forgotten, 4),
        (broken_parts.keys_forgotten, 2),
        (broken_parts.no_locks, 1),
    ],
)
@pytest.mark.timeout(600)
def test_a_broken_part_is_noticed(stage: Stage, override: Callable[[Service], Service], first_seed: int) -> None:
    """It begins with the world that has noticed it before, so that as few as possible are run."""
    name = f"{broken_parts.__name__}:{getattr(override, '__name__', '')}"
    report = run_seeds(stage, SimulationOptions(MOST_SEEDS_TO_NOTICE, first_seed, override=name, stop_at_failure=True))
    assert not report.holds, f"{name} went unnoticed in {report.seeds} worlds"


def test_a_seed_writes_the_same_script_again() -> None:
    assert draw_workload(7) == draw_workload(7)
    assert draw_workload(7) != draw_workload(8)


def test_the_quota_that_is_checked_is_the_default_policys() -> None:
    cap = default_policy().caps.per_buyer
    assert cap is not None
    assert (cap.count, cap.amount_minor) == (QUOTA_APPROVALS, QUOTA_MINOR)
    assert cap.over_seconds == QUOTA_DAYS.total_seconds()
