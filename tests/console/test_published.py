"""The page of the published policy: the one in force, and earlier versions by pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jitui.adapters.postgres.registry import PostgresRegistry
from jitui.aftersales.governance.announcing import Announcement, Opinion, OpinionOf
from jitui.aftersales.governance.policies import text_of
from jitui.aftersales.governance.rollout import announce
from jitui.entrypoints.console.published import VERSIONS_PER_PAGE
from jitui.ids import new_id
from jitui.policy import Policy, public_view
from tests.aftersales.market import DEFAULT_POLICY
from tests.console.conftest import Visit
from tests.console.marketplace import Marketplace
from tests.publishing import damage_texts, put_in_force


async def _publish(market: Marketplace, count: int) -> None:
    for number in range(2, count + 1):
        policy = Policy.from_text(DEFAULT_POLICY.text.replace('version: "2"', f'version: "v{number}"'))
        await put_in_force(market.service.policies, policy, by="tests", now=market.service.clock())


async def test_versions_come_by_pages(market: Marketplace, visit: Visit) -> None:
    await _publish(market, VERSIONS_PER_PAGE + 2)
    page = await (await visit()).see("/policy")
    assert f"v{VERSIONS_PER_PAGE + 2}" in page.text
    assert page.text.count("Published") >= VERSIONS_PER_PAGE
    (older,) = [given["href"] for tag, given in page.tags if tag == "a" and "before=" in given.get("href", "")]
    last = await (await visit()).see(older)
    assert len([1 for tag, given in last.tags if tag == "a" and "publication=" in given.get("href", "")]) == 2
    assert not [1 for tag, given in last.tags if "before=" in given.get("href", "")]


async def test_an_earlier_version_says_when_it_was_replaced(market: Marketplace, visit: Visit) -> None:
    await _publish(market, 2)
    visitor = await visit()
    assert "It was replaced at" in (await visitor.see("/policy?publication=1")).text
    assert "It was replaced at" not in (await visitor.see("/policy?publication=2")).text


@pytest.mark.parametrize(
    "query", ["publication=0", "publication=x", "publication=" + "9" * 18, "before=-1", "before=٣"]
)
async def test_a_version_that_is_not_there_is_not_found(visit: Visit, query: str) -> None:
    assert (await (await visit()).get(f"/policy?{query}")).status_code == 404


async def test_a_page_of_stored_versions_compiles_nothing(market: Marketplace, visit: Visit) -> None:
    await _publish(market, 2)
    assert isinstance(market.service.registry, PostgresRegistry)
    async with market.service.registry._pool.connection() as connection:
        await damage_texts(connection)
    assert "v2" in (await (await visit()).see("/policy?publication=1")).text


async def test_what_is_announced_is_shown_with_its_changes_and_what_was_said(market: Marketplace, visit: Visit) -> None:
    policies, now = market.service.policies, datetime.now(UTC)
    later = DEFAULT_POLICY.text.replace('version: "2"', 'version: "v9"').replace("订单实付金额低于", "实付低于")
    policy = Policy.from_text(later)
    text = await policies.push(text_of(policy, by="tests", now=now), public_view(policy))
    made = await announce(policies, market.service.proposals, text, now + timedelta(days=9), by="ada", now=now)
    assert isinstance(made, Announcement)
    opinion = Opinion(new_id(0), made.announcement_id, OpinionOf.MERCHANT, "Too <b>high</b>.", "ada", now, "form-1")
    assert isinstance(await policies.record_opinion(opinion), Opinion)
    await policies.answer_opinion(opinion.opinion_id, "It stays.", by="bo", now=now)
    page = await (await visit()).see("/policy")
    for words in ("Announced: version v9", "Too <b>high</b>.", "The platform answers: It stays.", "A shop"):
        assert words in page.text
    assert "ada" not in page.text and "form-1" not in page.text
