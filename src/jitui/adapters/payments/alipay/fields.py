"""How Alipay writes amounts, times and the numbers of trades."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from jitui.money import from_decimal_text

CURRENCY = "CNY"
BEIJING = ZoneInfo("Asia/Shanghai")
"""The time zone of all times that the gateway reads and writes; they do not name it."""

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
_TRADE_NO = re.compile(r"20\d{26}")
_YUAN = re.compile(r"\d{1,13}(?:\.\d{1,2})?", re.ASCII)


def trade_parameter(payment_id: str) -> dict[str, str]:
    """The parameter for a payment: Alipay's numbers have 28 digits and begin with a date; others are the merchant's."""
    return {"trade_no" if _TRADE_NO.fullmatch(payment_id) else "out_trade_no": payment_id}


def minor_of(yuan: str) -> int | None:
    """An amount in yuan as fen; None unless it has at most two decimals."""
    return from_decimal_text(yuan, CURRENCY) if _YUAN.fullmatch(yuan) else None


def moment_of(text: str) -> datetime | None:
    """A time in Beijing, which may have fractions of a second."""
    try:
        return datetime.strptime(text.partition(".")[0], TIME_FORMAT).replace(tzinfo=BEIJING).astimezone(UTC)
    except ValueError:
        return None
