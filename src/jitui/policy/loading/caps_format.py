"""The format of a policy file's `caps`: the most that is approved at once within a time, and who is told before."""

from __future__ import annotations

from jitui.money import MAX_AMOUNT_MINOR
from jitui.policy.loading.file_kinds import (
    IDENTIFIER,
    DurationKind,
    EitherKind,
    IntegerKind,
    ListKind,
    NameKind,
    PolicyField,
    PolicySection,
)

MAX_WINDOW_DAYS = 730
MAX_CAP_COUNT = 10**9
PARAMETER_NAME = NameKind(IDENTIFIER, "the name of a parameter")
CAP_COUNT = IntegerKind(0, MAX_CAP_COUNT)
CAP_AMOUNT_MINOR = IntegerKind(0, MAX_AMOUNT_MINOR)
ALERT_PERCENT = IntegerKind(1, 100)

CAP = PolicySection(
    "a cap",
    (
        PolicyField(
            "over",
            DurationKind("hd", MAX_WINDOW_DAYS),
            "The window, which ends at the request.",
            "30d",
        ),
        PolicyField(
            "count",
            EitherKind((CAP_COUNT, PARAMETER_NAME)),
            "Most instant approvals, in any currency.",
            "3",
            "no limit",
        ),
        PolicyField(
            "amount_minor",
            EitherKind((CAP_AMOUNT_MINOR, PARAMETER_NAME)),
            "Most money that they refund, in minor units of the policy's currency.",
            "60000",
            "no limit",
        ),
    ),
    at_least_one_of=("count", "amount_minor"),
)

CAPS = PolicySection(
    "caps",
    (
        PolicyField("per_buyer", CAP, "Of one buyer. Exact.", "{count: 3, amount_minor: 60000, over: 30d}", "no limit"),
        PolicyField(
            "per_shop",
            CAP,
            "Of one shop. May be exceeded by what is approved while the usage is rolled up.",
            "{amount_minor: 2000000, over: 1h}",
            "no limit",
        ),
        PolicyField(
            "per_category",
            CAP,
            "Of one category, as exact as a shop's. A request uses the cap of each category of its lines, once and "
            "with the amount of the lines in it; freight is in none. A line without a category makes it unknown.",
            "{amount_minor: 1000000, over: 24h}",
            "no limit",
        ),
        PolicyField(
            "per_cluster",
            CAP,
            "Of all buyers of one cluster of linked accounts together, as exact as a shop's; of a buyer who is linked "
            "with nobody, of that buyer. Unknown while the buyer's cluster is.",
            "{count: 5, over: 30d}",
            "no limit",
        ),
        PolicyField(
            "platform",
            CAP,
            "Of all shops together, as exact as a shop's.",
            "{count: 10000, over: 24h}",
            "no limit",
        ),
        PolicyField(
            "alerts_at_percent",
            ListKind(ALERT_PERCENT),
            "The shares of every cap but the buyer's at which operators are told. An empty list: at none.",
            "[80, 100]",
            "`[80, 100]`",
        ),
    ),
)
