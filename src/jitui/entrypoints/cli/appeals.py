"""`jitui appeals`: what buyers say against their restrictions, and the answers."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.completing import APPEAL_STATES, one_of
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json

if TYPE_CHECKING:
    from uuid import UUID

    from jitui.aftersales.governance.appeals import Appeal
    from jitui.bootstrap import Service
    from jitui.client import Client
    from jitui.client.api import AppealAnswer

appeals = new_typer("Appeals of buyers against restrictions: list, read, open for a buyer, decide.")

AppealId = Annotated[str, typer.Argument(metavar="APPEAL", help="The appeal's id.", show_default=False)]
By = Annotated[str, typer.Option(help="Who does this; needed, except over HTTP.", show_default=False)]


@appeals.command("list")
def list_appeals(
    state: Annotated[str, typer.Option(help="open, upheld, rejected or all.", autocompletion=APPEAL_STATES)] = "open",
    buyer: Annotated[str | None, typer.Option(help="Of one buyer.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, by deadline.")] = 50,
    as_json: Json = False,
) -> None:
    """Appeals, those first whose answer is due first."""
    from jitui.aftersales.governance.appeals import AppealFilter, AppealState
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import word_of

    wanted = None if state == "all" else word_of(state, tuple(AppealState), "--state")

    def work(service: Service) -> Awaitable[Sequence[Appeal]]:
        return service.appeals.list(AppealFilter(wanted, buyer, limit=limit))

    def remote(client: Client) -> Sequence[Appeal]:
        from jitui.client import api
        from jitui.entrypoints.cli.remote import LARGEST_PAGE, up_to

        asked = None if wanted is None else api.AppealState(wanted.value)
        call = api.list_appeals(state=asked, buyer_id=buyer, limit=min(limit, LARGEST_PAGE))
        return [_answered(row) for row in up_to(client, call, limit)]

    found = on_service(work, remote)
    if as_json:
        print_json({"appeals": found})
        return
    for appeal in found:
        _show(appeal)
    if not found:
        echo("There are no such appeals.")


@appeals.command("show")
def show_appeal(appeal: AppealId, as_json: Json = False) -> None:
    """One appeal, with the buyer's words and the answer."""
    from jitui.entrypoints.cli.running import on_service

    appeal_id = _id_of(appeal, "APPEAL")

    def work(service: Service) -> Awaitable[Appeal | None]:
        return service.appeals.get(appeal_id)

    def remote(client: Client) -> Appeal | None:
        from jitui.client import api
        from jitui.entrypoints.cli.remote import found_or_none

        row = found_or_none(client, api.get_appeal(appeal_id))
        return None if row is None else _answered(row)

    _print(_known(on_service(work, remote), appeal_id), as_json=as_json)


@appeals.command("open")
def open_appeal(
    restriction: Annotated[str, typer.Argument(metavar="RESTRICTION", help="The restriction's id.")],
    buyer: Annotated[str, typer.Option(help="Whose restriction it is.", show_default=False)],
    text: Annotated[str, typer.Option(help="Why it is wrong, in the buyer's words.", show_default=False)],
    by: By = "",
    as_json: Json = False,
) -> None:
    """Appeal for a buyer, who called or wrote."""
    from jitui.entrypoints.cli.running import on_service

    restriction_id, words = _id_of(restriction, "RESTRICTION"), _words(text, "--text", _longest()[0])

    async def work(service: Service) -> Appeal:
        from jitui.aftersales.governance.appeals import new_appeal

        days = service.settings.appeal_answer_days
        told = new_appeal(restriction_id, buyer, words, now=service.clock(), answer_days=days, by=_named(by))
        return _done(await service.appeals.open(told))

    def remote(client: Client) -> Appeal:
        from jitui.client import api
        from jitui.entrypoints.cli.remote import only_by_key

        only_by_key(by)
        sent = api.AppealSent(restriction_id=restriction_id, buyer_id=buyer, text=words)
        return _answered(client.send(api.open_appeal(sent)))

    _print(on_service(work, remote), as_json=as_json)


@appeals.command("decide")
def decide_appeal(
    appeal: AppealId,
    verdict: Annotated[
        str,
        typer.Argument(
            metavar="upheld|rejected", help="Is the buyer right?", autocompletion=one_of("upheld", "rejected")
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why; the buyer reads it.", show_default=False)],
    by: By = "",
    as_json: Json = False,
) -> None:
    """Uphold an appeal, which lifts the restriction, or reject it. Whoever set the restriction does not decide."""
    from jitui.entrypoints.cli.running import on_service
    from jitui.errors import BadInput

    appeal_id, words = _id_of(appeal, "APPEAL"), _words(reason, "--reason", _longest()[1])
    if verdict not in ("upheld", "rejected"):
        raise BadInput(f"An appeal is upheld or rejected, not {verdict!r}.", path="verdict")

    async def work(service: Service) -> Appeal:
        from jitui.aftersales.governance.appeals import AppealDecision

        decision = AppealDecision(verdict == "upheld", words, _named(by), service.clock())
        return _done(await service.appeals.decide(appeal_id, decision))

    def remote(client: Client) -> Appeal:
        from jitui.client import api
        from jitui.entrypoints.cli.remote import only_by_key

        only_by_key(by)
        sent = api.AppealDecisionSent(verdict=api.ContestOutcome(verdict), reason=words)
        return _answered(client.send(api.decide_appeal(appeal_id, sent)))

    _print(on_service(work, remote), as_json=as_json)


def _longest() -> tuple[int, int]:
    from jitui.aftersales.governance.appeals import LONGEST_ANSWER, LONGEST_APPEAL

    return LONGEST_APPEAL, LONGEST_ANSWER


def _id_of(text: str, what: str) -> UUID:
    from uuid import UUID

    from jitui.errors import BadInput

    try:
        return UUID(text)
    except ValueError:
        raise BadInput(f"{text!r} is not an id (a UUID).", path=what) from None


def _words(text: str, option: str, longest: int) -> str:
    from jitui.errors import BadInput

    if not 0 < len(text.strip()) <= longest:
        raise BadInput(f"{option} takes 1 to {longest} characters.", path=option)
    return text.strip()


def _named(by: str) -> str:
    from jitui.errors import BadInput

    if not by.strip():
        raise BadInput("Who does this? Give --by.", path="--by")
    return by


def _done(done: object) -> Appeal:
    from jitui.aftersales.governance.appeals import Appeal
    from jitui.aftersales.outcomes import Refusal, RefusalCode
    from jitui.errors import BadInput, JituiError

    if isinstance(done, Refusal):
        is_input = done.code in (RefusalCode.NOT_FOUND, RefusalCode.SECOND_PERSON_NEEDED)
        raise BadInput(done.message, path=done.path) if is_input else JituiError(done.message)
    assert isinstance(done, Appeal)
    return done


def _known(found: Appeal | None, appeal_id: UUID) -> Appeal:
    from jitui.errors import BadInput

    if found is None:
        raise BadInput(f"There is no appeal {appeal_id}.", path="APPEAL")
    return found


def _answered(row: AppealAnswer) -> Appeal:
    from jitui.aftersales.governance.appeals import Appeal
    from jitui.entrypoints.cli.remote import our_value

    found: Appeal = our_value(Appeal, row)
    return found


def _print(appeal: Appeal, *, as_json: bool) -> None:
    if as_json:
        print_json(appeal)
    else:
        _show(appeal)


def _show(appeal: Appeal) -> None:
    from jitui.entrypoints.cli.speaking import moment, word

    echo(f"{appeal.appeal_id}  {word(appeal.state)}")
    echo(f"  buyer {appeal.buyer_id}; answer due {moment(appeal.answer_by)}")
    echo(f"  restriction {appeal.restriction_id}")
    echo(f"  {appeal.opened_by}: {appeal.text}")
    if appeal.answer is not None:
        echo(f"  {appeal.decided_by}: {appeal.answer}")
