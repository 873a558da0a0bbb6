"""What people are told when a step in a policy's life is not taken."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.aftersales.governance.announcing import AnnounceRefusal
from jitui.aftersales.governance.confirmations import ConfirmRefusal
from jitui.aftersales.governance.loosening import LoosenRefusal
from jitui.aftersales.governance.pauses import LiftRefusal
from jitui.aftersales.governance.proposals import ACCOUNT_OLD_ENOUGH, ProposalRefusal
from jitui.aftersales.governance.publishing import NotAlone
from jitui.aftersales.governance.rollout import StepRefusal
from jitui.aftersales.outcomes import Refusal, RefusalCode

Reason = ProposalRefusal | StepRefusal | ConfirmRefusal | LiftRefusal | LoosenRefusal | NotAlone | AnnounceRefusal

_RECENT = (
    f"Whoever made or reset your account within the last {ACCOUNT_OLD_ENOUGH.days} days cannot have it as the second"
    " person; somebody else decides."
)

_REFUSALS: Mapping[Reason, tuple[RefusalCode, str]] = {
    ProposalRefusal.NOT_FOUND: (RefusalCode.NOT_FOUND, "There is no such proposal."),
    ProposalRefusal.OWN_PROPOSAL: (RefusalCode.SECOND_PERSON_NEEDED, "You proposed this; somebody else approves it."),
    ProposalRefusal.RECENT_ACCOUNT: (RefusalCode.SECOND_PERSON_NEEDED, _RECENT),
    ProposalRefusal.NOT_APPROVED: (
        RefusalCode.SECOND_PERSON_NEEDED,
        "Nobody has approved this as it is now; a second person does that first.",
    ),
    ProposalRefusal.CHANGED: (
        RefusalCode.PROPOSAL_CHANGED,
        "The proposal is not as it was when you read it; read it again.",
    ),
    ProposalRefusal.STARTED: (
        RefusalCode.PROPOSAL_CLOSED,
        "Its canary has begun under its approval; propose the change anew.",
    ),
    ProposalRefusal.CLOSED: (RefusalCode.PROPOSAL_CLOSED, "The proposal was closed already."),
    ProposalRefusal.APPROVED_ALREADY: (RefusalCode.PROPOSAL_CLOSED, "Somebody has approved it already."),
    ProposalRefusal.ANOTHER_KIND: (RefusalCode.STEP_NOT_POSSIBLE, "This proposal is not about a policy."),
    ProposalRefusal.NOT_THE_PROPOSER: (
        RefusalCode.STEP_NOT_POSSIBLE,
        "Only who made a proposal withdraws it; others reject it.",
    ),
    ProposalRefusal.NO_CANARY: (
        RefusalCode.STEP_NOT_POSSIBLE,
        "The share of the canary is at least 1 percent and at most the share that was approved.",
    ),
    ProposalRefusal.SIGNAL_STANDS: (
        RefusalCode.STEP_NOT_POSSIBLE,
        "A signal of the running canary is above its bound: its share is not raised until that has ended.",
    ),
    StepRefusal.NOTHING_BEFORE: (RefusalCode.STEP_NOT_POSSIBLE, "No other text was live before this one."),
    StepRefusal.NO_SUCH_STAGE: (RefusalCode.STEP_NOT_POSSIBLE, "Nothing is in this stage now."),
    StepRefusal.NOT_SCHEDULED: (RefusalCode.STEP_NOT_POSSIBLE, "Nothing with this number is still to come."),
    StepRefusal.IN_FORCE: (RefusalCode.STEP_NOT_POSSIBLE, "This text is in force or scheduled."),
    StepRefusal.RETIRED: (RefusalCode.STEP_NOT_POSSIBLE, "This text was retired."),
    StepRefusal.NOT_LIVE: (RefusalCode.STEP_NOT_POSSIBLE, "Another version is live; look at what is in force first."),
    ConfirmRefusal.NOTHING_TO_CONFIRM: (RefusalCode.NOT_FOUND, "There is nothing of this number to confirm."),
    ConfirmRefusal.OWN_CHANGE: (RefusalCode.SECOND_PERSON_NEEDED, "You did this; somebody else confirms it."),
    ConfirmRefusal.CONFIRMER_IS_RECENT: (RefusalCode.SECOND_PERSON_NEEDED, _RECENT),
    ConfirmRefusal.CONFIRMED_ALREADY: (RefusalCode.PROPOSAL_CLOSED, "Somebody has confirmed it already."),
    LiftRefusal.NOT_PAUSED: (RefusalCode.NOT_FOUND, "Nothing is paused there."),
    LiftRefusal.ANOTHER_ROLE: (
        RefusalCode.STEP_NOT_POSSIBLE,
        "Whoever paused this place said whose role lifts it, and yours is another.",
    ),
    LoosenRefusal.NOT_RESTRICTED: (RefusalCode.NOT_FOUND, "No such restriction stands."),
    LoosenRefusal.COVERED_BY_HAND: (RefusalCode.STEP_NOT_POSSIBLE, "A person has covered this place already."),
    LoosenRefusal.ALLOWED_ALREADY: (RefusalCode.STEP_NOT_POSSIBLE, "This buyer is on the allow list already."),
    LoosenRefusal.NOTHING_SET: (RefusalCode.NOT_FOUND, "No person set the coverage of this place."),
    NotAlone.NEEDS_SECOND_PERSON: (
        RefusalCode.SECOND_PERSON_NEEDED,
        "Here a second person approves what lets more money out: propose it, then somebody else approves it.",
    ),
    AnnounceRefusal.TEXT_NOT_APPROVED: (
        RefusalCode.SECOND_PERSON_NEEDED,
        "Only a text is announced that a second person approved: propose it first.",
    ),
    AnnounceRefusal.TEXT_RETIRED: (RefusalCode.STEP_NOT_POSSIBLE, "This text was retired."),
    AnnounceRefusal.TEXT_IN_FORCE: (RefusalCode.STEP_NOT_POSSIBLE, "This text is in force already."),
    AnnounceRefusal.ANNOUNCED_OTHERWISE: (
        RefusalCode.STEP_NOT_POSSIBLE,
        "This text is announced for another moment; withdraw that announcement first.",
    ),
    AnnounceRefusal.NOT_ANNOUNCED: (RefusalCode.NOT_FOUND, "There is no such announcement."),
    AnnounceRefusal.NOT_TO_COME: (
        RefusalCode.STEP_NOT_POSSIBLE,
        "It was withdrawn or published already; what is scheduled is called off by its publication.",
    ),
    AnnounceRefusal.NO_OPINION: (RefusalCode.NOT_FOUND, "There is no such opinion."),
    AnnounceRefusal.ANSWERED_OTHERWISE: (
        RefusalCode.STEP_NOT_POSSIBLE,
        "This opinion was answered already, and an answer stays as it was given.",
    ),
}
# StrEnums of equal values are equal, so the table would lose rows without anybody noticing.
assert len(_REFUSALS) == sum(
    map(len, (ProposalRefusal, StepRefusal, ConfirmRefusal, LiftRefusal, LoosenRefusal, NotAlone, AnnounceRefusal))
)


def refusal_of(reason: Reason) -> Refusal:
    """The refusal that HTTP, command line and console show."""
    code, message = _REFUSALS[reason]
    return Refusal(code, message)
