"""The problems of a policy file, with their positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from jitui.errors import BadInput


@dataclass(frozen=True, slots=True, order=True)
class PolicyProblem:
    """One problem of a policy file; `line` and `column` count from 1, `column` in characters."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class PolicyRefused(BadInput):
    """The policy cannot be loaded; `problems` has everything that was found, in the order of the file."""

    def __init__(self, problems: tuple[PolicyProblem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems), path=problems[0].file)
        self.problems = problems

    def __reduce__(self) -> tuple[type[PolicyRefused], tuple[tuple[PolicyProblem, ...]]]:
        return type(self), (self.problems,)


class CasesRefused(PolicyRefused):
    """A cases file cannot be read, or does not fit its policy."""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`; did you mean X?` when a known word is close to `word`; otherwise empty."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
