"""What somebody types about an incident; it is shown again when it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from jitui.aftersales.commands.incidents import BuyerContact, ContestAnswer, Evidence, OutcomeTold, RecoveryTried
from jitui.aftersales.model.incident import (
    LONGEST_REFERENCE,
    LONGEST_TEXT,
    MOST_REFERENCES,
    ContactChannel,
    IncidentOutcome,
    is_reference,
)
from jitui.entrypoints.console.page.typed import one_line, several_lines
from jitui.money import from_decimal_text


def _(message: str) -> str:
    return message


TOO_LONG = _("Please write words, up to 2,000 characters.")
NO_AMOUNT = _("Please enter an amount such as 12.50.")
_AHEAD = timedelta(minutes=5)


def words_in(data: Mapping[str, str], name: str) -> str:
    """A text of several lines without characters that nobody sees; empty when it is too long."""
    text = several_lines(data.get(name, ""))
    return text if len(text) <= LONGEST_TEXT else ""


def _line(data: Mapping[str, str], name: str) -> str:
    return one_line(data.get(name, ""))


@dataclass(frozen=True, slots=True)
class EvidenceTyped:
    """Words, and references on lines of their own."""

    text: str = ""
    references: str = ""

    @property
    def evidence(self) -> Evidence:
        """As the core has it."""
        return Evidence(self.text, tuple(line.strip() for line in self.references.split("\n") if line.strip()))

    def problem(self) -> str | None:
        """What is wrong with it, as an English text of the catalogues."""
        found = self.evidence.references
        if not self.text:
            return TOO_LONG
        if len(found) > MOST_REFERENCES or any(len(one) > LONGEST_REFERENCE for one in found):
            return _("At most ten references, each on a line of its own with up to 500 characters.")
        if any(not is_reference(one) for one in found):
            return _("A reference is a number, or an address that begins with https:// or http://.")
        return None


def read_evidence(data: Mapping[str, str]) -> EvidenceTyped:
    """The fields of a piece of evidence."""
    return EvidenceTyped(words_in(data, "text"), words_in(data, "references"))


@dataclass(frozen=True, slots=True)
class ContactForm:
    """That the buyer was spoken to; the time is on the platform's clock."""

    channel: str = ""
    note: str = ""
    at: str = ""

    def contact(self, now: datetime, zone: ZoneInfo) -> BuyerContact | str:
        """As the core has it, or what is wrong as an English text of the catalogues."""
        if self.channel not in tuple(ContactChannel):
            return _("Please choose how you reached the buyer.")
        if not self.note:
            return TOO_LONG
        try:
            at = datetime.fromisoformat(self.at).replace(tzinfo=zone)
        except ValueError:
            return _("Please enter when you reached the buyer.")
        if not at.year >= 2000 or at > now + _AHEAD:
            return _("That time is still to come.")
        return BuyerContact(ContactChannel(self.channel), self.note, at)


def read_contact(data: Mapping[str, str]) -> ContactForm:
    """The fields of a contact."""
    return ContactForm(_line(data, "channel"), words_in(data, "note"), _line(data, "at"))


@dataclass(frozen=True, slots=True)
class OutcomeForm:
    """What became of the loss, on the version that was read."""

    outcome: str = ""
    reason: str = ""
    repaid: str = ""
    reference: str = ""
    version: int = 0

    def told(self, currency: str) -> OutcomeTold | str:
        """As the core has it, or what is wrong as an English text of the catalogues."""
        if self.outcome not in tuple(IncidentOutcome):
            return _("Please choose what became of the loss.")
        if not self.reason:
            return TOO_LONG
        repaid_minor = from_decimal_text(self.repaid, currency) if self.repaid else None
        if self.repaid and not repaid_minor:
            return NO_AMOUNT
        reference = self.reference[:LONGEST_REFERENCE]
        return OutcomeTold(IncidentOutcome(self.outcome), self.version, self.reason, repaid_minor, reference)


def read_outcome(data: Mapping[str, str], version: int) -> OutcomeForm:
    """The fields of an outcome."""
    texts = _line(data, "outcome"), words_in(data, "reason"), _line(data, "repaid"), _line(data, "reference")
    return OutcomeForm(*texts, version)


@dataclass(frozen=True, slots=True)
class RecoveryForm:
    """What came of an attempt to recover what the shop owes; nothing is 0."""

    amount: str = ""
    reference: str = ""
    note: str = ""

    def tried(self, currency: str) -> RecoveryTried | str:
        """As the core has it, or what is wrong as an English text of the catalogues."""
        amount_minor = from_decimal_text(self.amount, currency)
        if amount_minor is None or amount_minor < 0:
            return NO_AMOUNT
        return RecoveryTried(amount_minor, self.reference[:LONGEST_REFERENCE], self.note)


def read_recovery(data: Mapping[str, str]) -> RecoveryForm:
    """The fields of a recovery attempt."""
    return RecoveryForm(_line(data, "amount"), _line(data, "reference"), words_in(data, "note"))


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """The answer to a contest; one that agrees comes with the outcome that holds from now on."""

    verdict: str = ""
    answer: str = ""
    corrected: OutcomeForm = OutcomeForm()

    def said(self, currency: str) -> ContestAnswer | str:
        """As the core has it, or what is wrong as an English text of the catalogues."""
        if self.verdict not in ("upheld", "rejected"):
            return _("Please choose whether the shop is right.")
        if not self.answer:
            return TOO_LONG
        if self.verdict == "rejected":
            return ContestAnswer(False, self.answer)
        told = OutcomeForm(self.corrected.outcome, self.answer, self.corrected.repaid, self.corrected.reference).told(
            currency
        )
        return told if isinstance(told, str) else ContestAnswer(True, self.answer, told)


def read_answer(data: Mapping[str, str]) -> AnswerForm:
    """The fields of an answer."""
    return AnswerForm(_line(data, "verdict"), words_in(data, "answer"), read_outcome(data, 0))


@dataclass(frozen=True, slots=True)
class Typed:
    """What is in the page's forms; `contact` None: the time now, and nothing else."""

    evidence: EvidenceTyped = EvidenceTyped()
    contact: ContactForm | None = None
    contest: str = ""
    outcome: OutcomeForm = OutcomeForm()
    recovery: RecoveryForm = RecoveryForm()
    answer: AnswerForm = AnswerForm()
