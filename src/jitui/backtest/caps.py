"""Replays caps in order: the usage that each request would have found, given what was approved before it.

Usage depends on earlier approvals, so requests are processed one by one, by `asked_at` and then `request_id`. A buyer's
window is exact, and so is that of a buyer who is a cluster of one. A shop's, a category's, a cluster's and the
platform's are counted in buckets, as the service's roll-up does: a bucket that is partly in the window counts
completely. Approvals count in any currency, amounts only in the policy's: `amount_minor` is None for another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jitui.policy import (
    CATEGORIES_UNKNOWN,
    Cap,
    Caps,
    CapUsage,
    CategoryAmounts,
    FactValue,
    Usages,
    caps_facts,
    category_amounts,
)

_SECOND_US = 1_000_000
SHORT_CAP_SECONDS = 7200
"""Caps over windows up to this long are counted in buckets of a minute, longer ones in buckets of an hour."""


def bucket_seconds(over_seconds: int) -> int:
    """The length of the buckets in which the usage of a shop or the platform is counted, for a cap over this window."""
    return 60 if over_seconds <= SHORT_CAP_SECONDS else 3600


@dataclass(slots=True)
class _Window:
    """The approvals that still count, oldest first: when they stop counting, their number and their amount."""

    entries: deque[tuple[int, int, int]] = field(default_factory=deque)
    count: int = 0
    amount_minor: int = 0

    def usage(self, now_us: int) -> CapUsage:
        entries = self.entries
        while entries and entries[0][0] <= now_us:
            _, count, amount_minor = entries.popleft()
            self.count -= count
            self.amount_minor -= amount_minor
        return CapUsage(self.count, self.amount_minor)

    def add(self, until_us: int, amount_minor: int) -> None:
        entries = self.entries
        if entries and entries[-1][0] == until_us:
            _, count, earlier = entries.pop()
            entries.append((until_us, count + 1, earlier + amount_minor))
        else:
            entries.append((until_us, 1, amount_minor))
        self.count += 1
        self.amount_minor += amount_minor

    def join(self, others: Iterable[tuple[int, int, int]]) -> None:
        """Count the entries of another window, too."""
        joining = list(others)
        self.entries = deque(sorted((*self.entries, *joining)))
        self.count += sum(count for _, count, _ in joining)
        self.amount_minor += sum(amount_minor for _, _, amount_minor in joining)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose usage a request finds and adds to."""

    buyer_id: str
    shop_id: str
    cluster_id: str | None = None
    """Of a buyer who is linked with nobody the buyer's own id; None: not known."""


class CapsReplay:
    """The usage of every cap of one policy while its requests are replayed in order."""

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self._buyers: dict[str, _Window] = {}
        self._shops: dict[str, _Window] = {}
        self._categories: dict[str, _Window] = {}
        self._platform = _Window()
        self._clusters: dict[str, _Window] = {}
        self._cluster_of: dict[str, str] = {}

    def facts(
        self, asked: Asked, now_us: int, amount_minor: int | None, categories: CategoryAmounts = CATEGORIES_UNKNOWN
    ) -> dict[str, FactValue | None]:
        """The facts `caps.*` of a request at this time."""
        usages = Usages(
            _usage(self._buyers.get(asked.buyer_id), now_us),
            _usage(self._shops.get(asked.shop_id), now_us),
            self._platform.usage(now_us),
            {one: _usage(self._categories.get(one), now_us) for one in categories.amounts},
            self._cluster_usage(asked, now_us),
        )
        return caps_facts(self.caps, usages, amount_minor, categories)

    def _cluster_usage(self, asked: Asked, now_us: int) -> CapUsage | None:
        """What the buyer's cluster has used; what was known of the buyer as of another cluster is part of this one."""
        if asked.cluster_id is None:
            return None
        before = self._cluster_of.get(asked.buyer_id)
        self._cluster_of[asked.buyer_id] = asked.cluster_id
        merged = self._clusters.pop(before, None) if before not in (None, asked.cluster_id) else None
        cap = self.caps.per_cluster
        if merged is not None and cap is not None:
            alone = cap.over_seconds * _SECOND_US if before == asked.buyer_id else None
            moved = ((_in_bucket_us(cap, until, alone), count, amount) for until, count, amount in merged.entries)
            self._clusters.setdefault(asked.cluster_id, _Window()).join(moved)
        return _usage(self._clusters.get(asked.cluster_id), now_us)

    def is_of_cluster(self, asked: Asked, buyers: frozenset[str]) -> bool:
        """Whether one of these buyers is this one, or was known to be of the same cluster."""
        return asked.buyer_id in buyers or any(self._cluster_of.get(one) == asked.cluster_id for one in buyers)

    def approve(
        self, asked: Asked, now_us: int, amount_minor: int | None, categories: CategoryAmounts = CATEGORIES_UNKNOWN
    ) -> None:
        """Count an instant approval from now on."""
        amount = amount_minor or 0
        caps = self.caps
        if caps.per_buyer:
            until = now_us + caps.per_buyer.over_seconds * _SECOND_US
            self._buyers.setdefault(asked.buyer_id, _Window()).add(until, amount)
        if caps.per_shop:
            self._shops.setdefault(asked.shop_id, _Window()).add(_bucket_leaves_us(caps.per_shop, now_us), amount)
        if caps.platform:
            self._platform.add(_bucket_leaves_us(caps.platform, now_us), amount)
        if caps.per_cluster:
            # Without a cluster it counts for the buyer, who may be known to be of one later.
            cluster = self._cluster_of.setdefault(asked.buyer_id, asked.cluster_id or asked.buyer_id)
            exact = now_us + caps.per_cluster.over_seconds * _SECOND_US
            until = exact if cluster == asked.buyer_id else _bucket_leaves_us(caps.per_cluster, now_us)
            self._clusters.setdefault(cluster, _Window()).add(until, amount)
        if caps.per_category:
            until = _bucket_leaves_us(caps.per_category, now_us)
            for category_id, of_category in categories.amounts.items():
                self._categories.setdefault(category_id, _Window()).add(until, of_category or 0)


def asked_by_category(lines: Iterable[Mapping[str, object]] | None, *, in_currency: bool) -> CategoryAmounts:
    """What a request asks back in each category, of the fact `order.lines`: of each line the share that it asks for.

    None is a history that does not tell the lines.
    """
    if lines is None:
        return CATEGORIES_UNKNOWN
    asked = [line for line in lines if line.get("requested_quantity") != 0]
    return category_amounts((_text(line.get("category_id")), _asked(line) if in_currency else None) for line in asked)


def _asked(line: Mapping[str, object]) -> int | None:
    paid, quantity, wanted = (line.get(name) for name in ("paid_minor", "quantity", "requested_quantity"))
    if isinstance(paid, int) and isinstance(quantity, int) and isinstance(wanted, int) and quantity > 0:
        return paid * wanted // quantity
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


_NOTHING = CapUsage(0, 0)


def _usage(window: _Window | None, now_us: int) -> CapUsage:
    return window.usage(now_us) if window is not None else _NOTHING


def _in_bucket_us(cap: Cap, until_us: int, alone_us: int | None) -> int:
    """When an entry of a cluster stops counting; `alone_us`: the window of a buyer who was counted exactly before."""
    return until_us if alone_us is None else _bucket_leaves_us(cap, until_us - alone_us)


def _bucket_leaves_us(cap: Cap, now_us: int) -> int:
    """When the current bucket leaves the window: its end plus the length of the window."""
    bucket_us = bucket_seconds(cap.over_seconds) * _SECOND_US
    return (now_us // bucket_us + 1) * bucket_us + cap.over_seconds * _SECOND_US
