"""Pauses, restrictions, allow and deny lists, and the published policies."""

from __future__ import annotations

import hashlib
from uuid import UUID

import msgspec
import psycopg

from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.policy_in_force import with_public_view
from jitui.aftersales.ports import Publication
from jitui.aftersales.registry import Pause, Restriction, Scope, Selection
from jitui.entrypoints.http import answers, bodies
from jitui.entrypoints.http.fields import may_name
from jitui.entrypoints.http.operation import PLATFORM, Answer, AnyCall, Call, Done, Nothing, Operation
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.reading import Faults, PublicationPlace, read_cursor, read_uuid, write_cursor
from jitui.entrypoints.http.subjects import check_place, id_in
from jitui.ids import lane_of, new_id

_encode = msgspec.json.Encoder().encode


# Pauses ----------------------------------------------------------------------------------------------------------


async def set_pause(call: Call[bodies.PauseSent, Nothing]) -> Done:
    """Stop instant approvals for a place."""
    sent = call.body
    check_place(sent.scope.value, sent.ref)
    pause = Pause(sent.scope, sent.ref, sent.reason, call.actor.id, call.app.clock())
    await call.app.registry.set_pause(pause)
    return Answer(200, _encode(_pause(pause)))


async def list_pauses(call: Call[Nothing, Nothing]) -> Done:
    """What is paused."""
    pauses = await call.app.registry.pauses()
    return Answer(200, _encode(answers.PauseList(pauses=tuple(_pause(pause) for pause in pauses))))


async def lift_pause(call: Call[Nothing, Nothing]) -> Done:
    """Let instant approvals go on for a shop, category, item or region."""
    scope, ref = call.path("place"), call.path("ref")
    if scope not in set(Scope) - {Scope.PLATFORM} or not may_name(ref):
        return not_found()
    return Answer(204, b"") if await call.app.registry.lift_pause(Scope(scope), ref) else not_found()


async def lift_platform_pause(call: Call[Nothing, Nothing]) -> Done:
    """Let instant approvals go on everywhere."""
    return Answer(204, b"") if await call.app.registry.lift_pause(Scope.PLATFORM, "") else not_found()


def _pause(pause: Pause) -> answers.PauseAnswer:
    return answers.PauseAnswer(
        scope=pause.scope, ref=pause.ref, reason=pause.reason, set_by=pause.set_by, set_at=pause.set_at
    )


# Restrictions ----------------------------------------------------------------------------------------------------


async def restrict_buyer(call: Call[bodies.RestrictionSent, Nothing]) -> Done:
    """Withdraw the service from a buyer."""
    sent, now = call.body, call.app.clock()
    starts_at = sent.starts_at or now
    faults = Faults()
    faults.time("starts_at", sent.starts_at)
    faults.time("ends_at", sent.ends_at)
    if sent.ends_at is not None and sent.ends_at <= starts_at:
        faults.add("ends_at", "Expected a time after the start")
    faults.settle()
    restriction_id = _restriction_id(call)
    known = await _known_restriction(call, restriction_id)
    if known is not None:
        return known
    restriction = Restriction(restriction_id, sent.buyer_id, sent.reason, starts_at, sent.ends_at, call.actor.id)
    try:
        await call.app.registry.restrict(restriction)
    except psycopg.errors.UniqueViolation:  # the same key at the same moment
        return await _known_restriction(call, restriction_id) or not_found()
    return Answer(201, _encode(_restriction(restriction)))


def _restriction_id(call: Call[bodies.RestrictionSent, Nothing]) -> UUID:
    """With an Idempotency-Key the id follows from it and the buyer, so that the same call again meets the same row."""
    buyer_id = call.body.buyer_id
    lane = lane_of(buyer_id)
    if call.idempotency_key is None or call.key is None:
        return new_id(lane)
    digest = hashlib.sha256(f"{call.key.key_id} {call.idempotency_key} {buyer_id}".encode()).digest()
    return UUID(bytes=digest[:15] + bytes([lane]), version=5)


def _former_id(call: Call[bodies.RestrictionSent, Nothing]) -> UUID | None:
    """The id that the key gave before the buyer was part of it: a call may be repeated across an upgrade."""
    if call.idempotency_key is None or call.key is None:
        return None
    digest = hashlib.sha256(f"{call.key.key_id} {call.idempotency_key}".encode()).digest()
    return UUID(bytes=digest[:15] + bytes([lane_of(call.body.buyer_id)]), version=5)


async def _known_restriction(call: Call[bodies.RestrictionSent, Nothing], restriction_id: UUID) -> Done | None:
    if call.idempotency_key is None:
        return None
    sent = call.body
    for known in await call.app.registry.restrictions_of(sent.buyer_id):
        if known.restriction_id in (restriction_id, _former_id(call)):
            same = (known.reason, known.ends_at) == (sent.reason, sent.ends_at)
            if same and sent.starts_at in (None, known.starts_at):
                return Answer(201, _encode(_restriction(known)), (("idempotency-replayed", "true"),))
            return Refusal(
                RefusalCode.IDEMPOTENCY_KEY_REUSED,
                "This Idempotency-Key was used with another body; use a new key for a new request.",
            )
    return None


async def list_restrictions(call: Call[Nothing, bodies.RestrictionQuery]) -> Done:
    """A buyer's restrictions."""
    found = await call.app.registry.restrictions_of(call.query.buyer_id)
    return Answer(200, _encode(answers.RestrictionList(restrictions=tuple(_restriction(row) for row in found))))


async def lift_restriction(call: Call[Nothing, Nothing]) -> Done:
    """Give the service back."""
    restriction_id = read_uuid(call.path("restriction_id"))
    if restriction_id is None:
        return not_found()
    lifted = await call.app.registry.lift_restriction(restriction_id, call.app.clock())
    return Answer(204, b"") if lifted else not_found()


def _restriction(row: Restriction) -> answers.RestrictionAnswer:
    return answers.RestrictionAnswer(
        restriction_id=row.restriction_id,
        buyer_id=row.buyer_id,
        reason=row.reason,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        lifted_at=row.lifted_at,
        set_by=row.set_by,
    )


# Lists -----------------------------------------------------------------------------------------------------------


async def select_buyer(call: Call[bodies.SelectionSent, Nothing]) -> Done:
    """Put a buyer on the allow or the deny list."""
    sent = call.body
    row = Selection(id_in(call, "buyer_id"), sent.verdict, sent.reason, call.actor.id, call.app.clock())
    await call.app.registry.select(row)
    body = answers.SelectionAnswer(
        buyer_id=row.buyer_id, verdict=row.verdict, reason=row.reason, set_by=row.set_by, set_at=row.set_at
    )
    return Answer(200, _encode(body))


# Policies --------------------------------------------------------------------------------------------------------


async def get_current_policy(call: Call[Nothing, Nothing]) -> Done:
    """The published conditions in force."""
    live = await call.app.registry.publication(None, documents=call.scope is PLATFORM)
    shown = await _policy(call, live) if live is not None else None
    return not_found() if shown is None else Answer(200, _encode(shown))


async def list_policies(call: Call[Nothing, bodies.PolicyQuery]) -> Done:
    """The published conditions and their earlier versions."""
    query = call.query
    place = read_cursor(query.cursor, PublicationPlace)
    found = await call.app.registry.publications(
        before=place.publication if place is not None else None,
        limit=query.limit + 1,
        documents=call.scope is PLATFORM,
    )
    page = found[: query.limit]
    shown = [await _policy(call, row) for row in page]
    last = write_cursor(page[-1].publication) if len(found) > query.limit else None
    body = answers.PolicyList(policies=tuple(row for row in shown if row is not None), next=last)
    return Answer(200, _encode(body))


async def _policy(call: AnyCall, row: Publication) -> answers.PolicyAnswer | None:
    view = (await with_public_view(call.app.registry, row)).public_view
    if view is None:
        return None
    return answers.PolicyAnswer(
        policy_id=view.policy_id,
        version=view.version,
        title=view.title,
        legal_basis=view.legal_basis,
        effective_from=view.effective_from,
        published_at=row.published_at,
        conditions=tuple(answers.PublicCondition(id=one.id, text=one.text) for one in view.conditions),
        notice=view.notice,
        document=row.document if call.scope is PLATFORM else None,
    )


_PLATFORM = frozenset({PLATFORM})
_PAUSES, _RESTRICTIONS, _POLICIES = "Pauses", "Restrictions and lists", "Policies"
OPERATIONS = (
    Operation(
        "POST",
        "/v1/pauses",
        set_pause,
        "Pause instant refunds for a place",
        _PAUSES,
        {200: answers.PauseAnswer},
        scopes=_PLATFORM,
        body=bodies.PauseSent,
        description="Every request there goes to review from the next one on. Idempotent by nature: a place is paused "
        "or it is not; pausing again replaces the reason.",
    ),
    Operation("GET", "/v1/pauses", list_pauses, "List pauses", _PAUSES, {200: answers.PauseList}, scopes=_PLATFORM),
    Operation(
        "DELETE",
        "/v1/pauses/{place}/{ref}",
        lift_pause,
        "Lift a pause",
        _PAUSES,
        {204: None},
        scopes=_PLATFORM,
        description="`place` is the scope: shop, category, item or region. 404 when nothing is paused there.",
    ),
    Operation(
        "DELETE",
        "/v1/pauses/platform",
        lift_platform_pause,
        "Lift the pause of the whole platform",
        _PAUSES,
        {204: None},
        scopes=_PLATFORM,
    ),
    Operation(
        "POST",
        "/v1/restrictions",
        restrict_buyer,
        "Restrict a buyer",
        _RESTRICTIONS,
        {201: answers.RestrictionAnswer},
        scopes=_PLATFORM,
        body=bodies.RestrictionSent,
        keyed=True,
        description="With an Idempotency-Key the restriction's id follows from the key and the buyer.",
    ),
    Operation(
        "GET",
        "/v1/restrictions",
        list_restrictions,
        "List a buyer's restrictions",
        _RESTRICTIONS,
        {200: answers.RestrictionList},
        scopes=_PLATFORM,
        query=bodies.RestrictionQuery,
    ),
    Operation(
        "POST",
        "/v1/restrictions/{restriction_id}/lift",
        lift_restriction,
        "Lift a restriction",
        _RESTRICTIONS,
        {204: None},
        scopes=_PLATFORM,
        description="404 when no such restriction stands, also when it was lifted already.",
    ),
    Operation(
        "PUT",
        "/v1/selection/{buyer_id}",
        select_buyer,
        "Put a buyer on a list",
        _RESTRICTIONS,
        {200: answers.SelectionAnswer},
        scopes=_PLATFORM,
        body=bodies.SelectionSent,
        description="`allow` overrides the hold-out, `deny` sends every request to review.",
    ),
    Operation(
        "GET",
        "/v1/policies/current",
        get_current_policy,
        "Read the policy in force",
        _POLICIES,
        {200: answers.PolicyAnswer},
        description="Public: the published conditions. A platform key reads the document too.",
    ),
    Operation(
        "GET",
        "/v1/policies",
        list_policies,
        "List published policies",
        _POLICIES,
        {200: answers.PolicyList},
        query=bodies.PolicyQuery,
        description="Public: the published conditions and their earlier versions, newest first, by pages.",
    ),
)
