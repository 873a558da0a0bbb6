"""A rejection says why, in a code and in words, and shows it (R4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import Rejection, reject
from jitui.aftersales.model.review import EvidenceItem, RejectionCode
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.model.view import RejectionView, view_ticket
from jitui.aftersales.outcomes import Refusal, RefusalCode
from tests.aftersales.market import NOW, Market, on_both_stores, ticket_of
from tests.aftersales.test_review import MERCHANT, reviewed
from tests.known_bugs.steps import snapshot_of

SHOWN = (EvidenceItem("the chat of 1 June", "https://chat.example/1"),)


@on_both_stores
@pytest.mark.parametrize(
    ("incomplete", "path"),
    [
        (Rejection(RejectionCode.OTHER, " ", SHOWN), "reason"),
        (Rejection(RejectionCode.OTHER, "made already"), "evidence"),
        (Rejection(RejectionCode.MADE_TO_ORDER, "made already", (EvidenceItem(" "),)), "evidence"),
        (Rejection(RejectionCode.ALREADY_SHIPPED, "it is on its way", SHOWN), "shipment"),
        (Rejection(RejectionCode.OTHER, "made already", SHOWN * 11), "evidence"),
    ],
)
async def test_without_reason_or_evidence_nothing_is_rejected(market: Market, incomplete: Rejection, path: str) -> None:
    _, ticket, ref = await reviewed(market)
    done = await reject(market.store, ref, incomplete, Acting(MERCHANT, NOW))
    assert isinstance(done, Refusal) and (done.code, done.path) == (RefusalCode.EVIDENCE_MISSING, path)
    assert (await snapshot_of(market, ref)).ticket(ticket.ticket_id) == ticket


@on_both_stores
async def test_the_view_shows_the_rejection_with_its_evidence_and_the_way_to_contest_it(market: Market) -> None:
    _, ticket, ref = await reviewed(market)
    done = await reject(
        market.store, ref, Rejection(RejectionCode.MADE_TO_ORDER, "made already", SHOWN), Acting(MERCHANT, NOW)
    )
    assert ticket_of(done).state is TicketState.REJECTED
    review = view_ticket(await snapshot_of(market, ref), ticket.ticket_id).review
    assert review is not None and isinstance(review.rejection, RejectionView)
    assert (review.rejection.reason_code, review.rejection.evidence) == (RejectionCode.MADE_TO_ORDER, SHOWN)
    assert (review.rejection.arbitration_until - NOW).days == 7


@on_both_stores
async def test_a_rejection_of_an_earlier_release_is_still_shown(market: Market) -> None:
    """Its timeline row has the words alone."""
    _, ticket, ref = await reviewed(market)
    await reject(market.store, ref, Rejection(RejectionCode.OTHER, "no", SHOWN), Acting(MERCHANT, NOW))
    snapshot = await snapshot_of(market, ref)
    told = [replace(event, detail={"reason": "no"}) for event in snapshot.timeline if event.why == "rejected"]
    old = (*snapshot.timeline[:-1], *told)
    review = view_ticket(replace(snapshot, timeline=old), ticket.ticket_id).review
    assert review is not None and review.rejection is not None
    assert (review.rejection.reason_code, review.rejection.reason) == (None, "no")
