"""How Alipay writes amounts, times and the numbers of trades."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from jitui.money import from_decimal_text

CURRENCY = "CNY"
BEIJING = ZoneInfo("Asia/Shanghai")
"""The gateway reads and writes times of day of this zone, without saying so."""

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
_TRADE_NO = re.compile(r"20\d{26}")
_YUAN = re.compile(r"\d{1,13}(?:\.\d{1,2})?", re.ASCII)


def trade_parameter(payment_id: str) -> dict[str, str]:
    """A number of Alipay's own has 28 digits and begins with its day; all else is the merchant's own number."""
    return {"trade_no" if _TRADE_NO.fullmatch(payment_id) else "out_trade_no": payment_id}


def minor_of(yuan: str) -> int | None:
    """Fen of an amount in yuan with at most two decimals; None for anything else."""
    return from_decimal_text(yuan, CURRENCY) if _YUAN.fullmatch(yuan) else None


def moment_of(text: str) -> datetime | None:
    """A time of day in Beijing, at times with a fraction of a second."""
    try:
        return datetime.strptime(text.partition(".")[0], TIME_FORMAT).replace(tzinfo=BEIJING).astimezone(UTC)
    except ValueError:
        return None
