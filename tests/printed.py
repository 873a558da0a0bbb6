"""Runs the commands on a page and compares their output with the page.

A block of shell commands (`sh`) is followed by the block of what it prints (without a language), or prints nothing.
In an output `…` stands for any text of its line, and a line that is only `…` for any number of lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLOCK = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
DONE = "--- done: "


@dataclass(frozen=True)
class Step:
    """A block of commands, and what they print."""

    commands: str
    printed: str


def steps(page: str) -> list[Step]:
    """The steps of a page, in order. A block in another language than the shell's is no part of one."""
    found: list[Step] = []
    for block in _BLOCK.finditer(page):
        if block["language"] == "sh":
            found.append(Step(block["text"], ""))
        elif not block["language"] and found:
            assert not found[-1].printed, f"two outputs behind one another: {block['text']}"
            found[-1] = Step(found[-1].commands, block["text"])
    return found


def script(of: list[Step]) -> str:
    """All steps for one shell, which stops at the first command that fails and says after each step that it is done."""
    lines = [f"{step.commands}printf '\\n%s\\n' '{DONE}{n}'\n" for n, step in enumerate(of)]
    return "set -eu -o pipefail\n" + "".join(lines)


def outputs(said: str) -> list[str]:
    """What each step printed, from what the shell of `script` printed."""
    return re.split(rf"\n{DONE}\d+\n", said)[:-1]


def fits(printed: str, came: str) -> bool:
    """Whether an output is as printed; blanks at the ends of lines do not count."""
    pattern = ""
    for line in printed.splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part) for part in line.rstrip().split("…")) + "\n"
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in came.splitlines())) is not None
