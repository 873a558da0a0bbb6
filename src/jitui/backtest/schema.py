"""The schema of a history: the tables and columns that a back-test reads, from any kind of file or database.

A table is a file (`requests.parquet`, `requests.csv`), a folder of such files, or a table of a database. Times are in
UTC, amounts integers in minor units of the order's currency. A column that is not required may be missing or empty: its
values are then unknown, and an unknown condition never approves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """The type of a column; a moment is a UTC time with microseconds."""

    TEXT = "text"
    INT = "int"
    BOOL = "bool"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True)
class Column:
    """One column; with `words` it may have only these values."""

    name: str
    type: ColumnType
    meaning: str
    required: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table; `key` is unique in it, and every history has the `required` tables.

    `open` tables may have more columns, each with a meaning of its own: buyers' attributes, logged facts.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    required: bool = False
    open: bool = False

    def column(self, name: str) -> Column | None:
        """The column with this name; None when there is none."""
        return next((column for column in self.columns if column.name == name), None)


DEGREES = ("label_printed", "picked_up", "partly_shipped", "shipped", "delivered")
"""How far a parcel is, in rising order; an order without shipments is `unshipped`."""

_TEXT, _INT, _BOOL, _MOMENT = ColumnType.TEXT, ColumnType.INT, ColumnType.BOOL, ColumnType.MOMENT


def _needs(name: str, kind: ColumnType, meaning: str, *words: str) -> Column:
    return Column(name, kind, meaning, required=True, words=words)


_TABLES = (
    TableSpec(
        "requests",
        "refund requests before shipment: one row for each decision to make",
        (
            _needs("request_id", _TEXT, "names the request"),
            _needs("order_id", _TEXT, "the order that it asks about"),
            _needs("buyer_id", _TEXT, "who asks"),
            _needs("shop_id", _TEXT, "whose goods"),
            _needs("asked_at", _MOMENT, "when it was asked"),
            Column(
                "basis",
                _TEXT,
                "withdrawal: by right, which no policy decides, so a back-test leaves it out; empty: goodwill",
                words=("goodwill", "withdrawal"),
            ),
            Column("amount_minor", _INT, "what it would give back, in the order's currency"),
            Column("whole_order", _BOOL, "every unit of every line of the order was asked for, none left out"),
            Column("category_id", _TEXT, "for reports: the category of the costliest line"),
            Column("tier", _TEXT, "for reports: the platform's own tier of the buyer"),
            Column("region", _TEXT, "for reports: the buyer's region, or the one that the order was sent to"),
            Column("closed_at", _MOMENT, "when the money was back, or the request had ended without it"),
            Column(
                "erased",
                _BOOL,
                "the buyer, or what was known of the buyer before, was erased: features cannot be counted again",
            ),
            Column(
                "cluster_id",
                _TEXT,
                "the buyer's cluster of linked accounts as of the request; the buyer's own id: linked with nobody",
            ),
            Column("seen_at", _MOMENT, "the buyer's events that were recorded before it were known; empty: asked_at"),
        ),
        key=("request_id",),
        required=True,
    ),
    TableSpec(
        "orders",
        "the orders that are asked about; others may be there and are not read",
        (
            _needs("order_id", _TEXT, "names the order"),
            _needs("currency", _TEXT, "ISO 4217 code"),
            _needs("placed_at", _MOMENT, "when it was placed"),
            Column("paid_at", _MOMENT, "first capture"),
            Column("paid_minor", _INT, "what the buyer's tenders captured for the whole order, freight included"),
            Column("freight_minor", _INT, "freight that the buyer paid"),
            Column("hold", _TEXT, "why it could not be shipped", words=("none", "presale", "group_buy", "risk_review")),
            Column("hold_until", _MOMENT, "when the hold ended; empty: it was there throughout"),
            Column("completed_at", _MOMENT, "when it was completed: from then on the goods had gone"),
        ),
        key=("order_id",),
    ),
    TableSpec(
        "order_lines",
        "the lines of those orders",
        (
            _needs("order_id", _TEXT, "the order"),
            _needs("line_id", _TEXT, "names the line within its order"),
            Column("sku", _TEXT, "stock keeping unit"),
            Column("item_id", _TEXT, "the item that is listed in the shop"),
            Column("category_id", _TEXT, "the platform's category"),
            Column("quantity", _INT, "units bought"),
            Column("requested_quantity", _INT, "units that its request asks back"),
            Column("shipped_quantity", _INT, "units that had left when it was asked"),
            Column("paid_minor", _INT, "what the buyer paid for the line"),
            Column("customised", _BOOL, "made to the buyer's order; so it is too if its category says so"),
            Column("virtual", _BOOL, "nothing is shipped; so it is too if its category says so"),
            Column("covered", _BOOL, "the service covered the item and its category; empty: it did"),
        ),
        key=("order_id", "line_id"),
    ),
    TableSpec(
        "categories",
        "the platform's table of categories: a line is customised or virtual if the line or its category says so",
        (
            _needs("category_id", _TEXT, "names the category"),
            Column("customised", _BOOL, "its goods are made to the buyer's order"),
            Column("virtual", _BOOL, "nothing is shipped"),
        ),
        key=("category_id",),
    ),
    TableSpec(
        "shipments",
        "how parcels moved; an order is as far as its furthest row that was recorded before the request",
        (
            _needs("order_id", _TEXT, "the order"),
            _needs("degree", _TEXT, "how far it got", *DEGREES),
            _needs("at", _MOMENT, "when it happened"),
            Column("recorded_at", _MOMENT, "when the platform knew; empty: at once"),
        ),
    ),
    TableSpec(
        "buyers",
        "the buyers who ask; further columns are the platform's attributes, named as in the policy without `buyer.`",
        (
            _needs("buyer_id", _TEXT, "names the buyer"),
            Column("registered_at", _MOMENT, "when the account was opened"),
        ),
        key=("buyer_id",),
        open=True,
    ),
    TableSpec(
        "events",
        "what buyers and shops did, append-only: features are counted from it",
        (
            _needs("subject", _TEXT, "whose history it belongs to", "buyer", "shop"),
            _needs("subject_id", _TEXT, "the buyer or the shop"),
            _needs("kind", _TEXT, "what happened"),
            _needs("at", _MOMENT, "when it happened"),
            Column("recorded_at", _MOMENT, "when the platform knew; empty: at once"),
            Column("event_id", _TEXT, "names the event, for a retraction to name; the same id again is the same event"),
            Column("order_id", _TEXT, "the order that it is about: it is paid, completed and cancelled once"),
            Column("amount_minor", _INT, "how much money the row is about, all its events together; empty: none"),
            Column("currency", _TEXT, "of the amount; empty: unknown, and with it every sum that it is in"),
            Column("times", _INT, "how many such events the row stands for; empty: one"),
            Column("retracts", _TEXT, "the event_id of the same subject that this row takes back from recorded_at on"),
        ),
        key=("subject", "subject_id", "event_id"),
    ),
    TableSpec(
        "event_records",
        "from when on each kind of event is complete: a window that reaches further back is unknown",
        (
            _needs("kind", _TEXT, "the kind of event"),
            _needs("complete_from", _MOMENT, "no event is missing from here on"),
            Column("fresh_until", _MOMENT, "no event is missing up to here; empty: up to the end"),
        ),
        key=("kind",),
    ),
    TableSpec(
        "readings",
        "how complete the history was when a request was decided; a request that is in this table is not judged by"
        " event_records, and a kind that it lacks had never been fed",
        (
            _needs("request_id", _TEXT, "the request"),
            _needs("kind", _TEXT, "the kind of event"),
            _needs("complete_from", _MOMENT, "no event was missing from here on"),
            Column("fresh_until", _MOMENT, "no event was missing up to here; empty: up to the request"),
            Column("registered_at", _MOMENT, "when the account was opened, as known then"),
            Column("shop_days_as_of", _MOMENT, "up to when events of shops had been counted"),
        ),
        key=("request_id", "kind"),
    ),
    TableSpec(
        "facts",
        "facts as they were logged; a column is named as its fact (`order.paid_minor`, `order.lines`) and takes the"
        " place of what would be derived",
        (_needs("request_id", _TEXT, "the request"),),
        key=("request_id",),
        open=True,
    ),
    TableSpec(
        "decisions",
        "what was really decided",
        (
            _needs("request_id", _TEXT, "the request"),
            _needs("outcome", _TEXT, "how the policy decided it", "instant", "review"),
            Column("policy_id", _TEXT, "by which policy"),
            Column("policy_version", _TEXT, "by which version"),
            Column("policy_sha256", _TEXT, "of which text"),
            Column("arm", _TEXT, "live, hold_out, …"),
            Column(
                "listed", _BOOL, "the buyer is on the allow or deny list, so chance did not draw the arm; empty: no"
            ),
            Column(
                "eligible",
                _BOOL,
                "it would have been approved at once but for the draw; empty: computed from its stored facts, if any",
            ),
            Column("review_reason", _TEXT, "what sent it to review whatever the policy said; empty: nothing did"),
            Column("decision", _TEXT, "the whole decision as it was stored, JSON"),
        ),
        key=("request_id",),
    ),
    TableSpec(
        "policies",
        "the texts by which was decided, so that every logged decision is replayed by its own",
        (
            _needs("policy_sha256", _TEXT, "names the text"),
            _needs("document", _TEXT, "the policy file as it was published"),
        ),
        key=("policy_sha256",),
    ),
)
TABLES: Mapping[str, TableSpec] = {table.name: table for table in _TABLES}
