"""The client's calls and values are those of the OpenAPI document."""

from __future__ import annotations

import importlib.util
import json
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from types import GenericAlias, ModuleType
from typing import Any

import msgspec
import pytest

from jitui.client import api
from jitui.client.call import Call, ListCall, Word
from jitui.entrypoints.http.openapi import document
from jitui.entrypoints.http.operation import described
from jitui.entrypoints.http.resources import HANDLERS


def _script() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "client_api.py"
    spec = importlib.util.spec_from_file_location("client_api", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


client_api = _script()
DOCUMENT = document()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
COVERED = sorted(set(OPERATIONS) - set(client_api.NOT_CALLED))
BODIES = {handler.handler_name: described(handler).body for handler in HANDLERS}


ARGUMENTS = {"If-Match": "version", "Jitui-Deadline-Ms": "deadline_ms", "Idempotency-Key": "idempotency_key"}


def test_the_written_files_are_what_the_document_says() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in client_api.FOLDER.glob("*.py")}
    assert written == client_api.files(), "run: .venv/bin/python scripts/client_api.py"


def test_every_operation_is_covered_or_left_out_on_purpose() -> None:
    functions = {name for name in api.__all__ if name[0].islower()}
    assert functions == set(COVERED)
    assert set(client_api.NOT_CALLED) <= set(OPERATIONS)
    assert set(client_api.MAY_REPEAT) <= {name for name, (method, _, _) in OPERATIONS.items() if method == "POST"}


def example_call(name: str) -> Call[Any]:
    """The call with the document's examples, and every parameter given."""
    _, _, operation = OPERATIONS[name]
    hints = typing.get_type_hints(getattr(api, name))
    arguments: dict[str, Any] = {}
    for parameter in operation["parameters"]:
        argument = {
            "If-Match": "version",
            "Jitui-Deadline-Ms": "deadline_ms",
            "Idempotency-Key": "idempotency_key",
        }.get(parameter["name"], parameter["name"])
        sample = 7 if parameter["name"] == "If-Match" else parameter.get("example", sample_of(parameter["schema"]))
        arguments[argument] = msgspec.convert(sample, hints[argument])
    if "sent" in hints:
        arguments["sent"] = msgspec.convert(body_example(operation), hints["sent"])
    made: Call[Any] = getattr(api, name)(**arguments)
    return made


def sample_of(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("format") == "date-time":
        return "2026-06-01T12:00:00Z"
    return 5 if schema["type"] == "integer" else "x"


def body_example(operation: Any) -> Any:
    content = operation["requestBody"]["content"]
    return content[next((name for name in content if name.endswith("-batch+json")), next(iter(content)))]["example"]


@pytest.mark.parametrize("name", COVERED)
def test_a_call_is_sent_as_its_operation_says(name: str) -> None:
    method, path, operation = OPERATIONS[name]
    call = example_call(name)
    places = {one["name"]: one["example"] for one in operation["parameters"] if one["in"] == "path"}
    assert (call.operation, call.method, call.address) == (name, method, path.format_map(places))
    queries = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
    assert set(call.parameters) == queries
    headers = {one["name"]: one["schema"] for one in operation["parameters"] if one["in"] == "header"}
    assert set(call.header_fields) == set(headers)
    for header, text in call.header_fields.items():
        assert re.fullmatch(headers[header].get("pattern", ".*"), text), (header, text)
    assert call.may_repeat or (method == "POST" and name not in client_api.MAY_REPEAT)
    assert isinstance(call, ListCall) == bool(queries & {"cursor", "after"})


@pytest.mark.parametrize("name", [name for name in COVERED if "requestBody" in OPERATIONS[name][2]])
def test_a_body_is_read_by_the_service_as_it_was_meant(name: str) -> None:
    call, (_, _, operation) = example_call(name), OPERATIONS[name]
    assert call.media_type in operation["requestBody"]["content"]
    assert call.content is not None
    kind: Any = BODIES[name]
    if call.media_type.endswith("-batch+json"):
        kind = GenericAlias(list, (kind,))
    assert msgspec.json.decode(call.content, type=kind) == msgspec.convert(body_example(operation), kind)


@pytest.mark.parametrize("name", COVERED)
def test_an_answer_of_the_document_is_read_without_loss(name: str) -> None:
    call, (_, _, operation) = example_call(name), OPERATIONS[name]
    answers = {status: one.get("content", {}) for status, one in operation["responses"].items() if status < "300"}
    assert {int(status) for status in answers} == set(call.statuses)
    for content in answers.values():
        if not content:
            assert call.answer is type(None)
            continue
        example = content["application/json"]["example"]
        read = msgspec.json.decode(json.dumps(example), type=call.answer)
        assert contains(msgspec.to_builtins(read), msgspec.to_builtins(example))
        if isinstance(call, ListCall):
            assert len(call.rows_of(read)) == len(example[call.rows])


def contains(whole: Any, part: Any) -> bool:
    """Whether everything of `part` is in `whole`."""
    if isinstance(part, dict):
        return all(name in whole and contains(whole[name], value) for name, value in part.items())
    if isinstance(part, list | tuple):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)


VALUES: dict[str, Any] = {name: getattr(api, name) for name in api.__all__ if name[0].isupper()}


@pytest.mark.parametrize("name", [name for name, kind in VALUES.items() if issubclass(kind, msgspec.Struct)])
def test_a_value_has_the_fields_of_its_schema(name: str) -> None:
    kind = VALUES[name]
    fields = {field.encode_name: field.required for field in msgspec.structs.fields(kind)}
    assert fields == {field: field in SCHEMAS[name]["required"] for field in SCHEMAS[name]["properties"]}
    assert kind.__struct_config__.frozen


@pytest.mark.parametrize("name", [name for name, kind in VALUES.items() if issubclass(kind, Word)])
def test_a_word_list_has_the_words_of_its_schema(name: str) -> None:
    assert [word.value for word in VALUES[name]] == SCHEMAS[name]["enum"]


@pytest.mark.parametrize("text", ["o/1", "..", ".", "o 1", "单", "a%2Fb", "?x=1", "#"], ids=ascii)
def test_an_id_stays_one_part_of_the_address(text: str) -> None:
    address = api.get_order(text).address
    assert address.count("/") == 3 and address.startswith("/v1/orders/")
    assert not set(address.rpartition("/")[2]) & set(" ?#") and address.rpartition("/")[2] not in (".", "..")


def test_a_word_that_is_not_known_yet_is_kept() -> None:
    read = msgspec.json.decode(b'"arbitrated"', type=api.TicketState)
    assert (read, read.value, isinstance(read, api.TicketState)) == ("arbitrated", "arbitrated", True)
    assert msgspec.json.encode(read) == b'"arbitrated"'
    assert "arbitrated" not in [state.value for state in api.TicketState]


def test_a_call_keeps_its_key_and_another_one_has_another() -> None:
    first, second = (api.ask_for_a_refund(api.RefundRequestSent(order_id="o-1")) for _ in range(2))
    assert first.header_fields["Idempotency-Key"] == first.idempotency_key
    assert first.header_fields == first.header_fields
    assert first.idempotency_key != second.idempotency_key
    assert api.ask_for_a_refund(api.RefundRequestSent(order_id="o-1"), idempotency_key="k").idempotency_key == "k"
