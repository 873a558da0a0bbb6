"""`jitui notices`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from jitui.entrypoints.cli.completing import one_of
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.bootstrap import Service
    from jitui.notices.model import Mail, MailLanguage, Notice, NoticeState, Recipient

notices = typer.Typer(
    help="Messages to buyers and shops: what waits, what was given up, what one would say.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_STATES = ("pending", "sent", "skipped", "dead", "unknown")
_PREVIEW_TO, _PREVIEW_DOMAIN = "recipient@preview.invalid", "preview.invalid"
NoticeId = Annotated[str, typer.Argument(metavar="NOTICE", help="The notice's id.", show_default=False)]


@notices.command("list")
def listing(
    state: Annotated[
        str | None,
        typer.Option(
            help="pending, sent, skipped, dead or unknown.", autocompletion=one_of(*_STATES), show_default=False
        ),
    ] = None,
    buyer: Annotated[str | None, typer.Option(help="Of one buyer.", show_default=False)] = None,
    shop: Annotated[str | None, typer.Option(help="Of one shop.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most to list.")] = 50,
    as_json: Json = False,
) -> None:
    """List notices, newest first: to whom, about what, and how they fare. No text and no address is stored."""
    from jitui.entrypoints.cli.running import with_app
    from jitui.notices.model import NoticeFilter

    wanted = NoticeFilter(_state(state), _recipient(buyer, shop), limit)

    async def work(service: Service) -> Sequence[Notice]:
        return await service.notices.queue.list(wanted)

    found = with_app(work)
    if as_json:
        print_json({"notices": found})
        return
    for notice in found:
        _say(notice)
    if not found:
        echo("There are no such notices.")


@notices.command()
def retry(notice: NoticeId, as_json: Json = False) -> None:
    """Send a notice again that was given up, or of which nobody knows whether it was sent.

    Of an unknown one the recipient may get a second copy, under the same Message-ID. Exit code 1 where it is neither.
    """
    from jitui.entrypoints.cli.running import with_app

    notice_id = _id(notice)

    async def work(service: Service) -> bool:
        return await service.notices.queue.retry(notice_id, service.clock())

    if not with_app(work):
        say(f"There is no notice {notice_id} that was given up or that nobody knows of.")
        raise typer.Exit(FAILED)
    if as_json:
        print_json({"notice_id": notice_id, "state": "pending"})
    else:
        say(f"Notice {notice_id} is sent again.")


@notices.command()
def preview(
    notice: NoticeId,
    language: Annotated[
        str, typer.Option(help="zh or en.", autocompletion=one_of("zh", "en"), show_default="the platform's")
    ] = "",
    html: Annotated[bool, typer.Option("--html", help="The HTML instead of the text.")] = False,
    as_json: Json = False,
) -> None:
    """What a notice would say if it were sent now; nobody is asked for an address, and nothing is sent."""
    from jitui.entrypoints.cli.running import with_app
    from jitui.errors import BadInput

    notice_id, chosen = _id(notice), _language(language)

    async def work(service: Service) -> Mail | None:
        from jitui.bootstrap_sending import notice_rules, sources_of
        from jitui.notices.contents import content_of
        from jitui.notices.render import mail_of

        known = await service.notices.queue.get(notice_id)
        if known is None:
            raise BadInput(f"There is no notice {notice_id} in this database.", path="NOTICE")
        says = await content_of(sources_of(service), known)
        if says is None:
            return None
        spoken = chosen or notice_rules(service.settings).language
        return mail_of(known.kind, notice_id, says(spoken), spoken, to=_PREVIEW_TO, domain=_PREVIEW_DOMAIN)

    mail = with_app(work)
    if mail is None:
        say("There is nothing to say any more: it would be skipped.")
        raise typer.Exit(FAILED)
    if as_json:
        print_json({"subject": mail.subject, "text": mail.text, "html": mail.html})
    elif html:
        echo(mail.html)
    else:
        echo(f"{mail.subject}\n\n{mail.text}")


def _say(notice: Notice) -> None:
    to = f"{notice.recipient.value} {visible(notice.recipient_id)}"
    why = f": {visible(notice.failure)}" if notice.failure else ""
    tried = f", tried {notice.tries} times" if notice.tries > 1 else ""
    about = f"{notice.kind.value} about {visible(notice.subject)}"
    echo(f"{notice.notice_id} {notice.state.value}  {about} to {to}, {notice.queued_at:%Y-%m-%d %H:%M}Z{tried}{why}")


def _id(text: str) -> UUID:
    from jitui.errors import BadInput

    try:
        return UUID(text)
    except ValueError:
        raise BadInput(
            f"{visible(text)!r} is no id of a notice: `jitui notices list` shows them.", path="NOTICE"
        ) from None


def _state(word: str | None) -> NoticeState | None:
    from jitui.errors import BadInput
    from jitui.notices.model import NoticeState

    if word is None:
        return None
    if word not in set(NoticeState):
        raise BadInput(f"Expected one of {', '.join(NoticeState)}.", path="--state")
    return NoticeState(word)


def _language(word: str) -> MailLanguage | None:
    from jitui.errors import BadInput
    from jitui.notices.model import MailLanguage

    if not word:
        return None
    if word not in set(MailLanguage):
        raise BadInput("Expected zh or en.", path="--language")
    return MailLanguage(word)


def _recipient(buyer: str | None, shop: str | None) -> Recipient | None:
    from jitui.errors import BadInput
    from jitui.notices.model import Recipient, RecipientKind

    if buyer is not None and shop is not None:
        raise BadInput("Give either --buyer or --shop.", path="--buyer")
    if buyer is not None:
        return Recipient(RecipientKind.BUYER, buyer)
    return None if shop is None else Recipient(RecipientKind.SHOP, shop)
