"""Linked accounts: what a buyer was seen with, hashed by the platform, and who shares it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.governance.linked_accounts import HASH_PATTERN, IdentityLink, LinkKind
from jitui.entrypoints.http.fields import Time, may_name
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation, post
from jitui.entrypoints.http.problems import FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown, id_of_address
from jitui.identity.access import Permission
from jitui.text import END

MOST_LINKS = 100

LinkHash = Annotated[
    str,
    Meta(
        pattern=HASH_PATTERN + END,
        description="The platform's own keyed hash: 32 to 128 characters of hex or base64url. Raw values are refused.",
    ),
]


class IdentityLinkSent(Sent, frozen=True, kw_only=True):
    """The buyer was seen with this."""

    kind: LinkKind
    hash: LinkHash
    seen_at: Time


class IdentityLinksSent(Sent, frozen=True, kw_only=True):
    """A batch of one buyer."""

    links: Annotated[list[IdentityLinkSent], Meta(min_length=1, max_length=MOST_LINKS)]


class IdentityLinksTaken(Shown, frozen=True, kw_only=True):
    """How many links were new."""

    recorded: int


class KnownLinkView(Shown, frozen=True, kw_only=True):
    """A link as it stands."""

    kind: LinkKind
    hash: str
    seen_at: datetime
    buyers: int
    links: bool


class BuyerClusterAnswer(Shown, frozen=True, kw_only=True):
    """A buyer's cluster and links, for the platform alone."""

    buyer_id: str
    cluster_id: UUID | None
    members: tuple[str, ...]
    links: tuple[KnownLinkView, ...]


@post(
    "/v1/buyers/{buyer_id:str}/identity-links",
    tags=["Buyers"],
    summary="Add what a buyer was seen with",
    description="Hashes of addresses, devices and payment instruments. Buyers who share one become one cluster within "
    "seconds. Idempotent by nature: a link counts once and keeps its latest `seen_at`. Links of an erased buyer are "
    "left out.",
    opt=operation({200: IdentityLinksTaken}, Permission.IDENTITY_LINKS_WRITE, body=IdentityLinksSent),
)
async def add_identity_links(request: RequestContext, buyer_id: FromPath[str]) -> Reply:
    """Take links of a buyer in."""
    links = (await read_body(request, IdentityLinksSent)).links
    buyer_id = id_of_address("buyer_id", buyer_id)
    faults = FaultCollector()
    for index, link in enumerate(links):
        faults.time(f"links[{index}].seen_at", link.seen_at)
    faults.settle()
    told = [IdentityLink(buyer_id, link.kind, link.hash, link.seen_at) for link in links]
    recorded = await request.service.linked_accounts.add(told, request.service.clock())
    return answer(IdentityLinksTaken(recorded=recorded))


@get(
    "/v1/buyers/{buyer_id:str}/identity-links",
    tags=["Buyers"],
    summary="Read a buyer's cluster",
    description="The members of the cluster and the buyer's links, each with the number of buyers who share it. What "
    "more than 20 share links nobody. Neither buyers nor merchants read it.",
    opt=operation({200: BuyerClusterAnswer}, Permission.IDENTITY_LINKS_READ),
)
async def get_identity_links(request: RequestContext, buyer_id: FromPath[str]) -> Reply:
    """Return the cluster of a buyer."""
    if not may_name(buyer_id):
        return not_found()
    service = request.service
    found = await service.linked_accounts.of_buyer(buyer_id)
    if not found.links and await service.registry.get_buyer(buyer_id) is None:
        return not_found()
    return answer(shown(BuyerClusterAnswer, found, links=tuple(shown(KnownLinkView, one) for one in found.links)))


HANDLERS = (add_identity_links, get_identity_links)

_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_LINK = KnownLinkView(kind=LinkKind.DEVICE, hash=_HASH, seen_at=sample.PAID_AT, buyers=2, links=True)
EXAMPLES = (
    IdentityLinkSent(kind=LinkKind.DEVICE, hash=_HASH, seen_at=sample.PAID_AT),
    IdentityLinksSent(links=[IdentityLinkSent(kind=LinkKind.DEVICE, hash=_HASH, seen_at=sample.PAID_AT)]),
    IdentityLinksTaken(recorded=1),
    _LINK,
    BuyerClusterAnswer(
        buyer_id="b-1", cluster_id=UUID("0197a000-0000-7000-8000-000000000001"), members=("b-1", "b-2"), links=(_LINK,)
    ),
)
