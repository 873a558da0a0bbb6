"""`jitui explain`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn
from uuid import UUID

import typer

from jitui.entrypoints.cli.explained import ERASED, Explained
from jitui.entrypoints.cli.output import Json, print_json, results, say, styled

if TYPE_CHECKING:
    from rich.table import Table

    from jitui.aftersales.model.view import TicketView
    from jitui.aftersales.ports import StoredDecision
    from jitui.bootstrap import Service
    from jitui.client import Client
    from jitui.policy import Explanation, ExplanationRow


class ExplainLanguage(StrEnum):
    ZH = "zh"
    EN = "en"


class Audience(StrEnum):
    PLATFORM = "platform"
    MERCHANT = "merchant"
    BUYER = "buyer"


def explain(
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="The ticket's id.", show_default=False)],
    language: Annotated[
        ExplainLanguage | None, typer.Option(help="Language of the sentences; else JITUI_LANGUAGE.", show_default=False)
    ] = None,
    audience: Annotated[Audience, typer.Option(help="The reader; others than the platform see less.")] = (
        Audience.PLATFORM
    ),
    as_json: Json = False,
) -> None:
    """Explain why a ticket was or was not refunded at once: each condition, its verdict, and its facts."""
    from jitui.entrypoints.cli.running import on_service

    ticket_id, spoken = _ticket_id(ticket), language or _language_of_settings()

    async def work(service: Service) -> Explained:
        return await _explained(service, ticket_id, spoken, audience)

    def remote(client: Client) -> Explained:
        from jitui.entrypoints.cli.remote_explain import explained

        if audience is not Audience.PLATFORM:
            _refuse_audience()
        return explained(client, ticket_id, _word(spoken))

    found = on_service(work, remote)
    if as_json:
        print_json(_document(found))
    else:
        _show(found)
        if found.erased:
            say(found.erased)


_TEXTS_ERASED = " Facts that were texts of the buyer are gone, so the decision cannot be made again."


def _language_of_settings() -> ExplainLanguage:
    from jitui.settings import Language, read_settings

    return ExplainLanguage.ZH if read_settings().language is Language.ZH_CN else ExplainLanguage.EN


def _refuse_audience() -> NoReturn:
    from jitui.errors import BadInput

    raise BadInput("Over HTTP the API key says who reads; leave --audience out.", path="--audience")


def _ticket_id(text: str) -> UUID:
    from jitui.errors import BadInput

    try:
        return UUID(text)
    except ValueError:
        raise BadInput(f"{text!r} is not a ticket's id (a UUID).", path="ticket") from None


def _word(language: ExplainLanguage) -> Literal["zh", "en"]:
    return "zh" if language is ExplainLanguage.ZH else "en"


def _audience_word(audience: Audience) -> Literal["platform", "merchant", "buyer"]:
    words: dict[Audience, Literal["platform", "merchant", "buyer"]]
    words = {Audience.PLATFORM: "platform", Audience.MERCHANT: "merchant", Audience.BUYER: "buyer"}
    return words[audience]


async def _explained(service: Service, ticket_id: UUID, language: ExplainLanguage, audience: Audience) -> Explained:
    from jitui.policy import decision_from_json
    from jitui.policy import explain as explained

    view, stored, erased = await _read(service, ticket_id)
    decision = decision_from_json(stored.decision)
    explanation = explained(decision, _word(language), _audience_word(audience))
    policy = {"id": stored.policy_id, "version": stored.policy_version, "sha256": stored.policy_sha256}
    unknown = decision.unknown if audience is Audience.PLATFORM else None
    taken = (ERASED + (_TEXTS_ERASED if stored.decision.get("erased") else "")) if erased else ""
    return Explained(view, stored.decided_at, policy, explanation, unknown, taken)


async def _read(service: Service, ticket_id: UUID) -> tuple[TicketView, StoredDecision, bool]:
    from jitui.aftersales.model.view import view_ticket
    from jitui.aftersales.ports import TicketRef
    from jitui.errors import BadInput
    from jitui.ids import lane_of_id

    ref = TicketRef(lane_of_id(ticket_id), ticket_id)
    snapshot, stored = await service.store.read_order(ref), await service.queries.decision(ref)
    if snapshot is None or stored is None:
        raise BadInput(f"There is no ticket {ticket_id} in this database.", path="ticket")
    return view_ticket(snapshot, ticket_id), stored, snapshot.buyer.erased


def _document(found: Explained) -> dict[str, object]:
    view, explanation = found.view, found.explanation
    document: dict[str, object] = {
        "ticket_id": str(view.ticket_id),
        "order_id": view.order_id,
        "state": view.state,
        "amount": view.amount,
        "approved_by": view.approved_by,
        "review_reason": view.review_reason,
        "notice": view.notice,
        "outcome": explanation.outcome,
        "decided_at": found.decided_at,
        "policy": found.policy,
        "conditions": explanation.rows,
        "erased": bool(found.erased),
    }
    return document if found.unknown is None else {**document, "unknown": found.unknown}


def _show(found: Explained) -> None:
    from jitui.entrypoints.cli.speaking import amount, moment, told, word

    console, view, explanation = results(), found.view, found.explanation
    paid, decided_at = amount(view.amount.amount_minor, view.amount.currency), moment(found.decided_at)
    console.print(f"{told('Ticket', '售后单')} {view.ticket_id}", style="bold")
    console.print(f"{told('Order', '订单')} {view.order_id}: {paid}, {word(view.state)}")
    outcome = told(explanation.outcome, {"instant": "自动审核通过"}.get(explanation.outcome, "转商家审核"))
    guard = f", {told('held back by', '未自动通过的原因')} {view.review_reason}" if view.review_reason else ""
    console.print(f"{told('Decided', '判定于')} {decided_at}: {outcome}{guard}")
    policy = f"{found.policy['id']}, version {found.policy['version']}, sha256 {found.policy['sha256'][:12]}"
    console.print(f"{told('By policy', '规则')} {policy}")
    console.print(_table(explanation))


def _table(explanation: Explanation) -> Table:
    from rich.table import Table

    from jitui.entrypoints.cli.speaking import told, word

    table = Table(box=None, padding=(0, 1, 0, 0), show_header=True, header_style="bold")
    table.add_column(told("verdict", "结果"), no_wrap=True)
    table.add_column(told("condition", "条件"), overflow="fold")
    table.add_column(told("facts", "事实"), overflow="fold")
    for row in explanation.rows:
        table.add_row(
            styled(word(row.verdict), _COLOURS[row.verdict.value]), f"{row.sentence} ({row.id})", _facts_text(row)
        )
    return table


_COLOURS = {"true": "green", "false": "red", "unknown": "yellow"}


def _facts_text(row: ExplanationRow) -> str:
    """One `name = value` per line, with unknown for missing facts; an order's lines are shown as their number."""
    texts = []
    for name, value in row.facts.items():
        if isinstance(value, tuple):
            fields = sorted({field for line in value for field in line if field != "line_id"})
            said = (f"{line['line_id']}: " + ", ".join(f"{f}={_plain(line.get(f))}" for f in fields) for line in value)
            texts.append(f"{name}: " + "; ".join(said))
        else:
            texts.append(f"{name} = {_plain(value)}")
    return "\n".join(texts)


def _plain(value: object) -> str:
    if value is None:
        return "unknown"
    return str(value).lower() if isinstance(value, bool) else str(value)
