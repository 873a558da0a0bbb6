"""The differences between two policies, as sentences.

The checked values are compared, not the texts, so comments, layout and the order of keys make no difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from jitui.policy.cap_difference import PolicyChange, cap_changes, span
from jitui.policy.facts import FactSpec
from jitui.policy.language.syntax import Node
from jitui.policy.language.unparse import expanded, lists_in, parameters_in
from jitui.policy.model import LoadedPolicy
from jitui.policy.rewritten import few_words, rewritten, trees_of, words_moved
from jitui.policy.sections import (
    HELD_BY_WAREHOUSE,
    Condition,
    Definition,
    Feature,
    GuardBound,
    Guards,
    ListGate,
    RestrictionRule,
    ShopGate,
)
from jitui.policy.selection import hold_out_seed

_HEADER = {
    "id": ("policy", True, "other buyers are held out"),
    "version": ("version", False, ""),
    "effective_from": ("effective_from", False, ""),
    "currency": ("currency", True, "every amount means another sum"),
}
_SAME = ": the same, written otherwise"


def differences(old: LoadedPolicy, new: LoadedPolicy) -> tuple[PolicyChange, ...]:
    """Every difference, in the order of the file; empty when nothing or only comments and layout differ."""
    return (
        *_header(old, new),
        *_texts(old, new),
        *_parameters(old, new),
        *_lists(old, new),
        *_attributes(old, new),
        *_features(old, new),
        *_definitions(old, new),
        *_rules("conditions", old, new),
        *_selection(old, new),
        *cap_changes(old, new, _readers),
        *_guards(old, new),
        *_fields("loss", old.loss, new.loss, decides=False),
        *_rules("restrictions", old, new),
        *_gates(old, new),
        *_fields("review", old.review, new.review, decides=True),
        *_stop_ship(old, new),
        *_advance(old, new),
        *_notice_period(old, new),
    )


def _header(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    for field, (name, decides, means) in _HEADER.items():
        before, after = getattr(old, field), getattr(new, field)
        if before != after or (field == "effective_from" and before.utcoffset() != after.utcoffset()):
            yield PolicyChange(name, f"{before} → {after}" + (f": {means}" if means else ""), decides)


def _texts(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    for name in ("title", "legal_basis", "notice"):
        yield from _words(name, getattr(old, name), getattr(new, name))


def _words(name: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[PolicyChange]:
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield PolicyChange(f"{name}.{key}", f"“{old.get(key, '')}” → “{new.get(key, '')}”", decides=False)


def _parameters(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    """The parameters whose values differ, with the conditions, restrictions, sentences and limits that use them."""
    before, after = ({one.name: one for one in policy.parameters} for policy in (old, new))
    for name in dict.fromkeys((*before, *after)):
        given = [one for one in (before.get(name), after.get(name)) if one is not None]
        if len(given) == 2 and given[0].value == given[1].value:
            continue
        rules = tuple(dict.fromkeys((*_readers(old, name), *_readers(new, name))))
        decides = any(_decides_otherwise(old, new, rule) for rule in rules)
        decides = decides or any(_limits_something(key, old, new) for one in given for key in one.limits)
        others = [key for one in given for key in (*one.limits, *one.shown_in)]
        what = _before_after(name, before, after, lambda one: str(one.value))
        yield PolicyChange(f"parameters.{name}", what, decides, tuple(dict.fromkeys((*rules, *others))))


def _lists(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    """The lists whose words differ, with the rules and sentences that use them; their order means nothing."""
    before, after = ({one.name: one for one in policy.lists} for policy in (old, new))
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        if one and other and set(one.words) == set(other.words):
            continue
        rules = tuple(dict.fromkeys((*_readers(old, name), *_readers(new, name))))
        shown = [key for given in (one, other) if given for key in given.shown_in]
        if one and other:
            what = words_moved(one.words, other.words)
        else:
            what = _before_after(name, before, after, lambda given: few_words(given.words))
        decides = any(_decides_otherwise(old, new, rule) for rule in rules)
        yield PolicyChange(f"lists.{name}", what, decides, tuple(dict.fromkeys((*rules, *shown))))


def _limits_something(key: str, old: LoadedPolicy, new: LoadedPolicy) -> bool:
    """Whether a cap or share, named by its key in the file, differs and decides."""
    return any(
        change.decides and change.name == key for change in (*_selection(old, new), *cap_changes(old, new, _readers))
    )


def _attributes(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    before, after = ({**policy.attributes, **policy.shop_attributes} for policy in (old, new))
    yield from _declared("attributes", old, new, before, after, _kind_of)


def _kind_of(spec: FactSpec) -> str:
    return f"one of {', '.join(spec.enum)}" if spec.enum else spec.type.value


def _features(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    before, after = ({one.name: one for one in policy.features} for policy in (old, new))
    yield from _declared("features", old, new, before, after, _aggregate)


def _aggregate(feature: Feature) -> str:
    return f"{feature.function} of {feature.kind} over {feature.days}d"


def _declared(
    part: str, old: LoadedPolicy, new: LoadedPolicy, before: Mapping[str, Any], after: Mapping[str, Any], say: Any
) -> Iterator[PolicyChange]:
    """Differences in the facts that the policies declare, with the rules that read them."""
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) == after.get(name):
            continue
        users = tuple(dict.fromkeys((*_readers(old, name), *_readers(new, name))))
        yield PolicyChange(f"{part}.{name}", _before_after(name, before, after, say), bool(users), users)


def _before_after(name: str, before: Mapping[str, Any], after: Mapping[str, Any], say: Any) -> str:
    if name not in before:
        return f"added: {say(after[name])}"
    if name not in after:
        return f"removed: {say(before[name])}"
    return f"{say(before[name])} → {say(after[name])}"


def _readers(policy: LoadedPolicy, name: str) -> Iterator[str]:
    """The conditions, restrictions and gates that read a fact or a definition, directly or through a definition."""
    programs = policy.programs
    for program in (*programs.conditions, *programs.restrictions, *programs.gates):
        if name in program.reads.names:
            yield program.id


def _definitions(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    before, after = ({one.name: one for one in policy.definitions} for policy in (old, new))
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        if one and other and expanded(one.tree, {}) == expanded(other.tree, {}):
            continue
        users = tuple(dict.fromkeys((*_readers(old, name), *_readers(new, name))))
        decides = any(_decides_otherwise(old, new, user) for user in users)
        what = _before_after(name, before, after, _when)
        if one and other:
            more, less = "true more often", "true less often"
            what = rewritten((old, one.tree), (new, other.tree), {}, {}, more, less) or what
        yield PolicyChange(f"definitions.{name}", what, decides, users)


def _when(rule: Definition | Condition | RestrictionRule) -> str:
    return f"`{' '.join(rule.when.split())}`"


def _decides_otherwise(old: LoadedPolicy, new: LoadedPolicy, user: str) -> bool:
    return _meanings(old, user) != _meanings(new, user)


def _meanings(policy: LoadedPolicy, user: str) -> list[Node]:
    rules: tuple[Condition | RestrictionRule, ...] = (*policy.conditions, *policy.restrictions)
    trees = [rule.tree for rule in rules if rule.id == user]
    trees += [tree for gate in policy.gates.shops if gate.id == user for tree in (gate.leave_tree, gate.return_tree)]
    return [expanded(tree, trees_of(policy)) for tree in trees]


def _rules(part: str, old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    before, after = (
        {rule.id: rule for rule in getattr(policy, part) if rule.id != HELD_BY_WAREHOUSE} for policy in (old, new)
    )
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            means = "; every request must meet it too" if part == "conditions" and one is None else ""
            means = "; nothing asks for it any more" if part == "conditions" and other is None else means
            yield PolicyChange(f"{part}.{name}", _before_after(name, before, after, _when) + means, decides=True)
        else:
            yield from _rule(f"{part}.{name}", old, new, one, other)
    kept = [[name for name in side if name in before and name in after] for side in (before, after)]
    if kept[0] != kept[1]:
        means = "; the outcome stays, the first one that stops a request may be another" if part == "conditions" else ""
        yield PolicyChange(part, f"reordered: {', '.join(kept[1])}{means}", decides=False)


def _rule(name: str, old: LoadedPolicy, new: LoadedPolicy, one: Any, other: Any) -> Iterator[PolicyChange]:
    """The difference between two versions of one condition or restriction."""
    before, after = expanded(one.tree, {}), expanded(other.tree, {})
    more, less = ("looser", "stricter") if isinstance(one, Condition) else ("stricter", "looser")
    whole = trees_of(old), trees_of(new)
    same = expanded(one.tree, whole[0]) == expanded(other.tree, whole[1])
    if before != after:
        what = rewritten((old, one.tree), (new, other.tree), *whole, more, less) if not same else None
        by = f"by its {_constants_moved(old, new, one.tree)}: " if _when(one) == _when(other) else ""
        what = what or f"{_when(one)} → {_when(other)}" + (_SAME if same else "")
        yield PolicyChange(name, f"{by}{what}", not same)
    elif not same:
        what = rewritten((old, one.tree), (new, other.tree), *whole, more, less)
        yield PolicyChange(name, f"by its definitions: {what or 'they changed'}", decides=True)
    elif _constants_named(one.tree) != _constants_named(other.tree):
        yield PolicyChange(name, f"{_when(one)} → {_when(other)}{_SAME}", decides=False)
    if isinstance(one, Condition):
        if one.public != other.public:
            yield PolicyChange(f"{name}.public", f"made {'public' if other.public else 'private'}", decides=False)
        elif one.detail_public != other.detail_public:
            shown = "public" if other.detail_public else "private"
            yield PolicyChange(f"{name}.detail", f"its figures are made {shown}", decides=False)
        yield from _words(f"{name}.text", one.text, other.text)
    else:
        if one.withdraw != other.withdraw:
            yield PolicyChange(f"{name}.withdraw", f"{one.withdraw} → {other.withdraw}", decides=True)
        if one.for_days != other.for_days:
            means = more if other.for_days > one.for_days else less
            yield PolicyChange(f"{name}.for", f"{one.for_days}d → {other.for_days}d: {means}", decides=True)
        yield from _words(f"{name}.text", one.text, other.text)


def _constants_named(tree: Node) -> tuple[str, ...]:
    return (*parameters_in(tree), *lists_in(tree))


def _constants_moved(old: LoadedPolicy, new: LoadedPolicy, tree: Node) -> str:
    """Which constants of a rule with the same text differ: its parameters, its lists, or both."""
    before, after = old.programs.constants, new.programs.constants
    found = (("parameters", parameters_in(tree)), ("lists", lists_in(tree)))
    return " and ".join(kind for kind, names in found if any(before.get(name) != after.get(name) for name in names))


# Gates ------------------------------------------------------------------------------------------------------------

_GATE_DAYS = {"leave_after": ("looser", "stricter"), "return_after": ("stricter", "looser"),
              "notice": ("looser", "stricter")}  # fmt: skip


def _gates(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    before, after = _named_gates(old), _named_gates(new)
    for gate_id in dict.fromkeys((*before, *after)):
        one, other, name = before.get(gate_id), after.get(gate_id), f"gates.{gate_id}"
        if one is None or other is None:
            means = "stricter" if one is None else "looser; what it took out comes back"
            yield PolicyChange(name, f"{_before_after(gate_id, before, after, _gate)}: {means}", decides=True)
        elif isinstance(one, ShopGate) and isinstance(other, ShopGate):
            yield from _gate_rules(name, old, new, one, other)
            yield from _gate_fields(name, one, other)
            yield from _words(f"{name}.return_text", one.return_text, other.return_text)
        elif isinstance(one, ListGate) and isinstance(other, ListGate) and one.scope == other.scope:
            if set(one.refs) != set(other.refs):
                yield PolicyChange(name, f"{', '.join(one.refs)} → {', '.join(other.refs)}", decides=True)
            yield from _gate_fields(name, one, other)
        else:
            yield PolicyChange(name, f"{_gate(one)} → {_gate(other)}", decides=True)


def _named_gates(policy: LoadedPolicy) -> dict[str, ShopGate | ListGate]:
    gates: tuple[ShopGate | ListGate, ...] = (*policy.gates.shops, *policy.gates.lists)
    return {gate.id: gate for gate in gates}


def _gate(gate: ShopGate | ListGate) -> str:
    if isinstance(gate, ListGate):
        return f"{gate.scope} {', '.join(gate.refs)}"
    return f"`{' '.join(gate.leave_when.split())}`"


def _gate_rules(
    name: str, old: LoadedPolicy, new: LoadedPolicy, one: ShopGate, other: ShopGate
) -> Iterator[PolicyChange]:
    whole = trees_of(old), trees_of(new)
    for key, more, less in (("leave_when", "stricter", "looser"), ("return_when", "looser", "stricter")):
        before, after = (getattr(gate, f"{key.partition('_')[0]}_tree") for gate in (one, other))
        if expanded(before, whole[0]) == expanded(after, whole[1]):
            continue
        told = rewritten((old, before), (new, after), *whole, more, less)
        written = [" ".join(getattr(gate, key).split()) for gate in (one, other)]
        yield PolicyChange(f"{name}.{key}", told or f"`{written[0]}` → `{written[1]}`", decides=True)


def _gate_fields(name: str, one: ShopGate | ListGate, other: ShopGate | ListGate) -> Iterator[PolicyChange]:
    for key, (more, less) in _GATE_DAYS.items():
        before, after = (getattr(gate, f"{key}_days", None) for gate in (one, other))
        if before is not None and after is not None and before != after:
            what = f"{before}d → {after}d: {more if after > before else less}"
            yield PolicyChange(f"{name}.{key}", what, decides=True)
    if one.public != other.public:
        yield PolicyChange(f"{name}.public", f"made {'public' if other.public else 'private'}", decides=False)
    yield from _words(f"{name}.text", one.text, other.text)


# Numbers outside the conditions -----------------------------------------------------------------------------------


def _selection(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    before, after = old.selection.hold_out_percent, new.selection.hold_out_percent
    if before != after:
        means = "more" if after > before else "fewer"
        what = f"{before} → {after}: {means} buyers are held out"
        yield PolicyChange("selection.hold_out_percent", what, decides=True)
    if hold_out_seed(old) != hold_out_seed(new) and (before or after):
        what = f"{hold_out_seed(old)} → {hold_out_seed(new)}: other buyers are held out, another experiment begins"
        yield PolicyChange("selection.seed", what, decides=True)


def _guards(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    """Guards decide no request; they end a canary or hold up its share."""
    for field in fields(Guards):
        before, after = getattr(old.guards, field.name), getattr(new.guards, field.name)
        if isinstance(before, GuardBound):
            yield from _fields(f"guards.{field.name}", before, after, decides=False)
        elif before != after:
            yield PolicyChange(f"guards.{field.name}", f"{before} → {after}", decides=False)


def _stop_ship(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    """Whether a refund waits for the warehouse, and how long; the condition of the section is part of it."""
    before, after = (None if policy.stop_ship is None else policy.stop_ship.minutes for policy in (old, new))
    if before == after:
        return
    if before is None:
        what = f"added: what has a label is refunded once the warehouse holds it, asked for {after} minutes: stricter"
    elif after is None:
        what = "removed: what has a label is refunded at once: looser"
    else:
        what = f"{before} → {after}: the warehouse has {'longer' if after > before else 'less long'} to answer"
    yield PolicyChange("stop_ship.approve_when_held_within_minutes", what, decides=True)


def _notice_period(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    """It decides no request; it says how long the text after the new one is announced."""
    before, after = old.notice_period_days, new.notice_period_days
    if before != after:
        means = "longer" if after > before else "shorter"
        yield PolicyChange("notice_period", f"{before}d → {after}d: later texts are announced {means}", decides=False)


def _fields(name: str, old: Any, new: Any, *, decides: bool) -> Iterator[PolicyChange]:
    for field in fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before != after:
            if field.name.endswith("_seconds"):
                before, after = span(before), span(after)
            yield PolicyChange(f"{name}.{field.name.removesuffix('_seconds')}", f"{before} → {after}", decides)


def summary(changes: Sequence[PolicyChange]) -> str:
    """One sentence about all differences."""
    if not changes:
        return "Nothing that decides has changed, and nothing that is shown."
    deciding = sum(change.decides for change in changes)
    counted = f"{len(changes)} {'change' if len(changes) == 1 else 'changes'}"
    if not deciding:
        return f"Nothing that decides has changed; {counted} of what is shown or kept."
    return f"{counted}, {deciding} of what decides: the same request can come out otherwise."


def _advance(old: LoadedPolicy, new: LoadedPolicy) -> Iterator[PolicyChange]:
    """What the platform's account may pay for a shop; it decides no request."""
    before, after = (None if policy.advance is None else policy.advance.at_most_minor for policy in (old, new))
    if before == after:
        return
    if before is None:
        what = f"added: the platform's account pays up to {after} where a shop's balance is short"
    elif after is None:
        what = "removed: a refund waits until the shop's balance is enough"
    else:
        what = f"{before} → {after}"
    yield PolicyChange("advance.at_most_minor", what, decides=False)
