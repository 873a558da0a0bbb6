"""How large the code is: its statements, without docstrings.

.venv/bin/python scripts/logical_lines.py [FOLDER …]
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Statements by package, and their sum."""
    folders = [Path(name) for name in sys.argv[1:]] or [ROOT / "src" / "jitui"]
    for folder in folders:
        sizes: Counter[str] = Counter()
        for path in sorted(folder.rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            sizes[path.relative_to(folder).parts[0]] += sum(1 for _ in _statements(tree))
        for name, size in sizes.most_common():
            print(f"{size:7,}  {name}")
        print(f"{sizes.total():7,}  statements in {folder.name}")


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        text_alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and not text_alone:
            yield node


if __name__ == "__main__":
    main()
