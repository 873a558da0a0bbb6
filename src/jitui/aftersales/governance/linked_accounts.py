"""Linked accounts: buyers who share an address, a device or a payment instrument are one cluster (R11).

The platform sends hashes of its own; what was hashed is never known here. A worker joins clusters, and writes what a
decision reads into the buyer's lane: no deciding transaction locks a row that another buyer has too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

HASH_PATTERN = r"^[0-9A-Za-z_-]{32,128}"
"""A hash in hex or base64url; anything shorter, longer or with other characters may be a raw value, and is refused."""

MOST_SHARING = 20
"""What more buyers share than this, such as the address of a dormitory, links nobody from then on."""


class LinkKind(StrEnum):
    """What buyers can share."""

    ADDRESS = "address"
    DEVICE = "device"
    PAYMENT_INSTRUMENT = "payment_instrument"


@dataclass(frozen=True, slots=True)
class IdentityLink:
    """A buyer was seen with something, by its hash."""

    buyer_id: str
    kind: LinkKind
    hash: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class KnownLink:
    """A link as it stands: how many buyers have it, and whether so many may be linked by it."""

    kind: LinkKind
    hash: str
    seen_at: datetime
    buyers: int
    links: bool


@dataclass(frozen=True, slots=True)
class BuyerCluster:
    """A buyer's links, and the members of the cluster; without a cluster the buyer is the only one."""

    buyer_id: str
    cluster_id: UUID | None
    members: tuple[str, ...]
    links: tuple[KnownLink, ...]


class LinkedAccounts(Protocol):
    """Takes links in, joins clusters, and shows them."""

    async def add(self, links: Sequence[IdentityLink], now: datetime) -> int:
        """How many are new; one that is known keeps the later `seen_at`. Those of erased buyers are left out."""
        ...

    async def of_buyer(self, buyer_id: str) -> BuyerCluster: ...

    async def join_new(self, now: datetime) -> int:
        """Join the clusters of new links, and note what decisions read; how many links were new.

        One worker at a time. Restrictions are those that stand at `now`.
        """
        ...
