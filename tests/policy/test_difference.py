"""The differences between two policies: none for equal meanings, and the right name for every field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from jitui.policy import Policy, PolicyRefused
from jitui.policy.cap_difference import PolicyChange
from jitui.policy.difference import differences
from jitui.policy.language.unparse import unparse
from jitui.policy.loading.yaml_document import Listing, Mapped, Node, Scalar, parse
from tests.policy.policy_samples import DEFAULT, SMALL, default_policy, small_policy, small_text

TEXT = DEFAULT.read_text(encoding="utf-8")


def between(old: str, new: str) -> tuple[PolicyChange, ...]:
    return differences(Policy.from_text(old), Policy.from_text(new))


def what(old_when: str, new_when: str) -> str:
    (change,) = between(small_text(old_when), small_text(new_when))
    assert change.name == "conditions.a"
    return change.what


def test_a_policy_does_not_differ_from_itself_written_otherwise() -> None:
    assert differences(default_policy(), default_policy()) == ()
    without_comments = re.sub(r"(?m) *#.*$", "", TEXT)
    assert without_comments != TEXT
    assert between(TEXT, without_comments) == ()
    assert between(TEXT, TEXT.replace("order.paid_minor < limit_minor", '"(order.paid_minor  <  limit_minor)"')) == ()
    words = "['unshipped', 'label_printed']"
    assert between(TEXT, TEXT.replace(words, "['label_printed', 'unshipped']")) == ()


def leaves(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Scalar]]:
    """Every leaf with its path; an item of a list goes by its id."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, Mapped):
        for key, value in node.entries:
            yield from leaves(value, (*path, key.value))
    elif isinstance(node, Listing):
        for item in node.items:
            assert isinstance(item, Mapped)
            name = next(value.value for key, value in item.entries if key.value == "id" and isinstance(value, Scalar))
            yield from leaves(item, (*path, name))


def mutations(value: str) -> Iterator[str]:
    """Other values that a leaf may take, the likeliest first; quoted where they are text."""
    if match := re.fullmatch(r"(\d+)([hd]?)", value):
        yield f"{int(match[1]) + 1}{match[2]}"
        yield json.dumps(f"{value}x")
    words = {"true": "false", "false": "true", "private": "public", "approve": "reject", "CNY": "USD"}
    if value in words:
        yield words[value]
    yield json.dumps(f"!({value})", ensure_ascii=False)
    yield json.dumps(f"{value.strip()}x", ensure_ascii=False)
    yield from ("order_cancelled", "incident", "2026-01-26T00:00:00+08:00")


def mutated(leaf: Scalar) -> Policy | None:
    lines = TEXT.splitlines(keepends=True)
    start = sum(map(len, lines[: leaf.place.line - 1])) + leaf.place.column - 1
    assert TEXT.startswith(leaf.raw, start)
    line_end = "\n" if leaf.raw.endswith("\n") else ""
    for value in mutations(leaf.value):
        try:
            return Policy.from_text(TEXT[:start] + value + line_end + TEXT[start + len(leaf.raw) :])
        except PolicyRefused:
            continue
    return None


def test_every_field_of_the_default_policy_is_named_when_it_changes() -> None:
    root, _ = parse(TEXT, "p.yaml")
    assert root is not None
    unchangeable = []
    for path, leaf in leaves(root):
        other = mutated(leaf)
        if other is None:
            unchangeable.append(path[-1])
            continue
        changes = differences(default_policy(), other)
        named = {change.name for change in changes}
        exact, above = ".".join(path), ".".join(path[:-1])
        assert named & {exact, above}, (path, named)
        also = {"conditions", "restrictions"} | ({"selection"} if path == ("policy",) else set())  # its id draws too
        assert all(name.split(".")[0] in {path[0], *also} for name in named), (path, named)
    assert unchangeable == ["withdraw"]  # there is one word for it


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("order.paid_minor < 30000", "order.paid_minor < 20000", "(300.00 → 200.00 CNY): stricter"),
        ("order.paid_minor <= 20000", "order.paid_minor <= 30000", "(200.00 → 300.00 CNY): looser"),
        ("30000 > order.paid_minor", "20000 > order.paid_minor", "stricter"),
        ("buyer.account_age_days >= 90", "buyer.account_age_days >= 120", "(90 → 120 days): stricter"),
        ("!(order.paid_minor >= 30000)", "!(order.paid_minor >= 20000)", "stricter"),
        ("good || order.paid_minor > 1", "good || order.paid_minor > 2", "stricter"),
        ("order.lines.all(l, l.quantity < 3)", "order.lines.all(l, l.quantity < 4)", "(3 → 4 units): looser"),
        ("order.hold in ['none']", "order.hold in ['none', 'presale']", "looser"),
        ("!(order.hold in ['none'])", "!(order.hold in ['none', 'presale'])", "stricter"),
        ("good ? order.paid_minor < 3 : good", "good ? order.paid_minor < 2 : good", "stricter"),
    ],
)
def test_a_constant_that_moved_is_said_with_its_direction(old: str, new: str, says: str) -> None:
    assert what(old, new).endswith(says)
    opposite = says.replace("stricter", "?").replace("looser", "stricter").replace("?", "looser").split()[-1]
    assert what(new, old).endswith(opposite)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("order.paid_minor == 1", "order.paid_minor == 2"),
        ("order.paid_minor * 5 < 9", "order.paid_minor * 4 < 9"),
        ("(order.paid_minor < 3) == good", "(order.paid_minor < 2) == good"),
        ("(order.paid_minor < 3) ? good : !good", "(order.paid_minor < 2) ? good : !good"),
        ("order.currency < 'B'", "order.currency < 'C'"),
        ("order.hold in ['none']", "order.hold in ['presale']"),
        ("order.paid_minor < 3 && buyer.orders < 3", "order.paid_minor < 2 && buyer.orders < 4"),
        ("order.paid_minor < 3", "order.paid_minor <= 3"),
        ("good", "good && order.paid_minor < 3"),
    ],
)
def test_no_direction_is_said_where_it_is_not_certain(old: str, new: str) -> None:
    said = what(old, new)
    assert "stricter" not in said
    assert "looser" not in said
    assert "→" in said


def test_a_direction_is_not_said_when_the_fact_means_something_else_too() -> None:
    small = small_text("buyer.orders > 3")
    changes = between(small, small.replace("> 3", "> 4").replace("over: 90d", "over: 30d"))
    assert not any("stricter" in change.what or "looser" in change.what for change in changes)


def test_a_definition_is_said_with_the_conditions_that_need_it() -> None:
    old = SMALL.replace("good: buyer.orders > 3", "good: better\n  better: buyer.orders > 3\n  idle: 1 < 2")
    changes = {change.name: change for change in between(old, old.replace("orders > 3", "orders > 4"))}
    assert changes["definitions.better"].used_by == ("a",)
    assert changes["conditions.a"].what.endswith("(3 → 4 events): stricter")
    assert changes["conditions.a"].decides
    (idle,) = between(old, old.replace("1 < 2", "1 < 3"))
    assert (idle.name, idle.decides, idle.used_by) == ("definitions.idle", False, ())


def test_a_definition_written_out_decides_nothing() -> None:
    (change,) = between(SMALL, small_text("buyer.orders > 3"))
    assert (change.decides, change.what.endswith("the same, written otherwise")) == (False, True)


def test_conditions_added_removed_and_reordered() -> None:
    row = "  - {id: a, when: good, public: true, text: {zh: 甲, en: A}}\n"
    two = SMALL.replace(row, row + row.replace("id: a", "id: b"))
    (added,) = between(SMALL, two)
    (removed,) = between(two, SMALL)
    moved_text = "reordered: b, a; the outcome stays, the first one that stops a request may be another"
    (moved,) = between(two, SMALL.replace(row, row.replace("id: a", "id: b") + row))
    assert (added.name, added.what[:5], added.decides) == ("conditions.b", "added", True)
    assert (removed.name, removed.what[:7], removed.decides) == ("conditions.b", "removed", True)
    assert (moved.name, moved.what, moved.decides) == ("conditions", moved_text, False)


def test_a_definition_that_moved_is_said_with_its_direction_and_one_that_comes_or_goes_is_not() -> None:
    old = SMALL.replace("good: buyer.orders > 3", "good: buyer.orders > 3\n  idle: 1 < 2")
    changes = {change.name: change for change in between(SMALL, SMALL.replace("orders > 3", "orders > 4"))}
    assert changes["definitions.good"].what.endswith("true less often")
    (added,), (removed,) = between(SMALL, old), between(old, SMALL)
    assert (added.name, removed.name) == ("definitions.idle", "definitions.idle")
    assert added.what.startswith("added") and removed.what.startswith("removed")


def test_a_cap_that_comes_or_goes_is_said_whole() -> None:
    row = "  per_shop: {amount_minor: 2000000, over: 1h}\n"
    (removed,) = between(TEXT, TEXT.replace(row, ""))
    (added,) = between(TEXT.replace(row, ""), TEXT)
    assert (removed.name, removed.decides, removed.used_by) == ("caps.per_shop", True, ("within_caps",))
    assert removed.what.startswith("removed") and removed.what.endswith(": looser")
    assert added.what.startswith("added") and added.what.endswith(": stricter")


def test_a_constant_beside_a_definition_that_came_or_changed_has_no_direction() -> None:
    """Whether the condition got stricter cannot be told when the definition in it means something else."""
    old = small_text("good && buyer.level > 3")
    new = small_text("better && buyer.level > 4").replace("good: buyer.orders > 3", "better: buyer.orders > 2")
    (change,) = [change for change in between(old, new) if change.name == "conditions.a"]
    assert "stricter" not in change.what and "looser" not in change.what


def test_a_cap_is_said_with_its_direction() -> None:
    (tighter,) = between(TEXT, TEXT.replace("count: 3, amount_minor: 60000", "count: 3, amount_minor: 50000"))
    assert (tighter.name, tighter.used_by) == ("caps.per_buyer.amount_minor", ("within_caps",))
    assert tighter.what == "600.00 CNY → 500.00 CNY: stricter"
    (shorter,) = between(TEXT, TEXT.replace("amount_minor: 60000, over: 30d", "amount_minor: 60000, over: 60h"))
    assert (shorter.name, shorter.what) == ("caps.per_buyer.over", "30d → 60h: looser")
    (open_ended,) = between(TEXT, TEXT.replace("{count: 3, amount_minor: 60000", "{amount_minor: 60000"))
    assert open_ended.what == "3 → no limit: looser"
    abroad = TEXT.replace("currency: CNY", "currency: USD").replace("amount_minor: 60000", "amount_minor: 50000")
    assert "caps.per_buyer.amount_minor: 600.00 CNY → 500.00 USD" in [
        f"{c.name}: {c.what}" for c in between(TEXT, abroad)
    ]


@pytest.mark.parametrize("policy", [default_policy()])
def test_a_tree_is_written_as_text_that_reads_as_the_same_tree(policy: Policy) -> None:
    for condition in policy.conditions:
        text = TEXT.replace(f"when: {condition.when}", f"when: {json.dumps(unparse(condition.tree))}")
        assert between(TEXT, text) == ()


@pytest.mark.parametrize("method", ["startsWith", "endsWith", "contains"])
def test_a_method_is_written_with_what_it_looks_for(method: str) -> None:
    when = f"order.currency.{method}('C')"
    assert unparse(small_policy(when).conditions[0].tree) == when


def test_an_amount_that_moved_with_the_currency_is_not_said_in_either() -> None:
    cheaper = TEXT.replace("limit_minor: 30000", "limit_minor: 20000")
    abroad = cheaper.replace("currency: CNY", "currency: USD")
    said = {change.name: change.what for change in between(TEXT, abroad)}
    moved = "by its parameters: `order.paid_minor < 30000` → `order.paid_minor < 20000`"
    assert said["conditions.paid_under_300"] == moved


@pytest.mark.parametrize(("percent", "means"), [(3, "more"), (1, "fewer")])
def test_a_held_out_share_is_said_with_its_direction(percent: int, means: str) -> None:
    (change,) = between(TEXT, TEXT.replace("hold_out_percent: 2", f"hold_out_percent: {percent}"))
    assert change.what == f"2 → {percent}: {means} buyers are held out"


@pytest.mark.parametrize(("one", "other"), [("Alpha", "Zulu"), ("Zulu", "Alpha")])
def test_a_text_that_changed_is_named_whichever_comes_first_in_the_alphabet(one: str, other: str) -> None:
    old, new = (SMALL.replace("en: Title", f"en: {text}") for text in (one, other))
    (change,) = between(old, new)
    assert (change.name, change.what, change.decides) == ("title.en", f"“{one}” → “{other}”", False)


def test_figures_that_are_hidden_or_shown_are_said_so() -> None:
    shown = SMALL.replace("public: true,", "public: true, detail: public,")
    hidden = SMALL.replace("public: true,", "public: true, detail: private,")
    for old, new, says in ((hidden, shown, "public"), (shown, hidden, "private")):
        (change,) = between(old, new)
        assert (change.name.rsplit(".", 1)[1], change.what) == ("detail", f"its figures are made {says}")


def test_what_a_buyer_is_told_of_a_restriction_is_read_and_decides_nothing() -> None:
    rule = "    for: 90d\n"
    told = TEXT.replace(rule, f"{rule}    text: {{zh: 多次取消, en: Cancels often}}\n")
    assert [dict(one.text) for one in Policy.from_text(TEXT).restrictions] == [{}]
    assert [dict(one.text) for one in Policy.from_text(told).restrictions] == [
        {"zh": "多次取消", "en": "Cancels often"}
    ]
    for old, new in ((TEXT, told), (told, TEXT)):
        changes = between(old, new)
        assert {change.name.rpartition(".")[0] for change in changes} <= {
            "restrictions.serial_canceller",
            "restrictions.serial_canceller.text",
        }
        assert changes and not any(change.decides for change in changes)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("order.lines.map(l, l.paid_minor).sum() < 300", "order.lines.map(l, l.paid_minor).sum() < 200",
         " (3.00 → 2.00 CNY): stricter"),
        ("order.lines.filter(l, l.virtual).size() <= 1", "order.lines.filter(l, l.virtual).size() <= 2",
         " (1 → 2 lines): looser"),
        ("order.lines.filter(l, l.quantity > 1).size() <= 1", "order.lines.filter(l, l.quantity > 2).size() <= 1",
         "`l.quantity > 1` → `l.quantity > 2` (1 → 2 units)"),
        ("order.lines.exists_one(l, l.virtual)", "order.lines.exists(l, l.virtual)",
         "`order.lines.exists_one(l, l.virtual)` → `order.lines.exists(l, l.virtual)`"),
        ("order.lines.map(l, l.quantity).sum() < 3", "order.lines.filter(l, l.virtual).map(l, l.quantity).sum() < 3",
         "` → `order.lines.filter(l, l.virtual).map"),
    ],
)  # fmt: skip
def test_a_change_of_what_is_made_of_lines_is_said_with_its_unit(old: str, new: str, says: str) -> None:
    said = what(old, new)
    assert says in said
    # whether more lines counted make the whole looser, the words do not guess
    assert ("looser" in said or "stricter" in said) == ("looser" in says or "stricter" in says)


@pytest.mark.parametrize(
    "when",
    [
        "order.lines.map(k, k.virtual, k.paid_minor).sum() < 300",
        "order.lines.filter(k, k.virtual).map(m, m.paid_minor).sum() < (300)",
    ],
)
def test_a_sum_that_is_written_otherwise_is_the_same(when: str) -> None:
    same = "order.lines.filter(l, l.virtual).map(l, l.paid_minor).sum() < 300"
    assert between(small_text(same), small_text(when)) == ()
