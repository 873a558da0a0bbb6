"""The texts that come with Jitui."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from jitui.policy import Policy


def shipped_policy(name: str) -> Policy:
    """The policy in this file of the package, or of the checkout."""
    return Policy.from_text(shipped_text(name), name)


def shipped_text(name: str) -> str:
    """The file as it is written."""
    in_package = resources.files("jitui") / "policies" / name
    if in_package.is_file():
        return in_package.read_text(encoding="utf-8")
    return (Path(__file__).parents[4] / "policies" / name).read_text(encoding="utf-8")
