"""Gates on a real database for tests: a policy with gates, the figures of shops, and days that pass."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from jitui.adapters.postgres.gates import PostgresGates
from jitui.aftersales.governance.gates import (
    GateRules,
    Place,
    PlacePlan,
    Recomputing,
    recompute_due,
    recompute_places,
)
from jitui.aftersales.governance.registry import Coverage, Scope, Shop
from jitui.policy import Policy
from tests.aftersales.market import DEFAULT_POLICY, TIME_ZONE, Market

DAY = date(2026, 6, 1)

_GATES = """
gates:
  shops:
    - id: experience
      leave_when: shop.experience_score < 60
      return_when: shop.experience_score >= 70
      leave_after: 2d
      return_after: 2d
      notice: 3d
      public: true
      text: {zh: 体验分低于 60 分, en: The experience score is below 60}
      return_text: {zh: 体验分达到 70 分, en: An experience score of at least 70}
    - id: ships_on_time
      leave_when: shop.shipped_30d >= 20 && shop.shipped_on_time_30d * 100 < shop.shipped_30d * 90
      return_when: shop.shipped_on_time_30d * 100 >= shop.shipped_30d * 95
      notice: 0d
      public: true
      text: {zh: 按时发货率低于 90%, en: Fewer than 90 of 100 parcels left in time}
      return_text: {zh: 按时发货率达到 95%, en: At least 95 of 100 parcels leave in time}
    - id: hidden
      leave_when: shop.secret_score > 900
      return_when: shop.secret_score <= 900
      notice: 0d
      public: false
      text: {zh: 秘密, en: A secret}
      return_text: {zh: 秘密, en: A secret}
  categories:
    - {id: rings, categories: [jewellery], notice: 1d, public: true, text: {zh: 珠宝不支持, en: No jewellery}}
  items:
    - {id: recalled, items: [item-9], notice: 0d, public: true, text: {zh: 已召回, en: Recalled}}
"""


def gated_policy(old: str = "", new: str = "") -> Policy:
    """The default policy with gates, each text under a version of its own."""
    own = DEFAULT_POLICY.text.replace(f'version: "{DEFAULT_POLICY.version}"', f'version: "gates {new}"')
    text = own.replace(
        "definitions:", "attributes: {shop.experience_score: int, shop.secret_score: int}\ndefinitions:", 1
    ).replace("\nreview:", f"{_GATES}\nreview:", 1)
    assert old in text
    return Policy.from_text(text.replace(old, new, 1) if old else text)


@dataclass
class Days:
    """A market whose gates are computed day after day."""

    market: Market
    gates: PostgresGates
    policy: Policy
    publication: int = 1
    day: date = DAY

    @property
    def now(self) -> datetime:
        """Ten in the morning there."""
        return datetime(self.day.year, self.day.month, self.day.day, 2, tzinfo=UTC)

    @property
    def rules(self) -> GateRules:
        return GateRules(self.policy, self.publication, ZoneInfo(TIME_ZONE))

    async def pass_days(self, days: int = 1) -> int:
        """The next days, each with its roll-up and the worker's round; how many places the last one computed."""
        done = 0
        for _ in range(days):
            self.day += timedelta(days=1)
            await self.market.feed.roll_up(self.now)
            done = await recompute_due(self.gates, self.rules, self.now)
        return done

    async def again(self, *shop_ids: str, dry_run: bool = False) -> list[PlacePlan]:
        """What a person asks for."""
        return await recompute_places(self.gates, self.rules, shop_ids, Recomputing(self.now, "li.na", dry_run))

    async def put(self, shop_id: str, **attributes: int) -> None:
        await self.market.registry.put_shop(Shop(shop_id, "", dict(attributes)), self.now, kept=["attributes"])

    async def shipped(self, shop_id: str, parcels: int, on_time: int) -> None:
        """Yesterday."""
        async with self.market.pool.connection() as connection:
            for kind, events in (("shipped", parcels), ("shipped_on_time", on_time)):
                await connection.execute(
                    "INSERT INTO shop_day (shop_id, kind, day, currency, events, amount_minor) "
                    "VALUES (%s, %s, %s, '', %s, 0)",
                    (shop_id, kind, self.day, events),
                )

    async def row(self, shop_id: str) -> Coverage | None:
        """What decisions read of the shop."""
        rows = await self.market.registry.coverage_of(shop_id)
        return next((row for row in rows if row.scope is Scope.SHOP), None)

    async def news(self, shop_id: str) -> list[tuple[date, str, str | None]]:
        """The history of the shop, oldest first."""
        found = await self.gates.history(shop_id, 1000)
        return [(row.at.date(), row.what, row.gate_id) for row in reversed(found)]

    async def statuses(self, shop_id: str) -> dict[str, str]:
        return {record.gate_id: record.status.value for record in await self.gates.of_shop(shop_id)}


def shop(shop_id: str) -> Place:
    return Place(Scope.SHOP, shop_id)
