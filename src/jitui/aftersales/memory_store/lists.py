"""Lists in memory: the pages that PostgreSQL has of the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jitui.aftersales.incident_list import IncidentFilter, place_of_incident
from jitui.aftersales.memory_store.list_page import page_of
from jitui.aftersales.model.incident import Incident
from jitui.aftersales.model.refund import Refund
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import OperatorTask, TaskFilter, place_of_task
from jitui.aftersales.model.ticket import Ticket
from jitui.aftersales.ports import TicketFilter
from jitui.aftersales.refund_list import ListedRefund, ListedRefunds, RefundFilter, place_of_refund
from jitui.aftersales.ticket_list import ListedTickets, place_of


def list_tickets(tickets: Iterable[Ticket], wanted: TicketFilter) -> ListedTickets:
    """The page of these tickets."""
    fitting = (ticket for ticket in tickets if _ticket_fits(ticket, wanted))
    return ListedTickets(
        page_of(fitting, lambda ticket: place_of(ticket, wanted.sort), wanted.order, wanted.after, wanted.limit)
    )


def list_refunds(tickets: Iterable[tuple[Refund, Ticket]], wanted: RefundFilter) -> ListedRefunds:
    """The page of these refunds, each with its ticket."""
    fitting = (
        ListedRefund(refund, ticket.shop_id, ticket.approved_by, refund.state)
        for refund, ticket in tickets
        if _refund_fits(refund, ticket, wanted)
    )
    return ListedRefunds(
        page_of(fitting, lambda row: place_of_refund(row, wanted.sort), wanted.order, wanted.after, wanted.limit)
    )


def list_incidents(incidents: Iterable[tuple[Incident, str]], wanted: IncidentFilter) -> Sequence[Incident]:
    """The page of these incidents, each with the id of its buyer."""
    fitting = (
        incident
        for incident, buyer_id in incidents
        if wanted.shop_id in (None, incident.shop_id)
        and wanted.buyer_id in (None, buyer_id)
        and wanted.order_id in (None, incident.order_id)
        and wanted.state in (None, incident.state)
    )
    return page_of(fitting, lambda row: place_of_incident(row, wanted.sort), wanted.order, wanted.after, wanted.limit)


def list_tasks(
    tasks: Iterable[OperatorTask], wanted: TaskFilter, buyers: dict[str, OrderSnapshot]
) -> Sequence[OperatorTask]:
    """The page of these tasks; the orders that they may be about say whose they are."""

    def buyer_of(task: OperatorTask) -> str | None:
        snapshot = None if task.order_id is None else buyers.get(task.order_id)
        return None if snapshot is None else snapshot.order.buyer_id

    fitting = (
        task
        for task in tasks
        if wanted.state in (None, task.state)
        and wanted.provider in (None, task.provider)
        and wanted.kind in (None, task.kind)
        and wanted.order_id in (None, task.order_id)
        and wanted.shop_id in (None, task.shop_id)
        and (wanted.buyer_id is None or wanted.buyer_id == buyer_of(task))
    )
    return page_of(fitting, lambda task: place_of_task(task, wanted.sort), wanted.order, wanted.after, wanted.limit)


def _ticket_fits(ticket: Ticket, wanted: TicketFilter) -> bool:
    return (
        wanted.shop_id in (None, ticket.shop_id)
        and wanted.buyer_id in (None, ticket.buyer_id)
        and wanted.order_id in (None, ticket.order_id)
        and wanted.state in (None, ticket.state)
        and wanted.approved_by in (None, ticket.approved_by)
        and (wanted.requested_from is None or ticket.requested_at >= wanted.requested_from)
        and (wanted.requested_until is None or ticket.requested_at < wanted.requested_until)
    )


def _refund_fits(refund: Refund, ticket: Ticket, wanted: RefundFilter) -> bool:
    return (
        wanted.shop_id in (None, ticket.shop_id)
        and wanted.buyer_id in (None, ticket.buyer_id)
        and wanted.order_id in (None, refund.order_id)
        and wanted.state in (None, refund.state)
        and wanted.provider in (None, refund.provider)
        and wanted.approved_by in (None, ticket.approved_by)
        and (wanted.queued_from is None or refund.queued_at >= wanted.queued_from)
        and (wanted.queued_before is None or refund.queued_at < wanted.queued_before)
    )
