"""`jitui refunds`: find refunds that nobody pays, and mend them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.completing import APPROVERS, REFUND_STATES, words_of
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.list_options import Ascending, Buyer, Limit, Order, Provider, Shop, direction, say_late
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from uuid import UUID

    from jitui.aftersales.commands.settle_refund import ManualPayout, Outcome
    from jitui.aftersales.model.refund import Refund
    from jitui.aftersales.model.ticket import Actor
    from jitui.aftersales.operations.refunds import RefundDetails
    from jitui.aftersales.ports import RefundRef
    from jitui.aftersales.refund_list import ListedRefunds
    from jitui.bootstrap import Service
    from jitui.client import Client

refunds = new_typer("Find refunds that failed, send them again or settle them.")

RefundId = Annotated[str, typer.Argument(metavar="REFUND", help="The refund's id.", show_default=False)]
State = Annotated[
    str | None,
    typer.Option(
        help="queued, sending, pending, unknown, succeeded or failed.", show_default=False, autocompletion=REFUND_STATES
    ),
]
ApprovedSo = Annotated[
    str | None, typer.Option(help="Of tickets that were approved so.", show_default=False, autocompletion=APPROVERS)
]
OlderThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Queued longer ago: 30m, 2h or 3d.", show_default=False)
]
Sort = Annotated[
    str,
    typer.Option(
        help="queued_at, amount or state.", autocompletion=words_of("jitui.aftersales.refund_list:RefundSort")
    ),
]
By = Annotated[str, typer.Option(help="Who does this; needed, except over HTTP.", show_default=False)]


# Reading -----------------------------------------------------------------------------------------------------------


@refunds.command("list")
def list_refunds(
    state: State = None,
    provider: Provider = None,
    order: Order = None,
    buyer: Buyer = None,
    shop: Shop = None,
    approved_by: ApprovedSo = None,
    older_than: OlderThan = None,
    sort: Sort = "queued_at",
    ascending: Ascending = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Refunds, newest first unless --sort says otherwise. Those that need a person: --state failed."""
    from jitui.aftersales.model.refund import RefundState
    from jitui.aftersales.model.ticket import ApprovedBy
    from jitui.aftersales.refund_list import RefundFilter, RefundSort
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import word_of

    wanted = None if state is None else word_of(state, tuple(RefundState), "the state")
    age = None if older_than is None else _age(older_than)
    fixed = RefundFilter(
        state=wanted,
        provider=provider,
        order_id=order,
        buyer_id=buyer,
        shop_id=shop,
        approved_by=None if approved_by is None else word_of(approved_by, tuple(ApprovedBy), "--approved-by"),
        sort=word_of(sort, tuple(RefundSort), "--sort"),
        order=direction(ascending),
        limit=limit,
    )

    def asked(now: datetime) -> RefundFilter:
        return fixed if age is None else replace(fixed, queued_before=now - age)

    async def work(service: Service) -> tuple[ListedRefunds, Collection[UUID]]:
        return await service.queries.refunds(asked(service.clock())), await _lost(service)

    def remote(client: Client) -> tuple[ListedRefunds, Collection[UUID]]:
        from datetime import UTC, datetime

        from jitui.entrypoints.cli import remote_refunds

        return remote_refunds.refunds(client, asked(datetime.now(UTC))), ()

    _print_list(*on_service(work, remote), as_json)


async def _lost(service: Service) -> Collection[UUID]:
    """The refunds whose call to a platform was lost: a person says what became of them."""
    from jitui.aftersales.operations.platform_connections import LOST_AFTER

    return await service.platforms.calls.lost(service.clock() - LOST_AFTER)


def _print_list(page: ListedRefunds, lost: Collection[UUID], as_json: bool) -> None:
    found = page.refunds
    say_late(page.lag_ms)
    if as_json:
        of_ticket = ("shop_id", "approved_by")
        print_json({"refunds": [{**_document(row.refund), **_fields(row, *of_ticket)} for row in found]})
        return
    for row in found:
        _show(row.refund)
        if row.refund.refund_id in lost:
            echo(f"  its answer was lost: `jitui refunds show {row.refund.refund_id}` says what to do")
    if not found:
        echo("There are no such refunds.")


def _age(text: str) -> timedelta:
    from datetime import timedelta

    from jitui.errors import BadInput

    units = {"m": "minutes", "h": "hours", "d": "days"}
    number, unit = text[:-1], units.get(text[-1:])
    if unit is None or not (number.isascii() and number.isdigit() and len(number) <= 6):
        raise BadInput(f"--older-than takes an age such as 30m, 2h or 3d, not {text!r}.", path="--older-than")
    return timedelta(**{unit: int(number)})


def _show(refund: Refund) -> None:
    from jitui.entrypoints.cli.speaking import amount, moment, told, word

    echo(f"{refund.refund_id}  {word(refund.state)}")
    paid, since = amount(refund.amount_minor, refund.currency), moment(refund.queued_at)
    english = f"{paid}, {refund.provider}, order {refund.order_id}; since {since}"
    echo("  " + told(english, f"{paid}，{refund.provider}，订单 {refund.order_id}；排队于 {since}"))
    if refund.reason:
        echo(f"  {refund.reason}")
    if refund.proposal is not None:
        by_hand = f"{refund.proposal.reference}, by {refund.proposal.by}"
        chinese = f"人工打款核销等待第二人确认：{refund.proposal.reference}，提交人 {refund.proposal.by}"
        echo("  " + told(f"a payment by hand waits for a second person: {by_hand}", chinese))


@refunds.command()
def show(refund: RefundId, as_json: Json = False) -> None:
    """One refund: its attempts, its ticket's timeline, and what can be done about it now."""
    from jitui.entrypoints.cli.running import on_service

    ref = refund_ref(refund)

    def remote(client: Client) -> RefundDetails:
        from jitui.entrypoints.cli import remote_refunds

        return remote_refunds.details(client, ref.refund_id)

    found = on_service(lambda service: _read(service, ref), remote)
    if as_json:
        print_json(_details_document(found))
        return
    from jitui.entrypoints.cli.speaking import moment, told, word

    _show(found.refund)
    for attempt in found.attempts:
        news = f", {moment(attempt.news_at)}" if attempt.news_at is not None else ""
        echo(f"attempt {attempt.attempt_no}: {attempt.state}{news}  {attempt.reason}".rstrip())
        echo(f"  {attempt.attempt_id}, at the provider {attempt.provider_refund_id or 'not named'}")
    if found.refund.settlement is not None:
        paid = found.refund.settlement
        second = "" if paid.confirmed_by is None else f", confirmed by {paid.confirmed_by}"
        echo(f"settled by hand: {paid.reference}, by {paid.by}{second}: {paid.note}")
    echo(f"{told('ticket', '售后单')} {found.refund.ticket_id}: {word(found.ticket_state)}")
    for event in found.timeline:
        echo(f"  {moment(event.at)}  {event.why}, {word(event.actor_kind)} {event.actor_id}".rstrip())
    is_lost = _show_call(found)
    nothing = "look at the payment's gateway, then resolve" if is_lost else "nothing; it is on its way, or paid"
    echo(f"can be done now: {', '.join(found.actions) or nothing}")


def _show_call(found: RefundDetails) -> bool:
    """What people have seen at the gateway, and what is to be said of a call that was lost; whether one is."""
    from jitui.aftersales.operations.platform_connections import CallStanding
    from jitui.entrypoints.cli.speaking import moment

    call, refund_id = found.call, found.refund.refund_id
    for answer in call.answers:
        seen = "the gateway made it" if answer.made else "the gateway did not make it"
        echo(f"said at {moment(answer.at)} by {answer.by}: {seen}: {answer.note}")
    if call.standing is CallStanding.MADE:
        echo("The worker takes up what was said; then the refund is settled with the gateway's reference.")
    if call.standing is not CallStanding.LOST or call.asked_at is None:
        return False
    echo(
        f"It was asked for at {moment(call.asked_at)} and the answer was lost. It is not asked for again until you say"
    )
    echo("what the payment's gateway has:")
    for option in ("--made", "--not-made"):
        echo(f'  jitui platform resolve {refund_id} {option} --note "what you saw"')
    return True


def _document(refund: Refund) -> dict[str, object]:
    """What both the database and the API say of a refund."""
    return {
        "refund_id": refund.refund_id,
        "ticket_id": refund.ticket_id,
        "order_id": refund.order_id,
        "tender_id": refund.tender_id,
        "provider": refund.provider,
        "state": refund.state,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "queued_at": refund.queued_at,
        "closed_at": refund.closed_at,
        "reason": refund.reason,
        "proposal": refund.proposal,
    }


def _details_document(found: RefundDetails) -> dict[str, object]:
    settled = found.refund.settlement
    attempts = ("attempt_id", "attempt_no", "state", "started_at", "news_at", "provider_refund_id", "reason")
    timeline = ("at", "actor_kind", "actor_id", "from_state", "to_state", "why", "detail")
    return {
        "refund": {**_document(found.refund), "settlement": settled and _fields(settled, *_SETTLEMENT)},
        "attempts": [_fields(one, *attempts) for one in found.attempts],
        "buyer_id": found.buyer_id,
        "shop_id": found.shop_id,
        "ticket_state": found.ticket_state,
        "timeline": [_fields(one, *timeline) for one in found.timeline],
        "actions": found.actions,
        "call": found.call,
    }


_SETTLEMENT = ("reference", "note", "by", "at", "confirmed_by")


def _fields(value: object, *names: str) -> dict[str, object]:
    return {name: getattr(value, name) for name in names}


async def _read(service: Service, ref: RefundRef) -> RefundDetails:
    from jitui.aftersales.operations.refunds import read_refund_and_call

    calls, rules = service.platforms.calls, service.manual_payment_rules
    found = await read_refund_and_call(service.store, ref, rules, calls, service.clock())
    if found is None:
        raise _unknown(ref.refund_id)
    return found


def refund_ref(text: str) -> RefundRef:
    from uuid import UUID

    from jitui.aftersales.ports import RefundRef
    from jitui.errors import BadInput
    from jitui.ids import lane_of_id

    try:
        refund_id = UUID(text)
    except ValueError:
        raise BadInput(f"{text!r} is not a refund's id (a UUID).", path="refund") from None
    return RefundRef(lane_of_id(refund_id), refund_id)


def _unknown(refund_id: UUID) -> Exception:
    from jitui.errors import BadInput

    return BadInput(f"There is no refund {refund_id} in this database.", path="refund")


# Mending -----------------------------------------------------------------------------------------------------------


@refunds.command()
def retry(refund: RefundId, by: By = "") -> None:
    """Send a failed refund again, as a new attempt; a worker does it."""
    from jitui.aftersales.commands.settle_refund import retry as command

    def remote(client: Client, ref: RefundRef) -> Refund:
        from jitui.entrypoints.cli import remote_refunds

        return remote_refunds.retry(client, ref.refund_id)

    def run(service: Service, ref: RefundRef, actor: Actor) -> Awaitable[Outcome]:
        return command(service.store, ref, service.manual_payment_rules, by=actor, now=service.clock())

    _do(refund, by, run, remote)
    echo("It is queued; a worker sends it.")


@refunds.command()
def settle(
    refund: RefundId,
    by: By = "",
    reference: Annotated[str, typer.Option(help="The payment's own number, such as the bank's.")] = "",
    amount: Annotated[str, typer.Option(help="What was paid, such as 129.00: the refund's amount.")] = "",
    note: Annotated[str, typer.Option(help="How it was paid and who checked; or why it is rejected.")] = "",
    confirm: Annotated[bool, typer.Option("--confirm", help="As the second person, by its --reference.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Take a proposed payment back, with a --note.")] = False,
) -> None:
    """Say with evidence that a refund was paid outside its provider; it is never sent afterwards.

    Above JITUI_SETTLE_ALONE_UP_TO it is proposed, and another person confirms or rejects it.
    """
    _check_words(reference, amount, note, confirm=confirm, reject=reject)

    async def run(service: Service, ref: RefundRef, actor: Actor) -> Outcome:
        from jitui.aftersales.commands import settle_refund as commands

        rules, now = service.manual_payment_rules, service.clock()
        if reject:
            return await commands.reject_settlement(service.store, ref, note, by=actor, now=now)
        if confirm:
            return await commands.confirm_settlement(service.store, ref, reference, rules, by=actor, now=now)
        payout = _payout((await _read(service, ref)).refund, reference, amount, note)
        return await commands.settle(service.store, ref, payout, rules, by=actor, now=now)

    def remote(client: Client, ref: RefundRef) -> Refund:
        from jitui.entrypoints.cli import remote_refunds

        if reject:
            return remote_refunds.reject(client, ref.refund_id, note)
        if confirm:
            return remote_refunds.confirm(client, ref.refund_id, reference)
        payout = _payout(remote_refunds.details(client, ref.refund_id).refund, reference, amount, note)
        return remote_refunds.settle(client, ref.refund_id, **_fields(payout, *_PAYOUT))  # type: ignore[arg-type]

    done = _do(refund, by, run, remote)
    if reject:
        echo("The payment by hand is rejected; the refund is as it was.")
    elif done.proposal is not None:
        echo("It waits for another person, and nothing has moved. They confirm it by:")
        echo(f"  jitui refunds settle {refund} --confirm --reference {done.proposal.reference} --by NAME")
    else:
        echo("It is settled.")


_PAYOUT = ("reference", "note", "amount_minor", "currency")


def _check_words(reference: str, amount: str, note: str, *, confirm: bool, reject: bool) -> None:
    """What is needed for which of the three. Raises BadInput that names the option."""
    from jitui.errors import BadInput
    from jitui.text import why_no_id

    if confirm and reject:
        raise BadInput("Confirm it or reject it, not both.", path="--confirm")
    needed = {"--reference": not reject, "--amount": not (confirm or reject), "--note": not confirm}
    given = {"--reference": reference, "--amount": amount, "--note": note}
    for option, is_needed in needed.items():
        if is_needed and not given[option].strip():
            raise BadInput(f"{option} is needed here.", path=option)
    why = why_no_id(reference, slashes=True) if reference else None
    if why is not None:
        raise BadInput(f"--reference: this is no number of a payment: {why}.", path="--reference")
    if len(note) > 500:
        raise BadInput("--note takes at most 500 characters.", path="--note")


def _payout(refund: Refund, reference: str, amount: str, note: str) -> ManualPayout:
    from jitui.aftersales.commands.settle_refund import ManualPayout
    from jitui.errors import BadInput
    from jitui.money import from_decimal_text

    amount_minor = from_decimal_text(amount, refund.currency)
    if amount_minor is None:
        raise BadInput(f"--amount: {amount!r} is no amount of {refund.currency}.", path="--amount")
    return ManualPayout(reference, note, amount_minor, refund.currency)


def _do(
    refund: str,
    by: str,
    run: Callable[[Service, RefundRef, Actor], Awaitable[Outcome]],
    remote: Callable[[Client, RefundRef], Refund],
) -> Refund:
    """Run a command on a refund, which is returned as it is now; a refusal is told and ends with exit code 1."""
    from jitui.entrypoints.cli.remote import connected, only_by_key, remote_url

    ref = refund_ref(refund)
    if remote_url() is None:
        return _do_here(ref, by, run)
    only_by_key(by)
    with connected() as client:
        return remote(client, ref)


def _do_here(ref: RefundRef, by: str, run: Callable[[Service, RefundRef, Actor], Awaitable[Outcome]]) -> Refund:
    from jitui.aftersales.commands.execute import Executed
    from jitui.aftersales.model.ticket import Actor, ActorKind
    from jitui.aftersales.outcomes import Refusal, RefusalCode
    from jitui.entrypoints.cli.running import with_app
    from jitui.errors import BadInput

    if not by.strip():
        raise BadInput("Money is moved under a name: --by says whose.", path="--by")
    done = with_app(lambda service: run(service, ref, Actor(ActorKind.OPERATOR, by)))
    if isinstance(done, Refusal):
        if done.code is RefusalCode.NOT_FOUND:
            raise _unknown(ref.refund_id)
        say(done.message)
        raise typer.Exit(FAILED)
    assert isinstance(done, Executed)
    return next(one for one in done.snapshot.refunds if one.refund_id == ref.refund_id)
