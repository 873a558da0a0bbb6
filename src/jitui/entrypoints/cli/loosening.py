"""What `jitui pause`, `restrict` and `coverage` do where a second person approves what lets more money out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from jitui.entrypoints.cli.policy_life import as_person, tell

if TYPE_CHECKING:
    from uuid import UUID

    from jitui.aftersales.governance.publishing import NotAlone
    from jitui.aftersales.governance.registry import Scope
    from jitui.bootstrap import Service
    from jitui.entrypoints.cli.personal import Acting


def check_reason(reason: str) -> None:
    """Raises BadInput without a reason."""
    from jitui.errors import BadInput

    if not reason.strip():
        raise BadInput("A proposal needs a --reason: the second person reads it.", path="--reason")


def refuse_alone(refused: NotAlone, option: str, instead: str) -> NoReturn:
    """Raises BadInput with what proposes it here."""
    from jitui.aftersales.governance.refusals import refusal_of
    from jitui.errors import BadInput

    raise BadInput(f"{refusal_of(refused).message} {instead} proposes it.", path=option)


def propose_pause_lift(place: tuple[Scope, str], reason: str, *, as_json: bool) -> None:
    """Propose that a pause is lifted; the approval of a second person lifts it. Raises BadInput without a reason."""
    from jitui.aftersales.governance.pauses import Lifter, propose_lift
    from jitui.identity.access import Permission

    check_reason(reason)

    async def work(service: Service, by: Acting) -> object:
        lifter = Lifter(by.name, by.role)
        return await propose_lift(
            service.registry, service.proposals, place, by=lifter, now=service.clock(), reason=reason
        )

    tell(as_person(Permission.POLICIES_STOP, work), as_json=as_json)


def propose_restriction_lifts(buyer: str, reason: str, *, as_json: bool) -> int:
    """Propose to lift each restriction of a buyer that stands; how many there were."""
    from jitui.aftersales.governance.loosening import propose_lifting
    from jitui.identity.access import Permission

    check_reason(reason)

    async def standing(service: Service, _by: Acting) -> list[UUID]:
        now = service.clock()
        return [row.restriction_id for row in await service.registry.restrictions_of(buyer) if row.stands(now)]

    found = as_person(Permission.POLICIES_STOP, standing)
    assert isinstance(found, list)
    for restriction_id in found:

        async def work(service: Service, by: Acting, restriction_id: UUID = restriction_id) -> object:
            return await propose_lifting(
                service.registry, service.proposals, restriction_id, by=by.name, now=service.clock(), reason=reason
            )

        tell(as_person(Permission.POLICIES_STOP, work), as_json=as_json)
    return len(found)


def propose_cover(place: tuple[Scope, str], reason: str, *, unset: bool, as_json: bool) -> None:
    """Propose that a place is covered, or that the gates decide on it again."""
    from jitui.aftersales.governance.loosening import CoverWish
    from jitui.aftersales.governance.loosening import propose_cover as propose
    from jitui.identity.access import Permission

    check_reason(reason)

    async def work(service: Service, by: Acting) -> object:
        wish = CoverWish(*place, unset)
        return await propose(service.registry, service.proposals, wish, by=by.name, now=service.clock(), reason=reason)

    tell(as_person(Permission.POLICIES_STOP, work), as_json=as_json)


def propose_allow(buyer: str, verdict: str, reason: str, *, as_json: bool) -> None:
    """Propose that a buyer is put on the allow list. Raises BadInput for the deny list, which one person sets."""
    from jitui.aftersales.governance.loosening import propose_allowing
    from jitui.aftersales.governance.registry import new_selection
    from jitui.errors import BadInput
    from jitui.identity.access import Permission

    check_reason(reason)
    if verdict != "allow":
        raise BadInput("Only `allow` is proposed; one person puts a buyer on the deny list.", path="--propose")

    async def work(service: Service, by: Acting) -> object:
        now = service.clock()
        row = new_selection(buyer, verdict, reason, by.name, now)
        return await propose_allowing(service.registry, service.proposals, row, by=by.name, now=now)

    tell(as_person(Permission.POLICIES_STOP, work), as_json=as_json)
