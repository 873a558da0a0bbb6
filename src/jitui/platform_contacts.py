"""Where the buyer of an order is written to: the platform knows the address, and nothing here keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jitui.aftersales.commands.platform_orders import platform_of
from jitui.aftersales.operations.platform_sync import take_order
from jitui.aftersales.platform import Platform, PlatformOrder
from jitui.aftersales.ports import read_order_by_id
from jitui.bootstrap import Service
from jitui.errors import Unavailable
from jitui.text import why_no_id


@dataclass(frozen=True, slots=True)
class Contact:
    """The address that a platform has for the buyer of one of its orders. `order_id`: as it was asked for."""

    platform: str
    order_id: str
    address: str = field(repr=False)


async def find_contact(service: Service, typed: str, is_right: Callable[[str], bool]) -> Contact | None:
    """The order of this number whose address `is_right`; the number is tried as typed, then in capitals.

    A platform that cannot be asked keeps no other from being asked. Raises Unavailable when one could not be, and none
    has the order.
    """
    trouble: Unavailable | None = None
    for order_id in dict.fromkeys((typed, typed.upper())):
        if why_no_id(order_id) is not None:
            continue
        for source in await _sources_of(service, order_id):
            try:
                address = await source.contact_address(order_id)
            except Unavailable as error:
                trouble = error
            except Exception as error:  # without its words, which may repeat an address
                trouble = Unavailable(f"{source.name}: {type(error).__name__}")
            else:
                if address is not None and is_right(address):
                    return Contact(source.name, order_id, address)
    if trouble is not None:
        raise trouble
    return None


async def take_in_from(service: Service, contact: Contact) -> str | None:
    """The id of the order here, taken in where it was not recorded; None where that platform's order cannot be.

    INVARIANT: two platforms may have the same number, and a number opens whichever order is recorded: the buyer of the
    one is never shown the other.
    """
    recorded, platform = await _recorded(service, contact.order_id)
    if recorded:
        return contact.order_id if platform == contact.platform else None
    one = next(one for one in service.platforms.connected if one.source.name == contact.platform)
    found = await one.source.find_order(contact.order_id)
    if not isinstance(found, PlatformOrder):
        return None
    recorded, _ = await _recorded(service, found.order_id)  # the platform may write its number in another way
    if not recorded:
        deciding = await service.decision_settings()
        await take_order(service.store, deciding, contact.platform, one.shop_id, found, now=service.clock())
    _, platform = await _recorded(service, found.order_id)
    return found.order_id if platform == contact.platform else None


async def _sources_of(service: Service, order_id: str) -> tuple[Platform, ...]:
    """The platform of a recorded order alone; of a number that is not recorded, each."""
    recorded, platform = await _recorded(service, order_id)
    sources = tuple(one.source for one in service.platforms.connected)
    return tuple(one for one in sources if one.name == platform) if recorded else sources


async def _recorded(service: Service, order_id: str) -> tuple[bool, str | None]:
    """Whether an order of this number is recorded, and the connected platform that it is from."""
    snapshot = await read_order_by_id(service.store, order_id)
    return snapshot is not None, None if snapshot is None else platform_of(snapshot, service.platforms.shops)
