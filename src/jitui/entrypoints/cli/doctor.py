"""`jitui doctor`: what is in place, and what mends the rest."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, assembled, print_json, results, styled

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from jitui.adapters.payments.stripe import StripeProvider
    from jitui.aftersales.ports import PublishedPolicy
    from jitui.aftersales.queries import Health
    from jitui.settings import Settings

LEAST_POSTGRES = 15
LEAST_FREE_BYTES = 1 << 30
_Provider = TypeVar("_Provider", bound=AbstractAsyncContextManager[Any])
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Level(StrEnum):
    """`missing` is needed and fails the command; `absent` is only needed for some things."""

    OK = "ok"
    ABSENT = "absent"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One line of the report; `mend` says what to do about it."""

    what: str
    level: Level
    found: str
    mend: str = ""


def doctor(as_json: Json = False) -> None:
    """Look at everything that Jitui needs here; exit code 1 when something needed is missing.

    A database that is configured is looked at and not changed; the embedded one is started for it.
    """
    findings = list(_findings())
    if as_json:
        print_json({"ok": not _missing(findings), "findings": findings})
    else:
        _show(findings)
    if _missing(findings):
        raise typer.Exit(FAILED)


def _missing(findings: list[DoctorFinding]) -> bool:
    return any(finding.level is Level.MISSING for finding in findings)


def _show(findings: list[DoctorFinding]) -> None:
    from rich.padding import Padding

    console = results()
    colours = {Level.OK: "green", Level.ABSENT: "yellow", Level.MISSING: "bold red"}
    for finding in findings:
        console.print(
            assembled((f"{finding.level.value:8}", colours[finding.level]), f"{finding.what}: {finding.found}")
        )
        if finding.mend:
            console.print(Padding(styled(finding.mend, style="dim"), (0, 0, 0, 8)))


def _findings() -> Iterator[DoctorFinding]:
    from jitui.errors import JituiError
    from jitui.settings import read_settings

    yield _python()
    try:
        settings = read_settings()
    except JituiError as error:
        yield DoctorFinding("settings", Level.MISSING, str(error), "docs/reference/settings.md lists all of them.")
        return
    yield DoctorFinding("settings", Level.OK, f"home is {settings.home}")
    yield _zones()
    yield _disk(settings.home)
    yield from _database(settings)
    yield from _providers(settings)
    yield _metrics(settings)
    yield _browser()
    yield _fonts()


def _metrics(settings: Settings) -> DoctorFinding:
    if settings.metrics_token is not None:
        return DoctorFinding("metrics", Level.OK, "JITUI_METRICS_TOKEN opens /metrics")
    mend = "Set JITUI_METRICS_TOKEN for a scrape that works while the database is away."
    return DoctorFinding("metrics", Level.ABSENT, "no token: /metrics wants a platform key", mend)


def _python() -> DoctorFinding:
    """An older Python would not have come this far."""
    return DoctorFinding("python", Level.OK, ".".join(map(str, sys.version_info[:3])))


def _zones() -> DoctorFinding:
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo, available_timezones

    offset = datetime(2026, 1, 1, tzinfo=UTC).astimezone(ZoneInfo("Asia/Shanghai")).utcoffset()
    if offset is not None and offset.total_seconds() == 8 * 3600:
        return DoctorFinding("time zones", Level.OK, f"{len(available_timezones())} zones")
    return DoctorFinding("time zones", Level.MISSING, "Asia/Shanghai is not eight hours ahead", "Install tzdata anew.")


def _disk(home: Path) -> DoctorFinding:
    folder = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    found = f"{free / (1 << 30):.1f} GiB free at {folder}"
    if free >= LEAST_FREE_BYTES:
        return DoctorFinding("disk", Level.OK, found)
    return DoctorFinding("disk", Level.MISSING, found, "Make room, or set JITUI_HOME to another disk.")


# The database -----------------------------------------------------------------------------------------------------


def _database(settings: Settings) -> Iterator[DoctorFinding]:
    from jitui.bootstrap import server
    from jitui.errors import JituiError

    where = "embedded" if settings.database_url is None else "JITUI_DATABASE_URL"
    try:
        with server(settings) as url:
            yield from _server(url, where)
            yield from _schema(settings, url)
    except JituiError as error:
        yield DoctorFinding("database", Level.MISSING, str(error), "Start it, or mend the setting it names.")


def _server(url: str, where: str) -> Iterator[DoctorFinding]:
    from jitui.adapters.postgres.migrate import server_version

    number = server_version(url)
    found = f"PostgreSQL {number // 10_000}.{number % 10_000} ({where})"
    if number // 10_000 >= LEAST_POSTGRES:
        yield DoctorFinding("database", Level.OK, found)
    else:
        yield DoctorFinding("database", Level.MISSING, found, f"Use PostgreSQL {LEAST_POSTGRES} or newer.")


def _schema(settings: Settings, url: str) -> Iterator[DoctorFinding]:
    from jitui.adapters.postgres.migrate import current_revision, newest_revision

    stands, needed = current_revision(url), newest_revision()
    if stands != needed:
        found = f"at revision {stands or 'none'}, this version needs {needed}"
        yield DoctorFinding("migrations", Level.MISSING, found, "Run `jitui migrate`.")
        return
    yield DoctorFinding("migrations", Level.OK, f"at revision {stands}")
    yield from asyncio.run(_rows(url, settings.time_zone.key, settings.usage_max_age))
    yield asyncio.run(_webhooks(url, settings))


async def _rows(url: str, time_zone: str, usage_max_age: timedelta) -> tuple[DoctorFinding, ...]:
    """Read without opening the service, which would publish a policy where none is live."""
    from jitui.adapters.postgres.pool import make_pool
    from jitui.adapters.postgres.queries import PostgresQueries
    from jitui.adapters.postgres.registry import PostgresRegistry
    from jitui.bootstrap import utc_now

    async with make_pool(url, max_size=1) as pool:
        live = await PostgresRegistry(pool, time_zone).live_policy()
        now = utc_now()
        health = await PostgresQueries(pool).health(now)
    return _policy(live), _roll_up(health, now, usage_max_age), _queue(health)


async def _webhooks(url: str, settings: Settings) -> DoctorFinding:
    """Red while a task about them is open, or a secret cannot be decrypted with the keys that are set."""
    from jitui.adapters.postgres.pool import make_pool
    from jitui.adapters.postgres.tasks import PostgresTasks
    from jitui.adapters.postgres.webhooks import PostgresWebhookEndpoints
    from jitui.aftersales.model.task import TaskFilter, TaskKind, TaskState
    from jitui.encryption import Encryption
    from jitui.errors import NotConfigured

    async with make_pool(url, max_size=1) as pool:
        endpoints, tasks = PostgresWebhookEndpoints(pool), PostgresTasks(pool)
        backlog, secrets = await endpoints.backlog(), await endpoints.stored_secrets()
        kinds = (TaskKind.WEBHOOK_DEAD_LETTER, TaskKind.WEBHOOK_ENDPOINT_PAUSED)
        told = [task for kind in kinds for task in await tasks.list(TaskFilter(TaskState.OPEN, kind=kind))]
    found = f"{backlog.pending} events wait, {backlog.dead} dead letters, {backlog.paused_endpoints} endpoints paused"
    try:
        for secret in secrets:
            Encryption(settings.all_encryption_keys).decrypt(secret.encode())
    except NotConfigured as error:
        return DoctorFinding("webhooks", Level.MISSING, str(error), "docs/how-to/receive-webhooks.md says how.")
    if told:
        mend = "`jitui tasks` says which; mend the receiver, `jitui webhooks redeliver`, then resolve the tasks."
        return DoctorFinding("webhooks", Level.MISSING, found, mend)
    return DoctorFinding("webhooks", Level.OK, found)


def _policy(live: PublishedPolicy | None) -> DoctorFinding:
    from jitui.policy import Policy, PolicyRefused

    if live is None:
        return DoctorFinding(
            "policy", Level.MISSING, "none is live", "Run `jitui migrate`, or `jitui policy publish FILE`."
        )
    try:
        policy = Policy.from_text(live.document, f"{live.policy_id}.yaml")
    except PolicyRefused as refused:
        first = str(refused.problems[0])
        return DoctorFinding("policy", Level.MISSING, f"the live one cannot be read: {first}", "Publish one that can.")
    return DoctorFinding("policy", Level.OK, f"{policy.id}, version {policy.version}")


def _roll_up(health: Health, now: datetime, usage_max_age: timedelta) -> DoctorFinding:
    from jitui.aftersales.commands.facts import usage_is_fresh

    mend = "Without a worker nothing is refunded at once and nothing is paid: run `jitui worker`."
    if health.usage_as_of is None:
        return DoctorFinding("roll-up", Level.ABSENT, "cap usage was never rolled up", mend)
    found = f"cap usage is {(now - health.usage_as_of).total_seconds():.0f} s old"
    if usage_is_fresh(health.usage_as_of, now, usage_max_age):
        return DoctorFinding("roll-up", Level.OK, found)
    return DoctorFinding("roll-up", Level.ABSENT, f"{found}, hence unknown", mend)


def _queue(health: Health) -> DoctorFinding:
    waiting = {state: count for state, count in health.refund_queue.items() if count}
    found = ", ".join(f"{count} {state}" for state, count in sorted(waiting.items())) or "empty"
    return DoctorFinding("refund queue", Level.OK, found)


# What only some things need ---------------------------------------------------------------------------------------


def _providers(settings: Settings) -> Iterator[DoctorFinding]:
    from jitui import bootstrap

    app, merchant = settings.alipay_app_id, settings.wechat_pay_merchant_id
    yield _opened("Alipay", "alipay", partial(bootstrap.alipay, settings), f"the keys of app {app} can be used")
    yield _simulator(settings)
    yield _opened("Stripe", "stripe", partial(bootstrap.stripe, settings), "the key is taken", _problem_of_stripe)
    yield _opened(
        "WeChat Pay",
        "wechat-pay",
        partial(bootstrap.wechat_pay, settings),
        f"the keys of merchant {merchant} can be used",
    )


async def _nobody_asked(_: object) -> str:
    return ""


async def _problem_of_stripe(provider: StripeProvider) -> str:
    return await provider.problem()


def _opened(
    name: str,
    page: str,
    make: Callable[[], _Provider | None],
    found: str,
    problem_of: Callable[[_Provider], Awaitable[str]] = _nobody_asked,
) -> DoctorFinding:
    """A provider is made as the service makes it; its secrets are read and tried. Only Stripe is called."""
    from jitui.errors import NotConfigured

    async def problem(provider: _Provider) -> str:
        async with provider:
            return await problem_of(provider)

    how = f"docs/how-to/pay-with-{page}.md"
    try:
        provider = make()
        if provider is None:
            return DoctorFinding(name, Level.ABSENT, "not configured", f"Only payments by {name} need it: {how}.")
        wrong = asyncio.run(problem(provider))
    except NotConfigured as error:
        wrong = str(error)
    if wrong:
        return DoctorFinding(name, Level.MISSING, wrong, f"{how} says what it needs.")
    return DoctorFinding(name, Level.OK, found)


def _simulator(settings: Settings) -> DoctorFinding:
    import httpx

    if settings.simulator_url is None:
        others = (settings.alipay_app_id, settings.stripe_secret_key_file, settings.wechat_pay_merchant_id)
        mend = "Nothing can be paid until a provider is configured; `jitui demo` brings its own simulator."
        if any(other is not None for other in others):
            mend = "Only trying things out needs it: docs/reference/provider-simulator.md."
        return DoctorFinding("provider simulator", Level.ABSENT, "not configured", mend)
    try:
        answer = httpx.get(f"{settings.simulator_url}/health", timeout=5)
        reached = answer.status_code == httpx.codes.OK
    except httpx.HTTPError:
        reached = False
    if reached:
        return DoctorFinding("provider simulator", Level.OK, settings.simulator_url)
    mend = "Start it: `jitui provider-simulator`."
    return DoctorFinding("provider simulator", Level.MISSING, f"{settings.simulator_url} does not answer", mend)


def _browser() -> DoctorFinding:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found:
        return DoctorFinding("browser", Level.OK, found)
    return DoctorFinding("browser", Level.ABSENT, "no Chromium", "Only the tests of the console need it: `make setup`.")


def _fonts() -> DoctorFinding:
    """Chinese text in screenshots needs glyphs."""
    lister = shutil.which("fc-list")
    listed = (
        subprocess.run([lister, ":lang=zh", "family"], capture_output=True, text=True, check=False) if lister else None
    )
    families = sorted({line.partition(",")[0] for line in listed.stdout.splitlines()}) if listed else []
    if families:
        return DoctorFinding("fonts", Level.OK, families[0])
    return DoctorFinding(
        "fonts", Level.ABSENT, "none for Chinese", "Only the tests of the console need them: `make setup`."
    )
