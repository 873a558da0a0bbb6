"""What /metrics of the API and of a worker print: documented, named rightly by alerts and panels, always answered."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from jitui.bootstrap import open_service, utc_now
from jitui.errors import NotConfigured, Unavailable
from jitui.monitoring.figures import ServiceFigures
from jitui.settings import Settings, read_settings
from jitui.worker import run_worker
from tests.aftersales.market import open_market
from tests.http.api import Api, open_api
from tests.monitoring.shipped import REFERENCE, expressions, metrics_in
from tests.provider_simulator.server import SimulatorProcess
from tests.serving import free_port
from tests.worker.paying import PaidMarket, approve, settings_of, tell, until, working

TOKEN = "a-token-for-monitoring"


def documented() -> dict[str, set[str]]:
    """The reference's metrics with their labels."""
    found = {}
    for line in REFERENCE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `jitui_"):
            names, labels = line.split("|")[1:3]
            for name in metrics_in(names):
                found[name] = set(re.findall(r"`(\w+)`", labels))
    return found


def typed(exposition: str) -> set[str]:
    """The metrics that an exposition has."""
    return {line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE ")}


def labelled(exposition: str) -> dict[str, set[str]]:
    """The labels of each metric that has a value."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in exposition.splitlines():
        if line.startswith("jitui_"):
            (name,) = metrics_in(re.split(r"[{ ]", line)[0])
            found[name] |= set(re.findall(r'[{,](\w+)="', line)) - {"le"}
    return found


async def scrape(port: int, token: str = TOKEN) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(
            f"http://127.0.0.1:{port}/metrics", headers=[(b"authorization", f"Bearer {token}".encode())]
        )


async def both_expositions(database_url: str, simulator: SimulatorProcess, home: Path) -> tuple[str, str]:
    """Of an API that was asked for a refund, and of the worker that paid it."""
    port = free_port()
    settings = settings_of(database_url, simulator, home, metrics_token=TOKEN, worker_metrics_port=port)
    async with open_market(database_url) as market, open_service(settings, database_url) as service:
        await market.feed.roll_up()
        refs = await approve(market, ["a"], now=utc_now())
        await tell(simulator, refs)
        paid = PaidMarket(service, market, refs)
        async with working(service):
            await until(paid.all_refunded)
            worker = (await scrape(port)).text
            assert (await scrape(port, "wrong")).status_code == 401
            assert (await scrape(port, "é")).status_code == 401
    async with open_api(database_url, home=home) as api:
        await api.paid_order("o-1")
        await api.ask("o-1")
        await api.get("/v1/history", key="jt_malformed")
        return (await api.get("/metrics")).text, worker


async def test_what_is_printed_is_what_is_documented_and_what_alerts_and_panels_name(
    database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    api, worker = await both_expositions(database_url, simulator, tmp_path)
    known = documented()
    assert typed(api) | typed(worker) == set(known)
    named = {name for expression in expressions() for name in metrics_in(expression)}
    assert named <= set(known)
    for exposition in (api, worker):
        for name, labels in labelled(exposition).items():
            assert labels == known[name], name
    assert 'jitui_provider_calls_total{call="send",outcome="succeeded",provider="simulator"} 1.0' in worker.splitlines()
    assert 'jitui_refunds_claimed_total{provider="simulator"} 1.0' in worker.splitlines()
    for wanted in ("jitui_database_up 1.0", "jitui_payouts_held 0.0", "jitui_open_incidents 0.0"):
        assert wanted in api.splitlines()


def test_alerts_and_panels_ask_for_labels_that_there_are() -> None:
    known = documented()
    everywhere = {"le", "job", "instance"}
    for expression in expressions():
        of_all = set.union(everywhere, *(known.get(name, set()) for name in metrics_in(expression)))
        for name, selector in re.findall(r"\b(jitui_\w+)\{([^}]*)\}", expression):
            (metric,) = metrics_in(name)
            assert set(re.findall(r"(\w+)\s*=?[=~!]", selector)) <= known[metric] | everywhere, expression
        for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
            assert {label.strip() for label in grouped.split(",")} <= of_all, expression


async def test_without_the_database_the_last_figures_are_told_with_their_age(api: Api) -> None:
    now = 1000.0

    class Away:
        def __getattr__(self, name: str) -> Any:
            raise Unavailable("The database does not answer: connection refused")

    await api.paid_order("o-1")
    await api.ask("o-1")
    figures = ServiceFigures(seconds=lambda: now)
    await figures.refresh(api.service)
    now += 90
    away: Any = Away()
    await figures.refresh(replace(api.service, queries=away, payouts=away, registry=away))
    told = {metric.name: metric for metric in figures.collect()}
    assert told["jitui_database_up"].samples[0].value == 0
    assert {sample.value for sample in told["jitui_figures_age_seconds"].samples} == {90.0}
    queued = [one for one in told["jitui_refunds"].samples if one.labels["state"] == "queued"]
    assert [one.value for one in queued] == [1.0]
    await figures.refresh(api.service)
    told = {metric.name: metric for metric in figures.collect()}
    assert told["jitui_database_up"].samples[0].value == 1
    ages = {sample.labels["figures"]: sample.value for sample in told["jitui_figures_age_seconds"].samples}
    assert ages.pop("caps") == 0.0, "read again, since a minute has passed"
    assert set(ages.values()) == {0.0}


async def test_one_kind_that_cannot_be_read_keeps_nobody_from_the_others(api: Api) -> None:
    class Broken:
        async def backlog(self) -> None:
            raise ZeroDivisionError

    broken: Any = Broken()
    figures = ServiceFigures()
    await figures.refresh(replace(api.service, webhooks=replace(api.service.webhooks, endpoints=broken)))
    kinds = {s.labels["figures"] for metric in figures.collect() for s in metric.samples if "figures" in s.labels}
    assert kinds == {
        *(
            "health",
            "operations",
            "payouts",
            "notices",
            "keys",
            "refund_times",
            "arms",
            "caps",
            "cap_alerts",
            "platforms",
        )
    }


async def test_the_usage_of_caps_is_told_as_a_share(api: Api) -> None:
    for number in range(2):
        await api.paid_order(f"o-{number}", paid=12900)
        await api.ask(f"o-{number}")
    await api.market.feed.roll_up(api.now())
    policy = await api.service.policy_in_force.current()
    told = (await api.get("/metrics")).text.splitlines()
    caps = {"shop": policy.caps.per_shop, "platform": policy.caps.platform}
    shares = {
        (scope, of): used / limit
        for scope, cap in caps.items()
        for of, used, limit in (("count", 2, cap and cap.count), ("amount", 2 * 12900, cap and cap.amount_minor))
        if limit
    }
    assert shares, "the policy has no caps"
    for (scope, of), share in shares.items():
        assert f'jitui_cap_usage_ratio{{of="{of}",scope="{scope}"}} {share}' in told
    assert sum(line.startswith("jitui_cap_usage_ratio{") for line in told) == len(shares)


async def test_the_workers_port_is_closed_without_a_setting_and_a_taken_one_is_refused(
    database_url: str, tmp_path: Path
) -> None:
    with pytest.raises(NotConfigured, match="JITUI_WORKER_METRICS_PORT needs JITUI_METRICS_TOKEN"):
        read_settings({"JITUI_HOME": str(tmp_path), "JITUI_WORKER_METRICS_PORT": "8001"})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        settings = Settings(home=tmp_path, metrics_token=TOKEN, worker_metrics_port=port)
        async with open_service(settings, database_url) as service:
            with pytest.raises(NotConfigured, match=f"port {port}"):
                await run_worker(service, asyncio.Event())
