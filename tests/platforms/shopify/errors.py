"""What Shopify answers to a refund that it does not make, or does not tell of."""

from __future__ import annotations

import json

from jitui.aftersales.provider import CallTrouble
from tests.platforms.told_errors import ToldError

_STATUSES = "shopify.dev: API response status and error codes"
_CODES = "shopify.dev: GraphQL Admin API reference, status and error codes"
_LIMITS = "shopify.dev: GraphQL Admin API rate limits"
_KEYS = "shopify.dev: Implementing idempotency"
_USER_ERROR = "shopify.dev: UserError; RefundCreatePayload"


def _status(status: int, errors: str, means: str, trouble: CallTrouble) -> ToldError:
    return ToldError(status, "", json.dumps({"errors": errors}), means, trouble, False, _STATUSES)


def _graphql(code: str, message: str, means: str, trouble: CallTrouble, source: str, *, reached: bool) -> ToldError:
    body = json.dumps({"errors": [{"message": message, "extensions": {"code": code}}], "data": None})
    return ToldError(200, code, body, means, trouble, reached, source)


def _user_error(message: str, means: str, source: str, *, final: bool) -> ToldError:
    told = {"refundCreate": {"refund": None, "userErrors": [{"field": None, "message": message}]}}
    trouble = None if final else CallTrouble.FAILING
    return ToldError(200, "userErrors", json.dumps({"data": told}), means, trouble, not final, source)


ERRORS = (
    _status(
        401,
        "[API] Invalid API key or access token (unrecognized login or wrong password)",
        "the token is wrong, or the app was removed",
        CallTrouble.UNAUTHORISED,
    ),
    _status(402, "Payment Required", "the shop is frozen until its bill is paid", CallTrouble.FAILING),
    _status(403, "Forbidden", "the app may not do this", CallTrouble.UNAUTHORISED),
    _status(404, "Not Found", "no shop at this address, or no such version", CallTrouble.UNREADABLE),
    _status(423, "Locked", "the shop is locked", CallTrouble.FAILING),
    _status(429, "Too Many Requests", "too many requests: it was not taken", CallTrouble.FAILING),
    ToldError(
        500,
        "",
        json.dumps({"errors": "Internal Server Error"}),
        "an error inside of Shopify, at any point",
        CallTrouble.FAILING,
        True,
        _STATUSES,
    ),
    ToldError(
        503,
        "",
        "<html>Service Unavailable</html>",
        "the server is overloaded; it does not say how far it came",
        CallTrouble.FAILING,
        True,
        _STATUSES,
        html=True,
    ),
    ToldError(
        504,
        "",
        "<html>Gateway Timeout</html>",
        "the request took too long; it may go on",
        CallTrouble.FAILING,
        True,
        _STATUSES,
        html=True,
    ),
    ToldError(
        301,
        "",
        "",
        "the address is not the one of admin",
        CallTrouble.UNREADABLE,
        False,
        "the status is RFC 9110's",
        html=True,
    ),
    _graphql(
        "THROTTLED",
        "Throttled",
        "the bucket holds less than the query costs",
        CallTrouble.FAILING,
        _LIMITS,
        reached=False,
    ),
    _graphql(
        "MAX_COST_EXCEEDED",
        "Query cost is 1200, which exceeds the single query max cost limit 1000.",
        "the query costs more than any may",
        CallTrouble.UNREADABLE,
        _LIMITS,
        reached=False,
    ),
    _graphql(
        "ACCESS_DENIED",
        "Access denied for refundCreate field. Required access: `write_orders` access scope.",
        "an access scope is missing",
        CallTrouble.UNAUTHORISED,
        _CODES,
        reached=False,
    ),
    _graphql(
        "SHOP_INACTIVE",
        "The shop is not active.",
        "the shop is not active",
        CallTrouble.FAILING,
        _CODES,
        reached=False,
    ),
    _graphql(
        "undefinedField",
        "Field 'refundCreate' doesn't exist on type 'Mutation'",
        "the query does not fit the version's schema; nothing was executed",
        CallTrouble.UNREADABLE,
        "GraphQL specification, validation",
        reached=False,
    ),
    _graphql(
        "INTERNAL_SERVER_ERROR",
        "Internal error. Looks like something went wrong on our end.",
        "an error inside of Shopify, at any point",
        CallTrouble.FAILING,
        _CODES,
        reached=True,
    ),
    _user_error(
        "Refund amount must be less than or equal to what is refundable",
        "an input or a rule of business kept the refund from being made",
        _USER_ERROR,
        final=True,
    ),
    _user_error(
        "This request is currently in progress, please try again.",
        "`IDEMPOTENCY_CONCURRENT_REQUEST`: another call with the key is under way",
        _KEYS,
        final=False,
    ),
    _user_error(
        "The same idempotency key cannot be used with different operation parameters.",
        "`IDEMPOTENCY_KEY_PARAMETER_MISMATCH`: a call with the key was made before",
        _KEYS,
        final=False,
    ),
    ToldError(
        200,
        "",
        json.dumps({"data": {"refundCreate": {"refund": None, "userErrors": []}}}),
        "neither a refund nor an error",
        CallTrouble.FAILING,
        True,
        "shopify.dev: RefundCreatePayload; both may be empty",
    ),
)
