"""Plain rows that people set: shops, buyers, categories, coverage, pauses, restrictions, lists, history, keys.

Their full life (proposals, four eyes, appeals) comes with governance; what stands here is what a decision reads.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.model.order import Buyer
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import HistoryRecord, Publication, PublishedPolicy
from jitui.policy import CLOCKS_DIFFER_SECONDS, PublicPolicy


class Scope(StrEnum):
    """Where a pause or a coverage row applies.

    Covered is an order whose shop is, by its own row or else the platform's, and whose every line is, by its item's row
    or else its category's.
    """

    PLATFORM = "platform"
    SHOP = "shop"
    CATEGORY = "category"
    ITEM = "item"
    REGION = "region"


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop as the platform describes it; it cannot switch the guarantee on or off (R13)."""

    shop_id: str
    name: str = ""
    attributes: dict[str, int | str | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Category:
    """A row of the platform's category table: customised and virtual are set apart from each other (R2)."""

    category_id: str
    title: str = ""
    customised: bool = False
    virtual: bool = False


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whether a place is covered, and why, as the merchant reads it (R12, R13)."""

    scope: Scope
    ref: str
    covered: bool
    reason: str
    set_by: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """Instant approvals stopped for a place; every request there goes to review."""

    scope: Scope
    ref: str
    reason: str
    set_by: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Restriction:
    """The service withdrawn from a buyer (R11), until `ends_at` or until it is lifted."""

    restriction_id: UUID
    buyer_id: str
    reason: str
    starts_at: datetime
    ends_at: datetime | None
    set_by: str
    lifted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """A buyer on the platform's allow or deny list (R3a)."""

    buyer_id: str
    verdict: str
    reason: str
    set_by: str
    set_at: datetime


class KeyScope(StrEnum):
    """Whose eyes an API key sees with (I8)."""

    PLATFORM = "platform"
    SHOP = "shop"
    BUYER = "buyer"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's row; the secret itself is shown once and kept only as a hash."""

    key_id: str
    scope: KeyScope
    subject_id: str
    label: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event of a buyer's history that contradicts what is known; `field` says where."""

    event: RecordBuyerEvent
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class NamedEvent:
    """The buyer of whom an event was first told, and whether that was just now."""

    buyer_id: str
    is_new: bool


ORDER_OF_ANOTHER_BUYER = "This order belongs to another buyer."
RETRACTS_ANOTHER_KIND = "An event is taken back by one of its own kind."
RETRACTS_FROM_AHEAD = "What takes an event back cannot lie in the future."


def contradicting(
    events: Sequence[RecordBuyerEvent], of_others: Collection[int], of_another_kind: Collection[int]
) -> list[RefusedEvent]:
    """The events that contradict what is known, by their places in `events`, or one another.

    `of_others` name another buyer's order; `of_another_kind` take back an event of another kind, or were taken back so.
    """
    said: dict[tuple[str, str | None], str] = {
        (event.buyer_id, event.event_id): event.kind for event in events if event.retracts is None
    }
    refused = []
    for place, event in enumerate(events):
        takes_back = event.retracts is not None
        if place in of_others:
            refused.append(RefusedEvent(event, "order_id", ORDER_OF_ANOTHER_BUYER))
        elif takes_back and event.at > event.recorded_at + timedelta(seconds=CLOCKS_DIFFER_SECONDS):
            refused.append(RefusedEvent(event, "at", RETRACTS_FROM_AHEAD))
        elif place in of_another_kind or (
            takes_back and said.get((event.buyer_id, event.retracts), event.kind) != event.kind
        ):
            refused.append(RefusedEvent(event, "retracts" if takes_back else "kind", RETRACTS_ANOTHER_KIND))
    return refused


class Registry(Protocol):
    """What reads and sets these rows."""

    # Puts replace what they say; fields in `kept` were not said and stay as they are (attributes: all but those given).

    async def put_shop(self, shop: Shop, now: datetime, *, kept: Collection[str] = ()) -> Shop: ...

    async def get_shop(self, shop_id: str) -> Shop | None: ...

    async def put_buyer(self, buyer: Buyer, now: datetime, *, kept: Collection[str] = ()) -> Buyer: ...

    async def get_buyer(self, buyer_id: str) -> Buyer | None: ...

    async def put_category(self, category: Category, now: datetime, *, kept: Collection[str] = ()) -> Category: ...

    async def set_coverage(self, coverage: Coverage) -> None: ...

    async def coverage_of(self, shop_id: str) -> Sequence[Coverage]: ...

    async def set_pause(self, pause: Pause) -> None: ...

    async def lift_pause(self, scope: Scope, ref: str) -> bool: ...

    async def pauses(self) -> Sequence[Pause]: ...

    async def restrict(self, restriction: Restriction) -> bool: ...

    async def lift_restriction(self, restriction_id: UUID, now: datetime) -> bool: ...

    async def restrictions_of(self, buyer_id: str) -> Sequence[Restriction]: ...

    async def select(self, selection: Selection) -> None: ...

    async def record_history(
        self, records: Sequence[HistoryRecord], *, kept: Collection[str] = ()
    ) -> Sequence[HistoryRecord]: ...

    async def history_records(self) -> Sequence[HistoryRecord]: ...

    async def refused_events(self, events: Sequence[RecordBuyerEvent]) -> Sequence[RefusedEvent]:
        """Those that contradict what is known here or one another; `record_buyer_events` leaves them out."""
        ...

    async def record_buyer_events(self, events: Sequence[RecordBuyerEvent]) -> int: ...

    async def new_buyer_events(self, events: Sequence[RecordBuyerEvent]) -> Collection[tuple[str, str]]:
        """As `record_buyer_events`; the buyers and ids of the events that were new."""
        ...

    async def name_events(self, told: Mapping[str, str]) -> Mapping[str, NamedEvent]:
        """Keep, for events that are named over all buyers, whose each name is; what is known of each."""
        ...

    async def add_key(self, key: ApiKey, secret_hash: bytes) -> None: ...

    async def find_key(self, key_id: str) -> tuple[ApiKey, bytes] | None: ...

    async def find_keys(self, key_ids: Sequence[str]) -> dict[str, tuple[ApiKey, bytes]]: ...

    async def publish_policy(self, policy: PublishedPolicy) -> None: ...

    async def live_policy(self) -> PublishedPolicy | None: ...

    async def publications(
        self, *, before: int | None, limit: int, documents: bool = False
    ) -> Sequence[Publication]: ...

    async def publication(self, number: int | None, *, documents: bool = False) -> Publication | None: ...

    async def keep_public_view(self, number: int, view: PublicPolicy | None) -> None: ...


KEY_PREFIX = "jt"


async def issue_key(
    registry: Registry,
    scope: KeyScope,
    subject_id: str,
    *,
    label: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> str:
    """A new API key, `jt_<id>_<secret>`, shown once; only its SHA-256 is kept (the secret has 256 random bits)."""
    key_id = secrets.token_hex(6)
    secret = secrets.token_urlsafe(32)
    await registry.add_key(ApiKey(key_id, scope, subject_id, label, now, expires_at), hash_secret(secret))
    return f"{KEY_PREFIX}_{key_id}_{secret}"


def hash_secret(secret: str) -> bytes:
    """The hash that a key's row keeps."""
    return hashlib.sha256(secret.encode()).digest()


async def authenticate(registry: Registry, presented: str, now: datetime) -> ApiKey | None:
    """The key that was presented, if it is known, matches, and is neither expired nor revoked."""
    prefix, _, rest = presented.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != KEY_PREFIX or not key_id or not secret:
        return None
    found = await registry.find_key(key_id)
    if found is None:
        return None
    key, secret_hash = found
    expired = key.expires_at is not None and key.expires_at <= now
    if key.revoked_at is not None or expired:
        return None
    return key if secrets.compare_digest(secret_hash, hash_secret(secret)) else None


def refuse_opt_out() -> Refusal:
    """R13: the guarantee is the platform's; a merchant sees whether and why, and cannot switch it."""
    return Refusal(
        RefusalCode.SHOP_CANNOT_OPT_OUT,
        "Instant refund is a basic guarantee of the platform: a shop can see its coverage and cannot change it.",
    )
