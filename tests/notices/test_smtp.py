"""The mail server's side: encryption, signing in, what is looked at before anything is sent, and headers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from jitui.adapters.smtp import SmtpMailer, SmtpServer, Tls, message_of
from jitui.notices.model import Mail, MailLanguage, MailOutcome
from jitui.settings.values import ExpectedValue, mail_sender
from tests.certificates import certificate
from tests.notices.mail_server import MailServer

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
MAIL = Mail(
    "anna@mail.example", "退款 · Refund", "Hello\n.\n..\n.x\n", "<p>Hello</p>", MailLanguage.EN, "<notice.1@a.example>"
)


async def handed_over() -> bool:
    return True


def trusted(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost with its key in one file, and the context of who trusts it."""
    file = certificate(folder)
    return file, ssl.create_default_context(cafile=str(file))


def _let_in(server: SMTP, session: object, envelope: object, mechanism: str, given: object) -> AuthResult:
    right = isinstance(given, LoginPassword) and (given.login, given.password) == (b"jitui", b"a-password")
    return AuthResult(success=right)


@asynccontextmanager
async def encrypted(file: Path, handler: MailServer) -> AsyncIterator[int]:
    """A server that takes mail only over STARTTLS and from whom it knows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(str(file))
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()

    def made() -> SMTP:
        return SMTP(
            handler,
            hostname="localhost",
            loop=loop,
            tls_context=context,
            require_starttls=True,
            authenticator=_let_in,
            auth_required=True,
        )

    server = await loop.create_server(made, sock=listening)
    try:
        yield listening.getsockname()[1]
    finally:
        server.close()


def mailer(
    port: int, *, trust: ssl.SSLContext | None = None, password: str = "a-password", tls: Tls = Tls.STARTTLS
) -> SmtpMailer:
    server = SmtpServer("localhost", port, tls, "help@market.example", "帮助", user="jitui", password=password)
    return SmtpMailer(server, timeout_seconds=5, clock=lambda: NOW, trust=trust)


async def test_mail_goes_over_starttls_from_who_signs_in(tmp_path: Path) -> None:
    file, trust = trusted(tmp_path)
    handler = MailServer()
    async with encrypted(file, handler) as port, mailer(port, trust=trust) as sender:
        assert await sender.check() is None
        result = await sender.send(MAIL, handed_over)
    assert result.outcome is MailOutcome.TAKEN, result
    (got,) = handler.messages
    assert got["Subject"] == MAIL.subject and got["From"] == "帮助 <help@market.example>"
    assert got.get_body(("plain",)).get_content().replace("\r\n", "\n") == MAIL.text  # type: ignore[union-attr]


async def test_a_wrong_password_or_certificate_is_told_without_the_password(tmp_path: Path) -> None:
    file, trust = trusted(tmp_path)
    async with encrypted(file, MailServer()) as port:
        async with mailer(port, trust=trust, password="planted-password") as sender:
            wrong = await sender.send(MAIL, handed_over)
            assert (wrong.outcome, wrong.failure) == (
                MailOutcome.LATER,
                "The mail server does not take our user and password.",
            )
            assert "planted" not in repr(sender._server)
        async with mailer(port) as sender:
            assert await sender.check() == "The mail server's certificate is not one to trust."
        async with mailer(port, tls=Tls.TLS, trust=trust) as sender:
            assert await sender.check() == "The mail server does not speak TLS as it should."
    async with mailer(port, trust=trust) as sender:
        assert await sender.check() == "The mail server cannot be connected to."


async def test_a_server_without_starttls_gets_nothing(tmp_path: Path) -> None:
    handler = MailServer()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname="localhost", loop=loop), sock=listening)
    async with mailer(listening.getsockname()[1]) as sender:
        result = await sender.send(MAIL, handed_over)
    server.close()
    assert (result.outcome, handler.got) == (MailOutcome.LATER, [])
    assert "STARTTLS" in result.failure


@pytest.mark.parametrize("planted", ["a\nBcc: all@x.example", "a\r\nBcc: all@x.example"])
def test_a_line_break_does_not_leave_its_header(planted: str) -> None:
    server = SmtpServer("localhost", 25, Tls.NONE, "help@market.example")
    base = Mail("anna@mail.example", "s", "t", "h", MailLanguage.EN, "<notice.1@a.example>")
    for name in ("subject", "to", "message_id"):
        values = {one: getattr(base, one) for one in Mail.__slots__}
        with pytest.raises(ValueError):
            message_of(Mail(**{**values, name: planted}), server, NOW)


@pytest.mark.parametrize(
    "text",
    ["help", "help@localhost", "a@b.example, c@d.example", "Help <a@b.example>\nBcc: x@y.example", "甲@b.example"],
)
def test_a_sender_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ExpectedValue):
        mail_sender(text)


def test_a_sender_may_have_a_name() -> None:
    found = mail_sender("Shop help <help@shop.example>")
    assert (found.name, found.address, found.domain) == ("Shop help", "help@shop.example", "shop.example")
    assert mail_sender("help@shop.example").name == ""
