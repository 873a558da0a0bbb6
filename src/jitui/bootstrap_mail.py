"""Wires the mail server: what notices are sent by, and codes to buyers without an account."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime

from jitui.adapters.smtp import SmtpMailer, SmtpServer, Tls
from jitui.errors import NotConfigured
from jitui.settings import Settings, read_secret_file


def mailer_of(settings: Settings, clock: Callable[[], datetime]) -> SmtpMailer:
    """The configured mail server, with the password that is in its file now. Raises NotConfigured."""
    if settings.smtp_host is None or settings.mail_from is None:
        raise NotConfigured("Mail needs JITUI_SMTP_HOST and JITUI_MAIL_FROM.")
    password = settings.smtp_password_file
    server = SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=Tls(settings.smtp_tls.value),
        sender=settings.mail_from.address,
        sender_name=settings.mail_from.name,
        user=settings.smtp_user,
        password=None if password is None else read_secret_file(password),
    )
    return SmtpMailer(server, timeout_seconds=settings.smtp_timeout_seconds, clock=clock)


async def open_mailer(settings: Settings, clock: Callable[[], datetime], stack: AsyncExitStack) -> SmtpMailer | None:
    """The mail server, closed with the service; None where none is configured. It calls nobody."""
    if settings.smtp_host is None or settings.mail_from is None:
        return None
    return await stack.enter_async_context(mailer_of(settings, clock))
