"""The `jitui` command: a table of commands, each imported when it is called, and the handling of their errors."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, cast

import typer
from typer.core import TyperCommand, TyperGroup

from jitui.entrypoints.cli.exits import BROKEN_PIPE, FAILED, INTERRUPTED, TERMINATED, code_of
from jitui.entrypoints.cli.output import any_terminal, echo, say

HELP = """The after-sales service of a marketplace: instant refund before shipment.

Settings are environment variables (docs/reference/settings.md). Results are written to standard output,
everything else to standard error. Exit codes: 0 done, 1 something did not hold, 2 the input or a setting cannot be
used, 3 a part we depend on is not there."""


LONGEST_HELP = 1_000
"""Longer than any first sentence."""


class _ClosedPipe(BaseException):
    """The reader of our output has closed the pipe."""


class SpeaksTo(StrEnum):
    """What a command needs: a service, wherever it is; this machine's installation; or neither."""

    SERVICE = "service"
    INSTALLATION = "installation"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Slot:
    """A command that is imported when it is called: a function, or a Typer with commands of its own."""

    target: str
    help: str
    speaks_to: SpeaksTo = SpeaksTo.SERVICE


COMMANDS = {
    "demo": Slot("demo:demo", "A sample marketplace, running on this machine.", SpeaksTo.INSTALLATION),
    "serve": Slot("serve:serve", "Serve the HTTP API and the console.", SpeaksTo.INSTALLATION),
    "worker": Slot("worker:worker", "Pay approved refunds, close tickets at deadline.", SpeaksTo.INSTALLATION),
    "migrate": Slot("migrate:migrate", "Bring the database to this version.", SpeaksTo.INSTALLATION),
    "upgrade-database": Slot(
        "upgrade_database:upgrade_database", "The embedded server's data to a new PostgreSQL.", SpeaksTo.INSTALLATION
    ),
    "import": Slot("importing:importing", "Load orders, payments, shipments, buyers, history."),
    "policy": Slot("policy:policy", "Check, test, compare and publish policies."),
    "tickets": Slot("tickets:tickets", "List, read and review tickets; decide arbitrations."),
    "explain": Slot("explain:explain", "Why a ticket was, or was not, refunded at once."),
    "ledger": Slot("ledger:ledger", "An order's story in accounts."),
    "reconcile": Slot("reconcile:reconcile", "A provider's statement against the ledger."),
    "refunds": Slot("refunds:refunds", "Find refunds that failed, and mend them."),
    "shipments": Slot("shipments:shipments", "Shipping risks, tracking numbers, stop-ships."),
    "tasks": Slot("tasks:tasks", "Differences that a person must look at."),
    "restore": Slot("restore:restore", "Check a restored backup, then pay again."),
    "pause": Slot("pause:pause", "Stop instant approvals, everywhere or for a place."),
    "restrict": Slot("buyers:restrict", "Withdraw the service from a buyer."),
    "appeals": Slot("appeals:appeals", "What buyers say against restrictions; answers."),
    "select": Slot("buyers:select", "Put a buyer on the allow or the deny list."),
    "buyers": Slot("personal_data:buyers", "A buyer's stored data, erasure, linked accounts."),
    "benefit": Slot("benefit:benefit", "What the service did for shops: minutes saved, times."),
    "caps": Slot("caps:caps", "How much of the caps is used, and the alerts that stand."),
    "coverage": Slot("coverage:coverage", "Show and set what the service covers."),
    "complaints": Slot("complaints:complaints", "Merchants' complaints about coverage: list, answer."),
    "incidents": Slot("incidents:incidents", "Goods that left although they were refunded."),
    "finance": Slot("finance:finance", "Journal, shops' statements, closed periods."),
    "keys": Slot("keys:keys", "Issue, list, roll and revoke API keys."),
    "people": Slot("people:people", "Who may sign in to the console."),
    "audit": Slot("audit:audit", "Who did what; and whether the log is whole."),
    "secrets": Slot("secrets:secrets", "The keys that encrypt stored secrets."),
    "webhooks": Slot("webhooks:webhooks", "Addresses that get events as they happen."),
    "notices": Slot("notices:notices", "Messages to buyers, shops and operators: what waits."),
    "platform": Slot("platform:platform", "Orders and refunds of a shop's own system.", SpeaksTo.INSTALLATION),
    "mcp": Slot("agents:mcp", "Tools for a software agent."),
    "replay": Slot("replay:replay", "Drive real invoices through the service.", SpeaksTo.INSTALLATION),
    "history": Slot("history:history", "Bring real sets of orders to a back-test.", SpeaksTo.NOTHING),
    "backtest": Slot("backtest:backtest", "What a policy would have done to a history.", SpeaksTo.NOTHING),
    "tune": Slot("tune:tune", "Which values of a policy's parameters would do better.", SpeaksTo.NOTHING),
    "experiment": Slot("experiment:experiment", "What the service changes, measured.", SpeaksTo.NOTHING),
    "simulate": Slot("simulate:simulate", "Write a made-up history of any size.", SpeaksTo.NOTHING),
    "simulate-faults": Slot("simulate_faults:simulate_faults", "The service in worlds of faults.", SpeaksTo.NOTHING),
    "bench": Slot("bench:bench", "Measure against floors and peers.", SpeaksTo.NOTHING),
    "provider-simulator": Slot("simulator:provider_simulator", "A payment provider to test with.", SpeaksTo.NOTHING),
    "doctor": Slot("doctor:doctor", "Is everything in place?", SpeaksTo.INSTALLATION),
}


class WholeHelpGroup(TyperGroup):
    """Lists its commands with their whole first sentence, on several lines where one is too short."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table of commands; Typer itself would cut each text at the width of the terminal."""
        shown = [(name, self.commands[name]) for name in self.list_commands(ctx) if not self.commands[name].hidden]
        if shown:
            with formatter.section("Commands"):
                formatter.write_dl([(name, command.get_short_help_str(LONGEST_HELP)) for name, command in shown])


class LazyGroup(WholeHelpGroup):
    """Lists every command with one line of help; imports only the command that is called."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[str | None, TyperCommand | None, list[str]]:  # type: ignore[override]
        if args and args[0] in COMMANDS:
            _check_where(args[0], ctx)
            self.commands[args[0]] = load(args[0])
        return cast("tuple[str | None, TyperCommand | None, list[str]]", super().resolve_command(ctx, args))

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Read the command line; --help and --version print here already."""
        with _closed_pipe_told():
            return super().make_context(*args, **more)

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        with _closed_pipe_told():
            done: object = super().invoke(ctx)
        return done


@contextmanager
def _closed_pipe_told() -> Iterator[None]:
    """Typer would end with exit code 1 for a reader that closed the pipe, so it must not see that."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError as error:
        raise _ClosedPipe from error


def _check_where(name: str, ctx: typer.Context) -> None:
    """Note which service is named; refuse one elsewhere for a command that cannot speak to it."""
    from jitui.entrypoints.cli.remote import RemoteOptions, refuse_remote, set_options
    from jitui.errors import BadInput, NotConfigured

    if ctx.resilient_parsing:
        return
    given = ctx.params
    set_options(RemoteOptions(given["remote"], given["api_key_file"], given["allow_http"]))
    speaks_to = COMMANDS[name].speaks_to
    if speaks_to is SpeaksTo.INSTALLATION and "--help" not in ctx.args:
        with suppress(NotConfigured):  # the command itself tells what is wrong with a setting
            refuse_remote(f"jitui {name}")
    elif speaks_to is SpeaksTo.NOTHING and given["remote"] is not None:
        raise BadInput(f"jitui {name} speaks to no service; leave --remote out.", path="--remote")


def load(name: str) -> TyperCommand | TyperGroup:
    """The real command with this name."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    target: object = getattr(import_module(f"jitui.entrypoints.cli.{module}"), attribute)
    if isinstance(target, typer.Typer):
        group = target
    else:
        group = new_typer()
        group.command(name)(cast("Callable[..., object]", target))
    command = cast("TyperCommand | TyperGroup", typer.main.get_command(group))
    command.name = name
    return command


def new_typer(help_text: str = "") -> typer.Typer:
    """A Typer with our settings: plain help (Rich takes half a second to import), no completion options."""
    return typer.Typer(
        help=help_text, cls=WholeHelpGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None
    )


def _root() -> TyperGroup:
    app = typer.Typer(cls=LazyGroup, rich_markup_mode=None)
    app.callback(no_args_is_help=True, help=HELP)(_options)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for name, slot in COMMANDS.items():
        group.commands[name] = TyperCommand(name, help=slot.help, rich_markup_mode=None)
    return group


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        echo(f"jitui {version('jitui')}")
        raise typer.Exit


def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
    remote: Annotated[
        str | None, typer.Option(metavar="URL", help="Speak to this service over HTTP.", show_default=False)
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The API key for it.", show_default=False)
    ] = None,
    allow_http: Annotated[bool, typer.Option("--allow-http", help="Send the key without TLS too.")] = False,
) -> None:
    """`main` has read --debug already, and `LazyGroup` the options of a service elsewhere."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code; a JituiError is printed as one sentence."""
    words = list(sys.argv[1:] if args is None else args)
    any_terminal()
    terminated = _Terminated()
    signal.signal(signal.SIGTERM, terminated)
    try:
        sys.exit(exit_code_of(lambda: _run(words), terminated, debug="--debug" in words[:1]))
    except (_ClosedPipe, BrokenPipeError):
        _leave_closed_pipe()


def _run(words: list[str]) -> None:
    from jitui.entrypoints.cli.remote import taken_from

    _refuse_what_is_no_text(words)
    of_remote, others = taken_from(words)
    _root().main([*of_remote, *others], prog_name="jitui")


@dataclass(slots=True)
class _Terminated:
    """SIGTERM unwinds like an error, so that every `with` stops what it started; and it is known that it came."""

    came: bool = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        self.came = True
        raise SystemExit(TERMINATED)


def exit_code_of(run: Callable[[], None], terminated: _Terminated | None = None, *, debug: bool = False) -> int:
    """Run it; an error is told and becomes an exit code."""
    from jitui.errors import JituiError

    try:
        run()
        return 0
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except JituiError as error:
        _tell(error, str(error), debug=debug)
        return code_of(error)
    except Exception as error:
        if _is_a_signal_in_duckdb(error):
            return TERMINATED if terminated is not None and terminated.came else INTERRUPTED
        _tell(error, f"{type(error).__name__}: {error}", debug=debug)
        if not debug:
            say("This should not happen; jitui --debug … shows where it came from.")
        return FAILED


def _is_a_signal_in_duckdb(error: Exception) -> bool:
    """In the middle of a query DuckDB ends it at a signal, and what the signal's handler had raised is lost."""
    return type(error) is RuntimeError and str(error) == "Query interrupted"


def _refuse_what_is_no_text(words: list[str]) -> None:
    """Refuse bytes that are not text in the terminal's encoding: they arrive as surrogates, which cannot be stored."""
    from jitui.errors import BadInput

    for word in words:
        if any("\ud800" <= sign <= "\udfff" for sign in word):
            raise BadInput(f"{word!r} is no text: it holds bytes that are not {sys.getfilesystemencoding().upper()}.")


def _tell(error: Exception, sentence: str, *, debug: bool) -> None:
    """Print an error's sentence, or with --debug its trace; never a secret or a local variable."""
    from jitui.logs import isolated_trace, without_secrets

    say(isolated_trace(error) if debug else without_secrets(sentence))


def _leave_closed_pipe() -> NoReturn:
    """Exit without writing anything more, because the reader of our output has closed the pipe."""
    import os

    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    sys.exit(BROKEN_PIPE)
