"""What Saleor's API says when it refuses, where that is told, and what is made of it. A: its own schema or source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jitui.aftersales.provider import CallTrouble
from tests.platforms.saleor.server import Broken, Fault, SaleorServer

SCHEMA = "saleor/saleor@723cd4eb saleor/graphql/schema.graphql (A)"
ERRORS = "docs.saleor.io, Error handling: `extensions.exception.code` (A)"
CANCELLING = "saleor/saleor@723cd4eb graphql/order/mutations/order_cancel.py (A)"
GRANTING = "saleor/saleor@723cd4eb graphql/order/mutations/order_grant_refund_create.py (A)"
REQUESTING = "saleor/saleor@28c6128e transaction_request_refund_for_granted_refund.py (A)"


@dataclass(frozen=True)
class Documented:
    """An error of a whole call: its source, how it comes about, and what is made of it."""

    name: str
    source: str
    happens: Callable[[SaleorServer], object]
    trouble: CallTrouble
    reached: bool
    says: str


def _fault(fault: Fault | Broken) -> Callable[[SaleorServer], object]:
    return lambda there: there.faults.update({"": [fault]})


DOCUMENTED = (
    Documented(
        "no such token", ERRORS, lambda there: there.tokens.clear(), CallTrouble.UNAUTHORISED, False, "Invalid token"
    ),
    Documented(
        "a token that has expired",
        ERRORS,
        _fault(Broken("ExpiredSignatureError", "Signature has expired")),
        CallTrouble.UNAUTHORISED,
        False,
        "expired",
    ),
    Documented(
        "a permission is missing",
        f"{SCHEMA}: MANAGE_ORDERS, HANDLE_PAYMENTS",
        lambda there: there.tokens.update({name: set() for name in there.tokens}),
        CallTrouble.UNAUTHORISED,
        False,
        "permissions",
    ),
    Documented(
        "the query costs too much",
        "docs.saleor.io, Query cost (A)",
        _fault(Broken("QueryCostError", "Query cost is 90000 and exceeds limit")),
        CallTrouble.UNREADABLE,
        False,
        "exceeds limit",
    ),
    Documented(
        "a version that does not know the query",
        "GraphQL: an error of validation",
        _fault(Broken("GraphQLError", 'Cannot query field "where"')),
        CallTrouble.UNREADABLE,
        False,
        "Cannot query field",
    ),
    Documented(
        "an error inside",
        ERRORS,
        _fault(Broken("OperationalError", "Internal Server Error")),
        CallTrouble.FAILING,
        True,
        "Internal",
    ),
    Documented("a gateway in between", "ours", _fault(Fault.PAGE), CallTrouble.FAILING, True, "502"),
    Documented(
        "an address that has moved is not followed", "ours", _fault(Fault.REDIRECT), CallTrouble.UNREADABLE, True, "301"
    ),
)

REFUSALS = (
    ("CANNOT_CANCEL_ORDER", CANCELLING),
    ("AMOUNT_GREATER_THAN_AVAILABLE", GRANTING),
    ("NOT_FOUND", f"{SCHEMA}: OrderGrantRefundCreateErrorCode"),
    ("REFUND_IS_PENDING", REQUESTING),
    ("REFUND_ALREADY_PROCESSED", REQUESTING),
    ("MISSING_TRANSACTION_ACTION_REQUEST_WEBHOOK", f"{SCHEMA}: TransactionRequestRefundForGrantedRefundErrorCode"),
)
"""Refusals by the business, which are data; each is walked by a test of the writer."""
