"""Writes anew what is made from the definitions of a policy file.

That is `policies/policy.schema.json`, and the tables of `docs/reference/policy-file.md`: each stands between
`<!-- table: NAME -->` and `<!-- end -->`. A test fails while one of them is not what the definitions say.

    .venv/bin/python scripts/policy_reference.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from jitui.policy.facts import (
    BUYER_EVENTS,
    EVENTS_WITHOUT_MONEY,
    FACTS,
    LINE_FIELDS,
    ONCE_PER_ORDER,
    SHOP_EVENTS,
    FactSpec,
)
from jitui.policy.loading import caps_format as caps
from jitui.policy.loading import file_format as form
from jitui.policy.loading import gate_format as gates
from jitui.policy.loading.advance_section import ADVANCE
from jitui.policy.loading.file_kinds import (
    EitherKind,
    ListKind,
    MapKind,
    PolicyField,
    PolicySection,
    ValueKind,
    WordsKind,
    in_words,
)
from jitui.policy.loading.guards_format import GUARDS, guard_sections
from jitui.policy.loading.json_schema import policy_schema
from jitui.policy.loading.loss_section import LOSS
from jitui.policy.loading.stop_ship_section import STOP_SHIP

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "policy-file.md"
SCHEMA = ROOT / "policies" / "policy.schema.json"

_TABLE = re.compile(r"(<!-- table: (?P<name>[a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_KINDS_OF_EVENTS = {*BUYER_EVENTS, *SHOP_EVENTS}
_ANCHORS = {
    "a guard": "guards",
    "legal_basis": "texts",
    "stop_ship": "stop-ship",
    "title": "texts",
    "notice": "texts",
    "text": "texts",
    "a feature": "features",
    "the type of an attribute": "attributes",
    "a condition": "conditions",
    "a cap": "caps",
    "a restriction": "restrictions",
    "return_text": "texts",
    "a gate for shops": "gates",
    "a gate for categories": "gates",
    "a gate for items": "gates",
}


def main() -> None:
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")


def files() -> dict[Path, str]:
    """What each of the files should hold."""
    schema = json.dumps(policy_schema(), ensure_ascii=False, indent=2) + "\n"
    return {SCHEMA: schema, PAGE: page(PAGE.read_text(encoding="utf-8"))}


def page(text: str) -> str:
    """The page with every table made anew; KeyError for a table that does not exist."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{TABLES[found['name']]()}\n\n{found[3]}", text)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _fields(section: PolicySection) -> str:
    rows = []
    for field in section.fields:
        needed = "required" if field.default is None else field.default
        form_of_values = f", [their form](#{field.name})" if isinstance(field.kind, MapKind) else ""
        rows.append([f"`{field.name}`", _type(field.kind) + form_of_values, needed, field.meaning, _example(field)])
    return _table(["key", "what it is", "default", "meaning", "example"], rows)


def _example(field: PolicyField) -> str:
    return f"`{field.example}`" if len(field.example) < 60 else ""


def _type(kind: ValueKind) -> str:
    """What a value can be, with links to the sections of this page."""
    match kind:
        case PolicySection(what):
            return f"mapping, [keys](#{_ANCHORS.get(what, what)})"
        case ListKind(PolicySection(what), _):
            return f"{in_words(kind)}, [keys of each](#{_ANCHORS[what]})"
        case EitherKind(kinds):
            return ", or ".join(_type(one) for one in kinds)
        case WordsKind(words) if _KINDS_OF_EVENTS.issuperset(words):
            return "a [kind of event](#kinds-of-events)"
        case WordsKind(words):
            return ", ".join(f"`{word}`" for word in words)
        case _:
            return in_words(kind)


def _facts(specs: Mapping[str, FactSpec]) -> str:
    rows = []
    for spec in specs.values():
        words = f": {', '.join(f'`{word}`' for word in spec.enum)}" if spec.enum else ""
        rows.append([f"`{spec.name}`", spec.type.value, spec.unit, spec.source, spec.meaning + words])
    return _table(["name", "type", "unit", "source", "meaning"], rows)


def _events() -> str:
    rows = []
    for kind in dict.fromkeys((*BUYER_EVENTS, *SHOP_EVENTS)):
        owners = [owner for owner, kinds in (("buyer", BUYER_EVENTS), ("shop", SHOP_EVENTS)) if kind in kinds]
        amount = "no" if kind in EVENTS_WITHOUT_MONEY else "yes"
        rows.append([f"`{kind}`", ", ".join(owners), amount, "yes" if kind in ONCE_PER_ORDER else ""])
    return _table(["kind", "of", "has an amount", "once for each order"], rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "policy": lambda: _fields(form.POLICY),
    "legal basis": lambda: _fields(form.LEGAL_BASIS),
    "attribute": lambda: _fields(form.ENUM),
    "feature": lambda: _fields(form.BUYER_FEATURE),
    "events": _events,
    "condition": lambda: _fields(form.CONDITION),
    "selection": lambda: _fields(form.SELECTION),
    "caps": lambda: _fields(caps.CAPS),
    "cap": lambda: _fields(caps.CAP),
    "guards": lambda: _fields(GUARDS),
    "guard": lambda: _fields(guard_sections()["incident_rate"]),
    "loss": lambda: _fields(LOSS),
    "restriction": lambda: _fields(form.RESTRICTION),
    "gates": lambda: _fields(gates.GATES),
    "shop gate": lambda: _fields(gates.SHOP_GATE),
    "category gate": lambda: _fields(gates.CATEGORY_GATE),
    "review": lambda: _fields(form.REVIEW),
    "stop ship": lambda: _fields(STOP_SHIP),
    "advance": lambda: _fields(ADVANCE),
    "facts": lambda: _facts(FACTS),
    "line fields": lambda: _facts(LINE_FIELDS),
}


if __name__ == "__main__":
    main()
