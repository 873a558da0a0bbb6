"""`jitui keys`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.completing import KEY_SCOPES
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.entrypoints.cli.running import with_app
from jitui.text import visible

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from jitui.bootstrap import Service
    from jitui.identity.access import KeyScope
    from jitui.identity.keys import ApiKey, NewKey
    from jitui.settings import Settings

OVERLAP_HOURS = 24

keys = new_typer("Issue, list, roll and revoke API keys.")

By = Annotated[str, typer.Option(help="Who does this, for the record.")]
KeyId = Annotated[
    str, typer.Argument(metavar="KEY", help="The key's id, as `jitui keys list` shows it.", show_default=False)
]
Days = Annotated[
    int | None,
    typer.Option(min=1, max=3650, help="How long the new key works; else JITUI_KEY_LIFETIME_DAYS.", show_default=False),
]
NoEnd = Annotated[bool, typer.Option("--no-end", help="The new key works until it is revoked.")]


@keys.callback()
def _keys() -> None:
    """Issue, list, roll and revoke API keys."""


@keys.command()
def issue(
    scope: Annotated[
        str,
        typer.Option(
            help="platform, shop or buyer: whose things the key sees.",
            autocompletion=KEY_SCOPES,
        ),
    ],
    subject: Annotated[str, typer.Option(help="The shop's or buyer's id; nothing for the platform.")] = "",
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
    permission: Annotated[
        list[str] | None,
        typer.Option(
            help="Restrict the key, such as orders:write; may be repeated. Without: all that the scope may.",
            show_default=False,
        ),
    ] = None,
    days: Days = None,
    no_end: NoEnd = False,
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Issue a key and show it, once: only its hash is kept."""
    whose = _scope(scope, subject)

    async def work(service: Service) -> NewKey:
        from jitui.identity.keys import issue_key

        lifetime = _lifetime(service.settings, days, no_end)
        return await issue_key(
            service.keys,
            whose,
            subject,
            label=label,
            now=service.clock(),
            lifetime=lifetime,
            permissions=permission or None,
            by=by,
        )

    issued = with_app(work)
    if as_json:
        print_json({"key": issued.secret, **_shown(issued.key)})
    else:
        _show_new(issued)


@keys.command("list")
def list_(
    scope: Annotated[
        str | None,
        typer.Option(
            help="Of one scope only.",
            show_default=False,
            autocompletion=KEY_SCOPES,
        ),
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Of one shop or buyer only.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Expired and revoked ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")] = 200,
    as_json: Json = False,
) -> None:
    """The keys that work, newest first, with their ends and when they were last used; never the secrets."""
    from jitui.entrypoints.cli.words import word_of
    from jitui.identity.access import KeyScope

    wanted = None if scope is None else word_of(scope, tuple(KeyScope), "the scope")

    async def work(service: Service) -> tuple[Sequence[ApiKey], datetime]:
        now = service.clock()
        return await service.keys.list(
            scope=wanted, subject_id=subject, working_at=None if everything else now, limit=limit
        ), now

    found, now = with_app(work)
    if as_json:
        print_json({"keys": [_shown(key, now) for key in found]})
        return
    for key in found:
        _show(key, now)
    if not found:
        echo("There are no keys." if everything else "There are no keys that work.")


@keys.command()
def revoke(key: KeyId, by: By = "command line", as_json: Json = False) -> None:
    """End a key now: within five seconds no process takes it any more. A whole key is taken too; its id is read."""

    async def work(service: Service) -> tuple[ApiKey, datetime]:
        from jitui.identity.keys import key_id_of, unknown_key

        now, key_id = service.clock(), key_id_of(key)
        revoked = await service.keys.revoke(key_id, by=by, now=now)
        if revoked is None:
            raise unknown_key(key_id)
        return revoked, now

    revoked, now = with_app(work)
    if as_json:
        print_json(_shown(revoked, now))
    else:
        _show(revoked, now)


@keys.command()
def roll(
    key: KeyId,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=8760, help="How long the old key goes on working.")
    ] = OVERLAP_HOURS,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Until when the old key works, instead of --overlap-hours.", show_default=False
        ),
    ] = None,
    days: Days = None,
    no_end: NoEnd = False,
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Issue a key in the place of another, which works beside it for the overlap; what it may do stays the same."""
    from datetime import timedelta

    from jitui.entrypoints.cli.words import moment_of

    stated = None if until is None else moment_of(until, "--until")

    async def work(service: Service) -> tuple[NewKey, ApiKey]:
        from jitui.errors import BadInput
        from jitui.identity.keys import key_id_of, roll_key

        now = service.clock()
        if stated is not None and stated <= now:
            raise BadInput("--until lies in the past; give a time to come, or --overlap-hours 0.", path="--until")
        key_id = key_id_of(key)
        issued = await roll_key(
            service.keys,
            key_id,
            now=now,
            old_until=stated or now + timedelta(hours=overlap_hours),
            lifetime=_lifetime(service.settings, days, no_end),
            by=by,
        )
        return issued, (await service.keys.find((key_id,)))[key_id][0]

    issued, old = with_app(work)
    if as_json:
        print_json(
            {"key": issued.secret, **_shown(issued.key), "old": {"key_id": old.key_id, "expires_at": old.expires_at}}
        )
    else:
        _show_new(issued)
        assert old.expires_at is not None
        say(f"Key {old.key_id} works until {old.expires_at.isoformat(timespec='seconds')}.")


def _lifetime(settings: Settings, days: int | None, no_end: bool) -> timedelta | None:
    from datetime import timedelta

    from jitui.errors import BadInput

    if no_end and days is not None:
        raise BadInput("--days and --no-end contradict one another.", path="--days")
    return None if no_end else timedelta(days=days or settings.key_lifetime_days)


def _scope(scope: str, subject: str) -> KeyScope:
    from jitui.entrypoints.cli.words import id_of, word_of
    from jitui.errors import BadInput
    from jitui.identity.access import KeyScope

    whose = word_of(scope, tuple(KeyScope), "the scope")
    if (whose is KeyScope.PLATFORM) == bool(subject):
        needs = "has no --subject" if whose is KeyScope.PLATFORM else f"needs the {whose}'s id as --subject"
        raise BadInput(f"A key for the {whose} {needs}.", path="--subject")
    if subject:
        id_of(subject, "--subject")
    return whose


def _show_new(issued: NewKey) -> None:
    echo(issued.secret)
    say(f"Keep it now: it is not shown again. {_ends(issued.key)}")


def _ends(key: ApiKey) -> str:
    if key.expires_at is None:
        return "It has no end."
    return f"It works until {key.expires_at.isoformat(timespec='seconds')}."


def _shown(key: ApiKey, now: datetime | None = None) -> dict[str, object]:
    """A key for a script; `state` where the time of the question is known."""
    import msgspec

    from jitui.identity.keys import state_of

    row: dict[str, object] = msgspec.to_builtins(key)
    return row if now is None else {**row, "state": state_of(key, now)}


def _show(key: ApiKey, now: datetime) -> None:
    from jitui.identity.keys import state_of

    whose = key.scope.value if not key.subject_id else f"{key.scope} {key.subject_id}"
    echo("  ".join(part for part in (key.key_id, whose, state_of(key, now).value, visible(key.label)) if part))
    moments = (
        ("issued", key.created_at),
        ("revoked", key.revoked_at),
        ("ends", key.expires_at),
        ("last used", key.last_used_at),
    )
    told = [f"{what} {at.isoformat(timespec='seconds')}" for what, at in moments if at is not None]
    told += [] if key.expires_at is not None else ["no end"]
    told += [] if key.last_used_at is not None else ["never used"]
    told += [f"rolled to {key.replaced_by}"] if key.replaced_by is not None else []
    echo(f"  {', '.join(told)}")
    if key.permissions is not None:
        echo(f"  {', '.join(key.permissions)}")
