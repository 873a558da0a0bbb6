"""See `jitui.notices.model.Mailer`: mail through an SMTP server, with the standard library in threads.

One connection for each message: a message that is handed over has no other one before or behind it. The steps are taken
one by one, because only then is it known whether the text was on its way when something broke. What a server says may
repeat the recipient's address, so its codes alone are told.
"""

from __future__ import annotations

import asyncio
import re
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from enum import StrEnum
from types import TracebackType
from typing import Self, TypeVar

from jitui.notices.model import HandOver, Mail, MailLanguage, MailOutcome, MailResult

THREADS = 8
TEXT_SECONDS = 300.0
"""How long the server may take to answer to the text: long, because giving up means not to know."""
_CODES = {MailLanguage.ZH: "zh-CN", MailLanguage.EN: "en"}
_ENHANCED = re.compile(rb"^([245]\.\d{1,3}\.\d{1,3})\b")
_Value = TypeVar("_Value")


class Tls(StrEnum):
    """How the connection to the mail server is encrypted: by STARTTLS, from the first byte, or not at all."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed over, and by whom."""

    host: str
    port: int
    tls: Tls
    sender: str
    sender_name: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class _Trouble(Exception):
    """A step that did not succeed; `for_good` when the server refused this message or recipient."""

    def __init__(self, failure: str, *, for_good: bool = False) -> None:
        super().__init__(failure)
        self.failure = failure
        self.for_good = for_good


class SmtpMailer:
    """Sends through one server. `trust`: the certificates to trust, those of the system unless a test has its own."""

    def __init__(
        self,
        server: SmtpServer,
        *,
        timeout_seconds: float,
        clock: Callable[[], datetime],
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._trust = trust
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="smtp")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, mail: Mail, hand_over: HandOver) -> MailResult:
        """Connect, name sender and recipient, and only then hand over the text."""
        try:
            text = message_of(mail, self._server, self._clock()).as_bytes()
        except ValueError:  # a line break in a header
            return MailResult(MailOutcome.REFUSED, "The message cannot be written as mail.")
        try:
            connection = await self._in_thread(lambda: self._ready(mail))
        except _Trouble as trouble:
            return MailResult(MailOutcome.REFUSED if trouble.for_good else MailOutcome.LATER, trouble.failure)
        try:
            if not await hand_over():
                return MailResult(MailOutcome.LATER, "Another worker has this notice.")
            return await self._in_thread(lambda: _text_sent(connection, text))
        finally:
            await self._in_thread(lambda: _closed(connection))

    async def check(self) -> str | None:
        """Connect, encrypt and sign in, as before each message."""
        try:
            connection = await self._in_thread(self._connected)
        except _Trouble as trouble:
            return trouble.failure
        await self._in_thread(lambda: _closed(connection))
        return None

    async def _in_thread(self, work: Callable[[], _Value]) -> _Value:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _ready(self, mail: Mail) -> smtplib.SMTP:
        """A connection on which the server has taken sender and recipient. Raises _Trouble."""
        connection = self._connected()
        try:
            _expect(connection.docmd(f"MAIL FROM:<{self._server.sender}>"), "the sender", 250)
            _expect(connection.docmd(f"RCPT TO:<{mail.to}>"), "the recipient", 250, 251, about_mail=True)
        except (smtplib.SMTPException, OSError) as error:
            _closed(connection)
            raise _Trouble(_broken(error)) from None
        except _Trouble:
            _closed(connection)
            raise
        return connection

    def _connected(self) -> smtplib.SMTP:
        server, context = self._server, self._trust or ssl.create_default_context()
        connection: smtplib.SMTP | None = None
        try:
            if server.tls is Tls.TLS:
                connection = smtplib.SMTP_SSL(server.host, server.port, timeout=self._timeout_seconds, context=context)
            else:
                connection = smtplib.SMTP(server.host, server.port, timeout=self._timeout_seconds)
            if server.tls is Tls.STARTTLS:
                connection.starttls(context=context)
            connection.ehlo_or_helo_if_needed()
            if server.user is not None:
                _signed_in(connection, server.user, server.password or "")
        except (smtplib.SMTPException, OSError) as error:
            if connection is not None:
                connection.close()
            raise _Trouble(_broken(error)) from None
        return connection


def _signed_in(connection: smtplib.SMTP, user: str, password: str) -> None:
    """Raises SMTPAuthenticationError also for a server that hangs up on whoever it does not know."""
    try:
        connection.login(user, password)
    except smtplib.SMTPServerDisconnected:
        raise smtplib.SMTPAuthenticationError(535, "") from None


def message_of(mail: Mail, server: SmtpServer, at: datetime) -> EmailMessage:
    """The message with text and HTML. Raises ValueError for a value that would break out of its header."""
    from email.headerregistry import Address

    message = EmailMessage(policy=SMTP_POLICY)
    user, _, domain = server.sender.rpartition("@")
    message["From"] = Address(server.sender_name, user, domain)
    message["To"] = Address(addr_spec=mail.to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = mail.message_id
    message["Content-Language"] = _CODES[mail.language]
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text, cte="base64")
    message.add_alternative(mail.html, subtype="html", cte="base64")
    return message


def _text_sent(connection: smtplib.SMTP, text: bytes) -> MailResult:
    """Before the first byte of the text nothing was sent; from then on the server's answer alone counts."""
    try:
        _expect(connection.docmd("DATA"), "the message", 354, about_mail=True)
    except (smtplib.SMTPException, OSError) as error:
        return MailResult(MailOutcome.LATER, _broken(error))
    except _Trouble as trouble:
        return MailResult(MailOutcome.REFUSED if trouble.for_good else MailOutcome.LATER, trouble.failure)
    quoted = re.sub(rb"(?m)^\.", b"..", text)
    ending = b".\r\n" if quoted.endswith(b"\r\n") else b"\r\n.\r\n"
    if connection.sock is not None:
        connection.sock.settimeout(TEXT_SECONDS)
    try:
        connection.send(quoted + ending)
        code, said = connection.getreply()
    except (smtplib.SMTPException, OSError):
        return MailResult(MailOutcome.UNKNOWN, "The connection ended while the mail server had the text.")
    if 200 <= code < 300:
        return MailResult(MailOutcome.TAKEN)
    failure = f"The mail server answered {_code(code, said)} to the text."
    if 400 <= code < 500:
        return MailResult(MailOutcome.LATER, failure)
    if 500 <= code < 600:
        return MailResult(MailOutcome.REFUSED, failure)
    return MailResult(MailOutcome.UNKNOWN, failure)


def _expect(answer: tuple[int, bytes], what: str, *good: int, about_mail: bool = False) -> None:
    """A 5xx about the recipient or the message is for good; about ourselves it is our settings', which are mended."""
    code, said = answer
    if code not in good:
        for_good = about_mail and 500 <= code < 600
        raise _Trouble(f"The mail server answered {_code(code, said)} to {what}.", for_good=for_good)


def _code(code: int, said: bytes) -> str:
    found = _ENHANCED.match(said)
    return f"{code} {found[1].decode()}" if found else str(code)


def _broken(error: Exception) -> str:
    match error:
        case smtplib.SMTPAuthenticationError():
            return "The mail server does not take our user and password."
        case smtplib.SMTPNotSupportedError():
            return "The mail server does not offer what the settings ask for (STARTTLS, or signing in)."
        case smtplib.SMTPResponseException(smtp_code=code):
            return f"The mail server answered {code}."
        case ssl.SSLCertVerificationError():
            return "The mail server's certificate is not one to trust."
        case ssl.SSLError():
            return "The mail server does not speak TLS as it should."
        case TimeoutError():
            return "The mail server does not answer."
        case smtplib.SMTPServerDisconnected():
            return "The mail server ended the connection."
    return "The mail server cannot be connected to."


def _closed(connection: smtplib.SMTP) -> None:
    """Say good-bye where that is possible; what was said before counts."""
    try:
        connection.quit()
    except (smtplib.SMTPException, OSError):
        connection.close()
