"""The format of a policy file: its sections and fields.

The loader, the JSON Schema for editors, and the tables in `docs/reference/policy-file.md` are all made from it.
"""

from __future__ import annotations

from jitui.money import MAX_AMOUNT_MINOR
from jitui.policy.facts import BUYER_EVENTS, EVENTS_WITHOUT_MONEY, FACTS, SHOP_EVENTS
from jitui.policy.loading.advance_section import ADVANCE
from jitui.policy.loading.caps_format import CAPS, MAX_WINDOW_DAYS, PARAMETER_NAME
from jitui.policy.loading.file_kinds import (
    IDENTIFIER,
    SLUG,
    BooleanKind,
    CurrencyKind,
    DurationKind,
    EitherKind,
    ExpressionKind,
    IntegerKind,
    ListKind,
    MapKind,
    MomentKind,
    NameKind,
    PolicyField,
    PolicySection,
    TextKind,
    WordsKind,
    texts,
)
from jitui.policy.loading.gate_format import GATES
from jitui.policy.loading.guards_format import GUARDS
from jitui.policy.loading.loss_section import LOSS
from jitui.policy.loading.stop_ship_section import STOP_SHIP
from jitui.policy.sections import OTHER_FACTORS

MAX_REVIEW_DAYS = 60
MAX_NOTICE_PERIOD_DAYS = 365
BUYER_NAME = r"buyer\.[a-z][a-z0-9_]{0,58}"
SHOP_NAME = r"shop\.[a-z][a-z0-9_]{0,58}"

NAME = "a name of small letters, digits and _"
NAME_WITH_HYPHENS = "a name of small letters, digits, - and _"

WORDS_OF_CEL = ("true", "false", "null", "in")
"""CEL reads these as literals and operators even after a dot, so a condition could not name a fact that ends in one."""

_TAKEN = (
    "true false null in as break const continue else for function if import let loop package namespace return var void "
    "while all exists exists_one map filter has size int uint double bool string bytes list type dyn"
)
TAKEN_BY_CEL = tuple(_TAKEN.split())
"""Names that a definition or parameter may not have; the first words of facts are taken too."""

FIRST_WORDS = tuple(dict.fromkeys(name.partition(".")[0] for name in FACTS))

FUNCTIONS = ("count", "sum", "last_age_days")
ATTRIBUTE_TYPES = ("int", "bool", "string")
DETAILS = ("public", "private")
WITHDRAWN = ("instant_refund",)
ON_TIMEOUT = ("approve", "reject")


NONE = "none"
PARAMETER_VALUE = IntegerKind(-MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR)
_EITHER_ONE = "one of the three is given"


def _feature(kinds: tuple[str, ...]) -> PolicySection:
    """The form of a feature of a buyer or a shop; `sum` takes only kinds that are recorded with an amount."""
    money = tuple(kind for kind in kinds if kind not in EVENTS_WITHOUT_MONEY)
    return PolicySection(
        "a feature",
        (
            PolicyField(
                "over",
                DurationKind("d", MAX_WINDOW_DAYS),
                "The window: so many calendar days before today in the platform's time zone, plus today so far. "
                "A shop's window ends with yesterday.",
                "90d",
            ),
            PolicyField(
                "count",
                WordsKind(kinds),
                "How many events of this kind there were.",
                "order_paid",
                _EITHER_ONE,
            ),
            PolicyField(
                "sum",
                WordsKind(money),
                "Their amounts in the policy's currency, in minor units. Unknown where an amount has no currency.",
                "order_paid",
                _EITHER_ONE,
            ),
            PolicyField(
                "last_age_days",
                WordsKind(kinds),
                "Calendar days since the last one. Unknown when the window holds none.",
                "order_paid",
                _EITHER_ONE,
            ),
        ),
        exactly_one_of=FUNCTIONS,
    )


BUYER_FEATURE = _feature(BUYER_EVENTS)
SHOP_FEATURE = _feature(SHOP_EVENTS)

LEGAL_BASIS = PolicySection(
    "legal_basis",
    (
        PolicyField("zh", TextKind(), "In Chinese.", "快手小店售后服务管理规则"),
        PolicyField("en", TextKind(), "In English.", "Kuaishou shop after-sales service rules", NONE),
        PolicyField("url", TextKind(), "Where the rule can be read.", '"https://example.com/rules"', NONE),
    ),
)

ENUM = PolicySection(
    "the type of an attribute",
    (
        PolicyField(
            "enum",
            ListKind(TextKind(), least=1),
            "The words that the attribute can be. Any other value of it is unknown.",
            "[gold, silver]",
        ),
    ),
)

CONDITION = PolicySection(
    "a condition",
    (
        PolicyField(
            "id",
            NameKind(IDENTIFIER, NAME, (OTHER_FACTORS,)),
            "Names the condition in decisions, reports and cases. Two conditions cannot share one.",
            "paid_under_300",
        ),
        PolicyField("when", ExpressionKind(condition=True), "What must be true.", "order.paid_minor < 30000"),
        PolicyField(
            "public",
            BooleanKind(),
            "Whether buyers and merchants may know of it. What a private condition stops reads to them as "
            f"`{OTHER_FACTORS}`.",
            "true",
        ),
        PolicyField(
            "detail",
            WordsKind(DETAILS),
            "`private`: people see the verdict and the sentence of a public condition, and none of its figures. "
            "The figures of a private condition are never shown to them.",
            "private",
            "`public`",
        ),
        PolicyField(
            "text",
            texts("text", {"zh": "订单实付金额低于 300 元", "en": "The order's paid amount is under 300.00 CNY"}),
            "The condition in words.",
            "{zh: 订单实付金额低于 300 元, en: The order's paid amount is under 300.00 CNY}",
        ),
    ),
)

HOLD_OUT_PERCENT = IntegerKind(0, 100)

SELECTION = PolicySection(
    "selection",
    (
        PolicyField(
            "hold_out_percent",
            EitherKind((HOLD_OUT_PERCENT, PARAMETER_NAME)),
            "The share of buyers, chosen by a hash of seed and buyer, whose requests go to review so that the effect "
            "can be measured. For them `buyer.selected` is false, unless they are on the allow list.",
            "2",
            "`0`",
        ),
        PolicyField(
            "seed",
            NameKind(SLUG, NAME_WITH_HYPHENS),
            "Names the experiment: the buyers are drawn by it. Another seed draws other buyers and begins another "
            "experiment; the same one keeps them through every version of the text, whatever the policy is called.",
            "summer-2027",
            "the policy's name",
        ),
    ),
)

RESTRICTION = PolicySection(
    "a restriction",
    (
        PolicyField(
            "id",
            NameKind(IDENTIFIER, NAME, (OTHER_FACTORS,)),
            "Names the rule. Two rules cannot share one.",
            "serial_canceller",
        ),
        PolicyField(
            "when",
            ExpressionKind(condition=True),
            "What must be true of the buyer. It reads the buyer's features and attributes and the age of the account, "
            "and nothing of an order.",
            "buyer.refunds_before_shipment_90d >= 10",
        ),
        PolicyField("withdraw", WordsKind(WITHDRAWN), "What the buyer loses.", "instant_refund"),
        PolicyField("for", DurationKind("d", MAX_WINDOW_DAYS), "For how long.", "90d"),
        PolicyField(
            "text",
            texts("text", {"zh": "近期多次在发货前取消订单", "en": "Many orders were cancelled before shipment"}),
            "What the buyer is told as the reason. The rule's expression and its figures are never shown to the buyer.",
            "{zh: 近期多次在发货前取消订单, en: Many orders were cancelled before shipment}",
            "a sentence that names no rule",
        ),
    ),
)

REVIEW = PolicySection(
    "review",
    (
        PolicyField("deadline", DurationKind("hd", MAX_REVIEW_DAYS), "How long a merchant has to answer.", "48h"),
        PolicyField(
            "on_timeout",
            WordsKind(ON_TIMEOUT),
            "What silence means. It never approves what has left, and nothing while a card dispute is open.",
            "approve",
        ),
    ),
)

_FEATURES = MapKind(
    (
        (NameKind(BUYER_NAME, f"buyer.x: {NAME}", tuple(FACTS), WORDS_OF_CEL), BUYER_FEATURE),
        (NameKind(SHOP_NAME, f"shop.x: {NAME}", tuple(FACTS), WORDS_OF_CEL), SHOP_FEATURE),
    )
)
_ATTRIBUTE_TYPE = EitherKind((WordsKind(ATTRIBUTE_TYPES), ENUM))
_ATTRIBUTES = MapKind(
    (
        (NameKind(BUYER_NAME, f"buyer.x: {NAME}", tuple(FACTS), WORDS_OF_CEL), _ATTRIBUTE_TYPE),
        (NameKind(SHOP_NAME, f"shop.x: {NAME}", tuple(FACTS), WORDS_OF_CEL), _ATTRIBUTE_TYPE),
    )
)
_LIST_NUMBER = IntegerKind(-(10**18) + 1, 10**18 - 1)
_OWN_NAME = NameKind(IDENTIFIER, NAME, (*TAKEN_BY_CEL, *FIRST_WORDS))

POLICY = PolicySection(
    "a policy",
    (
        PolicyField(
            "policy",
            NameKind(SLUG, NAME_WITH_HYPHENS),
            "Names the policy, the same in all its versions. The hold-out is drawn by it, unless it has a seed.",
            "unshipped-instant-refund",
        ),
        PolicyField(
            "version",
            TextKind(),
            "Names this text. A bare number is refused, since 1.10 and 1.1 are the same number.",
            '"1"',
        ),
        PolicyField(
            "effective_from",
            MomentKind(),
            "From when on the policy applies. It is shown with the published conditions; where it is still to come, a "
            "publication decides from that moment on.",
            "2025-01-26T00:00:00+08:00",
        ),
        PolicyField(
            "currency",
            CurrencyKind(),
            "All amounts of the policy are in its minor units. For an order in another currency every amount is "
            "unknown.",
            "CNY",
        ),
        PolicyField(
            "title",
            texts("title", {"zh": "未发货极速退款", "en": "Instant refund before shipment"}),
            "The policy's name for people.",
            "{zh: 未发货极速退款, en: Instant refund before shipment}",
        ),
        PolicyField(
            "legal_basis",
            LEGAL_BASIS,
            "The rules that the policy follows.",
            "{zh: 快手小店售后服务管理规则}",
            NONE,
        ),
        PolicyField(
            "parameters",
            MapKind(((_OWN_NAME, PARAMETER_VALUE),)),
            "Whole numbers with a name. Expressions, sentences, caps and the hold-out use them by name, so that a "
            "number that several places share is written once.",
            "{limit_minor: 30000}",
            NONE,
        ),
        PolicyField(
            "lists",
            MapKind(((_OWN_NAME, ListKind(EitherKind((TextKind(), _LIST_NUMBER)), least=1)),)),
            "Words, or whole numbers, under one name, for the right side of `in`. Sentences show them by that name.",
            "{cold_regions: [CN-54, CN-65]}",
            NONE,
        ),
        PolicyField(
            "attributes",
            _ATTRIBUTES,
            "The platform's own facts of a buyer or a shop, each with its type. Their values come with the buyer or "
            "the shop. A shop's are read by gates alone.",
            "{buyer.level: int, buyer.tier: {enum: [gold, silver]}}",
            NONE,
        ),
        PolicyField(
            "features",
            _FEATURES,
            "Whole numbers that are counted from the history of the buyer or the shop.",
            "{buyer.paid_orders_90d: {count: order_paid, over: 90d}}",
            NONE,
        ),
        PolicyField(
            "definitions",
            MapKind(((_OWN_NAME, ExpressionKind(condition=False)),)),
            "Named expressions. Conditions, restrictions and other definitions use them by name.",
            "{regular_buyer: buyer.paid_orders_90d >= 3}",
            NONE,
        ),
        PolicyField(
            "conditions",
            ListKind(CONDITION, least=1),
            "All of them must be true for an approval at once.",
            "[{id: not_paused, when: '!service.paused', public: false, text: {zh: 服务未暂停, en: Not paused}}]",
        ),
        PolicyField(
            "selection",
            SELECTION,
            "Who is left out for comparison.",
            "{hold_out_percent: 2}",
            "nobody is left out",
        ),
        PolicyField(
            "caps",
            CAPS,
            "The most that is approved at once within a time. A cap limits only where a condition reads its fact, "
            "such as `caps.buyer_ok`.",
            "{per_buyer: {count: 3, over: 30d}}",
            "no limits",
        ),
        PolicyField(
            "guards",
            GUARDS,
            "What a canary of this policy is watched by: when it ends by itself, and when its share is not raised.",
            "{incident_rate: {above_live_percent: 0, counts_after: 48h}, false_alarm_percent: 5}",
            "the defaults below",
        ),
        PolicyField(
            "loss",
            LOSS,
            "What goes wrong costs, for `jitui tune` and the report of `jitui backtest`, and who bears it when goods "
            "had left; it decides no request.",
            "{incident_cost_percent: 60, review_minute_cost_minor: 60, borne_by: merchant}",
            "the defaults below",
        ),
        PolicyField(
            "restrictions",
            ListKind(RESTRICTION),
            "When a buyer loses the service. A rule is applied when the buyer's history grows and when the buyer asks; "
            "one that is unknown restricts nobody. Cases and back-tests show whom the rules meet.",
            "[{id: serial_canceller, when: buyer.account_age_days < 3, withdraw: instant_refund, for: 90d}]",
            NONE,
        ),
        PolicyField(
            "gates",
            GATES,
            "Which shops, categories and items the service does not cover. They set what `shop.covered` and the "
            "`covered` of a line say.",
            "{items: [{id: recalled, items: [i-1], notice: 0d, public: true, text: {zh: 召回, en: Recalled}}]}",
            "everything is covered",
        ),
        PolicyField(
            "review",
            REVIEW,
            "What happens to a request that goes to the merchant.",
            "{deadline: 48h, on_timeout: approve}",
        ),
        PolicyField(
            "stop_ship",
            STOP_SHIP,
            "What happens where a label is printed already. It adds the condition `held_by_warehouse`.",
            "{approve_when_held_within_minutes: 30}",
            "goods with a printed label are refunded at once, and the warehouse is told",
        ),
        PolicyField(
            "advance",
            ADVANCE,
            "Where a shop's balance at the provider is short: what the platform's account may pay; it decides no "
            "request.",
            "{at_most_minor: 30000}",
            "the refund waits until the shop's balance is enough",
        ),
        PolicyField(
            "notice",
            texts("notice", {"zh": "平台已自动审核通过", "en": "The platform approved this request automatically"}),
            "What a ticket says that was approved at once.",
            "{zh: 平台已自动审核通过, en: The platform approved this request automatically}",
        ),
        PolicyField(
            "notice_period",
            DurationKind("d", MAX_NOTICE_PERIOD_DAYS, may_be_none=True),
            "How many days of 24 hours a text that replaces this one is announced before it takes effect. It binds the "
            "next text while this one is in force, so a shorter period is announced for as long as the old one says.",
            "7d",
            "`0d`: nothing has to be announced",
        ),
    ),
)
