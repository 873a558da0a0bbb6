"""The figures of the service as Prometheus's metrics: for each kind a function from what was read, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import Metric
from prometheus_client.metrics_core import GaugeMetricFamily

from jitui.aftersales.governance.cap_usage import StandingAlerts
from jitui.aftersales.model.task import TaskKind
from jitui.aftersales.model.ticket import Arm
from jitui.aftersales.operations.conditions import is_alive
from jitui.aftersales.queries import ArmFigures, Benefit, CapsUsed, Health, OperationsState, PlatformSeen
from jitui.aftersales.reconciliation.restore import PayoutStatus
from jitui.identity.keys import ApiKey
from jitui.notices.model import NoticeBacklog
from jitui.policy import Policy
from jitui.webhooks.model import Backlog

Rows = Iterable[tuple[Sequence[str], float]]


def gauge(name: str, meaning: str, value: float | None) -> Metric:
    """A gauge without labels; None: there is no value now."""
    return GaugeMetricFamily(name, meaning, value=None if value is None else float(value))


def by_labels(name: str, meaning: str, labels: Sequence[str], rows: Rows) -> Metric:
    """A gauge with a value for each row."""
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def of_health(health: Health, now: datetime) -> Iterator[Metric]:
    """The queue, and the age of the caps' usage."""
    waiting = [((state,), float(depth)) for state, depth in health.refund_queue.items()]
    yield by_labels("jitui_refund_queue", "Refunds that wait for work.", ["state"], waiting)
    as_of = health.usage_as_of
    age_seconds = None if as_of is None else max(0.0, (now - as_of).total_seconds())
    yield gauge("jitui_roll_up_age_seconds", "Age of the cap usage that is rolled up.", age_seconds)


def of_operations(state: OperationsState, now: datetime) -> Iterator[Metric]:
    """Refunds that are not paid, workers, tasks, incidents, the ledger."""
    refunds = [((one.provider, one.state.value), one) for one in state.refunds]
    of_refunds = ("provider", "state")
    counts = [(labels, float(one.count)) for labels, one in refunds]
    yield by_labels("jitui_refunds", "Refunds that are not paid.", of_refunds, counts)
    ages = [(labels, max(0.0, (now - one.oldest_at).total_seconds())) for labels, one in refunds]
    yield by_labels("jitui_refund_oldest_seconds", "Since when the oldest stands in its state.", of_refunds, ages)
    tasks = [((kind.value,), float(state.open_tasks.get(kind.value, 0))) for kind in TaskKind]
    yield by_labels("jitui_open_tasks", "Tasks that a person must look at.", ["kind"], tasks)
    yield gauge("jitui_open_incidents", "Goods that left although they were refunded.", state.open_incidents)
    differs = [((one.currency,), float(one.amount_minor)) for one in state.imbalances]
    meaning = "By how much the ledger and the payments of orders differ, in minor units."
    yield by_labels("jitui_ledger_imbalance_minor", meaning, ["currency"], differs)
    orders = sum(one.orders for one in state.imbalances)
    yield gauge("jitui_ledger_unbalanced_orders", "Orders whose ledger and payments differ.", orders)
    yield from _of_workers(state)


def _of_workers(state: OperationsState) -> Iterator[Metric]:
    alive = [worker for worker in state.workers if is_alive(worker)]
    yield gauge("jitui_workers", "Workers that were heard of in time.", len(alive))
    seen = [((worker.name,), worker.seen_seconds_ago) for worker in state.workers]
    yield by_labels("jitui_worker_seen_seconds", "Since when a worker was not heard of.", ["worker"], seen)
    troubles: dict[tuple[str, str], float] = {}
    for worker in alive:
        for provider, trouble in worker.trouble.items():
            troubles[provider, trouble.kind] = troubles.get((provider, trouble.kind), 0.0) + 1
    meaning = "Workers that cannot work with it."
    yield by_labels("jitui_provider_trouble", meaning, ["provider", "trouble"], troubles.items())


def of_payouts(status: PayoutStatus, now: datetime) -> Iterator[Metric]:
    """Whether anything is paid."""
    yield gauge("jitui_payouts_held", "1 while nothing is paid from this database.", not status.allowed)


def of_webhooks(backlog: Backlog, now: datetime) -> Iterator[Metric]:
    """What waits for webhook endpoints."""
    states = [(("pending",), float(backlog.pending)), (("dead",), float(backlog.dead))]
    meaning = "Events that wait for a webhook endpoint, and those that were given up."
    yield by_labels("jitui_webhook_deliveries", meaning, ["state"], states)
    age_seconds = max(0.0, (now - (backlog.oldest_pending_at or now)).total_seconds())
    meaning = "For how long the oldest event waits for a webhook endpoint."
    yield gauge("jitui_webhook_oldest_pending_seconds", meaning, age_seconds)
    yield gauge("jitui_webhook_endpoints_paused", "Webhook endpoints that are paused.", backlog.paused_endpoints)


def of_notices(backlog: NoticeBacklog, now: datetime) -> Iterator[Metric]:
    """What waits for buyers and shops."""
    counted = (("pending", backlog.pending), ("dead", backlog.dead), ("unknown", backlog.unknown))
    meaning = "Notices that wait, that were given up, and of which nobody knows whether they were sent."
    yield by_labels("jitui_notices", meaning, ["state"], [((state,), float(count)) for state, count in counted])
    age_seconds = max(0.0, (now - (backlog.oldest_pending_at or now)).total_seconds())
    yield gauge("jitui_notice_oldest_pending_seconds", "For how long the oldest notice waits.", age_seconds)


def of_keys(ending: Sequence[ApiKey], now: datetime) -> Iterator[Metric]:
    """API keys that end soon, the first one first."""
    meaning = "API keys that work, end within 30 days and were not rolled."
    yield gauge("jitui_api_keys_ending_soon", meaning, len(ending))
    first = min((key.expires_at for key in ending if key.expires_at is not None), default=None)
    name, meaning = "jitui_api_key_first_end_timestamp_seconds", "When the first of the API keys ends that end soon."
    yield gauge(name, meaning, None if first is None else first.timestamp())


def of_refund_times(benefit: Benefit, now: datetime) -> Iterator[Metric]:
    """How long refunds took."""
    found = (
        (("instant", "0.5"), benefit.instant_median_seconds),
        (("instant", "0.99"), benefit.instant_p99_seconds),
        (("reviewed", "0.5"), benefit.reviewed_median_seconds),
        (("reviewed", "0.99"), benefit.reviewed_p99_seconds),
    )
    rows = [(labels, value) for labels, value in found if value is not None]
    meaning = "From request to refunded, over the last hour."
    yield by_labels("jitui_time_to_refund_seconds", meaning, ["path", "quantile"], rows)


def of_arms(arms: Sequence[ArmFigures], now: datetime) -> Iterator[Metric]:
    """What the canary's buyers, the held-out ones and all others asked and got."""
    counted: dict[str, tuple[int, int]] = {arm.value: (0, 0) for arm in Arm}
    for one in arms:
        requests, instant = counted[one.arm]
        counted[one.arm] = requests + one.requests, instant + one.instant
    requested = [((arm,), float(requests)) for arm, (requests, _) in counted.items()]
    yield by_labels("jitui_arm_requests", "Requests over the last hour.", ["arm"], requested)
    instant_of = [((arm,), float(instant)) for arm, (_, instant) in counted.items()]
    yield by_labels("jitui_arm_instant", "Of these, approved at once.", ["arm"], instant_of)
    money = [((one.arm.value, one.currency), float(one.instant_minor)) for one in arms]
    meaning = "What these approvals refund, in minor units."
    yield by_labels("jitui_arm_instant_minor", meaning, ["arm", "currency"], money)


def of_caps(policy: Policy, used: CapsUsed) -> Iterator[Metric]:
    """How much of each cap is used; a shop's or category's by the one that has used most."""
    meaning = (
        "Share of a cap that is used, 1 for all of it; of shops, categories and clusters, the one that has used most."
    )
    yield by_labels("jitui_cap_usage_ratio", meaning, ["scope", "of"], cap_shares(policy, used))


def cap_shares(policy: Policy, used: CapsUsed) -> Sequence[tuple[tuple[str, str], float]]:
    """The used share of each cap that the policy has, by its scope and by count or amount."""
    rows: list[tuple[tuple[str, str], float]] = []
    for scope, cap, use in (
        ("platform", policy.caps.platform, used.platform),
        ("shop", policy.caps.per_shop, used.shop),
        ("category", policy.caps.per_category, used.category),
        ("cluster", policy.caps.per_cluster, used.cluster),
    ):
        if cap is not None and cap.count:
            rows.append(((scope, "count"), use.approvals / cap.count))
        if cap is not None and cap.amount_minor:
            rows.append(((scope, "amount"), use.amount_minor / cap.amount_minor))
    return rows


def of_cap_alerts(standing: Sequence[StandingAlerts], now: datetime) -> Iterator[Metric]:
    """How many alerts of caps stand; which shop or category each is about, `jitui caps` says."""
    rows = [((one.scope.value, str(one.percent)), float(one.alerts)) for one in standing]
    yield by_labels("jitui_cap_alerts", "Caps whose usage passed this share.", ["scope", "percent"], rows)


def of_platforms(seen: Sequence[PlatformSeen], now: datetime) -> Iterator[Metric]:
    """How old what is known of each connected commerce platform is."""
    rows = [((one.platform,), one.unread_seconds(now)) for one in seen]
    meaning = "Since when a platform was not read to its end."
    yield by_labels("jitui_platform_unread_seconds", meaning, ["platform"], rows)


SHOWN: Mapping[str, Callable[[Any, datetime], Iterator[Metric]]] = {
    "health": of_health,
    "operations": of_operations,
    "payouts": of_payouts,
    "webhooks": of_webhooks,
    "notices": of_notices,
    "keys": of_keys,
    "refund_times": of_refund_times,
    "arms": of_arms,
    "platforms": of_platforms,
    "cap_alerts": of_cap_alerts,
    "caps": lambda known, now: of_caps(known.policy, known.used),
}
