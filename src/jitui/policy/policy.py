"""`Policy`: a policy that is loaded from a text or a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jitui.policy.loading.loader import load, load_bytes
from jitui.policy.model import LoadedPolicy


@dataclass(frozen=True, eq=False, repr=False)
class Policy(LoadedPolicy):
    """One version of a policy, checked and compiled. Copies and pickles are made from its text."""

    @classmethod
    def from_file(cls, path: str | Path) -> Policy:
        """The policy in a UTF-8 file; raises PolicyRefused with every problem, OSError when the file cannot be read."""
        return load_bytes(cls, Path(path).read_bytes(), str(path))

    @classmethod
    def from_text(cls, text: str, name: str = "policy.yaml") -> Policy:
        """The policy in a text; `name` is the file name for messages. Raises PolicyRefused with every problem."""
        return load(cls, text, name)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Policy.from_text, (self.text, self.name)
