"""Shows text from outside on pages so that it cannot reverse or hide the text beside it.

Every value that a template writes between tags goes through `shown`. A value inside a tag, such as a form's value or an
address, is not changed, so that it is sent back unchanged. Templates need no filters for either.
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
    """A text inside a tag, which is not changed."""

    __slots__ = ()


def exact(value: object) -> object:
    """Mark a text as unchanged; it is escaped for HTML later."""
    return Exact(value) if type(value) is str else value


def shown(value: object) -> object:
    """A text as it is shown to a reader; HTML, numbers and our own words are not changed."""
    return visible_lines(value) if type(value) is str else value


class ExactAttributes(Extension):
    """Adds `|exact` to every value that a template writes inside a tag."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        """Read the template's tokens to find where tags begin and end."""
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
    """Apply `shown` to the values of translated messages, which turn them into HTML themselves."""
    for name in ("gettext", "ngettext", "pgettext", "npgettext"):
        environment.globals[name] = _isolating(cast(Callable[..., str], environment.globals[name]))


def _isolating(translate: Callable[..., str]) -> Callable[..., str]:
    @jinja2.pass_context
    def message(context: Context, *texts: Any, **values: object) -> str:
        return translate(context, *texts, **{name: shown(value) for name, value in values.items()})

    return message
