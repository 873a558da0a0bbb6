"""The mail that brings a code to the buyer of an order; it is made, handed over and forgotten."""

from __future__ import annotations

from uuid import uuid4

from jitui.notices.model import Mail, Mailer, MailLanguage, MailResult
from jitui.notices.pages import environment
from jitui.notices.receipt_view import CODES
from jitui.text import visible


def code_mail(code: str, order_id: str, minutes: int, language: MailLanguage, *, to: str, domain: str) -> Mail:
    """The mail. `domain`: ours, which makes the id of the message unique in the world."""
    told = {"code": code, "order_id": visible(order_id), "minutes": minutes}
    words = environment().get_template(f"shopper_code.{language.value}.txt").render(**told)
    subject, *paragraphs = [" ".join(part.split()) for part in words.split("\n\n") if part.strip()]
    values = {"subject": subject, "paragraphs": paragraphs, "receipt": None, "code": CODES[language]}
    return Mail(
        to=to,
        subject=subject,
        text=environment().get_template("mail.txt").render(**values),
        html=environment().get_template("mail.html").render(**values),
        language=language,
        message_id=f"<code.{uuid4()}@{domain}>",
    )


async def send_code(mailer: Mailer, mail: Mail) -> MailResult:
    """Send it once: whoever does not get it asks for another one."""

    async def at_once() -> bool:
        return True

    return await mailer.send(mail, at_once)
