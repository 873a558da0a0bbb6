"""What WooCommerce answers to a refund that it does not make, or does not tell of.

WordPress answers a WP_Error whose data is a bare number as 500, and the controller of refunds gives bare numbers: so
404 and 400 of its own arrive as 500, and the status says nothing. The code and, for one code, the message do.
"""

from __future__ import annotations

import json

from jitui.aftersales.provider import CallTrouble
from tests.platforms.told_errors import ToldError

_AUTHENTICATION = "class-wc-rest-authentication.php"
_REFUNDS = "Version3/class-wc-rest-order-refunds-controller.php"
_CREATE = "wc-order-functions.php, wc_create_refund"
_PAY = "wc-order-functions.php, wc_refund_payment"
_INTRODUCTION = "woocommerce-rest-api-docs, wp-api-v3/_introduction"
_NOT_MADE = "woocommerce_rest_cannot_create_order_refund"


def _error(code: str, message: str, data: object) -> str:
    return json.dumps({"code": code, "message": message, "data": data})


def _unauthorised(status: int, code: str, message: str, means: str, source: str) -> ToldError:
    body = _error(code, message, {"status": status})
    return ToldError(status, code, body, means, CallTrouble.UNAUTHORISED, False, source)


def _not_made(message: str, means: str, source: str, *, final: bool) -> ToldError:
    trouble = None if final else CallTrouble.FAILING
    return ToldError(500, _NOT_MADE, _error(_NOT_MADE, message, 500), means, trouble, not final, source)


ERRORS = (
    _unauthorised(
        401,
        "woocommerce_rest_cannot_view",
        "Sorry, you cannot list resources.",
        "the key is unknown, or did not come over TLS",
        _AUTHENTICATION,
    ),
    _unauthorised(
        401,
        "woocommerce_rest_authentication_error",
        "Consumer secret is invalid.",
        "the secret is wrong",
        _AUTHENTICATION,
    ),
    _unauthorised(
        401,
        "woocommerce_rest_authentication_error",
        "The API key provided does not have write permissions.",
        "the key may only read",
        _AUTHENTICATION,
    ),
    _unauthorised(
        403,
        "woocommerce_rest_cannot_create",
        "Sorry, you are not allowed to create resources.",
        "the key's user is no shop manager",
        _INTRODUCTION,
    ),
    ToldError(
        403,
        "",
        "<html>Access denied</html>",
        "a firewall in front of the shop",
        CallTrouble.UNAUTHORISED,
        False,
        "the status is RFC 9110's; WordPress answers in JSON",
        html=True,
    ),
    ToldError(
        404,
        "rest_no_route",
        _error("rest_no_route", "No route was found matching the URL and request method.", {"status": 404}),
        "no WooCommerce there, or plain permalinks",
        CallTrouble.UNREADABLE,
        False,
        _INTRODUCTION,
    ),
    ToldError(
        400,
        "rest_invalid_param",
        _error("rest_invalid_param", "Invalid parameter(s): amount", {"status": 400}),
        "WordPress checks parameters before WooCommerce acts",
        None,
        False,
        "Version3/class-wc-rest-crud-controller.php",
    ),
    ToldError(
        500,
        "woocommerce_rest_invalid_order_id",
        _error("woocommerce_rest_invalid_order_id", "Invalid order ID.", 404),
        "the order was deleted; its 404 is a bare number, so 500 arrives",
        None,
        False,
        _REFUNDS,
    ),
    ToldError(
        500,
        "woocommerce_rest_invalid_order_refund",
        _error("woocommerce_rest_invalid_order_refund", "Refund amount must be greater than zero.", 400),
        "the amount is below zero; its 400 arrives as 500",
        None,
        False,
        _REFUNDS,
    ),
    _not_made("Invalid refund amount.", "more than is left", _CREATE, final=True),
    _not_made(
        "The payment gateway for this order does not support automatic refunds.",
        "a payment by transfer or cash",
        _PAY,
        final=True,
    ),
    _not_made(
        "The payment gateway for this order does not exist.", "the gateway's plugin was removed", _PAY, final=True
    ),
    _not_made(
        "An error occurred while attempting to create the refund using the payment gateway API.",
        "the gateway was asked and did not say yes; its time-out reads the same",
        _PAY,
        final=False,
    ),
    _not_made(
        "cURL error 28: Operation timed out",
        "the gateway's own words; it may have paid, and the record is deleted",
        _CREATE,
        final=False,
    ),
    _not_made(
        "Ungültiger Rückerstattungsbetrag.",
        "one of the above in the shop's language: which one is not known",
        "messages are translated",
        final=False,
    ),
    ToldError(
        400,
        "woocommerce_rest_shop_order_refund_not_created",
        _error("woocommerce_rest_shop_order_refund_not_created", "The refund was not created.", {"status": 400}),
        "a plugin threw, maybe after the refund was made",
        CallTrouble.FAILING,
        True,
        "review of pull request 67182",
    ),
    ToldError(
        500,
        "internal_server_error",
        _error("internal_server_error", "There has been a critical error on this website.", {"status": 500}),
        "PHP broke off, at any point",
        CallTrouble.FAILING,
        True,
        "issue 16545",
    ),
    ToldError(
        504,
        "",
        "<html>Gateway Time-out</html>",
        "the web server waited no longer; PHP may go on",
        CallTrouble.FAILING,
        True,
        "the status is RFC 9110's",
        html=True,
    ),
    ToldError(
        429,
        "",
        "<html>Too many requests</html>",
        "the host's limit: the request was not taken",
        CallTrouble.FAILING,
        False,
        "the status is RFC 6585's; WooCommerce has no limit of its own",
        html=True,
    ),
    ToldError(
        301,
        "",
        "",
        "the shop has another address, with or without www",
        CallTrouble.UNREADABLE,
        False,
        "the status is RFC 9110's",
        html=True,
    ),
    ToldError(
        200,
        "",
        "<b>Notice</b>: Undefined variable: order_id in <b>x.php</b> on line <b>303</b><br />{}",
        "a notice of PHP before the JSON",
        CallTrouble.UNREADABLE,
        True,
        "issue 12115",
    ),
)
