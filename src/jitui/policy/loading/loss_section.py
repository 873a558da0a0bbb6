"""The section `loss`: its format, and its reading."""

from __future__ import annotations

from jitui.money import MAX_AMOUNT_MINOR
from jitui.policy.loading.field_readers import Notes, choice, fields, integer, read
from jitui.policy.loading.file_kinds import IntegerKind, PolicyField, PolicySection, WordsKind
from jitui.policy.loading.yaml_document import Node
from jitui.policy.sections import BorneBy, Loss

MAX_INCIDENT_COST_PERCENT = 1000

LOSS = PolicySection(
    "loss",
    (
        PolicyField(
            "incident_cost_percent",
            IntegerKind(0, MAX_INCIDENT_COST_PERCENT),
            "What it costs that a parcel had left when its refund was approved at once, in percent of the amount: less "
            "than 100 where goods come back, more where freight is added.",
            "60",
            "`100`",
        ),
        PolicyField(
            "lost_dispute_cost_minor",
            IntegerKind(0, MAX_AMOUNT_MINOR),
            "What a dispute costs that the buyer loses within ninety days after a refund at once.",
            "20000",
            "`0`",
        ),
        PolicyField(
            "review_minute_cost_minor",
            IntegerKind(0, MAX_AMOUNT_MINOR),
            "What a minute of a merchant's review costs.",
            "60",
            "`0`",
        ),
        PolicyField(
            "borne_by",
            WordsKind(tuple(BorneBy)),
            "Who bears the loss when goods had left: the platform, the merchant, or both (`split`). A shop is charged "
            "no more for an incident than the policy says that approved the refund.",
            "split",
            "`platform`: no shop is charged",
        ),
        PolicyField(
            "shop_percent",
            IntegerKind(0, 100),
            "The shop's part of a split loss, in percent of the amount, rounded down to whole minor units.",
            "50",
            "`50`",
        ),
    ),
)


def read_loss(notes: Notes, node: Node | None) -> Loss:
    """The costs; what is left out has the usual one."""
    found = fields(notes, node, LOSS.what, LOSS.required, LOSS.optional) if node is not None else {}
    usual = Loss()
    incident = read(notes, found, "incident_cost_percent", integer(0, MAX_INCIDENT_COST_PERCENT))
    dispute = read(notes, found, "lost_dispute_cost_minor", integer(0, MAX_AMOUNT_MINOR))
    minute = read(notes, found, "review_minute_cost_minor", integer(0, MAX_AMOUNT_MINOR))
    borne_by = read(notes, found, "borne_by", choice(*BorneBy))
    shop_percent = read(notes, found, "shop_percent", integer(0, 100))
    return Loss(
        usual.incident_cost_percent if incident is None else incident,
        usual.lost_dispute_cost_minor if dispute is None else dispute,
        usual.review_minute_cost_minor if minute is None else minute,
        usual.borne_by if borne_by is None else BorneBy(borne_by),
        usual.shop_percent if shop_percent is None else shop_percent,
    )
