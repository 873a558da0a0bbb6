"""Sentences that are shown to people, with the values of parameters and lists: `under {limit_minor|money}`.

They are rendered when the policy is loaded, so that whatever shows or stores a sentence has finished text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jitui.money import localised_amount
from jitui.policy.loading.field_readers import Notes, bilingual
from jitui.policy.loading.parameters import Parameters
from jitui.policy.loading.yaml_document import Mapped, Node, Scalar
from jitui.policy.problems import did_you_mean

if TYPE_CHECKING:
    from babel import Locale

FORMATS = ("money", "number")
_LOCALES = {"zh": "zh_CN", "en": "en"}
_BETWEEN_WORDS = {"zh": "、", "en": ", "}
_BRACES = re.compile(r"\{\{|\}\}|\{(?P<inside>[^{}]*)\}|[{}]")
_REFERENCE = re.compile(r"\s*(?P<name>[^|\s]*)\s*(?:\|\s*(?P<format>.*?)\s*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """`{name|format}` in a sentence, from `at` to `end`; `format` is None for `{name}`, the digits alone."""

    name: str
    format: str | None
    at: int
    end: int


@dataclass(frozen=True, slots=True)
class Brace:
    """One brace that is shown (`{{` or `}}`), or one that stands alone (`{` or `}`), which is a fault."""

    written: str
    at: int


def read_sentence(text: str) -> Iterator[str | Reference | Brace]:
    """The parts of a sentence, from left to right: text, references to parameters, and braces."""
    done = 0
    for found in _BRACES.finditer(text):
        if found.start() > done:
            yield text[done : found.start()]
        done = found.end()
        if found["inside"] is None:
            yield Brace(found[0], found.start())
        else:
            inside = _REFERENCE.fullmatch(found["inside"])
            name, form = (inside["name"], inside["format"]) if inside else (found["inside"].strip(), None)
            yield Reference(name, form, found.start(), found.end())
    if done < len(text):
        yield text[done:]


SentenceReader = Callable[[Notes, Node, str], dict[str, str] | None]


def sentence_reader(parameters: Parameters, currency: str | None) -> SentenceReader:
    """A reader of sentences in every language; the values of parameters are written as the language writes them."""

    def reader(notes: Notes, node: Node, what: str) -> dict[str, str] | None:
        texts = bilingual(notes, node, what)
        if not parameters.given or not isinstance(node, Mapped):
            return texts
        before = len(notes.problems)
        rendered = {
            key.value: _rendered(notes, leaf, key.value, parameters, currency).strip()
            for key, leaf in node.entries
            if isinstance(leaf, Scalar) and key.value in _LOCALES
        }
        return rendered if texts is not None and len(notes.problems) == before else None

    return reader


def _rendered(notes: Notes, leaf: Scalar, language: str, parameters: Parameters, currency: str | None) -> str:
    shown = []
    for part in read_sentence(leaf.value):
        match part:
            case str():
                shown.append(part)
            case Brace(written, at):
                if len(written) == 1:
                    message = f"this {written} stands alone: a parameter is {{name}}, and {written * 2} shows {written}"
                    notes.add(leaf.place_of(at), message)
                shown.append(written[0])
            case Reference():
                fault = _fault(part, parameters)
                if fault:
                    notes.add(leaf.place_of(part.at), fault)
                elif part.name in parameters.lists:
                    shown.append(_BETWEEN_WORDS[language].join(map(str, parameters.lists[part.name])))
                else:
                    shown.append(_value(parameters.values[part.name], part.format, language, currency))
    return "".join(shown)


def _fault(reference: Reference, parameters: Parameters) -> str:
    name, form = reference.name, reference.format
    if name in parameters.lists:
        return f"{name} is a list, which is shown by {{{name}}} alone" if form is not None else ""
    if name not in parameters.values:
        hint = did_you_mean(name, [*parameters.values, *parameters.lists])
        return f"there is no parameter {name or 'without a name'}{hint}; {{{{ and }}}} show braces"
    if form is not None and form not in FORMATS:
        hint = did_you_mean(form, FORMATS) or f": {name} is shown by {{{name}}}, {{{name}|number}} or {{{name}|money}}"
        return f"there is no format {form or 'without a name'}{hint}"
    return ""


def _value(value: int, form: str | None, language: str, currency: str | None) -> str:
    if form is None or (form == "money" and currency is None):
        return str(value)
    if form == "money" and currency is not None:
        return localised_amount(value, currency, _locale(_LOCALES[language]))
    from babel.numbers import format_decimal

    return format_decimal(value, locale=_locale(_LOCALES[language]))


@cache
def _locale(name: str) -> Locale:
    # slow to import, and needed only when a policy has parameters in its sentences
    from babel import Locale

    return Locale.parse(name)
