"""Decisions: why a request was or was not refunded at once, explained to each kind of reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from litestar.params import FromPath

from jitui.aftersales.model.ticket import Ticket
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.http.operation import BUYER, PLATFORM, SHOP, get, operation
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Shown
from jitui.entrypoints.http.resources.ticket_view import find_ticket, public_review_reason
from jitui.identity.access import Permission
from jitui.policy import ConditionResult, Decision, Outcome, Verdict, decision_from_json, explain


class ConditionAnswer(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """One condition: whether it held, and a sentence; `facts` only for the platform."""

    id: str
    verdict: Verdict
    sentence: Mapping[str, str]
    facts: Mapping[str, object] = {}


class PolicyName(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """The policy that decided; `sha256` only for the platform."""

    policy_id: str
    version: str
    sha256: str = ""


class DecisionAnswer(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was or was not refunded at once; `facts`, `unknown` and `erased` only for the platform."""

    outcome: Outcome
    policy: PolicyName
    decided_at: datetime
    conditions: tuple[ConditionAnswer, ...]
    unknown: tuple[str, ...] = ()
    facts: Mapping[str, object] = {}
    erased: bool = False


_AUDIENCES: dict[str, Literal["merchant", "buyer"]] = {SHOP: "merchant", BUYER: "buyer"}
_GUARD = ConditionResult("guard", Verdict.FALSE, public=False, detail_public=False, facts={}, text={"zh": "", "en": ""})
"""Stands for a reason other than the policy that stopped an approval; only the platform sees which."""


def outcome_of(decision: Decision, review_reason: str | None) -> Outcome:
    """The outcome shown: a guard sends a request to review whatever the conditions say."""
    return decision.outcome if review_reason is None else Outcome.REVIEW


def conditions_for(
    request: RequestContext, decision: Decision, review_reason: str | None
) -> tuple[ConditionAnswer, ...]:
    """The conditions with verdicts and sentences in both languages; figures for the platform alone."""
    assert request.key_scope is not None
    if request.key_scope is PLATFORM:
        return tuple(
            ConditionAnswer(id=row.id, verdict=row.verdict, sentence=row.text, facts=row.facts)
            for row in decision.conditions
        )
    if review_reason is not None and public_review_reason(request, review_reason) is None:
        decision = replace(decision, conditions=(*decision.conditions, _GUARD))
    chinese = explain(decision, "zh", _AUDIENCES[request.key_scope]).rows
    english = explain(decision, "en", _AUDIENCES[request.key_scope]).rows
    return tuple(
        ConditionAnswer(id=zh.id, verdict=zh.verdict, sentence={"zh": zh.sentence, "en": en.sentence})
        for zh, en in zip(chinese, english, strict=True)
    )


def policy_name(request: RequestContext, decision: Decision) -> PolicyName:
    """The policy that decided, as far as the caller may know it."""
    sha256 = decision.policy_sha256 if request.key_scope is PLATFORM else ""
    return PolicyName(policy_id=decision.policy_id, version=decision.policy_version, sha256=sha256)


def decision_for(
    request: RequestContext,
    ticket: Ticket,
    decision: Decision,
    decided_at: datetime,
    facts: Mapping[str, object],
    *,
    erased: bool = False,
) -> DecisionAnswer:
    """The decision, as far as the caller may read it."""
    whole = request.key_scope is PLATFORM
    return DecisionAnswer(
        outcome=outcome_of(decision, ticket.review_reason),
        policy=policy_name(request, decision),
        decided_at=decided_at,
        conditions=conditions_for(request, decision, ticket.review_reason),
        unknown=decision.unknown if whole else (),
        facts=facts if whole else {},
        erased=erased and whole,
    )


@get(
    "/v1/after-sales/{ticket_id:str}/decision",
    tags=["After-sales"],
    summary="Read the decision on a ticket",
    opt=operation({200: DecisionAnswer}, Permission.TICKETS_READ),
)
async def get_decision(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Return why the ticket was or was not refunded at once."""
    found = await find_ticket(request, ticket_id)
    if found is None:
        return not_found()
    ticket = found[1]
    stored = await request.service.queries.decision(TicketRef(ticket.lane, ticket.ticket_id))
    if stored is None:
        return not_found()
    decision = decision_from_json(stored.decision)
    return answer(
        decision_for(request, ticket, decision, stored.decided_at, stored.facts, erased=found[0].buyer.erased)
    )


HANDLERS = (get_decision,)

POLICY_EXAMPLE = PolicyName(policy_id="unshipped-instant-refund", version="2")
CONDITION_EXAMPLE = ConditionAnswer(
    id="paid_under_300", verdict=Verdict.TRUE, sentence=sample.UNDER_300, facts={"order.paid_minor": 12900}
)
DECISION_EXAMPLE = DecisionAnswer(
    outcome=Outcome.INSTANT,
    policy=POLICY_EXAMPLE,
    decided_at=sample.ASKED_AT,
    conditions=(CONDITION_EXAMPLE,),
    facts={"order.paid_minor": 12900},
)
EXAMPLES = (DECISION_EXAMPLE,)
