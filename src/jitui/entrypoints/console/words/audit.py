"""English texts for the actions of the audit log; the catalogues translate them."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.identity.audit import AuditAction


def _(message: str) -> str:
    return message


ACTION_WORDS: Mapping[str, str] = {
    AuditAction.KEY_ISSUED: _("Key issued"),
    AuditAction.KEY_ROLLED: _("Key rolled"),
    AuditAction.KEY_REVOKED: _("Key revoked"),
    AuditAction.PERSON_ADDED: _("Person added"),
    AuditAction.PERSON_DISABLED: _("Person disabled"),
    AuditAction.PERSON_ENABLED: _("Person enabled"),
    AuditAction.ROLE_CHANGED: _("Role changed"),
    AuditAction.PASSWORD_CHANGED: _("Password changed"),
    AuditAction.PASSWORD_REMOVED: _("Password removed"),
    AuditAction.LINK_MADE: _("Sign-in link made"),
    AuditAction.LINK_USED: _("Sign-in link used"),
    AuditAction.SESSIONS_ENDED: _("Sessions ended"),
    AuditAction.SIGNED_IN: _("Signed in"),
    AuditAction.TOKEN_ISSUED: _("Personal token issued"),
    AuditAction.EMAIL_SET: _("E-mail address set"),
    AuditAction.OPENID_LINKED: _("Single sign-on linked"),
    AuditAction.OPENID_UNLINKED: _("Single sign-on unlinked"),
    AuditAction.SECOND_FACTOR_SET_UP: _("Second factor set up"),
    AuditAction.SECOND_FACTOR_REMOVED: _("Second factor removed"),
    AuditAction.RECOVERY_CODES_RENEWED: _("Recovery codes renewed"),
    AuditAction.RECOVERY_CODE_USED: _("Recovery code used"),
    AuditAction.POLICY_PUSHED: _("Policy pushed"),
    AuditAction.POLICY_PUBLISHED: _("Policy published"),
    AuditAction.POLICY_RETIRED: _("Policy retired"),
    AuditAction.POLICY_ANNOUNCED: _("Policy announced"),
    AuditAction.ANNOUNCEMENT_WITHDRAWN: _("Announcement withdrawn"),
    AuditAction.OPINION_RECORDED: _("Opinion recorded"),
    AuditAction.OPINION_ANSWERED: _("Opinion answered"),
    AuditAction.PROPOSAL_MADE: _("Proposal made"),
    AuditAction.PROPOSAL_CHANGED: _("Proposal changed"),
    AuditAction.PROPOSAL_APPROVED: _("Proposal approved"),
    AuditAction.PROPOSAL_REJECTED: _("Proposal rejected"),
    AuditAction.PROPOSAL_WITHDRAWN: _("Proposal withdrawn"),
    AuditAction.CHANGE_CONFIRMED: _("Change confirmed"),
    AuditAction.SINGLE_PERSON_ENDED: _("Approval by one person ended"),
    AuditAction.PAUSE_SET: _("Pause set"),
    AuditAction.PAUSE_LIFTED: _("Pause lifted"),
    AuditAction.COVERAGE_SET: _("Coverage set"),
    AuditAction.COVERAGE_UNSET: _("Coverage taken back"),
    AuditAction.COVERAGE_RECOMPUTED: _("Coverage computed again"),
    AuditAction.COMPLAINT_MADE: _("Complaint made"),
    AuditAction.COMPLAINT_ANSWERED: _("Complaint answered"),
    AuditAction.RESTRICTION_SET: _("Restriction set"),
    AuditAction.RESTRICTION_LIFTED: _("Restriction lifted"),
    AuditAction.APPEAL_OPENED: _("Appeal opened"),
    AuditAction.APPEAL_DECIDED: _("Appeal decided"),
    AuditAction.INCIDENT_EVIDENCE: _("Incident: evidence"),
    AuditAction.INCIDENT_CONTACT: _("Incident: contact with the buyer"),
    AuditAction.INCIDENT_OUTCOME: _("Incident: outcome"),
    AuditAction.INCIDENT_RECOVERY: _("Incident: recovery"),
    AuditAction.INCIDENT_WRITTEN_OFF: _("Incident: written off"),
    AuditAction.INCIDENT_CONTEST: _("Incident: contested"),
    AuditAction.INCIDENT_ANSWER: _("Incident: contest answered"),
    AuditAction.PERIOD_CLOSED: _("Period of the books closed"),
    AuditAction.BUYER_EXPORTED: _("Buyer's data exported"),
    AuditAction.BUYER_ERASED: _("Buyer's data erased"),
    AuditAction.SELECTION_SET: _("Allow or deny list changed"),
    AuditAction.PLATFORM_CONNECTED: _("Commerce platform connected"),
    AuditAction.PLATFORM_DISCONNECTED: _("Commerce platform disconnected"),
    AuditAction.PLATFORM_CALL_RESOLVED: _("Lost call to a commerce platform resolved"),
}
