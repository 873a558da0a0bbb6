"""A ticket's progress as a few steps; the timeline has every transition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jitui.aftersales.model.ticket import ApprovedBy, TicketState
from jitui.aftersales.model.view import TicketView

FINAL_STATES = frozenset({TicketState.REFUNDED, TicketState.REJECTED, TicketState.WITHDRAWN, TicketState.CLOSED})
"""States in which a page need not update itself any more."""


class StepState(StrEnum):
    """The state of a step."""

    DONE = "done"
    NOW = "now"
    TO_COME = "to-come"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ProgressStep:
    """One step; `title` is an English text of the catalogues."""

    title: str
    state: StepState
    at: datetime | None = None


def _(message: str) -> str:
    return message


_STOPPED = {
    TicketState.REJECTED: _("Rejected"),
    TicketState.WITHDRAWN: _("Withdrawn"),
    TicketState.CLOSED: _("Closed"),
}


def steps_of(view: TicketView) -> Sequence[ProgressStep]:
    """The steps: requested, approved, being refunded, refunded; or where it stopped."""
    asked = ProgressStep(_("Asked"), StepState.DONE, view.requested_at)
    if view.state in _STOPPED:
        return asked, ProgressStep(_STOPPED[view.state], StepState.STOPPED, view.closed_at)
    if view.state is TicketState.AWAITING_MERCHANT:
        with_shop = ProgressStep(_("With the shop"), StepState.NOW)
        return (
            asked,
            with_shop,
            ProgressStep(_("On its way"), StepState.TO_COME),
            ProgressStep(_("Refunded"), StepState.TO_COME),
        )
    by_platform = view.approved_by in (ApprovedBy.INSTANT_REFUND, ApprovedBy.WITHDRAWAL)
    approved = ProgressStep(_("Approved at once") if by_platform else _("Approved"), StepState.DONE, view.approved_at)
    return asked, approved, *_payment(view)


def _payment(view: TicketView) -> tuple[ProgressStep, ProgressStep]:
    if view.state is TicketState.REFUNDED:
        return ProgressStep(_("On its way"), StepState.DONE), ProgressStep(
            _("Refunded"), StepState.DONE, view.closed_at
        )
    if view.state is TicketState.REFUND_FAILED:
        return ProgressStep(_("Payment held up"), StepState.STOPPED), ProgressStep(_("Refunded"), StepState.TO_COME)
    return ProgressStep(_("On its way"), StepState.NOW), ProgressStep(_("Refunded"), StepState.TO_COME)
