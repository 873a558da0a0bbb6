"""The description agrees with itself, with the code, and with the reference pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.openapi import document
from jitui.entrypoints.http.problems import KINDS, REFUSALS
from jitui.entrypoints.http.routes import OPERATIONS

DOCUMENT = document()
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def contents() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, operation in operations():
        for part in (operation.get("requestBody"), *operation["responses"].values()):
            for content in (part or {}).get("content", {}).values():
                yield name, content


def test_every_body_and_answer_has_an_example_that_fits_its_schema() -> None:
    for name, content in contents():
        schema = {**content["schema"], "components": DOCUMENT["components"]}
        shown = (
            [content["example"]] if "example" in content else [each["value"] for each in content["examples"].values()]
        )
        assert shown, name
        for example in shown:
            jsonschema_rs.validate(schema, example)


def test_every_operation_has_a_name_a_tag_and_its_own_id() -> None:
    found = dict(operations())
    assert len({operation["operationId"] for operation in found.values()}) == len(found) == len(OPERATIONS)
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    for operation in found.values():
        assert operation["summary"]
        assert set(operation["tags"]) <= tags


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    schemas = DOCUMENT["components"]["schemas"]
    assert {reference.removeprefix("#/components/schemas/") for reference in references(DOCUMENT)} <= set(schemas)


def test_every_refusal_has_one_status() -> None:
    assert set(REFUSALS) == set(RefusalCode)
    assert all(KINDS[code.value].status in (403, 404, 409, 412, 422, 429) for code in RefusalCode)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_problem_is_in_the_reference(kind: Any) -> None:
    assert f"| `{kind.type}` | {kind.status} | {kind.title} |" in (REFERENCE / "problems.md").read_text("utf-8")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.operation_id)
def test_every_operation_is_in_the_reference(operation: Any) -> None:
    assert f"`{operation.route}`" in (REFERENCE / "http-api.md").read_text("utf-8")
