"""A small generated shop to replay: a policy with a cap, and one call that runs everything."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from jitui.backtest.history import open_history
from jitui.demo.replay import Progress, ReplayAssumptions, ReplayReport, open_environment, replay_history
from jitui.policy import Policy
from jitui.settings import Settings
from tests.backtest.invoices import InvoiceRow, write_parquet

POLICY_TEXT = """\
policy: replay-test
version: "1"
effective_from: 2010-01-01T00:00:00+00:00
currency: GBP
title: {zh: 测试, en: For tests}
features:
  buyer.refunds_before_shipment_2d: {count: refund_before_shipment, over: 2d}
conditions:
  - {id: small, when: order.paid_minor < 10000, public: true, text: {zh: 小额, en: Under 100 pounds}}
  - id: seldom
    when: buyer.refunds_before_shipment_2d < 2
    public: true
    text: {zh: 少退款, en: Seldom refunded}
  - {id: supported, when: "order.lines.all(l, !l.virtual)", public: true, text: {zh: 实物, en: Things}}
  - {id: within_caps, when: caps.platform_ok, public: false, text: {zh: 限额内, en: Within the caps}}
selection: {hold_out_percent: 0}
caps:
  platform: {amount_minor: 3000, over: 24h}
review: {deadline: 48h, on_timeout: approve}
notice: {zh: 已自动审核通过, en: Approved automatically}
"""
POLICY = Policy.from_text(POLICY_TEXT, "replay-test.yaml")

EARLY = InvoiceRow(invoice="400000", at="2011-02-01 09:00", customer=1.0)
"""The record begins a month before anything is asked, so that two days of history are known by then."""


def assumed_of(path: Path) -> ReplayAssumptions:
    """The usual assumptions about a file."""
    return ReplayAssumptions(history_sha256=path.name, format_name="online-retail", policy_sha256=POLICY.sha256)


def replayed(
    path: Path,
    home: Path,
    database_url: str,
    assumptions: ReplayAssumptions | None = None,
    *,
    watch: Callable[[Progress], None] = lambda _: None,
) -> ReplayReport:
    """One run of a file on a database."""
    settings = Settings(home=home)
    assumed = assumptions or assumed_of(path)
    with (
        open_history(path, "online-retail") as history,
        open_environment(settings, database_url=database_url) as environment,
    ):
        return asyncio.run(replay_history(environment, history, POLICY, assumed, watch=watch))


def same_as(first: ReplayReport, again: ReplayReport) -> bool:
    """Whether two runs came to the same, whatever each of them had to add."""
    return replace(first, new=again.new) == again


def busy_shop(path: Path, *, orders: int, seed: int = 7) -> Path:
    """Orders of a few customers over some days, every third one asked back in part or whole, soon or late."""
    drawn = random.Random(seed)
    start = datetime.fromisoformat("2011-03-01 09:00")  # the shop's own time, as in the file
    sales: list[tuple[datetime, InvoiceRow]] = []
    for number in range(orders):
        at = start + timedelta(minutes=37 * number)
        customer = float(drawn.randint(1, 9))
        lines = [
            InvoiceRow(
                str(500_000 + number), f"2{code}", drawn.randint(1, 9), str(at), drawn.choice((1.25, 4.95)), customer
            )
            for code in drawn.sample(range(1000, 1020), drawn.randint(1, 5))
        ]
        sales += [(at, line) for line in lines]
        if number % 3 == 0:
            asked_at = at + timedelta(minutes=drawn.choice((5, 90, 600, 1_430, 3_000)))
            for line in drawn.sample(lines, drawn.randint(1, len(lines))):
                assert line.quantity is not None
                back = drawn.randint(1, line.quantity + 1)
                cancelled = line._replace(invoice=f"C{700_000 + number}", quantity=-back, at=str(asked_at))
                sales.append((asked_at, cancelled))
    sales.sort(key=lambda sale: sale[0])
    return write_parquet(path, [EARLY, *(row for _, row in sales)])
