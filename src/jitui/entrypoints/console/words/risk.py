"""English texts for what is decided about buyers and shops; the catalogues translate them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from jitui.aftersales.governance.complaint import ComplaintState
from jitui.aftersales.governance.linked_accounts import LinkKind
from jitui.aftersales.governance.loosening import LoosenRefusal
from jitui.aftersales.model.ticket import Arm
from jitui.policy import GateVerdict


def _(message: str) -> str:
    return message


RISK_WORDS: Mapping[type[StrEnum], Mapping[str, str]] = {
    Arm: {
        Arm.LIVE: _("The policy in force"),
        Arm.CANARY: _("The canary"),
        Arm.HOLD_OUT: _("Held out: requests go to review, to compare"),
        Arm.NONE: _("No policy of the platform"),
    },
    LinkKind: {
        LinkKind.ADDRESS: _("Address"),
        LinkKind.DEVICE: _("Device"),
        LinkKind.PAYMENT_INSTRUMENT: _("Payment instrument"),
    },
    LoosenRefusal: {
        LoosenRefusal.NOT_RESTRICTED: _("This restriction does not stand any more. This is how it stands now."),
        LoosenRefusal.COVERED_BY_HAND: _("A person has covered this place already. This is how it stands now."),
        LoosenRefusal.NOTHING_SET: _("No person has set this place. This is how it stands now."),
        LoosenRefusal.ALLOWED_ALREADY: _("This buyer is on the allow list already."),
    },
    ComplaintState: {
        ComplaintState.OPEN: _("Waiting for an answer"),
        ComplaintState.ANSWERED: _("Answered"),
    },
    GateVerdict: {
        GateVerdict.MEETS: _("Meets what brings it back"),
        GateVerdict.BETWEEN: _("Between the two bounds"),
        GateVerdict.FAILS: _("Fails"),
        GateVerdict.UNKNOWN: _("Not known"),
    },
}

COVERAGE_NEWS: Mapping[str, str] = {
    "notice_given": _("Notice: the shop was told that it will not be covered"),
    "notice_withdrawn": _("The notice was withdrawn"),
    "left": _("Not covered from then on"),
    "returned": _("Covered again"),
    "set": _("Set by the platform"),
    "unset": _("The platform took back what it had set"),
}
"""The texts for the rows of the history of a place."""
