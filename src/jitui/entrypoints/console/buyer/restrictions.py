"""The buyer's page of restrictions: why the service is withdrawn and until when, and the appeal against it."""

from __future__ import annotations

from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.governance.appeals import LONGEST_APPEAL, AppealFilter, AppealState, new_appeal
from jitui.aftersales.governance.statement_of_reasons import statement_of
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.entrypoints.console.page.access import needs
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.typed import several_lines
from jitui.entrypoints.console.page.visit import Page, Visit, Visiting, go_to, show
from jitui.identity.access import Permission
from jitui.settings import Language

PATH = "/buyer/restrictions"
MOST_APPEALS = 200


@get("/restrictions", opt=needs(Permission.RESTRICTIONS_READ))
async def restrictions_page(visit: Visiting) -> Page:
    """The buyer's restrictions, also past ones, each with its statement of reasons and its appeals."""
    return await _page(visit)


@post("/restrictions/{restriction_id:uuid}/appeal", opt=needs(Permission.APPEALS_WRITE), status_code=303)
async def open_appeal(visit: Visiting, restriction_id: FromPath[UUID], data: Form) -> Response[str]:
    """Contest a restriction; sending the same words again is the same appeal."""
    service, text = visit.service, several_lines(data.get("text", ""))
    if not text or len(text) > LONGEST_APPEAL:
        return await _page(visit, unsent=(restriction_id, text), status_code=400)
    appeal = new_appeal(
        restriction_id,
        visit.reader.subject_id,
        text,
        now=service.clock(),
        answer_days=service.settings.appeal_answer_days,
    )
    done = await service.appeals.open(appeal)
    if not isinstance(done, Refusal):
        return go_to(PATH)
    if done.code is RefusalCode.NOT_FOUND:
        raise NotFoundException
    return await _page(visit, refusal=done, unsent=(restriction_id, text), status_code=409)


async def _page(
    visit: Visit, *, refusal: Refusal | None = None, unsent: tuple[UUID, str] | None = None, status_code: int = 200
) -> Page:
    service, buyer_id = visit.service, visit.reader.subject_id
    rows = await service.registry.restrictions_of(buyer_id)
    appeals = await service.appeals.list(AppealFilter(buyer_id=buyer_id, limit=MOST_APPEALS))
    language = "zh" if visit.speech.language is Language.ZH_CN else "en"
    zone, days = service.settings.time_zone, service.settings.appeal_answer_days
    return show(
        visit,
        "buyer/restrictions.html",
        status_code=status_code,
        restrictions=[
            {
                "row": row,
                "stands": row.stands(service.clock()),
                "statement": statement_of(row, time_zone=zone, answer_days=days)[language],
                "unsent": unsent[1] if unsent is not None and unsent[0] == row.restriction_id else "",
                "appeals": [appeal for appeal in appeals if appeal.restriction_id == row.restriction_id],
            }
            for row in rows
        ],
        OPEN=AppealState.OPEN,
        refusal=refusal,
        too_long=unsent is not None and refusal is None,
        longest=LONGEST_APPEAL,
    )
