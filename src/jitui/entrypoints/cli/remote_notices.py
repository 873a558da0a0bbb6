"""`jitui notices` on a service elsewhere: the calls, and the answers as the core's values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from jitui.client import Call, Client, api
from jitui.entrypoints.cli.remote import LARGEST_PAGE, found_or_none, our_code, our_value, up_to
from jitui.errors import BadInput
from jitui.notices.model import (
    MailLanguage,
    MailPreview,
    Notice,
    NoticeFilter,
    NoticeKind,
    Preferences,
    Recipient,
    RecipientKind,
)


def notices(client: Client, wanted: NoticeFilter) -> Sequence[Notice]:
    """The newest notices."""
    of = wanted.recipient
    call = api.list_notices(
        state=None if wanted.state is None else api.NoticeState(wanted.state.value),
        buyer_id=of.id if of is not None and of.kind is RecipientKind.BUYER else None,
        shop_id=of.id if of is not None and of.kind is RecipientKind.SHOP else None,
        operator=of.id if of is not None and of.kind is RecipientKind.OPERATOR else None,
        limit=min(wanted.limit, LARGEST_PAGE),
    )
    return [_notice(row) for row in up_to(client, call, wanted.limit)]


def retry(client: Client, notice_id: UUID) -> bool:
    """Send it again; whether it was one that can be."""
    return found_or_none(client, api.retry_notice(notice_id)) is not None


def preview(client: Client, notice_id: UUID, language: MailLanguage | None) -> MailPreview | None:
    """What it would say now. Raises BadInput where there is no such notice."""
    spoken = None if language is None else api.MailLanguage(language.value)
    found = found_or_none(client, api.preview_notice(notice_id, language=spoken))
    if found is None:
        raise BadInput(f"There is no notice {notice_id} at this service.", path="NOTICE")
    return found.mail


def preferences(
    client: Client, recipient: Recipient, changed: Callable[[Preferences], Preferences] | None
) -> Preferences:
    """What the recipient wants; as it is changed, where it is."""
    known = _preferences(client.send(_READ[recipient.kind](recipient.id)))
    if changed is None:
        return known
    wanted = changed(known)
    language = None if wanted.language is None else api.MailLanguage(wanted.language.value)
    sent = api.NoticePreferencesSent(off=[api.NoticeKind(kind.value) for kind in sorted(wanted.off)], language=language)
    return _preferences(client.send(_WRITE[recipient.kind](recipient.id, sent)))


_READ: dict[RecipientKind, Callable[[str], Call[api.NoticePreferencesAnswer]]] = {
    RecipientKind.BUYER: api.get_buyer_notice_preferences,
    RecipientKind.SHOP: api.get_shop_notice_preferences,
    RecipientKind.OPERATOR: api.get_operator_notice_preferences,
}
_WRITE: dict[RecipientKind, Callable[[str, api.NoticePreferencesSent], Call[api.NoticePreferencesAnswer]]] = {
    RecipientKind.BUYER: api.put_buyer_notice_preferences,
    RecipientKind.SHOP: api.put_shop_notice_preferences,
    RecipientKind.OPERATOR: api.put_operator_notice_preferences,
}


def _preferences(told: api.NoticePreferencesAnswer) -> Preferences:
    off = frozenset(our_code(NoticeKind, kind) for kind in told.off)
    return Preferences(off, None if told.language is None else our_code(MailLanguage, told.language))


def _notice(row: api.NoticeAnswer) -> Notice:
    """The service does not show the lane, and nothing here needs it."""
    notice: Notice = our_value(Notice, {"lane": 0, **{name: getattr(row, name) for name in row.__struct_fields__}})
    return notice
