"""The service's own tables as a history: replays give every stored decision and feature (I4)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import duckdb
import psycopg
import pytest

from jitui.adapters.postgres.history import export_history, is_own_database
from jitui.adapters.postgres.migrate import upgrade
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.deciding import Canary
from jitui.aftersales.governance.publication import Stage
from jitui.aftersales.model.order import Buyer
from jitui.aftersales.ports import HistoryRecord
from jitui.backtest.engine import EngineName, open_engine
from jitui.backtest.facts import Choice
from jitui.backtest.logged import Verification, verify_logged
from jitui.backtest.replay import ReplayChoice, replay
from jitui.backtest.source import prepare
from jitui.backtest.summary import write_really_decided
from jitui.bootstrap import own_history
from jitui.errors import BadInput, Unavailable
from jitui.ids import lane_of
from jitui.policy import Policy, restriction_hits
from jitui.settings import read_settings
from tests.aftersales.market import DEFAULT_POLICY, NOW, TIME_ZONE, Market, open_market
from tests.aftersales.test_stages import SEED, STRICTER, buyers
from tests.backtest.awkward_market import FIRST, MICROSECOND, Day, play
from tests.backtest.histories import request, small_history
from tests.publishing import put, put_in_force

ZONE = ZoneInfo(TIME_ZONE)
LOCAL_MIDNIGHT = NOW.replace(hour=16)


def verified(history: str | Path, work: Path, limit: int = 100_000, policy: Policy = FIRST) -> Verification:
    prepared = prepare(history, work)
    assert prepared.set_aside == ()
    with open_engine(EngineName.DUCKDB, work) as engine:
        tables = {name: engine.read(path) for name, path in prepared.paths.items()}
        return verify_logged(engine, tables, policy, ZONE, limit)


def one_row(query: str) -> tuple[object, ...]:
    with duckdb.connect() as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row


async def test_what_the_service_decided_in_awkward_days_comes_out_again(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url) as market:
        day = await play(market, requests=150, seed=7)
    own = export_history(database_url, tmp_path / "own", ZONE)
    found = verified(own, tmp_path / "work")
    assert found.examples == ()
    assert (found.decisions, found.other_policies, found.outcomes_differ, found.features_differ) == (day.asked, 0, 0, 0)
    assert found.features_compared == day.asked * len(FIRST.features)
    texts, arms, guarded, unknown, known = one_row(
        f"""SELECT count(DISTINCT policy_sha256), count(DISTINCT arm), count(review_reason),
                   count(*) FILTER ("buyer.paid_3d" IS NULL), count("buyer.paid_3d")
            FROM '{own}/decisions.parquet' JOIN '{own}/facts.parquet' USING (request_id)"""
    )
    assert (texts, arms) == (2, 2)
    assert guarded and unknown and known, "the days were not awkward enough"
    assert verified(own, tmp_path / "some", limit=40).decisions == 40


async def test_a_restriction_rule_is_true_in_bulk_where_it_is_true_online(database_url: str, tmp_path: Path) -> None:
    """In bulk from features that are computed again; online from the facts that the service stored."""
    async with open_market(database_url) as market:
        await play(market, requests=150, seed=11)
    own = export_history(database_url, tmp_path / "own", ZONE)
    (work := tmp_path / "work").mkdir()
    prepared = prepare(own, work)
    with open_engine(EngineName.DUCKDB, work) as engine:
        tables = {name: engine.read(path) for name, path in prepared.paths.items()}
        replay(engine, tables, FIRST, tmp_path / "bulk.parquet", ReplayChoice(Choice(ZONE, recompute_features=True)))
    rules = [rule.id for rule in FIRST.restrictions]
    columns = ", ".join(f'"restriction.{rule}"' for rule in rules)
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT request_id, {columns} FROM '{tmp_path}/bulk.parquet'").fetchall()
    in_bulk = {str(name): {rule for rule, true in zip(rules, truths, strict=True) if true} for name, *truths in rows}
    with psycopg.connect(database_url) as connection:
        stored = connection.execute("SELECT ticket_id::text, facts FROM decision").fetchall()
        restricted = connection.execute(
            "SELECT d.ticket_id::text, r.rule_id FROM restriction r JOIN decision d ON d.lane = r.lane "
            "AND d.decided_at = r.starts_at JOIN ticket t ON t.lane = d.lane AND t.ticket_id = d.ticket_id "
            "AND t.buyer_id = r.buyer_id WHERE r.rule_id IS NOT NULL AND d.facts ->> 'buyer.restricted' = 'true'"
        ).fetchall()
    online = {name: {rule.id for rule in restriction_hits(FIRST, facts)} for name, facts in stored}
    assert online == in_bulk
    assert {rule for rules in online.values() for rule in rules} == set(rules), "the days were not awkward enough"
    assert {rule for _, rule in restricted} == set(rules)
    assert all(rule in in_bulk[name] for name, rule in restricted), "who was restricted was so in bulk too"


async def test_a_stored_decision_that_was_tampered_with_is_found(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url) as market:
        await play(market, requests=6, seed=1)
    changes = {
        "outcome": "outcome = CASE outcome WHEN 'review' THEN 'instant' ELSE 'review' END",
        "condition.known": "decision = jsonb_set(decision, '{conditions,0,verdict}', '\"true or so\"')",
        "unknown": "decision = jsonb_set(decision, '{unknown}', '[\"nothing\"]')",
        "shop.shipped_2d": "facts = facts || '{\"shop.shipped_2d\": 999}'",
    }
    with psycopg.connect(database_url) as connection:
        for place, change in enumerate(changes.values()):  # each in a decision of its own
            chosen = f"(SELECT ticket_id FROM decision ORDER BY ticket_id LIMIT 1 OFFSET {place})"
            changed = connection.execute(f"UPDATE decision SET {change} WHERE ticket_id = {chosen}".encode())
            assert changed.rowcount == 1
    found = verified(export_history(database_url, tmp_path / "own", ZONE), tmp_path / "work")
    assert {one.what for one in found.examples} >= changes.keys()
    assert not found.holds


async def test_the_order_of_writing_tells_what_a_decision_had_seen(database_url: str, tmp_path: Path) -> None:
    """A worker's clock may be behind, or ahead, of the clock that a request goes by, over a midnight too."""
    async with open_market(database_url, now=LOCAL_MIDNIGHT) as market:
        day = Day(market, Random(0), LOCAL_MIDNIGHT - MICROSECOND)
        market = market.deciding_by(day.policy)
        for buyer_id, skew in (("ahead", timedelta(seconds=1)), ("behind", -timedelta(seconds=1))):
            await market.registry.put_buyer(Buyer(lane_of(buyer_id), buyer_id, NOW - timedelta(days=400)), NOW)
            for number in (1, 2):
                await market.paid_order(buyer_id, f"{buyer_id}-{number}", now=NOW)
            old = RecordBuyerEvent(buyer_id, "old", "order_paid", NOW - timedelta(days=3), NOW)
            await market.registry.record_buyer_events([old])
            seen = RecordBuyerEvent(buyer_id, "seen", "order_paid", NOW, day.now + skew)
            await market.registry.record_buyer_events([seen])
            await market.asked(buyer_id, f"{buyer_id}-1", now=day.now)
            unseen = RecordBuyerEvent(buyer_id, "unseen", "order_paid", NOW, day.now + skew)
            await market.registry.record_buyer_events([unseen])
            await market.asked(buyer_id, f"{buyer_id}-2", now=day.now - MICROSECOND)
        await _publish(market, day)
    own = export_history(database_url, tmp_path / "own", ZONE)
    assert verified(own, tmp_path / "work").examples == ()
    found = one_row(f"""SELECT list("buyer.paid_3d" ORDER BY "buyer.paid_3d") FROM '{own}/facts.parquet'""")
    assert found == ([4, 4, 5, 5],)


async def test_an_event_is_taken_back_once_whatever_comes_first(database_url: str, tmp_path: Path) -> None:
    """By its own day and amount: the words of the retraction say only which event."""
    async with open_market(database_url) as market:
        market = market.deciding_by(FIRST)
        await market.registry.put_buyer(Buyer(lane_of("b"), "b", NOW - timedelta(days=400)), NOW)

        def event(event_id: str, retracts: str | None = None) -> RecordBuyerEvent:
            at = NOW if retracts else NOW - timedelta(days=2)
            amount = 100 if retracts is None else 7
            return RecordBuyerEvent("b", event_id, "order_paid", at, NOW, None, amount, retracts)

        await market.registry.record_buyer_events([event("stays"), event("twice"), event("batch"), event("x", "batch")])
        for events in ([event("1", "twice")], [event("2", "twice")], [event("3", "early")], [event("early")]):
            await market.registry.record_buyer_events(events)
        await market.registry.record_buyer_events([event("4", "never"), event("5", "4")])
        async with market.pool.connection() as connection:
            rows = await connection.execute(
                "SELECT kind, sum(events), sum(amount_minor) FROM buyer_day WHERE buyer_id = 'b' GROUP BY 1"
            )
            assert await rows.fetchall() == [("order_paid", 1, 100)]


async def test_one_order_counts_once_in_both_readings_whoever_names_it_and_takes_it_back(
    database_url: str, tmp_path: Path
) -> None:
    """A decision after each word; the bulk reading must come to the same count each time."""
    async with open_market(database_url) as market:
        market = market.deciding_by(FIRST)
        await market.registry.put_buyer(Buyer(lane_of("b"), "b", NOW - timedelta(days=400)), NOW)

        def word(event_id: str, days: int, amount: int, retracts: str | None = None) -> RecordBuyerEvent:
            at = NOW - timedelta(days=days)
            return RecordBuyerEvent("b", event_id, "order_paid", at, NOW, "x", amount, retracts)

        words = [
            word("a", 1, 100),
            word("b", 2, 70),
            word("c", 9, 5),
            word("back-a", 0, 0, "a"),
            word("back-b", 0, 0, "b"),
            word("d", 1, 3),
            word("back-c", 0, 0, "c"),
            word("back-d", 0, 0, "d"),
        ]
        for number, one in enumerate(words):
            await market.registry.record_buyer_events([one])
            await market.paid_order("b", f"o{number}", now=NOW + timedelta(minutes=number))
            await market.asked("b", f"o{number}", now=NOW + timedelta(minutes=number, seconds=1))
        await _publish(market, Day(market, Random(0)))
    own = export_history(database_url, tmp_path / "own", ZONE)
    assert verified(own, tmp_path / "work").examples == ()
    found = one_row(
        f"""SELECT list("buyer.paid_3d" ORDER BY asked_at)
            FROM '{own}/facts.parquet' JOIN '{own}/requests.parquet' USING (request_id)"""
    )
    # Beside the orders of the market itself: x counts until its words are taken back, and not on a day too long ago.
    assert found == ([1 + 1, 2 + 1, 3 + 1, 4 + 1, 5 + 0, 6 + 0, 7 + 1, 8 + 0],)


async def test_a_shop_day_that_was_read_never_changes(database_url: str) -> None:
    async with open_market(database_url) as market:
        early = await market.paid_order("b", "o1", now=LOCAL_MIDNIGHT - timedelta(minutes=2))
        late = await market.paid_order("b", "o2", now=LOCAL_MIDNIGHT - timedelta(minutes=2))
        await market.ship(early, tracking_no="SF1", now=LOCAL_MIDNIGHT - timedelta(minutes=1))
        await market.feed.roll_up(LOCAL_MIDNIGHT + timedelta(seconds=1))
        await market.ship(late, tracking_no="SF2", now=LOCAL_MIDNIGHT - timedelta(seconds=1))
        await market.feed.roll_up(LOCAL_MIDNIGHT + timedelta(seconds=2))
        async with market.pool.connection() as connection:
            rows = await connection.execute(
                "SELECT day::text, events FROM shop_day WHERE kind = 'shipped' ORDER BY day"
            )
            assert await rows.fetchall() == [("2026-06-01", 1), ("2026-06-02", 1)]


async def test_a_sum_beyond_64_bits_is_unknown_and_not_an_error(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url) as market:
        market = market.deciding_by(FIRST)
        await market.registry.put_buyer(Buyer(lane_of("b"), "b", NOW - timedelta(days=400)), NOW)
        huge = [
            RecordBuyerEvent("b", f"e{days}", "order_paid", NOW - timedelta(days=days), NOW, None, 2**62)
            for days in (1, 2)
        ]
        await market.registry.record_buyer_events(huge)
        await market.paid_order("b", "o")
        await market.asked("b", "o", now=NOW + timedelta(seconds=1))
        await _publish(market, Day(market, Random(0)))
    own = export_history(database_url, tmp_path / "own", ZONE)
    assert verified(own, tmp_path / "work").examples == ()
    assert one_row(f"""SELECT "buyer.paid_3d" FROM '{own}/facts.parquet'""") == (3,)


async def test_how_complete_the_history_was_is_read_as_it_was(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url) as market:
        market = market.deciding_by(FIRST)
        await market.paid_order("b", "o")
        await market.registry.record_history([HistoryRecord("order_paid", NOW - timedelta(days=9), NOW)])
        await market.asked("b", "o", now=NOW + MICROSECOND)
        await market.registry.record_history([HistoryRecord("order_paid", NOW - timedelta(days=9))])
        await _publish(market, Day(market, Random(0)))
    found = verified(export_history(database_url, tmp_path / "own", ZONE), tmp_path / "work")
    assert (found.decisions, found.examples) == (1, ())


async def test_what_a_guard_held_back_counts_as_reviewed(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url) as market:
        await market.premium_buyer("b")
        await market.paid_order("b", "o")
        day = Day(market, Random(0), policy=market.policy)
        await day.ask_late("b", "o", lines=[], now=NOW + timedelta(seconds=1))
    own = export_history(database_url, tmp_path / "own", ZONE)
    decided = f"SELECT outcome, review_reason FROM '{own}/decisions.parquet'"
    assert one_row(decided) == ("instant", "deadline_passed")
    really = write_really_decided(own / "decisions.parquet", tmp_path)
    assert one_row(f"SELECT outcome FROM '{really}'") == ("review",)


def test_any_postgresql_with_the_tables_of_the_schema_is_read(empty_database_url: str, tmp_path: Path) -> None:
    folder = small_history(tmp_path / "h", requests=[request(1, "2025-06-01T12:00:00+08:00")])
    with psycopg.connect(empty_database_url) as connection:
        for path in folder.glob("*.csv"):
            header, *rows = path.read_text().splitlines()
            names = ", ".join(f"{name} text" for name in header.split(","))
            connection.execute(f"CREATE TABLE {path.stem} ({names})".encode())
            with connection.cursor().copy(f"COPY {path.stem} FROM STDIN (FORMAT csv)".encode()) as copy:
                copy.write("\n".join(rows))
    assert not is_own_database(empty_database_url)
    with own_history(empty_database_url, read_settings({"HOME": str(tmp_path)}), ZONE, tmp_path) as place:
        assert place == empty_database_url
        assert prepare(place, tmp_path / "work").rows == prepare(folder, tmp_path / "again").rows


def test_the_service_itself_is_named_service(database_url: str, tmp_path: Path) -> None:
    settings = read_settings({"HOME": str(tmp_path), "JITUI_DATABASE_URL": database_url})
    with own_history("service", settings, ZONE, tmp_path) as place:
        assert prepare(place, tmp_path / "work").rows["requests"] == 0


def test_an_earlier_version_and_a_server_that_is_away_are_said(empty_database_url: str, tmp_path: Path) -> None:
    upgrade(empty_database_url, "0001")
    with pytest.raises(BadInput, match=r"is at revision 0001 .* run `jitui migrate` first"):
        export_history(empty_database_url, tmp_path, ZONE)
    with pytest.raises(Unavailable, match="does not answer") as refused:
        is_own_database("postgresql://analyst:secret@127.0.0.1:1/jitui")
    assert "secret" not in str(refused.value)


async def _publish(market: Market, day: Day) -> None:
    await put_in_force(market.policies, day.policy, now=day.now)


async def test_what_a_canary_decided_comes_out_again_under_the_canarys_text(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url) as market:
        await put_in_force(market.policies, DEFAULT_POLICY, now=NOW)
        await put(market.policies, STRICTER, now=NOW, stage=Stage.CANARY, percent=50, seed=SEED)
        both = market.with_beside(canary=Canary(STRICTER, 50, SEED))
        drawn, other = next(buyers(in_canary=True)), next(buyers(in_canary=False))
        for buyer in (drawn, other):
            await market.premium_buyer(buyer)
            await market.paid_order(buyer, f"o-{buyer}")
            await both.asked(buyer, f"o-{buyer}")
    own = export_history(database_url, tmp_path / "own", ZONE)
    arms = one_row(f"SELECT list(arm ORDER BY arm), list(policy_sha256 ORDER BY arm) FROM '{own}/decisions.parquet'")
    assert arms == (["canary", "live"], [STRICTER.sha256, DEFAULT_POLICY.sha256])
    found = verified(own, tmp_path / "work", policy=DEFAULT_POLICY)
    assert (found.decisions, found.other_policies, found.examples) == (2, 0, ())
    assert found.holds
