"""Builds the service. This is the only module that names concrete adapters; it passes them as keyword arguments."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from jitui.adapters import embedded_postgres
from jitui.adapters.openid_provider import HttpOpenIdProvider
from jitui.adapters.postgres.accounting import PostgresBooks
from jitui.adapters.postgres.appeals import PostgresAppeals
from jitui.adapters.postgres.audit import PostgresAuditLog
from jitui.adapters.postgres.canary_guards import PostgresCanaryGuards
from jitui.adapters.postgres.cap_usages import PostgresCapUsages
from jitui.adapters.postgres.complaints import PostgresComplaints
from jitui.adapters.postgres.confirmations import PostgresConfirmations
from jitui.adapters.postgres.feed import PostgresFeed
from jitui.adapters.postgres.gates import PostgresGates
from jitui.adapters.postgres.keys import PostgresKeys
from jitui.adapters.postgres.linked_accounts import PostgresLinkedAccounts
from jitui.adapters.postgres.links import PostgresLinks
from jitui.adapters.postgres.migrate import upgrade
from jitui.adapters.postgres.notices import PostgresNoticePreferences, PostgresNoticeQueue
from jitui.adapters.postgres.openid import PostgresIdentities, PostgresOpenIdSignIns
from jitui.adapters.postgres.parked_disputes import PostgresParkedDisputes
from jitui.adapters.postgres.payout_hold import PostgresPayoutHold
from jitui.adapters.postgres.people import PostgresPeople
from jitui.adapters.postgres.personal_data import PostgresPersonalData
from jitui.adapters.postgres.policies import PostgresPolicies
from jitui.adapters.postgres.pool import Pool, make_pool
from jitui.adapters.postgres.proposals import PostgresProposals
from jitui.adapters.postgres.queries import PostgresQueries
from jitui.adapters.postgres.queue import SeenLog
from jitui.adapters.postgres.receipts import PostgresReceipts
from jitui.adapters.postgres.refund_list import PostgresRefundList
from jitui.adapters.postgres.registry import PostgresRegistry
from jitui.adapters.postgres.restrictions import PostgresRestrictionChecks
from jitui.adapters.postgres.review_templates import PostgresReviewTemplates
from jitui.adapters.postgres.second_factors import PostgresSecondFactors
from jitui.adapters.postgres.shipping_risks import PostgresShippingRisks
from jitui.adapters.postgres.statement_staging import PostgresStatementStaging
from jitui.adapters.postgres.store import PostgresStore
from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.adapters.postgres.ticket_list import PostgresTicketList
from jitui.adapters.postgres.webhook_queue import PostgresDeliveryQueue
from jitui.adapters.postgres.webhooks import PostgresWebhookEndpoints
from jitui.adapters.postgres.workers import PostgresWorkers
from jitui.aftersales.accounting.journal import Books
from jitui.aftersales.commands.dispute import ParkedDisputes
from jitui.aftersales.commands.incidents import IncidentRules
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.commands.restriction_rules import RestrictionChecks
from jitui.aftersales.commands.settle_refund import ManualPaymentRules
from jitui.aftersales.feed import Feed
from jitui.aftersales.governance.appeals import Appeals
from jitui.aftersales.governance.canary_guard import CanaryGuards
from jitui.aftersales.governance.cap_usage import CapUsages
from jitui.aftersales.governance.complaint import Complaints
from jitui.aftersales.governance.confirmations import Confirmations
from jitui.aftersales.governance.erasure import PersonalData
from jitui.aftersales.governance.gates import GateRules, Gates
from jitui.aftersales.governance.linked_accounts import LinkedAccounts
from jitui.aftersales.governance.policies import Policies, install
from jitui.aftersales.governance.policy_in_force import PolicyInForce
from jitui.aftersales.governance.proposals import Proposals
from jitui.aftersales.governance.registry import Registry
from jitui.aftersales.governance.review_templates import ReviewTemplates
from jitui.aftersales.governance.shipped_policy import DEFAULT_POLICY as DEFAULT_POLICY
from jitui.aftersales.governance.shipped_policy import default_policy as default_policy
from jitui.aftersales.model.failure_reason import FailureReason
from jitui.aftersales.model.task import Tasks
from jitui.aftersales.operations.conditions import Expected
from jitui.aftersales.operations.failure_reasons import reason_of
from jitui.aftersales.operations.workers import Workers
from jitui.aftersales.ports import Store
from jitui.aftersales.provider import PaymentProvider
from jitui.aftersales.queries import Queries, Receipts
from jitui.aftersales.reconciliation.reconcile import StatementStaging
from jitui.aftersales.reconciliation.restore import PayoutHold, RefundListing, Restoring
from jitui.aftersales.refund_list import RefundList
from jitui.aftersales.shipping_risks import RiskTimes, ShippingRisks
from jitui.aftersales.ticket_list import TicketList
from jitui.bootstrap_platforms import Platforms, open_platforms
from jitui.bootstrap_providers import open_providers
from jitui.encryption import Encryption
from jitui.identity.access import Role
from jitui.identity.audit import AuditLog
from jitui.identity.keys import Keys
from jitui.identity.links import Links
from jitui.identity.openid import RETURN_PATH as OPENID_RETURN_PATH
from jitui.identity.openid import OpenId
from jitui.identity.openid_person import Identities
from jitui.identity.people import People
from jitui.identity.second_factor import SecondFactors
from jitui.notices.dispatcher import Notices
from jitui.policy import Policy
from jitui.settings import Settings, YesOrNo, read_secret_file
from jitui.sign_in_rules import openid_rules, second_factor_roles
from jitui.webhooks.addresses import AddressRules
from jitui.webhooks.endpoints import Keeping
from jitui.webhooks.model import Webhooks

MARKS = "worker-marks.json"
"""What a worker keeps in its home of the database that it has seen."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The current time. The service reads the clock only here."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Service:
    """The settings and the adapters of one running service; entry points pass them to the functions of the core."""

    settings: Settings
    store: Store
    registry: Registry
    policies: Policies
    proposals: Proposals
    confirmations: Confirmations
    restriction_checks: RestrictionChecks
    appeals: Appeals
    review_templates: ReviewTemplates
    gates: Gates
    complaints: Complaints
    books: Books
    canary_guards: CanaryGuards
    cap_usages: CapUsages
    linked_accounts: LinkedAccounts
    shipping_risks: ShippingRisks
    feed: Feed
    ticket_list: TicketList
    refund_list: RefundList
    personal_data: PersonalData
    queries: Queries
    audit_log: AuditLog
    keys: Keys
    people: People
    links: Links
    second_factors: SecondFactors
    identities: Identities
    openid: OpenId | None
    tasks: Tasks
    staging: StatementStaging
    parked_disputes: ParkedDisputes
    workers: Workers
    payouts: PayoutHold
    providers: Mapping[str, PaymentProvider]
    platforms: Platforms
    policy_in_force: PolicyInForce
    encryption: Encryption
    webhooks: Webhooks
    receipts: Receipts
    notices: Notices
    pool_figures: Callable[[], Mapping[str, int]]
    clock: Clock = utc_now
    database_url: str = field(default="", repr=False)  # for a process of its own; it may have a password
    second_factor_roles: frozenset[Role] = field(init=False)

    def restoring(self) -> Restoring:
        """What `jitui.aftersales.reconciliation.restore` needs to compare a restored database with the providers."""
        listings = {name: found for name, found in self.providers.items() if isinstance(found, RefundListing)}
        return Restoring(self.store, self.tasks, self.payouts, self.clock, self.providers, listings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "second_factor_roles", second_factor_roles(self.settings))

    @property
    def webhook_keeping(self) -> Keeping:
        """What webhook endpoints are created and changed with."""
        return Keeping(self.webhooks.endpoints, self.encryption, address_rules(self.settings))

    def failure_reason(self, provider: str, text: str) -> FailureReason | None:
        """What the text that a refund or an attempt has as its reason means; None where nobody has said."""
        return reason_of(text, _reasons_of(provider))

    async def decision_settings(self, deadline_passed: Callable[[], bool] = lambda: False) -> DecisionSettings:
        """The policies in force and the settings by which a request is decided now."""
        return DecisionSettings(
            await self.policy_in_force.deciding(),
            self.settings.time_zone,
            frozenset(self.providers),
            deadline_passed,
            self.settings.usage_max_age,
            self.platforms.shops,
        )

    async def gate_rules(self) -> GateRules:
        """The gates of the policy in force."""
        publication, policy = await self.policy_in_force.numbered()
        return GateRules(policy, publication, self.settings.time_zone)

    @property
    def expected(self) -> Expected:
        """What is usual here, by which one sees what is not."""
        return Expected({name: one.capabilities for name, one in self.providers.items()}, self.settings.usage_max_age)

    @property
    def incident_rules(self) -> IncidentRules:
        """The deadlines of incidents here."""
        has = self.settings
        contest, answer = has.incident_contest_days, has.complaints_answer_days
        return IncidentRules(contest, answer, has.incident_recovery_days, has.incident_recovery_attempts)

    @property
    def manual_payment_rules(self) -> ManualPaymentRules:
        """What may be paid by hand here, and up to which amounts by one person."""
        limits = {limit.currency: limit.amount_minor for limit in self.settings.settle_alone_up_to}
        return ManualPaymentRules(frozenset(self.providers), limits)


def _reasons_of(provider: str) -> Mapping[str, FailureReason]:
    """What a provider's words mean, also of one that is not configured any more."""
    from jitui.adapters.payments.reasons import REASONS
    from jitui.adapters.platforms.reasons import REASONS as OF_PLATFORMS
    from jitui.aftersales.platform import PLATFORMS

    is_platform = any(one.name == provider for one in PLATFORMS)
    return OF_PLATFORMS if is_platform else REASONS.get(provider, {})


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The URL of a running, migrated database: the configured one, or that of the embedded server."""
    with server(settings) as url:
        upgrade(url, time_zone=settings.time_zone.key)
        yield url


@contextmanager
def server(settings: Settings) -> Iterator[str]:
    """The URL of a running server, not migrated: the configured one, or that of the embedded server."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    with embedded_postgres.running(settings.embedded_folder) as started:
        yield started.url


@contextmanager
def own_history(history: str, settings: Settings, time_zone: ZoneInfo, work: Path) -> Iterator[str]:
    """The place that a back-test reads, with the tables of a service exported first.

    `service` means the configured database, or the embedded one. The tables of a service's database are exported into
    `work`; every other place is returned unchanged.
    """
    if history == "service":
        with database(settings) as url:
            yield exported(url, time_zone, work)
    elif history.startswith(("postgresql://", "postgres://")):
        yield exported(history, time_zone, work)
    else:
        yield history


def exported(url: str, time_zone: ZoneInfo, work: Path) -> str:
    """The tables of a service's database, exported into `work`; another database is read where it is."""
    from jitui.adapters.postgres.history import export_history, is_own_database

    return str(export_history(url, work / "exported", time_zone)) if is_own_database(url) else url


@asynccontextmanager
async def open_service(settings: Settings, database_url: str, *, clock: Clock = utc_now) -> AsyncIterator[Service]:
    """The service on a migrated database. It publishes no policy."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(make_pool(database_url, max_size=settings.pool_size))
        time_zone, seen, policies = settings.time_zone.key, SeenLog(), PostgresPolicies(pool)
        yield Service(
            settings=settings,
            store=(store := PostgresStore(pool, time_zone, seen)),
            registry=PostgresRegistry(pool, time_zone),
            policies=policies,
            proposals=PostgresProposals(pool),
            confirmations=PostgresConfirmations(pool),
            restriction_checks=PostgresRestrictionChecks(pool),
            appeals=PostgresAppeals(pool),
            review_templates=PostgresReviewTemplates(pool),
            gates=PostgresGates(pool),
            complaints=PostgresComplaints(pool),
            books=PostgresBooks(pool),
            canary_guards=PostgresCanaryGuards(pool),
            cap_usages=PostgresCapUsages(pool),
            linked_accounts=PostgresLinkedAccounts(pool),
            shipping_risks=PostgresShippingRisks(pool, RiskTimes(*settings.risk_spans)),
            feed=PostgresFeed(pool, time_zone),
            ticket_list=PostgresTicketList(pool),
            refund_list=PostgresRefundList(pool),
            personal_data=PostgresPersonalData(pool),
            queries=PostgresQueries(pool),
            audit_log=PostgresAuditLog(pool),
            keys=PostgresKeys(pool),
            people=PostgresPeople(pool),
            links=PostgresLinks(pool),
            second_factors=PostgresSecondFactors(pool),
            identities=PostgresIdentities(pool),
            openid=await _openid(settings, pool, stack),
            tasks=PostgresTasks(pool),
            staging=PostgresStatementStaging(pool),
            parked_disputes=PostgresParkedDisputes(pool),
            workers=PostgresWorkers(pool),
            payouts=PostgresPayoutHold(pool, settings.home / MARKS, seen),
            platforms=(platforms := await open_platforms(settings, store, pool, stack, clock)),
            providers=await open_providers(settings, stack) | platforms.providers,
            policy_in_force=PolicyInForce(policies),
            encryption=Encryption(settings.encryption_keys()),
            webhooks=Webhooks(PostgresWebhookEndpoints(pool), PostgresDeliveryQueue(pool)),
            receipts=PostgresReceipts(pool),
            notices=Notices(PostgresNoticeQueue(pool, settings.operator_mail), PostgresNoticePreferences(pool)),
            pool_figures=pool.get_stats,
            database_url=database_url,
            clock=clock,
        )


async def _openid(settings: Settings, pool: Pool, stack: AsyncExitStack) -> OpenId | None:
    rules, provider = openid_rules(settings), openid_provider(settings)
    if rules is None or provider is None:
        return None
    await stack.enter_async_context(provider)
    return OpenId(rules, provider, PostgresOpenIdSignIns(pool), PostgresIdentities(pool), PostgresPeople(pool))


def openid_provider(settings: Settings) -> HttpOpenIdProvider | None:
    """The issuer, with the secret that its file holds now; None where it is not configured. It calls nobody."""
    if (
        settings.openid_issuer is None
        or settings.openid_client_id is None
        or settings.openid_client_secret_file is None
    ):
        return None
    return HttpOpenIdProvider(
        issuer=settings.openid_issuer,
        client_id=settings.openid_client_id,
        client_secret=read_secret_file(settings.openid_client_secret_file),
        redirect_uri=settings.console_url + OPENID_RETURN_PATH,
        scopes=settings.openid_scopes,
        acr=settings.openid_acr,
    )


def address_rules(settings: Settings) -> AddressRules:
    """Where webhooks may be sent to."""
    return AddressRules(settings.webhook_allowed_networks, settings.webhook_allow_http is YesOrNo.YES)


async def install_policy(service: Service) -> bool:
    """Publish the first policy: the configured file, or the default. Returns False when a policy is live already."""
    file = service.settings.policy_file
    first = default_policy() if file is None else Policy.from_file(file)
    return await install(service.policies, first, by="installation", now=service.clock())
