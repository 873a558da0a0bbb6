"""The merchant's page of coverage: whether the guarantee covers the shop and why, and a complaint about it (R13)."""

from __future__ import annotations

from litestar import get, post
from litestar.response import Response

from jitui.aftersales.governance.complaint import Complaint, ComplaintFilter
from jitui.aftersales.governance.gates import as_the_merchant_reads, entry_as_the_merchant_reads
from jitui.aftersales.governance.registry import Scope, row_of_shop
from jitui.aftersales.outcomes import Refusal
from jitui.entrypoints.console.page.access import needs
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.typed import several_lines
from jitui.entrypoints.console.page.visit import Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.entrypoints.console.words.risk import COVERAGE_NEWS
from jitui.identity.access import Permission
from jitui.ids import lane_of, new_id

LONGEST_COMPLAINT = 2000
MOST_HISTORY = 50
MOST_COMPLAINTS = 20


def _(message: str) -> str:
    return message


@get("/coverage", opt=needs(Permission.COVERAGE_READ))
async def coverage(visit: Visiting) -> Page:
    """Whether the guarantee covers the shop, its categories and items, by which gate, and what brings it back."""
    return await _page(visit)


@post("/coverage/complaints", opt=needs(Permission.COMPLAINTS_WRITE), status_code=303)
async def complain(visit: Visiting, data: Form) -> Response[str]:
    """Complain about the coverage; the platform answers by a deadline."""
    reason = several_lines(data.get("reason", ""))
    if not reason or len(reason) > LONGEST_COMPLAINT:
        problem = _("Please write why, in up to 2,000 characters: the platform reads it.")
        return await _page(visit, written=reason, problem=visit.speech.say(problem), status_code=422)
    service, shop_id, now = visit.service, visit.reader.subject_id, visit.service.clock()
    answer_by = now + service.settings.complaints_answer_within
    made = await service.complaints.make(
        Complaint(new_id(lane_of(shop_id)), shop_id, reason, visit.reader.name, now, answer_by)
    )
    if isinstance(made, Refusal):
        return await _page(visit, written=reason, problem=visit.speech.word(made.code), status_code=409)
    return go_to("/merchant/coverage")


async def _page(visit: Visit, *, written: str = "", problem: str | None = None, status_code: int = 200) -> Page:
    service, shop_id = visit.service, visit.reader.subject_id
    rows = await service.registry.coverage_of(shop_id)
    nearest = row_of_shop(rows)
    history = await service.gates.history(shop_id, MOST_HISTORY)
    complaints = await service.complaints.list(ComplaintFilter(shop_id, limit=MOST_COMPLAINTS))
    return show(
        visit,
        "merchant/coverage.html",
        status_code=status_code,
        shop=await shop_name(visit, shop_id),
        covered=nearest.covered if nearest else True,
        nearest=nearest,
        rows=[row for row in rows if row.scope in (Scope.CATEGORY, Scope.ITEM)],
        gates=[as_the_merchant_reads(record) for record in await service.gates.of_shop(shop_id)],
        history=[entry_as_the_merchant_reads(entry) for entry in history],
        news=COVERAGE_NEWS,
        language=visit.speech.texts,
        complaints=sorted(complaints, key=lambda one: one.made_at, reverse=True),
        written=written,
        problem=problem,
    )
