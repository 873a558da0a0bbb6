"""Rewrites CEL's compile errors for authors of policies: what is wrong, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jitui.policy.facts import LINE_FIELDS
from jitui.policy.language.syntax import NO_CLOCK, STRING_OR_COMMENT, SUPPORTED, ExpressionFault, Names, start_of_name
from jitui.policy.problems import did_you_mean

_CEL_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_TOO_DEEP = "too long or too deep for CEL: split it into definitions"
_WORDS = {"int": "a whole number", "bool": "true or false", "string": "text", "double": "a decimal number",
          "list of int": "a list of whole numbers", "list of string": "a list of text"}  # fmt: skip
_WHOLE = "amounts are whole minor units: write 30000 for 300.00"
_NO_NULL = "no fact is null: one that is not known makes the condition unknown by itself"
_INSTEAD = {
    "and": "write && for and",
    "or": "write || for or",
    "not": "write ! for not, as in !(order.hold in ['presale'])",
    "is": "write == for is",
    "equals": "write == for equals",
    "between": "write two comparisons, as in 1 <= a && a < 5",
    "like": "write startsWith, endsWith or contains for like",
    "then": "write a ? b : c for if, then and else",
    "&": "write && for and",
    "|": "write || for or",
    "=": "write == for equal",
    "===": "write == for equal",
    "!==": "write != for unequal",
    "<>": "write != for unequal",
    "=~": "write startsWith, endsWith or contains for a pattern",
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
    "×": "write * for times",
    "÷": "write / for divided by",
    "“": "write ' or \" around text",
    "”": "write ' or \" around text",
    "‘": "write ' or \" around text",
    "’": "write ' or \" around text",
}
_EXTREMES = {"math.@max": "math.greatest", "math.@min": "math.least"}
_LIBRARIES = ("math", "strings")
_KNOWN_CALLS = (
    "size",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "lowerAscii",
    "all",
    "exists",
    "exists_one",
    "filter",
    "map",
    "sum",
)
_OTHER_NAMES = {
    "any": "exists", "some": "exists", "every": "all", "forall": "all", "length": "size", "len": "size",
    "count": "size", "includes": "contains", "has": "contains", "total": "sum", "sumOf": "sum", "add": "sum",
    "max": "math.greatest", "greatest": "math.greatest", "maximum": "math.greatest", "min": "math.least",
    "least": "math.least", "minimum": "math.least", "lower": "lowerAscii", "toLowerCase": "lowerAscii",
    "lowercase": "lowerAscii", "toLower": "lowerAscii", "like": "matches", "regex": "matches", "match": "matches",
    "where": "filter", "existsOne": "exists_one", "one": "exists_one", "select": "map", "reduce": "sum", "fold": "sum",
}  # fmt: skip
_OWN_CALLS = {
    "lowerAscii": "lowerAscii() stands after a text, as in order.currency.lowerAscii() == 'cny'",
    "sum": "sum() adds up a whole number of each line, as in order.lines.map(l, l.paid_minor).sum()",
}
"""Functions that the compiler knows, with how each is called."""
_CLOCKS = re.compile(r"now|today|date|datetime|time|timestamp|duration|days|hours|.*(_at|_date|_time)", re.IGNORECASE)
_NULLS = frozenset({"null", "none", "nil", "undefined"})
_MACRO_BEFORE = re.compile(r"\.\s*(all|exists|exists_one|filter)\s*$")
_TOKEN = re.compile(
    STRING_OR_COMMENT + r"|(?P<date>(?<![\w.])\d{4}-\d{1,2}-\d{1,2}(?!\d))|(?P<word>[A-Za-z_]\w*)|(?P<other>[^\s\w])",
    re.DOTALL,
)


def written_wrongly(text: str) -> tuple[ExpressionFault, ...]:
    """Faults in texts that CEL accepts with another meaning: `has(a.b)`, and a date without quotes.

    CEL's checker turns the field in has() into the fact of that name, so the tree cannot show the difference.
    """
    faults = []
    tokens = list(_tokens(text))
    for place, token in enumerate(tokens):
        following = tokens[place + 1] if place + 1 < len(tokens) else None
        if token.kind == "date":
            faults.append(ExpressionFault(token.at, f"{token.text} is a subtraction here: {NO_CLOCK}"))
        elif token.text == "has" and following and following.text == "(" and not _is_selected(tokens, place):
            message = "has() is not supported: whether a fact or a field of a line has a value is known(…)"
            faults.append(ExpressionFault(following.at, message))
    return tuple(faults)


def compile_faults(message: str, text: str, names: Names) -> tuple[ExpressionFault, ...]:
    """The faults in a compiler's message about a text."""
    found = _CEL_ERROR.findall(message)
    if not found:
        return (ExpressionFault(0, _TOO_DEEP),)
    lines = text.split("\n")
    faults = []
    calls = list(_unknown_calls(text, found, names))
    for line, column, words in found:
        row = max(int(line) - 1, 0)
        at = sum(len(earlier) + 1 for earlier in lines[:row]) + max(int(column) - 1, 0)
        if not any(call.explains(at, words) for call in calls):
            faults.append(_in_our_words(at, words.removesuffix(" [INVALID_ARGUMENT]"), text, names))
    faults += [call.fault for call in calls]
    return tuple(sorted(dict.fromkeys(faults), key=lambda fault: fault.at))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class _UnknownCall:
    """A call of an unknown function, or a wrong call of one of ours.

    CEL's other errors between `first` and `last` are consequences of it.
    """

    name: str
    first: int
    last: int
    hint: str

    def explains(self, at: int, words: str) -> bool:
        """Whether an error of the compiler is a consequence of this call."""
        of_this = "undeclared reference" in words or f"overload for '{self.name}'" in words
        return self.first <= at <= self.last and of_this

    @property
    def fault(self) -> ExpressionFault:
        """What is wrong with the call."""
        if self.name in _OWN_CALLS:
            return ExpressionFault(self.first, _OWN_CALLS[self.name])
        return ExpressionFault(self.first, f"{self.name}() is not supported{self.hint}; {SUPPORTED}")


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        yield _Token(found.lastgroup or "", found[0], found.start())


def _is_selected(tokens: list[_Token], place: int) -> bool:
    return place > 0 and tokens[place - 1].text == "."


def _unknown_calls(text: str, found: list[tuple[str, str, str]], names: Names) -> Iterator[_UnknownCall]:
    """Calls of unknown names: as a method, as a function, or in a library such as math.greatest."""
    unknown = {match[1] for _, _, words in found if (match := re.match(r"undeclared reference to '([^']*)'", words))}
    misused = {
        match[1] for _, _, words in found if (match := re.match(r"found no matching overload for '(\w+)'", words))
    }
    unknown |= misused & set(_OWN_CALLS)
    tokens = list(_tokens(text))
    for place, token in enumerate(tokens[:-1]):
        if token.text not in unknown or token.kind != "word" or tokens[place + 1].text != "(":
            continue
        library = place > 1 and tokens[place - 1].text == "." and tokens[place - 2].text in {*unknown, *_LIBRARIES}
        first = tokens[place - 2].at if library else token.at
        name = text[first : token.at + len(token.text)] if library else token.text
        yield _UnknownCall("".join(name.split()), first, _closing(tokens, place + 1), _hint(token.text))


def _closing(tokens: list[_Token], opening: int) -> int:
    depth = 0
    for token in tokens[opening:]:
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0:
            return token.at
    return tokens[-1].at


def _hint(name: str) -> str:
    if _CLOCKS.fullmatch(name):
        return f": {NO_CLOCK}"
    if name in _OTHER_NAMES:
        return f"; did you mean {_OTHER_NAMES[name]}?"
    if name in _KNOWN_CALLS:
        return ": it stands after a value, as in order.currency.startsWith('C')"
    return did_you_mean(name, _KNOWN_CALLS)


def _in_our_words(at: int, words: str, text: str, names: Names) -> ExpressionFault:
    if match := re.match(r"undeclared reference to '([^']*)'", words):
        return _no_fact(start_of_name(text, at, match[1]), match[1], names)
    if match := re.match(r"undefined field '([^']*)' not found in struct", words):
        return ExpressionFault(at + 1, f"a line has no field {match[1]}{did_you_mean(match[1], list(LINE_FIELDS))}")
    if "no matching overload" in words and (macro := _MACRO_BEFORE.search(text[:at])):
        example = f"order.lines.{macro[1]}(l, l.quantity > 1)"
        return ExpressionFault(at, f"{macro[1]}() asks what is true or false of a line, as in {example}")
    if match := re.match(r"found no matching overload for '([^']*)' applied to '(.*)'", words):
        if extreme := _EXTREMES.get(match[1]):
            return ExpressionFault(at, _whole_numbers(extreme))
        does = match[1].strip("_@").replace("_", " ")
        return ExpressionFault(at, f"{does} does not fit {_types(match[2])}{_for_types(match[2], text)}")
    if match := re.match(r"(math\.(?:greatest|least))\(\) ", words):
        return ExpressionFault(at, _whole_numbers(match[1]))
    if "recursion depth" in words:
        return ExpressionFault(at, _TOO_DEEP)
    if words.startswith("Syntax error: ") and "<EOF>" in words.split(" expecting ")[0]:
        return ExpressionFault(at, "the expression ends too early")
    if words.startswith("Syntax error: "):
        said = words.removeprefix("Syntax error: ").split(" expecting ")[0]
        return ExpressionFault(at, f"this is not CEL: {said}{_instead(text, at)}")
    if words.startswith("reserved identifier: if"):
        return ExpressionFault(at, "if is not supported: write a ? b : c")
    return ExpressionFault(at, f"{words}; {SUPPORTED}")


def _whole_numbers(extreme: str) -> str:
    return f"{extreme}() takes whole numbers, at least one, as in {extreme}(order.paid_minor, 0)"


def _no_fact(at: int, name: str, names: Names) -> ExpressionFault:
    last = name.rsplit(".", 1)[-1]
    if name.startswith("known."):
        return ExpressionFault(at, f"there is no fact {name}: whether a fact is known is known({name[6:]})")
    if name.lower() in ("true", "false"):
        return ExpressionFault(at, f"there is no fact {name}; did you mean {name.lower()}?")
    if name.lower() in _NULLS:
        return ExpressionFault(at, f"there is no fact {name}: {_NO_NULL}")
    if _CLOCKS.fullmatch(last):
        return ExpressionFault(at, f"there is no fact {name}: {NO_CLOCK}")
    known = [*names.facts, *names.definitions, *names.parameters, *names.lists]
    return ExpressionFault(at, f"there is no fact {name}{did_you_mean(name, known)}")


def _types(signature: str) -> str:
    signature = re.sub(r"list\((string|int)\)", r"list of \1", signature)
    parts = re.sub(r"^[^(]*\.\(|[()]", "", signature).split(", ")
    return " and ".join(_WORDS.get(part, "a line" if part == "jitui.Line" else part) for part in parts)


def _for_types(signature: str, text: str) -> str:
    if "double" in signature:
        return f": {_WHOLE}"
    if "null_type" in signature:
        return f": {_NO_NULL}"
    if "Timestamp" in signature or "Duration" in signature or ("string" in signature and _quoted_date(text)):
        return f": {NO_CLOCK}"
    if "int" in signature and "string" in signature and re.search(r"['\"]-?\d+['\"]", text):
        return ": a number stands without quotes"
    return ""


def _quoted_date(text: str) -> bool:
    return re.search(r"['\"]\d{4}-\d{1,2}-\d{1,2}", text) is not None


def _instead(text: str, at: int) -> str:
    """What to write for the sign or word at which the compiler stopped, or for the one before it."""
    before, after = re.split(r"\s+", text[:at])[-1], re.split(r"\s+", text[at:])[0]
    signs = re.search(r"[^\s\w.()'\"\[\],]*$", before), re.match(r"[^\s\w.()'\"\[\],]*", after)
    previous = re.search(r"(\w+)\s*$", text[:at])
    following = re.match(r"\w+", after)
    joined = (signs[0][0] if signs[0] else "") + (signs[1][0] if signs[1] else "")
    words = [found[0].strip() for found in (following, previous) if found]
    for word in (joined, *words):
        if advice := _INSTEAD.get(word.lower()):
            return f": {advice}"
    if re.search(r"\d$", text[:at]) and after and after[0] not in "'\"([":
        return ": a number is digits alone, as in 30000"
    return ""
