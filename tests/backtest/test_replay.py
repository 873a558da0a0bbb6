"""A policy on a whole history: verdicts as online, caps in order, and unknown where nothing was fed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from jitui.backtest.caps import Asked, CapsReplay
from jitui.backtest.engine import Engine, EngineName, open_engine
from jitui.backtest.facts import Choice
from jitui.backtest.replay import ReplayChoice, Replayed, replay
from jitui.backtest.source import prepare
from jitui.backtest.summary import compare, summarise
from jitui.policy import Cap, Caps, CapUsage, Policy, decide, fits_cap, held_out
from tests.backtest.histories import request, small_history, write_csv
from tests.policy.policy_samples import DEFAULT, default_policy

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with open_engine(EngineName.DUCKDB, tmp_path_factory.mktemp("engine")) as opened:
        yield opened


def replayed(engine: Engine, folder: Path, policy: Policy, name: str = "decisions", **choice: bool) -> Replayed:
    prepared = prepare(folder, folder.parent / "work")
    tables = {table: engine.read(path) for table, path in prepared.paths.items()}
    recompute = choice.get("recompute_features", False)
    chosen = ReplayChoice(Choice(SHANGHAI, recompute), choice.get("replay_caps", True))
    return replay(engine, tables, policy, folder.parent / f"{name}.parquet", chosen)


def decisions(done: Replayed) -> dict[str, dict[str, Any]]:
    return {row["request_id"]: row for row in pq.read_table(done.path).to_pylist()}


def without_hold_out() -> Policy:
    text = DEFAULT.read_text(encoding="utf-8").replace("hold_out_percent: 2", "hold_out_percent: 0")
    return Policy.from_text(text)


def test_a_good_buyer_is_refunded_at_once_and_a_new_one_is_not(engine: Engine, tmp_path: Path) -> None:
    history = small_history(
        tmp_path / "h",
        requests=[request(1, "2025-06-01T12:00:00Z"), request(2, "2025-06-01T12:00:00Z", buyer="new")],
    )
    rows = decisions(replayed(engine, history, without_hold_out()))
    assert rows["r1"]["outcome"] == "instant"
    assert (rows["r1"]["obstacles"], rows["r1"]["first_obstacle"]) == (0, None)
    assert rows["r2"]["outcome"] == "review"
    assert (rows["r2"]["obstacles"], rows["r2"]["first_obstacle"]) == (1, "premium_buyer")
    assert rows["r2"]["condition.premium_buyer"] is False


def test_a_kind_of_event_that_was_never_fed_is_unknown_and_approves_nothing(engine: Engine, tmp_path: Path) -> None:
    history = small_history(tmp_path / "h", requests=[request(1, "2025-06-01T12:00:00Z")])
    write_csv(history, "event_records", "kind,complete_from", ["order_paid,2020-01-01T00:00:00Z"])
    row = decisions(replayed(engine, history, without_hold_out()))["r1"]
    assert row["outcome"] == "review"
    assert row["condition.premium_buyer"] is None


def test_a_history_of_requests_alone_approves_nothing(engine: Engine, tmp_path: Path) -> None:
    history = small_history(tmp_path / "h", requests=[request(1, "2025-06-01T12:00:00Z")])
    for path in history.glob("*.csv"):
        if path.stem != "requests":
            path.unlink()
    row = decisions(replayed(engine, history, without_hold_out()))["r1"]
    assert row["outcome"] == "review"
    assert [row[f"condition.{name}"] for name in ("premium_buyer", "paid_under_300", "unshipped")] == [None] * 3


def test_the_buyers_cap_is_replayed_in_order(engine: Engine, tmp_path: Path) -> None:
    asked = [f"2025-06-0{n}T12:00:00Z" for n in range(1, 6)]
    history = small_history(tmp_path / "h", requests=[request(n, at) for n, at in enumerate(asked, 1)])
    rows = decisions(replayed(engine, history, without_hold_out()))
    # Three approvals, or 600.00 CNY, within thirty days.
    assert [rows[f"r{n}"]["outcome"] for n in range(1, 6)] == ["instant"] * 3 + ["review"] * 2
    assert rows["r4"]["first_obstacle"] == "within_caps"
    assert (rows["r3"]["caps.buyer_ok"], rows["r4"]["caps.buyer_ok"]) == (True, False)


def test_a_shipment_counts_from_when_it_was_recorded(engine: Engine, tmp_path: Path) -> None:
    history = small_history(tmp_path / "h", requests=[request(n, "2025-06-01T12:00:00Z") for n in (1, 2, 3)])
    write_csv(
        history,
        "shipments",
        "order_id,degree,at,recorded_at",
        [
            "o1,shipped,2025-06-01T10:00:00Z,2025-06-01T11:59:59Z",
            "o2,shipped,2025-06-01T10:00:00Z,2025-06-01T12:00:01Z",  # gone, and nobody knew (R9)
            "o3,label_printed,2025-06-01T10:00:00Z,",
        ],
    )
    done = replayed(engine, history, without_hold_out())
    rows = decisions(done)
    assert [rows[name]["outcome"] for name in ("r1", "r2", "r3")] == ["review", "instant", "instant"]
    summary = summarise(done, minutes_a_review=4, time_zone="Asia/Shanghai")
    assert (summary.expected_incidents, summary.expected_incidents_minor) == (1, 10_000)


def test_the_conditions_in_bulk_are_those_of_decide(engine: Engine, tmp_path: Path) -> None:
    """Logged facts, whatever they are: the whole default policy reads them as `decide` does."""
    random = Random(3)
    policy = default_policy()
    specs = [spec for name, spec in policy.facts.items() if name in policy.programs.condition_reads.facts]
    rows, facts = [], []
    for number in range(1, 201):
        known: dict[str, Any] = {}
        for spec in specs:
            pool: Sequence[Any] = {"bool": (True, True, False), "int": (0, 1, 9, 29_999, 30_000, 400)}.get(
                spec.type, ()
            )
            if spec.enum:
                pool = (*spec.enum, "elsewhere")
            if pool and random.random() < 0.9:
                known[spec.name] = random.choice(pool)
        facts.append(known)
        rows.append(f"r{number},o,b{number},s,2025-06-01T12:00:00Z,1,true,,")
    history = tmp_path / "h"
    write_csv(
        history, "requests", "request_id,order_id,buyer_id,shop_id,asked_at,amount_minor,whole_order,tier,x", rows
    )
    names = [spec.name for spec in specs if spec.type != "lines"]
    values = [",".join([f"r{n}", *(_csv(known.get(name)) for name in names)]) for n, known in enumerate(facts, 1)]
    write_csv(history, "facts", ",".join(["request_id", *names]), values)
    found = decisions(replayed(engine, history, policy, replay_caps=False))
    for number, known in enumerate(facts, 1):
        decision = decide(policy, known)
        row = found[f"r{number}"]
        verdicts = {one.id: {"true": True, "false": False, "unknown": None}[one.verdict] for one in decision.conditions}
        assert {name: row[f"condition.{name}"] for name in verdicts} == verdicts
        assert row["outcome"] == decision.outcome


def _csv(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("selection", ["0", "30", "30, seed: summer-2027", "100"])
def test_the_hold_out_in_bulk_is_the_one_online(engine: Engine, tmp_path: Path, selection: str) -> None:
    """By the policy's name or by the seed of its experiment."""
    text = DEFAULT.read_text(encoding="utf-8").replace("hold_out_percent: 2", f"hold_out_percent: {selection}")
    policy = Policy.from_text(text)
    asked = [request(n, "2025-06-01T12:00:00Z", buyer=f"b{n}") for n in range(300)]
    rows = decisions(replayed(engine, small_history(tmp_path / "h", requests=asked), policy))
    assert {key: row["held_out"] for key, row in rows.items()} == {
        f"r{n}": held_out(policy, f"b{n}") for n in range(300)
    }


def test_caps_in_order_are_what_counting_all_approvals_gives() -> None:
    random = Random(11)
    caps = Caps(Cap(2, 500, 3_600), Cap(None, 900, 7_200), Cap(6, None, 86_400))
    usage = CapsReplay(caps)
    approved: list[tuple[str, str, int, int]] = []
    now_us = 1_700_000_000_000_000
    for _ in range(400):
        now_us += random.choice([0, 1, 60, 600, 3_000]) * 1_000_000
        buyer, shop, amount = random.choice("ab"), random.choice("xy"), random.randint(1, 300)
        facts = usage.facts(Asked(buyer, shop), now_us, amount)
        wanted = {
            "caps.buyer_ok": _fits(caps.per_buyer, [a for a in approved if a[0] == buyer], now_us, amount, 0),
            "caps.shop_ok": _fits(caps.per_shop, [a for a in approved if a[1] == shop], now_us, amount, 60),
            "caps.platform_ok": _fits(caps.platform, approved, now_us, amount, 3_600),
        }
        assert {name: facts[name] for name in wanted} == wanted
        if all(wanted.values()):
            usage.approve(Asked(buyer, shop), now_us, amount)
            approved.append((buyer, shop, now_us, amount))
    assert 20 < len(approved) < 380


def _fits(cap: Cap | None, approved: list[tuple[str, str, int, int]], now_us: int, amount: int, bucket: int) -> bool:
    assert cap is not None
    bucket_us = bucket * 1_000_000 or 1
    begin = now_us - cap.over_seconds * 1_000_000
    inside = [one[3] for one in approved if (one[2] // bucket_us + (bucket > 0)) * bucket_us > begin]
    fits = fits_cap(cap, CapUsage(len(inside), sum(inside)), amount)
    assert fits is not None
    return fits


def test_two_policies_side_by_side(engine: Engine, tmp_path: Path) -> None:
    history = small_history(
        tmp_path / "h",
        requests=[request(1, "2025-06-01T12:00:00Z"), request(2, "2025-06-02T12:00:00Z", buyer="new")],
    )
    here = without_hold_out()
    stricter = Policy.from_text(here.text.replace("limit_minor: 30000", "limit_minor: 10000"))
    one = replayed(engine, history, here)
    other = replayed(engine, history, stricter, "against")
    compared = compare(one.path, other.path, "here", "there", "CNY")
    cells = {(cell.here, cell.there): (cell.requests, cell.amount_minor) for cell in compared.cells}
    assert cells[("instant", "review")] == (1, 10_000)
    assert cells[("review", "review")] == (1, 10_000)
    assert cells[("instant", "instant")] == cells[("review", "instant")] == (0, 0)
    [example] = next(cell.examples for cell in compared.cells if cell.examples)
    assert (example.request_id, example.stopped_by) == ("r1", "paid_under_300")


def test_the_figures_of_a_summary(engine: Engine, tmp_path: Path) -> None:
    history = small_history(
        tmp_path / "h",
        requests=[
            request(1, "2025-06-01T15:59:59Z", amount_minor=4_999),
            request(2, "2025-06-01T16:00:00Z", buyer="new", amount_minor=5_000),
        ],
    )
    summary = summarise(replayed(engine, history, without_hold_out()), minutes_a_review=4, time_zone="Asia/Shanghai")
    assert (summary.requests, summary.instant, summary.instant_minor, summary.requested_minor) == (2, 1, 4_999, 9_999)
    assert summary.instant_share == 0.5
    assert summary.minutes_saved == 4
    assert [(day.name, day.requests) for day in summary.by_day] == [("2025-06-01", 1), ("2025-06-02", 1)]
    assert [(group.name, group.instant) for group in summary.by_amount] == [("0-4999", 1), ("5000-9999", 0)]
    stopped = {one.id: (one.stopped, one.unknown, one.alone, one.first) for one in summary.obstacles}
    assert stopped["premium_buyer"] == (1, 0, 1, 1)
    assert stopped["paid_under_300"] == (0, 0, 0, 0)


def test_an_empty_history_gives_an_empty_summary(engine: Engine, tmp_path: Path) -> None:
    done = replayed(engine, small_history(tmp_path / "h", requests=[]), without_hold_out())
    summary = summarise(done, minutes_a_review=4, time_zone="Asia/Shanghai")
    assert (summary.requests, summary.instant, summary.instant_share, summary.by_day) == (0, 0, 0.0, ())


@pytest.mark.parametrize("replay_caps", [True, False])
def test_what_waits_for_the_warehouse_is_not_at_once_and_uses_no_cap(
    engine: Engine, tmp_path: Path, replay_caps: bool
) -> None:
    """Both readings agree, in bulk and in order; a shipment that is unknown asks nobody."""
    asked_at = "2025-06-01T12:0{}:00Z"
    history = small_history(
        tmp_path / "h",
        requests=[request(n, asked_at.format(n), buyer="new" if n == 3 else "good") for n in (1, 2, 3, 4)],
    )
    labels = [f"o{n},label_printed,2025-06-01T06:00:00Z,2025-06-01T06:00:00Z" for n in (1, 3)]
    write_csv(history, "shipments", "order_id,degree,at,recorded_at", labels)
    text = without_hold_out().text.replace("count: 3", "count: 1")
    policy = Policy.from_text(f"{text}\nstop_ship: {{approve_when_held_within_minutes: 30}}\n")
    done = replayed(engine, history, policy, replay_caps=replay_caps)
    rows = decisions(done)
    assert (rows["r1"]["outcome"], rows["r1"]["condition.held_by_warehouse"]) == ("review", False)
    assert rows["r2"]["condition.held_by_warehouse"] is True
    if replay_caps:
        assert rows["r1"]["first_obstacle"] == "held_by_warehouse" and rows["r1"]["obstacles"] == 1
        assert rows["r2"]["outcome"] == "instant", "the one before it has used nothing of the cap"
        assert rows["r4"]["outcome"] == "review"
        summary = summarise(done, minutes_a_review=1, time_zone="Asia/Shanghai")
        assert (summary.instant, summary.asked_warehouse) == (1, 1), "r3 misses another condition too"
    plain = replayed(engine, history, Policy.from_text(text), "plain", replay_caps=replay_caps)
    assert summarise(plain, minutes_a_review=1, time_zone="Asia/Shanghai").asked_warehouse is None
