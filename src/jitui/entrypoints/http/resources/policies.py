"""Policies: the published conditions and their earlier versions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from jitui.aftersales.governance.policies import with_public_view
from jitui.aftersales.governance.publication import LogAction
from jitui.aftersales.governance.shadowing import ShadowNow, shadow_now
from jitui.aftersales.ports import Publication
from jitui.entrypoints.http.cursors import PublicationPlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Cursor, PageLimit
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.identity.access import Permission
from jitui.policy import PublicChangeKind, public_changes


class PolicyQuery(Sent, frozen=True, kw_only=True):
    """A page of published policies, newest first."""

    cursor: Cursor | None = None
    limit: PageLimit = 50


class PublicCondition(Shown, frozen=True, kw_only=True):
    """A published condition."""

    id: str
    text: Mapping[str, str]


class PublicChangeRow(Shown, frozen=True, kw_only=True):
    """One difference from the version before, in words; `condition` is empty where it is about none."""

    kind: PublicChangeKind
    condition: str
    text: Mapping[str, str]


class PolicyAnswer(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """A published policy: its public conditions; the document only for the platform."""

    policy_id: str
    version: str
    title: Mapping[str, str]
    legal_basis: Mapping[str, str]
    effective_from: datetime
    published_at: datetime
    conditions: tuple[PublicCondition, ...]
    notice: Mapping[str, str]
    takes_effect_at: datetime
    replaced_at: datetime | None
    rolled_back: bool
    changes: tuple[PublicChangeRow, ...]
    loss_borne_by: str
    loss_shop_percent: int | None
    advance_up_to_minor: int | None
    document: str | None = None


class ShadowQuery(Sent, frozen=True, kw_only=True):
    """How many example tickets."""

    examples: Annotated[int, Meta(ge=0, le=100)] = 5


class PolicyVersion(Shown, frozen=True, kw_only=True):
    """A text of a policy."""

    policy_id: str
    version: str
    sha256: str


class ShadowOutcome(Shown, frozen=True, kw_only=True):
    """How many requests came to this outcome live and to that one in shadow; null: the shadow could not decide."""

    live: str
    shadow: str | None
    requests: int
    examples: tuple[UUID, ...]


class ShadowDifference(Shown, frozen=True, kw_only=True):
    """A condition with another verdict, or that only one of the two policies has."""

    condition: str
    requests: int
    examples: tuple[UUID, ...]


class ShadowAnswer(Shown, frozen=True, kw_only=True):
    """What the policy in shadow decided beside the live one since it began."""

    shadow: PolicyVersion
    live: PolicyVersion
    since: datetime
    requests: int
    differ: int
    outcomes: tuple[ShadowOutcome, ...]
    conditions: tuple[ShadowDifference, ...]


class PolicyList(Shown, frozen=True, kw_only=True):
    """A page of published versions, newest first, also those that are announced. `next` is null on the last page."""

    policies: tuple[PolicyAnswer, ...]
    next: str | None


_TAG = ["Policies"]


@get(
    "/v1/policies/current",
    tags=_TAG,
    summary="Read the policy in force",
    description="Public: the published conditions. A platform key reads the document too.",
    opt=operation({200: PolicyAnswer}),
)
async def get_current_policy(request: RequestContext) -> Reply:
    """The published conditions in force."""
    policies = request.service.policies
    live = await policies.publication(None, documents=_sees_documents(request))
    if live is None:
        return not_found()
    earlier = await policies.publications(before=live.publication, limit=1, announced=True)
    policy = await _policy(request, live, earlier[0] if earlier else None)
    return not_found() if policy is None else answer(policy)


@get(
    "/v1/policies",
    tags=_TAG,
    summary="List published policies",
    description="Public: the published conditions, their earlier versions, and what is announced, newest first, by "
    "pages; each with what changed from the version before it.",
    opt=operation({200: PolicyList}, query=PolicyQuery),
)
async def list_policies(request: RequestContext) -> Reply:
    """Return the published conditions and their earlier versions."""
    query = read_query(request, PolicyQuery)
    place = read_cursor(query.cursor, PublicationPlace)
    found = await request.service.policies.publications(
        before=place.publication if place is not None else None,
        limit=query.limit + 1,
        documents=_sees_documents(request),
        announced=True,
    )
    rows, following = page_of(found, query.limit, lambda row: (row.publication,))
    earlier = [*found[1:], None][: len(rows)]
    policies = [await _policy(request, row, before) for row, before in zip(rows, earlier, strict=True)]
    return answer(PolicyList(policies=tuple(one for one in policies if one is not None), next=following))


@get(
    "/v1/policies/shadow",
    tags=_TAG,
    summary="Compare the policy in shadow with the live one",
    description="Outcomes, conditions that differ, and example tickets, since the policy is in shadow.",
    opt=operation({200: ShadowAnswer}, permission=Permission.POLICIES_READ, query=ShadowQuery),
)
async def get_shadow_report(request: RequestContext) -> Reply:
    """What a shadow decided beside the live policy; 404 without one."""
    query = read_query(request, ShadowQuery)
    service = request.service
    found = await shadow_now(service.policies, service.queries, examples=query.examples)
    return not_found() if found is None else answer(_shadow(found))


def _shadow(found: ShadowNow) -> ShadowAnswer:
    report = found.report
    return ShadowAnswer(
        shadow=shown(PolicyVersion, found.shadow),
        live=shown(PolicyVersion, found.live),
        since=found.shadow.takes_effect_at,
        requests=report.requests,
        differ=report.differ,
        outcomes=tuple(shown(ShadowOutcome, cell) for cell in report.cells),
        conditions=tuple(shown(ShadowDifference, one) for one in report.conditions),
    )


def _sees_documents(request: RequestContext) -> bool:
    return request.may(Permission.POLICIES_READ)


async def _policy(request: RequestContext, row: Publication, earlier: Publication | None) -> PolicyAnswer | None:
    policies = request.service.policies
    view = (await with_public_view(policies, row)).public_view
    if view is None:
        return None
    before = (await with_public_view(policies, earlier)).public_view if earlier is not None else None
    changes = public_changes(before, view) if before is not None else ()
    return shown(
        PolicyAnswer,
        view,
        published_at=row.published_at,
        takes_effect_at=row.takes_effect_at,
        replaced_at=row.replaced_at,
        rolled_back=row.action == LogAction.ROLL_BACK,
        changes=tuple(shown(PublicChangeRow, one) for one in changes),
        document=row.document if _sees_documents(request) else None,
    )


HANDLERS = (get_current_policy, list_policies, get_shadow_report)

_CHANGE = PublicChangeRow(
    kind=PublicChangeKind.CONDITION_ADDED,
    condition="paid_under_300",
    text={
        name: f"{words}{sample.UNDER_300[name]}" for name, words in (("zh", "新增条件："), ("en", "New condition: "))
    },
)
_POLICY = PolicyAnswer(
    policy_id="unshipped-instant-refund",
    version="2",
    title={"zh": "未发货极速退款", "en": "Instant refund before shipment"},
    legal_basis={"zh": "快手小店售后服务管理规则", "en": "Kuaishou shop after-sales service rules"},
    effective_from=sample.PAID_AT,
    published_at=sample.PAID_AT,
    conditions=(PublicCondition(id="paid_under_300", text=sample.UNDER_300),),
    notice=sample.NOTICE,
    takes_effect_at=sample.PAID_AT,
    replaced_at=None,
    rolled_back=False,
    changes=(_CHANGE,),
    loss_borne_by="split",
    loss_shop_percent=50,
    advance_up_to_minor=None,
)
_SHADOW = PolicyVersion(policy_id="unshipped-instant-refund", version="2", sha256="8f" * 32)
_LIVE = PolicyVersion(policy_id="unshipped-instant-refund", version="1", sha256="1c" * 32)
EXAMPLES = (
    _CHANGE,
    _POLICY,
    PolicyList(policies=(_POLICY,), next=None),
    ShadowAnswer(
        shadow=_SHADOW,
        live=_LIVE,
        since=sample.PAID_AT,
        requests=1200,
        differ=8,
        outcomes=(
            ShadowOutcome(live="instant", shadow="instant", requests=1192, examples=()),
            ShadowOutcome(live="review", shadow="instant", requests=8, examples=(sample.TICKET_ID,)),
        ),
        conditions=(ShadowDifference(condition="paid_under_300", requests=8, examples=(sample.TICKET_ID,)),),
    ),
)
