"""The format of the section `gates` of a policy file; see `file_format`."""

from __future__ import annotations

from jitui.policy.loading.file_kinds import (
    IDENTIFIER,
    BooleanKind,
    DurationKind,
    ExpressionKind,
    ListKind,
    NameKind,
    PolicyField,
    PolicySection,
    TextKind,
    texts,
)
from jitui.policy.sections import OTHER_FACTORS

MAX_ROW_DAYS = 90
MAX_NOTICE_DAYS = 365

_NAME = NameKind(IDENTIFIER, "a name of small letters, digits and _", (OTHER_FACTORS,))
_PUBLIC = PolicyField(
    "public",
    BooleanKind(),
    "Whether merchants may know of it. One that a private gate takes out reads that other factors decided; the "
    "notice and its date are shown all the same.",
    "true",
)
_NOTICE = PolicyField(
    "notice",
    DurationKind("d", MAX_NOTICE_DAYS, may_be_none=True),
    "How many whole days a merchant is told before. They begin on the day after the one on which it is told; `0d` "
    "takes effect at once.",
    "15d",
)

SHOP_GATE = PolicySection(
    "a gate for shops",
    (
        PolicyField("id", _NAME, "Names the gate. Two gates cannot share one.", "ships_on_time"),
        PolicyField(
            "leave_when",
            ExpressionKind(condition=True),
            "What is true of a shop that should leave. It reads the shop's features and attributes alone.",
            "shop.shipped_on_time_30d * 100 < shop.shipped_30d * 90",
        ),
        PolicyField(
            "return_when",
            ExpressionKind(condition=True),
            "What is true of a shop that may stay or come back. Where neither is true, everything stays as it is; "
            "where both are, the shop should leave.",
            "shop.shipped_on_time_30d * 100 >= shop.shipped_30d * 95",
        ),
        PolicyField(
            "leave_after",
            DurationKind("d", MAX_ROW_DAYS),
            "How many days in a row `leave_when` must be true until the shop is told.",
            "3d",
            "`1d`",
        ),
        PolicyField(
            "return_after",
            DurationKind("d", MAX_ROW_DAYS),
            "How many days in a row `return_when` must be true until a notice is withdrawn, or the shop is back.",
            "7d",
            "`1d`",
        ),
        _NOTICE,
        _PUBLIC,
        PolicyField(
            "text",
            texts("text", {"zh": "近 30 天按时发货率低于 90%", "en": "Fewer than 90 of 100 parcels left in time"}),
            "Why a shop is not covered, as its merchant reads it.",
            "{zh: 近 30 天按时发货率低于 90%, en: Fewer than 90 of 100 parcels left in time}",
        ),
        PolicyField(
            "return_text",
            texts("return_text", {"zh": "按时发货率达到 95%", "en": "At least 95 of 100 parcels leave in time"}),
            "What brings the shop back, as its merchant reads it.",
            "{zh: 按时发货率达到 95%, en: At least 95 of 100 parcels leave in time}",
        ),
    ),
)


def _listing(scope: str, names: str, example: str) -> PolicySection:
    """A gate that takes out what it names."""
    return PolicySection(
        f"a gate for {names}",
        (
            PolicyField("id", _NAME, "Names the gate. Two gates cannot share one.", f"{scope}_recalled"),
            PolicyField(
                names,
                ListKind(TextKind(), least=1),
                f"The ids of the {names} that are not covered, as they are on the lines of orders.",
                f"[{example}]",
            ),
            _NOTICE,
            _PUBLIC,
            PolicyField(
                "text",
                texts("text", {"zh": "该商品已被召回", "en": "It was recalled"}),
                "Why they are not covered, as merchants read it.",
                "{zh: 该商品已被召回, en: It was recalled}",
            ),
        ),
    )


CATEGORY_GATE = _listing("category", "categories", "jewellery")
ITEM_GATE = _listing("item", "items", "item-1")

GATES = PolicySection(
    "gates",
    (
        PolicyField("shops", ListKind(SHOP_GATE), "Rules for shops.", "[]", "none"),
        PolicyField("categories", ListKind(CATEGORY_GATE), "Categories by their ids.", "[]", "none"),
        PolicyField("items", ListKind(ITEM_GATE), "Items by their ids.", "[]", "none"),
    ),
    at_least_one_of=("shops", "categories", "items"),
)
