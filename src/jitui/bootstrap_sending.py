"""Wires what a worker sends with: webhooks, and notices where a mail server and an address book are configured."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version

from jitui.adapters.address_book import HttpAddressBook
from jitui.adapters.smtp import SmtpMailer
from jitui.adapters.webhooks import HttpSender
from jitui.bootstrap import Service, address_rules, utc_now
from jitui.bootstrap_mail import mailer_of
from jitui.errors import NotConfigured
from jitui.notices.contents import Sources, content_of
from jitui.notices.dispatcher import NoticeDispatcher, NoticeRules
from jitui.notices.model import AddressBook, Mail, MailLanguage, Notice
from jitui.notices.operators import AddressesOfOperators
from jitui.notices.render import mail_of
from jitui.settings import Language, Settings, read_secret_file
from jitui.webhooks.dispatcher import Dispatcher, DispatchRules

_MAIL = ("JITUI_SMTP_HOST", "JITUI_MAIL_FROM")
LEASE = timedelta(minutes=15)
"""How long a notice stays with the worker that sends it: longer than any sending takes."""


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


def sends_notices(settings: Settings) -> bool:
    """Whether notices are on: they need mail and addresses. Raises NotConfigured when a part of mail is missing.

    Mail without an address book is for the codes of refund pages alone, whose addresses a commerce platform knows.
    """
    given = (settings.smtp_host, settings.mail_from)
    if None not in given:
        return settings.address_book_url is not None
    if given == (None, None) and settings.address_book_url is None:
        return False
    missing = [name for name, one in zip(_MAIL, given, strict=True) if one is None]
    raise NotConfigured(f"Mail needs {', '.join(missing)} too: set all of {', '.join(_MAIL)}, or none.")


def smtp_mailer(settings: Settings) -> SmtpMailer:
    """The configured mail server. Raises NotConfigured."""
    return mailer_of(settings, utc_now)


def address_book(settings: Settings) -> HttpAddressBook:
    """The platform's address book. Raises NotConfigured."""
    if settings.address_book_url is None:
        raise NotConfigured("Addresses are asked for at JITUI_ADDRESS_BOOK_URL.")
    key = settings.address_book_key_file
    return HttpAddressBook(
        settings.address_book_url,
        None if key is None else read_secret_file(key),
        timeout_seconds=settings.smtp_timeout_seconds,
    )


def addresses_of(service: Service, book: AddressBook) -> AddressesOfOperators:
    """The platform's address book, with operators beside it."""
    return AddressesOfOperators(book, service.people, service.settings.operator_mail)


def sources_of(service: Service) -> Sources:
    """Where notices read what they say."""
    settings = service.settings
    return Sources(
        store=service.store,
        receipts=service.receipts,
        registry=service.registry,
        appeals=service.appeals,
        complaints=service.complaints,
        queries=service.queries,
        tasks=service.tasks,
        time_zone=settings.time_zone,
        appeal_answer_days=settings.appeal_answer_days,
        complaint_answer_days=settings.complaints_answer_days,
        console_url=settings.public_url,
    )


def notice_rules(settings: Settings) -> NoticeRules:
    """How notices are sent here."""
    return NoticeRules(
        dead_after=timedelta(hours=settings.notice_dead_after_hours),
        keep=timedelta(days=settings.notice_keep_days),
        lease=LEASE,
        language=MailLanguage.ZH if settings.language is Language.ZH_CN else MailLanguage.EN,
        domain="localhost" if settings.mail_from is None else settings.mail_from.domain,
    )


async def preview(service: Service, notice: Notice, language: MailLanguage | None) -> Mail | None:
    """What a notice would say now; None when there is nothing to say any more. Nobody is asked for an address."""
    says = await content_of(sources_of(service), notice)
    if says is None:
        return None
    spoken = language or notice_rules(service.settings).language
    to, domain = "recipient@preview.invalid", "preview.invalid"
    return mail_of(notice.kind, notice.notice_id, says(spoken), spoken, to=to, domain=domain)


@asynccontextmanager
async def notice_dispatcher(service: Service) -> AsyncIterator[NoticeDispatcher | None]:
    """What sends notices in a worker; None where they are off."""
    if not sends_notices(service.settings):
        yield None
        return
    async with AsyncExitStack() as stack:
        mailer = await stack.enter_async_context(smtp_mailer(service.settings))
        book = await stack.enter_async_context(address_book(service.settings))
        yield NoticeDispatcher(
            service.notices,
            sources_of(service),
            addresses_of(service, book),
            mailer,
            service.tasks,
            clock=service.clock,
            rules=notice_rules(service.settings),
        )
