"""Writes src/jitui/client/api from the OpenAPI document: a struct for each schema, a function for each operation.

A module for each tag, and `shared` for the schemas that several tags use. The files are not committed: `make` writes
them when the source has changed, a release and an image write their own. Without ruff they say the same, unformatted.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

from jitui.entrypoints.http.openapi import document

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "src" / "jitui" / "client" / "api"

NOT_CALLED = {
    "take_notification": "payment providers call it, and sign what they send",
    "metrics": "Prometheus reads it, as text",
}
"""The operations that the client leaves out, and why."""

MAY_REPEAT = {
    "check_if_eligible": "writes nothing",
    "make_refund_link": "keeps nothing",
    "record_events": "an event counts once, by its id",
    "take_events": "an event counts once, by its source and id",
    "pause_webhook_endpoint": "one that is paused keeps its reason",
    "resume_webhook_endpoint": "it sends or it does not",
    "set_pause": "a place is paused or it is not",
    "resolve_task": "a task keeps its first note",
}
"""The POST calls without an Idempotency-Key that do once what they do twice, and why."""

Json = dict[str, Any]
_SHARED = "shared"
_BY_POSITION = ("Amount", "Money", "PositiveMoney")
_LINE = 120
_REF = re.compile(r"#/components/schemas/(\w+)")
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


def files() -> dict[str, str]:
    """The modules by their names, formatted."""
    api = document()
    schemas: dict[str, Json] = api["components"]["schemas"]
    operations = list(_operations(api))
    homes = _homes(operations, schemas)
    modules = dict.fromkeys([_SHARED, *(_module(operation["tags"][0]) for _, _, operation in operations)])
    found = {}
    for module in modules:
        own = {name: schema for name, schema in schemas.items() if homes.get(name) == module}
        calls = [one for one in operations if _module(one[2]["tags"][0]) == module]
        found[f"{module}.py"] = _formatted(_module_text(module, own, calls, homes, schemas))
    found["__init__.py"] = _formatted(_package(found))
    return found


def _operations(api: Json) -> Iterator[tuple[str, str, Json]]:
    """Method, path and description of each operation that the client covers."""
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            if operation["operationId"] not in NOT_CALLED:
                yield method.upper(), path, operation


def _module(tag: str) -> str:
    return re.sub(r"\W+", "_", tag.lower())


def _homes(operations: list[tuple[str, str, Json]], schemas: Mapping[str, Json]) -> dict[str, str]:
    """The module of each schema that the operations use."""
    users: dict[str, set[str]] = {}
    for _, _, operation in operations:
        successes = {status: one for status, one in operation["responses"].items() if status < "300"}
        used = _named([operation.get("requestBody", {}), successes], schemas)
        used |= {name for one in operation["parameters"] if (name := _enum_of(one["schema"], schemas))}
        for name in used:
            users.setdefault(name, set()).add(_module(operation["tags"][0]))
    homes = {name: next(iter(modules)) if len(modules) == 1 else _SHARED for name, modules in users.items()}
    for name, home in [*homes.items()]:
        if home == _SHARED:
            homes.update(dict.fromkeys(_named(schemas[name], schemas), _SHARED))
    return homes


def _named(schema: Any, schemas: Mapping[str, Json]) -> set[str]:
    """The names of the schemas that a schema refers to, at any depth, or whose very words it lists."""
    found: set[str] = set()
    left = _refers_to(_without_examples(schema), schemas)
    while left:
        name = left.pop()
        found.add(name)
        left |= _refers_to(schemas[name], schemas) - found
    return found


def _refers_to(schema: Any, schemas: Mapping[str, Json]) -> set[str]:
    return set(_REF.findall(repr(schema))) | {name for one in _within(schema) if (name := _enum_of(one, schemas))}


def _within(schema: Any) -> Iterator[Json]:
    """Every object in a schema."""
    if isinstance(schema, dict):
        yield schema
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for one in inner:
        yield from _within(one)


def _without_examples(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_examples(one) for one in schema]
    if isinstance(schema, dict):
        return {name: _without_examples(one) for name, one in schema.items() if name != "example"}
    return schema


# Modules -----------------------------------------------------------------------------------------------------------


def _module_text(
    module: str,
    own: Mapping[str, Json],
    calls: list[tuple[str, str, Json]],
    homes: Mapping[str, str],
    schemas: Mapping[str, Json],
) -> str:
    parts = [_class(name, own[name], schemas) for name in sorted(own, key=lambda name: "enum" not in own[name])]
    parts += [_function(*call, schemas) for call in calls]
    text = "\n\n\n".join(parts)
    names = set(re.findall(r"\b[A-Z]\w+\b", re.sub(r'""".*?"""', "", text, flags=re.DOTALL)))
    others = sorted(name for name in names & set(homes) if homes[name] != module)
    about = f"{calls[0][2]['tags'][0]}: values and calls" if calls else "Values that several resources share"
    lines = [f'"""{about}. Written by scripts/client_api.py."""', "", "from __future__ import annotations", ""]
    lines += _imports(text, names)
    lines += [f"from jitui.client.api.{_SHARED} import {', '.join(others)}"] if others else []
    return "\n".join(lines) + f"\n\n\n{text}\n"


def _imports(text: str, names: set[str]) -> list[str]:
    def of(module: str, *wanted: str) -> list[str]:
        used = [name for name in wanted if re.search(rf"\b{name}\b", text)]
        return [f"from {module} import {', '.join(used)}"] if used else []

    found = [*of("collections.abc", "Mapping", "Sequence"), *of("datetime", "datetime"), *of("typing", "Literal")]
    found += of("uuid", "UUID")
    found += of("msgspec", "UNSET", "UnsetType")
    return [
        *found,
        *of("jitui.client.call", "Call", "ListCall", "Sent", "Shown", "Word", "if_match", "new_idempotency_key"),
    ]


def _package(modules: Mapping[str, str]) -> str:
    names = {
        name.removesuffix(".py"): sorted(re.findall(r"^(?:class|def) (\w+)", text, flags=re.MULTILINE))
        for name, text in modules.items()
    }
    lines = ['"""Every call of the API, and the values it sends and answers. Written by scripts/client_api.py."""', ""]
    lines += [f"from jitui.client.api.{module} import {', '.join(found)}" for module, found in names.items()]
    everything = sorted(name for found in names.values() for name in found)
    return "\n".join([*lines, "", f"__all__ = {everything!r}", ""])


def _formatted(text: str) -> str:
    """The text as ruff sorts and formats it; as it is where there is no ruff, as in an image."""
    if importlib.util.find_spec("ruff") is None:
        return text
    ours = 'lint.isort.known-first-party=["jitui"]'  # ruff looks for the imported files, which may not be written yet
    sort = ["check", "--quiet", "--fix", "--select", "I,RUF022", "--config", ours]
    for command in (sort, ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(FOLDER / "written.py"), "-"],
            input=text, capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        text = done.stdout
    return text


# Values ------------------------------------------------------------------------------------------------------------


def _class(name: str, schema: Json, schemas: Mapping[str, Json]) -> str:
    about = _docstring(schema.get("description", f"{name}."), 4)
    if "enum" in schema:
        members = [f"    {_member(word)} = {word!r}" for word in schema["enum"]]
        return "\n".join([f"class {name}(Word):", about, "", *members])
    required = set(schema.get("required", []))
    fields = [_field(field, told, schemas, needed=field in required) for field, told in schema["properties"].items()]
    if not _is_sent(name):
        fields = [re.sub(r"Sequence\[(\w+)\]", r"tuple[\1, ...]", field) for field in fields]
    base = "Sent" if _is_sent(name) else "Shown"
    order = "" if name in _BY_POSITION else ", kw_only=True"
    return "\n".join([f"class {name}({base}, frozen=True{order}):", about, "", *fields])


def _member(word: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", word.upper())


def _is_sent(name: str) -> bool:
    return name.endswith("Sent") or name in ("Money", "PositiveMoney", "HistoryData")


def _field(name: str, told: Json, schemas: Mapping[str, Json], *, needed: bool) -> str:
    kind = _type(told, schemas)
    if needed:
        return f"    {name}: {kind}"
    if "default" not in told:
        options = [one for one in (*kind.split(" | "), "UnsetType", "None") if one != "None" or "None" in kind]
        return f"    {name}: {' | '.join(dict.fromkeys(sorted(options, key=lambda one: one == 'None')))} = UNSET"
    default = told["default"]
    if "$ref" in told:
        return f"    {name}: {kind} = {kind}.{_member(default)}"
    return f"    {name}: {kind} = {() if default == [] else default!r}"


def _type(told: Json, schemas: Mapping[str, Json]) -> str:
    if "$ref" in told:
        return str(_REF.fullmatch(told["$ref"])[1])  # type: ignore[index]
    if "anyOf" in told:
        return " | ".join("None" if one.get("type") == "null" else _type(one, schemas) for one in told["anyOf"])
    if "enum" in told:
        return _enum_of(told, schemas) or f"Literal[{', '.join(map(repr, told['enum']))}]"
    match told.get("type"):
        case "array":
            return f"Sequence[{_type(told['items'], schemas)}]"
        case "object":
            inner = told.get("additionalProperties")
            return f"Mapping[str, {_type(inner, schemas) if isinstance(inner, dict) else 'object'}]"
        case "string":
            return {"uuid": "UUID", "date-time": "datetime"}.get(told.get("format", ""), "str")
        case None:
            return "object"
        case scalar:
            return _SCALARS[scalar]


def _enum_of(told: Json, schemas: Mapping[str, Json]) -> str | None:
    """The name of the schema with exactly these words."""
    words = told.get("enum")
    return next((name for name, schema in schemas.items() if words and schema.get("enum") == words), None)


# Calls -------------------------------------------------------------------------------------------------------------


def _function(method: str, path: str, operation: Json, schemas: Mapping[str, Json]) -> str:
    answer, statuses = _answer(operation)
    places: list[str] = []
    options: list[str] = []
    values: dict[str, str] = {}
    queries: dict[str, str] = {}
    headers: dict[str, str] = {}
    body, media_type = _body(operation)
    for one in operation["parameters"]:
        name = _argument(one["name"])
        is_match = one["name"] == "If-Match"  # the ticket's version, as a number
        kind = "int" if is_match else _type(one["schema"], schemas)
        if one["in"] == "path":
            places.append(f"{name}: {kind}")
            values[one["name"]] = name
            continue
        if one["name"] == "Idempotency-Key":
            options.append("idempotency_key: str | None = None")
            continue
        options.append(f"{name}: {kind}" if one["required"] else f"{name}: {kind} | None = None")
        (queries if one["in"] == "query" else headers)[one["name"]] = "if_match(version)" if is_match else name
    rows, listed = _rows(operation, answer, schemas)
    positional = [*places, *([f"sent: {body}"] if body else [])]
    kind = f"ListCall[{answer}, {listed}]" if rows else f"Call[{answer}]"
    arguments = ", ".join([*positional, *(["*", *options] if options else [])])
    lines = [f"def {operation['operationId']}({arguments}) -> {kind}:"]
    lines += [_docstring(_about(operation), 4), f"    return {'ListCall' if rows else 'Call'}("]
    lines += [f"        operation={operation['operationId']!r}, method={method!r}, path={path!r},"]
    lines += [f"        answer={answer if answer != 'None' else 'type(None)'}, statuses={statuses!r},"]
    lines += _mapping("places", values) + _mapping("query", queries) + _mapping("headers", headers)
    lines += ["        body=sent,"] if body else []
    lines += [f"        media_type={media_type!r},"] if media_type != "application/json" else []
    keyed = "idempotency_key: str | None = None" in options
    lines += ["        idempotency_key=idempotency_key or new_idempotency_key(),"] if keyed else []
    may_repeat = keyed or method != "POST" or operation["operationId"] in MAY_REPEAT
    lines += ["        may_repeat=True,"] if may_repeat else []
    lines += [f"        rows={rows!r},"] if rows else []
    lines += ["        cursor='after', ends=False,"] if rows and "after" in queries else []
    return "\n".join([*lines, "    )"])


def _argument(name: str) -> str:
    return {"If-Match": "version", "Jitui-Deadline-Ms": "deadline_ms"}.get(name, name)


def _mapping(name: str, values: Mapping[str, str]) -> list[str]:
    inside = ", ".join(f"{key!r}: {value}" for key, value in values.items())
    return [f"        {name}={{{inside}}},"] if values else []


def _answer(operation: Json) -> tuple[str, tuple[int, ...]]:
    """The name of the answer's schema, and the statuses that have it."""
    found = {int(status): one for status, one in operation["responses"].items() if status < "300"}
    contents = [one.get("content", {}).get("application/json", {}).get("schema", {}) for one in found.values()]
    (answer,) = {content.get("$ref", "None").rpartition("/")[2] for content in contents}
    return answer, tuple(sorted(found))


def _body(operation: Json) -> tuple[str, str]:
    """The type of the body and its media type; a batch where there is one. Empty without a body."""
    if "requestBody" not in operation:
        return "", "application/json"
    content = operation["requestBody"]["content"]
    media_type = next((name for name in content if name.endswith("-batch+json")), next(iter(content)))
    schema = content[media_type]["schema"]
    kind = _type(schema, {})
    return (kind if operation["requestBody"]["required"] else f"{kind} | None = None"), media_type


def _rows(operation: Json, answer: str, schemas: Mapping[str, Json]) -> tuple[str, str]:
    """The property with the rows of a page, and their type; empty for what is no paged list."""
    if not {"cursor", "after"} & {one["name"] for one in operation["parameters"]}:
        return "", ""
    ((name, told),) = [
        (name, told) for name, told in schemas[answer]["properties"].items() if told.get("type") == "array"
    ]
    return name, _type(told["items"], schemas)


def _about(operation: Json) -> str:
    """What the operation does and who may call it; the media types of other clients are not told."""
    description = re.sub(r" With `Accept: .*?next page\.", "", operation["description"])
    return f"{operation['summary']}. {description}"


def _docstring(text: str, indent: int) -> str:
    text = " ".join(text.split())
    if len(text) <= _LINE - indent - 6:
        return " " * indent + f'"""{text}"""'
    first, dot, rest = text.partition(". ")
    lines = [*wrap(f"{first}.".replace("..", "."), _LINE - indent - 3), "", *wrap(rest, _LINE - indent)]
    if not dot or len(lines[0]) + 3 > _LINE - indent:
        lines = wrap(text, _LINE - indent - 3)
    lines[0] = f'"""{lines[0]}'
    return "\n".join((" " * indent + line).rstrip() for line in [*lines, '"""'])


def main() -> None:
    """Write the files; those of a tag that is gone are removed."""
    FOLDER.mkdir(exist_ok=True)
    written = files()
    for old in FOLDER.glob("*.py"):
        if old.name not in written:
            old.unlink()
    for name, text in written.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
