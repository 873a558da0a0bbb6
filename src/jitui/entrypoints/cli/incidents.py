"""`jitui incidents`: goods that left although they were refunded, what is done about it, and what it came to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.completing import one_of, words_of
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.incident_lines import show_lines
from jitui.entrypoints.cli.incident_values import read_minor, read_moment, read_references, read_words
from jitui.entrypoints.cli.list_options import Ascending, Buyer, Limit, Order, Shop, direction
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.aftersales.commands.incidents import Outcome, OutcomeTold
    from jitui.aftersales.model.incident import Incident, IncidentOutcome
    from jitui.aftersales.model.ticket import Actor
    from jitui.aftersales.ports import IncidentRef
    from jitui.aftersales.queries import IncidentDetails
    from jitui.bootstrap import Service
    from jitui.client import Client

incidents = new_typer("Goods that left although they were refunded: evidence, outcome, recovery, contest.")

IncidentId = Annotated[str, typer.Argument(metavar="INCIDENT", help="The incident's id.", show_default=False)]
By = Annotated[str, typer.Option(help="Who does this; needed, except over HTTP.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why; the shop reads it.", show_default=False)]
Version = Annotated[int | None, typer.Option(min=1, help="As it was read; left out: as it is now.", show_default=False)]
Repaid = Annotated[str | None, typer.Option(help="What the buyer paid again; left out: all of it.", show_default=False)]
Reference = Annotated[str, typer.Option(help="The payment's own number.", show_default=False)]
OutcomeWord = Annotated[
    str,
    typer.Argument(
        metavar="OUTCOME",
        help="returned, repaid, borne_by_platform, borne_by_shop or borne_by_both.",
        autocompletion=words_of("jitui.aftersales.model.incident:IncidentOutcome"),
        show_default=False,
    ),
]


State = Annotated[
    str | None,
    typer.Option(
        help="open, contested, recovering, decided or settled.",
        show_default=False,
        autocompletion=words_of("jitui.aftersales.model.incident:IncidentState"),
    ),
]
Sort = Annotated[
    str,
    typer.Option(
        help="opened_at, due_at (the next reminder or deadline), amount or state.",
        autocompletion=words_of("jitui.aftersales.incident_list:IncidentSort"),
    ),
]


@incidents.command("list")
def list_incidents(
    state: State = None,
    shop: Shop = None,
    buyer: Buyer = None,
    order: Order = None,
    sort: Sort = "opened_at",
    ascending: Ascending = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Incidents, newest first unless --sort says otherwise."""
    from jitui.aftersales.incident_list import IncidentFilter, IncidentSort
    from jitui.aftersales.model.incident import IncidentState
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import word_of

    wanted = IncidentFilter(
        shop_id=shop,
        buyer_id=buyer,
        order_id=order,
        state=None if state is None else word_of(state, tuple(IncidentState), "the state"),
        sort=word_of(sort, tuple(IncidentSort), "--sort"),
        order=direction(ascending),
        limit=limit,
    )

    def work(service: Service) -> Awaitable[Sequence[Incident]]:
        return service.queries.incidents(wanted)

    def remote(client: Client) -> Sequence[Incident]:
        from jitui.entrypoints.cli import remote_incidents

        return remote_incidents.incidents(client, wanted)

    found = on_service(work, remote)
    if as_json:
        print_json({"incidents": found})
        return
    for incident in found:
        show_lines(incident)
    if not found:
        echo("There are no such incidents.")


@incidents.command("show")
def show_incident(incident: IncidentId, as_json: Json = False) -> None:
    """One incident: what became of it, its contest, and everything that was done about it."""
    from jitui.entrypoints.cli.running import on_service

    ref = _ref(incident)

    def remote(client: Client) -> IncidentDetails:
        from jitui.entrypoints.cli import remote_incidents

        return remote_incidents.details(client, ref)

    found = on_service(lambda service: _read(service, ref), remote)
    if as_json:
        print_json(found)
        return
    from jitui.entrypoints.cli.speaking import moment

    show_lines(found.incident)
    for entry in found.log:
        told = ", ".join(f"{name}: {visible(str(value))}" for name, value in entry.detail.items() if value)
        echo(f"  {entry.seq:>3}  {moment(entry.at)}  {entry.kind.value:<11} {entry.by}  {told}")


@incidents.command("evidence")
def add_evidence(
    incident: IncidentId,
    text: Annotated[str, typer.Option(help="What it shows.", show_default=False)],
    reference: Annotated[
        list[str] | None, typer.Option(help="A waybill or an address; may be given again.", show_default=False)
    ] = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Add evidence: words and references, never files."""
    from jitui.aftersales.commands import incidents as commands

    told = commands.Evidence(read_words(text, "--text"), tuple(read_references(reference or ())))

    def local(service: Service, ref: IncidentRef, who: Actor) -> Awaitable[Outcome]:
        return commands.add_evidence(service.store, ref, told, by=who, now=service.clock())

    def remote(client: Client, ref: IncidentRef) -> Incident:
        from jitui.entrypoints.cli import remote_incidents

        return remote_incidents.add_evidence(client, ref, told)

    _run(incident, by, local, remote, as_json=as_json)


@incidents.command("contact")
def record_contact(
    incident: IncidentId,
    channel: Annotated[
        str,
        typer.Argument(
            metavar="CHANNEL",
            help="platform_chat, phone, sms, email or other.",
            autocompletion=words_of("jitui.aftersales.model.incident:ContactChannel"),
        ),
    ],
    note: Annotated[str, typer.Option(help="What came of it.", show_default=False)],
    at: Annotated[str | None, typer.Option(help="When, RFC 3339; left out: now.", show_default=False)] = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Record that the buyer was spoken to."""
    from jitui.aftersales.commands import incidents as commands
    from jitui.aftersales.model.incident import ContactChannel
    from jitui.entrypoints.cli.words import word_of

    through, said, when = (
        word_of(channel, tuple(ContactChannel), "CHANNEL"),
        read_words(note, "--note"),
        read_moment(at),
    )

    def local(service: Service, ref: IncidentRef, who: Actor) -> Awaitable[Outcome]:
        now = service.clock()
        told = commands.BuyerContact(through, said, when or now)
        return commands.record_contact(service.store, ref, told, by=who, now=now)

    def remote(client: Client, ref: IncidentRef) -> Incident:
        from datetime import UTC, datetime

        from jitui.entrypoints.cli import remote_incidents

        told = commands.BuyerContact(through, said, when or datetime.now(UTC))
        return remote_incidents.record_contact(client, ref, told)

    _run(incident, by, local, remote, as_json=as_json)


@incidents.command("decide")
def decide(
    incident: IncidentId,
    outcome: OutcomeWord,
    reason: Reason,
    repaid: Repaid = None,
    reference: Reference = "",
    version: Version = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Decide what became of the loss, or correct it; it is posted in the ledger.

    A shop is charged no more than the policy says that approved the refund (`loss.borne_by`).
    """
    from jitui.aftersales.commands import incidents as commands

    chosen, why = _outcome(outcome), read_words(reason, "--reason")

    async def local(service: Service, ref: IncidentRef, who: Actor) -> Outcome:
        from jitui.aftersales.governance.loss_terms import loss_terms

        told = _told((await _read(service, ref)).incident, chosen, why, repaid, reference, version)
        terms = await loss_terms(service.queries, service.policies, ref)
        now, rules = service.clock(), service.incident_rules
        return await commands.decide_incident(service.store, ref, told, terms, rules, by=who, now=now)

    def remote(client: Client, ref: IncidentRef) -> Incident:
        from jitui.entrypoints.cli import remote_incidents

        known = remote_incidents.details(client, ref).incident
        return remote_incidents.decide(client, ref, _told(known, chosen, why, repaid, reference, version))

    _run(incident, by, local, remote, as_json=as_json)


@incidents.command("recover")
def recover(
    incident: IncidentId,
    amount: Annotated[str, typer.Option(help="What came in, such as 90.00; 0: nothing came.", show_default=False)],
    reference: Annotated[str, typer.Option(help="The settlement or transfer.", show_default=False)] = "",
    note: Annotated[str, typer.Option(help="What the attempt was.", show_default=False)] = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Record an attempt to recover what the shop owes. The last one writes off what it leaves."""
    from jitui.aftersales.commands import incidents as commands

    def tried(known: Incident) -> commands.RecoveryTried:
        return commands.RecoveryTried(read_minor(amount, known.currency, "--amount"), reference, note)

    async def local(service: Service, ref: IncidentRef, who: Actor) -> Outcome:
        told = tried((await _read(service, ref)).incident)
        now, rules = service.clock(), service.incident_rules
        return await commands.record_recovery(service.store, ref, told, rules, by=who, now=now)

    def remote(client: Client, ref: IncidentRef) -> Incident:
        from jitui.entrypoints.cli import remote_incidents

        return remote_incidents.recover(client, ref, tried(remote_incidents.details(client, ref).incident))

    _run(incident, by, local, remote, as_json=as_json)


@incidents.command("contest")
def contest(incident: IncidentId, reason: Reason, by: By = "", as_json: Json = False) -> None:
    """Contest, for a shop that called or wrote, what it is charged."""
    from jitui.aftersales.commands import incidents as commands

    why = read_words(reason, "--reason")

    def local(service: Service, ref: IncidentRef, who: Actor) -> Awaitable[Outcome]:
        now, rules = service.clock(), service.incident_rules
        return commands.contest_incident(service.store, ref, why, rules, by=who, now=now)

    def remote(client: Client, ref: IncidentRef) -> Incident:
        from jitui.entrypoints.cli import remote_incidents

        return remote_incidents.contest(client, ref, why)

    _run(incident, by, local, remote, as_json=as_json)


@incidents.command("answer")
def answer(
    incident: IncidentId,
    verdict: Annotated[
        str,
        typer.Argument(
            metavar="upheld|rejected", help="Is the shop right?", autocompletion=one_of("upheld", "rejected")
        ),
    ],
    words: Annotated[str, typer.Option(help="The answer, as the shop reads it.", show_default=False)],
    outcome: Annotated[
        str | None,
        typer.Option(
            help="With upheld: the outcome from now on.",
            show_default=False,
            autocompletion=words_of("jitui.aftersales.model.incident:IncidentOutcome"),
        ),
    ] = None,
    repaid: Repaid = None,
    reference: Reference = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Answer a contest. Whoever decided the incident does not; an upheld one is corrected in the ledger."""
    from jitui.aftersales.commands import incidents as commands
    from jitui.errors import BadInput

    if verdict not in ("upheld", "rejected"):
        raise BadInput(f"A contest is upheld or rejected, not {verdict!r}.", path="verdict")
    text, chosen = read_words(words, "--words"), None if outcome is None else _outcome(outcome)

    def said(known: Incident) -> commands.ContestAnswer:
        told = None if chosen is None else _told(known, chosen, text, repaid, reference, known.version)
        return commands.ContestAnswer(verdict == "upheld", text, told)

    async def local(service: Service, ref: IncidentRef, who: Actor) -> Outcome:
        from jitui.aftersales.governance.loss_terms import loss_terms

        told = said((await _read(service, ref)).incident)
        terms = await loss_terms(service.queries, service.policies, ref)
        now, rules = service.clock(), service.incident_rules
        return await commands.answer_contest(service.store, ref, told, terms, rules, by=who, now=now)

    def remote(client: Client, ref: IncidentRef) -> Incident:
        from jitui.entrypoints.cli import remote_incidents

        return remote_incidents.answer(client, ref, said(remote_incidents.details(client, ref).incident))

    _run(incident, by, local, remote, as_json=as_json)


# Helpers -----------------------------------------------------------------------------------------------------------

_Local = Callable[["Service", "IncidentRef", "Actor"], Awaitable["Outcome"]]
_Remote = Callable[["Client", "IncidentRef"], "Incident"]


def _run(incident: str, by: str, local: _Local, remote: _Remote, *, as_json: bool) -> None:
    from jitui.aftersales.commands.incidents import incident_of
    from jitui.aftersales.model.ticket import Actor, ActorKind
    from jitui.aftersales.outcomes import Refusal, RefusalCode
    from jitui.entrypoints.cli.remote import only_by_key
    from jitui.entrypoints.cli.running import on_service
    from jitui.errors import BadInput

    ref = _ref(incident)

    async def work(service: Service) -> Incident | Refusal:
        if not by.strip():
            raise BadInput("Who does this? Give --by.", path="--by")
        done = await local(service, ref, Actor(ActorKind.OPERATOR, by.strip()))
        return done if isinstance(done, Refusal) else incident_of(done)  # type: ignore[arg-type]

    def at_service(client: Client) -> Incident | Refusal:
        only_by_key(by)
        return remote(client, ref)

    done = on_service(work, at_service)
    if isinstance(done, Refusal):
        if done.code in (RefusalCode.NOT_FOUND, RefusalCode.SECOND_PERSON_NEEDED):
            raise BadInput(done.message, path="INCIDENT")
        say(done.message)
        raise typer.Exit(FAILED)
    if as_json:
        print_json(done)
    else:
        show_lines(done)


async def _read(service: Service, ref: IncidentRef) -> IncidentDetails:
    from jitui.errors import BadInput

    found = await service.queries.incident(ref)
    if found is None:
        raise BadInput(f"There is no incident {ref.incident_id} in this database.", path="INCIDENT")
    return found


def _ref(text: str) -> IncidentRef:
    from uuid import UUID

    from jitui.aftersales.ports import IncidentRef
    from jitui.errors import BadInput
    from jitui.ids import lane_of_id

    try:
        known = UUID(text)
    except ValueError:
        raise BadInput(f"{text!r} is not an incident's id (a UUID).", path="INCIDENT") from None
    return IncidentRef(lane_of_id(known), known)


def _told(
    known: Incident, outcome: IncidentOutcome, reason: str, repaid: str | None, reference: str, version: int | None
) -> OutcomeTold:
    from jitui.aftersales.commands.incidents import OutcomeTold

    minor = None if repaid is None else read_minor(repaid, known.currency, "--repaid")
    return OutcomeTold(outcome, known.version if version is None else version, reason, minor, reference)


def _outcome(word: str) -> IncidentOutcome:
    from jitui.aftersales.model.incident import IncidentOutcome
    from jitui.entrypoints.cli.words import word_of

    return word_of(word, tuple(IncidentOutcome), "OUTCOME")
