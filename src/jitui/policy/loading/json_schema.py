"""The JSON Schema of a policy file, with which editors complete, explain and check a policy.

It is made from `file_format` and contains what a schema can express: keys, types, words, names and limits. Only the
loader (`jitui policy check`) knows what an expression means, which names it may use, and whether an id occurs twice.
Draft 7 is the newest that the common editors all read.
"""

from __future__ import annotations

from jitui.money import currencies
from jitui.policy.loading.file_format import POLICY
from jitui.policy.loading.file_kinds import (
    MAX_ENTRIES,
    BooleanKind,
    CurrencyKind,
    DurationKind,
    EitherKind,
    ExpressionKind,
    IntegerKind,
    ListKind,
    MapKind,
    MomentKind,
    NameKind,
    PolicyField,
    PolicySection,
    ValueKind,
    WordsKind,
    in_words,
)

JsonObject = dict[str, object]
_HOURS_A_DAY = 24
_NOT_BLANK = r"\S"
_MOMENT = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)


def policy_schema() -> JsonObject:
    """The schema of a whole policy file."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Jitui policy",
        **_section(POLICY),
    }


def schema_of(kind: ValueKind) -> JsonObject:
    """The schema of one kind of value."""
    match kind:
        case PolicySection():
            return _section(kind)
        case ListKind(item, least):
            bounds: JsonObject = {"minItems": least} if least else {}
            return {"type": "array", "items": schema_of(item), **bounds, "maxItems": MAX_ENTRIES}
        case MapKind(values):
            return _mapping(values)
        case EitherKind(kinds):
            return {"anyOf": [schema_of(one) for one in kinds]}
        case _:
            return _scalar(kind)


def _scalar(kind: ValueKind) -> JsonObject:
    match kind:
        case BooleanKind():
            return {"type": "boolean"}
        case IntegerKind(least, most):
            return {"type": "integer", "minimum": least, "maximum": most}
        case CurrencyKind():
            return {"type": "string", "enum": list(currencies())}
        case WordsKind(words):
            return {"type": "string", "enum": list(words)}
        case NameKind(pattern, _, taken):
            return {**_text(kind, f"^{pattern}$"), **({"not": {"enum": list(taken)}} if taken else {})}
        case MomentKind():
            return _text(kind, _MOMENT)
        case DurationKind(units, most_days, may_be_none):
            return _text(kind, _duration(units, most_days, or_none=may_be_none))
        case ExpressionKind(condition):
            # `when: true` and `limit: 30000` are expressions too, but YAML reads them as a boolean and a number.
            types = ["string", "boolean"] if condition else ["string", "boolean", "integer"]
            return {**_text(kind, _NOT_BLANK), "type": types}
        case _:
            return _text(kind, _NOT_BLANK)


def _text(kind: ValueKind, pattern: str) -> JsonObject:
    """Text that matches a pattern; VS Code shows `patternErrorMessage` instead of the pattern."""
    return {"type": "string", "pattern": pattern, "patternErrorMessage": f"This is {in_words(kind)}."}


def _section(section: PolicySection) -> JsonObject:
    schema: JsonObject = {
        "type": "object",
        "properties": {field.name: _property(field) for field in section.fields},
        "required": list(section.required),
        "additionalProperties": False,
    }
    if section.exactly_one_of:
        schema["oneOf"] = [{"required": [name]} for name in section.exactly_one_of]
    if section.at_least_one_of:
        schema["anyOf"] = [{"required": [name]} for name in section.at_least_one_of]
    return schema


def _property(field: PolicyField) -> JsonObject:
    default = "" if field.default is None else f" Default: {field.default}."
    example = "" if isinstance(field.kind, PolicySection | ListKind | MapKind) else f" Example: {field.example}"
    return {"description": f"{field.meaning}{default}{example}", **schema_of(field.kind)}


def _mapping(values: tuple[tuple[NameKind, ValueKind], ...]) -> JsonObject:
    """A mapping whose keys match patterns, without the taken names and endings."""
    taken = sorted({name for kind, _ in values for name in kind.taken})
    return {
        "type": "object",
        "patternProperties": {_key(name): schema_of(kind) for name, kind in values},
        "propertyNames": {"not": {"enum": taken}},
        "additionalProperties": False,
        "maxProperties": MAX_ENTRIES,
    }


def _key(name: NameKind) -> str:
    not_ending = rf"(?!.*\.({'|'.join(name.taken_endings)})$)" if name.taken_endings else ""
    return f"^{not_ending}{name.pattern}$"


def _duration(units: str, most_days: int, *, or_none: bool) -> str:
    most = {"h": most_days * _HOURS_A_DAY, "d": most_days}
    none = "0|" if or_none else ""
    return f"^({'|'.join(f'({none}{_up_to(most[unit])}){unit}' for unit in units)})$"


def _up_to(most: int) -> str:
    """A regular expression for the whole numbers from 1 to `most`, without leading zeros."""
    digits = str(most)
    shorter = [f"[1-9][0-9]{{{length - 1}}}" for length in range(1, len(digits))]
    same = []
    for place, digit in enumerate(digits):
        least, below = (1 if place == 0 else 0), int(digit) - 1
        if below >= least:
            same.append(f"{digits[:place]}[{least}-{below}][0-9]{{{len(digits) - place - 1}}}")
    return "|".join([*shorter, *same, digits])
