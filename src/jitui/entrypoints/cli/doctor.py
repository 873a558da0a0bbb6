"""`jitui doctor`: what is in place, and what mends the rest."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from jitui.entrypoints.cli.doctor_notices import given_up, sending
from jitui.entrypoints.cli.doctor_operations import MEND_TROUBLE, RUN_A_WORKER, DoctorFinding, Level, operations
from jitui.entrypoints.cli.doctor_platforms import platforms
from jitui.entrypoints.cli.doctor_sign_in import sign_in
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, assembled, print_json, results, styled

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime, timedelta
    from typing import Protocol

    from jitui.adapters.postgres.pool import Pool
    from jitui.aftersales.operations.probe import ProviderProblem
    from jitui.aftersales.ports import Publication
    from jitui.aftersales.provider import PaymentProvider
    from jitui.aftersales.queries import Health
    from jitui.aftersales.reconciliation.restore import PayoutStatus
    from jitui.identity.keys import ApiKey
    from jitui.settings import Settings

    class OpenedProvider(PaymentProvider, AbstractAsyncContextManager[object], Protocol):
        """A provider that is closed at the end of a block."""


LEAST_POSTGRES = 15
LEAST_FREE_BYTES = 1 << 30
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def doctor(as_json: Json = False) -> None:
    """Look at everything that Jitui needs here; exit code 1 when something needed is missing or goes wrong.

    Each configured provider is asked whether it takes our key. A database that is configured is looked at and not
    changed; the embedded one is started for it.
    """
    findings = list(_findings())
    if as_json:
        print_json({"ok": not _is_bad(findings), "findings": findings})
    else:
        _show(findings)
    if _is_bad(findings):
        raise typer.Exit(FAILED)


def _is_bad(findings: list[DoctorFinding]) -> bool:
    return any(finding.level in (Level.MISSING, Level.FAILED) for finding in findings)


def _show(findings: list[DoctorFinding]) -> None:
    from rich.padding import Padding

    console = results()
    bad = "bold red"
    colours = {Level.OK: "green", Level.ABSENT: "yellow", Level.MISSING: bad, Level.FAILED: bad}
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
    of_database = list(_database(settings))
    yield from of_database
    yield from _providers(settings, {finding.what for finding in of_database})
    yield _metrics(settings)
    yield _encryption(settings)
    yield from sign_in(settings)
    yield from sending(settings)
    yield _browser()
    yield _fonts()


def _metrics(settings: Settings) -> DoctorFinding:
    if settings.metrics_token is not None:
        return DoctorFinding("metrics", Level.OK, "JITUI_METRICS_TOKEN opens /metrics")
    mend = "Set JITUI_METRICS_TOKEN for a scrape that works while the database is away."
    return DoctorFinding("metrics", Level.ABSENT, "no token: /metrics wants a platform key", mend)


def _encryption(settings: Settings) -> DoctorFinding:
    from jitui.encryption import Encryption
    from jitui.errors import NotConfigured

    what, mend = "encryption keys", "`jitui secrets new-key` prints one; docs/how-to/people.md says where it goes."
    try:
        found = Encryption(settings.encryption_keys())
    except NotConfigured as error:
        return DoctorFinding(what, Level.MISSING, str(error), mend)
    if not found.is_configured:
        return DoctorFinding(what, Level.ABSENT, "not configured: no second factors, no webhooks", mend)
    return DoctorFinding(what, Level.OK, f"{settings.encryption_key_file} can be used")


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
    from jitui.adapters.postgres.migrate import newest_revision, standing

    stands, needed = standing(url), newest_revision()
    if not stands.usable:
        found = f"at revision {stands.revision or 'none'}, this version needs {needed}"
        mend = "Install the newer version of Jitui." if stands.too_new else "Run `jitui migrate`."
        yield DoctorFinding("migrations", Level.MISSING, found, mend)
        return
    ahead = "" if stands.revision == needed else f"; a newer version has added to this one's {needed}"
    yield DoctorFinding("migrations", Level.OK, f"at revision {stands.revision}{ahead}")
    yield from asyncio.run(_rows(url, settings))
    yield asyncio.run(_webhooks(url, settings))
    yield asyncio.run(given_up(url))


async def _rows(url: str, settings: Settings) -> tuple[DoctorFinding, ...]:
    """Read without opening the service, which would publish a policy where none is live."""
    from jitui.adapters.postgres.keys import PostgresKeys
    from jitui.adapters.postgres.payout_hold import PostgresPayoutHold
    from jitui.adapters.postgres.platform_connections import PostgresPlatformConnections
    from jitui.adapters.postgres.policies import PostgresPolicies
    from jitui.adapters.postgres.pool import make_pool
    from jitui.adapters.postgres.queries import PostgresQueries
    from jitui.aftersales.operations.watch import FIRST_LOOK, standing_now
    from jitui.bootstrap import utc_now
    from jitui.entrypoints.cli.doctor_operations import expected_of

    async with make_pool(url, max_size=1) as pool:
        live = await PostgresPolicies(pool).publication(None, documents=True)
        approvals = await _approvals(pool)
        queries, now = PostgresQueries(pool), utc_now()
        health = await queries.health(now)
        payouts = await PostgresPayoutHold(pool, Path()).status()
        connections = await PostgresPlatformConnections(pool).all()
        expected = await expected_of(settings, [one.platform for one in connections])
        standing = await standing_now(queries, expected, now, ledger_since=now - FIRST_LOOK)
        state = await queries.operations(now)
        ending = await PostgresKeys(pool).ending_soon(now)
        connected = await platforms(connections, state.platforms, state.workers, settings, now)
    is_stale = any(task.kind == "roll_up_stale" for task in standing)
    rolled_up = () if is_stale else (_roll_up(health, now, settings.usage_max_age),)
    found = (_policy(live), approvals, _payouts(payouts), *rolled_up, _queue(health), _keys(ending, now))
    return *found, *connected, *operations(state, standing, now)


async def _approvals(pool: Pool) -> DoctorFinding:
    """Who approves policies."""
    from jitui.adapters.postgres.people import PostgresPeople
    from jitui.adapters.postgres.policies import PostgresPolicies
    from jitui.identity.people import missing_second_person

    if await PostgresPolicies(pool).single_person():
        return DoctorFinding("approvals", Level.OK, "one person is enough; `jitui migrate --two-people` ends that")
    missing = missing_second_person(await PostgresPeople(pool).accounts())
    if missing is not None:
        mend = "docs/how-to/people.md says how; docs/how-to/publish-a-policy.md, how one person works alone."
        return DoctorFinding("approvals", Level.ABSENT, missing, mend)
    return DoctorFinding("approvals", Level.OK, "a second person approves, and there are enough of them")


async def _webhooks(url: str, settings: Settings) -> DoctorFinding:
    """Red while a task about them is open, or a secret cannot be decrypted with the keys that are set."""
    from jitui.adapters.postgres.pool import make_pool
    from jitui.adapters.postgres.tasks import PostgresTasks
    from jitui.adapters.postgres.webhooks import PostgresWebhookEndpoints
    from jitui.aftersales.model.task import TaskFilter, TaskKind, TaskState
    from jitui.encryption import Encryption
    from jitui.errors import NotConfigured
    from jitui.webhooks.endpoints import decrypted

    async with make_pool(url, max_size=1) as pool:
        endpoints, tasks = PostgresWebhookEndpoints(pool), PostgresTasks(pool)
        backlog, secrets = await endpoints.backlog(), await endpoints.stored_secrets()
        kinds = (TaskKind.WEBHOOK_DEAD_LETTER, TaskKind.WEBHOOK_ENDPOINT_PAUSED)
        told = [task for kind in kinds for task in await tasks.list(TaskFilter(TaskState.OPEN, kind=kind))]
    found = f"{backlog.pending} events wait, {backlog.dead} dead letters, {backlog.paused_endpoints} endpoints paused"
    try:
        encryption = Encryption(settings.encryption_keys())
        for endpoint_id, stored in secrets:
            decrypted(encryption, endpoint_id, stored)
    except NotConfigured as error:
        return DoctorFinding("webhooks", Level.MISSING, str(error), "docs/how-to/receive-webhooks.md says how.")
    if told:
        mend = "`jitui tasks` says which; mend the receiver, `jitui webhooks redeliver`, then resolve the tasks."
        return DoctorFinding("webhooks", Level.FAILED, found, mend)
    return DoctorFinding("webhooks", Level.OK, found)


def _policy(live: Publication | None) -> DoctorFinding:
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


def _payouts(status: PayoutStatus) -> DoctorFinding:
    mend = "Nothing is paid until it is accepted: docs/how-to/restore-a-backup.md."
    if not status.allowed:
        found = f"held: {status.held_reason or f'a restored or promoted database, timeline {status.timeline_id}'}"
        return DoctorFinding("payouts", Level.MISSING, found, mend)
    return DoctorFinding("payouts", Level.OK, f"accepted by {status.accepted_by}")


def _roll_up(health: Health, now: datetime, usage_max_age: timedelta) -> DoctorFinding:
    from jitui.aftersales.commands.cap_usage import usage_is_fresh

    if health.usage_as_of is None:
        return DoctorFinding("roll-up", Level.ABSENT, "cap usage was never rolled up", RUN_A_WORKER)
    found = f"cap usage is {(now - health.usage_as_of).total_seconds():.0f} s old"
    if usage_is_fresh(health.usage_as_of, now, usage_max_age):
        return DoctorFinding("roll-up", Level.OK, found)
    return DoctorFinding("roll-up", Level.FAILED, f"{found}, hence unknown", RUN_A_WORKER)


def _queue(health: Health) -> DoctorFinding:
    waiting = {state: count for state, count in health.refund_queue.items() if count}
    found = ", ".join(f"{count} {state}" for state, count in sorted(waiting.items())) or "empty"
    return DoctorFinding("refund queue", Level.OK, found)


def _keys(ending: Sequence[ApiKey], now: datetime) -> DoctorFinding:
    if not ending:
        return DoctorFinding("API keys", Level.OK, "none ends within 30 days")
    first = ending[0]
    days = (first.expires_at - now).days if first.expires_at is not None else 0
    named = f"{first.key_id} ({first.label})" if first.label else first.key_id
    found = f"{len(ending)} end within 30 days, the first is {named} in {days} days"
    return DoctorFinding("API keys", Level.ABSENT, found, f"Roll it: `jitui keys roll {first.key_id}`.")


# What only some things need ---------------------------------------------------------------------------------------


def _providers(settings: Settings, named: Collection[str]) -> Iterator[DoctorFinding]:
    """`named`: what there are findings of; a connected platform is a provider too."""
    from jitui import bootstrap_providers as providers
    from jitui.aftersales.platform import PLATFORMS

    yield _provider("Alipay", "how-to/pay-with-alipay.md", partial(providers.alipay, settings))
    yield _simulator(settings, is_connected=any(one.name in named for one in PLATFORMS))
    yield _provider("Stripe", "how-to/pay-with-stripe.md", partial(providers.stripe, settings))
    yield _provider("WeChat Pay", "how-to/pay-with-wechat-pay.md", partial(providers.wechat_pay, settings))


def _provider(name: str, page: str, make: Callable[[], OpenedProvider | None]) -> DoctorFinding:
    """A provider is made as the service makes it, and asked whether it knows us."""
    from jitui.errors import NotConfigured

    try:
        provider = make()
    except NotConfigured as error:
        return DoctorFinding(name, Level.MISSING, str(error), f"docs/{page} says what it needs.")
    if provider is None:
        return DoctorFinding(name, Level.ABSENT, "not configured", f"Only payments by {name} need it: docs/{page}.")
    problem = asyncio.run(_probe(provider))
    if problem is None:
        return DoctorFinding(name, Level.OK, "it answers, and takes our key")
    mend = MEND_TROUBLE.get(problem.trouble.value, f"docs/{page} says what it needs.")
    return DoctorFinding(name, Level.FAILED, f"{problem.trouble.value}: {problem.reason}", mend)


async def _probe(provider: OpenedProvider) -> ProviderProblem | None:
    from jitui.aftersales.operations.probe import probe

    async with provider:
        return await probe(provider)


def _simulator(settings: Settings, *, is_connected: bool) -> DoctorFinding:
    from jitui import bootstrap_providers as providers

    name = "provider simulator"
    if settings.simulator_url is None:
        others = (settings.alipay_app_id, settings.stripe_secret_key_file, settings.wechat_pay_merchant_id)
        mend = "Nothing can be paid until a provider is configured; `jitui demo` brings its own simulator."
        if is_connected or any(other is not None for other in others):
            mend = "Only trying things out needs it: docs/reference/provider-simulator.md."
        return DoctorFinding(name, Level.ABSENT, "not configured", mend)
    found = _provider(name, "reference/provider-simulator.md", partial(providers.simulator, settings))
    is_away = found.found.startswith("unreachable")
    return replace(found, mend="Start it: `jitui provider-simulator`.") if is_away else found


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
