"""`jitui notices`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from jitui.entrypoints.cli.completing import one_of
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.bootstrap import Service
    from jitui.client import Client
    from jitui.notices.model import MailLanguage, MailPreview, Notice, NoticeState, Preferences, Recipient

notices = new_typer("Messages to buyers, shops and operators: what waits, what was given up, what one would say.")

_STATES = ("pending", "sent", "skipped", "dead", "unknown")
_PERSON = "Of one operator, by name; * is the operators' mailbox."
Buyer = Annotated[str | None, typer.Option(help="Of one buyer.", show_default=False)]
Shop = Annotated[str | None, typer.Option(help="Of one shop.", show_default=False)]
Operator = Annotated[str | None, typer.Option(help=_PERSON, show_default=False)]
SwitchOff = Annotated[list[str] | None, typer.Option(help="Switch a kind off; may be given again.", show_default=False)]
SwitchOn = Annotated[list[str] | None, typer.Option(help="Switch a kind on; may be given again.", show_default=False)]
LanguageOrDefault = Annotated[
    str | None,
    typer.Option(
        help="zh or en; default: as the platform says.",
        autocompletion=one_of("zh", "en", "default"),
        show_default=False,
    ),
]
NoticeId = Annotated[str, typer.Argument(metavar="NOTICE", help="The notice's id.", show_default=False)]


@notices.command("list")
def listing(
    state: Annotated[
        str | None,
        typer.Option(
            help="pending, sent, skipped, dead or unknown.", autocompletion=one_of(*_STATES), show_default=False
        ),
    ] = None,
    buyer: Buyer = None,
    shop: Shop = None,
    operator: Operator = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most to list.")] = 50,
    as_json: Json = False,
) -> None:
    """List notices, newest first: to whom, about what, and how they fare. No text and no address is stored."""
    from jitui.entrypoints.cli.running import on_service
    from jitui.notices.model import NoticeFilter

    wanted = NoticeFilter(_state(state), _recipient(buyer, shop, operator), limit)

    async def work(service: Service) -> Sequence[Notice]:
        return await service.notices.queue.list(wanted)

    def remote(client: Client) -> Sequence[Notice]:
        from jitui.entrypoints.cli import remote_notices

        return remote_notices.notices(client, wanted)

    found = on_service(work, remote)
    if as_json:
        print_json({"notices": [_row(notice) for notice in found]})
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
    from jitui.entrypoints.cli.running import on_service

    notice_id = _id(notice)

    async def work(service: Service) -> bool:
        return await service.notices.queue.retry(notice_id, service.clock())

    def remote(client: Client) -> bool:
        from jitui.entrypoints.cli import remote_notices

        return remote_notices.retry(client, notice_id)

    if not on_service(work, remote):
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
    from jitui.entrypoints.cli.running import on_service
    from jitui.errors import BadInput

    notice_id, chosen = _id(notice), _language(language)

    async def work(service: Service) -> MailPreview | None:
        from jitui import bootstrap_sending

        known = await service.notices.queue.get(notice_id)
        if known is None:
            raise BadInput(f"There is no notice {notice_id} in this database.", path="NOTICE")
        return await bootstrap_sending.preview(service, known, chosen)

    def remote(client: Client) -> MailPreview | None:
        from jitui.entrypoints.cli import remote_notices

        return remote_notices.preview(client, notice_id, chosen)

    mail = on_service(work, remote)
    if mail is None:
        say("There is nothing to say any more: it would be skipped.")
        raise typer.Exit(FAILED)
    if as_json:
        print_json({"subject": mail.subject, "text": mail.text, "html": mail.html})
    elif html:
        echo(mail.html)
    else:
        echo(f"{mail.subject}\n\n{mail.text}")


@notices.command()
def preferences(
    buyer: Buyer = None,
    shop: Shop = None,
    operator: Operator = None,
    off: SwitchOff = None,
    on: SwitchOn = None,
    language: LanguageOrDefault = None,
    as_json: Json = False,
) -> None:
    """Which notices a buyer, a shop or an operator gets, and in which language; changed by what is given."""
    from jitui.entrypoints.cli.running import on_service
    from jitui.errors import BadInput
    from jitui.notices.model import KINDS_OF, REQUIRED

    recipient = _recipient(buyer, shop, operator)
    if recipient is None:
        raise BadInput("Whose? Give --buyer, --shop or --operator.", path="--buyer")
    changed = _changed(recipient, off or [], on or [], language)

    async def work(service: Service) -> Preferences:
        kept = service.notices.preferences
        known = await kept.get(recipient)
        if changed is None:
            return known
        await kept.put(recipient, changed(known), service.clock())
        return changed(known)

    def remote(client: Client) -> Preferences:
        from jitui.entrypoints.cli import remote_notices

        return remote_notices.preferences(client, recipient, changed)

    found = on_service(work, remote)
    kinds = KINDS_OF[recipient.kind]
    told = {
        "off": [kind.value for kind in kinds if kind in found.off and kind not in REQUIRED],
        "on": [kind.value for kind in kinds if kind not in found.off and kind not in REQUIRED],
        "required": [kind.value for kind in kinds if kind in REQUIRED],
        "language": None if found.language is None else found.language.value,
    }
    if as_json:
        print_json(told)
        return
    for name in ("required", "on", "off"):
        echo(f"{name}: {', '.join(told[name] or ()) or 'none'}")
    echo(f"language: {told['language'] or 'as the platform says'}")


def _changed(
    recipient: Recipient, off: Sequence[str], on: Sequence[str], language: str | None
) -> Callable[[Preferences], Preferences] | None:
    """How preferences change; None: not at all."""
    from jitui.entrypoints.cli.words import word_of
    from jitui.notices.model import KINDS_OF, REQUIRED, Preferences

    free = tuple(kind for kind in KINDS_OF[recipient.kind] if kind not in REQUIRED)
    no_more, again = ({word_of(one, free, name) for one in given} for name, given in (("--off", off), ("--on", on)))
    if not no_more and not again and language is None:
        return None
    spoken = _language("" if language in (None, "default") else language or "")

    def change(known: Preferences) -> Preferences:
        return Preferences((known.off - again) | no_more, known.language if language is None else spoken)

    return change


def _row(notice: Notice) -> dict[str, object]:
    """A notice as JSON; the lane is the database's alone."""
    import dataclasses

    return {one.name: getattr(notice, one.name) for one in dataclasses.fields(notice) if one.name != "lane"}


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


def _recipient(buyer: str | None, shop: str | None, operator: str | None) -> Recipient | None:
    from jitui.errors import BadInput
    from jitui.notices.model import Recipient, RecipientKind

    asked = {RecipientKind.BUYER: buyer, RecipientKind.SHOP: shop, RecipientKind.OPERATOR: operator}
    given = [Recipient(kind, named) for kind, named in asked.items() if named is not None]
    if len(given) > 1:
        raise BadInput("Give one of --buyer, --shop and --operator.", path=f"--{given[1].kind.value}")
    return given[0] if given else None
