"""The protobuf messages of `cel.expr.CheckedExpr`, by the field numbers of the public CEL specification.

No package on the index contains them. Only the fields that are read are declared; protobuf skips the others.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_SCALARS = {"bool": 8, "int32": 5, "int64": 3, "uint64": 4, "double": 1, "string": 9, "bytes": 12}
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3

# Message: {field number: (name, type)}. A type in brackets is repeated, "a>b" is a map.
_MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    "CheckedExpr": {
        2: ("reference_map", "int64>Reference"),
        3: ("type_map", "int64>Type"),
        4: ("expr", "Expr"),
        5: ("source_info", "SourceInfo"),
    },
    "Reference": {1: ("name", "string"), 3: ("overload_id", "[string]")},
    "Type": {3: ("primitive", "int32"), 6: ("list_type", "ListType"), 9: ("message_type", "string")},
    "ListType": {1: ("elem_type", "Type")},
    "SourceInfo": {4: ("positions", "int64>int32")},
    "Expr": {
        2: ("id", "int64"),
        3: ("const_expr", "Constant"),
        4: ("ident_expr", "Ident"),
        5: ("select_expr", "Select"),
        6: ("call_expr", "Call"),
        7: ("list_expr", "CreateList"),
        8: ("struct_expr", "CreateStruct"),
        9: ("comprehension_expr", "Comprehension"),
    },
    "Constant": {
        1: ("null_value", "int32"),
        2: ("bool_value", "bool"),
        3: ("int64_value", "int64"),
        4: ("uint64_value", "uint64"),
        5: ("double_value", "double"),
        6: ("string_value", "string"),
        7: ("bytes_value", "bytes"),
    },
    "Ident": {1: ("name", "string")},
    "Select": {1: ("operand", "Expr"), 2: ("field", "string"), 3: ("test_only", "bool")},
    "Call": {1: ("target", "Expr"), 2: ("function", "string"), 3: ("args", "[Expr]")},
    "CreateList": {1: ("elements", "[Expr]")},
    "CreateStruct": {1: ("message_name", "string")},
    "Comprehension": {
        1: ("iter_var", "string"),
        2: ("iter_range", "Expr"),
        3: ("accu_var", "string"),
        4: ("accu_init", "Expr"),
        5: ("loop_condition", "Expr"),
        6: ("loop_step", "Expr"),
        7: ("result", "Expr"),
        8: ("iter_var2", "string"),
    },
}


def parse_checked(serialized: bytes) -> Any:
    """The CheckedExpr in the protobuf `Any` that `Expression.serialize()` returns."""
    return _checked_class().FromString(any_pb2.Any.FromString(serialized).value)


@cache
def _checked_class() -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(name="jitui/checked.proto", package="jitui.checked", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in fields.items():
            _describe(message, number, field, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("jitui.checked.CheckedExpr"))


def _describe(message: descriptor_pb2.DescriptorProto, number: int, name: str, kind: str) -> None:
    label = _REPEATED if kind.startswith("[") or ">" in kind else _OPTIONAL
    kind = kind.strip("[]")
    field = message.field.add(name=name, number=number, label=label, type=_SCALARS.get(kind, _MESSAGE))
    if ">" in kind:
        key, value = kind.split(">")
        entry = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        _describe(entry, 1, "key", key)
        _describe(entry, 2, "value", value)
        field.type_name = f".jitui.checked.{message.name}.{entry.name}"
    elif kind not in _SCALARS:
        field.type_name = f".jitui.checked.{kind}"
