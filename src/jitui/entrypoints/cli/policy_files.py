"""Reads the policy files that commands are given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jitui.policy import Policy


def load_policy(file: Path) -> Policy:
    """The policy in a file; raises PolicyRefused with every problem, BadInput when it cannot be read."""
    from jitui.policy import Policy
    from jitui.policy.loading.loader import load_bytes

    return load_bytes(Policy, read_bytes(file), str(file))


def read_bytes(file: Path) -> bytes:
    """The content of a file; raises BadInput when it cannot be read."""
    from jitui.errors import BadInput

    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}.", path=str(file)) from None


def read_text(file: Path) -> str:
    """The text of a UTF-8 file; raises BadInput when it cannot be read."""
    from jitui.errors import BadInput

    try:
        return read_bytes(file).decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{file} is not UTF-8.", path=str(file)) from None
