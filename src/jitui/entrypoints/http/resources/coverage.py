"""Coverage: which shops, categories and items the guarantee covers, and why; and the category table."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from litestar.params import FromPath
from msgspec import UNSET, Meta, UnsetType

from jitui.aftersales.governance.gates import Recomputing, recompute_places
from jitui.aftersales.governance.loosening import CoverWish, LoosenRefusal, set_coverage
from jitui.aftersales.governance.loosening import propose_cover as propose_to_second_person
from jitui.aftersales.governance.loosening import unset_coverage as unset_by_hand
from jitui.aftersales.governance.proposals import Proposal
from jitui.aftersales.governance.refusals import refusal_of
from jitui.aftersales.governance.registry import Category, Coverage, Scope, refuse_opt_out, row_of_shop
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.fields import Id, IdOrNone, Text, Why, may_name
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import PLATFORM, SHOP, delete, get, operation, post, put
from jitui.entrypoints.http.problems import not_found, refuse
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import NO_CONTENT, Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.gate_view import ENTRY, GATE, CoverageEntryView, GateView, entry_view, gate_view
from jitui.entrypoints.http.resources.proposals import PolicyProposal, proposal_answer
from jitui.entrypoints.http.resources.shared import Sent, Shown, check_place, id_of_address, left_out, said
from jitui.identity.access import Permission

CoverageScope = Literal["platform", "shop", "category", "item"]
MOST_HISTORY = 100
_WHY = Meta(description="Why, as the merchant reads it; needed to take a place out.")


class CoverageSent(Sent, frozen=True, kw_only=True):
    """Whether something is covered, and why, as the merchant reads it; `ref` is empty for the platform."""

    scope: CoverageScope
    covered: bool
    reason: Annotated[Text, _WHY] = ""
    ref: Annotated[IdOrNone, Meta(description="The shop, category or item; empty for the platform.")] = ""


class ShopCoverageSent(Sent, frozen=True, kw_only=True):
    """Whether one shop is covered, and why."""

    covered: bool
    reason: Annotated[Text, _WHY] = ""


class CoverProposalSent(Sent, frozen=True, kw_only=True):
    """The place that is to be covered, and why, as the merchant reads it; with `unset` the gates decide on it again."""

    scope: CoverageScope
    reason: Why
    ref: Annotated[IdOrNone, Meta(description="The shop, category or item; empty for the platform.")] = ""
    unset: bool = False


class RecomputeSent(Sent, frozen=True, kw_only=True):
    """The shops whose gates are computed now; `dry_run` writes nothing."""

    shop_ids: Annotated[
        list[Id],
        Meta(min_length=1, max_length=200, description="1 to 200 shops; all shops are computed once a day."),
    ]
    dry_run: bool = False


class CategorySent(Sent, frozen=True, kw_only=True):
    """A row of the platform's category table; fields that are not sent stay, and are false at first."""

    title: Text | UnsetType = UNSET
    customised: bool | UnsetType = UNSET
    virtual: bool | UnsetType = UNSET


class CoverageRow(Shown, frozen=True, kw_only=True):
    """The coverage of one shop, category, item or the platform, and the reason."""

    scope: Scope
    ref: str
    covered: bool
    reason: str
    set_at: datetime
    set_by: str = ""


class ShopCoverageAnswer(Shown, frozen=True, kw_only=True):
    """Whether the shop is covered, and why; every row that applies to it, its categories and its items; the gates.

    `set_by_hand`: a person of the platform set the shop's row, which stands above the gates. `history`: the newest 100.
    """

    shop_id: str
    covered: bool
    reason: str
    set_by_hand: bool
    rows: tuple[CoverageRow, ...]
    gates: tuple[GateView, ...]
    history: tuple[CoverageEntryView, ...]


class RecomputeAnswer(Shown, frozen=True, kw_only=True):
    """What was computed, and what has changed by it, or would in a dry run."""

    computed: int
    dry_run: bool
    history: tuple[CoverageEntryView, ...]


class CategoryAnswer(Shown, frozen=True, kw_only=True):
    """A row of the category table."""

    category_id: str
    title: str
    customised: bool
    virtual: bool


_TAG = ["Shops and coverage"]
_ALONE = (RefusalCode.SECOND_PERSON_NEEDED,)
_PROPOSED_ELSEWHERE = " Where two people approve, covering is refused: propose it."


@put(
    "/v1/coverage",
    tags=_TAG,
    summary="Cover a place or take it out",
    description="The platform, a shop, a category or an item." + _PROPOSED_ELSEWHERE,
    opt=operation({200: CoverageRow}, Permission.COVERAGE_WRITE, body=CoverageSent, refusals=_ALONE),
)
async def put_coverage(request: RequestContext) -> Reply:
    """Set whether a place is covered."""
    sent = await read_body(request, CoverageSent)
    check_place(sent.scope, sent.ref)
    return await _set_coverage(request, Scope(sent.scope), sent.ref, sent)


@put(
    "/v1/shops/{shop_id:str}/coverage",
    tags=_TAG,
    summary="Cover a shop or take it out",
    description="Only the platform decides; a shop is refused." + _PROPOSED_ELSEWHERE,
    opt=operation(
        {200: CoverageRow},
        Permission.COVERAGE_WRITE,
        refused_by_handler=(SHOP,),
        body=ShopCoverageSent,
        refusals=(RefusalCode.SHOP_CANNOT_OPT_OUT, *_ALONE),
    ),
)
async def put_shop_coverage(request: RequestContext, shop_id: FromPath[str]) -> Reply:
    """Set whether a shop is covered; the shop itself cannot."""
    sent = await read_body(request, ShopCoverageSent)
    if not request.may_see(shop_id=shop_id):
        return not_found()
    if request.key_scope is SHOP:
        return refuse_opt_out()
    return await _set_coverage(request, Scope.SHOP, id_of_address("shop_id", shop_id), sent)


async def _set_coverage(
    request: RequestContext, scope: Scope, ref: str, sent: CoverageSent | ShopCoverageSent
) -> Reply:
    if not sent.covered and not sent.reason.strip():
        raise refuse("reason", "Expected why, as the merchant reads it, to take a place out.")
    service = request.service
    row = Coverage(scope, ref, sent.covered, sent.reason, request.actor.id, service.clock())
    refused = await set_coverage(service.registry, service.policies, row)
    return refusal_of(refused) if refused is not None else answer(_row(request, row))


def _row(request: RequestContext, row: Coverage) -> CoverageRow:
    return shown(CoverageRow, row, set_by=row.set_by if request.key_scope is PLATFORM else "")


@get(
    "/v1/shops/{shop_id:str}/coverage",
    tags=_TAG,
    summary="Read whether a shop is covered, and why",
    description="By shop, category and item. An order is covered when its shop is and every line is. A shop "
    "goes by its own row, else the platform's; a line by its item's row, else its category's. Without a row both "
    "are covered.",
    opt=operation({200: ShopCoverageAnswer}, Permission.COVERAGE_READ),
)
async def get_shop_coverage(request: RequestContext, shop_id: FromPath[str]) -> Reply:
    """Return whether the shop, its categories and items are covered, and why."""
    if not request.may_see(shop_id=shop_id) or not may_name(shop_id):
        return not_found()
    service = request.service
    rows, records = await service.registry.coverage_of(shop_id), await service.gates.of_shop(shop_id)
    history, for_merchant = await service.gates.history(shop_id, MOST_HISTORY), request.key_scope is not PLATFORM
    deciding = row_of_shop(rows)
    return answer(
        ShopCoverageAnswer(
            shop_id=shop_id,
            covered=deciding.covered if deciding is not None else True,
            reason=deciding.reason if deciding is not None else "Every shop of the platform is covered.",
            set_by_hand=deciding is not None and deciding.scope is Scope.SHOP and deciding.by_gate is None,
            rows=tuple(_row(request, row) for row in rows),
            gates=tuple(gate_view(record, for_merchant=for_merchant) for record in records),
            history=tuple(entry_view(entry, for_merchant=for_merchant) for entry in history),
        )
    )


@delete(
    "/v1/coverage/{place:str}/{ref:str}",
    tags=_TAG,
    summary="Take back what a person set",
    description="The gates of the policy decide again. `place` is the scope: shop, category or item. 404 when no "
    "person set anything there. Where two people approve it is refused: propose it.",
    opt=operation({204: None}, Permission.COVERAGE_WRITE, refusals=_ALONE),
)
async def unset_coverage(request: RequestContext, place: FromPath[str], ref: FromPath[str]) -> Reply:
    """Let the gates decide on a shop, category or item again."""
    if place not in (Scope.SHOP, Scope.CATEGORY, Scope.ITEM) or not may_name(ref):
        return not_found()
    return await _unset(request, Scope(place), ref)


@delete(
    "/v1/coverage/platform",
    tags=_TAG,
    summary="Take back what a person set for the whole platform",
    description="As for any other place.",
    opt=operation({204: None}, Permission.COVERAGE_WRITE, refusals=_ALONE),
)
async def unset_platform_coverage(request: RequestContext) -> Reply:
    """Cover the shops again that have no row of their own."""
    return await _unset(request, Scope.PLATFORM, "")


async def _unset(request: RequestContext, scope: Scope, ref: str) -> Reply:
    service = request.service
    refused = await unset_by_hand(
        service.registry, service.policies, (scope, ref), by=request.actor.id, now=service.clock()
    )
    if refused is None:
        return NO_CONTENT
    return not_found() if refused is LoosenRefusal.NOTHING_SET else refusal_of(refused)


@post(
    "/v1/coverage/proposed-covers",
    tags=_TAG,
    summary="Propose to cover a place",
    description="A second person's approval of the proposal covers it, or lets the gates decide again. Proposed again "
    "it is the same proposal; a place that somebody sets meanwhile is proposed anew.",
    opt=operation(
        {201: PolicyProposal},
        Permission.POLICIES_STOP,
        body=CoverProposalSent,
        refusals=(RefusalCode.STEP_NOT_POSSIBLE,),
    ),
)
async def propose_cover(request: RequestContext) -> Reply:
    """Propose that a place is covered."""
    sent = await read_body(request, CoverProposalSent)
    check_place(sent.scope, sent.ref)
    service, wish = request.service, CoverWish(Scope(sent.scope), sent.ref, sent.unset)
    done = await propose_to_second_person(
        service.registry, service.proposals, wish, by=request.actor.id, now=service.clock(), reason=sent.reason
    )
    if isinstance(done, Proposal):
        return answer(proposal_answer(done), 201)
    return not_found() if done is LoosenRefusal.NOTHING_SET else refusal_of(done)


@post(
    "/v1/coverage/recompute",
    tags=_TAG,
    summary="Compute the gates of shops now",
    description="They are computed once a day. A day counts once, so that computing again changes nothing of what "
    "was known that day.",
    opt=operation({200: RecomputeAnswer}, Permission.COVERAGE_WRITE, body=RecomputeSent),
)
async def recompute_coverage(request: RequestContext) -> Reply:
    """Compute how shops stand with the gates of the policy."""
    sent = await read_body(request, RecomputeSent)
    service = request.service
    how = Recomputing(service.clock(), request.actor.id, sent.dry_run)
    plans = await recompute_places(service.gates, await service.gate_rules(), sent.shop_ids, how)
    news = (entry_view(entry, for_merchant=False) for plan in plans for entry in plan.entries)
    return answer(RecomputeAnswer(computed=len(plans), dry_run=sent.dry_run, history=tuple(news)))


@put(
    "/v1/categories/{category_id:str}",
    tags=_TAG,
    summary="Put a category",
    description="Orders that come in from now on read it. What is not given stays as it was.",
    opt=operation({200: CategoryAnswer}, Permission.CATEGORIES_WRITE, body=CategorySent),
)
async def put_category(request: RequestContext, category_id: FromPath[str]) -> Reply:
    """Create or replace the fields of a category that are sent."""
    sent = await read_body(request, CategorySent)
    row = Category(
        id_of_address("category_id", category_id),
        said(sent.title, ""),
        said(sent.customised, False),
        said(sent.virtual, False),
    )
    service = request.service
    stands = await service.registry.put_category(row, service.clock(), kept=left_out(sent))
    return answer(shown(CategoryAnswer, stands))


HANDLERS = (
    put_coverage,
    put_shop_coverage,
    get_shop_coverage,
    unset_coverage,
    unset_platform_coverage,
    propose_cover,
    recompute_coverage,
    put_category,
)

_ROW = CoverageRow(
    scope=Scope.CATEGORY,
    ref="jewellery",
    covered=False,
    reason="Under review by the platform.",
    set_at=sample.PAID_AT,
)
EXAMPLES = (
    CoverageSent(scope="category", ref="jewellery", covered=False, reason="Under review by the platform."),
    ShopCoverageSent(covered=False, reason="Fulfilment below the platform's standard."),
    CoverProposalSent(scope="category", ref="jewellery", reason="The review is over."),
    CategorySent(title="Customised mugs", customised=True),
    _ROW,
    ShopCoverageAnswer(
        shop_id="s-1",
        covered=True,
        reason="Every shop of the platform is covered.",
        set_by_hand=False,
        rows=(_ROW,),
        gates=(GATE,),
        history=(ENTRY,),
    ),
    RecomputeSent(shop_ids=["s-1"], dry_run=True),
    RecomputeAnswer(computed=1, dry_run=True, history=(ENTRY,)),
    CategoryAnswer(category_id="mugs", title="Customised mugs", customised=True, virtual=False),
)
