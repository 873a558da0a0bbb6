"""A withdrawal from the contract before shipment, which is the buyer's right and no favour of the platform's.

It is decided by a text of its own that comes with Jitui, so that a decision stays a function of a text's version and
the facts (I4), and is read in bulk like any other. No policy of the platform's, no cap, no restriction and no hold-out
has a say. What keeps money safe does: the guards of every request, and what can be refunded at all (I1, I3, I5).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache

from jitui.aftersales.commands.restriction_rules import RuledDecision
from jitui.aftersales.commands.shipped_policies import shipped_policy
from jitui.aftersales.model.order import OrderLine
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Basis, Ticket
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.policy import FactValue, Policy, decide

STATUTORY_TEXTS = ("statutory-withdrawal.yaml",)
"""Every version that ever decided, the one that decides now last: a replay needs the others."""
LATEST_ANSWER = timedelta(days=14)
"""Within this time the money is paid back (Consumer Rights Directive, article 13)."""
_READ = ("order.", "request.")


@cache
def withdrawal_policy() -> Policy:
    """The text that decides withdrawals."""
    return shipped_policy(STATUTORY_TEXTS[-1])


def decide_withdrawal(facts: Mapping[str, FactValue]) -> RuledDecision:
    """Decide by the facts of order and request alone; those of the buyer are not kept with it either."""
    read = {name: value for name, value in facts.items() if name.startswith(_READ)}
    return RuledDecision(decide(withdrawal_policy(), read), read, ())


def answer_by(ticket_deadline: datetime, requested_at: datetime) -> datetime:
    """The deadline of a review: the policy's, and no later than the law's."""
    return min(ticket_deadline, requested_at + LATEST_ANSWER)


def may_be_exempt(line: OrderLine) -> bool:
    """Whether goods may be outside the right: customised or virtual, or nobody knows that they are not."""
    return line.customised is not False or line.virtual is not False


def rejection_refused(snapshot: OrderSnapshot, ticket: Ticket, *, with_shipment: bool) -> Refusal | None:
    """Why a shop may not reject this ticket: a withdrawal needs a ground in law, and a wish of the shop's is none.

    Grounds: the goods have left (the rejection carries the tracking details, and the buyer withdraws after receipt), or
    goods of the ticket are or may be customised or virtual (article 16).
    """
    if ticket.basis is not Basis.WITHDRAWAL or with_shipment:
        return None
    if any(may_be_exempt(snapshot.line(line.line_id)) for line in snapshot.lines_of(ticket.ticket_id)):
        return None
    return Refusal(
        RefusalCode.WITHDRAWAL_NEEDS_GROUND,
        "The buyer withdraws from the contract by right. Approve it, or reject it with the tracking number of the"
        " parcel if the goods have left.",
    )
