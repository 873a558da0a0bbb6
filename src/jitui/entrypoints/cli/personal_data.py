"""`jitui buyers`: what is stored about one buyer, the erasure of a buyer, and linked accounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.linked_accounts import add_links, links
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.entrypoints.cli.words import id_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jitui.aftersales.governance.erasure import Erased, ErasedAgain, ErasureList, ErasurePending
    from jitui.bootstrap import Service

buyers = new_typer("Export what is stored about a buyer; erase a buyer; linked accounts.")

BuyerId = Annotated[str, typer.Argument(metavar="BUYER", help="The platform's id of the buyer.", show_default=False)]
By = Annotated[str, typer.Option(help="Who does this, for the record.", show_default=False)]


@buyers.command()
def export(buyer: BuyerId, by: By) -> None:
    """All that is stored about a buyer, as JSON."""
    from jitui.entrypoints.cli.running import with_app
    from jitui.errors import BadInput

    id_of(buyer, "buyer")
    _check_name(by)

    async def work(service: Service) -> Mapping[str, object] | None:
        return await service.personal_data.export(buyer, by=by, now=service.clock())

    found = with_app(work)
    if found is None:
        raise BadInput(f"Nothing is stored about a buyer {buyer!r}.", path="buyer")
    print_json(found)


@buyers.command()
def erase(
    by: By,
    buyer: Annotated[
        str | None, typer.Argument(metavar="BUYER", help="The platform's id of the buyer.", show_default=False)
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", help="After a restore: everybody on a list of erasures.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Take a buyer out of all that is stored, for good.

    Amounts, decisions and the ledger stay. Refused, with exit code 1, while something about the buyer is open; it says
    what, and until when.
    """
    from jitui.errors import BadInput

    _check_name(by)
    if (buyer is None) == (from_file is None):
        raise BadInput("Name one buyer, or a list with --from.", path="buyer")
    if buyer is not None:
        _erase_one(id_of(buyer, "buyer"), by, yes=yes, as_json=as_json)
    elif from_file is not None:
        _erase_again(from_file, by, yes=yes, as_json=as_json)


@buyers.command()
def erased() -> None:
    """Digests of who was erased, as a list.

    Keep it beside the backups: after a restore `jitui buyers erase --from FILE` erases everybody on it again.
    """
    from jitui.aftersales.governance.erasure import list_as_text
    from jitui.entrypoints.cli.running import with_app

    echo(list_as_text(with_app(_list)), newline=False)


async def _list(service: Service) -> ErasureList:
    from jitui.aftersales.governance.erasure import ErasureList

    data = service.personal_data
    return ErasureList(await data.fingerprint(), tuple(await data.marks()))


def _erase_one(buyer: str, by: str, *, yes: bool, as_json: bool) -> None:
    from jitui.aftersales.governance.erasure import ErasurePending, keep_until
    from jitui.entrypoints.cli.running import with_app
    from jitui.errors import BadInput

    _confirm(f"Erase buyer {buyer} for good?", yes=yes)

    async def work(service: Service) -> Erased | ErasurePending | None:
        now = service.clock()
        until = keep_until(now, service.settings.erasures_keep)
        return await service.personal_data.erase(buyer, by=by, now=now, keep_until=until)

    done = with_app(work)
    if done is None:
        raise BadInput(f"Nothing is stored about a buyer {buyer!r}.", path="buyer")
    if isinstance(done, ErasurePending):
        if as_json:
            print_json({"erased": False, "pending": done.pending, "possible_from": done.possible_from})
        else:
            _tell_pending("Not erased", done)
        raise typer.Exit(FAILED)
    if as_json:
        print_json(
            {
                "erased": True,
                "erasure_id": done.erasure_id,
                "erased_before": done.again,
                "orders": done.orders,
                "tickets": done.tickets,
            }
        )
    elif done.again:
        echo("The buyer was erased before; nothing was left.")
    else:
        echo(f"Erased; {done.orders} orders and {done.tickets} tickets stay without the buyer.")
        echo(f"In the audit log it is {done.erasure_id}.")


def _erase_again(file: Path, by: str, *, yes: bool, as_json: bool) -> None:
    from jitui.aftersales.governance.erasure import erase_again, read_list
    from jitui.entrypoints.cli.running import with_app
    from jitui.errors import BadInput

    try:
        erasures = read_list(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read: {error}", path="--from") from None
    _confirm(f"Erase everybody again who is among the {len(erasures.marks)} of {file}?", yes=yes)

    async def work(service: Service) -> ErasedAgain:
        return await erase_again(service.personal_data, erasures, by=by, now=service.clock())

    done = with_app(work)
    if as_json:
        pending = {
            name: {"pending": one.pending, "possible_from": one.possible_from} for name, one in done.pending.items()
        }
        print_json({"erased": done.erased, "pending": pending})
    else:
        echo(f"{done.erased} erased again, of {len(erasures.marks)} on the list.")
        for buyer, found in done.pending.items():
            _tell_pending(f"Buyer {buyer} not yet", found)
    if done.pending:
        raise typer.Exit(FAILED)


def _tell_pending(what: str, found: ErasurePending) -> None:
    ends = found.possible_from
    when = "when somebody has ended it" if ends is None else f"from {_time(ends)} on, if nothing new begins"
    echo(f"{what}: something is open. It is possible {when}.")
    for one in found.pending:
        until = "until somebody has ended it" if one.until is None else f"until {_time(one.until)} at the latest"
        echo(f"  {one.kind} {one.name} of order {one.order_id}, open {until}")


def _confirm(question: str, *, yes: bool) -> None:
    from jitui.errors import BadInput

    if yes:
        return
    say(f"{question} It cannot be taken back. Type yes:")
    try:
        said = input()
    except EOFError:
        said = ""
    if said.strip().lower() != "yes":
        raise BadInput("Nothing was erased: it was not confirmed. --yes confirms it in a script.", path="--yes")


def _check_name(by: str) -> None:
    from jitui.errors import BadInput

    if not by.strip():
        raise BadInput("Somebody answers for this: --by says who.", path="--by")


def _time(moment: object) -> str:
    from datetime import UTC, datetime

    assert isinstance(moment, datetime)
    return moment.astimezone(UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


buyers.command("links")(links)
buyers.command("add-links")(add_links)
