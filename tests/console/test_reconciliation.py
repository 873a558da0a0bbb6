"""The operators' page of reconciliation: both sides of a difference, and what was booked at each provider by days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jitui.aftersales.model.task import OperatorTask, TaskFilter, TaskKind
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.aftersales.reconciliation.reconcile import Reconciling, reconcile
from jitui.aftersales.reconciliation.statement import RowKind, StatementRow, StatementWindow
from jitui.entrypoints.console.operations.reconciliation import KINDS
from jitui.entrypoints.console.operations.statement import Wish
from tests.console.conftest import Visit
from tests.console.marketplace import Marketplace
from tests.console.operators import AUDITOR, LI, SUCCEEDED, hears, refunding, staffed
from tests.console.pages import Page, Visitor

PAGE = "/operations/reconciliation"


@dataclass(frozen=True)
class Sent:
    """What came back for a file."""

    status: int
    page: Page


async def attempt_of(market: Marketplace, order_id: str) -> str:
    """The attempt that paid an order's refund; the provider names it as its reference."""
    ref = await market.service.store.find_order(order_id)
    assert ref is not None
    snapshot = await market.service.store.read_order(ref)
    assert snapshot is not None
    return str(snapshot.attempts[0].attempt_id)


@pytest.fixture(autouse=True)
async def _staff(market: Marketplace) -> None:
    await staffed(market)


async def reconciled(market: Marketplace, *rows: StatementRow) -> None:
    """A statement of the last day, with these rows."""
    service, now = market.service, market.service.clock()
    parts = Reconciling(service.store, service.staging, service.tasks, service.clock)
    window = StatementWindow(now - timedelta(days=1), now + timedelta(days=1))
    await reconcile(parts, "simulator", rows, lambda _: window)


async def test_a_difference_is_shown_from_both_sides(market: Marketplace, visit: Visit) -> None:
    refund_id = await refunding(market, "A-1")
    await hears(market, refund_id, SUCCEEDED)
    now = market.service.clock()
    differs = StatementRow(7, RowKind.REFUND, now, 12800, "CNY", provider_refund_id="rf-7")
    await reconciled(market, differs, StatementRow(8, RowKind.REFUND, now, 500, "CNY", provider_refund_id="rf-9"))
    visitor = await visit(LI)
    page = await visitor.see(PAGE)
    assert "rf-9" in page.text and "CN¥5.00" in page.text, "the first kind that has any: only in their statement"
    page = await visitor.see(f"{PAGE}?kind=amount_differs")
    assert "CN¥129.00" in page.text and "CN¥128.00" in page.text
    assert f"/operations/refunds/{refund_id}" in [given.get("href") for _, given in page.tags]
    assert "rf-9" not in page.text
    for empty in ("ours_only", "unreadable_row"):
        assert "Nothing differs" in (await visitor.see(f"{PAGE}?kind={empty}")).text
    for wrong in ("kind=no_worker", "kind=x", "since=x", "after=x"):
        assert (await visitor.get(f"{PAGE}?{wrong}")).status_code == 400, wrong


async def test_what_was_booked_at_a_provider_by_days(market: Marketplace, visit: Visit) -> None:
    refund_id = await refunding(market, "A-1")
    await hears(market, refund_id, SUCCEEDED)
    visitor = await visit(AUDITOR)
    page = await visitor.see(PAGE)
    booked = [word.strip() for word in page.words if word.strip().startswith("CN¥")]
    assert booked == ["CN¥0.00", "CN¥129.00", "CN¥129.00", "CN¥0.00"], "at the beginning, in, out, at the end"
    assert "Nothing was booked" in (await visitor.see(f"{PAGE}?since=2026-01-01&until=2026-01-31")).text
    for since, until, says in (
        ("2026-01-01", "2026-02-01", "Please choose at most 31 days."),
        ("2026-06-02", "2026-06-01", "The first day is after the last one."),
    ):
        wrong = await visitor.get(f"{PAGE}?since={since}&until={until}")
        assert wrong.status_code == 422 and says in wrong.text
        assert f'value="{since}"' in wrong.text and f'value="{until}"' in wrong.text, "what was chosen is kept"


HEAD = "time,kind,provider_id,payment_id,reference,order_id,amount,currency\n"


async def compared(
    visitor: Visitor, content: str | bytes, provider: str = "simulator", name: str = "day.csv", **days: str
) -> Sent:
    """The page that answers a file."""
    token = (await visitor.see(PAGE)).form(f"{PAGE}/statement").fields["_csrf_token"]
    sent = content.encode() if isinstance(content, str) else content
    got = await visitor.http.post(
        f"{PAGE}/statement", data={"_csrf_token": token, "provider": provider, **days}, files={"file": (name, sent)}
    )
    return Sent(got.status_code, Page(got.text))


async def test_a_statement_is_compared_and_sent_again_opens_nothing_twice(market: Marketplace, visit: Visit) -> None:
    for order_id in ("A-1", "A-2", "A-3"):
        paid = RefundResult(RefundResultKind.SUCCEEDED, provider_refund_id=f"rf-{order_id}")
        await hears(market, await refunding(market, order_id), paid)
    (first, second, third) = [await attempt_of(market, order_id) for order_id in ("A-1", "A-2", "A-3")]
    now = market.service.clock().isoformat()
    rows = (
        f"{now},refund,rf-A-1,pay-A-1,{first},A-1,-129.00,CNY\n"
        f"{now},refund,rf-A-2,pay-A-2,{second},A-2,-128.00,CNY\n"
        f"{now},refund,rf-99,p,unknown,,-5.00,CNY\n"
        f"{now},refund,rf-98,p,x,,much,CNY\n"
    )
    visitor = await visit(LI)
    got = await compared(visitor, HEAD + rows)
    assert got.status == 200
    for words in ("Matched", "The amounts differ", "Only in the provider's statement", "Only in our books", "Line 5:"):
        assert words in got.page.text, words
    assert "CN¥128.00" in got.page.text and "rf-99" in got.page.text
    tasks = await market.service.tasks.list(TaskFilter())
    kinds = sorted(task.kind.value for task in tasks if task.kind in KINDS)
    assert kinds.count("amount_differs") == kinds.count("theirs_only") == kinds.count("unreadable_row") == 1
    assert "ours_only" in kinds, f"the third refund, {third}, is not in the file"
    again = await compared(visitor, HEAD + rows)
    assert (again.status, len(await market.service.tasks.list(TaskFilter()))) == (200, len(tasks))


async def test_what_a_part_of_a_statement_does_not_have_is_one_task_until_its_days_are_told(
    market: Marketplace, visit: Visit
) -> None:
    for order_id in ("A-1", "A-2", "A-3"):
        paid = RefundResult(RefundResultKind.SUCCEEDED, provider_refund_id=f"rf-{order_id}")
        await hears(market, await refunding(market, order_id), paid)
    at = market.service.clock()
    part = f"{HEAD}{at.isoformat()},refund,rf-A-1,pay-A-1,{await attempt_of(market, 'A-1')},A-1,-129.00,CNY\n"
    visitor = await visit(LI)

    async def missing() -> list[OperatorTask]:
        return list(await market.service.tasks.list(TaskFilter(kind=TaskKind.OURS_ONLY)))

    got = await compared(visitor, part)
    assert "1 differences are open." in got.page.text
    assert "one task: 2 movements of ours" in got.page.text and "CN¥258.00" in got.page.text
    (task,) = await missing()
    assert (task.evidence["count"], task.evidence["sums_minor"]) == (2, {"CNY": 25800})
    first = task.evidence["first"]
    assert isinstance(first, list) and sorted(one["order_id"] for one in first) == ["A-2", "A-3"]
    assert "2 movements of ours" in (await visitor.see(PAGE)).text and "CN¥258.00" in (await visitor.see(PAGE)).text
    await compared(visitor, part)
    assert len(await missing()) == 1

    day = at.date()
    earlier = {"since": str(day - timedelta(days=9)), "until": str(day - timedelta(days=8))}
    assert "No difference is open." in (await compared(visitor, part, **earlier)).page.text
    assert len(await missing()) == 1, "what lies outside of the days that were told is not missing"
    told = {"since": str(day - timedelta(days=1)), "until": str(day + timedelta(days=1))}
    got = await compared(visitor, part, **told)
    assert "2 differences are open." in got.page.text and "Nothing says which days" not in got.page.text
    assert sorted(one.order_id or "" for one in await missing()) == ["", "A-2", "A-3"]


@pytest.mark.parametrize(
    "days",
    [
        {"since": "2026-11-23"},
        {"until": "2026-11-23"},
        {"since": "2026-11-23", "until": "2026-11-22"},
        {"since": "x", "until": "2026-11-23"},
        {"since": "0001-01-01", "until": "2026-11-23"},
    ],
    ids=str,
)
async def test_days_that_are_none_are_refused_and_kept(market: Marketplace, visit: Visit, days: dict[str, str]) -> None:
    got = await compared(await visit(LI), HEAD, **days)
    assert (got.status, "both the first and the last day" in got.page.text) == (422, True)
    fields = got.page.form(f"{PAGE}/statement").fields
    assert {name: fields[name] for name in ("since", "until")} == {"since": "", "until": "", **days}


def test_the_days_of_the_form_are_whole_and_in_the_zone_of_the_provider() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    first, last = datetime(2026, 11, 23, tzinfo=zone), datetime(2026, 11, 24, tzinfo=zone)
    assert Wish("alipay", "2026-11-23", "2026-11-23").covers_in(zone) == (first, last)
    assert Wish("alipay").covers_in(zone) == (None, None)


@pytest.mark.parametrize(
    ("content", "provider", "said"),
    [
        ("", "simulator", "The file is empty."),
        ("a,b\n1,2\n", "simulator", "day.csv is not a statement of the simulator: no column"),
        (b"\xff\xfe\x00", "simulator", "day.csv is not text in UTF-8: "),
        (HEAD, "simulator", "The statement has no rows"),
        (HEAD, "paypal", "The provider is one of simulator, wechat_pay, alipay, stripe, not 'paypal'."),
    ],
    ids=str,
)
async def test_a_file_that_is_no_statement_is_refused_in_words(
    market: Marketplace, visit: Visit, content: str | bytes, provider: str, said: str
) -> None:
    got = await compared(await visit(LI), content, provider)
    assert got.status == 422
    assert said in got.page.text
    assert not await market.service.tasks.list(TaskFilter())


@pytest.mark.parametrize(
    ("content", "provider", "said"),
    [
        ("a,b\n1,2\n", "simulator", "day.csv 不是模拟支付机构的对账单：没有 'amount' 列。"),
        (b"\xff\xfe\x00", "simulator", "day.csv 不是 UTF-8 编码的文本：第 0 字节有误"),
        (HEAD, "paypal", "支付机构须为 simulator, wechat_pay, alipay, stripe 之一，而不是 'paypal'。"),
        ("交易时间,交易状态\n", "wechat_pay", "day.csv 不完整：缺少合计（总交易单数）。请重新下载。"),
        (HEAD + "x,y,z,,,,,\n" * 1_001, "simulator", "超过 1000 行无法读取，首个在第 2 行：'y' 不是资金变动的种类。"),
    ],
    ids=str,
)
async def test_why_a_file_is_refused_is_said_in_chinese_on_a_chinese_page(
    market: Marketplace, visit: Visit, content: str | bytes, provider: str, said: str
) -> None:
    got = await compared(await visit(LI, "zh-CN"), content, provider)
    assert (got.status, said in got.page.text) == (422, True), got.page.text


async def test_why_a_row_cannot_be_read_is_said_in_chinese_on_a_chinese_page(visit: Visit) -> None:
    rows = "".join(f"2026-11-23T08:00:00Z,refund,rf-98,p,x,,{amount},CNY\n" for amount in ("-1.00", "much"))
    got = await compared(await visit(LI, "zh-CN"), HEAD + rows)
    assert "第 3 行" in got.page.text
    assert "应为由数字和一个小数点写成的 CNY 金额，不带分隔符和货币符号，而不是 'much'" in got.page.text


async def test_rows_that_cannot_be_read_at_all_name_the_first_line(market: Marketplace, visit: Visit) -> None:
    got = await compared(await visit(LI), HEAD + "x,y,z,,,,,\n" * 1_001)
    assert got.status == 422
    assert "the first in line 2" in got.page.text
    assert not await market.service.tasks.list(TaskFilter())


async def test_only_who_ends_tasks_sends_statements_and_none_is_too_large(visit: Visit) -> None:
    auditor = await visit(AUDITOR)
    assert f"{PAGE}/statement" not in {form.action for form in (await auditor.see(PAGE)).forms}
    visitor = await visit(LI)
    assert (await compared(visitor, "x" * 5_020_000)).status == 413
    assert (await compared(visitor, "x" * 200_000)).status == 422, "more than other forms may send"


async def test_a_files_name_never_leaves_its_folder(visit: Visit) -> None:
    visitor = await visit(LI)
    for name, shown in (
        ("../../etc/day.csv", "day.csv is not"),
        ("..", "statement is not"),
        ("a" * 300, "statement is not"),
    ):
        got = await compared(visitor, "a,b\n1,2\n", name=name)
        assert (got.status, shown in got.page.text) == (422, True), name
