"""What all operations that change a ticket have in common: its address, its version, its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from msgspec import Meta

from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.model.review import EvidenceItem
from jitui.aftersales.model.ticket import Actor
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.http.fields import Url, Words
from jitui.entrypoints.http.problems import VERSION_REQUIRED, Problem, ProblemRaised, not_found
from jitui.entrypoints.http.read_headers import read_version
from jitui.entrypoints.http.reply import Reply, respond
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources.shared import Sent
from jitui.entrypoints.http.resources.ticket_view import headers_of_ticket, ticket_answer, ticket_ref

STATE_REFUSALS = (
    RefusalCode.TICKET_STALE,
    RefusalCode.TICKET_ALREADY_APPROVED,
    RefusalCode.TICKET_ALREADY_CLOSED,
)
"""The refusals of every command on a ticket in review."""

APPROVAL_REFUSALS = (
    RefusalCode.ORDER_ALREADY_SHIPPED,
    RefusalCode.AMOUNT_EXCEEDS_REFUNDABLE,
    RefusalCode.DISPUTE_OPEN,
    RefusalCode.NOTHING_TO_REFUND,
)
"""The refusals of every approval."""

EvidenceText = Annotated[Words, Meta(max_length=500, description="What it shows.")]


class EvidenceSent(Sent, frozen=True, kw_only=True):
    """A piece of evidence: what it shows, and where it can be seen."""

    text: EvidenceText
    url: Url = ""


def evidence_of(sent: list[EvidenceSent]) -> tuple[EvidenceItem, ...]:
    """Evidence as the core has it."""
    return tuple(EvidenceItem(piece.text, piece.url) for piece in sent)


Command = Callable[[TicketRef, Acting], Awaitable[Executed | Refusal | StoredResponse]]


async def on_ticket(
    request: RequestContext, ticket_id: str, sent: object, command: Command, *, version: int | None, by: Actor
) -> Reply:
    """Run a command on the ticket of the address, as the key's shop or buyer; the answer is the ticket after it."""
    ref = ticket_ref(ticket_id)
    if ref is None:
        return not_found()

    def run(reply: IdempotentReply | None) -> Awaitable[Executed | Refusal | StoredResponse]:
        acting = Acting(by, request.service.clock(), version, request.own_shop, request.own_buyer, reply)
        return command(ref, acting)

    return await respond(
        request,
        sent,
        run,
        lambda done: ticket_answer(request, done.snapshot, ref.ticket_id),
        headers_of_ticket,
        (str(version),),
    )


def sent_version(request: RequestContext) -> int | None:
    """The version that the caller says to have read, if any."""
    return read_version(request.sent_headers.get(b"if-match"))


def required_version(request: RequestContext) -> int:
    """The version that the caller has read; raises a problem when it is not said."""
    version = sent_version(request)
    if version is None:
        raise ProblemRaised(
            Problem(VERSION_REQUIRED, 'Send the version of the ticket as If-Match: "…"; its ETag has it.')
        )
    return version
