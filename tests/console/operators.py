"""People who work for the platform, and refunds that need them, for tests of the operators' pages."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.review import approve
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.task import TaskFilter, TaskKind, TaskState
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.ports import AttemptRef, OrderRef, TicketRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.deadlines import apply_incident_deadlines
from jitui.identity.access import Role
from jitui.identity.people import Person, enrol
from tests.console.marketplace import NEWCOMER, PREMIUM, SHOP, Marketplace

LI = Person("li.na", Role.OPERATOR, "", "李娜", {"zh": "处理退款与任务", "en": "Works on refunds and tasks"}, True)
WANG = Person("wang.wei", Role.OPERATOR, "", "王伟", {"zh": "第二人", "en": "The second person"}, True)
SUPPORT = Person("sun.yu", Role.SUPPORT, "", "孙宇", {"zh": "客服", "en": "Answers buyers"}, True)
AUDITOR = Person("qian.jing", Role.AUDITOR, "", "钱静", {"zh": "审计", "en": "Reads everything"}, True)
DECLINED = RefundResult(RefundResultKind.DECLINED, reason="card closed")
PENDING = RefundResult(RefundResultKind.PENDING)
UNKNOWN = RefundResult(RefundResultKind.UNKNOWN, reason="timed out")
SUCCEEDED = RefundResult(RefundResultKind.SUCCEEDED, provider_refund_id="rf-7")
PAID_BY_PLATFORM = RefundResult(RefundResultKind.SUCCEEDED, provider_refund_id="rf-8", advanced=True)


async def staffed(market: Marketplace) -> None:
    """Everybody above can sign in."""
    for person in (LI, WANG, SUPPORT, AUDITOR):
        await enrol(market.service.people, person, None, now=market.service.clock())


async def refunding(market: Marketplace, order_id: str, minor: int = 12900) -> UUID:
    """An approved refund that nobody has sent yet; its id."""
    ref = await market.order(PREMIUM, order_id, [("登山杖", 1, minor)])
    await market.service.feed.roll_up(market.service.clock())
    await market.ask(PREMIUM, order_id)
    return await refund_of(market, ref)


async def refund_of(market: Marketplace, ref: OrderRef) -> UUID:
    snapshot = await market.service.store.read_order(ref)
    assert snapshot is not None
    return snapshot.refunds[0].refund_id


async def hears(market: Marketplace, refund_id: UUID, result: RefundResult = DECLINED) -> None:
    """A worker sends what is due, and the provider answers about this refund."""
    store, now = market.service.store, market.service.clock()
    for claimed in await store.claim_refunds(now=now, lease_until=now + timedelta(seconds=60), limit=9):
        if claimed.refund.refund_id == refund_id:
            ref = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
            await confirm(store, ref, RefundUpdate(result), now=now)
    await market.service.refund_list.fill()


async def failed(market: Marketplace, order_id: str, minor: int = 12900) -> UUID:
    """A refund that its provider has refused for good."""
    refund_id = await refunding(market, order_id, minor)
    await hears(market, refund_id)
    return refund_id


async def advanced(market: Marketplace, order_id: str, minor: int = 9900) -> UUID:
    """A refund that the platform's account paid, charged to the shop; the incident's id."""
    service, now = market.service, market.service.clock()
    ref = await market.order(NEWCOMER, order_id, [("头灯", 1, minor)])
    ticket_id = await market.ask(NEWCOMER, order_id)
    acting = Acting(Actor(ActorKind.MERCHANT, SHOP.subject_id), now)
    assert isinstance(await approve(service.store, TicketRef(ref.lane, ticket_id), acting), Executed)
    refund_id = await refund_of(market, ref)
    await hears(market, refund_id, PAID_BY_PLATFORM)  # where no worker has been quicker
    snapshot = await service.store.read_order(ref)
    assert snapshot is not None
    (attempt,) = (one for one in snapshot.attempts if one.refund_id == refund_id)
    told = RefundUpdate(PAID_BY_PLATFORM, looked_up=True)
    await confirm(service.store, AttemptRef(ref.lane, attempt.attempt_id), told, now=now)
    await apply_incident_deadlines(service)
    found = await service.queries.incidents(IncidentFilter(limit=100))
    return next(one.incident_id for one in found if one.order_id == order_id)


async def task_of(market: Marketplace, refund_id: UUID) -> UUID:
    """The open task of a failed refund."""
    found = await market.service.tasks.list(TaskFilter(TaskState.OPEN, kind=TaskKind.REFUND_FAILED))
    return next(task.task_id for task in found if task.evidence["refund_id"] == str(refund_id))
