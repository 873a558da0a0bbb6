"""A piece of evidence that a shop or a buyer adds to a ticket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jitui.aftersales.model.review import EvidenceItem
from jitui.entrypoints.console.page.typed import one_line
from jitui.entrypoints.http.fields import URL_OR_NONE_PATTERN

LONGEST_REASON = 500
LONGEST_ADDRESS = 500


def _(message: str) -> str:
    return message


NO_EVIDENCE = _("Please say what shows it.")


@dataclass(frozen=True, slots=True)
class EvidenceForm:
    """A piece of evidence: what it shows, and an address of the web where it can be seen."""

    text: str = ""
    address: str = ""

    @property
    def items(self) -> tuple[EvidenceItem, ...]:
        """The evidence as the core has it; nothing while there are no words."""
        return (EvidenceItem(self.text, self.address),) if self.text else ()

    def problem(self) -> str | None:
        """What is wrong with it, as an English text of the catalogues; None when nothing is."""
        if self.address and not self.text:
            return _("Please say what the address shows.")
        if not re.match(URL_OR_NONE_PATTERN, self.address):
            return _("An address begins with https:// or http:// and has no spaces.")
        if len(self.text) > LONGEST_REASON or len(self.address) > LONGEST_ADDRESS:
            return _("That is too long: 500 characters for reason, evidence and address.")
        return None


def read_evidence(data: Mapping[str, str]) -> EvidenceForm:
    """The fields of a piece of evidence."""
    return EvidenceForm(one_line(data.get("evidence", "")), one_line(data.get("address", "")))
