"""The JSON Schema and the loader accept the same policies, as far as a schema can tell."""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from jitui.money import MAX_AMOUNT_MINOR
from jitui.policy import Policy, PolicyRefused
from jitui.policy.loading.json_schema import policy_schema
from jitui.policy.loading.yaml_document import Listing, Node, Scalar, parse
from tests.policy.policy_samples import ROOT, SMALL

SCHEMA_FILE = ROOT / "policies" / "policy.schema.json"
VALIDATOR = Draft7Validator(policy_schema())
POLICY_FILES = sorted(
    path
    for folder in (ROOT / "policies", ROOT / "examples" / "policies")
    for path in folder.glob("*.yaml")
    if not path.name.endswith(".cases.yaml")
)

FULL = """\
policy: full
version: "1"
effective_from: 2025-01-26T00:00:00+08:00
currency: CNY
title: {zh: 题, en: Title}
legal_basis: {zh: 规则, en: Rules, url: "https://example.com/rules"}
parameters: {spare: -3}
lists: {homes: [CN-54]}
attributes: {buyer.level: int, buyer.member: bool, buyer.tier: {enum: [gold, silver]}, shop.score: int}
features:
  buyer.orders: {count: order_paid, over: 90d}
  buyer.spent: {sum: order_paid, over: 730d}
  shop.quiet: {last_age_days: shipped, over: 1d}
definitions: {yes: 1 < 2}
conditions:
  - {id: a, when: order.paid_minor < 3, public: true, detail: private, text: {zh: 甲, en: A}}
selection: {hold_out_percent: 2, seed: spring}
caps:
  per_buyer: {count: 3, amount_minor: 60000, over: 30d}
  per_shop: {amount_minor: 2000000, over: 1h}
  per_category: {count: 9, over: 1d}
  per_cluster: {count: 9, over: 1d}
  platform: {count: 0, over: 17520h}
  alerts_at_percent: [50, 100]
guards: {false_alarm_percent: 5, incident_rate: {above_live_percent: 0, counts_after: 48h},
  refund_failures: {above_live_percent: 10, counts_after: 1d}, money_out: {above_live_percent: 25},
  share_instant: {above_live_percent: 50}, repeat_requests: {above_live_percent: 25}}
loss: {incident_cost_percent: 60, lost_dispute_cost_minor: 20000, review_minute_cost_minor: 60,
  borne_by: split, shop_percent: 40}
restrictions: [{id: r, when: buyer.account_age_days < 3, withdraw: instant_refund, for: 90d}]
gates:
  shops:
    - id: s
      leave_when: shop.score < 60
      return_when: shop.score >= 70
      leave_after: 1d
      return_after: 90d
      notice: 0d
      public: true
      text: {zh: 甲, en: A}
      return_text: {zh: 乙, en: B}
  categories: [{id: c, categories: [rings], notice: 365d, public: false, text: {zh: 甲, en: A}}]
  items: [{id: i, items: [i-1], notice: 15d, public: true, text: {zh: 甲, en: A}}]
review: {deadline: 48h, on_timeout: approve}
stop_ship: {approve_when_held_within_minutes: 30}
advance: {at_most_minor: 30000}
notice: {zh: 知, en: N}
notice_period: 7d
"""

_ITEM_GATE = "{id: i, items: [i-1], notice: 15d, public: true, text: {zh: 甲, en: A}}"
_SHOP_GATE = (
    "{id: s, leave_when: shop.score < 60, return_when: shop.score > 60, leave_after: 3d, notice: 0d, public: true, "
    "text: {zh: 甲, en: A}, return_text: {zh: 乙, en: B}}"
)
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def as_an_editor_reads_it(text: str) -> Any:
    """The document by the core schema of YAML 1.2, which is what editors hold against a JSON Schema."""
    root, problems = parse(text, "p.yaml")
    assert root is not None and not problems, problems
    return _value(root)


def _value(node: Node) -> Any:
    if isinstance(node, Listing):
        return [_value(item) for item in node.items]
    if not isinstance(node, Scalar):
        return {key.value: _value(value) for key, value in node.entries}
    if not node.plain:
        return node.value
    if _NULL.fullmatch(node.value):
        return None
    if _BOOLEAN.fullmatch(node.value):
        return node.value.lower() == "true"
    if _INTEGER.fullmatch(node.value):
        return int(node.value)
    return (
        float(node.value.replace(".inf", "inf").replace(".nan", "nan")) if _FLOAT.fullmatch(node.value) else node.value
    )


def refused_by_the_schema(document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def refused_by_the_loader(text: str) -> list[str]:
    try:
        Policy.from_text(text, "p.yaml")
    except PolicyRefused as refusal:
        return [problem.message for problem in refusal.problems]
    return []


def test_the_schema_file_is_what_the_command_prints() -> None:
    """Made anew by `.venv/bin/python scripts/policy_reference.py`."""
    Draft7Validator.check_schema(policy_schema())
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == policy_schema()


@pytest.mark.parametrize("path", POLICY_FILES, ids=lambda path: path.stem)
def test_the_policies_of_the_tree_fit_and_name_the_schema_for_editors(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert refused_by_the_schema(as_an_editor_reads_it(text)) == []
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None
    assert (path.parent / named[1]).resolve() == SCHEMA_FILE


def policies_of_the_tests() -> Iterator[tuple[str, str]]:
    """Every text in a test that the loader takes for a policy."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\nconditions:" in node.value:
                text = node.value
                if text.startswith(("policy:", "#")) and not refused_by_the_loader(text):
                    yield f"{path.name}:{node.lineno}", text


def test_the_policies_of_the_tests_fit() -> None:
    found = dict(policies_of_the_tests())
    assert len(found) >= 4
    refused = {place: refused_by_the_schema(as_an_editor_reads_it(text)) for place, text in found.items()}
    assert {place: said for place, said in refused.items() if said} == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("policy: small", "polisy: small"),
        ("policy: small", "policy: Small"),
        ("policy: small", f"policy: {'a' * 64}"),
        ('version: "1"\n', ""),
        ('version: "1"', "version: 1.10"),
        ('version: "1"', "version: 1"),
        ('version: "1"', "version:"),
        ('version: "1"', 'version: " "'),
        ("2025-01-26T00:00:00+08:00", "2025-01-26T00:00:00"),
        ("2025-01-26T00:00:00+08:00", "2025-13-26T00:00:00+08:00"),
        ("2025-01-26T00:00:00+08:00", "yesterday"),
        ("CNY", "cny"),
        ("CNY", "RMB"),
        ("CNY", "XAU"),
        ("{zh: 题, en: Title}", "{zh: 题}"),
        ("{zh: 题, en: Title}", "Title"),
        ("{zh: 题, en: Title}", "{zh: 题, en: Title, fr: Titre}"),
        ("over: 90d", "over: 36h"),
        ("over: 90d", "over: 731d"),
        ("over: 90d", "over: 0d"),
        ("over: 90d", "over: 90"),
        (", over: 90d", ""),
        ("count: order_paid", "count: order_payed"),
        ("count: order_paid", "count: shipped"),
        ("count: order_paid", "sum: dispute_lost"),
        ("count: order_paid", "count: order_paid, sum: order_paid"),
        ("count: order_paid, ", ""),
        ("buyer.orders: {", "order.orders: {"),
        ("buyer.orders: {", "buyer.selected: {"),
        ("buyer.orders: {", "buyer.null: {"),
        ("buyer.level: int", "buyer.level: float"),
        ("buyer.level: int", "order.level: int"),
        ("[gold, silver]", "[]"),
        ("good: buyer.orders > 3", "order: buyer.orders > 3"),
        ("good: buyer.orders > 3", "size: buyer.orders > 3"),
        ("good: buyer.orders > 3", "good: 1.5"),
        ("id: a,", "id: Paid,"),
        ("id: a,", "id: other_factors,"),
        ("public: true, ", ""),
        ("public: true", 'public: "true"'),
        ("public: true", "public: yes"),
        ("public: true", "public: true, detail: secret"),
        ("public: true", "public: true, because: x"),
        ("when: good", 'when: ""'),
        ("when: good", "when: 3"),
        ("48h", "48x"),
        ("48h", "61d"),
        ("48h", "1441h"),
        ("approve}", "aprove}"),
        ("review:", "selection: {hold_out_percent: 101}\nreview:"),
        ("review:", "selection: {hold_out_percent: 2.5}\nreview:"),
        ("review:", "selection: {hold_out: 1}\nreview:"),
        ("review:", "caps: {per_buyer: {over: 3d}}\nreview:"),
        ("review:", "caps: {per_shop: {count: -1, over: 1h}}\nreview:"),
        ("review:", f"caps: {{per_shop: {{amount_minor: {MAX_AMOUNT_MINOR + 1}, over: 1h}}}}\nreview:"),
        ("review:", "caps: {per_shop: {count: 1, over: 1m}}\nreview:"),
        ("review:", "caps: {per_item: {count: 1, over: 1h}}\nreview:"),
        ("review:", "restrictions: [{id: r, when: good, withdraw: refund, for: 3d}]\nreview:"),
        ("review:", "restrictions: [{id: r, when: good, withdraw: instant_refund, for: 72h}]\nreview:"),
        ("review:", "legal_basis: {en: Rules}\nreview:"),
        ("  - {id: a, when: good, public: true, text: {zh: 甲, en: A}}\n", "  []\n"),
    ],
)
def test_what_a_schema_can_see_both_refuse(old: str, new: str) -> None:
    assert old in SMALL
    text = SMALL.replace(old, new, 1)
    assert refused_by_the_loader(text)
    assert refused_by_the_schema(as_an_editor_reads_it(text))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("when: good", "when: goood", "there is no fact goood"),
        ("good: buyer.orders > 3", "good: good", "in a circle"),
        ("id: a,", "id: a, ", ""),  # the text itself is good
        ("2025-01-26T00:00:00+08:00", "2025-02-30T00:00:00+08:00", "date and time with an offset"),
        ('version: "1"', "version: 1.2.3", "put it in quotes"),
        ("public: true", "public: True", "public is true or false"),
    ],
)
def test_what_only_the_loader_sees(old: str, new: str, says: str) -> None:
    text = SMALL.replace(old, new, 1)
    refused = refused_by_the_loader(text)
    assert says in "".join(refused) and bool(refused) == bool(says)
    assert refused_by_the_schema(as_an_editor_reads_it(text)) == []


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("hold_out_percent", ["0", "100"], ["-1", "101"]),
        ("over", ["1d", "730d", "1h", "17520h", "999h", "10000h"], ["0d", "731d", "17521h", "20000h", "01d", "1000d"]),
        ("count", ["0", str(10**9)], [str(10**9 + 1)]),
        ("amount_minor", ["0", str(MAX_AMOUNT_MINOR)], [str(MAX_AMOUNT_MINOR + 1)]),
        ("deadline", ["1h", "1440h", "60d", "59d", "9d"], ["1441h", "61d", "70d", "100d", "0h"]),
        ("above_live_percent", ["0", "1000"], ["-1", "1001"]),
        ("counts_after", ["1h", "720h", "30d"], ["0h", "721h", "31d"]),
        ("false_alarm_percent", ["1", "20"], ["0", "21"]),
        ("for", ["1d", "730d", "699d", "700d"], ["731d", "1h"]),
    ],
)
def test_limits_are_the_same_to_the_unit(name: str, good: list[str], bad: list[str]) -> None:
    start = FULL.index("caps:") if name in ("over", "count", "amount_minor") else 0
    before, text = FULL[:start], FULL[start:]
    for values, refuses in ((good, False), (bad, True)):
        for value in values:
            changed = before + re.sub(rf"\b{name}: [^,}}]+", f"{name}: {value}", text, count=1)
            assert changed != FULL or value in FULL
            assert bool(refused_by_the_loader(changed)) is refuses, (name, value)
            assert bool(refused_by_the_schema(as_an_editor_reads_it(changed))) is refuses, (name, value)


# Every place of a whole policy, changed ---------------------------------------------------------------------------

Place = tuple[str | int, ...]
WHOLE: Any = as_an_editor_reads_it(FULL)
VALUES: tuple[Any, ...] = (None, " ", 5, 1.5, [], {}, "X y", "48h", ["a"])


def places(document: Any, at: Place = ()) -> Iterator[Place]:
    if at:
        yield at
    children = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in children:
        yield from places(value, (*at, key))


def changed(at: Place, change: str, value: Any = None) -> Any:
    """The whole policy with one place left out, given another value, or given another key beside it."""
    document = copy.deepcopy(WHOLE)
    holder = document
    for key in at[:-1]:
        holder = holder[key]
    if change == "without":
        del holder[at[-1]]
    elif change == "with":
        holder[at[-1]] = value
    elif isinstance(holder, dict):
        holder["zzz"] = value
    else:
        holder.append(value)
    return document


def test_the_whole_policy_has_every_key_that_there_is() -> None:
    def keys(schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            yield from schema.get("properties", {})
            for value in schema.values():
                yield from keys(value)
        elif isinstance(schema, list):
            for value in schema:
                yield from keys(value)

    assert set(keys(policy_schema())) <= {key for at in places(WHOLE) for key in at if isinstance(key, str)}


@pytest.mark.parametrize("at", list(places(WHOLE)), ids=lambda at: ".".join(map(str, at)))
def test_at_every_place_both_refuse_the_same_changes(at: Place) -> None:
    changes = [("without", None), ("beside", None), ("beside", "a"), *(("with", value) for value in VALUES)]
    for change, value in changes:
        document = changed(at, change, value)
        text = json.dumps(document, ensure_ascii=False)
        loader, schema = refused_by_the_loader(text), refused_by_the_schema(document)
        about_names = [
            said for said in loader if "there is no fact" in said or "compare it" in said or "not CEL" in said
        ]
        if loader and loader == about_names:
            continue  # what an expression may say is the loader's to know
        assert bool(loader) == bool(schema), (change, value, loader, schema)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(places(WHOLE))), st.sampled_from(VALUES)), min_size=2, max_size=3))
def test_no_editor_marks_what_the_loader_takes(edits: list[tuple[Place, Any]]) -> None:
    document = copy.deepcopy(WHOLE)
    for at, value in edits:
        holder = document
        try:
            for key in at[:-1]:
                holder = holder[key]
            holder[at[-1]] = copy.deepcopy(value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier edit took the place away
    if not refused_by_the_loader(json.dumps(document, ensure_ascii=False)):
        assert refused_by_the_schema(document) == []
