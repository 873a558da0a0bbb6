"""What the measurements stand on: a durable PostgreSQL of their own, and orders whose buyers are refunded at once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from jitui.adapters.embedded_postgres import EmbeddedServer, running, with_database
from jitui.adapters.postgres.migrate import upgrade
from jitui.settings import Settings

FIRST_ORDER = 1_000_001
"""Orders are numbered, and buyer and order share the number, so that a load needs no list of them."""

AMOUNT_MINOR = 1_000
SHOPS = 100
HISTORY_KINDS = (
    "order_paid",
    "order_completed",
    "refund_before_shipment",
    "dispute_lost",
    "shipped",
    "shipped_on_time",
)
BY_HASH: LiteralString = "get_byte(sha256(n::text::bytea), 0)"
"""The lane as Jitui computes it."""
BY_NUMBER: LiteralString = "mod(n, 256)"
"""The lane as a pgbench script can compute it; the database does not know the difference."""

_SEED: tuple[LiteralString, ...] = (
    "INSERT INTO order_directory (order_id, lane, buyer_id) SELECT n::text, lane, n::text FROM fresh",
    "INSERT INTO buyer (lane, buyer_id, registered_at, updated_at) "
    "SELECT lane, n::text, %(now)s - interval '400 days', %(now)s FROM fresh",
    "INSERT INTO selection (lane, buyer_id, verdict, set_by, set_at) "
    "SELECT lane, n::text, 'allow', 'bench', %(now)s FROM fresh",
    "INSERT INTO buyer_day (lane, buyer_id, kind, day, currency, events, amount_minor) "
    "SELECT lane, n::text, kind, (%(now)s - make_interval(days => 5 + 9 * d))::date, 'CNY', 2, 0 "
    "FROM fresh, (VALUES ('order_paid'), ('order_completed')) AS k (kind), generate_series(0, 3) AS d",
    "INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at, paid_at) "
    "SELECT lane, n::text, n::text, 'shop-' || n %% %(shops)s, 'CNY', 0, %(now)s - interval '1 hour', "
    "%(now)s - interval '1 hour' FROM fresh",
    "INSERT INTO order_line (lane, order_id, line_id, position, sku, item_id, category_id, quantity, paid_minor, "
    "customised, virtual) SELECT lane, n::text, 'l' || p, p, 'sku-' || p, 'item-' || n %% 5000 + p, 'apparel', 1, "
    "%(amount)s / 2, false, false FROM fresh, generate_series(1, 2) AS p",
    "INSERT INTO tender (lane, order_id, tender_id, provider, payment_id, currency, captured_minor, captured_at) "
    "SELECT lane, n::text, 't1', 'simulator', 'pay-' || n, 'CNY', %(amount)s, %(now)s - interval '1 hour' FROM fresh",
    "INSERT INTO change (lane, kind, order_id, buyer_id, shop_id, at, body, position) "
    "SELECT lane, 'order.paid', n::text, n::text, 'shop-' || n %% %(shops)s, %(now)s, '{}', "
    "nextval('change_position') FROM fresh",
)


@contextmanager
def server(settings: Mapping[str, str] | None = None) -> Iterator[EmbeddedServer]:
    """A fresh embedded server that waits for the disk at every commit, gone with its folder afterwards.

    `settings` are PostgreSQL's own, also such as count only from the server's start.
    """
    folder = Path(tempfile.mkdtemp(prefix="jitui_bench_"))
    try:
        if settings:
            with running(folder / "postgres") as begun, psycopg.connect(begun.url, autocommit=True) as connection:
                for name, value in settings.items():
                    parameter = sql.Identifier(*name.split("."))
                    connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(parameter, sql.Literal(value)))
        with running(folder / "postgres") as started:
            yield started
    finally:
        place = (folder / "postgres").resolve()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)


def new_database(started: EmbeddedServer, name: str) -> str:
    """The URL of a new, migrated, empty database."""
    with psycopg.connect(started.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = with_database(started.url, name)
    upgrade(url)
    return url


def seed(url: str, count: int, *, lane: LiteralString = BY_HASH, now: datetime | None = None) -> range:
    """Paid orders of premium buyers on the allow list, each of two lines; returns their numbers."""
    params = {"now": now or datetime.now(UTC), "shops": SHOPS, "amount": AMOUNT_MINOR}
    numbers = range(FIRST_ORDER, FIRST_ORDER + count)
    with psycopg.connect(url) as connection:
        connection.execute(
            f"CREATE TEMP TABLE fresh AS SELECT n, ({lane})::smallint AS lane FROM generate_series(%s::int, %s::int) n",
            (numbers.start, numbers.stop - 1),
        )
        for insert in _SEED:
            connection.execute(insert, params)
    settle(url)
    return numbers


def settle(url: str) -> None:
    """Statistics as a running system has them, and no checkpoint left over for the next measurement.

    A table without rows is left alone, as autovacuum leaves it: once PostgreSQL is told that it is empty, its plans
    read it from end to end however much it grows.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public' AND n_live_tup + n_tup_ins > 0"
        ).fetchall()
        for (name,) in names:
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(name)))
        connection.execute("CHECKPOINT")


def settings_for(url: str, home: Path, **changed: Any) -> Settings:
    """Settings of a service on a database of the measurement's own."""
    return Settings(home=home, database_url=url, **changed)


def long_ago(now: datetime) -> datetime:
    """From when on the history counts as complete."""
    return now - timedelta(days=3650)
