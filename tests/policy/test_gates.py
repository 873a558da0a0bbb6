"""The gates of a policy: what they may read, what they say of a shop, and how two versions differ."""

from __future__ import annotations

import pytest

from jitui.policy import FactValue, GateVerdict, Policy, PolicyRefused, gate_features, gate_results, rule_hash
from jitui.policy.difference import differences
from tests.policy.policy_samples import ROOT

EXAMPLE = (ROOT / "examples" / "policies" / "coverage-gates.yaml").read_text(encoding="utf-8")
for _name, _number in (("limit_minor", 30000), ("least_score", 60), ("good_score", 70)):  # tests move the numbers
    for _sign in ("<", ">="):
        EXAMPLE = EXAMPLE.replace(f"{_sign} {_name}", f"{_sign} {_number}")


def gated(old: str = "", new: str = "") -> Policy:
    assert old in EXAMPLE
    return Policy.from_text(EXAMPLE.replace(old, new, 1) if old else EXAMPLE)


def verdicts(policy: Policy, **facts: FactValue) -> dict[str, GateVerdict]:
    results = gate_results(policy, {f"shop.{name}": value for name, value in facts.items()})
    return {result.gate.id: result.verdict for result in results}


def refused(old: str, new: str) -> list[tuple[int, int, str]]:
    with pytest.raises(PolicyRefused) as caught:
        gated(old, new)
    return [(one.line, one.column, one.message) for one in caught.value.problems]


@pytest.mark.parametrize(
    ("on_time", "verdict"),
    [(89, "fails"), (90, "between"), (94, "between"), (95, "meets"), (100, "meets")],
)
def test_the_bounds_are_exact_and_between_them_is_neither(on_time: int, verdict: str) -> None:
    assert verdicts(gated(), shipped_30d=100, shipped_on_time_30d=on_time)["ships_on_time"] == verdict


def test_a_bound_that_needs_a_missing_fact_is_unknown() -> None:
    assert verdicts(gated(), shipped_30d=100)["ships_on_time"] == GateVerdict.UNKNOWN
    assert verdicts(gated(), shipped_on_time_30d=0)["ships_on_time"] == GateVerdict.UNKNOWN
    assert verdicts(gated(), experience_score="60")["experience"] == GateVerdict.UNKNOWN
    # Nineteen parcels are too few whatever became of them, and that is known without the rest.
    assert verdicts(gated(), shipped_30d=19)["ships_on_time"] == GateVerdict.MEETS


def test_where_both_bounds_are_reached_the_shop_should_leave() -> None:
    policy = gated("shop.experience_score >= 70", "shop.experience_score >= 50")
    assert verdicts(policy, experience_score=59)["experience"] == GateVerdict.FAILS


def test_one_known_bound_is_not_enough_where_the_other_is_unknown() -> None:
    returns = gated("return_when: shop.incidents_30d <= 3", "return_when: shop.experience_score > 0")
    assert verdicts(returns, incidents_30d=0)["losses"] == GateVerdict.UNKNOWN
    leaves = gated("leave_when: shop.incidents_30d >= 10", "leave_when: shop.experience_score < 0")
    assert verdicts(leaves, incidents_30d=0)["losses"] == GateVerdict.UNKNOWN


def test_a_result_names_what_it_read_and_nothing_else() -> None:
    results = gate_results(gated(), {"shop.shipped_30d": 100, "shop.experience_score": 61})
    assert {one.gate.id: dict(one.facts) for one in results} == {
        "ships_on_time": {"shop.shipped_30d": 100, "shop.shipped_on_time_30d": None},
        "experience": {"shop.experience_score": 61},
        "losses": {"shop.incidents_30d": None},
    }


@pytest.mark.parametrize(
    "name", ["buyer.account_age_days", "order.paid_minor", "shop.covered", "service.paused", "caps.shop_used_count"]
)
def test_a_gate_reads_the_shop_alone(name: str) -> None:
    (problem,) = refused(
        "leave_when: shop.experience_score < 60", f"leave_when: shop.experience_score < 60 && {_of(name)}"
    )
    assert problem[2] == f"a gate looks at the shop's features and attributes, not at {name}"
    line = EXAMPLE[: EXAMPLE.index("leave_when: shop.experience_score")].count("\n") + 1
    assert problem[:2] == (line, 19 + len("shop.experience_score < 60 && "))


def _of(name: str) -> str:
    return name if name in ("shop.covered", "service.paused") else f"{name} > 1"


def test_a_gate_reads_the_shop_alone_through_a_definition_too() -> None:
    old = "ships_enough: shop.shipped_30d >= 20"
    problems = refused(old, "ships_enough: shop.shipped_30d >= 20 && order.paid_minor > 1")
    assert {problem[2] for problem in problems} == {
        "a gate looks at the shop's features and attributes, not at order.paid_minor"
    }


@pytest.mark.parametrize("where", ["order.paid_minor < 30000", "shop.covered && order.lines.all(l, l.covered)"])
def test_a_condition_does_not_read_an_attribute_of_the_shop(where: str) -> None:
    (problem,) = refused(f"when: {where}", f"when: {where} && shop.experience_score > 1")
    assert "which gates alone read" in problem[2]
    assert problem[1] == 11 + len(where) + len(" && ")


def test_the_key_with_a_fault_is_named_with_its_place() -> None:
    (problem,) = refused("leave_when: shop.incidents_30d >= 10", "leave_when: shop.incidents_30d")
    assert problem[2].startswith("leave_when is a condition, true or false")
    (typo,) = refused("return_when: shop.incidents_30d <= 3", "return_when: shop.incident_30d <= 3")
    assert "incident_30d" in typo[2]


def test_two_gates_of_any_kind_have_two_names() -> None:
    (problem,) = refused("id: recalled", "id: experience")
    assert problem[2].startswith("the id experience is already used in line ")
    assert "other_factors" in refused("id: recalled", "id: other_factors")[0][2]


def test_a_list_names_something_once() -> None:
    policy = gated("items: [item-recalled]", "items: [b, a, b]")
    assert next(one for one in policy.gates.lists if one.id == "recalled").refs == ("b", "a")
    assert "at least one" in refused("items: [item-recalled]", "items: []")[0][2]


def test_the_notice_may_be_none_and_the_rows_may_not() -> None:
    assert [gate.notice_days for gate in gated().gates.shops] == [15, 15, 7]
    assert [gate.notice_days for gate in gated().gates.lists] == [15, 0]
    assert (gated().gates.shops[2].leave_after_days, gated().gates.shops[2].return_after_days) == (1, 1)
    assert refused("leave_after: 3d", "leave_after: 0d")


def test_a_request_reads_no_feature_for_a_gate() -> None:
    policy = gated()
    assert {one.name for one in gate_features(policy)} == {one.name for one in policy.features}
    assert policy.deciding_features == ()
    shared = gated("order.paid_minor < 30000", "order.paid_minor < 30000 && shop.incidents_30d < 9")
    assert [one.name for one in shared.deciding_features] == ["shop.incidents_30d"]


def test_a_rule_is_another_one_when_it_asks_for_something_else() -> None:
    policy = gated()
    first = policy.gates.shops[0]

    def changed(old: str, new: str) -> bool:
        other = gated(old, new)
        return rule_hash(policy, first) != rule_hash(other, other.gates.shops[0])

    assert changed("* 90", "* 91")
    assert changed("* 95", "* 96")
    assert changed("shop.shipped_30d >= 20", "shop.shipped_30d >= 21")
    assert changed("shop.shipped_30d: {count: shipped, over: 30d}", "shop.shipped_30d: {count: shipped, over: 31d}")
    assert not changed("notice: 15d", "notice: 7d")
    assert not changed("leave_after: 3d", "leave_after: 4d")
    assert not changed("近 30 天按时发货率低于", "按时发货率低于")
    assert not changed(
        "shop.incidents_30d: {count: incident, over: 30d}", "shop.incidents_30d: {count: incident, over: 9d}"
    )
    written = "leave_when: ships_enough && shop.shipped_on_time_30d * 100 < shop.shipped_30d * 90"
    assert not changed(
        written, "leave_when: shop.shipped_30d >= 20 && (shop.shipped_on_time_30d * 100 < shop.shipped_30d * 90)"
    )


@pytest.mark.parametrize(
    ("old", "new", "name", "what"),
    [
        ("* 90", "* 91", "gates.ships_on_time.leave_when", "* 91`"),
        ("score < 60", "score < 61", "gates.experience.leave_when", ": stricter"),
        ("score >= 70", "score >= 71", "gates.experience.return_when", ": stricter"),
        ("leave_after: 3d", "leave_after: 4d", "gates.ships_on_time.leave_after", "3d → 4d: looser"),
        ("return_after: 7d", "return_after: 8d", "gates.ships_on_time.return_after", "7d → 8d: stricter"),
        ("notice: 15d", "notice: 7d", "gates.ships_on_time.notice", "15d → 7d: stricter"),
        ("items: [item-recalled]", "items: [item-2]", "gates.recalled", "item-recalled → item-2"),
        ("id: recalled", "id: called_back", "gates.recalled", "removed: item item-recalled: looser"),
    ],
)
def test_what_changed_of_a_gate_is_told(old: str, new: str, name: str, what: str) -> None:
    found = {change.name: change for change in differences(gated(), gated(old, new))}
    assert what in found[name].what
    assert found[name].decides


def test_a_text_of_a_gate_decides_nothing_and_a_feature_of_it_does() -> None:
    (text,) = differences(gated(), gated("zh: 近 30 天按时发货率低于 90%", "zh: 按时发货率低"))
    assert (text.name, text.decides) == ("gates.ships_on_time.text.zh", False)
    (public,) = differences(gated(), gated("public: false\n      text: {zh: 近", "public: true\n      text: {zh: 近"))
    assert (public.name, public.decides) == ("gates.losses.public", False)
    (feature,) = differences(gated(), gated("{count: incident, over: 30d}", "{count: incident, over: 60d}"))
    assert (feature.name, feature.decides, feature.used_by) == ("features.shop.incidents_30d", True, ("losses",))
    (attribute,) = differences(gated(), gated("experience_score: int", "experience_score: int\n  shop.other: bool"))
    assert (attribute.name, attribute.decides) == ("attributes.shop.other", False)
