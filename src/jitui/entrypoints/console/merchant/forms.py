"""What a merchant types about a ticket in review; it is shown again when it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jitui.aftersales.commands.review import Rejection
from jitui.aftersales.commands.ship import ShipmentUpdate
from jitui.aftersales.governance.review_templates import ReviewTemplate
from jitui.aftersales.model.order import LineUnits
from jitui.aftersales.model.review import RejectionCode
from jitui.aftersales.model.ticket import TicketLine
from jitui.entrypoints.console.page.typed import one_line
from jitui.entrypoints.console.ticket.evidence import LONGEST_REASON, EvidenceForm

LONGEST_WAYBILL = 64
UNITS_FIELD = "units."


def _(message: str) -> str:
    return message


@dataclass(frozen=True, slots=True)
class RejectForm:
    """Why a request is rejected, and what shows it: evidence, or the parcel that has left."""

    code: str = ""
    reason: str = ""
    evidence: str = ""
    address: str = ""
    carrier: str = ""
    tracking_no: str = ""

    @property
    def shown_by(self) -> EvidenceForm:
        """The evidence."""
        return EvidenceForm(self.evidence, self.address)

    def problem(self) -> str | None:
        """What is wrong with it, as an English text of the catalogues; None when nothing is."""
        if self.code not in tuple(RejectionCode):
            return _("Please choose why you reject the request.")
        if not self.reason:
            return _("Please write a reason: the buyer reads it.")
        if self.code == RejectionCode.ALREADY_SHIPPED and not self.tracking_no:
            return _("Goods that have left have a tracking number: please enter it.")
        if not self.tracking_no and not self.evidence:
            return _("Please say what shows it, such as the message in which it was agreed.")
        if len(self.reason) > LONGEST_REASON or max(len(self.carrier), len(self.tracking_no)) > LONGEST_WAYBILL:
            return _("That is too long: 500 characters for reason and evidence, 64 for carrier and tracking number.")
        if bool(self.carrier) != bool(self.tracking_no):
            return _("A tracking number needs its carrier, and a carrier its tracking number.")
        return self.shown_by.problem()

    def rejection(self, shipment: ShipmentUpdate | None = None) -> Rejection:
        """As the core has it; only of a form without a problem."""
        return Rejection(RejectionCode(self.code), self.reason, self.shown_by.items, shipment)


def read_rejection(data: Mapping[str, str]) -> RejectForm:
    """The fields of a rejection."""
    names = ("code", "reason", "evidence", "address", "carrier", "tracking_no")
    return RejectForm(*(one_line(data.get(name, "")) for name in names))


def from_template(template: ReviewTemplate) -> RejectForm:
    """A rejection that a template begins."""
    return RejectForm(template.reason_code.value, template.reason)


@dataclass(frozen=True, slots=True)
class OfferForm:
    """How many units of each line the shop would refund, and why not all."""

    units: Mapping[str, int]
    reason: str = ""

    def problem(self, lines: tuple[TicketLine, ...]) -> str | None:
        """What is wrong with it, as an English text of the catalogues; the core checks the rest."""
        if not self.reason:
            return _("Please write why you offer a part: the buyer reads it.")
        if len(self.reason) > LONGEST_REASON:
            return _("That is too long: 500 characters for reason and evidence, 64 for carrier and tracking number.")
        if not any(self.units.values()):
            return _("Please choose what you would refund.")
        if sum(self.units.values()) >= sum(line.quantity for line in lines):
            return _("That is everything the buyer asks for: approve the request instead.")
        return None

    @property
    def lines(self) -> tuple[LineUnits, ...]:
        """The units as the core has them."""
        return tuple(LineUnits(line_id, count) for line_id, count in self.units.items() if count)


def read_offer(data: Mapping[str, str]) -> OfferForm:
    """The fields of an offer; a text that is no number counts as no unit."""
    units = {
        name.removeprefix(UNITS_FIELD): int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
        for name, text in data.items()
        if name.startswith(UNITS_FIELD)
    }
    return OfferForm(units, one_line(data.get("reason", "")))
