"""The service's own tables: held-out requests are decided again as if their buyers were selected."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from jitui.adapters.postgres.history import export_history
from jitui.aftersales.governance.registry import new_selection
from jitui.aftersales.model.ticket import Arm
from jitui.experiment.exposures import HOLD_OUT, LIVE, Window
from jitui.experiment.report import ExperimentSpec, run_experiment
from jitui.policy import Policy, held_out
from tests.aftersales.market import DEFAULT_POLICY, NOW, TIME_ZONE, open_market
from tests.experiment.test_report import WINDOW
from tests.publishing import put_in_force

HALF = Policy.from_text(
    DEFAULT_POLICY.text.replace("hold_out_percent: 2", "hold_out_percent: 50").replace('version: "2"', 'version: "50"')
)
BUYERS = [f"buyer-{number}" for number in range(12)]


async def test_the_held_out_who_would_have_been_approved_are_compared_with_those_who_were(
    database_url: str, tmp_path: Path
) -> None:
    """Every third order costs too much, in both arms; one buyer of each arm is on a list."""
    drawn = {buyer: HOLD_OUT if held_out(HALF, buyer) else LIVE for buyer in BUYERS}
    listed = {next(buyer for buyer in BUYERS if drawn[buyer] == arm) for arm in (HOLD_OUT, LIVE)}
    dear = {buyer for number, buyer in enumerate(BUYERS) if number % 3 == 0} - listed
    async with open_market(database_url) as market:
        market = market.deciding_by(HALF)
        await put_in_force(market.policies, HALF, now=NOW)
        for buyer in BUYERS:
            await market.premium_buyer(buyer)  # which also lists the buyer
        async with market.pool.connection() as connection:
            await connection.execute("DELETE FROM selection")
        for buyer in listed:
            await market.registry.select(new_selection(buyer, "deny", "", "test", NOW))
        for buyer in BUYERS:
            await market.paid_order(buyer, f"o-{buyer}", amounts=(40_000,) if buyer in dear else (12_900,))
            ticket = await market.asked(buyer, f"o-{buyer}")
            held = drawn[buyer] == HOLD_OUT and buyer not in listed
            assert ticket.arm is (Arm.HOLD_OUT if held else Arm.LIVE)
    own = export_history(database_url, tmp_path / "own", ZoneInfo(TIME_ZONE))
    done = run_experiment(ExperimentSpec(str(own), Window(WINDOW.time_zone, WINDOW.follow)), tmp_path / "work")
    expected = Counter(drawn[buyer] for buyer in set(BUYERS) - listed - dear)
    assert min(expected[arm] for arm in (HOLD_OUT, LIVE)) >= 2, "the buyers are not mixed enough"
    assert done.exposed.units == {HOLD_OUT: expected[HOLD_OUT], LIVE: expected[LIVE]}
    assert done.exposed.would_have_been == expected[HOLD_OUT]
    assert (done.exposed.listed, done.exposed.eligible_known, done.hold_out_percents) == (2, True, (50,))
    assert done.set_aside == {}


async def test_decisions_whose_text_is_not_at_hand_are_left_out_in_both_arms(database_url: str, tmp_path: Path) -> None:
    """Of one arm alone it could still be known which requests were approved."""
    other = Policy.from_text(HALF.text.replace('version: "50"', 'version: "51"'))
    async with open_market(database_url) as market:
        for policy in (HALF, other):
            market = market.deciding_by(policy)
            await put_in_force(market.policies, policy, now=NOW)
            for buyer in BUYERS:
                await market.premium_buyer(f"{buyer}")
                async with market.pool.connection() as connection:
                    await connection.execute("DELETE FROM selection")
                await market.paid_order(buyer, f"o-{buyer}-{policy.version}")
                await market.asked(buyer, f"o-{buyer}-{policy.version}")
    own = export_history(database_url, tmp_path / "own", ZoneInfo(TIME_ZONE))
    with duckdb.connect() as connection_there:
        connection_there.execute(
            f"COPY (SELECT * FROM '{own}/policies.parquet' WHERE policy_sha256 = '{other.sha256}')"
            f" TO '{tmp_path}/policies.parquet'"
        )
    (tmp_path / "policies.parquet").replace(own / "policies.parquet")
    done = run_experiment(ExperimentSpec(str(own), Window(WINDOW.time_zone, WINDOW.follow)), tmp_path / "work")
    assert done.exposed.without_text == len(BUYERS)
    assert sum(done.exposed.requests.values()) == len(BUYERS)
