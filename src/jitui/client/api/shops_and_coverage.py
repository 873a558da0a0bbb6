"""Shops and coverage: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import UNSET, UnsetType

from jitui.client.api.shared import Scope
from jitui.client.call import Call, Sent, Shown


class BenefitAnswer(Shown, frozen=True, kw_only=True):
    """The benefit for a shop: requests handled, and how long refunds took."""

    shop_id: str
    since: datetime | None
    requests: int
    instant: int
    refunded: int
    awaiting: int
    instant_median_seconds: float | None
    instant_p99_seconds: float | None
    reviewed_median_seconds: float | None
    reviewed_p99_seconds: float | None


class CategoryAnswer(Shown, frozen=True, kw_only=True):
    """A row of the category table."""

    category_id: str
    title: str
    customised: bool
    virtual: bool


class CategorySent(Sent, frozen=True, kw_only=True):
    """A row of the platform's category table; fields that are not sent stay, and are false at first."""

    title: str | UnsetType = UNSET
    customised: bool | UnsetType = UNSET
    virtual: bool | UnsetType = UNSET


class CoverageRow(Shown, frozen=True, kw_only=True):
    """The coverage of one shop, category, item or the platform, and the reason."""

    scope: Scope
    ref: str
    covered: bool
    reason: str
    set_at: datetime
    set_by: str = ""


class CoverageSent(Sent, frozen=True, kw_only=True):
    """Whether something is covered, and why, as the merchant reads it; `ref` is empty for the platform."""

    scope: Literal["category", "item", "platform", "shop"]
    covered: bool
    reason: str
    ref: str = ""


class ShopAnswer(Shown, frozen=True, kw_only=True):
    """What the platform sent about a shop; attributes only for the platform."""

    shop_id: str
    name: str
    attributes: Mapping[str, int | str | bool]


class ShopCoverageAnswer(Shown, frozen=True, kw_only=True):
    """Whether the shop is covered, and why; and every row that applies to it, its categories and its items."""

    shop_id: str
    covered: bool
    reason: str
    rows: tuple[CoverageRow, ...]


class ShopCoverageSent(Sent, frozen=True, kw_only=True):
    """Whether one shop is covered, and why."""

    covered: bool
    reason: str


class ShopSent(Sent, frozen=True, kw_only=True):
    """What the platform knows of a shop; fields that are not sent stay."""

    name: str | UnsetType = UNSET
    attributes: Mapping[str, int | str | bool] | UnsetType = UNSET


def put_shop(shop_id: str, sent: ShopSent) -> Call[ShopAnswer]:
    """Put a shop.

    Replaces what is given; what is not given stays as it was. Keys of scope: platform. Permission: `shops:write`.
    """
    return Call(
        operation="put_shop",
        method="PUT",
        path="/v1/shops/{shop_id}",
        answer=ShopAnswer,
        statuses=(200,),
        places={"shop_id": shop_id},
        body=sent,
        may_repeat=True,
    )


def get_shop(shop_id: str) -> Call[ShopAnswer]:
    """Read a shop.

    `attributes` are the platform's own and empty for others. Keys of scope: platform, shop. Permission: `shops:read`.
    """
    return Call(
        operation="get_shop",
        method="GET",
        path="/v1/shops/{shop_id}",
        answer=ShopAnswer,
        statuses=(200,),
        places={"shop_id": shop_id},
        may_repeat=True,
    )


def get_benefit(shop_id: str, *, since: datetime | None = None) -> Call[BenefitAnswer]:
    """Read what the service did for a shop. Keys of scope: platform, shop. Permission: `shops:read`."""
    return Call(
        operation="get_benefit",
        method="GET",
        path="/v1/shops/{shop_id}/benefit",
        answer=BenefitAnswer,
        statuses=(200,),
        places={"shop_id": shop_id},
        query={"since": since},
        may_repeat=True,
    )


def put_coverage(sent: CoverageSent) -> Call[CoverageRow]:
    """Cover a place or take it out.

    The platform, a shop, a category or an item. Keys of scope: platform. Permission: `coverage:write`.
    """
    return Call(
        operation="put_coverage",
        method="PUT",
        path="/v1/coverage",
        answer=CoverageRow,
        statuses=(200,),
        body=sent,
        may_repeat=True,
    )


def put_shop_coverage(shop_id: str, sent: ShopCoverageSent) -> Call[CoverageRow]:
    """Cover a shop or take it out.

    Only the platform decides; a shop is refused. Keys of scope: platform, shop. Permission: `coverage:write`.
    """
    return Call(
        operation="put_shop_coverage",
        method="PUT",
        path="/v1/shops/{shop_id}/coverage",
        answer=CoverageRow,
        statuses=(200,),
        places={"shop_id": shop_id},
        body=sent,
        may_repeat=True,
    )


def get_shop_coverage(shop_id: str) -> Call[ShopCoverageAnswer]:
    """Read whether a shop is covered, and why.

    By shop, category and item. An order is covered when its shop is and every line is. A shop goes by its own row, else
    the platform's; a line by its item's row, else its category's. Without a row both are covered. Keys of scope:
    platform, shop. Permission: `coverage:read`.
    """
    return Call(
        operation="get_shop_coverage",
        method="GET",
        path="/v1/shops/{shop_id}/coverage",
        answer=ShopCoverageAnswer,
        statuses=(200,),
        places={"shop_id": shop_id},
        may_repeat=True,
    )


def put_category(category_id: str, sent: CategorySent) -> Call[CategoryAnswer]:
    """Put a category.

    Orders that come in from now on read it. What is not given stays as it was. Keys of scope: platform. Permission:
    `categories:write`.
    """
    return Call(
        operation="put_category",
        method="PUT",
        path="/v1/categories/{category_id}",
        answer=CategoryAnswer,
        statuses=(200,),
        places={"category_id": category_id},
        body=sent,
        may_repeat=True,
    )
