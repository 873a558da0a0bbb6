"""What happens at a deadline: tickets in review are announced and closed, incidents go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from jitui.aftersales.commands.assignment import remind
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.incidents import apply_deadline
from jitui.aftersales.commands.review import expire
from jitui.aftersales.ports import IncidentRef, TicketRef
from jitui.bootstrap import Service
from jitui.logs import get_logger, tell_failure

BATCH = 200

_Ref = TypeVar("_Ref", TicketRef, IncidentRef)

log = get_logger("jitui.worker")


async def expire_due(service: Service) -> int:
    """Close or approve every ticket whose deadline has passed; returns how many it closed or approved."""
    now = service.clock()
    due = await service.store.expired_tickets(now, BATCH)
    return await _each(due, lambda ref: expire(service.store, ref, now=now), "ticket_not_expired")


async def remind_due(service: Service) -> int:
    """Announce the deadlines that are near; returns how many were announced."""
    now = service.clock()
    due = await service.store.tickets_to_remind(now, BATCH)
    return await _each(due, lambda ref: remind(service.store, ref, now=now), "ticket_not_reminded")


async def apply_incident_deadlines(service: Service) -> bool:
    """Charge advances, remind of incidents, end the time to contest them, and write off what was not recovered."""
    now = service.clock()
    due = await service.store.due_incidents(now, BATCH)
    rules = service.incident_rules
    await _each(due, lambda ref: apply_deadline(service.store, ref, rules, now=now), "incident_deadline_not_applied")
    return False


async def _each(due: Sequence[_Ref], command: Callable[[_Ref], Awaitable[object]], failed: str) -> int:
    """Run a command on each that is due; one that fails is logged, and does not stop the others. How many changed."""
    done = 0
    for ref in due:
        try:
            ran = await command(ref)
            done += isinstance(ran, Executed) and bool(ran.changes)
        except Exception as error:
            tell_failure(log, failed, error, of=str(ref))
    return done
