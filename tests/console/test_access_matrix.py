"""Every role at every page and form of the console, on own and on others' things: the whole matrix, by requests.

The table here is written by hand, apart from the one that the console decides by.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from litestar import Router, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from jitui.aftersales.governance.appeals import AppealFilter
from jitui.aftersales.governance.complaint import ComplaintFilter
from jitui.aftersales.governance.confirmations import Confirmation
from jitui.aftersales.governance.pauses import Lifter, propose_lift
from jitui.aftersales.governance.proposals import Proposal, ProposalState
from jitui.aftersales.governance.registry import CoverageFilter, Pause, Restriction, Scope
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.task import TaskFilter
from jitui.aftersales.refund_list import RefundFilter
from jitui.bootstrap import default_policy
from jitui.entrypoints.console import benefit
from jitui.entrypoints.console.buyer import pages as buyer
from jitui.entrypoints.console.merchant import pages as merchant
from jitui.entrypoints.console.mount import AREAS, console_app, console_handlers
from jitui.entrypoints.console.operations import pages as operations
from jitui.entrypoints.console.page.access import Sessions, needs, pages_of, permission_of
from jitui.entrypoints.console.risk import pages as risk
from jitui.entrypoints.console.support import cases, search
from jitui.identity.access import Permission, Role
from jitui.identity.people import Person, enrol
from jitui.ids import lane_of, new_id
from tests.console.marketplace import NEWCOMER, OTHER_SHOP, PREMIUM, SHOP, Marketplace
from tests.console.operators import failed, staffed, task_of
from tests.console.pages import Visitor, visiting
from tests.console.policies import back_tests_kept
from tests.console.risk import complained

GOODS = [("水壶", 2, 8900)]
STAFF = {role: Person(role.value, role, "", role.value, sample=True) for role in Role if role.value in (
    "support", "risk", "operator", "auditor", "admin",
)}  # fmt: skip
VISITORS: dict[str, Person | None] = {
    "nobody": None,
    "buyer, own": NEWCOMER,
    "buyer, other": PREMIUM,
    "merchant, own": SHOP,
    "merchant, other": OTHER_SHOP,
    **{role.value: person for role, person in STAFF.items()},
}
TO_SIGN_IN, FORBIDDEN, HIDDEN = "to sign in", "403", "404"


@dataclass(frozen=True)
class Row:
    """What those get who may use it, on own things and on others'; the rest is asked to sign in, or gets 403.

    `role`: one role, or several with spaces between; the platform's own people have the same of everybody.
    """

    role: str
    own: str
    other: str
    fields: tuple[tuple[str, str], ...] = ()


READERS = "support risk operator auditor"
NO = (("version", "1"), ("code", "other"), ("reason", "No."), ("evidence", "A message."))
OFFER = (("version", "1"), ("units.l1", "1"), ("reason", "The other is made already."))
CONTACT = (("channel", "phone"), ("note", "Sends it back."), ("at", "2026-01-01T10:00"))
OUTCOME = (("version", "1"), ("outcome", "borne_by_platform"), ("reason", "The signal was late."))
ANSWER = (("verdict", "rejected"), ("answer", "It was not."))
PARCEL = (("order_id", "{order}"), ("tracking_no", "SF9"))
ROWS = '[{{"order_id": "A-2", "tracking_no": "SF9"}}]'
SHOWS = (("evidence", "A message."),)
POLICY_READERS = "support risk operator auditor admin"
WHY = (("reason", "A test."),)
LIVE = default_policy()
LIVE_TEXT = f"/risk/policies/texts/{LIVE.id}/{LIVE.version}"
RETRIED = (("state", "failed"), ("attempt", "1"), ("confirmed", "yes"))
NARROWED = (("restriction_id", "{new_restriction}"), ("seen", "1.0"), *WHY)
DECIDED = (("verdict", "rejected"), ("answer", "It was not."))
ANSWERED = (("outcome", "rejected"), ("answer", "It was not."))
TABLE = {
    "GET /buyer/orders": Row("buyer", "200", "200"),
    "GET /buyer/ask?order={order}": Row("buyer", "200", HIDDEN),
    "GET /buyer/ask/check?order={order}&units.l1=1": Row("buyer", "200", "200"),  # a part that says: not found
    "POST /buyer/ask": Row("buyer", "303", HIDDEN, (("order", "{order}"), ("units.l1", "1"))),
    "GET /buyer/tickets/{ticket}": Row("buyer", "200", HIDDEN),
    "GET /buyer/tickets/{ticket}/news?seen=1": Row("buyer", "200", HIDDEN),
    "POST /buyer/tickets/{ticket}/withdraw": Row("buyer", "303", HIDDEN, (("version", "1"),)),
    "POST /buyer/tickets/{ticket}/offer/accept": Row("buyer", "409", HIDDEN, (("version", "1"),)),
    "POST /buyer/tickets/{ticket}/offer/decline": Row("buyer", "409", HIDDEN, (("version", "1"),)),
    "POST /buyer/tickets/{ticket}/arbitration": Row("buyer", "409", HIDDEN, (("reason", "They are wrong."),)),
    "POST /buyer/tickets/{ticket}/arbitration/withdraw": Row("buyer", "409", HIDDEN),
    "POST /buyer/tickets/{ticket}/arbitration/evidence": Row("buyer", "409", HIDDEN, SHOWS),
    "GET /buyer/restrictions": Row("buyer", "200", "200"),
    "POST /buyer/restrictions/{restriction}/appeal": Row("buyer", "303", HIDDEN, (("text", "It was the shop."),)),
    "GET /merchant/tickets": Row("merchant", "200", "200"),
    "GET /merchant/tickets.csv": Row("merchant", "200", "200"),
    "GET /merchant/tickets/{ticket}": Row("merchant", "200", HIDDEN),
    "POST /merchant/tickets/{ticket}/approve": Row("merchant", "303", HIDDEN, (("version", "1"),)),
    "POST /merchant/tickets/{ticket}/reject": Row("merchant", "303", HIDDEN, NO),
    "POST /merchant/tickets/{ticket}/offer": Row("merchant", "303", HIDDEN, OFFER),
    "POST /merchant/tickets/{ticket}/assign": Row("merchant", "303", HIDDEN),
    "POST /merchant/tickets/{ticket}/release": Row("merchant", "303", HIDDEN),
    "POST /merchant/tickets/{ticket}/arbitration/evidence": Row("merchant", "409", HIDDEN, SHOWS),
    "GET /merchant/review": Row("merchant", "200", "200"),
    "POST /merchant/review": Row("merchant", "200", "200", (("ticket.{ticket}", "1"), ("action", "approve"))),
    "GET /merchant/templates": Row("merchant", "200", "200"),
    "POST /merchant/templates": Row("merchant", "303", "303", (("name", "no"), ("code", "other"), ("reason", "No."))),
    "POST /merchant/templates/delete": Row("merchant", "303", "303", (("name", "no"),)),
    "GET /merchant/shipping": Row("merchant", "200", "200"),
    "GET /merchant/benefit": Row("merchant", "200", "200"),
    "GET /platform/benefit": Row(READERS, "200", "200"),
    "GET /merchant/coverage": Row("merchant", "200", "200"),
    "GET /search?q={order}": Row(f"merchant {READERS}", "200", "200"),  # who finds what: test_search.py
    "GET /support/tickets": Row(READERS, "", "200"),
    "GET /support/tickets.csv": Row(READERS, "", "200"),
    "GET /support/tickets/{ticket}": Row(READERS, "200", ""),
    "GET /support/tickets/{ticket}/why": Row(READERS, "200", ""),
    "POST /merchant/shipping": Row("merchant", "200", "409", PARCEL),
    "POST /merchant/tickets/{ticket}/stop-ship": Row("merchant", "409", HIDDEN, (("outcome", "held"),)),
    "POST /merchant/shipping/file": Row("merchant", "422", "422"),  # with a file: test_shipping.py
    "POST /merchant/shipping/record": Row("merchant", "200", "200", (("rows", ROWS),)),
    "GET /merchant/incidents": Row("merchant", "200", "200"),
    "GET /merchant/incidents/{incident}": Row("merchant", "200", HIDDEN),
    "POST /merchant/incidents/{incident}/evidence": Row("merchant", "303", HIDDEN, (("text", "A photo."),)),
    "POST /merchant/incidents/{incident}/contacts": Row("merchant", "303", HIDDEN, CONTACT),
    "POST /merchant/incidents/{incident}/contest": Row("merchant", "409", HIDDEN, (("reason", "It was stopped."),)),
    "GET /support/incidents": Row(READERS, "200", ""),
    "GET /support/incidents/{incident}": Row(READERS, "200", ""),
    "POST /support/incidents/{incident}/evidence": Row("support operator", "303", "", (("text", "A photo."),)),
    "POST /support/incidents/{incident}/contacts": Row("support operator", "303", "", CONTACT),
    "POST /support/incidents/{incident}/contest": Row("support operator", "409", "", (("reason", "By phone."),)),
    "POST /support/incidents/{incident}/outcome": Row("operator", "303", "", OUTCOME),
    "POST /support/incidents/{incident}/recoveries": Row("operator", "409", "", (("amount", "1"),)),
    "POST /support/incidents/{incident}/contest/answer": Row("operator", "409", "", ANSWER),
    "POST /merchant/coverage/complaints": Row("merchant", "303", "303", (("reason", "The strike."),)),
    "GET /operations/refunds": Row(READERS, "", "200"),
    "GET /operations/refunds.csv": Row(READERS, "", "200"),
    "GET /operations/refunds/{refund}": Row(READERS, "", "200"),
    "POST /operations/refunds/{refund}/retry": Row("operator", "", "303", RETRIED),
    "GET /operations/tasks": Row("operator auditor", "", "200"),
    "GET /operations/tasks.csv": Row("operator auditor", "", "200"),
    "POST /operations/tasks/{task}/resolve": Row("operator", "", "303", (("note", "Done."),)),
    "GET /operations/reconciliation": Row("operator auditor", "", "200"),
    "POST /operations/reconciliation/statement": Row("operator", "", "422"),  # with a file: test_reconciliation.py
    "GET /operations/live": Row("operator auditor admin", "", "200"),
    "GET /operations/live/events": Row("operator auditor admin", "", "200"),
    "GET /risk/policies": Row(POLICY_READERS, "", "200"),
    "POST /risk/policies/roll-back": Row("risk operator", "", "409", (("version", "0"), *WHY)),
    "POST /risk/policies/stop": Row("risk operator", "", "409", (("stage", "canary"), ("publication", "1"), *WHY)),
    "POST /risk/policies/cancel": Row("risk operator", "", "409", (("publication", "1"), *WHY)),
    "POST /risk/policies/confirmations/{confirmation}": Row("risk operator", "", "409"),
    "POST /risk/policies/pauses": Row("risk operator", "", "303", (("scope", "platform"), ("hours", "0"), *WHY)),
    "POST /risk/policies/pauses/lift": Row("risk operator", "", "409", (("scope", "platform"), *WHY)),
    f"GET {LIVE_TEXT}": Row(POLICY_READERS, "", "200"),
    f"POST {LIVE_TEXT}/propose": Row("risk", "", "409", WHY),
    f"POST {LIVE_TEXT}/publish": Row("risk", "", "409"),
    f"POST {LIVE_TEXT}/shadow": Row("risk", "", "409", WHY),
    f"POST {LIVE_TEXT}/retire": Row("risk", "", "409", WHY),
    f"POST {LIVE_TEXT}/back-test": Row("risk", "", "409", (("against", "live"), ("days", "7"), ("live", "0"))),
    "GET /risk/policies/back-tests/{run}": Row(POLICY_READERS, "", "200"),
    "GET /risk/policies/back-tests/{run}/progress": Row(POLICY_READERS, "", "200"),
    "GET /risk/policies/back-tests/{run}/report": Row(READERS, "", "200"),
    "POST /risk/policies/back-tests/{run}/stop": Row("risk", "", "303"),
    f"GET {LIVE_TEXT}/announcement": Row(POLICY_READERS, "", "200"),
    f"POST {LIVE_TEXT}/announcement": Row("risk", "", "409", (("days", "0"),)),
    f"POST {LIVE_TEXT}/announcement/withdraw": Row("risk operator", "", "409", WHY),
    f"POST {LIVE_TEXT}/announcement/opinions": Row("risk operator", "", "409", (("said", "x"), ("said_by", "other"))),
    f"POST {LIVE_TEXT}/announcement/opinions/{{opinion}}/answer": Row("risk operator", "", "422"),
    "GET /risk/policies/editor": Row("risk", "", "200"),
    "POST /risk/policies/editor": Row("risk", "", "303", (("document", "{document}"), ("do", "keep"))),
    "POST /risk/policies/editor/check": Row("risk", "", "200", (("document", "{document}"),)),
    "GET /risk/policies/proposals/{proposal}": Row(POLICY_READERS, "", "200"),
    "POST /risk/policies/proposals/{proposal}/approve": Row("risk operator", "", "409", (("content_hash", "0" * 64),)),
    "POST /risk/policies/proposals/{proposal}/reject": Row("risk operator", "", "422"),
    "POST /risk/policies/proposals/{proposal}/withdraw": Row("risk", "", "409", WHY),
    "POST /risk/policies/proposals/{proposal}/schedule": Row("risk", "", "409"),
    "POST /risk/policies/proposals/{proposal}/canary": Row("risk", "", "409", (("percent", "5"),)),
    "POST /risk/policies/proposals/{proposal}/publish": Row("risk", "", "409"),
    "GET /risk/buyers": Row(READERS, "", "200"),
    "GET /risk/buyers.csv": Row(READERS, "", "200"),
    "GET /risk/buyers/{buyer}": Row(READERS, "", "200"),
    "POST /risk/buyers/{buyer}/restrictions": Row("risk", "", "303", NARROWED),
    "POST /risk/buyers/{buyer}/restrictions/{restriction}/lift": Row("risk", "", "303", WHY),
    "POST /risk/buyers/{buyer}/restrictions/{restriction}/propose-lift": Row("risk operator", "", "303", WHY),
    "POST /risk/buyers/{buyer}/restrictions/{restriction}/appeal": Row("support risk", "", "303", (("text", "No."),)),
    "POST /risk/buyers/{buyer}/appeals/{appeal}/decide": Row("risk", "", "303", DECIDED),
    "GET /risk/shops": Row(READERS, "", "200"),
    "GET /risk/shops.csv": Row(READERS, "", "200"),
    "GET /risk/shops/{shop}": Row(READERS, "", "200"),
    "POST /risk/shops/{shop}/coverage": Row("risk", "", "303", (("step", "out"), ("scope", "shop"), *WHY)),
    "POST /risk/shops/{shop}/coverage/propose": Row(
        "risk operator", "", "303", (("step", "cover"), ("scope", "shop"), *WHY)
    ),
    "POST /risk/shops/{shop}/complaints/{complaint}/answer": Row("risk operator", "", "303", ANSWERED),
    "GET /operations/audit": Row("auditor admin", "", "200"),
    "GET /operations/audit.csv": Row("auditor admin", "", "200"),
}


def shape(operation: str) -> str:
    """Method and address template, as a handler declares them."""
    address = operation.partition("?")[0]
    for name in (
        "ticket",
        "restriction",
        "refund",
        "task",
        "proposal",
        "confirmation",
        "incident",
        "appeal",
        "complaint",
        "run",
        "opinion",
    ):
        address = address.replace(f"{{{name}}}", f"{{{name}_id:uuid}}")
    for name in ("buyer", "shop"):
        address = address.replace(f"{{{name}}}", f"{{{name}_id:str}}")
    address = address.replace(f"{LIVE.id}/{LIVE.version}", "{policy_id:str}/{version:str}")
    return address.replace("/retry", "/{action:str}")


def declared(router: Router) -> dict[str, HTTPRouteHandler]:
    return {
        f"{method} {route.path}": handler
        for route in router.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods - {"OPTIONS"}
    }


def test_the_table_names_every_page_and_form_and_each_of_them_takes_a_permission() -> None:
    routers = (benefit, buyer, cases, merchant, operations, risk, search)
    handlers = {name: handler for area in routers for name, handler in declared(area.ROUTER).items()}
    assert {shape(operation) for operation in TABLE} == set(handlers)
    assert [name for name, handler in handlers.items() if permission_of(handler) is None] == []


@pytest.fixture
async def visitors(market: Marketplace) -> AsyncIterator[dict[str, Visitor]]:
    """A browser for everybody."""
    for person in STAFF.values():
        await enrol(market.service.people, person, None, now=market.service.clock())
    console = console_app(market.service, one_click=True, live_for=timedelta())
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(visiting(console, one)) for name, one in VISITORS.items()}


async def restricted(market: Marketplace) -> str:
    """A restriction of the newcomer that begins tomorrow."""
    buyer_id, begins = NEWCOMER.subject_id, market.service.clock() + timedelta(days=1)
    row = Restriction(new_id(lane_of(buyer_id)), buyer_id, "Cancels in series.", begins, None, "li.na")
    await market.service.registry.restrict(row)
    return str(row.restriction_id)


async def proposed(market: Marketplace) -> str:
    """A proposal to lift a pause."""
    await staffed(market)
    service, now, place = market.service, market.service.clock(), (Scope.SHOP, "s-9")
    await service.registry.set_pause(Pause(*place, "A drill.", "wang.wei", now))
    by = Lifter("wang.wei", "operator")
    done = await propose_lift(service.registry, service.proposals, place, by=by, now=now, reason="It is over.")
    assert isinstance(done, Proposal)
    return str(done.proposal_id)


async def confirmed(market: Marketplace) -> str:
    """What one person did and a second one has confirmed already."""
    await staffed(market)
    service, now = market.service, market.service.clock()
    assert await service.policies.end_single_person(by="tests", now=now)
    await service.registry.set_pause(Pause(Scope.SHOP, "s-9", "A drill.", "wang.wei", now))
    (done,) = await service.confirmations.open(limit=9)
    assert isinstance(await service.confirmations.confirm(done.confirmation_id, by="li.na", now=now), Confirmation)
    return str(done.confirmation_id)


async def at_risk(market: Marketplace, restriction: str, operation: str) -> dict[str, str]:
    """The newcomer, restricted, and the own shop; with an appeal or a complaint where the operation is about one."""
    buyer_id = NEWCOMER.subject_id
    found = {"buyer": buyer_id, "shop": SHOP.subject_id, "new_restriction": str(new_id(lane_of(buyer_id)))}
    if "{appeal}" in operation:
        found["appeal"] = str(await market.contested(NEWCOMER, UUID(restriction)))
    if "{complaint}" in operation:
        found["complaint"] = str(await complained(market))
    return found


async def an_incident(market: Marketplace) -> str:
    """Goods of the own shop that left although they were refunded."""
    ref = await market.order(PREMIUM, "A-3", GOODS)
    await market.ask(PREMIUM, "A-3")
    await market.parcel(ref, ShipmentStatus.PICKED_UP, ShipmentSource.CARRIER)
    return str((await market.service.queries.incidents(IncidentFilter(shop_id=SHOP.subject_id)))[0].incident_id)


async def outcome(visitor: Visitor, operation: str, row: Row, things: dict[str, str]) -> str:
    method, _, path = operation.partition(" ")
    if method == "GET":
        got = await visitor.get(path.format(**things))
    else:
        token = (await visitor.see("/policy")).form("/preferences").fields["_csrf_token"]
        fields = {name.format(**things): value.format(**things) for name, value in row.fields}
        got = await visitor.post(path.format(**things), {"_csrf_token": token, **fields})
    if got.status_code == 303 and got.headers["location"].startswith("/?next="):
        return TO_SIGN_IN
    return str(got.status_code)


def expected(row: Row, who: str) -> str:
    if who == "nobody":
        return TO_SIGN_IN
    role, _, whose = who.partition(", ")
    if role not in row.role.split():
        return FORBIDDEN
    return row.other if whose == "other" else row.own or row.other


@pytest.mark.parametrize("operation", TABLE)
async def test_everybody_gets_what_the_table_says_and_who_may_not_changes_nothing(
    market: Marketplace, visitors: dict[str, Visitor], operation: str
) -> None:
    row = TABLE[operation]
    await market.order(NEWCOMER, "A-1", GOODS)
    await market.order(NEWCOMER, "A-2", GOODS)
    things = {"order": "A-2", "ticket": str(await market.ask(NEWCOMER, "A-1")), "restriction": await restricted(market)}
    things["opinion"] = str(uuid4())
    if "{run}" in operation:
        things["run"] = back_tests_kept(market)["done"].rpartition("/")[2]
    if "{refund}" in operation:
        things["refund"] = str(await failed(market, "A-3"))
    if "{task}" in operation:
        things["task"] = str(await task_of(market, await failed(market, "A-3")))

    if "{proposal}" in operation:
        things["proposal"] = await proposed(market)
    if "{confirmation}" in operation:
        things["confirmation"] = await confirmed(market)
    things["document"] = LIVE.text.replace(f'version: "{LIVE.version}"', 'version: "of a test"')
    if "/risk/" in operation:
        things |= await at_risk(market, things["restriction"], operation)
    if "{incident}" in operation:
        things["incident"] = await an_incident(market)

    async def state() -> list[object]:
        service = market.service
        found: list[object] = list(await service.appeals.list(AppealFilter()))
        found += await service.registry.pauses(service.clock())
        found += await service.proposals.list(states=tuple(ProposalState), limit=9)
        found += await service.policies.texts(limit=9)
        found += await service.policies.log()
        found += await service.confirmations.open(limit=9)
        found += await market.service.complaints.list(ComplaintFilter())
        found += await service.registry.restrictions_of(NEWCOMER.subject_id)
        found += await service.registry.coverage_rows(CoverageFilter())
        found += [task.state for task in await market.service.tasks.list(TaskFilter())]
        refunds = await market.service.queries.refunds(RefundFilter(buyer_id=PREMIUM.subject_id))  # exact
        found += [one.refund.state for one in refunds.refunds]
        for order_id in ("A-1", "A-2"):
            ref = await market.service.store.find_order(order_id)
            assert ref is not None
            snapshot = await market.service.store.read_order(ref)
            assert snapshot is not None
            found += [parcel.tracking_no for parcel in snapshot.shipments]
            found += [(ticket.state, ticket.version, ticket.assignment, ticket.offer) for ticket in snapshot.tickets]
        found += await market.service.queries.incidents(IncidentFilter())
        for shop in (SHOP, OTHER_SHOP):
            found += await market.service.review_templates.list(shop.subject_id)
        return found

    before = await state()
    refused = [who for who in VISITORS if expected(row, who) in (TO_SIGN_IN, FORBIDDEN, HIDDEN)]
    for who in refused:
        assert (await outcome(visitors[who], operation, row, things), who) == (expected(row, who), who)
    assert await state() == before
    allowed = [who for who in VISITORS if who not in refused]
    assert allowed
    for who in allowed:
        assert (await outcome(visitors[who], operation, row, things), who) == (expected(row, who), who)
    does_something = operation.startswith("POST") and (row.own or row.other) in ("200", "303")
    assert (await state() != before) == (does_something and operation not in CHANGES_NOTHING)


CHANGES_NOTHING = (
    "POST /merchant/tickets/{ticket}/release",
    "POST /merchant/templates/delete",
    "POST /risk/policies/editor/check",
    "POST /risk/policies/back-tests/{run}/stop",
)
"""With nobody at work on the ticket, and no template of this name; a check keeps nothing; the back-test has ended."""

ACCOUNT_TABLE = {
    "GET /account": "200",
    "POST /account/sessions/end": "303",
    "POST /account/password": "400",
    "POST /account/second-factor/begin": "403",
    "GET /account/second-factor": "303",
    "POST /account/second-factor/confirm": "303",
    "POST /account/second-factor/codes": "403",
    "POST /account/second-factor/remove": "403",
}
"""What everybody who is signed in gets on their own account, with nothing typed into the form."""
SHOPPERS_TICKET = f"/shop/tickets/{UUID(int=0)}"
OPEN_TABLE = {
    "GET /shop": "200",  # with a code or a link: test_shopper.py
    "POST /shop/code": "409",
    "GET /shop/code": "303",
    "POST /shop/open": "403",
    "GET /shop/open": "303",  # the address of a form, in a browser's address field
    "GET /shop/leave": "303",
    "GET /shop/link": "403",
    "POST /shop/leave": "303",
    "GET /shop/jitui-button.js": "200",
    "GET /shop/order": "403",
    "GET /shop/order/check": "403",
    "POST /shop/order": "403",
    f"GET {SHOPPERS_TICKET}": "403",
    f"GET {SHOPPERS_TICKET}/news": "403",
    f"POST {SHOPPERS_TICKET}/withdraw": "403",
    f"POST {SHOPPERS_TICKET}/offer/accept": "403",
    f"POST {SHOPPERS_TICKET}/offer/decline": "403",
    f"GET {SHOPPERS_TICKET}/withdraw": "303",
    f"GET {SHOPPERS_TICKET}/offer/accept": "303",
    f"GET {SHOPPERS_TICKET}/offer/decline": "303",
    "GET /": "200",
    "GET /policy": "200",
    "GET /sign-in": "303",
    "GET /sign-in/sample": "303",
    "GET /sign-out": "303",
    "GET /preferences": "303",
    "GET /sign-in/code": "303",
    "POST /sign-in": "403",
    "POST /sign-in/code": "403",
    "POST /sign-in/sample": "403",
    "POST /demo/payments": "404",  # with a provider that can fail: test_signing_in.py
    "POST /preferences": "303",
    "GET /welcome/x": "410",
    "POST /welcome/x": "410",
    "GET /sign-in/openid": "404",  # with an issuer: tests/openid/test_everybody.py
    "GET /sign-in/openid/return": "404",
    "GET /signed-out": "404",
    "POST /sign-out": "303",
}
"""What everybody gets, signed in or not, with nothing typed into the form."""


@pytest.mark.parametrize("operation", ACCOUNT_TABLE)
async def test_everybody_who_is_signed_in_has_an_account_and_nobody_else(
    visitors: dict[str, Visitor], operation: str
) -> None:
    for who, visitor in visitors.items():
        got = await outcome(visitor, operation, Row("", "", ""), {})
        assert (got, who) == (TO_SIGN_IN if who == "nobody" else ACCOUNT_TABLE[operation], who)


@pytest.mark.parametrize("operation", OPEN_TABLE)
async def test_what_is_open_is_so_for_everybody(visitors: dict[str, Visitor], operation: str) -> None:
    for who, visitor in visitors.items():
        assert (await outcome(visitor, operation, Row("", "", ""), {}), who) == (OPEN_TABLE[operation], who)


def test_the_tables_name_every_operation_of_the_console(market: Marketplace) -> None:
    pages = next(one for one in console_handlers(one_click=True) if isinstance(one, Router) and one.path == "/")
    files = (
        "/{page:str}",
        *(f"/{area}/{{rest:path}}" for area in AREAS),
    )
    known = {shape(one) for one in (*TABLE, *ACCOUNT_TABLE, *OPEN_TABLE)}
    found = {name for name in declared(pages) if name.partition(" ")[2] not in files}
    shoppers = "/shop/tickets/{ticket_id:uuid}"
    assert {one.replace("{token:str}", "x").replace(shoppers, SHOPPERS_TICKET) for one in found} == known
    assert (len(found), len(found) * len(VISITORS)) == (160, 1600)


async def test_a_page_without_a_permission_lets_nobody_in(market: Marketplace) -> None:
    @get("/forgotten")
    async def forgotten() -> str:
        return "open"

    @get("/declared", opt=needs(Permission.ORDERS_READ))
    async def declared_page() -> str:
        return "open"

    @get("/of-another-role", opt=needs(Permission.TICKETS_WRITE))
    async def of_another_role() -> str:
        return "open"

    app = console_app(market.service, one_click=True)
    app.register(
        Router(
            "/buyer",
            route_handlers=[forgotten, declared_page, of_another_role],
            guards=[pages_of(Role.BUYER)],
            middleware=[Sessions],
        )
    )
    async with visiting(app, PREMIUM) as visitor:
        got = [
            (await visitor.get(f"/buyer/{page}")).status_code for page in ("declared", "forgotten", "of-another-role")
        ]
    assert got == [200, 403, 403]
