"""Test cases for a policy: facts, and what the policy must decide on them.

    given: {buyer.restricted: false, order.paid_minor: 29999}     # facts that every case starts from
    cases:
    - name: 300.00 is not under 300.00
      facts: {order.paid_minor: 30000}                          # null makes a fact of `given` unknown
      expect: {outcome: review, stopped_by: [paid_under_300]}

Like this whole layer, cases are pure: the same file gives the same results on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jitui.policy.decide import ConditionResult, Decision, Outcome, Verdict, decide, restriction_hits
from jitui.policy.facts import LINE_FIELDS, LINES, FactSpec, FactType, FactValue, LineValues, ScalarValue
from jitui.policy.loading.field_readers import Notes, boolean, choice, entries, fields, integer, items, read, string
from jitui.policy.loading.yaml_document import Genre, Listing, Node, Place, Scalar, decoded, parse
from jitui.policy.model import LoadedPolicy
from jitui.policy.problems import CasesRefused, PolicyProblem, did_you_mean

MAX_CASES = 1_000
_GENRE = Genre("a cases file", "cases")
_MAX_INTEGER = 10**18 - 1


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected result. A field that is None is not compared; the others must be equal."""

    outcome: Outcome
    stopped_by: frozenset[str] | None
    unknown: frozenset[str] | None
    conditions: Mapping[str, Verdict]
    restrictions: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Case:
    """One case; a fact that is None or absent is unknown."""

    file: str
    line: int
    name: str
    facts: Mapping[str, FactValue | None]
    expected: Expected


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One expectation that did not hold, and the conditions that explain it."""

    what: str
    expected: str
    came: str
    because: tuple[ConditionResult, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The decision on a case; the case passes when there are no mismatches."""

    case: Case
    decision: Decision
    restrictions: tuple[str, ...]
    mismatches: tuple[Mismatch, ...]


@dataclass(frozen=True, slots=True)
class NeverSeen:
    """A condition or restriction that was never `verdict` in any case, so no case would notice some change of it."""

    part: str
    id: str
    verdict: Verdict


def read_cases(policy: LoadedPolicy, data: bytes, file: str) -> tuple[Case, ...]:
    """The cases in a file; raises CasesRefused with every problem that was found."""
    text = decoded(data, file, _GENRE)
    if isinstance(text, PolicyProblem):
        raise CasesRefused((text,))
    root, problems = parse(text, file, _GENRE)
    notes = Notes(file)
    notes.problems += problems
    cases = _cases(notes, policy, root) if root is not None else ()
    if notes.problems:
        raise CasesRefused(tuple(sorted(set(notes.problems))))
    return cases


# Reading ---------------------------------------------------------------------------------------------------------


def _cases(notes: Notes, policy: LoadedPolicy, root: Node) -> tuple[Case, ...]:
    found = fields(notes, root, "a cases file", ("cases",), ("given",))
    given = _facts(notes, policy, found.get("given"), "given")
    names: dict[str, Place] = {}
    cases = []
    for item in items(notes, found.get("cases"), "cases", MAX_CASES):
        parts = fields(notes, item, "a case", ("name", "expect"), ("facts",))
        name = read(notes, parts, "name", string)
        if name is not None:
            if name in names:
                notes.add(parts["name"].place, f"the name {name!r} is already used in line {names[name].line}")
            names.setdefault(name, parts["name"].place)
        facts = _facts(notes, policy, parts.get("facts"), "facts")
        expected = _expected(notes, policy, parts["expect"]) if "expect" in parts else None
        if name is not None and expected is not None:
            cases.append(Case(notes.file, item.place.line, name, {**given, **facts}, expected))
    return tuple(cases)


def _facts(notes: Notes, policy: LoadedPolicy, node: Node | None, what: str) -> dict[str, FactValue | None]:
    facts: dict[str, FactValue | None] = {}
    for key, value in entries(notes, node, what):
        spec = policy.facts.get(key.value)
        if spec is None:
            hint = did_you_mean(key.value, list(policy.facts)) or "; `jitui policy facts` lists them"
            notes.add(key.place, f"there is no fact {key.value}{hint}")
        elif _absent(value):
            facts[key.value] = None
        elif key.value == LINES:
            facts[LINES] = _lines(notes, value)
        else:
            facts[key.value] = _value(notes, value, spec)
    return facts


def _absent(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and node.value in ("", "null", "~")


def _lines(notes: Notes, node: Node) -> tuple[LineValues, ...]:
    if not isinstance(node, Listing):
        notes.add(node.place, f"{LINES} is a list of lines, as in [{{customised: false, virtual: false}}]")
        return ()
    return tuple(_line(notes, item) for item in items(notes, node, LINES))


def _line(notes: Notes, node: Node) -> dict[str, ScalarValue | None]:
    found = fields(notes, node, "a line", (), tuple(LINE_FIELDS))
    return {name: None if _absent(value) else _value(notes, value, LINE_FIELDS[name]) for name, value in found.items()}


def _value(notes: Notes, node: Node, spec: FactSpec) -> ScalarValue | None:
    """A value of the fact's type and enum. A wrong one is a problem here, whereas in a request it would be unknown."""
    if spec.type is FactType.BOOL:
        return boolean(notes, node, spec.name)
    if spec.type is FactType.INT:
        unfit = Notes(notes.file)
        number = integer(-_MAX_INTEGER, _MAX_INTEGER)(unfit, node, spec.name)
        if unfit.problems:
            unit = f" of {spec.unit}" if spec.unit else ""
            notes.add(node.place, f"{spec.name} is a whole number{unit}, as in 12")
        return number
    return choice(*spec.enum)(notes, node, spec.name) if spec.enum else string(notes, node, spec.name)


def _expected(notes: Notes, policy: LoadedPolicy, node: Node) -> Expected | None:
    found = fields(notes, node, "expect", ("outcome",), ("stopped_by", "unknown", "conditions", "restrictions"))
    ids = [condition.id for condition in policy.conditions]
    word = read(notes, found, "outcome", choice(*Outcome))
    stopped_by = _names(notes, found.get("stopped_by"), "stopped_by", ids, "condition")
    known = [*policy.facts, *(f"{LINES}.{field}" for field in LINE_FIELDS)]
    unknown = _names(notes, found.get("unknown"), "unknown", known, "fact")
    rules = _names(
        notes, found.get("restrictions"), "restrictions", [rule.id for rule in policy.restrictions], "restriction"
    )
    verdicts = _verdicts(notes, found.get("conditions"), ids)
    if word is None:
        return None
    outcome = Outcome(word)
    _note_contradictions(notes, found, outcome, stopped_by, verdicts)
    return Expected(outcome, stopped_by, unknown, verdicts, rules)


def _names(notes: Notes, node: Node | None, what: str, known: Sequence[str], kind: str) -> frozenset[str] | None:
    """A list of names of one kind; None when the key is missing, which is not the same as an empty list."""
    if node is None:
        return None
    found = set()
    for item in items(notes, node, what):
        name = string(notes, item, what)
        if name is not None and name not in known:
            notes.add(item.place, f"there is no {kind} {name}{_hint(name, known)}")
        elif name is not None:
            found.add(name)
    return frozenset(found)


def _hint(name: str, known: Sequence[str]) -> str:
    near = did_you_mean(name, known)
    return near or (f": there are {', '.join(known)}" if 0 < len(known) <= 12 else "")


def _verdicts(notes: Notes, node: Node | None, ids: Sequence[str]) -> dict[str, Verdict]:
    verdicts = {}
    for key, value in entries(notes, node, "conditions"):
        word = choice(*Verdict)(notes, value, key.value)
        if key.value not in ids:
            notes.add(key.place, f"there is no condition {key.value}{_hint(key.value, ids)}")
        elif word is not None:
            verdicts[key.value] = Verdict(word)
    return verdicts


def _note_contradictions(
    notes: Notes,
    found: Mapping[str, Node],
    outcome: Outcome,
    stopped_by: frozenset[str] | None,
    verdicts: Mapping[str, Verdict],
) -> None:
    """Note expectations that no policy can meet: all conditions true is instant, anything else is review."""
    not_true = {name for name, verdict in verdicts.items() if verdict is not Verdict.TRUE}
    true = verdicts.keys() - not_true
    if outcome is Outcome.INSTANT and stopped_by:
        notes.add(found["stopped_by"].place, "an instant outcome has nothing that stops it: leave stopped_by out")
    if outcome is Outcome.INSTANT and not_true:
        notes.add(found["conditions"].place, f"an instant outcome needs every condition true, {min(not_true)} too")
    if outcome is Outcome.REVIEW and stopped_by is not None and not stopped_by:
        notes.add(found["stopped_by"].place, "a review has at least one condition that stops it: name it")
    if stopped_by and (both := stopped_by & true):
        notes.add(found["conditions"].place, f"{min(both)} is expected to be true and to stop the request")
    if stopped_by and (neither := not_true - stopped_by):
        notes.add(found["conditions"].place, f"{min(neither)} is not true here, so stopped_by must name it")


# Running ---------------------------------------------------------------------------------------------------------


def run_case(policy: LoadedPolicy, case: Case) -> CaseResult:
    """Decide a case and compare the decision with the expected one."""
    decision = decide(policy, case.facts)
    rules = tuple(rule.id for rule in restriction_hits(policy, case.facts))
    return CaseResult(case, decision, rules, tuple(_mismatches(case.expected, decision, rules)))


def _mismatches(expected: Expected, decision: Decision, rules: Sequence[str]) -> list[Mismatch]:
    results = {result.id: result for result in decision.conditions}
    stopped = {name for name, result in results.items() if result.verdict is not Verdict.TRUE}
    found = []
    wanted = expected.stopped_by
    if decision.outcome is not expected.outcome:
        surprising = stopped if expected.outcome is Outcome.INSTANT else (wanted or frozenset())
        because = tuple(result for name, result in results.items() if name in surprising)
        found.append(Mismatch("outcome", expected.outcome, decision.outcome, because))
    if wanted is not None and wanted != stopped:
        because = tuple(result for name, result in results.items() if name in wanted ^ stopped)
        found.append(Mismatch("stopped_by", _listed(wanted, results), _listed(stopped, results), because))
    for name, verdict in expected.conditions.items():
        if results[name].verdict is not verdict:
            found.append(Mismatch(f"condition {name}", verdict, results[name].verdict, (results[name],)))
    if expected.unknown is not None and expected.unknown != set(decision.unknown):
        because = tuple(result for result in decision.conditions if result.verdict is Verdict.UNKNOWN)
        came = _listed(decision.unknown, decision.unknown)
        found.append(Mismatch("unknown", _listed(expected.unknown, sorted(expected.unknown)), came, because))
    if expected.restrictions is not None and expected.restrictions != set(rules):
        wanted_rules = _listed(expected.restrictions, sorted(expected.restrictions))
        found.append(Mismatch("restrictions", wanted_rules, _listed(rules, rules)))
    return found


def _listed(names: Sequence[str] | frozenset[str] | set[str], order: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(name for name in order if name in names) or "none"


def never_seen(policy: LoadedPolicy, results: Sequence[CaseResult]) -> tuple[NeverSeen, ...]:
    """The conditions and restrictions that were never true, or never false, in any case."""
    seen = {(result.id, result.verdict) for one in results for result in one.decision.conditions}
    gaps = [
        NeverSeen("condition", condition.id, verdict)
        for condition in policy.conditions
        for verdict in (Verdict.TRUE, Verdict.FALSE)
        if (condition.id, verdict) not in seen
    ]
    for rule in policy.restrictions:
        hits = {rule.id in one.restrictions for one in results}
        gaps += [
            NeverSeen("restriction", rule.id, verdict)
            for verdict, hit in ((Verdict.TRUE, True), (Verdict.FALSE, False))
            if hit not in hits
        ]
    return tuple(gaps)
