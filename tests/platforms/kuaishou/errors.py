"""What Kuaishou's gateway says when it refuses, where that is told, and what is made of it.

A: an official page or official code; B: an SDK that repeats the official text; C: one third party.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jitui.aftersales.provider import CallTrouble
from tests.platforms.kuaishou.server import Fault, KuaishouServer, Refused

FAQ = "open.kwaixiaodian.com FAQ"
OAUTH = "open.kwaixiaodian.com, APP授权说明 (document 401716), section 4"
SDK = "whalesky-labs/kwaishop-php-sdk@f23b8ded src/Client/Pipeline/ResponseParser.php"
LIST_FIELDS = "sanyuan0v0/ks-shop-python-sdk@3132c18d, open.seller.order.refund.pcursor.list"


@dataclass(frozen=True)
class Documented:
    """A refusal: its source and grade, how it comes about, and the trouble; None: a refusal by the business."""

    name: str
    source: str
    grade: str
    happens: Callable[[KuaishouServer], object]
    trouble: CallTrouble | None
    says: str
    reached: bool = False


def _fault(*faults: Fault | Refused) -> Callable[[KuaishouServer], object]:
    return lambda there: there.faults.update({"": list(faults)})


def _revoked(there: KuaishouServer) -> None:
    there.tokens.clear()


def _without_refunds(there: KuaishouServer) -> None:
    there.tokens = {name: {"merchant_order"} for name in there.tokens}


DOCUMENTED = (
    Documented(
        "the merchant has taken the authorisation back, or the token has expired",
        f"{FAQ} K0006: result 24, AUTHORIZATION_REVOKED",
        "A",
        _revoked,
        CallTrouble.UNAUTHORISED,
        "AUTHORIZATION_REVOKED",
    ),
    Documented(
        "the token lacks a right",
        f"{FAQ} K0003 has the words; {SDK} has 22, 25 and 26 as a group",
        "A for the words, B for the numbers",
        _without_refunds,
        CallTrouble.UNAUTHORISED,
        "merchant_order and merchant_refund",
    ),
    Documented(
        "the order is another shop's",
        f"{FAQ} K1006: result 21, order operation reject",
        "A",
        _fault(Refused(21, "order operation reject")),
        CallTrouble.UNAUTHORISED,
        "not of the shop",
    ),
    Documented(
        "the signature is wrong", SDK, "B", _fault(Refused(28, "sign error")), CallTrouble.UNAUTHORISED, "sign secret"
    ),
    Documented(
        "the signature is wrong, or old", SDK, "B", _fault(Refused(27, "sign")), CallTrouble.UNAUTHORISED, "clock"
    ),
    Documented("too many calls", SDK, "B", _fault(Refused(1016, "limit")), CallTrouble.FAILING, "too many calls"),
    Documented(
        "too many calls of the shop", SDK, "B", _fault(Refused(802000, "limit")), CallTrouble.FAILING, "too many calls"
    ),
    Documented(
        "the app is not known",
        f"{OAUTH}: 100200101 unauthorized_client",
        "A",
        _fault(Refused(100200101, "unauthorized_client")),
        CallTrouble.UNAUTHORISED,
        "app key",
    ),
    Documented(
        "the token is no good",
        f"{OAUTH}: 100200102 access_denied",
        "A",
        _fault(Refused(100200102, "access_denied")),
        CallTrouble.UNAUTHORISED,
        "authorise the app again",
    ),
    Documented(
        "the scope is wrong, or was taken back",
        f"{OAUTH}: 100200106 invalid_scope",
        "A",
        _fault(Refused(100200106, "invalid_scope")),
        CallTrouble.UNAUTHORISED,
        "rights",
    ),
    Documented(
        "it is broken itself",
        f"{OAUTH}: 100200500 server_error",
        "A",
        _fault(Refused(100200500, "server_error")),
        CallTrouble.FAILING,
        "server_error",
        reached=True,
    ),
    Documented(
        "a refusal by the business; its numbers are in no source",
        "a test of a third party has result 100",
        "C",
        _fault(Refused(100, "no")),
        None,
        "no (result 100)",
    ),
    Documented(
        "a gateway in between",
        "the same parser: an answer of the 5xx kind without an envelope",
        "B",
        _fault(Fault.PAGE),
        CallTrouble.FAILING,
        "502",
        reached=True,
    ),
    Documented(
        "half an answer",
        "ours",
        "",
        _fault(Fault.BROKEN),
        CallTrouble.UNREADABLE,
        "none of Kuaishou's",
        reached=True,
    ),
    Documented(
        "an address that has moved is not followed",
        "ours",
        "",
        _fault(Fault.REDIRECT),
        CallTrouble.UNREADABLE,
        "302",
        reached=True,
    ),
)

LISTS_REFUSED = (
    ("a window of more than a day", f"{LIST_FIELDS}: endTime", {"endTime": 86_400_001}),
    ("a window that ends before it begins", f"{LIST_FIELDS}: beginTime", {"endTime": -1}),
    ("a window from before ninety days", f"{LIST_FIELDS}: beginTime", {"beginTime": -90 * 86_400_000 - 60_000}),
    ("a page of more than a hundred", f"{LIST_FIELDS}: pageSize", {"pageSize": 101}),
)
"""Lists that are refused, with what is added to a good call's times, or said instead of its sizes."""
