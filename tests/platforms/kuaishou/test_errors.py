"""Every refusal of the table comes out as what it is, and a person is told what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.kuaishou.client import KuaishouClient
from jitui.adapters.platforms.kuaishou.credentials import credentials_in
from jitui.adapters.platforms.kuaishou.opening import open_kuaishou
from jitui.adapters.platforms.kuaishou.requests import KuaishouOptions, KuaishouRequests
from jitui.aftersales.platform import CallFailed, CallRefused
from jitui.aftersales.platform_requests import UnreadableRequest, Window
from jitui.aftersales.provider import CallTrouble
from jitui.errors import Unavailable
from tests.platforms.kuaishou.errors import DOCUMENTED, LISTS_REFUSED, Documented
from tests.platforms.kuaishou.server import APPROVE, LIST, SECRET, TOKEN, Fault, KuaishouServer


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def source(there: KuaishouServer) -> AsyncIterator[KuaishouRequests]:
    async with AsyncExitStack() as stack:
        yield await open_kuaishou(PlatformAccess(there.url, SECRET, 5), stack)


def client(url: str, *, timeout_seconds: float = 5, secret: str = SECRET) -> KuaishouClient:
    return KuaishouClient(base_url=url, credentials=credentials_in(secret), timeout_seconds=timeout_seconds, clock=_now)


def listing(**changed: int) -> dict[str, object]:
    now = round(_now().timestamp() * 1000)
    good = {"beginTime": now - 60_000, "endTime": now, "type": 9, "queryType": 2, "sort": 2, "pageSize": 100}
    for name, value in changed.items():
        good[name] = good["beginTime"] + value if name == "endTime" else now + value if name == "beginTime" else value
    return {**good, "currentPage": 1, "pcursor": ""}


def test_there_are_enough_with_a_source() -> None:
    assert len([one for one in DOCUMENTED if one.grade]) >= 8


@pytest.mark.parametrize("told", DOCUMENTED, ids=lambda told: told.name)
async def test_a_refusal_is_understood(there: KuaishouServer, told: Documented) -> None:
    told.happens(there)
    async with client(there.url) as calling:
        answer = await calling.read(LIST, listing())
    if told.trouble is None:
        assert isinstance(answer, CallRefused)
    else:
        assert isinstance(answer, CallFailed)
        assert (answer.trouble, answer.reached) == (told.trouble, told.reached)
    assert told.says in answer.reason


@pytest.mark.parametrize("told", DOCUMENTED, ids=lambda told: told.name)
async def test_a_person_is_told_what_to_do(there: KuaishouServer, source: KuaishouRequests, told: Documented) -> None:
    told.happens(there)
    problem = await source.check()
    assert problem is not None
    assert told.says in problem
    assert TOKEN not in problem


@pytest.mark.parametrize(("what", "where", "changed"), LISTS_REFUSED)
async def test_a_list_is_refused_as_documented(
    there: KuaishouServer, what: str, where: str, changed: dict[str, int]
) -> None:
    async with client(there.url) as calling:
        assert isinstance(await calling.read(LIST, listing(**changed)), CallRefused), (what, where)
        assert not isinstance(await calling.read(LIST, listing()), CallFailed | CallRefused)


async def test_a_good_shop_has_no_problem(there: KuaishouServer, source: KuaishouRequests) -> None:
    assert await source.check() is None
    there.tokens = {TOKEN: {"merchant_refund"}}
    problem = await source.check()
    assert problem is not None, "the right to read orders is tried too"
    assert "merchant_order" in problem


@pytest.mark.parametrize(("minutes", "differs"), [(-6, True), (-4, False), (4, False), (6, True)])
async def test_clocks_that_differ_are_told(
    there: KuaishouServer, source: KuaishouRequests, minutes: int, differs: bool
) -> None:
    there.ahead = timedelta(minutes=minutes)
    problem = await source.check()
    assert ("clock" in problem if problem else False) is differs


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "not-an-address", "ftp://127.0.0.1"])
async def test_a_wrong_address_reaches_nobody(url: str) -> None:
    async with client(url) as calling:
        answer = await calling.write("open.seller.order.refund.approve", {})
    assert isinstance(answer, CallFailed)
    assert (answer.trouble, answer.reached) == (CallTrouble.UNREACHABLE, False)


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (Fault.HANG, CallTrouble.TIMED_OUT),
        (Fault.DROPPED_AFTER, CallTrouble.UNREACHABLE),
        (Fault.DROPPED_BEFORE, CallTrouble.UNREACHABLE),
        (Fault.LONG, CallTrouble.UNREADABLE),
    ],
)
async def test_a_call_without_an_answer_may_have_been_done(
    there: KuaishouServer, fault: Fault, trouble: CallTrouble
) -> None:
    refund_id = there.ask(there.place())
    there.faults[APPROVE] = [fault]
    said = {"refundId": refund_id, "refundAmount": 12_900, "status": 10, "negotiateStatus": 1, "refundHandingWay": 10}
    async with client(there.url, timeout_seconds=0.5) as calling:
        answer = await calling.write(APPROVE, said)
    assert isinstance(answer, CallFailed)
    assert (answer.trouble, answer.reached) == (trouble, True)
    assert len(there.calls(APPROVE)) <= 1, "what changes something is never repeated by itself"


async def test_a_window_that_a_campaign_made_too_long_is_said(there: KuaishouServer) -> None:
    there.longest_window = timedelta(hours=1)
    now = _now()
    async with AsyncExitStack() as stack:
        access = PlatformAccess(there.url, SECRET, 5)
        source = await open_kuaishou(access, stack, KuaishouOptions(timedelta(hours=2)))
        with pytest.raises(Unavailable, match="window"):
            async for _ in source.requests_since(Window(now - timedelta(hours=2), now)):
                pass


async def test_the_longest_window_is_a_day_whatever_is_set(there: KuaishouServer) -> None:
    async with AsyncExitStack() as stack:
        access = PlatformAccess(there.url, SECRET, 5)
        source = await open_kuaishou(access, stack, KuaishouOptions(timedelta(days=3)))
        assert source.lists.window == timedelta(days=1)


async def test_a_row_that_cannot_be_read_does_not_hide_the_others(
    there: KuaishouServer, source: KuaishouRequests
) -> None:
    first, second = there.ask(there.place()), there.ask(there.place())
    del there.requests[first]["oid"]
    now = _now()
    pages = [page async for page in source.requests_since(Window(now - timedelta(hours=1), now))]
    (unreadable, readable) = pages[0]
    assert isinstance(unreadable, UnreadableRequest)
    assert unreadable.request_id == str(first)
    assert readable.request_id == str(second)


async def test_another_request_than_was_asked_for_is_not_believed(
    there: KuaishouServer, source: KuaishouRequests
) -> None:
    first, second = there.ask(there.place()), there.ask(there.place())
    there.requests[first] = there.requests[second]
    answer = await source.read_request(str(first))
    assert isinstance(answer, CallFailed)
    assert await source.read_request("no number") is None
    assert await source.find_order("no number") is None
