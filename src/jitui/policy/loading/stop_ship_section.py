"""The section `stop_ship`: its format, its reading, and the condition that it adds."""

from __future__ import annotations

from collections.abc import Sequence

from jitui.policy.language.expression import Checked, check
from jitui.policy.language.syntax import Names
from jitui.policy.loading.field_readers import Notes, fields, integer, read
from jitui.policy.loading.file_kinds import IntegerKind, PolicyField, PolicySection
from jitui.policy.loading.yaml_document import Node
from jitui.policy.sections import HELD_BY_WAREHOUSE, Condition, Review, StopShip, Text

MAX_MINUTES = 1440
"""A day: the buyer's own request is then never older than the shortest window of a feature."""
_KEY = "approve_when_held_within_minutes"
_NO_LABEL = "order.shipment != 'label_printed'"

STOP_SHIP = PolicySection(
    "stop_ship",
    (
        PolicyField(
            _KEY,
            IntegerKind(1, MAX_MINUTES),
            "Where every other condition holds and a label is printed, the warehouse is asked first: the refund is "
            "approved when it says within so many minutes that it holds the goods. Otherwise the merchant decides. "
            "Less than the time of `review`.",
            "30",
        ),
    ),
)


def read_stop_ship(
    notes: Notes, node: Node | None, review: Review | None, names: Names, conditions: Sequence[Condition]
) -> tuple[StopShip | None, tuple[Condition, ...]]:
    """The time in which the warehouse answers, and the condition that the section adds behind all `conditions`.

    None and nothing: what has a label is refunded at once.
    """
    if node is None:
        return None, ()
    found = fields(notes, node, STOP_SHIP.what, STOP_SHIP.required, STOP_SHIP.optional)
    minutes = read(notes, found, _KEY, integer(1, MAX_MINUTES))
    if minutes is None:
        return None, ()
    if review is not None and minutes * 60 >= review.deadline_seconds:
        notes.add(found[_KEY].place, f"{_KEY} is less than the deadline of review, in which the merchant decides")
    if any(condition.id == HELD_BY_WAREHOUSE for condition in conditions):
        notes.add(node.place, f"{HELD_BY_WAREHOUSE} is the condition that this section adds: give yours another id")
    checked = check(_NO_LABEL, names)
    assert isinstance(checked, Checked)
    held = Condition(HELD_BY_WAREHOUSE, checked.text, True, True, _text(minutes), checked.tree)
    return StopShip(minutes), (held,)


def _text(minutes: int) -> Text:
    return {
        "zh": f"面单尚未打印；已打印的，仓库须在 {minutes} 分钟内确认拦下商品，方可立即退款",
        "en": "No label is printed; where one is, the refund waits until the warehouse says, within "
        f"{minutes} {'minute' if minutes == 1 else 'minutes'}, that it holds the goods",
    }
