"""Turns a policy text into a Policy, or into a list of all its problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal, TypeVar, cast

from jitui.money import is_currency
from jitui.policy.facts import FACTS, MONEY, FactSpec, FactType
from jitui.policy.language.expression import Checked, check
from jitui.policy.language.syntax import Names
from jitui.policy.loading import file_format as form
from jitui.policy.loading.advance_section import read_advance
from jitui.policy.loading.advice import advice
from jitui.policy.loading.caps_format import MAX_WINDOW_DAYS
from jitui.policy.loading.caps_section import read_caps
from jitui.policy.loading.definitions import check_definitions
from jitui.policy.loading.field_readers import (
    Notes,
    boolean,
    choice,
    date,
    duration,
    entries,
    fields,
    identifier,
    items,
    read,
    scalar,
    slug,
    string,
)
from jitui.policy.loading.file_kinds import PolicySection
from jitui.policy.loading.gate_section import read_gates
from jitui.policy.loading.guards_section import read_guards
from jitui.policy.loading.lists import lists_used, read_lists
from jitui.policy.loading.loss_section import read_loss
from jitui.policy.loading.own_facts import read_attributes, read_features
from jitui.policy.loading.parameters import Parameters, number, read_parameters
from jitui.policy.loading.repeated_numbers import Meaning
from jitui.policy.loading.sentences import SentenceReader, sentence_reader
from jitui.policy.loading.stop_ship_section import read_stop_ship
from jitui.policy.loading.written import parameters_used, written
from jitui.policy.loading.yaml_document import Node, Place, Scalar, decoded, parse
from jitui.policy.model import LoadedPolicy
from jitui.policy.problems import PolicyProblem, PolicyRefused
from jitui.policy.program import Programs, Reads, compile_programs, reads_of
from jitui.policy.sections import (
    DAY_SECONDS,
    OTHER_FACTORS,
    Advance,
    Caps,
    Condition,
    Definition,
    Feature,
    Gates,
    Guards,
    Loss,
    RestrictionRule,
    Review,
    SelectionSection,
)

_Policy = TypeVar("_Policy", bound=LoadedPolicy)


def load_bytes(kind: type[_Policy], data: bytes, file: str) -> _Policy:
    """The policy in the bytes of a file; raises PolicyRefused with every problem that was found."""
    text = decoded(data, file)
    if isinstance(text, PolicyProblem):
        raise PolicyRefused((text,))
    return load(kind, text, file)


def load(kind: type[_Policy], text: str, file: str) -> _Policy:
    """The policy in a text; raises PolicyRefused with every problem that was found."""
    root, problems = parse(text, file)
    notes = Notes(file)
    notes.problems += problems
    policy = _read_policy(kind, notes, root, text) if root is not None else None
    if notes.problems or policy is None:
        raise PolicyRefused(tuple(sorted(set(notes.problems))))
    return policy


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """The names that this policy's expressions may use."""

    names: Names
    definitions: tuple[Definition, ...]
    reads: Mapping[str, Reads]


def _read_policy(kind: type[_Policy], notes: Notes, root: Node, text: str) -> _Policy | None:
    found = _section(notes, root, form.POLICY)
    policy_id, version, effective_from, currency = _header(notes, found)
    parameters = read_lists(notes, found.get("lists"), read_parameters(notes, found.get("parameters")))
    sentence = sentence_reader(parameters, currency)
    title, notice = read(notes, found, "title", sentence), read(notes, found, "notice", sentence)
    legal_basis, features, attributes = _declared(notes, found)
    words = _vocabulary(notes, found.get("definitions"), features, attributes, parameters)
    conditions, restrictions = _rules(notes, found, words, sentence)
    gates, period = _gates(notes, found.get("gates"), words, sentence), _notice_period(notes, found)
    selection, caps, guards, loss, review, advance = _without_expressions(notes, found, parameters)
    stop_ship, held = read_stop_ship(notes, found.get("stop_ship"), review, words.names, conditions)
    if notes.problems or review is None:
        return None
    programs = compile_programs(words.names, words.definitions, (*conditions, *held), restrictions, gates.shops)
    texts = written(found, words.definitions, conditions, restrictions, gates)
    meaning = Meaning(words.names.facts, words.reads, parameters, cast(str, currency))
    return kind(
        name=notes.file,
        text=text,
        sha256=sha256(text.encode()).hexdigest(),
        id=cast(str, policy_id),
        version=cast(str, version),
        effective_from=cast(datetime, effective_from),
        currency=cast(str, currency),
        title=title or {},
        notice=notice or {},
        legal_basis=legal_basis,
        parameters=parameters_used(parameters, texts),
        lists=lists_used(parameters, texts),
        attributes={name: spec for name, spec in attributes.items() if spec and not name.startswith("shop.")},
        shop_attributes={name: spec for name, spec in attributes.items() if spec and name.startswith("shop.")},
        features=tuple(feature for feature in features.values() if feature),
        deciding_features=tuple(one for one in features.values() if one and not _only_for_gates(programs, one.name)),
        definitions=words.definitions,
        conditions=(*conditions, *held),
        selection=selection,
        caps=caps,
        guards=guards,
        loss=loss,
        restrictions=restrictions,
        gates=gates,
        review=review,
        stop_ship=stop_ship,
        advance=advance,
        notice_period_days=period,
        facts=words.names.facts,
        advice=advice(notes.file, found["conditions"].place, programs, caps, texts, meaning),
        programs=programs,
    )


def _header(notes: Notes, found: dict[str, Node]) -> tuple[str | None, str | None, datetime | None, str | None]:
    """What names the text: policy, version, effective_from and currency."""
    policy_id, version = read(notes, found, "policy", slug), read(notes, found, "version", string)
    return policy_id, version, read(notes, found, "effective_from", date), read(notes, found, "currency", _currency)


def _declared(
    notes: Notes, found: dict[str, Node]
) -> tuple[dict[str, str], dict[str, Feature | None], dict[str, FactSpec | None]]:
    legal_basis, features = _legal_basis(notes, found.get("legal_basis")), read_features(notes, found.get("features"))
    return legal_basis, features, read_attributes(notes, found.get("attributes"), features)


def _rules(
    notes: Notes, found: dict[str, Node], words: _Vocabulary, sentence: SentenceReader
) -> tuple[tuple[Condition, ...], tuple[RestrictionRule, ...]]:
    conditions = _conditions(notes, found.get("conditions"), words, sentence)
    return conditions, _restrictions(notes, found.get("restrictions"), words, sentence)


def _without_expressions(
    notes: Notes, found: dict[str, Node], parameters: Parameters
) -> tuple[SelectionSection, Caps, Guards, Loss, Review | None, Advance | None]:
    """The sections that are numbers and words alone."""
    selection = _selection(notes, found.get("selection"), parameters)
    caps, guards = read_caps(notes, found.get("caps"), parameters), read_guards(notes, found.get("guards"))
    loss, review = read_loss(notes, found.get("loss")), read(notes, found, "review", _review)
    return selection, caps, guards, loss, review, read_advance(notes, found.get("advance"))


def _section(notes: Notes, node: Node, section: PolicySection) -> dict[str, Node]:
    """The values of a section's keys; unknown and missing keys are noted."""
    return fields(notes, node, section.what, section.required, section.optional)


def _currency(notes: Notes, node: Node, what: str) -> str | None:
    code = string(notes, node, what)
    if code is not None and not is_currency(code):
        notes.add(
            node.place,
            "currency is an ISO 4217 code in capitals that has minor units, as in CNY: every amount is in them",
        )
        return None
    return code


def _legal_basis(notes: Notes, node: Node | None) -> dict[str, str]:
    if node is None:
        return {}
    found = _section(notes, node, form.LEGAL_BASIS)
    return {key: text for key in found if (text := read(notes, found, key, string)) is not None}


def _vocabulary(
    notes: Notes,
    node: Node | None,
    features: Mapping[str, Feature | None],
    attributes: Mapping[str, FactSpec | None],
    parameters: Parameters,
) -> _Vocabulary:
    facts = dict(FACTS)
    for name, feature in features.items():
        facts[name] = _feature_spec(feature) if feature else FactSpec(name, FactType.INT, "", "")
    for name, spec in attributes.items():
        facts[name] = spec or FactSpec(name, FactType.INT, "", "")
    definitions, types = check_definitions(notes, entries(notes, node, "definitions"), facts, parameters)
    reads: dict[str, Reads] = {}
    for definition in definitions:
        reads[definition.name] = reads_of(definition.tree, reads)
    return _Vocabulary(Names(facts, types, parameters.values, parameters.lists), definitions, reads)


def _feature_spec(feature: Feature) -> FactSpec:
    unit = {"count": "events", "sum": MONEY, "last_age_days": "calendar days"}[feature.function]
    meaning = f"{feature.function} of {feature.kind} over {feature.days} calendar days"
    return FactSpec(feature.name, FactType.INT, "history", meaning, unit)


def _conditions(notes: Notes, node: Node | None, words: _Vocabulary, sentence: SentenceReader) -> tuple[Condition, ...]:
    conditions = []
    ids: dict[str, Place] = {OTHER_FACTORS: Place(0, 0)}
    nodes = items(notes, node, "conditions")
    if node is not None and not nodes:
        notes.add(
            node.place,
            "conditions needs at least one condition: without any, every request would be approved",
        )
    for item in nodes:
        found = _section(notes, item, form.CONDITION)
        condition_id = read(notes, found, "id", identifier)
        _note_repeated(notes, ids, condition_id, found.get("id"))
        public = read(notes, found, "public", boolean)
        detail = read(notes, found, "detail", choice(*form.DETAILS))
        text = read(notes, found, "text", sentence)
        when = _rule(notes, found.get("when"), words)
        if when is not None:
            _check_condition_reads(notes, cast(Scalar, found["when"]), when, words)
        if condition_id and when and public is not None and text:
            detail_public = public and detail != "private"
            conditions.append(Condition(condition_id, when.text, public, detail_public, text, when.tree))
    return tuple(conditions)


def _note_repeated(notes: Notes, ids: dict[str, Place], name: str | None, node: Node | None) -> None:
    if name is None or node is None:
        return
    if name == OTHER_FACTORS:
        notes.add(
            node.place,
            f"{OTHER_FACTORS} is the name of the row that stands for private conditions: take another",
        )
    elif name in ids:
        notes.add(node.place, f"the id {name} is already used in line {ids[name].line}")
    else:
        ids[name] = node.place


def _check_condition_reads(notes: Notes, leaf: Scalar, when: Checked, words: _Vocabulary) -> None:
    """A decision does not read the shop's row: whatever follows from it is in `shop.covered`."""
    for name in reads_of(when.tree, words.reads).facts:
        spec = words.names.facts[name]
        if name.startswith("shop.") and spec.source == "platform":
            at = max(leaf.value.find(name), 0)
            message = f"{name} is an attribute of the shop, which gates alone read: a condition reads shop.covered"
            notes.add(leaf.place_of(at), message)


def _rule(notes: Notes, node: Node | None, words: _Vocabulary, key: str = "when") -> Checked | None:
    """A checked expression whose value is true or false."""
    leaf = scalar(notes, node, key) if node is not None else None
    if leaf is None:
        return None
    checked = check(leaf.value, words.names)
    if not isinstance(checked, Checked):
        for fault in checked:
            if not fault.message.startswith("the definition "):  # it is reported where the definition is written
                notes.add(leaf.place_of(fault.at), fault.message)
        return None
    if checked.type is not FactType.BOOL:
        notes.add(leaf.place_of(0), f"{key} is a condition, true or false, and this is {checked.type}: compare it")
        return None
    return checked


def _restrictions(
    notes: Notes, node: Node | None, words: _Vocabulary, sentence: SentenceReader
) -> tuple[RestrictionRule, ...]:
    rules = []
    ids: dict[str, Place] = {}
    for item in items(notes, node, "restrictions"):
        found = _section(notes, item, form.RESTRICTION)
        rule_id = read(notes, found, "id", identifier)
        _note_repeated(notes, ids, rule_id, found.get("id"))
        withdraw = read(notes, found, "withdraw", choice(*form.WITHDRAWN))
        seconds = read(notes, found, "for", duration("d", MAX_WINDOW_DAYS))
        when = _rule(notes, found.get("when"), words)
        if when is not None:
            _check_restriction_reads(notes, cast(Scalar, found["when"]), when, words)
        if rule_id and when and withdraw and seconds:
            text = read(notes, found, "text", sentence) or {}
            rules.append(RestrictionRule(rule_id, when.text, withdraw, seconds // DAY_SECONDS, text, when.tree))
    return tuple(rules)


def _gates(notes: Notes, node: Node | None, words: _Vocabulary, sentence: SentenceReader) -> Gates:
    ids: dict[str, Place] = {}

    def rule(value: Node | None, key: str) -> Checked | None:
        return _rule(notes, value, words, key)

    def repeated(gate_id: str | None, value: Node | None) -> None:
        _note_repeated(notes, ids, gate_id, value)

    return read_gates(notes, node, words.reads, rule, repeated, sentence)


def _check_restriction_reads(notes: Notes, leaf: Scalar, when: Checked, words: _Vocabulary) -> None:
    """A restriction may not read facts of an order, because it is evaluated without one."""
    for name in reads_of(when.tree, words.reads).facts:
        if not name.startswith("buyer.") or name in ("buyer.restricted", "buyer.selected"):
            at = max(leaf.value.find(name), 0)
            notes.add(leaf.place_of(at), f"a restriction looks at the buyer's history and attributes, not at {name}")


def _selection(notes: Notes, node: Node | None, parameters: Parameters) -> SelectionSection:
    found = _section(notes, node, form.SELECTION) if node is not None else {}
    percent = read(notes, found, "hold_out_percent", number(parameters, form.HOLD_OUT_PERCENT)) or 0
    return SelectionSection(percent, read(notes, found, "seed", slug) or "")


def _notice_period(notes: Notes, found: dict[str, Node]) -> int:
    days = duration("d", form.MAX_NOTICE_PERIOD_DAYS, may_be_none=True)
    return (read(notes, found, "notice_period", days) or 0) // DAY_SECONDS


def _review(notes: Notes, node: Node, what: str) -> Review | None:
    found = _section(notes, node, form.REVIEW)
    deadline = read(notes, found, "deadline", duration("hd", form.MAX_REVIEW_DAYS))
    on_timeout = read(notes, found, "on_timeout", choice(*form.ON_TIMEOUT))
    return Review(deadline, cast(Literal["approve", "reject"], on_timeout)) if deadline and on_timeout else None


def _only_for_gates(programs: Programs, name: str) -> bool:
    deciding = (*programs.condition_reads.facts, *programs.restriction_reads.facts)
    return name in programs.gate_reads.facts and name not in deciding
