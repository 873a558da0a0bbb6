"""Which notices a buyer, a shop or an operator gets, and in which language."""

from __future__ import annotations

from typing import Annotated

from litestar.params import FromPath
from msgspec import Meta, field

from jitui.entrypoints.http.fields import may_name
from jitui.entrypoints.http.operation import get, operation, put
from jitui.entrypoints.http.problems import FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources.shared import Sent, Shown, id_of_address
from jitui.identity.access import Permission
from jitui.notices.model import (
    KINDS_OF,
    REQUIRED,
    SHARED_MAILBOX,
    MailLanguage,
    NoticeKind,
    Preferences,
    Recipient,
    RecipientKind,
)


class NoticePreferencesSent(Sent, frozen=True, kw_only=True):
    """What is not wanted, in place of what was said before."""

    off: Annotated[list[NoticeKind], Meta(max_length=len(NoticeKind), description="Kinds that are not sent.")] = field(
        default_factory=list
    )
    language: Annotated[MailLanguage | None, Meta(description="Null: as the platform's address book says.")] = None


class NoticePreferencesAnswer(Shown, frozen=True, kw_only=True):
    """What is and is not sent; what has to be told stands in neither list that can be chosen from."""

    off: tuple[NoticeKind, ...]
    on: tuple[NoticeKind, ...]
    required: tuple[NoticeKind, ...]
    language: MailLanguage | None


_TAG = ["Notices"]
_NAMED_BY = {RecipientKind.BUYER: "buyer_id", RecipientKind.SHOP: "shop_id", RecipientKind.OPERATOR: "operator"}
_ABOUT = (
    "A receipt, a statement of reasons and the answer to an appeal or complaint have to be told: they are `required`, "
    "and switching one off is refused."
)


@get(
    "/v1/buyers/{buyer_id:str}/notice-preferences",
    tags=_TAG,
    summary="Read which notices a buyer gets",
    description=_ABOUT,
    opt=operation({200: NoticePreferencesAnswer}, Permission.BUYER_NOTICES_READ),
)
async def get_buyer_notice_preferences(request: RequestContext, buyer_id: FromPath[str]) -> Reply:
    """Return what a buyer wants."""
    return await _read(request, RecipientKind.BUYER, buyer_id)


@put(
    "/v1/buyers/{buyer_id:str}/notice-preferences",
    tags=_TAG,
    summary="Choose which notices a buyer gets",
    description=_ABOUT,
    opt=operation({200: NoticePreferencesAnswer}, Permission.BUYER_NOTICES_WRITE, body=NoticePreferencesSent),
)
async def put_buyer_notice_preferences(request: RequestContext, buyer_id: FromPath[str]) -> Reply:
    """Write what a buyer wants."""
    return await _write(request, RecipientKind.BUYER, buyer_id)


@get(
    "/v1/shops/{shop_id:str}/notice-preferences",
    tags=_TAG,
    summary="Read which notices a shop gets",
    description=_ABOUT,
    opt=operation({200: NoticePreferencesAnswer}, Permission.SHOP_NOTICES_READ),
)
async def get_shop_notice_preferences(request: RequestContext, shop_id: FromPath[str]) -> Reply:
    """Return what a shop wants."""
    return await _read(request, RecipientKind.SHOP, shop_id)


@put(
    "/v1/shops/{shop_id:str}/notice-preferences",
    tags=_TAG,
    summary="Choose which notices a shop gets",
    description=_ABOUT,
    opt=operation({200: NoticePreferencesAnswer}, Permission.SHOP_NOTICES_WRITE, body=NoticePreferencesSent),
)
async def put_shop_notice_preferences(request: RequestContext, shop_id: FromPath[str]) -> Reply:
    """Write what a shop wants."""
    return await _write(request, RecipientKind.SHOP, shop_id)


@get(
    "/v1/operators/{operator:str}/notice-preferences",
    tags=_TAG,
    summary="Read which notices an operator gets",
    description=f"By the name at sign-in; `{SHARED_MAILBOX}` is the operators' mailbox. {_ABOUT}",
    opt=operation({200: NoticePreferencesAnswer}, Permission.NOTICES_READ),
)
async def get_operator_notice_preferences(request: RequestContext, operator: FromPath[str]) -> Reply:
    """Return what an operator wants."""
    return await _read(request, RecipientKind.OPERATOR, operator)


@put(
    "/v1/operators/{operator:str}/notice-preferences",
    tags=_TAG,
    summary="Choose which notices an operator gets",
    description=f"By the name at sign-in; `{SHARED_MAILBOX}` is the operators' mailbox. {_ABOUT}",
    opt=operation({200: NoticePreferencesAnswer}, Permission.NOTICES_WRITE, body=NoticePreferencesSent),
)
async def put_operator_notice_preferences(request: RequestContext, operator: FromPath[str]) -> Reply:
    """Write what an operator wants."""
    return await _write(request, RecipientKind.OPERATOR, operator)


async def _read(request: RequestContext, kind: RecipientKind, named: str) -> Reply:
    recipient = Recipient(kind, named)
    if not _may_see(request, recipient) or not may_name(named):
        return not_found()
    return _shown(recipient, await request.service.notices.preferences.get(recipient))


async def _write(request: RequestContext, kind: RecipientKind, named: str) -> Reply:
    sent = await read_body(request, NoticePreferencesSent)
    if not _may_see(request, Recipient(kind, named)):
        return not_found()
    recipient = Recipient(kind, id_of_address(_NAMED_BY[kind], named))
    faults = FaultCollector()
    own = KINDS_OF[recipient.kind]
    for index, off in enumerate(sent.off):
        if off in REQUIRED:
            faults.add(f"off[{index}]", f"{off.value} has to be told: it cannot be switched off.")
        elif off not in own:
            faults.add(f"off[{index}]", f"No {recipient.kind.value} gets {off.value}.")
    faults.settle()
    preferences = Preferences(frozenset(sent.off), sent.language)
    await request.service.notices.preferences.put(recipient, preferences, request.service.clock())
    return _shown(recipient, preferences)


def _may_see(request: RequestContext, recipient: Recipient) -> bool:
    match recipient.kind:
        case RecipientKind.BUYER:
            return request.may_see(buyer_id=recipient.id)
        case RecipientKind.SHOP:
            return request.may_see(shop_id=recipient.id)
        case RecipientKind.OPERATOR:
            return request.may_see()


def _shown(recipient: Recipient, preferences: Preferences) -> Reply:
    own = KINDS_OF[recipient.kind]
    return answer(
        NoticePreferencesAnswer(
            off=tuple(kind for kind in own if kind in preferences.off and kind not in REQUIRED),
            on=tuple(kind for kind in own if kind not in preferences.off and kind not in REQUIRED),
            required=tuple(kind for kind in own if kind in REQUIRED),
            language=preferences.language,
        )
    )


HANDLERS = (
    get_buyer_notice_preferences,
    put_buyer_notice_preferences,
    get_shop_notice_preferences,
    put_shop_notice_preferences,
    get_operator_notice_preferences,
    put_operator_notice_preferences,
)

EXAMPLES = (
    NoticePreferencesSent(off=[NoticeKind.REFUNDED], language=MailLanguage.EN),
    NoticePreferencesAnswer(
        off=(NoticeKind.REFUNDED,),
        on=(NoticeKind.REQUEST_APPROVED,),
        required=(NoticeKind.REQUEST_RECEIVED, NoticeKind.REQUEST_REJECTED),
        language=MailLanguage.EN,
    ),
)
