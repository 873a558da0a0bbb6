"""Imports the public orders of a Brazilian marketplace, 2016 to 2018 (Olist), with one DuckDB connection.

The data set tells which orders were cancelled, but not when: the time of the request is made up, from a hash of seed
and order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from jitui.backtest.history.imported import Imported
from jitui.errors import BadInput

CURRENCY = "BRL"
TIME_ZONE = "America/Sao_Paulo"
UNKNOWN_SHOP = "(unknown)"
"""The shop of orders without items, which name no seller; most of them are of the status "unavailable"."""

FILES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "orders": (
        "olist_orders_dataset",
        (
            "order_id",
            "customer_id",
            "order_status",
            "order_purchase_timestamp",
            "order_approved_at",
            "order_delivered_carrier_date",
            "order_delivered_customer_date",
            "order_estimated_delivery_date",
        ),
    ),
    "items": (
        "olist_order_items_dataset",
        ("order_id", "order_item_id", "product_id", "seller_id", "shipping_limit_date", "price", "freight_value"),
    ),
    "payments": ("olist_order_payments_dataset", ("order_id", "payment_sequential", "payment_type", "payment_value")),
    "customers": ("olist_customers_dataset", ("customer_id", "customer_unique_id")),
    "products": ("olist_products_dataset", ("product_id", "product_category_name")),
    "categories": (
        "product_category_name_translation",
        ("product_category_name", "product_category_name_english"),
    ),
}
"""The files and columns that are read; a policy can use nothing from sellers and reviews."""
OPTIONAL = {"customers": ("customer_state",)}
"""Columns that only reports use; a file without them is read all the same."""

KINDS = (
    "order_paid",
    "order_completed",
    "refund_requested",
    "refund_before_shipment",
    "refund_after_shipment",
    "shipped",
    "shipped_on_time",
)


@dataclass(frozen=True, slots=True)
class OlistAssumptions:
    """Assumptions for what the data set does not tell."""

    seed: int = 1  # another seed gives other times of requests
    request_median_hours: float = 24.0  # from payment to the request, log-logistic: assumed
    request_spread: float = 0.8  # at 0.8 a tenth of the requests come within 4 hours, a tenth after 6 days: assumed
    unavailable_asks: int = 1  # 1: buyers of unavailable orders make a request too; 0: only those of cancelled orders
    merchant_hours: float = 24.0  # from the request to the merchant's answer
    complete_days: float = 7.0  # from delivery to a completed order
    delivered_in_whole: int = 96_478  # delivered orders of the whole marketplace, used as the weight of the sample


MAY_BE_ZERO = ("seed", "unavailable_asks", "merchant_hours")


def import_olist(path: Path, folder: Path, assumed: OlistAssumptions) -> Imported:
    """Write the tables to an existing folder. Raises BadInput for a missing file or column."""
    if not path.is_dir():
        raise BadInput(f"{path} is no folder; the format olist is a folder of files.", path=str(path))
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "512MiB",
        "temp_directory": str(folder / "spill"),
    }
    with closing(duckdb.connect(config=config)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        read = {stem: _load(connection, path, name, stem, columns) for name, (stem, columns) in FILES.items()}
        try:
            for statement in (*_CHECKED, *_model(assumed)):
                connection.execute(statement)
        except duckdb.Error as error:
            raise BadInput(f"{path} cannot be read: {str(error).splitlines()[0]}.", path=str(path)) from None
        rows = {name: _write(connection, query, folder / f"{name}.parquet") for name, query in _tables(assumed)}
        aside = dict(_keep_aside(connection, folder))
        counts = {name: _number(connection, query) for name, query in _COUNTS.items()}
    return Imported(folder, "olist", CURRENCY, TIME_ZONE, asdict(assumed), read, rows, aside, counts)


def _load(connection: duckdb.DuckDBPyConnection, folder: Path, name: str, stem: str, columns: tuple[str, ...]) -> int:
    """Load a file as text, with a number for each row; numbers keep their digits and never become floats."""
    found = next((folder / f"{stem}{end}" for end in (".parquet", ".csv") if (folder / f"{stem}{end}").is_file()), None)
    if found is None:
        raise BadInput(f"{folder} has no file {stem}.parquet or {stem}.csv.", path=str(folder))
    quoted = str(found).replace("'", "''")
    reader = "read_parquet('{}')" if found.suffix == ".parquet" else "read_csv('{}', header = true, all_varchar = true)"
    relation = reader.format(quoted)
    try:
        there = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}
        missing = [column for column in columns if column not in there]
        if missing:
            raise BadInput(f"{found} lacks the columns {', '.join(missing)}.", path=str(found))
        texts = ", ".join(f"nullif(trim({column}::VARCHAR), '') AS {column}" for column in columns)
        for column in OPTIONAL.get(name, ()):
            texts += f", nullif(trim({column if column in there else 'NULL'}::VARCHAR), '') AS {column}"
        connection.execute(f"CREATE TABLE {name} AS SELECT row_number() OVER () AS row, {texts} FROM {relation}")
    except duckdb.Error as error:
        raise BadInput(f"{found} is damaged: {str(error).splitlines()[0]}.", path=str(found)) from None
    return _number(connection, f"SELECT count(*) FROM {name}")


# Faults of rows --------------------------------------------------------------------------------------------------

_CHECKED = (
    # Exact: the decimal text times a hundred; NULL when it is not an amount in whole centavos.
    """CREATE MACRO minor(text) AS CASE WHEN TRY_CAST(text AS DECIMAL(24, 9)) BETWEEN 0 AND 10000000000000
        AND TRY_CAST(text AS DECIMAL(24, 9)) * 100 % 1 = 0
        THEN (TRY_CAST(text AS DECIMAL(24, 9)) * 100)::BIGINT END""",
    "CREATE MACRO centavos_fault(text) AS CASE WHEN text IS NULL THEN 'missing' WHEN TRY_CAST(text AS DECIMAL(24, 9))"
    " IS NULL OR TRY_CAST(text AS DECIMAL(24, 9)) NOT BETWEEN 0 AND 10000000000000 THEN 'not_an_amount'"
    " WHEN TRY_CAST(text AS DECIMAL(24, 9)) * 100 % 1 <> 0 THEN 'fraction_of_a_centavo' END",
    f"""CREATE MACRO utc(text) AS timezone('UTC', timezone('{TIME_ZONE}', TRY_CAST(text AS TIMESTAMP)))""",
    "CREATE MACRO unreadable(text) AS text IS NOT NULL AND TRY_CAST(text AS TIMESTAMP) IS NULL",
    """CREATE TABLE checked_items AS SELECT *, CASE
            WHEN order_id IS NULL OR order_item_id IS NULL THEN 'missing'
            WHEN seller_id IS NULL THEN 'missing' WHEN unreadable(shipping_limit_date) THEN 'not_a_time'
            WHEN row_number() OVER (PARTITION BY order_id, order_item_id ORDER BY row) > 1 THEN 'repeated'
            ELSE coalesce(centavos_fault(price), centavos_fault(freight_value)) END AS fault FROM items""",
    """CREATE TABLE checked_payments AS SELECT *, CASE
            WHEN order_id IS NULL OR payment_sequential IS NULL THEN 'missing'
            WHEN row_number() OVER (PARTITION BY order_id, payment_sequential ORDER BY row) > 1 THEN 'repeated'
            ELSE centavos_fault(payment_value) END AS fault FROM payments""",
    """CREATE TABLE checked_orders AS SELECT o.*, c.customer_unique_id AS buyer_id, c.region, CASE
            WHEN o.order_id IS NULL OR o.order_status IS NULL OR order_purchase_timestamp IS NULL THEN 'missing'
            WHEN row_number() OVER (PARTITION BY o.order_id ORDER BY o.row) > 1 THEN 'repeated'
            WHEN unreadable(order_purchase_timestamp) OR unreadable(order_approved_at)
                OR unreadable(order_delivered_carrier_date) OR unreadable(order_delivered_customer_date)
                OR unreadable(order_estimated_delivery_date) THEN 'not_a_time'
            WHEN c.customer_unique_id IS NULL THEN 'no_customer'
            WHEN o.order_id IN (SELECT order_id FROM checked_items WHERE fault IS NOT NULL AND order_id IS NOT NULL)
                THEN 'an_item_is_set_aside'
            WHEN o.order_id IN (SELECT order_id FROM checked_payments WHERE fault IS NOT NULL AND order_id IS NOT NULL)
                THEN 'a_payment_is_set_aside' END AS fault
        FROM orders o LEFT JOIN (SELECT customer_id, any_value(customer_unique_id) AS customer_unique_id,
                                 any_value(customer_state) AS region
                                 FROM customers GROUP BY customer_id) c USING (customer_id)""",
    "CREATE VIEW good_ids AS SELECT order_id FROM checked_orders WHERE fault IS NULL",
    *(
        f"""CREATE TABLE judged_{name} AS SELECT * REPLACE (coalesce(fault,
            CASE WHEN order_id NOT IN (FROM good_ids) THEN 'its_order_is_not_there' END) AS fault)
            FROM checked_{name}"""
        for name in ("items", "payments")
    ),
    "CREATE VIEW judged_orders AS FROM checked_orders",
)


# Tables from the good rows ---------------------------------------------------------------------------------------


def _model(assumed: OlistAssumptions) -> Iterator[str]:
    """The views `line` and `placed`; `placed` has a row per order with all that happens to it (UTC, centavos)."""
    yield """CREATE TABLE line AS SELECT order_id, order_item_id, product_id, seller_id, minor(price) AS price_minor,
        minor(freight_value) AS freight_minor, utc(shipping_limit_date) AS ship_by,
        coalesce(english, product_category_name) AS category_id
        FROM judged_items LEFT JOIN (SELECT product_id, any_value(product_category_name) AS product_category_name
            FROM products GROUP BY 1) USING (product_id)
        LEFT JOIN (SELECT product_category_name, any_value(product_category_name_english) AS english
            FROM categories GROUP BY 1) USING (product_category_name) WHERE fault IS NULL"""
    yield """CREATE TABLE goods AS SELECT order_id, sum(price_minor + freight_minor)::BIGINT AS items_minor,
        sum(freight_minor)::BIGINT AS freight_minor, min(ship_by) AS ship_by, count(DISTINCT seller_id) AS shops,
        arg_max(seller_id, (price_minor, -TRY_CAST(order_item_id AS BIGINT))) AS shop_id,
        arg_max(category_id, (price_minor, -TRY_CAST(order_item_id AS BIGINT))) AS category_id FROM line GROUP BY 1"""
    # A hash with the same result in every release and system: 52 bits, never 0 and never 1.
    number = f"('0x' || substr(sha256('{assumed.seed}:' || order_id), 1, 13))::BIGINT"
    yield f"CREATE MACRO share(order_id) AS ({number} + 0.5) / 4503599627370496.0"
    delay = f"{assumed.request_median_hours} * pow(u / (1 - u), {assumed.request_spread})"
    asks = "('canceled', 'unavailable')" if assumed.unavailable_asks else "('canceled')"
    yield f"""CREATE TABLE placed AS WITH dated AS (
            SELECT order_id, buyer_id, region, order_status, utc(order_purchase_timestamp) AS placed_at,
                utc(order_approved_at) AS paid_at, utc(order_delivered_carrier_date) AS left_at,
                utc(order_delivered_customer_date) AS delivered_at,
                utc(order_estimated_delivery_date) AS promised_at, share(order_id) AS u
            FROM checked_orders WHERE fault IS NULL),
        paid AS (SELECT order_id, sum(minor(payment_value))::BIGINT AS paid_minor FROM judged_payments
            WHERE fault IS NULL GROUP BY 1)
        SELECT *, order_status IN {asks} AND paid_at IS NOT NULL AND paid_minor > 0 AS asks,
            least(paid_at + to_microseconds((least({delay}, 1e6) * 3600)::BIGINT * 1000000),
                  greatest(paid_at, promised_at)) AS asked_at
        FROM dated LEFT JOIN paid USING (order_id) LEFT JOIN goods USING (order_id)"""
    hour_us = 3_600_000_000
    yield f"""CREATE VIEW asked AS SELECT *, asked_at + to_microseconds({round(assumed.merchant_hours * hour_us)})
            AS closed_at, (left_at IS NULL OR asked_at < left_at) AND (delivered_at IS NULL OR asked_at < delivered_at)
            AS before_shipment FROM placed WHERE asks"""


def _tables(assumed: OlistAssumptions) -> Iterator[tuple[str, str]]:
    yield (
        "requests",
        f"""SELECT order_id AS request_id, order_id, buyer_id, coalesce(shop_id, '{UNKNOWN_SHOP}') AS shop_id, asked_at,
            paid_minor AS amount_minor, true AS whole_order, category_id, NULL::VARCHAR AS tier, region,
            closed_at FROM asked ORDER BY asked_at, order_id""",
    )
    weight = f"{assumed.delivered_in_whole} / greatest(1, count(*) FILTER (order_status = 'delivered') OVER ())"
    yield (
        "orders",
        f"""SELECT order_id, '{CURRENCY}' AS currency, placed_at, paid_at,
            CASE WHEN paid_at IS NULL THEN 0 ELSE paid_minor END AS paid_minor, freight_minor,
            'none' AS hold, NULL::TIMESTAMP AS hold_until,
            CASE WHEN order_status = 'delivered' THEN greatest(1.0, {weight}) ELSE 1.0 END AS sample_weight
            FROM placed""",
    )
    yield (
        "order_lines",
        """SELECT order_id, order_item_id AS line_id, product_id AS sku, product_id AS item_id, category_id,
            1::BIGINT AS quantity, CASE WHEN order_id IN (SELECT order_id FROM asked) THEN 1::BIGINT END
            AS requested_quantity, NULL::BIGINT AS shipped_quantity, price_minor AS paid_minor, false AS customised,
            false AS virtual, NULL::BOOLEAN AS covered FROM line""",
    )
    yield (
        "shipments",
        """SELECT order_id, 'shipped' AS degree, left_at AS at, left_at AS recorded_at FROM placed
            WHERE left_at IS NOT NULL UNION ALL SELECT order_id, 'delivered', delivered_at, delivered_at FROM placed
            WHERE delivered_at IS NOT NULL""",
    )
    yield "buyers", "SELECT DISTINCT buyer_id, NULL::TIMESTAMP AS registered_at FROM asked"
    yield "events", _events(assumed)
    kinds = ", ".join(f"'{kind}'" for kind in KINDS)
    yield (
        "event_records",
        f"""SELECT unnest([{kinds}]) AS kind, (SELECT timezone('UTC', timezone('{TIME_ZONE}', date_trunc('day',
            timezone('{TIME_ZONE}', timezone('UTC', min(placed_at)))))) FROM placed) AS complete_from,
            NULL::TIMESTAMP AS fresh_until""",
    )


def _events(assumed: OlistAssumptions) -> str:
    completed = f"delivered_at + to_microseconds({round(assumed.complete_days * 86_400_000_000)})"
    parts = [
        _event(subject, kind, at, table, which)
        for subject, kind, at, table, which in (
            ("buyer", "order_paid", "paid_at", "placed", "true"),
            ("buyer", "order_completed", completed, "placed", "NOT asks"),
            ("buyer", "refund_requested", "asked_at", "asked", "before_shipment"),
            ("buyer", "refund_before_shipment", "closed_at", "asked", "before_shipment"),
            ("buyer", "refund_after_shipment", "closed_at", "asked", "NOT before_shipment"),
            ("shop", "order_paid", "paid_at", "placed", "shop_id IS NOT NULL"),
            ("shop", "shipped", "left_at", "placed", "shop_id IS NOT NULL"),
            ("shop", "shipped_on_time", "left_at", "placed", "shop_id IS NOT NULL AND left_at <= ship_by"),
            ("shop", "refund_before_shipment", "closed_at", "asked", "before_shipment AND shop_id IS NOT NULL"),
        )
    ]
    return " UNION ALL ".join(parts)


def _event(subject: str, kind: str, at: str, table: str, which: str) -> str:
    return f"""SELECT '{subject}' AS subject, {subject}_id AS subject_id, '{kind}' AS kind, {at} AS at,
        {at} AS recorded_at, NULL::VARCHAR AS event_id, order_id, paid_minor AS amount_minor, '{CURRENCY}' AS currency,
        1::BIGINT AS times, NULL::VARCHAR AS retracts FROM {table} WHERE {which} AND {at} IS NOT NULL"""


# Rows left out, and counts ----------------------------------------------------------------------------------------

_COUNTS = {
    "asked_before_shipment": "SELECT count(*) FROM asked WHERE before_shipment",
    "asked_after_shipment": "SELECT count(*) FROM asked WHERE NOT before_shipment",
    "cancelled_but_never_paid": "SELECT count(*) FROM placed WHERE NOT asks AND order_status = 'canceled'",
    "requests_without_items": "SELECT count(*) FROM asked WHERE shop_id IS NULL",
    "orders_of_several_shops": "SELECT count(*) FROM placed WHERE shops > 1",
    "paid_otherwise_than_its_items": "SELECT count(*) FROM placed WHERE paid_minor <> items_minor",
    "delivered_orders_in_the_sample": "SELECT count(*) FROM placed WHERE order_status = 'delivered'",
}


def _keep_aside(connection: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Write the rows that were left out, and orders paid with another sum; yields counts per file and reason."""
    (folder / "set_aside").mkdir()
    for name in ("orders", "items", "payments"):
        columns = FILES[name][1]
        whole = ", ".join(f'"{column}" := {column}' for column in columns)
        query = f"SELECT row, fault AS reason, to_json(struct_pack({whole}))::VARCHAR AS content FROM judged_{name}"
        _write(connection, f"{query} WHERE fault IS NOT NULL ORDER BY row", folder / "set_aside" / f"{name}.parquet")
        reasons = connection.execute(
            f"SELECT fault, count(*) FROM judged_{name} WHERE fault IS NOT NULL GROUP BY 1 ORDER BY 1"
        ).fetchall()
        if reasons:
            yield name, dict(reasons)
    odd = "SELECT order_id, paid_minor, items_minor FROM placed WHERE paid_minor <> items_minor ORDER BY order_id"
    _write(connection, odd, folder / "set_aside" / "paid_otherwise.parquet")


def _write(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    quoted = str(path).replace("'", "''")
    return _number(connection, f"COPY ({query}) TO '{quoted}' (FORMAT parquet, COMPRESSION zstd)")


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
