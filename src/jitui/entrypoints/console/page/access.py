"""Access to pages (I8): buyers see their own things, shops their own, and everybody else gets the same 404."""

from __future__ import annotations

from uuid import UUID

from litestar.exceptions import NotAuthorizedException, NotFoundException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import Guard

from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.ports import OrderRef, TicketRef
from jitui.entrypoints.console.page.visit import AnyConnection, Visit, service_of
from jitui.identity.access import BOUND_ROLES, ROLE_GRANTS, Permission, Role, allows
from jitui.identity.people import OpenSession, lacks_second_factor, whose_session
from jitui.ids import lane_of, lane_of_id
from jitui.text import why_no_id

SESSION_COOKIE = "jitui_session"
LONGEST_ID = 200
STAFF = tuple(role for role in Role if role not in BOUND_ROLES)
"""Who works for the platform; what each of them may do, the permissions say."""

_NEEDED = "permission"
_SESSION = "console_session"


class Sessions(AbstractAuthenticationMiddleware):
    """Puts the person of the session cookie into the request; without one it is a visitor's."""

    async def authenticate_request(self, connection: AnyConnection) -> AuthenticationResult:
        token = connection.cookies.get(SESSION_COOKIE)
        if not token:
            return AuthenticationResult(user=None, auth=None)
        service = service_of(connection)
        session = await whose_session(service.people, token, now=service.clock())
        connection.scope["state"][_SESSION] = session
        return AuthenticationResult(user=None if session is None else session.person, auth=token)


class SecondFactorNeeded(PermissionDeniedException):
    """The role needs a second factor, and this session has none."""


def session_of(connection: AnyConnection) -> OpenSession | None:
    """The session of whoever is signed in."""
    found = connection.scope["state"].get(_SESSION)
    return found if isinstance(found, OpenSession) else None


def lacks_factor(connection: AnyConnection) -> bool:
    """Whether whoever is signed in has to set up a second factor, or to sign in with it, before anything else."""
    session = session_of(connection)
    return session is not None and lacks_second_factor(session, service_of(connection).second_factor_roles)


def needs(permission: Permission) -> dict[str, Permission]:
    """A handler's `opt`: the permission that it takes."""
    return {_NEEDED: permission}


def permission_of(handler: BaseRouteHandler) -> Permission | None:
    """The permission that a handler takes."""
    found = handler.opt.get(_NEEDED)
    return found if isinstance(found, Permission) else None


def pages_of(*roles: Role) -> Guard:
    """Keeps a router for these roles and what each may do: others get 403, and who is not signed in is asked to."""

    def guard(connection: AnyConnection, handler: BaseRouteHandler) -> None:
        if connection.scope.get("method") == "OPTIONS":  # says what an address takes; no session is looked for
            return
        person = connection.user
        if person is None:
            raise NotAuthorizedException
        needed = permission_of(handler)
        if person.role not in roles or needed is None or needed not in ROLE_GRANTS[person.role]:
            raise PermissionDeniedException
        if lacks_factor(connection):
            raise SecondFactorNeeded

    return guard


def may(visit: Visit, permission: Permission) -> bool:
    """Whether the reader's role has a permission, on own or on all things; parts of a page are left out without it."""
    return permission in ROLE_GRANTS[visit.reader.role]


async def own_ticket(visit: Visit, ticket_id: UUID) -> OrderSnapshot:
    """The order snapshot of a ticket that is the reader's own."""
    snapshot = await visit.service.store.read_order(TicketRef(lane_of_id(ticket_id), ticket_id))
    return _seen(visit, snapshot, Permission.TICKETS_READ)


async def own_order(visit: Visit, order_id: str) -> OrderSnapshot:
    """The snapshot of an order that belongs to the buyer."""
    reader = visit.reader
    snapshot = await visit.service.store.read_order(OrderRef(lane_of(reader.subject_id), known_text(order_id)))
    return _seen(visit, snapshot, Permission.ORDERS_READ)


def known_text(text: str) -> str:
    """The text, if it can be an id; raises NotFoundException otherwise."""
    if why_no_id(text) is not None:
        raise NotFoundException
    return text


def _seen(visit: Visit, snapshot: OrderSnapshot | None, permission: Permission) -> OrderSnapshot:
    reader = visit.reader
    if snapshot is None:
        raise NotFoundException
    owners = {Role.BUYER: snapshot.order.buyer_id, Role.MERCHANT: snapshot.order.shop_id}
    own = owners.get(reader.role) == reader.subject_id
    if not allows(ROLE_GRANTS[reader.role], permission, own=own):
        raise NotFoundException
    return snapshot
