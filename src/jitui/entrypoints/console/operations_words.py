"""English texts for what operators read: attempts, postings and accounts; the catalogues translate them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from jitui.aftersales.ledger import Account, Cause
from jitui.aftersales.model.refund import AttemptState
from jitui.aftersales.model.task import TaskKind, TaskState
from jitui.entrypoints.console.task_words import KIND_WORDS, STATE_WORDS
from jitui.identity.access import ROLE_GRANTS, Permission, Role


def _(message: str) -> str:
    return message


_LINKS = (
    ("/search", _("Search"), Permission.TICKETS_READ),
    ("/support/incidents", _("Incidents"), Permission.INCIDENTS_READ),
    ("/operations/live", _("Live"), Permission.METRICS_READ),
    ("/operations/tasks", _("Tasks"), Permission.TASKS_READ),
    ("/operations/refunds", _("Refunds"), Permission.REFUNDS_READ),
    ("/operations/reconciliation", _("Reconciliation"), Permission.TASKS_READ),
    ("/risk/policies", _("Policies"), Permission.POLICIES_READ),
    ("/platform/benefit", _("Benefit"), Permission.SHOPS_READ),
    ("/operations/audit", _("Audit log"), Permission.AUDIT_READ),
)


def operations_links(role: Role) -> Sequence[tuple[str, str]]:
    """The operators' pages that a role may open: address and name, in the order of the navigation."""
    return [(path, name) for path, name, permission in _LINKS if permission in ROLE_GRANTS[role]]


OPERATIONS_WORDS: Mapping[type[StrEnum], Mapping[str, str]] = {
    AttemptState: {
        AttemptState.SENDING: _("Being sent"),
        AttemptState.PENDING: _("Accepted by the provider"),
        AttemptState.UNKNOWN: _("Outcome not known"),
        AttemptState.SUCCEEDED: _("Paid"),
        AttemptState.DECLINED: _("Refused"),
    },
    TaskKind: KIND_WORDS,
    TaskState: STATE_WORDS,
}

POSTING_WORDS: Mapping[str, str] = {
    Cause.GRANTED: _("The refund was approved"),
    Cause.PAID: _("The provider paid the refund"),
    Cause.UNPAID: _("The provider took the refund back"),
    Cause.SETTLED: _("An operator settled it by hand"),
    Cause.PAID_AGAIN: _("The provider paid it a second time"),
    Cause.PAID_BACK: _("The second payment came back"),
}
"""The texts for the causes of money that are about one refund."""

ACCOUNT_WORDS: Mapping[str, str] = {
    Account.PROVIDER_CLEARING.partition(":")[0]: _("Held by the provider"),
    Account.ESCROW: _("Kept for the order"),
    Account.BUYER_PAYABLE: _("Owed to the buyer"),
    Account.MANUAL_PAYOUT: _("Paid by hand"),
    Account.BUYER_RECEIVABLE: _("To be got back from the buyer"),
}
"""The names of the accounts that these causes have; what stands after a colon is the provider."""
