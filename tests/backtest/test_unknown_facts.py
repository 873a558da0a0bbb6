"""What is unknown does not approve (I5), and contradictory data is unknown: the facts of a history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from jitui.backtest.caps import Asked, CapsReplay
from jitui.backtest.engine import Engine, EngineName, open_engine
from jitui.backtest.facts import Choice, request_facts
from jitui.backtest.replay import ReplayChoice, Replayed, replay
from jitui.backtest.report import money
from jitui.backtest.source import prepare
from jitui.backtest.summary import compare, summarise
from jitui.policy import Cap, Caps, CategoryAmounts, Policy
from tests.aftersales.test_unknown_facts import FIVE_MINUTES, TOO_FAR, policy
from tests.backtest.histories import write_csv

ASKED = datetime(2025, 6, 1, 12, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
HEADS = {
    "requests": "request_id,order_id,buyer_id,shop_id,asked_at,amount_minor,whole_order",
    "orders": "order_id,currency,placed_at,paid_at,paid_minor,freight_minor,hold,completed_at",
    "order_lines": "order_id,line_id,category_id,quantity,paid_minor,customised,virtual,covered",
    "buyers": "buyer_id,registered_at",
    "shipments": "order_id,degree,at,recorded_at",
    "categories": "category_id,customised,virtual",
    "events": "subject,subject_id,kind,at,recorded_at,event_id,order_id,amount_minor,currency,retracts",
    "event_records": "kind,complete_from",
}
KINDS = ("order_paid", "order_completed", "dispute_lost")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with open_engine(EngineName.DUCKDB, tmp_path_factory.mktemp("engine")) as opened:
        yield opened


def at(moment: datetime) -> str:
    return moment.isoformat()


def history(folder: Path, **tables: Sequence[str]) -> Path:
    """One request r1 for order o1 of buyer b, 1.00 CNY, placed an hour ago; tables that are named replace these."""
    rows: dict[str, Sequence[str]] = {
        "requests": [f"r1,o1,b,s,{at(ASKED)},100,true"],
        "orders": [order("o1", "CNY")],
        "order_lines": ["o1,l1,apparel,1,100,false,false,"],
        "buyers": [f"b,{at(ASKED - timedelta(days=400))}"],
        "shipments": [],
        "events": [],
        "event_records": [f"{kind},2015-01-01T00:00:00Z" for kind in KINDS],
    }
    for name, given in (rows | tables).items():
        write_csv(folder, name, tables_head(name, given), [*given])
    return folder


def tables_head(name: str, rows: Sequence[str]) -> str:
    head = HEADS[name]
    assert all(row.count(",") == head.count(",") for row in rows), (name, rows)
    return head


def order(
    order_id: str, currency: str, *, placed: datetime = ASKED, paid: datetime = ASKED, completed: str = ""
) -> str:
    return f"{order_id},{currency},{at(placed)},{at(paid)},100,5,none,{completed}"


def tables_of(engine: Engine, folder: Path) -> Mapping[str, Any]:
    prepared = prepare(folder, folder.parent / "work")
    assert prepared.set_aside == ()
    return {name: engine.read(path) for name, path in prepared.paths.items()}


def facts_of(engine: Engine, folder: Path, one: Policy, *names: str) -> dict[str, dict[str, Any]]:
    rows = request_facts(engine, tables_of(engine, folder), one, names, Choice(ZONE))
    return {row["request_id"]: row for row in engine.connection.to_pyarrow(rows).to_pylist()}


def decided(engine: Engine, folder: Path, one: Policy) -> tuple[Replayed, dict[str, Any]]:
    done = replay(engine, tables_of(engine, folder), one, folder.parent / "out.parquet", ReplayChoice(Choice(ZONE)))
    return done, {row["request_id"]: row["outcome"] for row in pq.read_table(done.path).to_pylist()}


# Amounts and their currency --------------------------------------------------------------------------------------

SPENT = "features: {buyer.spent_90d: {sum: order_paid, over: 90d}}"


@pytest.mark.parametrize(
    "when",
    [
        "request.amount_minor < 30000",
        "order.paid_minor < 30000",
        "order.freight_minor < 30000",
        "order.lines.all(l, l.paid_minor < 30000)",
        "buyer.spent_90d >= 0",
        "caps.buyer_used_minor < 30000",
        "caps.buyer_ok",
    ],
)
def test_no_amount_of_an_order_in_another_currency_approves(engine: Engine, tmp_path: Path, when: str) -> None:
    folder = history(
        tmp_path / "h",
        requests=[f"r{n},o{n},b,s,{at(ASKED)},100,true" for n in (1, 2, 3)],
        orders=[order("o1", "CNY"), order("o2", "JPY")],  # of o3 nobody knows the currency
        order_lines=[f"o{n},l1,apparel,1,100,false,false," for n in (1, 2, 3)],
    )
    one = policy(when, features=SPENT, caps="caps: {per_buyer: {amount_minor: 30000, over: 30d}}")
    assert decided(engine, folder, one)[1] == {"r1": "instant", "r2": "review", "r3": "review"}


def test_logged_amounts_of_an_order_in_another_currency_are_unknown_too(engine: Engine, tmp_path: Path) -> None:
    folder = history(
        tmp_path / "h",
        requests=[f"r{n},o{n},b,s,{at(ASKED)},100,true" for n in (1, 2, 3)],
        orders=[order("o1", "CNY"), order("o2", "JPY")],
    )
    line = '"[{""line_id"": ""l1"", ""paid_minor"": 7, ""covered"": true}]"'
    write_csv(
        folder,
        "facts",
        "request_id,order.paid_minor,order.lines,shop.covered",
        [f"r{n},7,{line},true" for n in (1, 2, 3)],
    )
    one = policy("order.lines.all(l, l.paid_minor < 9) && order.paid_minor < 9")
    rows = facts_of(engine, folder, one, "order.paid_minor", "order.lines", "shop.covered")
    assert [rows[name]["order.paid_minor"] for name in ("r1", "r2", "r3")] == [7, None, 7]
    lines = [rows[name]["order.lines"][0] for name in ("r1", "r2", "r3")]
    assert [(one["paid_minor"], one["covered"]) for one in lines] == [(7, True), (None, True), (7, True)]
    assert all(row["shop.covered"] for row in rows.values())


def test_an_approval_in_another_currency_counts_in_a_cap_and_its_money_does_not(engine: Engine, tmp_path: Path) -> None:
    folder = history(
        tmp_path / "h",
        requests=[f"r{n},o{n},b,s,{at(ASKED + timedelta(minutes=n))},100,true" for n in range(1, 7)],
        orders=[order(f"o{n}", "JPY" if n < 4 else "CNY") for n in range(1, 7)],
    )
    caps = "caps: {per_buyer: {amount_minor: 150, over: 30d}}"
    # Of an order in yen the money is unknown, and this condition asks for none.
    one = policy("order.currency == 'JPY' || (caps.buyer_ok && caps.buyer_used_count >= 3)", caps=caps)
    assert list(decided(engine, folder, one)[1].values()) == ["instant"] * 4 + ["review"] * 2
    replayed = CapsReplay(Caps(Cap(None, 150, 3_600)))
    replayed.approve(Asked("b", "s"), 0, None)
    assert replayed.facts(Asked("b", "s"), 1, 150) | {"caps.shop_ok": None, "caps.platform_ok": None} == {
        **dict.fromkeys(("caps.shop_ok", "caps.platform_ok")),
        "caps.buyer_ok": True,
        "caps.buyer_used_count": 1,
        **{f"caps.{scope}_used_{what}": 0 for scope in ("shop", "platform") for what in ("count", "minor")},
        "caps.buyer_used_minor": 0,
        "caps.category_ok": True,
        "caps.cluster_ok": True,
        **dict.fromkeys(("caps.category_used_count", "caps.category_used_minor")),
        **dict.fromkeys(("caps.cluster_used_count", "caps.cluster_used_minor")),
    }
    assert replayed.facts(Asked("b", "s"), 1, 151)["caps.buyer_ok"] is False
    assert replayed.facts(Asked("b", "s"), 1, None)["caps.buyer_ok"] is None


def test_a_report_adds_up_one_currency_and_shows_each_by_itself(engine: Engine, tmp_path: Path) -> None:
    folder = history(
        tmp_path / "h",
        requests=[f"r{n},o{n},b,s,{at(ASKED)},{amount},true" for n, amount in ((1, 100), (2, 70_000), (3, 9), (4, 11))],
        orders=[order("o1", "CNY"), order("o2", "JPY"), order("o4", "CNY")],
    )
    one = policy("order.age_seconds >= 0")
    done, outcomes = decided(engine, folder, one)
    assert outcomes == {"r1": "instant", "r2": "instant", "r3": "review", "r4": "instant"}
    summary = summarise(done, minutes_a_review=4, time_zone="Asia/Shanghai")
    assert (summary.requested_minor, summary.instant_minor, summary.without_amount) == (111, 111, 2)
    assert sum(group.requested_minor for group in summary.by_day) == 111
    assert [(group.name, group.requests) for group in summary.by_amount] == [("0-4999", 2), ("", 2)]
    assert [
        (group.name, group.requests, group.requested_minor, group.instant_minor) for group in summary.by_currency
    ] == [
        ("CNY", 2, 111, 111),
        ("", 1, 9, 0),
        ("JPY", 1, 70_000, 70_000),
    ]
    assert money(summary.by_currency[2].instant_minor, "JPY") == "70,000"
    same = compare(done.path, done.path, "here", "there", "CNY")
    assert [cell.amount_minor for cell in same.cells] == [111, 0, 0, 0]


# Completed orders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_shipments", [True, False])
def test_a_completed_order_was_delivered_whatever_its_shipments_say(
    engine: Engine, tmp_path: Path, with_shipments: bool
) -> None:
    before, later = at(ASKED - timedelta(days=1)), at(ASKED + timedelta(days=1))
    orders = [order("o1", "CNY", completed=before), order("o2", "CNY", completed=later)]
    orders += [order("o3", "CNY", completed=at(ASKED))] + [order(f"o{n}", "CNY") for n in range(4, 9)]
    folder = history(
        tmp_path / "h",
        requests=[f"r{n},o{n},b,s,{at(ASKED)},100,true" for n in range(1, 9)],
        orders=orders,
        shipments=[f"o1,label_printed,{before},", f"o4,picked_up,{before},"],
        events=[
            f"buyer,b,order_completed,{before},,e4,o4,,,",
            f"buyer,b,order_completed,{before},{later},e5,o5,,,",  # told later than it was asked
            f"buyer,b,order_completed,{before},,e6,o6,,,",
            f"buyer,b,order_paid,{before},{before},x6,,,,e6",  # and taken back
            f"buyer,b,order_completed,2199-01-01T00:00:00Z,{before},e7,o7,,,",
            f"buyer,somebody,order_completed,{before},,e8,o8,,,",  # another's word
        ],
    )
    if not with_shipments:
        (folder / "shipments.csv").unlink()
    rows = facts_of(engine, folder, policy("order.shipment == 'unshipped'"), "order.shipment")
    not_gone = "unshipped" if with_shipments else None
    assert [rows[f"r{n}"]["order.shipment"] for n in range(1, 9)] == [
        "delivered",
        not_gone,
        not_gone,
        "delivered",
        not_gone,
        not_gone,
        "delivered",
        not_gone,
    ]


def test_a_shipment_recorded_at_the_very_moment_of_a_request_is_not_seen_by_it(engine: Engine, tmp_path: Path) -> None:
    early, microsecond = ASKED - timedelta(days=1), timedelta(microseconds=1)
    folder = history(
        tmp_path / "h",
        requests=[f"r{n},o{n},b,s,{at(ASKED)},100,true" for n in (1, 2, 3)],
        orders=[order(f"o{n}", "CNY") for n in (1, 2, 3)],
        shipments=[
            f"o1,shipped,{at(early)},{at(ASKED - microsecond)}",
            f"o2,shipped,{at(early)},{at(ASKED)}",
            f"o3,shipped,{at(ASKED)},",
        ],
    )
    rows = facts_of(engine, folder, policy("order.shipment == 'unshipped'"), "order.shipment")
    seen = [(rows[f"r{n}"]["order.shipment"], rows[f"r{n}"]["left_unrecorded"]) for n in (1, 2, 3)]
    assert seen == [("shipped", False), ("unshipped", True), ("unshipped", False)]


# Times to come -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "wanted"),
    [(timedelta(0), 0), (FIVE_MINUTES, 0), (TOO_FAR, None), (timedelta(days=63_000), None), (timedelta(days=-2), 2)],
)
def test_an_age_is_unknown_once_its_beginning_is_more_than_five_minutes_ahead(
    engine: Engine, tmp_path: Path, ahead: timedelta, wanted: int | None
) -> None:
    folder = history(
        tmp_path / "h",
        orders=[order("o1", "CNY", placed=ASKED + ahead, paid=ASKED + ahead)],
        buyers=[f"b,{at(ASKED + ahead)}"],
    )
    names = ("buyer.account_age_days", "order.age_seconds", "order.paid_age_seconds")
    row = facts_of(engine, folder, policy("order.age_seconds >= 0"), *names)["r1"]
    seconds = None if wanted is None else wanted * 86_400
    assert [row[name] for name in names] == [wanted, seconds, seconds]


def test_an_account_is_as_old_as_it_has_whole_periods_of_24_hours(engine: Engine, tmp_path: Path) -> None:
    """Not as many as midnights have passed, which is how features count."""
    asked = datetime(2025, 6, 1, 16, 30, tzinfo=UTC)  # half an hour after midnight in Shanghai
    folder = history(
        tmp_path / "h",
        requests=[f"r1,o1,b,s,{at(asked)},100,true"],
        buyers=[f"b,{at(asked - timedelta(hours=1))}"],
        events=[f"buyer,b,dispute_lost,{at(asked - timedelta(hours=1))},,e,,,,"],
    )
    one = policy(
        "buyer.lost_age_days > 0", features="features: {buyer.lost_age_days: {last_age_days: dispute_lost, over: 9d}}"
    )
    row = facts_of(engine, folder, one, "buyer.account_age_days", "buyer.lost_age_days")["r1"]
    assert (row["buyer.account_age_days"], row["buyer.lost_age_days"]) == (0, 1)


# Customised and virtual --------------------------------------------------------------------------------------------


def test_who_says_customised_wins_the_line_or_its_category(engine: Engine, tmp_path: Path) -> None:
    words = {"": None, "true": True, "false": False}
    pairs = [(line, category) for line in words for category in words]
    folder = history(
        tmp_path / "h",
        order_lines=[f"o1,l{n},c{n},1,10,{line},{line}," for n, (line, _) in enumerate(pairs)]
        + ["o1,alone,,1,10,false,,"],
        categories=[f"c{n},{category},{category}" for n, (_, category) in enumerate(pairs)],
    )
    one = policy("order.lines.all(l, !l.customised && !l.virtual)")
    lines = {line["line_id"]: line for line in facts_of(engine, folder, one, "order.lines")["r1"]["order.lines"]}
    for number, (line, category) in enumerate(pairs):
        said = {words[line], words[category]} - {None}
        wanted = True if True in said else False if said else None
        found = lines[f"l{number}"]
        assert (found["customised"], found["virtual"]) == (wanted, wanted), (line, category)
    assert (lines["alone"]["customised"], lines["alone"]["virtual"]) == (False, None)


# Caps in order -----------------------------------------------------------------------------------------------------


def test_requests_of_one_moment_meet_the_cap_in_the_order_of_their_ids(engine: Engine, tmp_path: Path) -> None:
    folder = history(
        tmp_path / "h",
        requests=[f"r{n},o{n},b,s,{at(ASKED)},100,true" for n in (3, 1, 2)],
        orders=[order(f"o{n}", "CNY") for n in (1, 2, 3)],
    )
    one = policy("caps.buyer_ok", caps="caps: {per_buyer: {count: 2, over: 30d}}")
    assert decided(engine, folder, one)[1] == {"r1": "instant", "r2": "instant", "r3": "review"}


def test_a_history_without_logged_links_knows_every_buyer_to_be_alone(engine: Engine, tmp_path: Path) -> None:
    one = policy("buyer.cluster_size == 1 && !buyer.cluster_restricted")
    assert decided(engine, history(tmp_path / "h"), one)[1] == {"r1": "instant"}


LINES_HEAD = "order_id,line_id,category_id,quantity,requested_quantity,paid_minor,customised,virtual,covered"


def test_the_caps_of_categories_are_replayed_with_the_amounts_of_their_lines(engine: Engine, tmp_path: Path) -> None:
    folder = history(
        tmp_path / "h",
        requests=[f"r{n},o{n},b,s,{at(ASKED + timedelta(minutes=n))},100,true" for n in range(1, 6)],
        orders=[order(f"o{n}", "CNY") for n in range(1, 6)],
    )
    write_csv(
        folder,
        "order_lines",
        LINES_HEAD,
        [
            "o1,l1,apparel,1,1,60,false,false,",
            "o1,l2,toys,2,1,80,false,false,",  # one of two units is asked for: 0.40
            "o2,l1,apparel,1,1,41,false,false,",
            "o3,l1,apparel,1,1,40,false,false,",
            "o3,l2,books,1,0,999,false,false,",  # nothing of it is asked for
            "o4,l1,toys,1,1,60,false,false,",
            "o5,l1,,1,1,1,false,false,",
        ],
    )
    one = policy("caps.category_ok", caps="caps: {per_category: {amount_minor: 100, over: 1h}}")
    done, outcomes = decided(engine, folder, one)
    assert outcomes == {"r1": "instant", "r2": "review", "r3": "instant", "r4": "instant", "r5": "review"}
    fits = {row["request_id"]: row["caps.category_ok"] for row in pq.read_table(done.path).to_pylist()}
    assert fits == {"r1": True, "r2": False, "r3": True, "r4": True, "r5": None}


@pytest.mark.parametrize("window", [3_600, 7_200])
def test_a_categorys_bucket_counts_until_its_end_has_left_the_window(window: int) -> None:
    replayed = CapsReplay(Caps(per_category=Cap(1, None, window)))
    asked, toys = Asked("b", "s"), CategoryAmounts({"toys": None})
    replayed.approve(asked, 1, None, toys)
    leaves = 60_000_000 + window * 1_000_000
    assert replayed.facts(asked, leaves - 1, None, toys)["caps.category_ok"] is False
    assert replayed.facts(asked, leaves, None, toys)["caps.category_ok"] is True


def test_approvals_of_one_moment_all_count_until_the_moment_at_which_they_leave_the_window() -> None:
    usage = CapsReplay(Caps(Cap(9, 900, 3_600), Cap(9, 900, 3_600), Cap(9, 900, 86_400)))
    for amount in (30, 30, 4):
        usage.approve(Asked("b", "s"), 7, amount)
    leaves = 7 + 3_600_000_000
    for moment, wanted in ((7, (3, 64)), (leaves - 1, (3, 64)), (leaves, (0, 0))):
        facts = usage.facts(Asked("b", "s"), moment, 1)
        assert (facts["caps.buyer_used_count"], facts["caps.buyer_used_minor"]) == wanted
    # A shop's bucket of a minute counts whole: until the window has passed the bucket's end.
    usage.approve(Asked("b", "s"), leaves, 30)
    bucket_leaves = (leaves // 60_000_000 + 1) * 60_000_000 + 3_600_000_000
    assert usage.facts(Asked("b", "s"), bucket_leaves - 1, 1)["caps.shop_used_count"] == 1
    assert usage.facts(Asked("b", "s"), bucket_leaves, 1)["caps.shop_used_count"] == 0
