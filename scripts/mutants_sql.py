"""Small wrong changes in SQL text: one clause of a statement left out, or a bound moved, at a time.

Works on the string tokens of Python files, since the statements are written there; reads no SQL beyond what the rules
below need.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

_IS_SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|AND|VALUES|ON CONFLICT|FOR UPDATE)\b")
_HEAD = re.compile(r"""(?P<prefix>[rbfuRBFU]*)(?P<quote>\"{3}|'{3}|"|')""")
# Where a condition ends that began in the same bracket.
_END = re.compile(
    r"\b(AND|OR|WHERE|ORDER BY|GROUP BY|LIMIT|FOR UPDATE|RETURNING|UNION|ON CONFLICT|SET|JOIN|LEFT JOIN|CROSS JOIN|FROM"
    r"|THEN|ELSE|END|WHEN)\b"
)
_CONDITION = re.compile(r"\b(?P<word>AND|OR|WHERE|ON)\b(?! CONFLICT| DROP| COMMIT)")
_WHOLE = (
    ("without waiting or skipping", re.compile(r"FOR UPDATE SKIP LOCKED"), ""),
    ("waits instead of skipping", re.compile(r" SKIP LOCKED"), ""),
    ("without the lock", re.compile(r"FOR UPDATE(?! SKIP)"), ""),
    ("without its order", re.compile(r"ORDER BY (?![^\n]*\bOVER\b)[^()\n]*?(?= LIMIT|\)|$|\n)"), ""),
    ("without its limit", re.compile(r"LIMIT (\d+|%\(\w+\)s(::\w+)?)"), ""),
    ("counts repeats", re.compile(r"SELECT DISTINCT(?! ON)"), "SELECT"),
    ("conflicts are errors", re.compile(r"ON CONFLICT( \([\w, ]+\))? DO NOTHING"), ""),
    ("conflicts change nothing", re.compile(r"DO UPDATE\s+SET .*?(?=RETURNING|\"\"\"|$)", re.DOTALL), "DO NOTHING "),
    ("the bound itself no longer counts", re.compile(r"(?<![<>=!])(<=|>=)"), None),
    ("the bound itself counts too", re.compile(r"(?<![<>=!-])(<|>)(?![<>=])"), None),
    ("the larger instead of the smaller", re.compile(r"\bleast\("), "greatest("),
    ("the smaller instead of the larger", re.compile(r"\bgreatest\("), "least("),
    ("without its default", re.compile(r"\bNOT EXISTS\b"), "EXISTS"),
)
_MOVED = {"<=": "<", ">=": ">", "<": "<=", ">": ">="}


@dataclass(frozen=True, slots=True)
class SqlChange:
    """Replace `source[start:end]` by `text`; `around` is the statement's text near it, in pieces without braces."""

    start: int
    end: int
    text: str
    what: str
    around: tuple[str, ...]


def sql_changes(source: str) -> Iterator[SqlChange]:
    """Every change of every SQL text in a file, in the order of the file."""
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    for token in _values(source):
        if not _IS_SQL.search(token.string):
            continue
        offset = lines[token.start[0] - 1] + token.start[1]
        head = _HEAD.match(token.string)
        assert head is not None
        begin, end = head.end(), len(token.string) - len(head["quote"])
        text = token.string[begin:end]
        around = _static_pieces(text, formatted="f" in head["prefix"].lower())
        changes = sorted({*_left_out(text), *_replaced(text)})
        for start, stop, new, what in changes:
            yield SqlChange(offset + begin + start, offset + begin + stop, new, what, around)


def _values(source: str) -> Iterator[tokenize.TokenInfo]:
    """The strings that are values: one that begins a statement is a docstring."""
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.STRING and not begins:
            yield token
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            begins = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)


def _left_out(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Each condition of an AND, OR, WHERE or ON left out."""
    between = [found.end() for found in re.finditer(r"\bBETWEEN\b", text)]
    for found in _CONDITION.finditer(text):
        stop = _end_of_condition(text, found.end())
        condition = " ".join(text[found.end() : stop].split())
        if not condition or (found["word"] == "AND" and _closes_between(text, found.start(), between)):
            continue
        if found["word"] in ("AND", "OR"):
            yield found.start(), stop, "", f"without {found['word']} {condition}"
        else:
            yield found.start(), stop, f"{found['word']} true ", f"without {found['word']} {condition}"


def _closes_between(text: str, at: int, between: list[int]) -> bool:
    opened = max((start for start in between if start <= at), default=None)
    return opened is not None and not re.search(r"\bAND\b", text[opened:at])


def _end_of_condition(text: str, start: int) -> int:
    depth = 0
    at = start
    inside_between = False
    while at < len(text):
        letter = text[at]
        if letter == "(":
            depth += 1
        elif letter == ")":
            if depth == 0:
                return at
            depth -= 1
        elif depth == 0 and letter in ";,":
            return at
        elif depth == 0 and text.startswith("BETWEEN", at):
            inside_between = True
        elif depth == 0 and (end := _END.match(text, at)) and not text[at - 1].isalnum():
            if not (inside_between and end[1] == "AND"):
                return at
            inside_between = False
            at += 2
        at += 1
    return at


def _replaced(text: str) -> Iterator[tuple[int, int, str, str]]:
    for what, pattern, new in _WHOLE:
        for found in pattern.finditer(text):
            start, stop = (found.start(1), found.end(1)) if new is None else found.span()
            yield start, stop, _MOVED[found[1]] if new is None else new, f"{what}: {' '.join(found[0].split())}"


def _static_pieces(text: str, *, formatted: bool) -> tuple[str, ...]:
    pieces = re.split(r"\{[^{}]*\}", text) if formatted else [text]
    return tuple(normal for piece in pieces if len(normal := normalised(piece)) >= 12)


def normalised(text: str) -> str:
    """A statement as a pattern to compare: placeholders of any style alike, spaces single."""
    text = re.sub(r"%\(\w+\)s|\$\d+|%s", "?", text).replace("%%", "%")
    return " ".join(text.replace('\\"', '"').split())
