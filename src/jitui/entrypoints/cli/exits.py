"""The exit codes of the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jitui.errors import JituiError

FAILED = 1
"""The command ran, and what it checks is not true."""
BAD_INPUT = 2
UNAVAILABLE = 3
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143


def code_of(error: JituiError) -> int:
    """The exit code for an error."""
    from jitui.errors import BadInput, NotConfigured, Unavailable

    if isinstance(error, BadInput | NotConfigured):
        return BAD_INPUT
    return UNAVAILABLE if isinstance(error, Unavailable) else FAILED
