"""Builds the tables of a history from staged rows, in DuckDB, in bounded memory.

What a bad row would have told stays unknown: the row is written with an empty required column, so that a back-test sets
it aside and knows for which order, buyer or shop something is missing (I5). Nothing here makes an unknown value known.
"""

from __future__ import annotations

from jitui.backtest.found import named
from jitui.backtest.history.mapped_fields import ATTRIBUTE, STATES
from jitui.backtest.history.staged_tables import Found, Rows, Work
from jitui.backtest.history.staging import BAD, ROW, SAME, SOURCE
from jitui.backtest.schema import DEGREES

MOST_EXAMPLES = 3
LEFT = ("picked_up", "partly_shipped", "shipped", "delivered")
"""Degrees of a parcel that has left; a printed label has not."""
_DEPARTED = LEFT[:-1]
_TELL_OF_LEAVING = frozenset(f"shipments.{name}" for name in ("degree", "at", *(f"{one}_at" for one in _DEPARTED)))
"""A file tells that an order has not left by these columns, if it has all that it should have, and at least one."""
_ONCE = (
    "currency", "buyer_id", "shop_id", "payment_id", "placed_at", "paid_at", "hold", "hold_until", "completed_at",
    "paid_minor", "freight_minor",
)  # fmt: skip
"""Columns that are equal on all rows of an order, or empty."""
_LINE = (
    "sku", "item_id", "category_id", "quantity", "requested_quantity", "shipped_quantity", "customised", "virtual",
    "covered",
)  # fmt: skip


def gather_orders(work: Work) -> None:
    """Create `bad_orders`, and `o` with a row for each order that a file lists."""
    named_bad = [
        f"SELECT {rows.column('order_id')} AS order_id FROM {rows.relation} WHERE {BAD}" for rows in work.rows.values()
    ]
    union = " UNION ".join(named_bad)
    work.db.execute(f"CREATE TABLE bad_orders AS SELECT order_id FROM ({union}) WHERE order_id IS NOT NULL")
    rows = work.of("orders")
    if not rows.files:
        typed = ", ".join(f"{rows.column(name)} AS {name}" for name in _ONCE[:9])
        work.db.execute(
            f"CREATE TABLE o AS SELECT NULL::VARCHAR AS order_id, {typed}, NULL::BIGINT AS paid_minor, NULL::BIGINT AS"
            " freight_minor, NULL::VARCHAR AS state, NULL::VARCHAR AS differs, false AS bad LIMIT 0"
        )
        return
    once = {name: rows.column(name) for name in _ONCE if not name.endswith("_minor")}
    once |= {name: rows.amount(name.removesuffix("_minor")) for name in _ONCE if name.endswith("_minor")}
    told = [name for name in _ONCE if rows.has(name) or rows.has(name.removesuffix("_minor"))]
    values = ", ".join(f"min({column}) AS {name}" for name, column in once.items())
    differing = " ".join(
        f"WHEN min({once[name]}) <> max({once[name]}) THEN '{name}'"
        for name in told
        if name != "completed_at"  # parts of an order are completed at different times; the first one counts
    )
    states = "[" + ", ".join(f"'{state}'" for state in STATES) + "]"
    work.db.execute(f"""CREATE TABLE o AS
        SELECT *, differs IS NOT NULL OR order_id IN (SELECT order_id FROM bad_orders) AS bad FROM (
            SELECT {rows.column("order_id")} AS order_id, {values},
                {states}[max(list_position({states}, {rows.column("state")}))] AS state,
                CASE {differing or "WHEN false THEN ''"} END AS differs
            FROM {rows.relation} WHERE {rows.column("order_id")} IS NOT NULL GROUP BY ALL)""")
    _tell_differences(work, rows)


def _tell_differences(work: Work, rows: Rows) -> None:
    places_of = ", ".join(
        f"{end}({what}, ({SOURCE}, {ROW}))" for end in ("arg_min", "arg_max") for what in (SOURCE, ROW)
    )
    for name, count in work.fetch("SELECT differs, count(*) FROM o WHERE differs IS NOT NULL GROUP BY 1 ORDER BY 1"):
        key = rows.column("order_id")
        places = work.fetch(f"""SELECT {key}, {places_of} FROM {rows.relation} WHERE {key} IN
            (SELECT order_id FROM o WHERE differs = '{name}' ORDER BY 1 LIMIT {MOST_EXAMPLES}) GROUP BY 1 ORDER BY 1""")
        told = tuple(f"{order} ({work.place(a, b)} to {work.place(c, d)})" for order, a, b, c, d in places)
        work.found.append(
            Found(f"rows of one order differ in {name}, so the order is unknown", count, told, is_fault=True)
        )


def gather_payments(work: Work) -> None:
    """Create `p`: how much was captured for each order, and when first. A bad or inconsistent payment is unknown."""
    rows = work.of("payments")
    if not rows.files:
        return
    order = rows.column("order_id")
    key = rows.column("payment_id")
    once = "r.payment_id IS NOT NULL" if rows.has("payment_id") else "false"
    work.db.execute(f"""CREATE TABLE paid_rows AS
        WITH r AS (SELECT {order} AS order_id, {key} AS payment_id, {rows.column("currency")} AS currency,
            {rows.amount("amount")} AS amount, {rows.column("captured_at")} AS happened_at, {BAD} AS bad,
            row_number() OVER () AS n FROM {rows.relation})
        SELECT coalesce(r.order_id, byid.order_id) AS order_id, r.payment_id,
            min(amount) <> max(amount) OR min(r.currency) <> max(r.currency) AS differs,
            min(r.currency) AS currency, min(amount) AS amount, min(happened_at) AS happened_at,
            bool_or(bad) OR min(amount) IS DISTINCT FROM max(amount) OR min(amount) IS NULL OR min(happened_at) IS NULL
                OR min(r.currency) IS DISTINCT FROM max(r.currency) AS bad
        FROM r LEFT JOIN (SELECT payment_id, min(order_id) AS order_id FROM o WHERE payment_id IS NOT NULL GROUP BY 1
            HAVING count(*) = 1) byid ON r.order_id IS NULL AND byid.payment_id = r.payment_id
        GROUP BY 1, 2, CASE WHEN {once} THEN 0 ELSE n END""")
    differing = work.fetch("SELECT order_id FROM paid_rows WHERE differs ORDER BY 1")
    if differing:
        told = tuple(str(order) for (order,) in differing[:MOST_EXAMPLES])
        what = "payments are there twice with other amounts, so what was paid is unknown"
        work.found.append(Found(what, len(differing), told, is_fault=True))
    work.db.execute("""CREATE TABLE p AS SELECT order_id, min(currency) AS currency, sum(amount)::BIGINT AS paid_minor,
        min(happened_at) AS paid_at, bool_or(bad) OR min(currency) <> max(currency) AS bad FROM paid_rows
        WHERE order_id IS NOT NULL GROUP BY 1""")


def orders_query(work: Work) -> str:
    """The query for `orders`; when there is a payment bill, amounts paid come from it alone."""
    lost = is_lost(work, "orders")
    if work.of("payments").files:
        known = (
            "NOT coalesce(p.bad, false) AND p.currency IS NOT DISTINCT FROM o.currency"
            f" AND {'false' if is_lost(work, 'payments') else 'true'}"
        )
        money = (
            f"CASE WHEN {known} THEN p.paid_at END AS paid_at, CASE WHEN {known} THEN p.paid_minor END AS paid_minor"
        )
        of = "o LEFT JOIN p USING (order_id)"
    else:
        money, of = "o.paid_at, o.paid_minor", "o"
    empty = "SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
    return f"""SELECT o.order_id, o.currency, CASE WHEN NOT o.bad THEN o.placed_at END AS placed_at, {money},
        o.freight_minor, o.hold, o.hold_until, o.completed_at, o.buyer_id, o.shop_id, o.state FROM {of}
        {f"UNION ALL {empty}" if lost else ""}"""


def is_lost(work: Work, table: str) -> bool:
    """Whether a bad row of the table does not name its order."""
    rows = work.of(table)
    if not rows.files:
        return False
    test = f"SELECT 1 FROM {rows.relation} WHERE {BAD} AND {rows.column('order_id')} IS NULL LIMIT 1"
    return bool(work.fetch(test))


# Lines ------------------------------------------------------------------------------------------------------------


def lines_query(work: Work) -> str:
    """The query for `order_lines`; when a line is bad or may be a duplicate, all lines of its order are unknown."""
    rows = work.of("order_lines")
    order, line = rows.column("order_id"), rows.column("line_id")
    _doubled(work, rows)
    columns = ", ".join(f"{rows.column(name)} AS {named(name)}" for name in _LINE)
    spoiled = "(SELECT order_id FROM doubled UNION SELECT order_id FROM bad_orders)"
    nothing = ", ".join("NULL" for _ in (*_LINE, "paid_minor", "line_id"))
    lost = f"UNION ALL SELECT NULL, {nothing}" if is_lost(work, "order_lines") else ""
    return f"""SELECT {order} AS order_id, coalesce({line}, {ROW}::VARCHAR) AS line_id, {columns},
            {rows.amount("paid")} AS paid_minor
        FROM {rows.relation} WHERE NOT {BAD} AND {rows.any_told()} AND {order} NOT IN {spoiled}
        UNION ALL SELECT order_id, {nothing} FROM {spoiled} {lost}"""


def _doubled(work: Work, rows: Rows) -> None:
    """Create `doubled`: orders with an equal row twice, or in two files, when the lines have no ids."""
    order = rows.column("order_id")
    work.db.execute("CREATE TABLE doubled (order_id VARCHAR, source INT, first BIGINT, last BIGINT, to_source INT)")
    if not rows.has(SAME):
        return
    unnamed = f"NOT {BAD} AND {rows.column('line_id')} IS NULL AND {SAME} IS NOT NULL AND {rows.any_told()}"
    work.db.execute(f"""INSERT INTO doubled SELECT {order}, {SOURCE}, min({ROW}), max({ROW}), {SOURCE}
        FROM {rows.relation} WHERE {unnamed} AND {SAME} IN
            (SELECT {SAME} FROM {rows.relation} WHERE {unnamed} GROUP BY 1 HAVING count(*) > 1)
        GROUP BY {order}, {SOURCE}, {SAME} HAVING count(*) > 1""")
    if len(rows.sources) > 1:
        work.db.execute(f"""INSERT INTO doubled SELECT {order}, min({SOURCE}), arg_min({ROW}, {SOURCE}),
                arg_max({ROW}, {SOURCE}), max({SOURCE})
            FROM {rows.relation} WHERE {unnamed} GROUP BY 1 HAVING min({SOURCE}) <> max({SOURCE})""")
    for what, test in (
        ("the same row is there twice, so the lines of the order are unknown; take one out, or map a line_id", "="),
        ("an order is in two files and its lines have no ids, so they are unknown; give it in one file", "<>"),
    ):
        count = work.number(f"SELECT count(DISTINCT order_id) FROM doubled WHERE source {test} to_source")
        if count:
            query = f"SELECT * FROM doubled WHERE source {test} to_source ORDER BY source, first LIMIT {MOST_EXAMPLES}"
            told = tuple(
                f"{one[0]} ({work.place(one[1], one[2])} and {work.place(one[4], one[3])})" for one in work.fetch(query)
            )
            work.found.append(Found(what, count, told, is_fault=True))


# Parcels, requests, buyers ----------------------------------------------------------------------------------------


def gather_shipments(work: Work) -> bool:
    """`s`: the table `shipments`, if anything tells of parcels; where nothing tells of an order's, that is unknown."""
    rows, parts = work.of("shipments"), []
    work.db.execute("CREATE TABLE s (order_id VARCHAR, degree VARCHAR, happened_at TIMESTAMP, recorded_at TIMESTAMP)")
    order = rows.column("order_id")
    if rows.files:
        degree, at, recorded = (rows.column(name) for name in ("degree", "at", "recorded_at"))
        if rows.has("degree") or rows.has("at"):
            told = rows.any_told(["degree", "at"])
            parts.append(
                f"SELECT DISTINCT {order} AS order_id, {degree} AS degree, {at} AS happened_at,"
                f" {recorded} AS recorded_at FROM {rows.relation} WHERE NOT {BAD} AND {told}"
            )
        for one in DEGREES:
            if rows.has(f"{one}_at"):
                moment = rows.column(f"{one}_at")
                parts.append(
                    f"SELECT {order}, '{one}', min({moment}), NULL::TIMESTAMP FROM {rows.relation}"
                    f" WHERE NOT {BAD} AND {moment} IS NOT NULL GROUP BY 1"
                )
        parts.append("SELECT order_id, NULL, NULL, NULL FROM bad_orders")
        if is_lost(work, "shipments"):
            parts.append("SELECT NULL, NULL, NULL, NULL")
    telling = {
        number
        for number, told in rows.told_by.items()
        if told & _TELL_OF_LEAVING and not work.absent[number] & _TELL_OF_LEAVING
    }
    if not telling and not work.of("orders").has("state"):
        return False
    for part in parts:
        work.db.execute(f"INSERT INTO s {part}")
    _add_untimed(work, rows, telling)
    return True


def _add_untimed(work: Work, rows: Rows, telling: set[int]) -> None:
    """Orders that may have left, and it is not known when.

    That is so where the status says that one has left and no time of leaving is told, where only its delivery is, and
    where neither its status is known nor one of the files tells that list it; `telling` are files that tell of leaving.
    """
    times = any(rows.has(f"{one}_at") for one in LEFT) or rows.has("at")
    gone = "'partly_shipped', 'shipped', 'delivered', 'completed'" + ("" if times else ", 'closed'")
    departed = ", ".join(f"'{one}'" for one in _DEPARTED)
    work.db.execute(f"""INSERT INTO s SELECT order_id, 'shipped', NULL, NULL FROM o WHERE
        (state IN ({gone}) OR (coalesce(state, 'closed') = 'closed' AND order_id IN ({_untold(work, telling)}))
            OR order_id IN (SELECT order_id FROM s WHERE happened_at IS NOT NULL AND degree = 'delivered'))
        AND order_id NOT IN (SELECT order_id FROM s
            WHERE happened_at IS NOT NULL AND degree IN ({departed}) AND order_id IS NOT NULL)""")
    count = work.number("SELECT count(DISTINCT order_id) FROM s WHERE happened_at IS NULL")
    if count:
        work.found.append(Found("orders may have left, and it is not known when: their shipment is unknown", count))


def _untold(work: Work, telling: set[int]) -> str:
    """The orders of files that do not tell of leaving; none where a file of parcels alone tells of all orders."""
    orders = work.of("orders")
    if telling - orders.sources:
        return "SELECT NULL::VARCHAR LIMIT 0"
    told = ", ".join(map(str, sorted(telling))) or "NULL"
    return f"""SELECT order_id FROM o EXCEPT
        SELECT {orders.column("order_id")} FROM {orders.relation} WHERE {SOURCE} IN ({told})"""


def requests_query(work: Work) -> str:
    """The query for `requests`; buyer and shop come from the order when the request does not name them.

    A bad row is a request too when its time can be read: what is unknown about its order sends it to review.
    """
    rows = work.of("requests")
    names = (
        "request_id",
        "order_id",
        "buyer_id",
        "shop_id",
        "asked_at",
        "whole_order",
        "category_id",
        "tier",
        "region",
        "closed_at",
    )
    columns = ", ".join(f"{rows.column(name)} AS {name}" for name in names)
    return f"""WITH r AS (SELECT {columns}, {rows.amount("amount")} AS amount_minor, {BAD} AS bad FROM {rows.relation}
            WHERE {BAD} OR {rows.any_told(["asked_at"])})
        SELECT DISTINCT coalesce(r.request_id, r.order_id) AS request_id, r.order_id,
            coalesce(r.buyer_id, o.buyer_id) AS buyer_id, coalesce(r.shop_id, o.shop_id) AS shop_id,
            r.asked_at, r.amount_minor, r.whole_order, r.category_id, r.tier,
            r.region, r.closed_at
        FROM r LEFT JOIN o ON o.order_id = r.order_id"""


def buyers_query(work: Work) -> str:
    """The query for `buyers`, with the attributes that the map names."""
    rows = work.of("buyers")
    before = f"buyers.{ATTRIBUTE}"
    further = [name for name in sorted(rows.fields) if name.startswith(before)]
    attributes = "".join(f", {named(name)} AS {named(name.removeprefix(before))}" for name in further)
    buyer = rows.column("buyer_id")
    return f"""SELECT DISTINCT {buyer} AS buyer_id, {rows.column("registered_at")} AS registered_at{attributes}
        FROM {rows.relation} WHERE {buyer} IS NOT NULL"""
