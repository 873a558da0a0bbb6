"""Generated invoices through the real service: what is decided, paid, refused and shipped; and a second run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest

from jitui.backtest.history import UnmatchedReason
from jitui.demo.replay import ReplayReport, open_environment
from jitui.errors import BadInput
from jitui.settings import Settings
from tests.aftersales.market import open_market
from tests.backtest.invoices import InvoiceRow, write_parquet
from tests.demo_replay.shop import EARLY, assumed_of, busy_shop, replayed, same_as

ROWS = [
    EARLY,
    InvoiceRow("500001", "22728", 6, "2011-03-01 10:00", 2.0, 11.0),  # 12 pounds
    InvoiceRow("500001", "21754", 2, "2011-03-01 10:00", 3.0, 11.0),  # and 6
    InvoiceRow("500002", "22728", 100, "2011-03-01 11:00", 2.0, 12.0),  # 200: too much for the system alone
    InvoiceRow("500003", "GIFT_0001_20", 1, "2011-03-01 12:00", 20.0, 13.0),  # a voucher
    InvoiceRow("500004", "22728", 4, "2011-03-01 12:00", 5.0, 14.0),
    InvoiceRow("500005", "22728", 4, "2011-03-01 12:00", 5.0, 15.0),
    InvoiceRow("C600001", "22728", -2, "2011-03-01 12:30", 2.0, 11.0),  # in part, at once: 4 pounds
    InvoiceRow("C600002", "22728", -50, "2011-03-01 13:00", 2.0, 12.0),  # in review
    InvoiceRow("C600003", "GIFT_0001_20", -1, "2011-03-01 13:30", 20.0, 13.0),  # in review
    InvoiceRow("C600004", "22728", -4, "2011-03-01 14:00", 5.0, 14.0),  # whole, at once: 24 of 30 pounds are used
    InvoiceRow("C600005", "22728", -4, "2011-03-01 14:00", 5.0, 15.0),  # the same minute: over the platform's cap
    InvoiceRow("C600006", "21754", -1, "2011-03-04 10:00", 3.0, 11.0),  # shipped long ago
    InvoiceRow("C600007", "99999", -1, "2011-03-04 10:00", 3.0, 11.0),  # never bought
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replay")


@pytest.fixture(scope="module")
def report(home: Path, module_database_url: str) -> ReplayReport:
    """Of one run that many tests look at."""
    return replayed(write_parquet(home / "shop.parquet", ROWS), home, module_database_url)


def orders_of(database_url: str) -> dict[str, tuple[int, int, bool]]:
    """Units shipped, units under tickets, and whether the order was completed."""
    query = """
        SELECT split_part(o.order_id, '-', 1), sum(l.shipped_quantity)::int, sum(l.claimed_quantity)::int,
            o.completed_at IS NOT NULL
        FROM orders o JOIN order_line l USING (lane, order_id) GROUP BY o.order_id, o.completed_at
    """
    with psycopg.connect(database_url) as connection:
        return {name: (shipped, claimed, done) for name, shipped, claimed, done in connection.execute(query)}


def test_every_request_is_decided_by_the_policy_as_of_its_own_time(report: ReplayReport) -> None:
    assert (report.requests, report.decided, report.instant, report.reviewed, report.refused) == (6, 5, 2, 3, 1)
    assert report.before_dispatch.requests == 5
    assert report.after_dispatch.refused_by_code == {"units-not-available": 1}
    assert {name: stopped.alone for name, stopped in report.reviewed_by_condition.items()} == {
        "small": 0,
        "supported": 1,
        "within_caps": 1,
    }
    assert report.refunded == 5
    assert report.approved_by == {"instant_refund": 2, "merchant": 3}


def test_amounts_are_exact(report: ReplayReport) -> None:
    amounts = report.amounts
    assert amounts.paid_minor == 1530 + 1800 + 20000 + 2000 + 2000 + 2000
    assert amounts.instant_minor == 400 + 2000
    assert amounts.reviewed_minor == 10000 + 2000 + 2000
    assert amounts.refunded_minor == report.check.refunded_by_provider_minor == 16400


def test_what_has_no_order_is_counted_and_listed(report: ReplayReport) -> None:
    assert report.matching.requests == report.matching.cancellations_matched == 6
    (left,) = report.matching.first_unmatched
    assert (left.row, left.reason, left.quantity) == (14, UnmatchedReason.NEVER_BOUGHT, 1)
    assert report.matching.unmatched_by_reason["never_bought"].credited_minor == 300


def test_delays_are_counted_by_class(report: ReplayReport) -> None:
    counted = {name: count for name, count in report.cancel_delays.requests.items() if count}
    assert counted == {"under_4h": 5, "under_168h": 1}  # the last one after 72 hours to the minute
    assert report.cancel_delays.hours_median == 2.0


def test_the_database_agrees_with_the_provider(report: ReplayReport) -> None:
    assert report.check.holds


def test_what_was_not_taken_back_ships_once_nothing_is_undecided(
    report: ReplayReport, module_database_url: str
) -> None:
    assert report.check.shipped_and_refunded == 0
    assert orders_of(module_database_url) == {
        "400000": (6, 0, True),
        "500001": (6, 2, True),
        "500002": (50, 50, True),
        "500003": (0, 1, False),
        "500004": (0, 4, False),
        "500005": (0, 4, False),
    }


def test_times_in_the_database_are_those_of_the_invoices(report: ReplayReport, module_database_url: str) -> None:
    """The parcel of the reviewed order left when the merchant had decided, a day after the request."""
    query = "SELECT happened_at, recorded_at FROM shipment WHERE order_id = '500002-12'"
    with psycopg.connect(module_database_url) as connection:
        happened_at, recorded_at = connection.execute(query).fetchone() or (None, None)
        newest = connection.execute("SELECT max(recorded_at) FROM buyer_event").fetchone() or (None,)
    assert happened_at == recorded_at == datetime(2011, 3, 2, 13, tzinfo=UTC)
    assert newest[0] < datetime(2011, 4, 1, tzinfo=UTC)
    assert report.assumed["dispatch_hours"] == 24


def test_running_it_again_changes_nothing_and_says_the_same(
    report: ReplayReport, home: Path, module_database_url: str
) -> None:
    before = _contents(module_database_url)
    again = replayed(home / "shop.parquet", home, module_database_url)
    assert (again.new.orders, again.new.tickets, again.new.answers) == (0, 0, 0)
    assert same_as(report, again)
    assert _contents(module_database_url) == before


def _contents(database_url: str) -> dict[str, object]:
    """All rows of every table that belongs to an order's life, as one hash each."""
    tables = ("orders", "order_line", "tender", "shipment", "ticket", "ticket_event", "refund", "refund_attempt")
    more = ("decision", "ledger", "buyer_event", "buyer_day", "change", "idempotency", "incident", "usage_bucket")
    with psycopg.connect(database_url) as connection:
        return {
            table: connection.execute(
                f"SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {table} t"
            ).fetchone()
            for table in (*tables, *more)
        }


def test_silence_decides_where_the_merchant_is_slower_than_the_deadline(tmp_path: Path, database_url: str) -> None:
    path = write_parquet(tmp_path / "shop.parquet", ROWS)
    report = replayed(path, tmp_path, database_url, replace(assumed_of(path), merchant_hours=200))
    assert report.approved_by == {"instant_refund": 2, "merchant_timeout": 3}
    assert report.check.holds


def test_dispatch_at_once_leaves_nothing_to_refund(tmp_path: Path, database_url: str) -> None:
    path = write_parquet(tmp_path / "shop.parquet", ROWS)
    report = replayed(path, tmp_path, database_url, replace(assumed_of(path), dispatch_hours=0))
    assert (report.decided, report.refused) == (0, 6)
    assert report.after_dispatch.refused_by_code == {"order-already-shipped": 6}


def test_a_part_of_the_file_can_be_tried(tmp_path: Path, database_url: str, new_database: Callable[[], str]) -> None:
    path = write_parquet(tmp_path / "shop.parquet", ROWS)
    limited = replayed(path, tmp_path, database_url, replace(assumed_of(path), limit_orders=3))
    assert (limited.file.orders, limited.requests) == (3, 0)
    days = replace(assumed_of(path), since=date(2011, 3, 1), until=date(2011, 3, 2))
    first_day = replayed(path, tmp_path, new_database(), days)
    assert (first_day.file.orders, first_day.requests) == (5, 5)


def test_other_assumptions_need_another_database(report: ReplayReport, home: Path, module_database_url: str) -> None:
    path = home / "shop.parquet"
    other = replace(assumed_of(path), dispatch_hours=48)
    with pytest.raises(BadInput, match="dispatch_hours was 24 and is now 48"):
        replayed(path, home, module_database_url, other)
    assert same_as(report, replayed(path, home, module_database_url))


def test_a_provider_that_did_not_pay_is_found_out(tmp_path: Path, database_url: str) -> None:
    path = write_parquet(tmp_path / "shop.parquet", ROWS)
    assert replayed(path, tmp_path, database_url).check.findings == ()
    for books in (tmp_path / "replay").iterdir():
        books.unlink()
    check = replayed(path, tmp_path, database_url).check
    assert not check.holds
    assert (check.approved_but_unpaid, check.refunded_by_provider_minor) == (5, 0)
    assert len(check.findings) == 5


async def _trade(database_url: str) -> None:
    async with open_market(database_url) as market:
        await market.paid_order("buyer-1", "order-1")


def test_a_database_with_other_orders_is_left_alone(tmp_path: Path, database_url: str) -> None:
    asyncio.run(_trade(database_url))
    path = write_parquet(tmp_path / "shop.parquet", ROWS)
    with pytest.raises(BadInput, match="holds other orders"):
        replayed(path, tmp_path, database_url)


def test_a_named_database_is_never_dropped(tmp_path: Path, database_url: str) -> None:
    with (
        pytest.raises(BadInput, match="empty the one that you name yourself"),
        open_environment(Settings(home=tmp_path), database_url=database_url, fresh=True),
    ):
        pass


# Killed in the middle ------------------------------------------------------------------------------------------------

KILLED = """
import sys
from pathlib import Path
from tests.demo_replay.shop import replayed
path, home, url = sys.argv[1:]
replayed(Path(path), Path(home), url)
"""


def _run_until(path: Path, home: Path, database_url: str, *, rows: int) -> bool:
    """Kill a run once the database holds so many timeline and shipment rows; whether it was still at work."""
    command = [sys.executable, "-c", KILLED, str(path), str(home), database_url]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)
    count = "SELECT (SELECT count(*) FROM ticket_event) + (SELECT count(*) FROM shipment)"
    with psycopg.connect(database_url, autocommit=True) as connection:
        while process.poll() is None:
            with suppress(psycopg.errors.UndefinedTable):
                found = connection.execute(count).fetchone()
                if found is not None and found[0] >= rows:
                    break
            time.sleep(0.002)
    process.kill()
    return process.wait() != 0


@pytest.mark.timeout(300)
def test_a_killed_run_is_finished_by_running_it_again(tmp_path: Path, new_database: Callable[[], str]) -> None:
    """Killed three times, wherever it happened to be, it comes to the same as a run that nobody disturbed."""
    path = busy_shop(tmp_path / "busy.parquet", orders=60)
    undisturbed = replayed(path, tmp_path / "one", new_database())
    assert undisturbed.instant
    assert undisturbed.reviewed
    assert undisturbed.refused
    url = new_database()
    killed = [_run_until(path, tmp_path / "two", url, rows=rows) for rows in (5, 15, 30)]
    assert killed == [True, True, True]
    finished = replayed(path, tmp_path / "two", url)
    assert 0 < _steps(finished) < _steps(undisturbed), "each of the four runs did a part"
    assert same_as(undisturbed, finished)
    assert finished.check.holds


def _steps(report: ReplayReport) -> int:
    return report.new.orders + report.new.tickets + report.new.answers


# The real invoices, where they are at hand ---------------------------------------------------------------------------


def test_the_first_500_invoices(tmp_path: Path, database_url: str) -> None:
    """Of the public file where it lies beside the checkout, else of a made-up shop as busy."""
    real = Path(__file__).parents[3] / "shared" / "data" / "online-retail" / "online_retail.parquet"
    path = real if real.is_file() else busy_shop(tmp_path / "busy.parquet", orders=500)
    report = replayed(path, tmp_path, database_url, replace(assumed_of(path), limit_orders=500))
    assert report.file.orders == report.new.orders == 500
    assert report.requests == report.decided + report.refused == report.matching.requests > 0
    assert report.check.holds
