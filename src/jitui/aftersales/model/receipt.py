"""A receipt: what was acknowledged to the buyer when the request was taken in. It never changes afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from msgspec import Struct, json


class ReceiptLine(Struct, frozen=True):
    """Units of one line, and the money that was asked back for them, in minor units."""

    line_id: str
    sku: str
    title: str
    quantity: int
    amount_minor: int


class ReceiptReason(Struct, frozen=True):
    """One condition as the buyer may read it: whether it held, in both languages."""

    id: str
    verdict: str
    text: Mapping[str, str]


class ReceiptDecision(Struct, frozen=True):
    """What was decided then, by which text, and why.

    `review_reason` and `answer_by` where it went to review. A `sha256` of the text would say more than the buyer may
    know of a policy that is not public as a whole, so the text is named by id and version.
    """

    outcome: str
    policy_id: str
    policy_version: str
    reasons: tuple[ReceiptReason, ...]
    notice: Mapping[str, str] | None = None
    review_reason: str | None = None
    answer_by: str | None = None
    on_timeout: str | None = None


class ReceiptContent(Struct, frozen=True):
    """The content of a receipt. It names no buyer: the order does, and an erasure leaves it as it is.

    `requested_at` is the date and time in the platform's `time_zone`, with its offset.
    """

    format: int
    ticket_id: str
    order_id: str
    shop_id: str
    basis: str
    reason: str
    requested_at: str
    time_zone: str
    currency: str
    amount_minor: int
    freight_minor: int
    lines: tuple[ReceiptLine, ...]
    decision: ReceiptDecision


@dataclass(frozen=True, slots=True)
class Receipt:
    """The content as the text that was acknowledged, and the SHA-256 of its UTF-8 bytes in hexadecimal."""

    content: str
    sha256: str

    @property
    def read(self) -> ReceiptContent:
        """The content as values."""
        return json.decode(self.content, type=ReceiptContent)

    @property
    def is_whole(self) -> bool:
        """Whether the text is the one whose hash is kept beside it."""
        return sha256(self.content.encode()).hexdigest() == self.sha256


def sealed(content: ReceiptContent) -> Receipt:
    """The content as text, always the same for the same content."""
    text = json.encode(content, order="sorted")
    return Receipt(text.decode(), sha256(text).hexdigest())
