"""What is stored about one buyer, handed out whole, and the erasure of a buyer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from litestar.params import FromPath

from jitui.aftersales.governance.erasure import ErasurePending, Pending, keep_until
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.fields import may_name
from jitui.entrypoints.http.operation import delete, get, operation
from jitui.entrypoints.http.problems import MOST_FAULTS, REFUSALS, Fault, Problem, not_found
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Shown
from jitui.identity.access import Permission


class PersonalDataAnswer(Shown, frozen=True, kw_only=True):
    """Everything that is stored about a buyer: in `data`, by what it is."""

    buyer_id: str
    exported_at: datetime
    data: Mapping[str, object]


class ErasureAnswer(Shown, frozen=True, kw_only=True):
    """An erasure; `erased_before`: nothing was left to erase."""

    erasure_id: UUID | None
    erased_before: bool
    orders: int
    tickets: int


_TAG = ["Personal data"]


@get(
    "/v1/buyers/{buyer_id:str}/export",
    tags=_TAG,
    summary="Export a buyer's data",
    description="All that is stored about the buyer, with what other people wrote on the buyer's tickets. Who took it "
    "is written in the audit log.",
    opt=operation({200: PersonalDataAnswer}, Permission.PERSONAL_DATA_READ),
)
async def export_buyer(request: RequestContext, buyer_id: FromPath[str]) -> Reply:
    """Return everything that is stored about a buyer."""
    if not may_name(buyer_id):
        return not_found()
    now = request.service.clock()
    data = await request.service.personal_data.export(buyer_id, by=request.actor.id, now=now)
    return not_found() if data is None else answer(PersonalDataAnswer(buyer_id=buyer_id, exported_at=now, data=data))


@delete(
    "/v1/buyers/{buyer_id:str}",
    tags=_TAG,
    summary="Erase a buyer",
    description="For good. Orders, refunds, decisions and the ledger stay, under a random id. Refused while something "
    "about the buyer is open, with what it is and when it ends. May be repeated.",
    opt=operation({200: ErasureAnswer}, Permission.PERSONAL_DATA_WRITE, refusals=(RefusalCode.ERASURE_PENDING,)),
)
async def erase_buyer(request: RequestContext, buyer_id: FromPath[str]) -> Reply:
    """Erase a buyer."""
    if not may_name(buyer_id):
        return not_found()
    service, now = request.service, request.service.clock()
    until = keep_until(now, service.settings.erasures_keep)
    done = await service.personal_data.erase(buyer_id, by=request.actor.id, now=now, keep_until=until)
    if done is None:
        return not_found()
    if isinstance(done, ErasurePending):
        return _pending(done)
    return answer(
        ErasureAnswer(erasure_id=done.erasure_id, erased_before=done.again, orders=done.orders, tickets=done.tickets)
    )


def _pending(found: ErasurePending) -> Problem:
    ends = found.possible_from
    when = "when somebody has ended it" if ends is None else f"from {_time(ends)} on, if nothing new begins"
    faults = tuple(Fault(f"{one.kind} {one.name}", _sentence(one)) for one in found.pending[:MOST_FAULTS])
    return Problem(
        REFUSALS[RefusalCode.ERASURE_PENDING],
        f"{len(found.pending)} things about this buyer are open; the erasure is possible {when}.",
        errors=faults,
    )


def _sentence(one: Pending) -> str:
    ends = "until somebody has ended it" if one.until is None else f"until {_time(one.until)} at the latest"
    return f"Of order {one.order_id}; open {ends}"


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


HANDLERS = (export_buyer, erase_buyer)

EXAMPLES = (
    PersonalDataAnswer(
        buyer_id="b-1",
        exported_at=sample.REFUNDED_AT,
        data={"buyer": {"buyer_id": "b-1", "region": "CN-33"}, "pseudonym": sample.PSEUDONYM, "orders": []},
    ),
    ErasureAnswer(erasure_id=sample.ERASURE_ID, erased_before=False, orders=3, tickets=1),
)
