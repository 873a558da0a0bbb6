"""A mail server and a platform's address book on this machine, which can be told to misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class MailServer:
    """What it got, and what it answers: by command a reply, or `break` to end the connection."""

    port: int = 0
    got: list[Envelope] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)
    before_text: Callable[[], None] | None = None

    @property
    def messages(self) -> list[EmailMessage]:
        found = [message_from_bytes(bytes(one.content or b""), policy=default) for one in self.got]  # type: ignore[arg-type]
        return [one for one in found if isinstance(one, EmailMessage)]

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.replies.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self.replies.get("RCPT", "250 OK")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Called with the whole text; what breaks here breaks after it."""
        if self.before_text is not None:
            self.before_text()
        self.got.append(envelope)
        reply = self.replies.get("DATA", "250 OK")
        if reply == "break":
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        return reply


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    handler = MailServer()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    handler.port = listening.getsockname()[1]
    loop = asyncio.get_running_loop()
    made = await loop.create_server(lambda: SMTP(handler, hostname="mail.test", loop=loop), sock=listening)
    try:
        yield handler
    finally:
        made.close()


@dataclass
class Platform:
    """The platform's address book, by kind and id."""

    url: str = ""
    book: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    status: int | None = None
    keys: list[str | None] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("authorization"))
        if self.status is not None:
            return web.Response(status=self.status)
        asked = await request.json()
        found = self.book.get((asked["kind"], asked["id"]))
        return web.Response(status=404) if found is None else web.json_response(found)


@asynccontextmanager
async def platform() -> AsyncIterator[Platform]:
    found = Platform()
    app = web.Application()
    app.router.add_post("/addresses", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    found.url = f"http://127.0.0.1:{port}/addresses"
    try:
        yield found
    finally:
        await runner.cleanup()
