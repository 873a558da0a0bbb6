"""See `jitui.notices.model.AddressBook`: the platform is asked over HTTP, each time, and nothing is kept.

`POST` with `{"kind": "buyer", "id": "…"}` and the key as bearer token; 200 with `{"email": "…", "language": "zh-CN"}`,
404 when there is no address. The id is in the body, so that no address of a request leads to a person.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from jitui.notices.addresses import usable_address
from jitui.notices.model import (
    AddressBookAway,
    FoundAddress,
    MailLanguage,
    NoAddress,
    Recipient,
    RecipientKind,
)

if TYPE_CHECKING:
    from aiohttp import ClientSession

MOST_BYTES = 16_384
PROBE = Recipient(RecipientKind.BUYER, "jitui-doctor")
"""Nobody's id: the platform answers 404 to it."""


class HttpAddressBook:
    """Asks one address of the platform's."""

    def __init__(self, url: str, key: str | None, *, timeout_seconds: float) -> None:
        self._url = url
        self._key = key
        self._timeout_seconds = timeout_seconds
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def look_up(self, recipient: Recipient) -> FoundAddress | NoAddress | AddressBookAway:
        """The recipient's address now."""
        status, body = await self._ask(recipient)
        if status == 404:
            return NoAddress.UNKNOWN
        if status != 200:
            return AddressBookAway(_said(status))
        return _read(body)

    async def check(self) -> str | None:
        """Ask for nobody."""
        status, body = await self._ask(PROBE)
        if status == 404 or (status == 200 and not isinstance(_read(body), AddressBookAway)):
            return None
        return _said(status)

    async def _ask(self, recipient: Recipient) -> tuple[int | None, bytes]:
        """The status, None when there was no answer, and the body."""
        from aiohttp import ClientError

        headers = {} if self._key is None else {"authorization": f"Bearer {self._key}"}
        body = {"kind": recipient.kind.value, "id": recipient.id}
        try:
            async with self._opened().post(self._url, json=body, headers=headers, allow_redirects=False) as response:
                return response.status, await response.content.read(MOST_BYTES)
        except (ClientError, OSError, TimeoutError, ValueError):
            return None, b""

    def _opened(self) -> ClientSession:
        if self._session is None:
            from aiohttp import ClientSession, ClientTimeout, DummyCookieJar

            timeout = ClientTimeout(total=self._timeout_seconds)
            self._session = ClientSession(timeout=timeout, cookie_jar=DummyCookieJar())
        return self._session


def _said(status: int | None) -> str:
    if status is None:
        return "The platform's address book does not answer."
    if status in (401, 403):
        return f"The platform's address book does not take our key: it answered {status}."
    return f"The platform's address book answered {status}."


def _read(body: bytes) -> FoundAddress | NoAddress | AddressBookAway:
    try:
        told: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AddressBookAway("The platform's address book did not answer with JSON.")
    if not isinstance(told, dict):
        return AddressBookAway("The platform's address book did not answer with an object.")
    email = usable_address(told.get("email"))
    return NoAddress.NOT_VALID if email is None else FoundAddress(email, _language(told.get("language")))


def _language(told: object) -> MailLanguage | None:
    """`zh`, `zh-CN`, `en-GB`: by the part before the hyphen; any other is ours to choose."""
    word = told.split("-")[0].casefold() if isinstance(told, str) else ""
    return MailLanguage(word) if word in set(MailLanguage) else None
