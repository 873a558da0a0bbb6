"""Sends a code to the buyer of an order, after the page was answered: what it finds out, the answer cannot tell."""

from __future__ import annotations

from jitui.bootstrap import Service
from jitui.entrypoints.console.page.visit import Visit
from jitui.errors import Unavailable
from jitui.identity.shopper import CODE_LASTS, new_code, same_address
from jitui.logs import get_logger
from jitui.notices.addresses import usable_address
from jitui.notices.model import MailLanguage, MailOutcome
from jitui.notices.shopper_code import code_mail, send_code
from jitui.platform_contacts import find_contact, take_in_from
from jitui.settings import Language
from jitui.text import why_no_id

LONGEST_ADDRESS = 254

log = get_logger("jitui.shopper")


def sends_codes(service: Service) -> bool:
    """Whether codes can be sent here: there is a mail server, and a platform that knows the addresses."""
    return service.platforms.mailer is not None and bool(service.platforms.connected)


async def send_if_theirs(visit: Visit, order_id: str, address: str, browser: str) -> None:
    """Send a code when the address is the order's. Whatever goes wrong is logged, without the order and the address."""
    if why_no_id(order_id) is not None or not 0 < len(address) <= LONGEST_ADDRESS:
        return
    try:
        await _send(visit, order_id, address, browser)
    except Unavailable as error:
        log.warning("shopper_code_not_sent", reason=str(error).partition("\n")[0])
    except Exception as error:  # its words may repeat an address
        log.error("shopper_code_not_sent", reason=type(error).__name__)


async def _send(visit: Visit, typed: str, address: str, browser: str) -> None:
    service = visit.service
    found = await find_contact(service, typed, lambda known: same_address(address, known))
    to = None if found is None else usable_address(found.address)
    if service.platforms.mailer is None or found is None or to is None:
        return
    order_id = await take_in_from(service, found)
    if order_id is None:
        log.warning("shopper_code_not_sent", reason=f"{found.platform} has the order, and it cannot be taken in")
        return
    code = await new_code(service.platforms.codes, browser, order_id, now=service.clock())
    if code is None:
        log.warning("shopper_code_not_sent", reason="too many for one order")
        return
    if not visit.options.code_limits.may_send_to(to):
        log.warning("shopper_code_not_sent", reason="too many to one address")
        return
    language = MailLanguage.ZH if visit.speech.language is Language.ZH_CN else MailLanguage.EN
    sender = service.settings.mail_from
    minutes, domain = int(CODE_LASTS.total_seconds() // 60), "localhost" if sender is None else sender.domain
    result = await send_code(
        service.platforms.mailer, code_mail(code, order_id, minutes, language, to=to, domain=domain)
    )
    if result.outcome is not MailOutcome.TAKEN:
        log.warning("shopper_code_not_sent", reason=result.failure)
