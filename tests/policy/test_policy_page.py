"""The reference page of the policy file agrees with the code."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from jsonschema import Draft7Validator

from jitui.policy import FACTS, LINE_FIELDS, Policy
from jitui.policy.language.expression import MAX_CHARACTERS
from jitui.policy.loading.caps_format import CAP
from jitui.policy.loading.file_format import BUYER_FEATURE, POLICY
from jitui.policy.loading.file_kinds import (
    MAX_ENTRIES,
    EitherKind,
    ListKind,
    MapKind,
    PolicyField,
    PolicySection,
    ValueKind,
)
from jitui.policy.loading.json_schema import schema_of
from jitui.policy.loading.yaml_document import MAX_BYTES
from tests.policy.policy_samples import ROOT
from tests.policy.test_json_schema import as_an_editor_reads_it, refused_by_the_schema


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("policy_reference", ROOT / "scripts" / "policy_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


policy_reference = _script()
PAGE: str = policy_reference.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "text"), policy_reference.files().items(), ids=lambda value: getattr(value, "name", "")
)
def test_what_is_made_from_the_definitions_is_up_to_date(path: Path, text: str) -> None:
    """If not, run `.venv/bin/python scripts/policy_reference.py`."""
    assert path.read_text(encoding="utf-8") == text


def test_every_table_of_the_script_is_on_the_page() -> None:
    assert re.findall(r"<!-- table: ([a-z ]+) -->", PAGE) == list(policy_reference.TABLES)


def test_a_table_that_was_edited_by_hand_is_noticed() -> None:
    edited = PAGE.replace("| `order.hold` | string |", "| `order.hold` | int |")
    assert edited != PAGE == policy_reference.page(edited)


def sections(kind: ValueKind) -> Iterator[PolicySection]:
    """A section and all those below it."""
    match kind:
        case PolicySection():
            yield kind
            for field in kind.fields:
                yield from sections(field.kind)
        case ListKind(item):
            yield from sections(item)
        case MapKind(values):
            for _, value in values:
                yield from sections(value)
        case EitherKind(kinds):
            for one in kinds:
                yield from sections(one)


def test_every_key_that_a_file_can_have_is_on_the_page() -> None:
    found = {field.name for section in sections(POLICY) for field in section.fields}
    assert {"policy", "over", "hold_out_percent", "enum", "url", "withdraw", "on_timeout"} <= found
    assert [name for name in sorted(found) if f"| `{name}` |" not in PAGE] == []


def test_every_fact_is_on_the_page_with_its_type_and_unit() -> None:
    for spec in (*FACTS.values(), *LINE_FIELDS.values()):
        assert f"| `{spec.name}` | {spec.type} | {spec.unit} |" in PAGE


@pytest.mark.parametrize(
    "field",
    {(s.what, f.name): f for s in sections(POLICY) for f in s.fields}.values(),
    ids=lambda field: field.name,
)
def test_every_example_fits_its_key(field: PolicyField) -> None:
    example = as_an_editor_reads_it(f"it: {field.example}")["it"]
    assert [error.message for error in Draft7Validator(schema_of(field.kind)).iter_errors(example)] == []


def test_the_policy_on_the_page_loads_without_advice() -> None:
    (text,) = (text for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.S | re.M) if "policy:" in text)
    policy = Policy.from_text(text, "my-policy.yaml")
    assert policy.advice == ()
    assert refused_by_the_schema(as_an_editor_reads_it(text)) == []


def test_the_limits_in_the_prose_are_the_code_s() -> None:
    assert MAX_BYTES == 256 * 1024 and "at most 256 KiB" in PAGE
    assert MAX_CHARACTERS == 8_000 and "at most 8,000 characters" in PAGE
    assert MAX_ENTRIES == 200 and "at most 200 entries" in PAGE
    assert (BUYER_FEATURE.exactly_one_of, CAP.at_least_one_of) == (
        ("count", "sum", "last_age_days"),
        ("count", "amount_minor"),
    )
