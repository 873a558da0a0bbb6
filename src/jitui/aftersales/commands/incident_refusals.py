"""Why something about an incident is refused, in words that say what to do."""

from __future__ import annotations

from jitui.aftersales.model.incident import MOST_ENTRIES, Incident
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.policy.sections import BorneBy, Loss


def stale(incident: Incident) -> Refusal:
    """Somebody did something about the incident after it was read."""
    return Refusal(
        RefusalCode.INCIDENT_STALE,
        f"The incident has changed: it is at version {incident.version} ({incident.state.value}). Read it again.",
        "version",
    )


def contested() -> Refusal:
    """A contest waits for its answer."""
    return Refusal(RefusalCode.INCIDENT_CONTESTED, "The shop contests this incident: its contest is answered first.")


def not_contested() -> Refusal:
    """There is nothing to answer."""
    return Refusal(RefusalCode.INCIDENT_NOT_CONTESTED, "No contest of this incident waits for an answer.")


def not_contestable(incident: Incident) -> Refusal:
    """Nothing is charged, the time is over, or it was contested and answered."""
    if not incident.shop_minor:
        words = "The shop is charged nothing for this incident: there is nothing to contest."
    elif incident.contest is not None and incident.contest_until is None:
        words = "This incident was contested and answered; the answer stands."
    else:
        words = "The time to contest this incident is over."
    return Refusal(RefusalCode.INCIDENT_NOT_CONTESTABLE, words)


def another_person_answers() -> Refusal:
    """Who decided, or contested, does not answer."""
    return Refusal(
        RefusalCode.SECOND_PERSON_NEEDED,
        "Whoever decided an incident, or contested it, does not answer the contest: another person does.",
    )


def answer_incomplete(*, upheld: bool) -> Refusal:
    """An upheld contest changes the outcome, a rejected one does not."""
    words = (
        "An upheld contest needs the outcome that holds from now on."
        if upheld
        else "A rejected contest changes no outcome: leave it out, or uphold the contest."
    )
    return Refusal(RefusalCode.INCIDENT_ANSWER_INCOMPLETE, words, "outcome")


def not_in_favour() -> Refusal:
    """Upheld means that the shop bears less."""
    return Refusal(
        RefusalCode.INCIDENT_ANSWER_INCOMPLETE,
        "An upheld contest charges the shop less than before; to leave it as it is, reject the contest.",
        "outcome",
    )


def terms_differ(terms: Loss) -> Refusal:
    """The policy that approved the refund says otherwise."""
    says = {
        BorneBy.PLATFORM: "the platform bears the loss",
        BorneBy.MERCHANT: "the shop bears the loss",
        BorneBy.SPLIT: f"the shop bears {terms.shop_percent} percent of the loss",
    }
    return Refusal(
        RefusalCode.LOSS_TERMS_DIFFER,
        f"The policy that approved this refund says that {says[terms.borne_by]}; a shop is charged no more than that.",
        "outcome",
    )


def not_of_an_advance() -> Refusal:
    """No goods and no buyer are part of it."""
    return Refusal(
        RefusalCode.LOSS_TERMS_DIFFER,
        "The platform paid this refund for the shop: either the shop bears it (`borne_by_shop`), or the platform does "
        "(`borne_by_platform`).",
        "outcome",
    )


def advance_taken_back() -> Refusal:
    """The platform's account has its money again."""
    return Refusal(
        RefusalCode.LOSS_TERMS_DIFFER,
        "The provider took this refund back, and the platform's account has its money again: nobody bears anything.",
        "outcome",
    )


def exceeds_amount(amount_minor: int, currency: str) -> Refusal:
    """The buyer paid again more than there is, or nothing."""
    return Refusal(
        RefusalCode.AMOUNT_EXCEEDS_INCIDENT,
        f"The incident is about {amount_minor} minor units of {currency}: the buyer paid again a part of them, or all.",
        "repaid",
    )


def no_reference() -> Refusal:
    """A payment has a number."""
    return Refusal(
        RefusalCode.INCIDENT_REFERENCE_MISSING, "Name the payment by which the buyer paid again.", "reference"
    )


def only_when_repaid() -> Refusal:
    """Another outcome has no payment of the buyer."""
    return Refusal(
        RefusalCode.AMOUNT_EXCEEDS_INCIDENT, "Only the outcome `repaid` has an amount that the buyer paid.", "repaid"
    )


def nothing_to_recover() -> Refusal:
    """The shop owes nothing."""
    return Refusal(RefusalCode.NOTHING_TO_RECOVER, "The shop owes nothing for this incident.")


def exceeds_receivable(most_minor: int, currency: str) -> Refusal:
    """More than the shop owes."""
    return Refusal(
        RefusalCode.RECOVERY_EXCEEDS_RECEIVABLE,
        f"The shop owes {most_minor} minor units of {currency} for this incident; no more can be recovered.",
        "amount",
    )


def full() -> Refusal:
    """The log has its bounds."""
    return Refusal(RefusalCode.INCIDENT_FULL, f"The log of an incident takes {MOST_ENTRIES} entries; it is full.")
