"""What a shell completes where an option takes one of a few words; each list is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module


def words_of(place: str) -> Callable[[str], list[str]]:
    """A completion by the words of an enum, `module:Name`."""

    def complete(incomplete: str) -> list[str]:
        module, _, name = place.partition(":")
        return begun(getattr(import_module(module), name), incomplete)

    return complete


def one_of(*words: str) -> Callable[[str], list[str]]:
    """A completion by these words."""
    return lambda incomplete: begun(words, incomplete)


def begun(words: Iterable[str], incomplete: str) -> list[str]:
    """Those words that begin so."""
    return [str(word) for word in words if str(word).startswith(incomplete)]


TICKET_STATES = words_of("jitui.aftersales.model.ticket:TicketState")
REJECTION_CODES = words_of("jitui.aftersales.model.review:RejectionCode")
APPROVERS = words_of("jitui.aftersales.model.ticket:ApprovedBy")
REFUND_STATES = words_of("jitui.aftersales.model.refund:RefundState")
DELIVERY_STATES = words_of("jitui.webhooks.model:DeliveryState")
APPEAL_STATES = one_of("open", "upheld", "rejected", "all")
EVENT_KINDS = words_of("jitui.aftersales.changes:OutgoingEventKind")
SCOPES = words_of("jitui.aftersales.governance.registry:Scope")
KEY_SCOPES = words_of("jitui.identity.access:KeyScope")
ROLES = words_of("jitui.identity.access:Role")
COVERAGE_SCOPES = one_of("platform", "shop", "category", "item")
LISTS = one_of("allow", "deny")
