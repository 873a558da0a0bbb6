"""The only file that names concrete adapters: it puts the parts together, by explicit keywords."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from jitui.adapters import embedded_postgres
from jitui.adapters.postgres.feed import PostgresFeed
from jitui.adapters.postgres.migrate import upgrade
from jitui.adapters.postgres.parked_disputes import PostgresParkedDisputes
from jitui.adapters.postgres.people import PostgresPeople
from jitui.adapters.postgres.pool import make_pool
from jitui.adapters.postgres.queries import PostgresQueries
from jitui.adapters.postgres.registry import PostgresRegistry
from jitui.adapters.postgres.statement_staging import PostgresStatementStaging
from jitui.adapters.postgres.store import PostgresStore
from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.adapters.postgres.webhook_queue import PostgresDeliveryQueue
from jitui.adapters.postgres.webhooks import PostgresWebhookEndpoints
from jitui.adapters.webhooks import HttpSender
from jitui.aftersales.commands.dispute import ParkedDisputes
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.feed import Feed
from jitui.aftersales.governance.policy_in_force import PolicyInForce, publish
from jitui.aftersales.governance.registry import Registry
from jitui.aftersales.model.task import Tasks
from jitui.aftersales.ports import Store
from jitui.aftersales.provider import PaymentProvider
from jitui.aftersales.queries import Queries
from jitui.aftersales.reconciliation.reconcile import StatementStaging
from jitui.aftersales.reconciliation.statement import StatementFormat
from jitui.encryption import Encryption
from jitui.identity.people import People
from jitui.policy import Policy
from jitui.settings import Settings, YesOrNo, read_secret_file
from jitui.webhooks.addresses import AddressRules
from jitui.webhooks.dispatcher import Dispatcher, DispatchRules
from jitui.webhooks.endpoints import Keeping
from jitui.webhooks.model import Webhooks

if TYPE_CHECKING:
    from jitui.adapters.payments.alipay import AlipayProvider
    from jitui.adapters.payments.simulator import SimulatorProvider
    from jitui.adapters.payments.stripe import StripeProvider
    from jitui.adapters.payments.wechat_pay import WeChatPayProvider

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The one place where the service reads the time of day."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Service:
    """The service with its parts in place; entry points call the core's functions with these."""

    settings: Settings
    store: Store
    registry: Registry
    feed: Feed
    queries: Queries
    people: People
    tasks: Tasks
    staging: StatementStaging
    parked_disputes: ParkedDisputes
    providers: Mapping[str, PaymentProvider]
    policy_in_force: PolicyInForce
    encryption: Encryption
    webhooks: Webhooks
    clock: Clock = utc_now

    @property
    def webhook_keeping(self) -> Keeping:
        """What webhook endpoints are created and changed with."""
        return Keeping(self.webhooks.endpoints, self.encryption, address_rules(self.settings))

    async def decision_settings(self, deadline_passed: Callable[[], bool] = lambda: False) -> DecisionSettings:
        """How a request is decided right now."""
        return DecisionSettings(
            await self.policy_in_force.current(),
            self.settings.time_zone,
            deadline_passed,
            self.settings.usage_max_age,
        )


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The URL of a running, migrated database: the one that is configured, else the embedded server."""
    if settings.database_url is not None:
        upgrade(settings.database_url, time_zone=settings.time_zone.key)
        yield settings.database_url
        return
    with embedded_postgres.running(settings.embedded_folder) as server:
        upgrade(server.url, time_zone=settings.time_zone.key)
        yield server.url


@contextmanager
def server(settings: Settings) -> Iterator[str]:
    """The URL of a running server: the one that is configured, else the embedded one; nothing is migrated."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    with embedded_postgres.running(settings.embedded_folder) as started:
        yield started.url


@contextmanager
def own_history(history: str, settings: Settings, time_zone: ZoneInfo, work: Path) -> Iterator[str]:
    """Where a back-test reads: tables of the service are first exported into `work`, any other place stays as it is.

    `service` is the configured database, else the embedded one.
    """
    if history == "service":
        with database(settings) as url:
            yield _exported(url, time_zone, work)
    elif history.startswith(("postgresql://", "postgres://")):
        yield _exported(history, time_zone, work)
    else:
        yield history


def _exported(url: str, time_zone: ZoneInfo, work: Path) -> str:
    from jitui.adapters.postgres.history import export_history, is_own_database

    return str(export_history(url, work / "exported", time_zone)) if is_own_database(url) else url


@asynccontextmanager
async def open_service(settings: Settings, database_url: str, *, clock: Clock = utc_now) -> AsyncIterator[Service]:
    """The service on a migrated database; nothing is published."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(make_pool(database_url, max_size=settings.pool_size))
        time_zone = settings.time_zone.key
        registry = PostgresRegistry(pool, time_zone)
        service = Service(
            settings=settings,
            store=PostgresStore(pool, time_zone),
            registry=registry,
            feed=PostgresFeed(pool, time_zone),
            queries=PostgresQueries(pool),
            people=PostgresPeople(pool),
            tasks=PostgresTasks(pool),
            staging=PostgresStatementStaging(pool),
            parked_disputes=PostgresParkedDisputes(pool),
            providers=await _providers(settings, stack),
            policy_in_force=PolicyInForce(registry),
            encryption=Encryption(settings.all_encryption_keys),
            webhooks=Webhooks(PostgresWebhookEndpoints(pool), PostgresDeliveryQueue(pool)),
            clock=clock,
        )
        yield service


async def _providers(settings: Settings, stack: AsyncExitStack) -> dict[str, PaymentProvider]:
    """Every provider that is configured, by name; each is closed with the service."""
    providers: dict[str, PaymentProvider] = {}
    for provider in (alipay(settings), simulator(settings), stripe(settings), wechat_pay(settings)):
        if provider is not None:
            await stack.enter_async_context(provider)
            providers[provider.name] = provider
    return providers


# Each is None where it is not configured, raises NotConfigured for secrets that cannot be used, and calls nobody. The
# libraries of the real ones take half a second to import: that is paid where they are configured.


def alipay(settings: Settings) -> AlipayProvider | None:
    """Alipay with the keys that its files hold now."""
    if (
        settings.alipay_app_id is None
        or settings.alipay_private_key_file is None
        or settings.alipay_public_key_file is None
    ):
        return None
    from jitui.adapters.payments.alipay import AlipayProvider

    return AlipayProvider(
        app_id=settings.alipay_app_id,
        private_key=read_secret_file(settings.alipay_private_key_file),
        public_key=read_secret_file(settings.alipay_public_key_file),
        gateway=settings.alipay_gateway,
        timeout_seconds=settings.provider_timeout_seconds,
    )


def simulator(settings: Settings) -> SimulatorProvider | None:
    """The provider simulator."""
    if settings.simulator_url is None or settings.simulator_key is None or settings.simulator_webhook_secret is None:
        return None
    from jitui.adapters.payments.simulator import SimulatorProvider

    return SimulatorProvider(
        base_url=settings.simulator_url,
        api_key=settings.simulator_key,
        webhook_secret=settings.simulator_webhook_secret,
        timeout_seconds=settings.provider_timeout_seconds,
    )


def stripe(settings: Settings) -> StripeProvider | None:
    """Stripe with the secrets that its files hold now."""
    if settings.stripe_secret_key_file is None or settings.stripe_webhook_secret_file is None:
        return None
    from jitui.adapters.payments.stripe import StripeProvider

    return StripeProvider(
        secret_key=read_secret_file(settings.stripe_secret_key_file),
        webhook_secret=read_secret_file(settings.stripe_webhook_secret_file),
        api_base=settings.stripe_api_base,
        timeout_seconds=settings.provider_timeout_seconds,
    )


def wechat_pay(settings: Settings) -> WeChatPayProvider | None:
    """WeChat Pay with the keys that its files hold now."""
    if (
        settings.wechat_pay_merchant_id is None
        or settings.wechat_pay_certificate_serial is None
        or settings.wechat_pay_private_key_file is None
        or settings.wechat_pay_api_v3_key_file is None
        or settings.wechat_pay_public_key_file is None
        or settings.wechat_pay_public_key_id is None
        or settings.wechat_pay_notify_url is None
    ):
        return None
    from jitui.adapters.payments.wechat_pay import WeChatPayProvider

    return WeChatPayProvider(
        merchant_id=settings.wechat_pay_merchant_id,
        certificate_serial=settings.wechat_pay_certificate_serial,
        private_key=read_secret_file(settings.wechat_pay_private_key_file),
        api_v3_key=read_secret_file(settings.wechat_pay_api_v3_key_file),
        public_key=read_secret_file(settings.wechat_pay_public_key_file),
        public_key_id=settings.wechat_pay_public_key_id,
        notify_url=settings.wechat_pay_notify_url,
        api_base=settings.wechat_pay_api_base,
        timeout_seconds=settings.provider_timeout_seconds,
    )


def address_rules(settings: Settings) -> AddressRules:
    """Where webhooks may be sent to."""
    return AddressRules(settings.webhook_allowed_networks, settings.webhook_allow_http is YesOrNo.YES)


@asynccontextmanager
async def webhook_dispatcher(service: Service) -> AsyncIterator[Dispatcher]:
    """What sends webhooks in a worker."""
    settings = service.settings
    rules = DispatchRules(
        dead_after=timedelta(hours=settings.webhook_dead_after_hours),
        pause_after=timedelta(hours=settings.webhook_pause_after_hours),
        keep=timedelta(days=settings.webhook_keep_days),
        lease=settings.webhook_lease,
        user_agent=f"Jitui/{version('jitui')}",
    )
    async with HttpSender(address_rules(settings), timeout_seconds=settings.webhook_timeout_seconds) as sender:
        yield Dispatcher(service.webhooks, sender, service.encryption, service.tasks, clock=service.clock, rules=rules)


def statement_formats() -> dict[str, StatementFormat]:
    """The formats of statements, by the provider's name on our payments."""
    from jitui.adapters.payments.statements.alipay import AlipayStatements
    from jitui.adapters.payments.statements.simulator import SimulatorStatements
    from jitui.adapters.payments.statements.stripe import StripeStatements
    from jitui.adapters.payments.statements.wechat_pay import WeChatPayStatements

    return {
        "simulator": SimulatorStatements(),
        "wechat_pay": WeChatPayStatements(),
        "alipay": AlipayStatements(),
        "stripe": StripeStatements(),
    }


async def install_policy(service: Service) -> bool:
    """Publish the first policy: the configured file's, else the default one; False when one is live already."""
    if await service.registry.live_policy() is not None:
        return False
    file = service.settings.policy_file
    policy = default_policy() if file is None else Policy.from_file(file)
    return await publish(service.registry, policy, by="installation", now=service.clock())


def default_policy() -> Policy:
    """The policy that ships with Jitui: the published rule (R3)."""
    in_package = resources.files("jitui") / "policies" / DEFAULT_POLICY
    if in_package.is_file():
        return Policy.from_text(in_package.read_text(encoding="utf-8"), DEFAULT_POLICY)
    return Policy.from_file(Path(__file__).parents[2] / "policies" / DEFAULT_POLICY)


DEFAULT_POLICY = "unshipped-instant-refund.yaml"
