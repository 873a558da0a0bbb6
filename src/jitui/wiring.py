"""The only file that names concrete adapters: it puts the parts together, by explicit keywords."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from jitui.adapters import embedded_postgres
from jitui.adapters.payments.simulator import SimulatorProvider
from jitui.adapters.payments.statements.alipay import AlipayStatements
from jitui.adapters.payments.statements.simulator import SimulatorStatements
from jitui.adapters.payments.statements.stripe import StripeStatements
from jitui.adapters.payments.statements.wechat_pay import WeChatPayStatements
from jitui.adapters.payments.stripe import StripeProvider
from jitui.adapters.postgres.desk import PostgresDesk
from jitui.adapters.postgres.feed import PostgresFeed
from jitui.adapters.postgres.migrate import upgrade
from jitui.adapters.postgres.people import PostgresPeople
from jitui.adapters.postgres.pool import make_pool
from jitui.adapters.postgres.registry import PostgresRegistry
from jitui.adapters.postgres.shelf import PostgresShelf
from jitui.adapters.postgres.store import PostgresStore
from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.feed import Feed
from jitui.aftersales.people import People
from jitui.aftersales.policy_in_force import PolicyInForce, publish
from jitui.aftersales.ports import Store
from jitui.aftersales.provider import PaymentProvider
from jitui.aftersales.reconcile import StatementDesk, StatementFormat
from jitui.aftersales.registry import Registry
from jitui.aftersales.request_refund import Terms
from jitui.aftersales.shelf import Shelf
from jitui.aftersales.task import Tasks
from jitui.policy import Policy
from jitui.settings import Settings, read_secret_file

Clock = Callable[[], datetime]

STATEMENTS: Mapping[str, StatementFormat] = {
    "simulator": SimulatorStatements(),
    "wechat_pay": WeChatPayStatements(),
    "alipay": AlipayStatements(),
    "stripe": StripeStatements(),
}
"""The formats of statements, by the provider's name on our payments."""


def utc_now() -> datetime:
    """The one place where the service reads the time of day."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class App:
    """The service with its parts in place; entry points call the core's functions with these."""

    settings: Settings
    store: Store
    registry: Registry
    feed: Feed
    shelf: Shelf
    people: People
    tasks: Tasks
    desk: StatementDesk
    providers: Mapping[str, PaymentProvider]
    policy_in_force: PolicyInForce
    clock: Clock = utc_now

    async def terms(self, deadline_passed: Callable[[], bool] = lambda: False) -> Terms:
        """How a request is decided right now."""
        return Terms(await self.policy_in_force.current(), self.settings.time_zone, deadline_passed)


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The URL of a running, migrated database: the one that is configured, else the embedded server."""
    if settings.database_url is not None:
        upgrade(settings.database_url)
        yield settings.database_url
        return
    with embedded_postgres.running(settings.embedded_folder) as server:
        upgrade(server.url)
        yield server.url


@asynccontextmanager
async def open_app(settings: Settings, database_url: str, *, clock: Clock = utc_now) -> AsyncIterator[App]:
    """The service on a migrated database; publishes the configured or default policy when none is live yet."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(make_pool(database_url, max_size=settings.pool_size))
        time_zone = settings.time_zone.key
        registry = PostgresRegistry(pool, time_zone)
        app = App(
            settings=settings,
            store=PostgresStore(pool, time_zone),
            registry=registry,
            feed=PostgresFeed(pool, time_zone),
            shelf=PostgresShelf(pool),
            people=PostgresPeople(pool),
            tasks=PostgresTasks(pool),
            desk=PostgresDesk(pool),
            providers=await _providers(settings, stack),
            policy_in_force=PolicyInForce(registry),
            clock=clock,
        )
        await _ensure_policy(app)
        yield app


async def _providers(settings: Settings, stack: AsyncExitStack) -> dict[str, PaymentProvider]:
    """Every provider that is configured; each closes its HTTP client with the service."""
    providers: dict[str, PaymentProvider] = {}
    for provider in (_simulator(settings), stripe_provider(settings)):
        if provider is not None:
            await stack.enter_async_context(provider)
            providers[provider.name] = provider
    return providers


def _simulator(settings: Settings) -> SimulatorProvider | None:
    if settings.simulator_url is None or settings.simulator_key is None or settings.simulator_webhook_secret is None:
        return None
    return SimulatorProvider(
        base_url=settings.simulator_url,
        api_key=settings.simulator_key,
        webhook_secret=settings.simulator_webhook_secret,
        timeout_seconds=settings.provider_timeout_seconds,
    )


def stripe_provider(settings: Settings) -> StripeProvider | None:
    """Stripe with the secrets that its files hold now; None where it is not configured."""
    if settings.stripe_secret_key_file is None or settings.stripe_webhook_secret_file is None:
        return None
    return StripeProvider(
        secret_key=read_secret_file(settings.stripe_secret_key_file),
        webhook_secret=read_secret_file(settings.stripe_webhook_secret_file),
        api_base=settings.stripe_api_base,
        timeout_seconds=settings.provider_timeout_seconds,
    )


async def _ensure_policy(app: App) -> None:
    """A policy file that is configured becomes live; else the default one, if nothing is live yet."""
    if app.settings.policy_file is not None:
        policy = Policy.from_file(app.settings.policy_file)
        await publish(app.registry, policy, by="settings", now=app.clock())
    elif await app.registry.live_policy() is None:
        policy = default_policy()
        await publish(app.registry, policy, by="default", now=app.clock())


def default_policy() -> Policy:
    """The policy that ships with Jitui: the published rule (R3)."""
    in_package = resources.files("jitui") / "policies" / DEFAULT_POLICY
    if in_package.is_file():
        return Policy.from_text(in_package.read_text(encoding="utf-8"), DEFAULT_POLICY)
    return Policy.from_file(Path(__file__).parents[2] / "policies" / DEFAULT_POLICY)


DEFAULT_POLICY = "unshipped-instant-refund.yaml"
