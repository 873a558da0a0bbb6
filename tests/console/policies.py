"""People who write and approve policies, and policies at every step of their lives, for tests of their pages."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from msgspec import to_builtins

from jitui.aftersales.governance.announcing import Announcement, Opinion, OpinionOf
from jitui.aftersales.governance.proposals import PolicyWish, Proposal, propose
from jitui.aftersales.governance.publication import Stage
from jitui.aftersales.governance.publishing import Candidate
from jitui.aftersales.governance.registry import Pause, Scope
from jitui.aftersales.governance.rollout import announce
from jitui.backtest import charts
from jitui.backtest.report_parts import DrawnChart, Figure, ReportParts, ReportTable
from jitui.backtest.words import WORDS
from jitui.bootstrap import default_policy
from jitui.entrypoints.console.risk.back_test import path_of_run
from jitui.entrypoints.console.risk.back_test_list import Headline, HeadlineFigure, HeadlineSaid
from jitui.entrypoints.console.risk.back_test_runs import (
    Against,
    End,
    Ended,
    Progress,
    Wish,
    folder_of,
    write,
)
from jitui.identity.access import Role
from jitui.identity.people import Person, enrol
from jitui.ids import new_id
from jitui.policy import Policy
from tests.console.marketplace import Marketplace
from tests.publishing import put

ADA = Person("ada", Role.RISK, "", "Ada", {"zh": "写策略", "en": "Writes policies"}, True)
BO = Person("bo", Role.RISK, "", "Bo", {"zh": "审批策略", "en": "Approves policies"}, True)
LIVE = default_policy()
NEXT = LIVE.text.replace('version: "2"', 'version: "3"').replace("limit_minor: 30000", "limit_minor: 20000")
AGREED = NEXT.replace('"3"', '"7-of-the-tenth-of-december-with-a-long-name"')


async def enrolled(market: Marketplace) -> None:
    """Both can sign in."""
    for person in (ADA, BO):
        await enrol(market.service.people, person, None, now=market.service.clock())


async def policies_at_work(market: Marketplace) -> list[str]:
    """A canary, a shadow, a scheduled text, a proposal, a pause and a change to be confirmed; the pages of some."""
    await enrolled(market)
    service, now = market.service, market.service.clock()
    numbered = {number: Policy.from_text(NEXT.replace('"3"', f'"{number}"')) for number in (3, 4, 5)}
    await put(service.policies, numbered[3], now=now, stage=Stage.CANARY, percent=5, seed="a")
    await put(service.policies, numbered[4], now=now, stage=Stage.SHADOW)
    wish = PolicyWish(Candidate(numbered[5].text, "p.yaml"), "The limit is lower.", 5, _headline(now))
    done = await propose(service.policies, service.proposals, wish, by=ADA.name, now=now)
    assert isinstance(done, Proposal), done
    await agreed(market)
    await put(service.policies, Policy.from_text(NEXT.replace('"3"', '"6"')), now=now, effective_at=now + timedelta(9))
    assert await service.policies.end_single_person(by="tests", now=now)
    await service.registry.set_pause(Pause(Scope.SHOP, "shop-1", "A drill.", BO.name, now, now + timedelta(hours=4)))
    return [
        f"/risk/policies/texts/{LIVE.id}/2",
        f"/risk/policies/texts/{LIVE.id}/3",
        f"/risk/policies/proposals/{done.proposal_id}",
    ]


def _headline(now: datetime) -> dict[str, object]:
    """A back-test as a proposal has it whose page is not kept any more."""
    said: dict[str, HeadlineSaid] = {}
    for language, words in WORDS.items():
        parts = _parts(words)
        figures = tuple(HeadlineFigure(one.name, one.value, one.detail) for one in parts.figures)
        said[language] = HeadlineSaid(parts.answer, parts.period, figures)
    made: dict[str, object] = to_builtins(Headline(uuid4(), "0" * 64, ADA.name, now, 30, Against.LIVE, "2", said))
    return made


def left_run(market: Marketplace, ended: Ended | None, document: str = NEXT) -> UUID:
    """A back-test of version 3 whose process is gone."""
    folder, run_id, now = folder_of(market.service.database_url, make=True), uuid4(), market.service.clock()
    assert folder is not None
    place = folder / str(run_id)
    place.mkdir()
    (place / "lock").touch()
    sha256 = Policy.from_text(document).sha256
    wish = Wish(LIVE.id, "3", sha256, document, LIVE.text, "2", Against.LIVE, 30, None, "Asia/Shanghai", ADA.name, now)
    write(place / "wish.json", wish)
    if ended is not None:
        write(place / "ended.json", ended)
    return run_id


def back_tests_kept(market: Marketplace) -> dict[str, str]:
    """The pages of back-tests in every shape, by name; the one that runs does so until its lock is closed."""
    shapes = {name: left_run(market, Ended(End.DONE)) for name in ("done", "empty")}
    shapes["cut-off"] = left_run(market, None)
    shapes["failed"] = left_run(market, Ended(End.FAILED, "This history has no decisions to compare with." + "x" * 80))
    shapes["runs"] = left_run(market, None)
    folder = folder_of(market.service.database_url)
    assert folder is not None
    write(folder / str(shapes["done"]) / "parts.json", {name: _parts(words) for name, words in WORDS.items()})
    (folder / str(shapes["done"]) / "report.html").write_text("<html></html>")
    nothing = ReportParts(("", ""), "None.", "", (), "", (), "", (), (), ())
    write(folder / str(shapes["empty"]) / "parts.json", dict.fromkeys(WORDS, nothing))
    write(folder / str(shapes["runs"]) / "progress.json", Progress("caps of a policy", 12_345, 100_000))
    _RUNNING.append(_held(folder / str(shapes["runs"]) / "lock"))
    shapes["gone"] = uuid4()
    return {name: path_of_run(run_id) for name, run_id in shapes.items()}


_RUNNING: list[Any] = []


def _held(lock: Path) -> Any:
    opened = lock.open("ab")
    fcntl.flock(opened, fcntl.LOCK_EX)
    return opened


def _parts(t: Mapping[str, str]) -> ReportParts:
    """A report with long names; its chart is made as in a real one."""
    long = "unshipped-instant-refund-of-a-marketplace-with-a-long-name"
    cost = charts.of_cost([("0.5 %", 1200, 2400), ("1 %", 2400, 4800)], "CNY", ("2", long), t)
    return ReportParts(
        names=(f"{long} 2", f"{long} 3"),
        none="",
        answer_title=t["answer"],
        answer=("12.3 % → 14.5 %", f"{long}: 1,234,567.00 CNY"),
        period="2026-10-29 – 2026-11-28, Asia/Shanghai",
        figures=(Figure(t["share_at_once"], "12.3 % → 14.5 %", "123 → 145 / 1,000"),) * 4,
        gaps_title=t["gaps"],
        gaps=(t["gaps_none"], f"buyer.{'x' * 70}"),
        charts=(DrawnChart(cost.title, cost.height, dict(cost.option)),),
        tables=(
            ReportTable(t["four_ways"], (f"{long} 2 → 3", t["requests"]), ((t["gain"], "123"), (t["lose"], "4"))),
            ReportTable(t["obstacles"], (t["condition"], t["stopped"]), (("paid_under_300", "12,345"),)),
        ),
    )


async def agreed(market: Marketplace) -> None:
    """A text that a second person has approved, for a day to come."""
    service, now = market.service, market.service.clock()
    wish = PolicyWish(Candidate(AGREED, "p.yaml", effective_at=now + timedelta(days=20)), "Lower.", 0)
    done = await propose(service.policies, service.proposals, wish, by=ADA.name, now=now)
    assert isinstance(done, Proposal), done
    approved = await service.proposals.approve(
        done.proposal_id, done.content_hash, by=BO.name, role=BO.role.value, now=now, note=""
    )
    assert isinstance(approved, Proposal), approved


async def announced(market: Marketplace) -> str:
    """The page of that text, which is announced, with one opinion that is answered and one that is not."""
    service, now = market.service, market.service.clock()
    text = await service.policies.text(Policy.from_text(AGREED).sha256)
    assert text is not None
    told = await announce(service.policies, service.proposals, text, None, by=ADA.name, now=now)
    assert isinstance(told, Announcement), told
    for group, said in ((OpinionOf.MERCHANT, "生鲜的上限太低了。" * 20), (OpinionOf.OTHER, "x" * 200)):
        row = Opinion(new_id(0), told.announcement_id, group, said, ADA.name, now)
        assert isinstance(await service.policies.record_opinion(row), Opinion)
    await service.policies.answer_opinion(row.opinion_id, "It stays as it is.", by=BO.name, now=now)
    return f"/risk/policies/texts/{text.policy_id}/{text.version}/announcement"
