"""Text of others on pages: what a reader sees cannot turn or hide what stands beside it.

Whatever a template writes between tags goes through `shown`; what it writes inside a tag, a form's value or an
address, stays as it is, so that it comes back unchanged. No template has to say either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import jinja2
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context

from jitui.text import visible_lines


class Exact(str):
    """Text for the inside of a tag."""

    __slots__ = ()


def exact(value: object) -> object:
    """Leaves a text as it is; escaping for HTML comes after."""
    return Exact(value) if type(value) is str else value


def shown(value: object) -> object:
    """A text as a reader may see it; what is HTML already, a number or a word of ours stays."""
    return visible_lines(value) if type(value) is str else value


class ExactAttributes(Extension):
    """Puts `|exact` on every value that a template writes inside a tag."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        """Follows the template's own text to know where a tag begins and ends."""
        inside = False
        for token in stream:
            if token.type == "data":
                inside = _inside(token.value, inside)
            if inside and token.type == "variable_end":
                yield Token(token.lineno, "rparen", ")")
                yield Token(token.lineno, "pipe", "|")
                yield Token(token.lineno, "name", "exact")
            yield token
            if inside and token.type == "variable_begin":
                yield Token(token.lineno, "lparen", "(")


def _inside(text: str, before: bool) -> bool:
    opened, closed = text.rfind("<"), text.rfind(">")
    return before if opened == closed == -1 else opened > closed


def isolate_values_of_messages(environment: jinja2.Environment) -> None:
    """A message of the catalogues makes HTML of its values itself, before anybody else sees them."""
    for name in ("gettext", "ngettext", "pgettext", "npgettext"):
        environment.globals[name] = _isolating(cast(Callable[..., str], environment.globals[name]))


def _isolating(translate: Callable[..., str]) -> Callable[..., str]:
    @jinja2.pass_context
    def message(context: Context, *texts: Any, **values: object) -> str:
        return translate(context, *texts, **{name: shown(value) for name, value in values.items()})

    return message
