"""Reads the section `gates`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, cast

from jitui.policy.language.expression import Checked
from jitui.policy.loading import gate_format as form
from jitui.policy.loading.field_readers import (
    Notes,
    boolean,
    duration,
    fields,
    identifier,
    items,
    read,
    string,
)
from jitui.policy.loading.file_kinds import PolicySection
from jitui.policy.loading.sentences import SentenceReader
from jitui.policy.loading.yaml_document import Mapped, Node, Scalar
from jitui.policy.program import Reads, reads_of
from jitui.policy.sections import DAY_SECONDS, Gates, ListGate, ShopGate

ReadRule = Callable[[Node | None, str], Checked | None]
"""Reads the expression of a key."""
NoteRepeated = Callable[[str | None, Node | None], None]
"""Notes an id that another gate has."""


def read_gates(
    notes: Notes,
    node: Node | None,
    reads: Mapping[str, Reads],
    rule: ReadRule,
    repeated: NoteRepeated,
    sentence: SentenceReader,
) -> Gates:
    """The gates; `reads` has what each definition reads, `sentence` reads a text with its parameters."""
    if node is None:
        return Gates()
    found = _section(notes, node, form.GATES)
    if isinstance(node, Mapped) and not node.entries:
        notes.add(node.place, f"gates has one of {', '.join(form.GATES.at_least_one_of)}")
    shops = [
        _shop_gate(notes, item, reads, rule, repeated, sentence) for item in items(notes, found.get("shops"), "shops")
    ]
    lists = [
        _list_gate(notes, item, scope, section, names, repeated, sentence)
        for scope, section, names in (("category", form.CATEGORY_GATE, "categories"), ("item", form.ITEM_GATE, "items"))
        for item in items(notes, found.get(names), names)
    ]
    return Gates(tuple(one for one in shops if one), tuple(one for one in lists if one))


def _section(notes: Notes, node: Node, section: PolicySection) -> dict[str, Node]:
    return fields(notes, node, section.what, section.required, section.optional)


def _shop_gate(
    notes: Notes,
    item: Node,
    reads: Mapping[str, Reads],
    rule: ReadRule,
    repeated: NoteRepeated,
    sentence: SentenceReader,
) -> ShopGate | None:
    found = _section(notes, item, form.SHOP_GATE)
    gate_id = read(notes, found, "id", identifier)
    repeated(gate_id, found.get("id"))
    rules = {key: rule(found.get(key), key) for key in ("leave_when", "return_when")}
    for key, checked in rules.items():
        if checked is not None:
            _check_reads(notes, cast(Scalar, found[key]), checked, reads)
    rows = {
        key: read(notes, found, key, duration("d", form.MAX_ROW_DAYS)) if key in found else DAY_SECONDS
        for key in ("leave_after", "return_after")
    }
    notice, public = _notice(notes, found), read(notes, found, "public", boolean)
    text, return_text = read(notes, found, "text", sentence), read(notes, found, "return_text", sentence)
    leave, back = rules["leave_when"], rules["return_when"]
    leave_after, return_after = rows["leave_after"], rows["return_after"]
    if not (gate_id and leave and back and leave_after and return_after and text and return_text):
        return None
    if notice is None or public is None:
        return None
    return ShopGate(
        gate_id,
        leave.text,
        back.text,
        leave_after // DAY_SECONDS,
        return_after // DAY_SECONDS,
        notice // DAY_SECONDS,
        public,
        text,
        return_text,
        leave.tree,
        back.tree,
    )


def _check_reads(notes: Notes, leaf: Scalar, rule: Checked, definitions: Mapping[str, Reads]) -> None:
    """A gate is evaluated without an order and without a buyer; whether a shop is covered is what it decides."""
    for name in reads_of(rule.tree, definitions).facts:
        if not name.startswith("shop.") or name == "shop.covered":
            at = max(leaf.value.find(name), 0)
            notes.add(leaf.place_of(at), f"a gate looks at the shop's features and attributes, not at {name}")


def _list_gate(
    notes: Notes,
    item: Node,
    scope: str,
    section: PolicySection,
    names: str,
    repeated: NoteRepeated,
    sentence: SentenceReader,
) -> ListGate | None:
    found = _section(notes, item, section)
    gate_id = read(notes, found, "id", identifier)
    repeated(gate_id, found.get("id"))
    named = items(notes, found.get(names), names)
    if names in found and not named:
        notes.add(found[names].place, f"{names} names at least one")
    refs = [string(notes, one, f"the id of one of the {names}") for one in named]
    notice, public = _notice(notes, found), read(notes, found, "public", boolean)
    text = read(notes, found, "text", sentence)
    if not gate_id or notice is None or public is None or not text:
        return None
    known = tuple(dict.fromkeys(ref for ref in refs if ref is not None))
    return ListGate(gate_id, cast(Literal["category", "item"], scope), known, notice // DAY_SECONDS, public, text)


def _notice(notes: Notes, found: dict[str, Node]) -> int | None:
    return read(notes, found, "notice", duration("d", form.MAX_NOTICE_DAYS, may_be_none=True))
