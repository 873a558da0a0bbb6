"""The client of the gateway: signs requests with the app's key, and checks Alipay's signature of responses."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from time import monotonic
from typing import Any
from urllib.request import urlopen

import msgspec
from alipay import AliPay
from Cryptodome.Hash import SHA256
from Cryptodome.PublicKey import RSA
from Cryptodome.Signature import PKCS1_v1_5
from msgspec import Struct

from jitui.adapters.payments.alipay.fields import BEIJING, TIME_FORMAT
from jitui.errors import NotConfigured

MAX_ANSWER_BYTES = 1024 * 1024
_JSON = json.JSONDecoder()


class Node(Struct, frozen=True):
    """The fields of a response to either call; an absent field is empty."""

    code: str
    msg: str = ""
    sub_code: str = ""
    trade_no: str = ""
    out_trade_no: str = ""
    out_request_no: str = ""
    fund_change: str = ""
    refund_fee: str = ""
    refund_status: str = ""
    refund_amount: str = ""
    gmt_refund_pay: str = ""


class Reply(Struct, frozen=True):
    """A response, and whether Alipay signed it."""

    node: Node
    signed: bool


_read_node = msgspec.json.Decoder(Node).decode


class GatewayClient(AliPay):  # type: ignore[misc]  # the library has no types
    """The library's client with Beijing time, limits on time and size, and a signature that is always checked.

    The library alone uses the machine's local time in requests, raises an error without its code for unsigned errors,
    and returns another parse of the response than the one whose signature it checked.
    """

    def __init__(self, app_id: str, private: Any, public: Any, gateway: str, timeout_seconds: float) -> None:
        self._keys = private, public
        super().__init__(app_id, sign_type="RSA2")
        self._gateway = gateway
        self._timeout_seconds = timeout_seconds

    def _load_key(self) -> None:
        self._app_private_key, self._alipay_public_key = self._keys

    def build_body(self, method: str, biz_content: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        now = datetime.now(BEIJING).strftime(TIME_FORMAT)
        body: dict[str, Any] = super().build_body(method, biz_content, timestamp=now, **more)
        return body

    def verified_sync_response(self, data: dict[str, Any], response_type: str) -> Reply:
        deadline = monotonic() + self._timeout_seconds
        content = b""
        with urlopen(f"{self._gateway}?{self.sign_data(data)}", timeout=self._timeout_seconds) as answer:
            while chunk := answer.read1(65_536):
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise ValueError("the answer is too long")
                if monotonic() > deadline:
                    raise TimeoutError
        text = content.decode()
        told = json.loads(text)
        name = response_type if response_type in told else "error_response"
        start = text.index("{", text.index(f'"{name}"'))
        # exactly the signed text; the library counts braces instead
        raw = text[start : _JSON.raw_decode(text, start)[1]]
        return Reply(_read_node(raw), signed=self.is_signed(raw.encode(), told.get("sign")))

    def is_signed(self, content: bytes, signature: object) -> bool:
        """Whether this is Alipay's signature of exactly these bytes; the library's own check accepts only UTF-8."""
        if not isinstance(signature, str) or not signature:
            return False
        try:
            return bool(PKCS1_v1_5.new(self.alipay_public_key).verify(SHA256.new(content), base64.b64decode(signature)))
        except ValueError:
            return False


def read_keys(private_key: str, public_key: str) -> tuple[Any, Any]:
    """The app's private key and Alipay's public key, for RSA2. Raises NotConfigured for keys that cannot work."""
    private = _key(private_key, "the app's private key")
    public = _key(public_key, "Alipay's public key")
    if not private.has_private():
        raise NotConfigured("Alipay: the app's private key is a public one; give the private key of the app.")
    if public.has_private() or public.n == private.n:
        raise NotConfigured(
            "Alipay: the public key is the app's own; give Alipay's public key, which the open platform shows."
        )
    return private, public


def _key(text: str, what: str) -> Any:
    """A key in PEM, or in the bare base64 that Alipay's key tool writes."""
    try:
        if text.lstrip().startswith("-----BEGIN"):
            return RSA.import_key(text.strip())
        return RSA.import_key(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, IndexError, TypeError, binascii.Error):
        raise NotConfigured(f"Alipay: {what} cannot be read; it is an RSA key as PEM or as base64.") from None
