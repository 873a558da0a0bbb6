"""Access to pages (I8): buyers see their own things, shops their own, and everybody else gets the same 404."""

from __future__ import annotations

from uuid import UUID

from litestar.exceptions import NotAuthorizedException, NotFoundException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import Guard

from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.ports import OrderRef, TicketRef
from jitui.entrypoints.console.visit import AnyConnection, Visit, service_of
from jitui.identity.people import Role, whose_session
from jitui.ids import lane_of, lane_of_id
from jitui.text import why_no_id

SESSION_COOKIE = "jitui_session"
LONGEST_ID = 200


class Sessions(AbstractAuthenticationMiddleware):
    """Puts the person of the session cookie into the request; without one it is a visitor's."""

    async def authenticate_request(self, connection: AnyConnection) -> AuthenticationResult:
        token = connection.cookies.get(SESSION_COOKIE)
        if not token:
            return AuthenticationResult(user=None, auth=None)
        service = service_of(connection)
        person = await whose_session(service.people, token, now=service.clock())
        return AuthenticationResult(user=person, auth=token)


def only(role: Role) -> Guard:
    """A guard for routes of one role: others get 403, and visitors are asked to sign in."""

    def guard(connection: AnyConnection, _: BaseRouteHandler) -> None:
        if connection.scope.get("method") == "OPTIONS":  # the answer only lists methods, so no session is needed
            return
        person = connection.user
        if person is None:
            raise NotAuthorizedException
        if person.role is not role:
            raise PermissionDeniedException

    return guard


async def own_ticket(visit: Visit, ticket_id: UUID) -> OrderSnapshot:
    """The order snapshot of a ticket that belongs to the reader; raises NotFoundException otherwise."""
    return _own(visit, await visit.service.store.read_order(TicketRef(lane_of_id(ticket_id), ticket_id)))


async def own_order(visit: Visit, order_id: str) -> OrderSnapshot:
    """The snapshot of an order that belongs to the buyer."""
    reader = visit.reader
    return _own(visit, await visit.service.store.read_order(OrderRef(lane_of(reader.subject_id), known_text(order_id))))


def known_text(text: str) -> str:
    """The text, if it can be an id; raises NotFoundException otherwise."""
    if why_no_id(text) is not None:
        raise NotFoundException
    return text


def _own(visit: Visit, snapshot: OrderSnapshot | None) -> OrderSnapshot:
    reader = visit.reader
    if snapshot is None:
        raise NotFoundException
    owner = snapshot.order.buyer_id if reader.role is Role.BUYER else snapshot.order.shop_id
    if owner != reader.subject_id:
        raise NotFoundException
    return snapshot
