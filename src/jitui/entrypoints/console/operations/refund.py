"""One refund as an operator works on it: what became of it, the money in accounts, and the steps that are safe now."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.commands import settle_refund
from jitui.aftersales.commands.settle_refund import ManualPayout, Outcome, RefundSeen, seen_of
from jitui.aftersales.ledger import story
from jitui.aftersales.model.refund import AttemptState, RefundState, same_person
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.operations.platform_connections import CallStanding
from jitui.aftersales.operations.refunds import RefundAction, RefundDetails, read_refund_and_call
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import OrderRef, RefundRef
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.typed import one_line
from jitui.entrypoints.console.page.visit import Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.words.cases import ACCOUNT_WORDS, CAUSES
from jitui.identity.access import Permission
from jitui.ids import lane_of_id
from jitui.money import from_decimal_text
from jitui.text import why_no_id

LONGEST_NOTE = 500
_AMOUNT = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,4})?")


def _(message: str) -> str:
    return message


@dataclass(frozen=True, slots=True)
class RefundForm:
    """What the operator entered; it is shown again when it is refused."""

    reference: str = ""
    amount: str = ""
    note: str = ""
    confirmed: bool = False

    def problem(self, action: RefundAction, currency: str) -> str | None:
        """What is wrong with it, as an English text of the catalogues; None when nothing is."""
        if action is RefundAction.SETTLE:
            if not self.reference or why_no_id(self.reference, slashes=True) is not None:
                return _("Please enter the payment's own number, such as the bank's, without spaces.")
            if self.amount_minor(currency) is None:
                return _("Please enter the amount that was paid, such as 129.00.")
        if action in (RefundAction.SETTLE, RefundAction.REJECT) and not 0 < len(self.note) <= LONGEST_NOTE:
            return _("Please write a note, in up to 500 characters, for the people who will ask.")
        if not self.confirmed:
            return _("Please tick the box: it says what you have checked.")
        return None

    def amount_minor(self, currency: str) -> int | None:
        """The amount in minor units; None when it is none."""
        return from_decimal_text(self.amount, currency) if _AMOUNT.fullmatch(self.amount) else None


@get("/refunds/{refund_id:uuid}", opt=needs(Permission.REFUNDS_READ))
async def refund_page(visit: Visiting, refund_id: FromPath[UUID]) -> Page:
    """The refund with its attempts, its postings and what can be done about it."""
    return await _page(visit, await _details(visit, refund_id))


@post("/refunds/{refund_id:uuid}/{action:str}", opt=needs(Permission.REFUNDS_WRITE), status_code=303)
async def act_on_refund(visit: Visiting, refund_id: FromPath[UUID], action: FromPath[str], data: Form) -> Response[str]:
    """Send it again, settle it with evidence, or decide on what another person has proposed."""
    wanted = _action(action)
    form, seen = _form(data), _seen(data)
    details = await _details(visit, refund_id)
    problem = form.problem(wanted, details.refund.currency)
    if problem is not None:
        return await _page(visit, details, form=form, tried=wanted, problem=problem, status_code=422)
    done = await _run(visit, details, wanted, form, seen)
    if not isinstance(done, Refusal):
        return go_to(f"/operations/refunds/{refund_id}")
    if done.code is RefusalCode.NOT_FOUND:
        raise NotFoundException
    now = await _details(visit, refund_id)
    problem = visit.speech.word(done.code)
    return await _page(visit, now, form=form, tried=wanted, problem=problem, status_code=409)


async def _run(
    visit: Visit, details: RefundDetails, action: RefundAction, form: RefundForm, seen: RefundSeen
) -> Outcome:
    service, refund = visit.service, details.refund
    store, rules, now = service.store, service.manual_payment_rules, service.clock()
    ref, by = _ref(refund.refund_id), Actor(ActorKind.OPERATOR, visit.reader.name)
    match action:
        case RefundAction.RETRY:
            return await settle_refund.retry(store, ref, rules, by=by, now=now, seen=seen)
        case RefundAction.SETTLE:
            amount_minor = form.amount_minor(refund.currency) or 0
            payout = ManualPayout(form.reference, form.note, amount_minor, refund.currency)
            return await settle_refund.settle(store, ref, payout, rules, by=by, now=now, seen=seen)
        case RefundAction.CONFIRM:
            read = seen.proposed or ""
            return await settle_refund.confirm_settlement(store, ref, read, rules, by=by, now=now, seen=seen)
        case RefundAction.REJECT:
            return await settle_refund.reject_settlement(store, ref, form.note, by=by, now=now, seen=seen)


def _action(text: str) -> RefundAction:
    try:
        return RefundAction(text)
    except ValueError as error:
        raise NotFoundException from error


def _form(data: Mapping[str, str]) -> RefundForm:
    reference, amount, note = (one_line(data.get(name, "")) for name in ("reference", "amount", "note"))
    return RefundForm(reference, amount, note, data.get("confirmed") == "yes")


def _seen(data: Mapping[str, str]) -> RefundSeen:
    """What the page showed; a form without it was not made by us."""
    text = data.get("attempt", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValidationException
    try:
        return RefundSeen(RefundState(data.get("state", "")), int(text), data.get("proposed") or None)
    except ValueError as error:
        raise ValidationException from error


def _ref(refund_id: UUID) -> RefundRef:
    return RefundRef(lane_of_id(refund_id), refund_id)


async def _details(visit: Visit, refund_id: UUID) -> RefundDetails:
    service = visit.service
    calls, rules = service.platforms.calls, service.manual_payment_rules
    found = await read_refund_and_call(service.store, _ref(refund_id), rules, calls, service.clock())
    if found is None:
        raise NotFoundException
    return found


async def _page(
    visit: Visit,
    details: RefundDetails,
    *,
    form: RefundForm | None = None,
    tried: RefundAction | None = None,
    problem: str | None = None,
    status_code: int = 200,
) -> Page:
    refund, rules = details.refund, visit.service.manual_payment_rules
    actions = details.actions if may(visit, Permission.REFUNDS_WRITE) else ()
    own = refund.proposal is not None and same_person(refund.proposal.by, visit.reader.name)
    form = form or RefundForm()
    return show(
        visit,
        "operations/refund.html",
        status_code=status_code,
        refund=refund,
        details=details,
        actions=tuple(one for one in actions if not (own and one is RefundAction.CONFIRM)),
        may_act=may(visit, Permission.REFUNDS_WRITE),
        own_proposal=own,
        situation=situation_of(details, rules.providers),
        takes_two=rules.takes_two(refund),
        postings=await _postings(visit, details) if may(visit, Permission.LEDGER_READ) else None,
        posting_words=CAUSES,
        account_words=ACCOUNT_WORDS,
        seen=seen_of(refund),
        form=form,
        tried=tried,
        lost=bool(form.reference or form.amount or form.note) and tried not in actions,
        problem=visit.speech.say(problem) if problem else None,
    )


async def _postings(visit: Visit, details: RefundDetails) -> Sequence[LedgerEntry]:
    """The postings of the order that are about this refund or one of its attempts."""
    order = OrderRef(lane_of_id(details.refund.refund_id), details.refund.order_id)  # also of a buyer who was erased
    about = {str(details.refund.refund_id), *(str(attempt.attempt_id) for attempt in details.attempts)}
    entries = await visit.service.queries.ledger(order)
    return story(entry for entry in entries if about & set(entry.posting.split(":")))


def situation_of(details: RefundDetails, providers: frozenset[str]) -> str:
    """How it stands and what is to be done, as an English text of the catalogues."""
    refund = details.refund
    if refund.proposal is not None:
        return _("A payment by hand waits for a second person. Until then nobody sends this refund again.")
    if refund.state is RefundState.FAILED:
        if any(attempt.state is not AttemptState.DECLINED for attempt in details.attempts):
            return _("The provider still holds this refund and may pay it: act there. Its news moves the refund on.")
        if RefundAction.RETRY in details.actions:
            return _("The provider has refused it for good. The money is still owed to the buyer, and stays reserved.")
        if refund.provider not in providers:
            return _("Its provider is not configured here. Configure it, or pay by another way and settle by hand.")
        return _("The buyer's bank is asked for the same money. Wait until it has decided before you send it again.")
    if refund.state is RefundState.QUEUED and refund.provider not in providers:
        return _("Its provider is not configured here. Configure it, or pay by another way and settle by hand.")
    if details.call.standing in _CALLS:
        return _CALLS[details.call.standing]
    return _SITUATIONS[refund.state]


_SITUATIONS = {
    RefundState.QUEUED: _("It waits for a worker, which sends it to the provider."),
    RefundState.SENDING: _("It is being sent to the provider."),
    RefundState.PENDING: _("The provider has accepted it and has not paid it yet. Its news moves the refund on."),
    RefundState.UNKNOWN: _(
        "The provider may have paid it: it is neither sent again nor settled by hand. The worker asks the provider, or "
        "the next statement says."
    ),
    RefundState.SUCCEEDED: _("It is paid. There is nothing to do."),
}
_CALLS: Mapping[CallStanding | None, str] = {
    CallStanding.LOST: _(
        "It was asked for at the shop's platform, and the answer was lost. It is neither sent again nor settled by "
        "hand until somebody has looked at the payment's gateway."
    ),
    CallStanding.MADE: _(
        "Somebody has seen at the payment's gateway that it was made. The worker takes that up; then it is settled "
        "with the gateway's reference."
    ),
}
HANDLERS = (refund_page, act_on_refund)
