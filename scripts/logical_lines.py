"""How large the code is: its statements, without docstrings, and what is longer than the house rules allow.

.venv/bin/python scripts/logical_lines.py [FOLDER …]
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FILE, LONGEST_FUNCTION = 450, 50


def main() -> None:
    """Statements by package, their sum, and files and functions that are too long."""
    folders = [Path(name) for name in sys.argv[1:]] or [ROOT / "src" / "jitui"]
    for folder in folders:
        sizes: Counter[str] = Counter()
        for path in sorted(folder.rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            tree = ast.parse(text)
            place = path.relative_to(folder)
            sizes[place.parts[0]] += sum(1 for _ in _statements(tree))
            for found in _too_long(text, tree):
                print(f"{place}{found}")
        for name, size in sizes.most_common():
            print(f"{size:7,}  {name}")
        print(f"{sizes.total():7,}  statements in {folder.name}")


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        text_alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and not text_alone:
            yield node


def _too_long(text: str, tree: ast.Module) -> Iterator[str]:
    lines = text.count("\n")
    if lines > LONGEST_FILE:
        yield f": {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f":{node.lineno} {node.name}: {length} lines"


if __name__ == "__main__":
    main()
