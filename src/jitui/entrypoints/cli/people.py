"""`jitui people`: who may sign in to the console."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.entrypoints.cli.personal import token
from jitui.entrypoints.cli.running import with_app
from jitui.text import visible

if TYPE_CHECKING:
    from uuid import UUID

    from jitui.bootstrap import Service
    from jitui.identity.links import OneTimeLink
    from jitui.identity.openid_person import Linked
    from jitui.identity.people import Account, Person, Session
    from jitui.settings import Settings

NEEDS = {"buyer": "buyer", "merchant": "shop"}

people = new_typer("Who may sign in to the console, and in what role.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the person types at sign-in.", show_default=False)]
By = Annotated[str, typer.Option(help="Who does this, for the record.")]
Hours = Annotated[int, typer.Option(min=1, max=24 * 30, help="How long the link works.")]
Subject = Annotated[str, typer.Option(help="The buyer's or shop's id, for the roles buyer and merchant.")]
Display = Annotated[str, typer.Option(help="The name that pages show; without: the name itself.")]


people.command()(token)


@people.callback()
def _people() -> None:
    """Who may sign in to the console, and in what role."""


@people.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="One of the roles that `jitui people roles` lists.")],
    subject: Subject = "",
    display_name: Display = "",
    password_file: Annotated[
        Path | None,
        typer.Option(help="A file with the password, - for standard input; without: none yet.", show_default=False),
    ] = None,
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Add a person; without a password nobody can sign in by it until `jitui people invite`."""
    person = _person(name, role, subject, display_name)
    password = None if password_file is None else _read_password(password_file)

    async def work(service: Service) -> None:
        from jitui.identity.people import hash_password

        await _add(service, person, None if password is None else await hash_password(password), by)

    with_app(work)
    if as_json:
        print_json(person)
        return
    echo(f"{person.name} is {person.role}.")
    if password is None:
        say(f"Next: jitui people invite {person.name}")


@people.command()
def invite(
    name: Name,
    role: Annotated[str, typer.Option(help="Add the person in this role first.")] = "",
    subject: Subject = "",
    display_name: Display = "",
    hours: Hours = 24,
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Print a link, good once, by which a person without a password chooses one; how the first administrator begins."""
    new = _person(name, role, subject, display_name) if role else None

    async def work(service: Service) -> tuple[OneTimeLink, Settings]:
        from jitui.errors import BadInput

        if new is not None:
            await _add(service, new, None, by)
        account = await _account(service, name)
        if account.password_set:
            raise BadInput(f"{name} has a password; `jitui people reset {name}` makes a new link.", path="name")
        _refuse_disabled(account)
        return await _link(service, name, hours, by), service.settings

    link, settings = with_app(work)
    _show_link(link, settings, as_json)


@people.command("list")
def list_(as_json: Json = False) -> None:
    """Everybody, by name: role, whether they can sign in, and when they last did."""

    async def work(service: Service) -> Sequence[Account]:
        return await service.people.accounts()

    found = with_app(work)
    if as_json:
        print_json({"people": found})
        return
    for account in found:
        _show(account)
    if not found:
        echo("There is nobody yet. The first administrator: jitui people invite NAME --role admin")


@people.command()
def link(
    name: Name,
    subject: Annotated[
        str | None, typer.Argument(help="Who this is at the issuer: the `sub` of its tokens.", show_default=False)
    ] = None,
    email: Annotated[
        str, typer.Option(help="The e-mail address by which the issuer names this person at the first sign-in.")
    ] = "",
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Say who a person is at the OpenID Connect issuer: by the subject, or by an address that the issuer verified."""
    from jitui.errors import BadInput

    if (subject is None) == (not email):
        raise BadInput(f"Give the subject of {name} at the issuer, or --email.", path="subject")
    address = _email(email) if email else ""

    async def work(service: Service) -> Account:
        if service.openid is None:
            raise BadInput("No issuer is configured: JITUI_OPENID_ISSUER and what goes with it come first.")
        identities, issuer, now = service.identities, service.openid.rules.issuer, service.clock()
        if subject is not None:
            done = await identities.link(name, issuer, _subject(subject), by=by, now=now)
        else:
            done = await identities.set_email(name, address, by=by, now=now)
        _refuse_link(done, name, subject or address)
        return await _account(service, name)

    _tell(with_app(work), as_json)


@people.command()
def unlink(name: Name, by: By = "command line", as_json: Json = False) -> None:
    """Take a person's subject and e-mail address away, which ends the sessions; a password still works."""

    async def work(service: Service) -> Account:
        account = await _account(service, name)
        await service.identities.unlink(name, by=by, now=service.clock())
        return account if account.openid_subject is None and account.email is None else await _account(service, name)

    _tell(with_app(work), as_json)


@people.command()
def disable(name: Name, by: By = "command line", as_json: Json = False) -> None:
    """Shut a person out: sessions and links end at once, and nobody signs in by this name."""

    async def work(service: Service) -> Account:
        _known(await service.people.set_disabled(name, True, by=by, now=service.clock()), name)
        return await _account(service, name)

    _tell(with_app(work), as_json)


@people.command()
def enable(name: Name, by: By = "command line", as_json: Json = False) -> None:
    """Let a disabled person sign in again, with the password and second factor from before."""

    async def work(service: Service) -> Account:
        _known(await service.people.set_disabled(name, False, by=by, now=service.clock()), name)
        return await _account(service, name)

    _tell(with_app(work), as_json)


@people.command()
def reset(
    name: Name,
    second_factor: Annotated[
        bool, typer.Option("--second-factor", help="Take the second factor and its recovery codes away too.")
    ] = False,
    hours: Hours = 24,
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Take a person's password away, end the sessions, and print a link by which a new one is chosen."""

    async def work(service: Service) -> tuple[OneTimeLink, Settings]:
        _refuse_disabled(await _account(service, name))
        _known(await service.people.set_password(name, None, by=by, now=service.clock()), name)
        if second_factor:
            await service.second_factors.remove(name, by=by, now=service.clock())
        return await _link(service, name, hours, by), service.settings

    link, settings = with_app(work)
    _show_link(link, settings, as_json)


@people.command()
def roles(
    name: Annotated[str | None, typer.Argument(help="Whose role to change.", show_default=False)] = None,
    role: Annotated[str | None, typer.Argument(help="The new role.", show_default=False)] = None,
    subject: Subject = "",
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """What roles there are; with NAME and ROLE, give a person another one, which ends the sessions."""
    from jitui.errors import BadInput

    if name is None:
        _show_roles(as_json)
        return
    if role is None:
        raise BadInput(f"Which role shall {name} have? `jitui people roles` lists them.", path="role")
    wanted = _person(name, role, subject, "")

    async def work(service: Service) -> Account:
        _known(await service.people.set_role(name, wanted.role, wanted.subject_id, by=by, now=service.clock()), name)
        return await _account(service, name)

    _tell(with_app(work), as_json)


@people.command()
def sessions(
    name: Name,
    action: Annotated[str | None, typer.Argument(metavar="end", help="End them.", show_default=False)] = None,
    session: Annotated[str | None, typer.Argument(help="Only this one.", show_default=False)] = None,
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Where a person is signed in; `end` ends all of these sessions, or the one that is named."""
    from jitui.errors import BadInput

    if action not in (None, "end"):
        raise BadInput(f"Sessions are listed or ended: `jitui people sessions {name} end`.", path="action")
    one = None if session is None else _session_id(session)

    async def work(service: Service) -> tuple[Sequence[Session], int]:
        await _account(service, name)
        ended = await service.people.end_sessions(name, one, by=by, now=service.clock()) if action is not None else 0
        return await service.people.sessions(name, service.clock(), None), ended

    found, ended = with_app(work)
    if as_json:
        print_json({"name": name, "ended": ended, "sessions": found})
    else:
        _show_sessions(name, found, None if action is None else ended)
    if one is not None and not ended:
        raise typer.Exit(FAILED)


# What the commands share ------------------------------------------------------------------------------------------


def _person(name: str, role: str, subject: str, display_name: str) -> Person:
    from jitui.entrypoints.cli.words import id_of, word_of
    from jitui.errors import BadInput
    from jitui.identity.access import BOUND_ROLES, Role
    from jitui.identity.people import Person

    found = word_of(role, tuple(Role), "the role")
    if found in BOUND_ROLES and not subject:
        raise BadInput(f"A {found} needs the {NEEDS[found.value]}'s id as --subject.", path="--subject")
    if found not in BOUND_ROLES and subject:
        raise BadInput(f"Only a buyer and a merchant have a --subject; {found} has none.", path="--subject")
    if subject:
        id_of(subject, "--subject")
    return Person(id_of(name, "the name"), found, subject, display_name or name)


async def _add(service: Service, person: Person, password_hash: str | None, by: str) -> None:
    from jitui.errors import BadInput

    if not await service.people.add_person(person, password_hash, service.clock(), by=by):
        raise BadInput(f"There is a person {person.name} already.", path="name")


async def _account(service: Service, name: str) -> Account:
    found = await service.people.find_account(name)
    _known(found is not None, name)
    assert found is not None
    return found[0]


def _known(found: bool, name: str) -> None:
    from jitui.errors import BadInput

    if not found:
        raise BadInput(f"There is no person {name}; `jitui people list` shows who there is.", path="name")


def _refuse_disabled(account: Account) -> None:
    from jitui.errors import BadInput

    name = account.person.name
    if account.disabled_at is not None:
        raise BadInput(f"{name} is disabled; `jitui people enable {name}` comes first.", path="name")


async def _link(service: Service, name: str, hours: int, by: str) -> OneTimeLink:
    from datetime import timedelta

    from jitui.identity.links import make_link

    return await make_link(service.links, name, by=by, now=service.clock(), lasts=timedelta(hours=hours))


def _email(text: str) -> str:
    from jitui.errors import BadInput
    from jitui.identity.openid_person import LONGEST_EMAIL

    local, at, host = text.strip().rpartition("@")
    if not (local and at and host) or len(text) > LONGEST_EMAIL or not text.isprintable() or " " in text.strip():
        raise BadInput(f"{text!r} is no e-mail address.", path="--email")
    return text.strip().lower()


def _subject(text: str) -> str:
    from jitui.errors import BadInput
    from jitui.identity.id_token import LONGEST_SUBJECT

    if not 0 < len(text) <= LONGEST_SUBJECT or not text.isprintable():
        raise BadInput(f"A subject has 1 to {LONGEST_SUBJECT} visible characters.", path="subject")
    return text


def _refuse_link(done: Linked, name: str, identity: str) -> None:
    from jitui.errors import BadInput
    from jitui.identity.openid_person import Linked

    _known(done is not Linked.NO_SUCH_PERSON, name)
    if done is Linked.TAKEN:
        raise BadInput(f"{visible(identity)} is somebody else's; `jitui people list` shows whose.", path="subject")


def _read_password(file: Path) -> str:
    import sys

    from jitui.errors import BadInput

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The password cannot be read from {file}: {error}.", path="--password-file") from None
    return text.removesuffix("\n")


def _session_id(text: str) -> UUID:
    from uuid import UUID

    from jitui.errors import BadInput

    try:
        return UUID(text)
    except ValueError:
        raise BadInput(f"{text!r} is not a session's id (a UUID).", path="session") from None


def _show_link(link: OneTimeLink, settings: Settings, as_json: bool) -> None:
    address = settings.console_url + link.path
    if as_json:
        print_json({"name": link.name, "link": address, "expires_at": link.expires_at})
        return
    echo(address)
    say(f"It works once, until {_at(link.expires_at)}. Hand it to {link.name} alone.")


def _tell(account: Account, as_json: bool) -> None:
    if as_json:
        print_json(account)
    else:
        _show(account)


def _show(account: Account) -> None:
    person = account.person
    whose = f"{person.role} {person.subject_id}" if person.subject_id else person.role.value
    told = [f"signed in {_at(account.last_signed_in_at)}" if account.last_signed_in_at else "never signed in"]
    told += ["second factor"] if account.second_factor else []
    told += [f"single sign-on as {visible(account.openid_subject)}"] if account.openid_subject else []
    told += [f"single sign-on by {visible(account.email)}"] if account.email and not account.openid_subject else []
    told += ["role from the issuer"] if account.role_from_issuer else []
    if not account.password_set and not account.openid_subject:
        told.append("a sample person" if person.sample else "no password yet")
    told += [f"disabled {_at(account.disabled_at)}"] if account.disabled_at else []
    named = f" ({visible(person.display_name)})" if person.display_name != person.name else ""
    echo(f"{person.name}{named}: {whose}, {', '.join(told)}")


def _show_roles(as_json: bool) -> None:
    from jitui.identity.access import ROLE_MEANINGS

    if as_json:
        print_json({"roles": [{"role": role, "meaning": meaning} for role, meaning in ROLE_MEANINGS.items()]})
        return
    for role, meaning in ROLE_MEANINGS.items():
        echo(f"{role.value:9} {meaning}")


def _show_sessions(name: str, found: Sequence[Session], ended: int | None) -> None:
    if ended is not None:
        echo(f"{ended} sessions of {name} ended." if ended != 1 else f"1 session of {name} ended.")
    for one in found:
        where = visible(one.agent) or "a browser that does not say its name"
        echo(f"{one.session_id}  {one.address}  from {_at(one.started_at)} until {_at(one.expires_at)}  {where}")
    if not found and ended is None:
        echo(f"{name} is signed in nowhere.")


def _at(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
