"""Commands that speak to a running service over HTTP instead of using its database: `jitui --remote URL …`.

The key comes from a file, from the settings or from the terminal, never from the command line, where every process of
the machine could read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from jitui.client import Call, Client, ListCall, Problem
    from jitui.errors import BadInput, JituiError

_Result = TypeVar("_Result")
_Page = TypeVar("_Page")
_Row = TypeVar("_Row")
_Code = TypeVar("_Code", bound=StrEnum)

LARGEST_PAGE = 200
BY_THE_COMMAND_LINE = "command line"
"""What `--by` is when nobody gave it."""


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """What the command line says of the service to speak to; what it leaves out, the settings say."""

    url: str | None = None
    key_file: Path | None = None
    allow_http: bool = False


_options: ContextVar[RemoteOptions | None] = ContextVar("_options", default=None)


def set_options(options: RemoteOptions) -> None:
    """Set what the command line says, before the command runs."""
    _options.set(options)


def _given() -> RemoteOptions:
    return _options.get() or RemoteOptions()


def taken_from(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the options of this module from the words of a command, wherever they stand before a `--`.

    Raises BadInput for one without its value.
    """
    from jitui.errors import BadInput

    end = words.index("--") if "--" in words else len(words)
    ours, others, at = list[str](), list[str](), 0
    while at < end:
        name, equals, _ = words[at].partition("=")
        if name not in ("--remote", "--api-key-file", "--allow-http"):
            others.append(words[at])
            at += 1
            continue
        length = 1 if equals or name == "--allow-http" else 2
        if at + length > end:
            raise BadInput(f"{name} needs a value.", path=name)
        ours += words[at : at + length]
        at += length
    return ours, [*others, *words[end:]]


def remote_url() -> str | None:
    """The address of the service to speak to; None: the database is used."""
    from jitui.settings import read_settings

    return _given().url or read_settings().remote_url


def refuse_remote(what: str) -> None:
    """Raise BadInput when a service is named that this command cannot speak to."""
    from jitui.errors import BadInput

    if remote_url() is not None:
        named = "--remote" if _given().url else "JITUI_REMOTE_URL"
        raise BadInput(
            f"{named} names a service; {what} works with its database alone, not over HTTP.", path="--remote"
        )


@contextmanager
def connected() -> Iterator[Client]:
    """The client of the named service; what the service refuses becomes an error of the command line."""
    from jitui.client import Client, Refused
    from jitui.errors import BadInput

    url, options = remote_url(), _given()
    assert url is not None
    try:
        client = Client(url, _key(options), allow_http=options.allow_http)
    except BadInput as error:
        raise by_option(error, url) from None
    with client:
        try:
            yield client
        except Refused as refused:
            raise as_error(refused.problem) from None


def as_error(problem: Problem) -> JituiError:
    """The error for a problem, so that exit codes mean what they mean without a network."""
    from jitui.errors import BadInput, JituiError, NotConfigured, Unavailable

    more = "".join(f"\n  {fault.path}: {fault.detail}" for fault in problem.errors[1:])
    if problem.status == 401:
        return NotConfigured(f"The service does not take this API key (401, request {problem.request_id}).")
    if problem.status in (429, 502, 503, 504):
        return Unavailable(f"{problem}{more}")
    is_input = problem.status in (400, 403, 404, 405, 413, 415)
    return BadInput(f"{problem}{more}", path=problem.path) if is_input else JituiError(f"{problem}{more}")


def only_by_key(by: str) -> None:
    """Raise BadInput for a name: over HTTP the key says who acts."""
    from jitui.errors import BadInput

    if by not in ("", BY_THE_COMMAND_LINE):
        raise BadInput("Over HTTP the API key says who does this; leave --by out.", path="--by")


def up_to(client: Client, call: ListCall[_Page, _Row], limit: int) -> list[_Row]:
    """The first rows of a list, newest first."""
    from itertools import islice

    return list(islice(client.each(call), limit))


def found_or_none(client: Client, call: Call[_Result]) -> _Result | None:
    """The answer; None where the service has no such thing."""
    from jitui.client import Problem, Refused

    outcome = client.outcome(call)
    if not isinstance(outcome, Problem):
        return outcome.value
    if outcome.kind == "not-found":
        return None
    raise Refused(outcome)


def our_code(kind: type[_Code], code: str) -> _Code:
    """A code of the answer as the core's. Raises JituiError for one that only a newer release knows."""
    try:
        return kind(code)
    except ValueError:
        raise _newer(f"{str(code)!r} for {kind.__name__}") from None


def our_value(kind: Any, answer: object) -> Any:
    """A value of the answer as the core's with the same fields. Raises JituiError as `our_code` does."""
    import msgspec

    try:
        return msgspec.convert(msgspec.to_builtins(answer), kind)
    except msgspec.ValidationError as error:
        raise _newer(f"a {kind.__name__} with this: {error}") from None


def _newer(what: str) -> JituiError:
    from jitui.errors import JituiError

    return JituiError(f"The service answers {what}. This release of jitui does not know it; use the service's.")


def by_option(error: BadInput, url: str) -> BadInput:
    """The client's refusal of an address; where it names its own argument, with the option of the command line."""
    from jitui.errors import BadInput

    if error.path != "allow_http":
        return error
    where = f"The key could be read on the way to {url}"
    return BadInput(f"{where}: use https, or --allow-http in a network that you trust.", path="--remote")


def allows_http() -> bool:
    """Whether the command line lets the key go without TLS."""
    return _given().allow_http


def given_key() -> str:
    """The key or personal token of the command line or the settings, else the terminal is asked.

    Raises NotConfigured.
    """
    return _key(_given())


def _key(options: RemoteOptions) -> str:
    from jitui.entrypoints.cli.output import warn_of_readers
    from jitui.settings import read_secret_file, read_settings, why_no_secret

    if options.key_file is not None:
        key = read_secret_file(options.key_file)
        if not key:
            _refuse_key(f"--api-key-file {options.key_file} {why_no_secret(options.key_file)}.")
        warn_of_readers(options.key_file, "--api-key-file")
        return key
    return read_settings().api_key or _asked()


def _asked() -> str:
    import sys
    from getpass import getpass

    if not sys.stdin.isatty():
        _refuse_key("There is no API key: name its file with --api-key-file or JITUI_API_KEY_FILE.")
    try:
        return getpass("API key: ", stream=sys.stderr).strip()
    except EOFError:
        _refuse_key("There is no API key.")


def _refuse_key(sentence: str) -> NoReturn:
    from jitui.errors import NotConfigured

    raise NotConfigured(sentence)
