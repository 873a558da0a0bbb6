"""`jitui explain`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from jitui.entrypoints.cli.output import Json, print_json, results, say, styled

if TYPE_CHECKING:
    from rich.table import Table

    from jitui.aftersales.model.view import TicketView
    from jitui.aftersales.ports import StoredDecision
    from jitui.bootstrap import Service
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
    language: Annotated[ExplainLanguage, typer.Option(help="Language of the sentences.")] = ExplainLanguage.ZH,
    audience: Annotated[Audience, typer.Option(help="The reader; others than the platform see less.")] = (
        Audience.PLATFORM
    ),
    as_json: Json = False,
) -> None:
    """Explain why a ticket was or was not refunded at once: each condition, its verdict, and its facts."""
    from jitui.entrypoints.cli.running import with_app
    from jitui.policy import decision_from_json
    from jitui.policy import explain as explained

    ticket_id = _ticket_id(ticket)

    async def work(service: Service) -> tuple[TicketView, StoredDecision, bool]:
        return await _read(service, ticket_id)

    view, stored, erased = with_app(work)
    decision = decision_from_json(stored.decision)
    explanation = explained(decision, _word(language), _audience_word(audience))
    if as_json:
        print_json(
            _document(view, stored, explanation, decision.unknown if audience is Audience.PLATFORM else None)
            | {"erased": erased}
        )
    else:
        _show(view, stored, explanation)
        if erased:
            say(_ERASED + (_TEXTS_ERASED if stored.decision.get("erased") else ""))


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


_ERASED = (
    "The buyer was erased. The numbers are those that were stored; whether they were right cannot be checked any more."
)
_TEXTS_ERASED = " Facts that were texts of the buyer are gone, so the decision cannot be made again."


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


def _document(
    view: TicketView, stored: StoredDecision, explanation: Explanation, unknown: tuple[str, ...] | None
) -> dict[str, object]:
    document: dict[str, object] = {
        "ticket_id": str(view.ticket_id),
        "order_id": view.order_id,
        "state": view.state,
        "amount": view.amount,
        "approved_by": view.approved_by,
        "review_reason": view.review_reason,
        "notice": view.notice,
        "outcome": explanation.outcome,
        "decided_at": stored.decided_at,
        "policy": {"id": stored.policy_id, "version": stored.policy_version, "sha256": stored.policy_sha256},
        "conditions": explanation.rows,
    }
    return document if unknown is None else {**document, "unknown": unknown}


def _show(view: TicketView, stored: StoredDecision, explanation: Explanation) -> None:
    from jitui.money import to_decimal_text

    console = results()
    amount = to_decimal_text(view.amount.amount_minor, view.amount.currency)
    console.print(f"Ticket {view.ticket_id}", style="bold")
    console.print(f"Order {view.order_id}: {amount} {view.amount.currency}, {view.state}")
    guard = f", held back by {view.review_reason}" if view.review_reason else ""
    console.print(f"Decided {stored.decided_at.isoformat(timespec='seconds')}: {explanation.outcome}{guard}")
    policy = f"{stored.policy_id}, version {stored.policy_version}, sha256 {stored.policy_sha256[:12]}"
    console.print(f"By policy {policy}")
    console.print(_table(explanation))


def _table(explanation: Explanation) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), show_header=True, header_style="bold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("condition", overflow="fold")
    table.add_column("facts", overflow="fold")
    for row in explanation.rows:
        table.add_row(
            styled(row.verdict.value, _COLOURS[row.verdict.value]), f"{row.sentence} ({row.id})", _facts_text(row)
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
