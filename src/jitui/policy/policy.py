"""`Policy`: a policy that is loaded from a text or a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jitui.policy.loading.loader import load, load_bytes
from jitui.policy.loading.parameters import with_values
from jitui.policy.loading.yaml_document import parse
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

    def with_parameters(self, values: Mapping[str, int]) -> Policy:
        """This policy with other values for some of its parameters: the same text with these numbers in it, loaded.

        Its `text` and `sha256` are those of the changed text. Its version is still this one's, so it needs another
        version before it can be published beside this one. Raises PolicyRefused for a name that is no parameter, and
        for a value that does not fit where it is used.
        """
        root, _ = parse(self.text, self.name)
        return load(type(self), with_values(self.text, root, self.name, values), self.name)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Policy.from_text, (self.text, self.name)
