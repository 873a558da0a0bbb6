"""Makes the mail of a notice: subject, text and HTML from one template for each kind and language."""

from __future__ import annotations

from uuid import UUID

from jitui.notices.contents import Content
from jitui.notices.model import Mail, MailLanguage, NoticeKind
from jitui.notices.pages import environment
from jitui.notices.receipt_view import CODES, view_receipt
from jitui.text import visible


def mail_of(
    kind: NoticeKind, notice_id: UUID, content: Content, language: MailLanguage, *, to: str, domain: str
) -> Mail:
    """The mail. `domain`: ours, which makes the id of the message unique in the world."""
    words = environment().get_template(f"kinds/{kind.value}.{language.value}.txt").render(**content.values)
    subject, *paragraphs = [" ".join(part.split()) for part in words.split("\n\n") if part.strip()]
    told = visible(subject)
    values = {
        "subject": told,
        "paragraphs": paragraphs,
        "receipt": None if content.receipt is None else view_receipt(content.receipt, language),
        "code": CODES[language],
    }
    return Mail(
        to=to,
        subject=told,
        text=environment().get_template("mail.txt").render(**values),
        html=environment().get_template("mail.html").render(**values),
        language=language,
        message_id=message_id(notice_id, domain),
    )


def message_id(notice_id: UUID, domain: str) -> str:
    """The same for each attempt at a notice, so that a mail system can drop a second copy."""
    return f"<notice.{notice_id}@{domain}>"
