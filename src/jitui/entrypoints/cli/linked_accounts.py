"""`jitui buyers links` and `jitui buyers add-links`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.output import Json, echo, print_json
from jitui.entrypoints.cli.words import id_of

if TYPE_CHECKING:
    from jitui.aftersales.governance.linked_accounts import BuyerCluster, IdentityLink
    from jitui.bootstrap import Service

_COLUMNS = ("buyer_id", "kind", "hash", "seen_at")
_AT_ONCE = 1_000


def links(
    buyer: Annotated[str, typer.Argument(metavar="BUYER", help="The platform's id of the buyer.", show_default=False)],
    as_json: Json = False,
) -> None:
    """What a buyer was seen with, and who shares it."""
    from jitui.entrypoints.cli.running import with_app

    id_of(buyer, "buyer")

    async def work(service: Service) -> BuyerCluster:
        return await service.linked_accounts.of_buyer(buyer)

    found = with_app(work)
    if as_json:
        print_json(found)
        return
    cluster = f"cluster {found.cluster_id}" if found.cluster_id is not None else "no cluster"
    echo(f"{buyer}: {cluster}, of {len(found.members)}: {', '.join(found.members)}")
    for link in found.links:
        too_many = "" if link.links else ": too many to link anybody"
        seen = link.seen_at.isoformat(timespec="seconds")
        echo(f"{link.kind} {link.hash}: last seen {seen}, {link.buyers} buyers{too_many}")


def add_links(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV: buyer_id, kind, hash, seen_at.", exists=True)],
    as_json: Json = False,
) -> None:
    """Take links from a CSV file: hashes that the platform made, never raw values.

    Of a file with a fault nothing is taken.
    """
    from jitui.entrypoints.cli.running import with_app

    told = _read(file)

    async def work(service: Service) -> int:
        now = service.clock()
        parts = [told[place : place + _AT_ONCE] for place in range(0, len(told), _AT_ONCE)]
        return sum([await service.linked_accounts.add(part, now) for part in parts])

    recorded = with_app(work)
    if as_json:
        print_json({"links": len(told), "recorded": recorded})
    else:
        echo(f"{recorded} of {len(told)} links are new.")


def _read(file: Path) -> list[IdentityLink]:
    """The links of a file. Raises BadInput that names the line."""
    import csv

    from jitui.errors import BadInput

    with file.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text)
        if set(reader.fieldnames or ()) != set(_COLUMNS):
            raise BadInput(f"{file.name} has not the columns {', '.join(_COLUMNS)}.", path="file")
        return [_link(row, f"{file.name}, line {reader.line_num}") for row in reader]


def _link(row: dict[str, str], where: str) -> IdentityLink:
    import re

    from jitui.aftersales.governance.linked_accounts import HASH_PATTERN, IdentityLink, LinkKind
    from jitui.entrypoints.cli.policy_publish import moment_of
    from jitui.errors import BadInput

    kind, link_hash = row["kind"] or "", row["hash"] or ""
    if kind not in set(LinkKind):
        raise BadInput(f"{where}: the kind is {', '.join(LinkKind)}, not {kind!r}.", path="file")
    if not re.fullmatch(HASH_PATTERN, link_hash):
        raise BadInput(
            f"{where}: the hash has not 32 to 128 characters of hex or base64url; hash it first.", path="file"
        )
    try:
        buyer_id, seen_at = id_of(row["buyer_id"] or "", "buyer_id"), moment_of(row["seen_at"] or "", "seen_at")
    except BadInput as error:
        raise BadInput(f"{where}: {error}", path="file") from None
    return IdentityLink(buyer_id, LinkKind(kind), link_hash, seen_at)
