"""The code goes out through a real mail server, as the settings say, and the buyer opens the order with it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from jitui.bootstrap import utc_now
from jitui.bootstrap_mail import open_mailer
from jitui.entrypoints.console.mount import console_app
from jitui.settings import Settings
from jitui.settings.values import MailSender, SmtpTls
from tests.console.marketplace import Marketplace
from tests.console.shoppers import ADDRESS, ask_for_code, code_in, shoppers_of, type_code
from tests.notices.mail_server import mail_server
from tests.provider_simulator.server import SIMULATOR_AWAY


async def test_the_code_comes_by_mail(market: Marketplace, tmp_path: Path) -> None:
    async with mail_server() as server, AsyncExitStack() as stack:
        settings = Settings(
            home=tmp_path,
            smtp_host="127.0.0.1",
            smtp_port=server.port,
            smtp_tls=SmtpTls.NONE,
            mail_from=MailSender("refunds@jitui.test", "Refunds"),
            **SIMULATOR_AWAY,
        )
        shop = shoppers_of(market)
        mailer = await open_mailer(settings, shop.clock, stack)
        platforms = replace(shop.service.platforms, mailer=mailer)
        service = replace(shop.service, platforms=platforms, settings=settings)
        shop = replace(shop, service=service, app=console_app(service))
        async with shop.browser() as buyer:
            await ask_for_code(buyer)
            (message,) = server.messages
            assert server.got[0].rcpt_tos == [ADDRESS]
            assert (message["To"], message["From"]) == (ADDRESS, "Refunds <refunds@jitui.test>")
            assert message["Message-ID"].endswith("@jitui.test>")
            body = message.get_body(("plain",))
            assert body is not None
            assert (await type_code(buyer, code_in(body.get_content()))).status_code == 303


async def test_without_a_mail_server_there_is_no_mailer(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        plain = Settings(home=tmp_path)
        for settings in (
            plain,
            replace(plain, smtp_host="127.0.0.1"),
            replace(plain, mail_from=MailSender("a@b.test")),
        ):
            assert await open_mailer(settings, utc_now, stack) is None
