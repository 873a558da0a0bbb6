"""Generates a marketplace history of any size; each row is a function of the seed and its number.

DuckDB computes every column from hashes and streams it to Parquet, so ten million orders need no more memory than ten
thousand. The same seed, assumptions and release of DuckDB give the same rows. The source of each assumption is at the
field of `GeneratorAssumptions`; docs/reference/generator.md has them as a table.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from jitui.backtest.new_folder import new_folder, write_assumptions

DAY_SECONDS = 86_400
HOUR_WEIGHTS = (3, 2, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 6, 5, 5, 5, 5, 5, 5, 6, 7, 7, 6, 4)
"""Orders by the hour of the local day (assumed; most in the evening)."""


@dataclass(frozen=True, slots=True)
class GeneratorAssumptions:
    """How the generated marketplace behaves; shares are of orders unless the name says otherwise."""

    days: int = 545  # the length of the history
    requests_from_day: int = 365  # earlier requests are only events: their windows of a year would be unknown
    orders_per_buyer: float = 16.0  # assumed
    orders_per_shop: float = 2_000.0  # assumed
    buyer_skew: float = 2.0  # 1 is even; at 2 the busiest tenth of the buyers place a third of the orders
    shop_skew: float = 2.0  # assumed
    new_account_percent: float = 20.0  # buyers who register during the history: assumed
    amount_log_mean: float = 4.361  # ln CNY: a Tmall shop of February 2020, 28,010 orders
    amount_log_sigma: float = 0.688  # the same shop; 97 % of its paid orders are under 300 CNY
    request_percent: float = (
        8.2  # 23.4 % of paid orders are refunded (same shop), assumed 35 % of these before shipment
    )
    request_sigma: float = (
        1.6  # spread of buyers' inclination to cancel: the top tenth of cancellers make 61 % (UCI Online Retail)
    )
    request_delay_median_minutes: float = 150.0  # from payment to the request: assumed
    request_delay_sigma: float = 1.6  # assumed
    ship_delay_median_hours: float = 42.6  # from payment to the carrier: Olist
    ship_delay_sigma: float = 1.05  # from Olist's quartiles, 20.8 h and 86.2 h
    label_share_of_delay_percent: float = 60.0  # the label is printed this far into the delay: assumed
    late_shop_percent: float = 9.0  # Olist: 9.05 % of orders reach the carrier late
    late_factor: float = 3.0  # how much slower those shops are: assumed
    unrecorded_median_minutes: float = 20.0  # from the parcel leaving to the platform's record of it (R9): assumed
    late_unrecorded_median_minutes: float = 240.0  # the same at late shops: assumed
    on_time_hours: float = 48.0  # shipped on time, as most platforms promise
    presale_percent: float = 3.0  # assumed
    presale_days: float = 15.0  # longest hold: assumed
    completion_days: float = 10.0  # from shipping to a completed order: assumed
    after_shipment_refund_percent: float = 15.2  # the rest of the 23.4 %
    dispute_percent: float = 0.4  # assumed
    customised_percent: float = 2.0  # lines: assumed
    virtual_percent: float = 1.5  # lines: assumed
    second_line_percent: float = 25.0  # orders with two lines: assumed
    ring_percent: float = 0.4  # orders placed by abuse rings: assumed
    ring_orders: float = 60.0  # orders of one ring: assumed
    ring_buyers: int = 8  # accounts of one ring: assumed
    ring_request_percent: float = 90.0  # of a ring's orders that are refunded before shipment: assumed
    review_median_hours: float = 9.0  # until a merchant decides: assumed


@dataclass(frozen=True, slots=True)
class Generated:
    """The number of rows written, by table."""

    folder: Path
    rows: Mapping[str, int]


Progress = Callable[[str, int, int], None]
"""Called with what is being written, the number of finished tables, and the number of all tables."""


def generate(
    out: Path,
    orders: int,
    seed: int,
    assumptions: GeneratorAssumptions,
    *,
    all_orders: bool = False,
    memory_mib: int = 1024,
    progress: Progress = lambda _what, _done, _of: None,
) -> Generated:
    """Write a history with this many orders into a new folder, which appears only when it is complete.

    `orders`, `order_lines` and `shipments` have the orders with requests, or (`all_orders`) all. Raises BadInput when
    the folder exists and is not empty.
    """
    with new_folder(out) as unfinished:
        rows = _write(unfinished, orders, seed, assumptions, all_orders, memory_mib, progress)
        about = {"orders": orders, "seed": seed, "all_orders": all_orders, "assumptions": asdict(assumptions)}
        write_assumptions(unfinished, about)
    return Generated(out, rows)


def _write(
    folder: Path,
    orders: int,
    seed: int,
    known: GeneratorAssumptions,
    all_orders: bool,
    memory_mib: int,
    progress: Progress,
) -> dict[str, int]:
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mib}MiB",
        "temp_directory": str(folder / "spill"),
        "preserve_insertion_order": False,
    }
    rows = {}
    with closing(duckdb.connect(config=config)) as connection:
        for statement in _model(orders, seed, known):
            connection.execute(statement)
        tables = _tables(all_orders, known.days)
        for done, (name, query) in enumerate(tables.items()):
            progress(f"writing {name}", done, len(tables))
            target = str(folder / f"{name}.parquet").replace("'", "''")
            counted = connection.execute(f"COPY ({query}) TO '{target}' (COMPRESSION zstd)").fetchone()
            rows[name] = int(counted[0]) if counted else 0
        progress("done", len(tables), len(tables))
    shutil.rmtree(folder / "spill", ignore_errors=True)
    return rows


# The model -------------------------------------------------------------------------------------------------------

END_US = 1_767_196_800_000_000  # 2026-01-01T00:00 in Shanghai
_ZONE_US = 8 * 3_600_000_000


def _model(orders: int, seed: int, known: GeneratorAssumptions) -> list[str]:
    """Macros and views; `placed` has one row for each order, with everything that happens to it."""
    start_us = END_US - known.days * DAY_SECONDS * 1_000_000
    buyers = max(1, round(orders / known.orders_per_buyer))
    shops = max(1, round(orders / known.orders_per_shop))
    rings = max(1, round(orders * known.ring_percent / 100 / known.ring_orders))
    total = sum(HOUR_WEIGHTS)
    edges = [sum(HOUR_WEIGHTS[:hour]) / total for hour in range(24)]
    hour = "CASE " + " ".join(f"WHEN x >= {edges[h]} THEN {h}" for h in range(23, -1, -1)) + " ELSE 0 END"
    return [
        f"CREATE MACRO u(i, salt) AS hash(i, salt, {seed})::DOUBLE / 18446744073709551616.0",
        "CREATE MACRO z(i, salt) AS sqrt(-2 * ln(greatest(u(i, salt), 1e-12))) * cos(2 * pi() * u(i, salt || '~'))",
        f"CREATE MACRO hour_of(x) AS {hour}",
        "CREATE MACRO lognormal(median, sigma, i, salt) AS median * exp(sigma * z(i, salt))",
        "CREATE MACRO percent(i, salt, p) AS u(i, salt) * 100 < p",
        "CREATE MACRO moment(us) AS make_timestamp(us::BIGINT)",
        # When the buyer can order; the accounts of a ring are opened days before they are used.
        f"""CREATE MACRO registered(b) AS CASE WHEN percent(b, 'new', {known.new_account_percent})
            THEN {start_us} + u(b, 'since') * {known.days * 0.9 * DAY_SECONDS * 1e6}
            ELSE {start_us} - u(b, 'since') * {1500.0 * DAY_SECONDS * 1e6} END""",
        f"""CREATE VIEW numbered AS SELECT range AS n, percent(range, 'ring', {known.ring_percent}) AS in_ring,
            floor(u(range, 'which ring') * {rings})::BIGINT AS ring FROM range({orders})""",
        f"""CREATE VIEW owned AS SELECT *,
            CASE WHEN in_ring THEN 'ring-' || ring || '-' || floor(u(n, 'member') * {known.ring_buyers})::BIGINT
                 ELSE 'b' || floor(pow(u(n, 'buyer'), {known.buyer_skew}) * {buyers})::BIGINT END AS buyer_id,
            's' || floor(pow(CASE WHEN in_ring THEN u(ring, 'ring shop') ELSE u(n, 'shop') END, {known.shop_skew})
                 * {shops})::BIGINT AS shop_id,
            {start_us} + (0.3 + 0.65 * u(ring, 'burst')) * {known.days * DAY_SECONDS * 1e6} AS burst_us
            FROM numbered""",
        """CREATE VIEW aged AS SELECT *, CASE WHEN in_ring THEN burst_us - u(buyer_id, 'since') * 20 * 86400e6
            ELSE registered(buyer_id) END AS registered_us FROM owned""",
        f"""CREATE VIEW dated AS SELECT *, CASE WHEN in_ring THEN burst_us + u(n, 'placed') * 36 * 3600e6
            ELSE floor((greatest(registered_us, {start_us}) + u(n, 'placed')
                       * ({END_US} - greatest(registered_us, {start_us})) + {_ZONE_US}) / 86400e6) * 86400e6
                 - {_ZONE_US} + hour_of(u(n, 'hour')) * 3600e6 + u(n, 'minute') * 3600e6 END AS placed_us FROM aged""",
        _paid(known),
        _moved(known),
        _placed(known),
    ]


def _paid(known: GeneratorAssumptions) -> str:
    return f"""
        CREATE VIEW paid AS SELECT * REPLACE (greatest(placed_us, registered_us + 6e7) AS placed_us),
            greatest(placed_us, registered_us + 6e7) + lognormal(8e6, 1.4, n, 'pay') AS paid_us,
            greatest(100, round(exp({known.amount_log_mean} + {known.amount_log_sigma} * z(n, 'amount')) * 100))::BIGINT
                AS paid_minor,
            percent(shop_id, 'late', {known.late_shop_percent}) AS late_shop,
            percent(n, 'presale', {known.presale_percent}) AS presale,
            percent(n, 'second', {known.second_line_percent}) AS two_lines
        FROM dated"""


def _moved(known: GeneratorAssumptions) -> str:
    """When the parcel would leave, when that would be recorded, and when the buyer would ask for a refund."""
    hold = f"CASE WHEN presale THEN u(n, 'hold') * {known.presale_days} * 86400e6 ELSE 0 END"
    slow = f"CASE WHEN late_shop THEN {known.late_factor} ELSE 1 END"
    lag = f"CASE WHEN late_shop THEN {known.late_unrecorded_median_minutes} ELSE {known.unrecorded_median_minutes} END"
    sigma = known.request_sigma
    inclined = f"least(90, {known.request_percent} * exp({sigma} * z(buyer_id, 'inclined') - {sigma * sigma / 2}))"
    return f"""
        CREATE VIEW moved AS SELECT *, paid_us + {hold} AS hold_until_us,
            paid_us + {hold} + {slow} * lognormal({known.ship_delay_median_hours} * 3600e6, {known.ship_delay_sigma}, n,
                'ship') AS left_us,
            lognormal({lag} * 6e7, 1.0, n, 'lag') AS lag_us,
            paid_us + lognormal({known.request_delay_median_minutes} * 6e7, {known.request_delay_sigma}, n, 'ask')
                AS asked_us,
            u(n, 'asks') * 100 < CASE WHEN in_ring THEN {known.ring_request_percent} ELSE {inclined} END AS wants
        FROM paid"""


def _placed(known: GeneratorAssumptions) -> str:
    """What happens to the order: it is requested back before the platform knows that it left, or it is shipped."""
    return f"""
        CREATE VIEW placed AS SELECT *, left_us + lag_us AS left_recorded_us,
            wants AND asked_us < left_us + lag_us AND asked_us < {END_US} AS asked,
            wants AND asked_us < left_us + lag_us AND asked_us < {END_US}
                AND asked_us >= {END_US - (known.days - known.requests_from_day) * DAY_SECONDS * 1_000_000} AS decided,
            wants AND asked_us < left_us + lag_us AND left_us <= asked_us AS too_late,
            asked_us + lognormal({known.review_median_hours} * 3600e6, 1.2, n, 'review') AS closed_us,
            paid_us + (left_us - paid_us) * {known.label_share_of_delay_percent / 100} AS label_us,
            left_us <= paid_us + {known.on_time_hours} * 3600e6 AS on_time,
            left_us + {known.completion_days} * 86400e6 AS completed_us,
            percent(n, 'after', {known.after_shipment_refund_percent}) AS refunded_after,
            percent(n, 'dispute', {known.dispute_percent}) OR (in_ring AND percent(n, 'ring dispute', 5)) AS disputed,
            percent(n, 'customised', {known.customised_percent}) AS customised,
            percent(n, 'virtual', {known.virtual_percent}) AS virtual,
            'c' || floor(u(n, 'category') * 40)::BIGINT AS category_id
        FROM moved WHERE paid_us < {END_US}"""


# The tables ------------------------------------------------------------------------------------------------------


def _tables(all_orders: bool, days: int) -> dict[str, str]:
    which = "true" if all_orders else "decided"
    return {
        "requests": """
            SELECT 'r' || n AS request_id, 'o' || n AS order_id, buyer_id, shop_id, moment(asked_us) AS asked_at,
                   paid_minor AS amount_minor, true AS whole_order, category_id, NULL::VARCHAR AS tier,
                   moment(closed_us) AS closed_at FROM placed WHERE decided""",
        "orders": f"""
            SELECT 'o' || n AS order_id, 'CNY' AS currency, moment(placed_us) AS placed_at, moment(paid_us) AS paid_at,
                   paid_minor, 0::BIGINT AS freight_minor, CASE WHEN presale THEN 'presale' ELSE 'none' END AS hold,
                   CASE WHEN presale THEN moment(hold_until_us) END AS hold_until FROM placed WHERE {which}""",
        "order_lines": f"""
            SELECT 'o' || n AS order_id, line::VARCHAR AS line_id, 'sku' || floor(u(n, 'sku' || line) * 50000)::BIGINT
                   AS sku, 'item' || floor(u(n, 'sku' || line) * 20000)::BIGINT AS item_id, category_id,
                   1::BIGINT AS quantity, 1::BIGINT AS requested_quantity, 0::BIGINT AS shipped_quantity,
                   CASE WHEN NOT two_lines THEN paid_minor WHEN line = 1 THEN paid_minor // 2
                        ELSE paid_minor - paid_minor // 2 END AS paid_minor,
                   customised AND line = 1 AS customised, virtual AND line = 1 AS virtual, NULL::BOOLEAN AS covered
            FROM (SELECT *, unnest(CASE WHEN two_lines THEN [1, 2] ELSE [1] END) AS line FROM placed WHERE {which})""",
        "shipments": f"""
            SELECT 'o' || n AS order_id, 'label_printed' AS degree, moment(label_us) AS at,
                   moment(label_us) AS recorded_at FROM placed WHERE {which} AND (label_us < asked_us OR NOT asked)
            UNION ALL SELECT 'o' || n, 'shipped', moment(left_us), moment(left_recorded_us)
            FROM placed WHERE {which} AND (NOT asked OR too_late)""",
        "buyers": """
            SELECT buyer_id, moment(any_value(registered_us)) AS registered_at FROM placed WHERE decided
            GROUP BY buyer_id""",
        "events": _events(),
        "event_records": f"""
            SELECT kind, moment(start) AS complete_from, NULL::TIMESTAMP AS fresh_until
            FROM (SELECT unnest(['order_paid', 'order_completed', 'order_cancelled', 'refund_requested',
                                 'refund_before_shipment', 'refund_after_shipment', 'dispute_lost', 'dispute_won',
                                 'shipped', 'shipped_on_time', 'incident']) AS kind,
                         {END_US - days * DAY_SECONDS * 1_000_000} AS start)""",
    }


def _events() -> str:
    """The events: buyers' one by one, shops' by day."""
    buyer = (
        ("order_paid", "paid_us", "paid_us", "paid_minor", "true"),
        ("order_completed", "completed_us", "completed_us", "paid_minor", "NOT asked AND NOT refunded_after"),
        ("refund_requested", "asked_us", "asked_us", "paid_minor", "asked"),
        ("refund_before_shipment", "closed_us", "closed_us", "paid_minor", "asked"),
        ("refund_after_shipment", "completed_us", "completed_us", "paid_minor", "NOT asked AND refunded_after"),
        ("dispute_lost", "completed_us", "completed_us", "paid_minor", "NOT asked AND disputed"),
    )
    shop = (
        ("order_paid", "paid_us", "true"),
        ("shipped", "left_recorded_us", "NOT asked OR too_late"),
        ("shipped_on_time", "left_recorded_us", "(NOT asked OR too_late) AND on_time"),
        ("refund_before_shipment", "closed_us", "asked"),
        ("incident", "closed_us", "too_late"),
    )
    parts = [
        f"""SELECT 'buyer' AS subject, buyer_id AS subject_id, '{kind}' AS kind, moment({at}) AS at,
                   moment({recorded}) AS recorded_at, NULL::VARCHAR AS event_id, 'o' || n AS order_id,
                   {amount} AS amount_minor, 'CNY' AS currency, 1::BIGINT AS times, NULL::VARCHAR AS retracts
            FROM placed WHERE ({which}) AND {recorded} < {END_US}"""
        for kind, at, recorded, amount, which in buyer
    ]
    day = "floor(({at} + " + str(_ZONE_US) + ") / 86400e6)"
    parts += [
        f"""SELECT 'shop', shop_id, '{kind}', moment({day.format(at=at)} * 86400e6 - {_ZONE_US} + 43200e6),
                   moment(({day.format(at=at)} + 1) * 86400e6 - {_ZONE_US}), NULL, NULL, sum(paid_minor)::BIGINT,
                   'CNY', count(*)::BIGINT, NULL
            FROM placed WHERE ({which}) AND {at} < {END_US} GROUP BY shop_id, {day.format(at=at)}"""
        for kind, at, which in shop
    ]
    return " UNION ALL ".join(parts)
