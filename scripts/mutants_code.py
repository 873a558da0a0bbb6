"""Small wrong changes in Python code: Cosmic Ray's operators, less those that change nothing that a test could see."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass

_LEFT_OUT = re.compile(
    r"Variable(Replacer|Inserter)|RemoveDecorator|ExceptionReplacer|_(Eq_Is|NotEq_IsNot|Is_Eq|IsNot_NotEq)$"
    # A comparison of a value with True, False, None or a name of an enum has one opposite; orders mean nothing there.
    r"|_Is(Not)?_(Lt|LtE|Gt|GtE)$|Operator_(Eq|NotEq)_(Is|IsNot)$"
    # Of arithmetic, one wrong operator for each right one tells as much as eleven.
    r"|BinaryOperator_(?!Add_Sub|Sub_Add|Mul_Add|Div_Mul|FloorDiv_Mul|Mod_Mul|BitOr_BitAnd|BitAnd_BitOr|BitXor_BitAnd)"
    r"|UnaryOperator_(?!USub_UAdd|Delete_Not|Delete_USub)"
)
"""Operators that are not used: most of them can only fail at once."""

_JOINED = frozenset(f"{string.ascii_letters}{string.digits}_<>=!")
Place = tuple[int, int, int, int]
"""Line and column where a changed piece begins and ends."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator at its n-th place in a file."""

    operator: str
    occurrence: int


@dataclass(frozen=True, slots=True)
class Made:
    """`source[start:end]` becomes `text`."""

    start: int
    end: int
    text: str
    what: str


def code_places(source: str) -> dict[Place, list[Operation]]:
    """Everything that could be changed in a file, by its place."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    silent = list(_says_nothing(ast.parse(source)))
    nodes = list(ast_nodes(get_ast(source)))
    places: dict[Place, list[Operation]] = {}
    for name in sorted(operator_names()):
        if _LEFT_OUT.search(name):
            continue
        operator = get_operator(name)()
        found = (place for node in nodes for place in operator.mutation_positions(node))
        for occurrence, (start, end) in enumerate(found):
            if not any(first <= start < last for first, last in silent):
                places.setdefault((*start, *end), []).append(Operation(name, occurrence))
    return places


def made(source: str, operation: Operation) -> Made | None:
    """The change, or None where it gives the same program, or none at all."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    mutated = mutate_code(source, get_operator(operation.operator)(), operation.occurrence)
    if mutated is None or not _another_program(source, mutated):
        return None
    start, end, text = _difference(source, mutated)
    name = operation.operator.partition("/")[2]
    return Made(start, end, text, f"{name}: {_shown(source[start:end])} -> {_shown(text)}")


def _another_program(before: str, after: str) -> bool:
    try:
        return ast.dump(ast.parse(before)) != ast.dump(ast.parse(after))
    except SyntaxError:
        return False


def _difference(before: str, after: str) -> tuple[int, int, str]:
    """The replaced piece, widened to whole words and signs so that it can be read."""
    shorter = min(len(before), len(after))
    start = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    back = 0
    while back < shorter - start and before[-1 - back] == after[-1 - back]:
        back += 1
    while start and before[start - 1] in _JOINED:
        start -= 1
    while back and before[-back] in _JOINED:
        back -= 1
    return start, len(before) - back, after[start : len(after) - back]


def _shown(text: str) -> str:
    return " ".join(text.split()) or "nothing"


def _says_nothing(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Annotations, how a class is made, and type aliases: no run of a test can tell."""
    for node in ast.walk(tree):
        parts: list[ast.expr | None] = []
        if isinstance(node, ast.arg | ast.AnnAssign):
            parts.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parts.append(node.returns)
            parts += [decorator for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
        elif isinstance(node, ast.ClassDef):
            parts += node.decorator_list
            parts += [word.value for word in node.keywords]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp | ast.Subscript) and _is_alias(node):
            parts.append(node.value)
        for part in parts:
            if part is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)


def _is_alias(node: ast.Assign) -> bool:
    """`Name = A | B` and `Name = Callable[...]` at the top of a file."""
    (target, *_) = node.targets
    return isinstance(target, ast.Name) and target.id[:1].isupper() and not target.id.isupper()
