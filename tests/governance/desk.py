"""Two people, an administrator and a policy in force, in an installation in which two people approve."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jitui.adapters.postgres.confirmations import PostgresConfirmations
from jitui.adapters.postgres.people import PostgresPeople
from jitui.adapters.postgres.policies import PostgresPolicies
from jitui.adapters.postgres.pool import Pool, make_pool
from jitui.adapters.postgres.proposals import PostgresProposals
from jitui.adapters.postgres.registry import PostgresRegistry
from jitui.aftersales.governance.policies import install
from jitui.aftersales.governance.proposals import PolicyWish, Proposal, ProposalRefusal, propose
from jitui.aftersales.governance.publishing import Blocked, Candidate
from jitui.identity.access import Role
from jitui.identity.people import Person
from jitui.policy import Policy
from tests.aftersales.market import DEFAULT_POLICY

ADA, BO, CY = "ada", "bo", "cy"
FUTURE_VERSION = "next"


def text(version: str = FUTURE_VERSION, **changed: str) -> str:
    """The default policy as another version; `changed` replaces words of it."""
    document = DEFAULT_POLICY.text.replace(f'version: "{DEFAULT_POLICY.version}"', f'version: "{version}"')
    for old, new in changed.items():
        assert old in document
        document = document.replace(old, new)
    assert document != DEFAULT_POLICY.text
    return document


@dataclass
class Desk:
    """What the tests work with; `now` moves only when a test says so."""

    pool: Pool
    policies: PostgresPolicies
    proposals: PostgresProposals
    confirmations: PostgresConfirmations
    registry: PostgresRegistry
    people: PostgresPeople
    now: datetime

    async def propose(
        self, document: str = "", *, by: str = ADA, effective_at: datetime | None = None, canary_percent: int = 0
    ) -> Proposal | Blocked:
        wish = PolicyWish(Candidate(document or text(), "next.yaml", effective_at=effective_at), "why", canary_percent)
        return await propose(self.policies, self.proposals, wish, by=by, now=self.now)

    async def proposed(self, document: str = "", **more: object) -> Proposal:
        proposal = await self.propose(document, **more)  # type: ignore[arg-type]
        assert isinstance(proposal, Proposal), proposal
        return proposal

    async def approve(self, proposal: Proposal, *, by: str = BO, role: str = "risk") -> Proposal | ProposalRefusal:
        return await self.proposals.approve(
            proposal.proposal_id, proposal.content_hash, by=by, role=role, now=self.now, note=""
        )

    async def live(self) -> str:
        found = await self.policies.publication(None)
        assert found is not None
        return found.version


@asynccontextmanager
async def open_desk(database_url: str, *, two_people: bool = True, now: datetime | None = None) -> AsyncIterator[Desk]:
    """On a migrated database. The clock is the database's, since schedules go by it."""
    at = now or datetime.now(UTC)
    async with make_pool(database_url, max_size=8) as pool:
        desk = Desk(
            pool,
            PostgresPolicies(pool),
            PostgresProposals(pool),
            PostgresConfirmations(pool),
            PostgresRegistry(pool, "Asia/Shanghai"),
            PostgresPeople(pool),
            at,
        )
        for name, role in ((ADA, Role.RISK), (BO, Role.RISK), (CY, Role.ADMIN)):
            made = at - timedelta(days=30)
            await desk.people.add_person(Person(name, role, "", name), None, made, by="command line")
        assert await install(desk.policies, DEFAULT_POLICY, by="installation", now=at - timedelta(days=20))
        if two_people:
            assert await desk.policies.end_single_person(by="tests", now=at)
        yield desk


def policy(document: str) -> Policy:
    return Policy.from_text(document)
