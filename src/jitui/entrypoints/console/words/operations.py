"""English texts for what operators read: attempts, postings and accounts; the catalogues translate them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from jitui.aftersales.model.refund import AttemptState
from jitui.aftersales.model.task import TaskKind, TaskState
from jitui.entrypoints.console.words.tasks import KIND_WORDS, STATE_WORDS
from jitui.identity.access import ROLE_GRANTS, Permission, Role


def _(message: str) -> str:
    return message


_LINKS = (
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
    TaskState: STATE_WORDS,
}
