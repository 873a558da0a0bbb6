"""English texts for a policy's life: stages, proposals, what stands against a text; the catalogues translate them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from jitui.aftersales.governance.announcing import AnnouncementState, AnnounceRefusal, OpinionOf
from jitui.aftersales.governance.confirmations import ConfirmRefusal
from jitui.aftersales.governance.guard import GuardMetric
from jitui.aftersales.governance.pauses import LiftRefusal
from jitui.aftersales.governance.proposals import ProposalKind, ProposalRefusal, ProposalState
from jitui.aftersales.governance.publication import Authority, LogAction, Stage
from jitui.aftersales.governance.publishing import BlockerCode, NotAlone
from jitui.aftersales.governance.rollout import StepRefusal
from jitui.aftersales.governance.text_states import TextState


def _(message: str) -> str:
    return message


_RECENT = _(
    "Whoever made or reset your account within the last seven days cannot have you as the second person. Somebody else "
    "decides."
)

POLICY_WORDS: Mapping[type[StrEnum], Mapping[str, str]] = {
    Stage: {Stage.SHADOW: _("In shadow"), Stage.CANARY: _("Canary"), Stage.LIVE: _("In force")},
    LogAction: {
        LogAction.PUBLISH: _("Published"),
        LogAction.ROLL_BACK: _("Rolled back to"),
        LogAction.STOP: _("Ended"),
        LogAction.CANCEL: _("Called off"),
    },
    Authority: {
        Authority.TWO_PEOPLE: _("by two people"),
        Authority.SINGLE_PERSON: _("by one person, in an installation for one"),
        Authority.ONE_PERSON: _("by one person at once"),
        Authority.GUARD: _("by a guard of the policy"),
        Authority.INSTALLATION: _("by the installation"),
        Authority.BEFORE_APPROVALS: _("before approvals were kept"),
    },
    GuardMetric: {
        GuardMetric.INCIDENT_RATE: _("Incidents"),
        GuardMetric.REFUND_FAILURES: _("Refunds that failed"),
        GuardMetric.MONEY_OUT: _("Money paid out, in minor units"),
        GuardMetric.SHARE_INSTANT: _("Approved at once"),
        GuardMetric.REPEAT_REQUESTS: _("Requests of the same buyer again"),
    },
    TextState: {
        TextState.LIVE: _("In force"),
        TextState.CANARY: _("Canary"),
        TextState.SCHEDULED: _("Scheduled"),
        TextState.SHADOW: _("In shadow"),
        TextState.RETIRED: _("Retired"),
        TextState.APPROVED: _("Approved"),
        TextState.PROPOSED: _("Proposed"),
        TextState.REPLACED: _("Replaced"),
        TextState.DRAFT: _("Draft"),
    },
    ProposalKind: {
        ProposalKind.POLICY: _("A policy"),
        ProposalKind.LIFT_PAUSE: _("The end of a pause"),
        ProposalKind.LIFT_RESTRICTION: _("The end of a restriction"),
        ProposalKind.COVER: _("A place to be covered"),
        ProposalKind.ALLOW_BUYER: _("A buyer for the allow list"),
    },
    ProposalState: {
        ProposalState.OPEN: _("Waits for a second person"),
        ProposalState.APPROVED: _("Approved"),
        ProposalState.REJECTED: _("Rejected"),
        ProposalState.WITHDRAWN: _("Withdrawn"),
        ProposalState.EXECUTED: _("Done"),
    },
    BlockerCode: {
        BlockerCode.TEXT_REFUSED: _("The text has a mistake"),
        BlockerCode.CASES_REFUSED: _("The cases have a mistake"),
        BlockerCode.CASE_FAILS: _("A case comes out otherwise"),
        BlockerCode.VERSION_TAKEN: _("Another text has this version"),
        BlockerCode.OTHER_POLICY: _("Another policy is in force"),
        BlockerCode.ALREADY_LIVE: _("This text is in force already"),
        BlockerCode.RETIRED: _("This text was retired"),
        BlockerCode.SCHEDULED_IN_THE_PAST: _("The moment is over"),
        BlockerCode.MOMENT_NEEDED: _("An announcement needs a moment that is still to come"),
        BlockerCode.BEFORE_EFFECTIVE_FROM: _("It is earlier than the text itself says"),
        BlockerCode.SCHEDULE_OVERLAPS: _("Another text is scheduled"),
        BlockerCode.NOTICE_PERIOD: _("The notice period is not over"),
        BlockerCode.NOT_ANNOUNCED: _("It is not announced yet"),
    },
    ProposalRefusal: {
        ProposalRefusal.NOT_FOUND: _("There is no such proposal."),
        ProposalRefusal.OWN_PROPOSAL: _("You proposed this. Somebody else approves it."),
        ProposalRefusal.RECENT_ACCOUNT: _RECENT,
        ProposalRefusal.NOT_APPROVED: _("Nobody has approved this as it is now. A second person does that first."),
        ProposalRefusal.CHANGED: _("The proposal has changed since you read it. This is how it stands now."),
        ProposalRefusal.STARTED: _("Its canary has begun under its approval. Propose the change anew."),
        ProposalRefusal.CLOSED: _("The proposal was closed already."),
        ProposalRefusal.APPROVED_ALREADY: _("Somebody has approved it already."),
        ProposalRefusal.ANOTHER_KIND: _("This proposal is not about a policy."),
        ProposalRefusal.NOT_THE_PROPOSER: _("Only who made a proposal withdraws it. Others reject it."),
        ProposalRefusal.NO_CANARY: _("The share is at least 1 percent and at most what was approved."),
        ProposalRefusal.SIGNAL_STANDS: _(
            "A signal of the running canary is above its bound. Its share is not raised until that has ended."
        ),
    },
    StepRefusal: {
        StepRefusal.NOTHING_BEFORE: _("No other text was live before this one."),
        StepRefusal.NO_SUCH_STAGE: _("Nothing is in this stage any more. This is how it stands now."),
        StepRefusal.NOT_SCHEDULED: _("This is not to come any more. This is how it stands now."),
        StepRefusal.IN_FORCE: _("This text is in force or scheduled."),
        StepRefusal.RETIRED: _("This text was retired."),
        StepRefusal.NOT_LIVE: _("Another version is live by now. This is how it stands."),
    },
    ConfirmRefusal: {
        ConfirmRefusal.NOTHING_TO_CONFIRM: _("There is nothing to confirm."),
        ConfirmRefusal.OWN_CHANGE: _("You did this. Somebody else confirms it."),
        ConfirmRefusal.CONFIRMER_IS_RECENT: _RECENT,
        ConfirmRefusal.CONFIRMED_ALREADY: _("Somebody has confirmed it already."),
    },
    LiftRefusal: {
        LiftRefusal.NOT_PAUSED: _("Nothing is paused there any more."),
        LiftRefusal.ANOTHER_ROLE: _("Whoever paused this place said whose role lifts it, and yours is another."),
    },
    AnnouncementState: {
        AnnouncementState.ANNOUNCED: _("Announced"),
        AnnouncementState.SCHEDULED: _("Announced and scheduled"),
        AnnouncementState.TOOK_EFFECT: _("Took effect"),
        AnnouncementState.CALLED_OFF: _("Announcement called off"),
    },
    OpinionOf: {
        OpinionOf.BUYER: _("A buyer"),
        OpinionOf.MERCHANT: _("A shop"),
        OpinionOf.ORGANISATION: _("An organisation"),
        OpinionOf.OTHER: _("Somebody"),
    },
    AnnounceRefusal: {
        AnnounceRefusal.TEXT_NOT_APPROVED: _(
            "Only a text is announced that a second person approved: propose it first."
        ),
        AnnounceRefusal.TEXT_RETIRED: _("This text was retired."),
        AnnounceRefusal.TEXT_IN_FORCE: _("This text is in force already."),
        AnnounceRefusal.ANNOUNCED_OTHERWISE: _("It is announced for another moment. Withdraw that announcement first."),
        AnnounceRefusal.NOT_ANNOUNCED: _("There is no such announcement."),
        AnnounceRefusal.NOT_TO_COME: _("It is not to come any more, or it is scheduled. This is how it stands now."),
        AnnounceRefusal.NO_OPINION: _("There is no such opinion."),
        AnnounceRefusal.ANSWERED_OTHERWISE: _("Somebody has answered it otherwise. This is how it stands now."),
    },
    NotAlone: {
        NotAlone.NEEDS_SECOND_PERSON: _(
            "Here a second person approves what lets more money out. Propose it, then somebody else approves it."
        )
    },
}
