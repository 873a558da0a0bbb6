"""English texts for what operators read: attempts, postings and accounts; the catalogues translate them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from jitui.aftersales.model.failure_reason import FailureReason
from jitui.aftersales.model.refund import AttemptState
from jitui.aftersales.model.task import TaskKind, TaskState
from jitui.aftersales.reconciliation.match import DIFFERENCES, MovementVerdict
from jitui.aftersales.reconciliation.statement import RowKind
from jitui.entrypoints.console.words.failure_reasons import FAILURE_REASON_WORDS
from jitui.entrypoints.console.words.tasks import KIND_WORDS, STATE_WORDS
from jitui.identity.access import ROLE_GRANTS, Permission, Role


def _(message: str) -> str:
    return message


_LINKS = (
    ("/support/tickets", _("Tickets"), Permission.TICKETS_READ),
    ("/support/incidents", _("Incidents"), Permission.INCIDENTS_READ),
    ("/operations/live", _("Live"), Permission.METRICS_READ),
    ("/operations/tasks", _("Tasks"), Permission.TASKS_READ),
    ("/operations/refunds", _("Refunds"), Permission.REFUNDS_READ),
    ("/operations/reconciliation", _("Reconciliation"), Permission.TASKS_READ),
    ("/risk/policies", _("Policies"), Permission.POLICIES_READ),
    ("/risk/buyers", _("Buyers"), Permission.RESTRICTIONS_READ),
    ("/risk/shops", _("Shops"), Permission.COVERAGE_READ),
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
    FailureReason: FAILURE_REASON_WORDS,
    RowKind: {
        RowKind.PAYMENT: _("Payment by the buyer"),
        RowKind.REFUND: _("Refund that was paid"),
        RowKind.REFUND_RETURNED: _("Refund that came back"),
    },
    MovementVerdict: {
        MovementVerdict.MATCHED: _("Matched"),
        MovementVerdict.MATCHED_IN_ALL: _("Matched in all: other parts, the same sum"),
        MovementVerdict.UNDONE: _("Paid and returned on one side alone"),
        MovementVerdict.NOT_FINAL: _("Listed, and not paid yet"),
        MovementVerdict.EDGE: _("At the edge of the statement: the next one may list it"),
        MovementVerdict.NEWS: _("Paid, as the statement says"),
        **{verdict: KIND_WORDS[kind] for verdict, kind in DIFFERENCES.items()},
    },
    TaskState: STATE_WORDS,
}
