"""Alipay's refunds: requested, and looked up by their number."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.error import HTTPError

from jitui.adapters.payments.alipay.answers import (
    FINAL_UNLESS_DONE,
    result_to_error,
    result_to_query,
    result_to_refund,
)
from jitui.adapters.payments.alipay.client import GatewayClient, Reply, read_keys
from jitui.adapters.payments.alipay.fields import CURRENCY, trade_parameter
from jitui.adapters.payments.alipay.notifications import NAME, read_notification
from jitui.adapters.payments.calls import THREADS, Closing, Threads, in_time, no_answer, trouble_of, unknown, unreadable
from jitui.aftersales.provider import (
    BOTH,
    Capabilities,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)
from jitui.money import to_decimal_text

GATEWAY = "https://openapi.alipay.com/gateway.do"
_REASON_CHARACTERS = 256


class AlipayProvider(Closing):
    """Alipay as a provider. One per event loop; a context manager that owns the threads for the library's calls."""

    def __init__(
        self,
        *,
        app_id: str,
        private_key: str,
        public_key: str,
        gateway: str | None = None,
        timeout_seconds: float = 10.0,
        threads: int = THREADS,
    ) -> None:
        """Raises NotConfigured for a key that cannot be used; opens no connection."""
        self._app_id = app_id
        self._client = GatewayClient(app_id, *read_keys(private_key, public_key), gateway or GATEWAY, timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._threads = Threads(NAME, threads)

    @property
    def name(self) -> str:
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        return BOTH

    async def close(self) -> None:
        """Start no more calls."""
        self._threads.close()

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """alipay.trade.refund with the attempt's id as out_request_no; a repetition pays nothing more."""
        if instruction.currency != CURRENCY:
            return RefundResult(RefundResultKind.DECLINED, f"Alipay refunds {CURRENCY}, not {instruction.currency}")
        if instruction.amount_minor <= 0:
            return RefundResult(RefundResultKind.DECLINED, "amount_not_positive")
        return await in_time(self._send(instruction), self._timeout_seconds)

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """alipay.trade.fastpay.refund.query; NOT_FOUND also when it is not visible yet, because resending is safe."""
        return await in_time(self._look_up(instruction), self._timeout_seconds)

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | NotificationIgnored | NotificationRefused:
        """Read a notification: form parameters, signed by Alipay with RSA2, at most 26 hours old.

        Notifications about payments, other apps, and refunds that others made are ignored (T13). A notification proves
        that this attempt was refunded, but not the amount: its `refund_fee` is the sum of all refunds of the trade.
        """
        return read_notification(self._client, self._app_id, body, now)

    async def _send(self, instruction: RefundInstruction) -> RefundResult:
        content = {
            **trade_parameter(instruction.payment_id),
            "refund_amount": to_decimal_text(instruction.amount_minor, CURRENCY),
            "refund_reason": f"订单 {instruction.order_id} 退款"[:_REASON_CHARACTERS],
            "out_request_no": instruction.attempt_id.hex,
        }
        reply = await self._call("alipay.trade.refund", content)
        if isinstance(reply, RefundResult):
            return reply
        if reply.node.code == "10000":
            return result_to_refund(instruction, reply)
        result = result_to_error(reply)
        if result.kind is RefundResultKind.DECLINED and reply.node.sub_code in FINAL_UNLESS_DONE:
            found = await self._look_up(instruction)
            return result if found.kind is RefundResultKind.NOT_FOUND else found
        return result

    async def _look_up(self, instruction: RefundInstruction) -> RefundResult:
        content = {
            **trade_parameter(instruction.payment_id),
            "out_request_no": instruction.attempt_id.hex,
            "query_options": ["gmt_refund_pay"],
        }
        reply = await self._call("alipay.trade.fastpay.refund.query", content)
        return reply if isinstance(reply, RefundResult) else result_to_query(instruction, reply)

    async def _call(self, method: str, content: dict[str, Any]) -> Reply | RefundResult:
        """The gateway's response, signed or not; UNKNOWN when it cannot be read."""
        try:
            reply: Reply = await self._threads.run(self._client.server_api, method, content)
            return reply
        except HTTPError as error:
            return unknown(f"the gateway answered {error.code}", trouble=trouble_of(error.code))
        except OSError as error:  # a time-out is one
            return no_answer(error)
        except Exception as error:  # the library and http.client raise what they like, and none of it is knowledge
            return unreadable(type(error).__name__)
