"""Where operators read mail: at the address of their account, or in the shared mailbox of the settings."""

from __future__ import annotations

from jitui.identity.access import ROLE_GRANTS, Permission
from jitui.identity.people import People
from jitui.notices.addresses import usable_address
from jitui.notices.model import (
    SHARED_MAILBOX,
    AddressBook,
    AddressBookAway,
    FoundAddress,
    NoAddress,
    Recipient,
    RecipientKind,
)


class AddressesOfOperators:
    """The platform's address book for buyers and shops; the platform is not asked for operators."""

    def __init__(self, book: AddressBook, people: People, mailbox: str | None) -> None:
        self._book = book
        self._people = people
        self._mailbox = mailbox

    async def look_up(self, recipient: Recipient) -> FoundAddress | NoAddress | AddressBookAway:
        """The address now: who was disabled, or does not work on tasks any more, has none."""
        if recipient.kind is not RecipientKind.OPERATOR:
            return await self._book.look_up(recipient)
        told = self._mailbox if recipient.id == SHARED_MAILBOX else await self._of_person(recipient.id)
        if told is None:
            return NoAddress.NO_OPERATOR
        address = usable_address(told)
        return NoAddress.NOT_VALID if address is None else FoundAddress(address)

    async def check(self) -> str | None:
        """What is wrong with the platform's."""
        return await self._book.check()

    async def _of_person(self, name: str) -> str | None:
        found = await self._people.find_account(name)
        if found is None or found[0].disabled_at is not None:
            return None
        return found[0].email if Permission.TASKS_WRITE in ROLE_GRANTS[found[0].person.role] else None
