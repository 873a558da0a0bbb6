"""The descriptions of the fields of caps and of linked accounts; see `descriptions.FIELDS`."""

from __future__ import annotations

CAP_FIELDS: dict[str, str] = {
    "alert_id": "The id of the alert.",
    "CapsAnswer.alerts": "The alerts that stand, newest first.",
    "amount_limit_minor": "The most money within the window, in minor units of the policy's currency; null: no limit.",
    "CapUseView.amount_minor": "The money of these approvals, in minor units of the policy's currency.",
    "CapUseView.approvals": "Instant approvals within the window, in any currency.",
    "CapView.cap": "The cap's key in the policy file.",
    "CapAlertView.cap": "The limit.",
    "CapsAnswer.caps": "The caps that are set.",
    "CapAlertView.closed_at": "When the alert ended; null while it stands.",
    "CapView.count": "The most approvals within the window; null: no limit.",
    "measure": "What of the cap is used up: count or amount_minor.",
    "CapAlertView.opened_at": "When usage was seen to have passed the share.",
    "over_seconds": "The length of the window.",
    "CapAlertView.percent": "The share that was passed, in percent of the limit.",
    "percent_used": "How much of the limit that is nearer is used, in whole percent; null without a limit above 0.",
    "CapsAnswer.policy_version": "The version of the live policy.",
    "CapUseView.ref": "The shop or category; empty for the platform.",
    "CapAlertView.ref": "The shop or category; empty for the platform.",
    "CapView.scope": "Whose usage the cap limits.",
    "CapAlertView.scope": "Whose usage it is.",
    "CapAlertView.used": "What was used when it was opened.",
    "CapView.used": "Those that have used most, most first.",
    "usage_as_of": "When usage was rolled up last; null when it never was.",
    "usage_known": "Whether usage is fresh enough to decide by; else every such cap is unknown.",
}
