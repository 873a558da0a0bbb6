"""Which conditions stand, by what is read of the service: each begins and ends at its own moment. No database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.task import NewTask, TaskKind
from jitui.aftersales.operations.conditions import (
    FIRST_READING,
    GRACE,
    SILENT_AFTER,
    Expected,
    standing_tasks,
    started_before,
)
from jitui.aftersales.operations.platform_connections import LATE
from jitui.aftersales.provider import Capabilities
from jitui.aftersales.queries import (
    CanaryTrouble,
    OpenRefunds,
    OperationsState,
    PlatformSeen,
    ProviderTroubleSeen,
    UnbalancedOrder,
    WorkerSeen,
)
from tests.aftersales.market import NOW

A_MOMENT = timedelta(milliseconds=1)
SLOW = Capabilities(keys=True, look_up=True, known_within=timedelta(minutes=2), paid_within=timedelta(days=3))
EXPECTED = Expected({"stripe": SLOW}, timedelta(seconds=10))
ALIVE = WorkerSeen("w-1", NOW, 1.0, ("stripe",))
WELL = OperationsState(workers=(ALIVE,), usage_as_of=NOW)


def standing(state: OperationsState, *unbalanced: UnbalancedOrder, expected: Expected = EXPECTED) -> list[NewTask]:
    return list(standing_tasks(state, unbalanced, expected, NOW))


def refunds(state: RefundState, age: timedelta, **more: Any) -> OpenRefunds:
    return replace(OpenRefunds("stripe", state, 3, NOW - age), **more)


def kinds(state: OperationsState) -> list[TaskKind]:
    return [task.kind for task in standing(state)]


def test_a_service_that_is_well_has_no_conditions_and_neither_has_a_fresh_one() -> None:
    assert standing(WELL) == []
    assert standing(OperationsState()) == []


@pytest.mark.parametrize(
    ("state", "usual"),
    [
        (RefundState.UNKNOWN, SLOW.known_within),
        (RefundState.SENDING, SLOW.known_within),
        (RefundState.PENDING, SLOW.paid_within),
    ],
)
def test_an_outcome_is_overdue_past_its_providers_usual_time(state: RefundState, usual: timedelta) -> None:
    assert standing(replace(WELL, refunds=(refunds(state, usual),))) == []
    late = refunds(state, usual + A_MOMENT)
    (task,) = standing(replace(WELL, refunds=(late,)))
    assert (task.kind, task.provider, task.condition) == (TaskKind.OUTCOME_OVERDUE, "stripe", "outcome_overdue:stripe")
    assert task.evidence == {"refunds": 3, "states": [state.value], "oldest_at": late.oldest_at.isoformat()}


@pytest.mark.parametrize("state", [RefundState.QUEUED, RefundState.FAILED])
def test_what_was_not_sent_or_has_failed_is_no_overdue_outcome(state: RefundState) -> None:
    assert standing(replace(WELL, refunds=(refunds(state, timedelta(days=99)),))) == []


def test_overdue_outcomes_of_one_provider_are_one_task_and_of_another_another() -> None:
    late = timedelta(days=4)
    found = standing(
        replace(
            WELL,
            refunds=(
                refunds(RefundState.UNKNOWN, late),
                refunds(RefundState.PENDING, late + A_MOMENT),
                refunds(RefundState.UNKNOWN, timedelta(minutes=16), provider="paypal"),
            ),
        )
    )
    assert [(task.provider, task.evidence["refunds"]) for task in found] == [("stripe", 6), ("paypal", 3)]
    assert found[0].evidence["oldest_at"] == (NOW - late - A_MOMENT).isoformat()


def test_refunds_that_no_worker_can_take_are_a_condition_after_a_minute() -> None:
    waiting = refunds(RefundState.QUEUED, GRACE, provider="paypal", due_since=NOW - GRACE)
    assert standing(replace(WELL, refunds=(waiting,))) == []
    waits = replace(waiting, due_since=NOW - GRACE - A_MOMENT)
    (task,) = standing(replace(WELL, refunds=(waits,)))
    assert (task.kind, task.provider) == (TaskKind.PROVIDER_NOT_CONFIGURED, "paypal")
    assert task.evidence == {"refunds": 3, "due_since": (NOW - GRACE - A_MOMENT).isoformat()}
    served = replace(ALIVE, name="w-2", providers=("paypal",))
    assert standing(replace(WELL, refunds=(waits,), workers=(ALIVE, served))) == [], "another worker takes them"
    dead = replace(served, seen_seconds_ago=SILENT_AFTER.total_seconds() + 1)
    assert TaskKind.PROVIDER_NOT_CONFIGURED in kinds(replace(WELL, refunds=(waits,), workers=(ALIVE, dead)))


def test_without_a_worker_it_is_the_settings_of_whoever_looks_that_count() -> None:
    waits = refunds(RefundState.QUEUED, timedelta(hours=1), due_since=NOW - timedelta(hours=1))
    assert kinds(OperationsState((waits,), (), NOW)) == []
    assert kinds(OperationsState((replace(waits, provider="paypal"),), (), NOW)) == [TaskKind.PROVIDER_NOT_CONFIGURED]


def test_a_providers_trouble_is_one_condition_however_many_workers_have_it() -> None:
    def troubled(name: str, at: timedelta) -> WorkerSeen:
        seen = ProviderTroubleSeen("unauthorised", f"told to {name}", NOW - at)
        return replace(ALIVE, name=name, trouble={"stripe": seen})

    state = replace(WELL, workers=(ALIVE, troubled("w-2", A_MOMENT), troubled("w-3", timedelta(hours=1))))
    (task,) = standing(state)
    assert (task.kind, task.condition) == (TaskKind.PROVIDER_TROUBLE, "provider_trouble:stripe")
    assert task.evidence == {
        "trouble": "unauthorised",
        "reason": "told to w-3",
        "since": (NOW - timedelta(hours=1)).isoformat(),
        "workers": ["w-2", "w-3"],
    }
    silent = replace(troubled("w-2", A_MOMENT), seen_seconds_ago=61)
    assert kinds(replace(WELL, workers=(ALIVE, silent))) == [TaskKind.WORKER_SILENT], "it says nothing any more"


def test_a_worker_is_silent_after_a_minute() -> None:
    assert standing(replace(WELL, workers=(ALIVE, replace(ALIVE, name="w-2", seen_seconds_ago=60.0)))) == []
    (task,) = standing(replace(WELL, workers=(ALIVE, replace(ALIVE, name="w-2", seen_seconds_ago=60.1))))
    assert (task.kind, task.condition) == (TaskKind.WORKER_SILENT, "worker_silent:w-2")
    assert task.evidence["worker"] == "w-2"


def test_no_worker_is_a_condition_where_there_was_one_or_work_lies() -> None:
    old = NOW - GRACE - A_MOMENT
    assert kinds(OperationsState(usage_as_of=NOW - GRACE)) == [], "it is being started anew"
    assert kinds(OperationsState(usage_as_of=old)) == [TaskKind.NO_WORKER]
    assert kinds(replace(WELL, usage_as_of=old)) == []
    lies = refunds(RefundState.QUEUED, timedelta(), due_since=old)
    (task,) = standing(OperationsState(refunds=(lies,)))
    assert (task.kind, task.condition, task.evidence) == (TaskKind.NO_WORKER, "no_worker", {"refunds": 3})
    assert standing(OperationsState(refunds=(replace(lies, due_since=NOW - GRACE),))) == []
    assert standing(OperationsState(refunds=(replace(lies, due_since=None),))) == []
    assert standing(OperationsState(refunds=(lies,), usage_as_of=NOW)) == [], "a worker of an earlier release is at it"


def test_a_roll_up_is_stale_a_minute_after_its_usage_is_too_old() -> None:
    limit = EXPECTED.usage_max_age + GRACE
    assert standing(replace(WELL, usage_as_of=NOW - limit)) == []
    (task,) = standing(replace(WELL, usage_as_of=NOW - limit - A_MOMENT))
    assert (task.kind, task.condition) == (TaskKind.ROLL_UP_STALE, "roll_up_stale")


def test_an_unbalanced_order_is_a_task_with_both_sides() -> None:
    captured = UnbalancedOrder("o-1", "CNY", "captured", 12900, 12800)
    promised = UnbalancedOrder("o-1", "CNY", "promised", 0, 500)
    other = replace(captured, order_id="o-2")
    first, second = standing(WELL, captured, promised, other)
    assert (first.kind, first.condition, first.order_id) == (TaskKind.LEDGER_UNBALANCED, "ledger_unbalanced:o-1", "o-1")
    assert (first.amount_minor, first.currency) == (500, "CNY")
    assert first.evidence == {
        "differs": {
            "captured": {"ledger_minor": 12900, "order_minor": 12800},
            "promised": {"ledger_minor": 0, "order_minor": 500},
        }
    }
    assert second.condition == "ledger_unbalanced:o-2"


def test_a_condition_that_comes_back_is_another_task_of_the_same_condition() -> None:
    state = replace(WELL, usage_as_of=NOW - timedelta(hours=1))
    (first,), (second,) = (standing_tasks(state, (), EXPECTED, NOW + timedelta(hours=n)) for n in (0, 1))
    assert first.condition == second.condition and first.task_id != second.task_id


def test_a_canary_that_was_ended_is_a_task_and_one_with_a_signal_is_another() -> None:
    ended = CanaryTrouble(7, "2", ended_for="numbers", signals=("share_instant",))
    (task,) = standing(replace(WELL, canary=ended))
    assert (task.kind, task.condition) == (TaskKind.CANARY_ENDED, "canary_ended:7")
    assert task.evidence == {"publication": 7, "version": "2", "reason": "numbers"}
    (task,) = standing(replace(WELL, canary=replace(ended, ended_for=None)))
    assert (task.kind, task.condition) == (TaskKind.CANARY_SIGNAL, "canary_signal:7")
    assert task.evidence == {"publication": 7, "version": "2", "signals": ["share_instant"]}
    assert standing(replace(WELL, canary=CanaryTrouble(7, "2"))) == []


def platform(read_at: timedelta | None, problem: str = "", *, began: bool = True) -> OperationsState:
    """WooCommerce, connected ten days ago, was read so long ago."""
    at = None if read_at is None else NOW - read_at
    seen = PlatformSeen("woocommerce", "https://shop", "s-1", NOW - timedelta(days=10), at, problem, began)
    return replace(WELL, platforms=(seen,))


@pytest.mark.parametrize("problem", ["", "WooCommerce does not answer"])
def test_a_platform_that_is_not_read_is_a_condition_after_five_minutes(problem: str) -> None:
    assert standing(platform(LATE, problem)) == []
    (task,) = standing(platform(LATE + A_MOMENT, problem))
    assert (task.kind, task.provider) == (TaskKind.PLATFORM_UNREAD, "woocommerce")
    assert task.condition == "platform_unread:woocommerce"
    since = (NOW - LATE - A_MOMENT).isoformat(timespec="seconds")
    assert task.evidence == {"reason": problem, "since": since}


def test_a_platform_that_was_never_read_is_unread_since_it_was_connected() -> None:
    (task,) = standing(platform(None, "It does not take the key", began=False))
    assert task.evidence["since"] == (NOW - timedelta(days=10)).isoformat()
    assert kinds(platform(None, began=False)) == [TaskKind.PLATFORM_UNREAD], "no worker has taken the connection up"


def test_the_first_reading_of_a_large_shop_may_last_a_day() -> None:
    def reading(connected: timedelta, problem: str = "") -> OperationsState:
        (seen,) = platform(None, problem).platforms
        return replace(WELL, platforms=(replace(seen, connected_at=NOW - connected),))

    assert kinds(reading(FIRST_READING)) == []
    assert kinds(reading(FIRST_READING + A_MOMENT)) == [TaskKind.PLATFORM_UNREAD]
    assert kinds(reading(LATE + A_MOMENT, "It does not answer")) == [TaskKind.PLATFORM_UNREAD]


def test_workers_that_started_before_a_change_go_on_without_it() -> None:
    new, dead = replace(ALIVE, name="w-2", started_at=NOW + A_MOMENT), replace(ALIVE, name="w-3", seen_seconds_ago=61)
    assert started_before((ALIVE, new, dead), NOW) == ()
    assert started_before((ALIVE, new, dead), NOW + A_MOMENT) == ("w-1",)
