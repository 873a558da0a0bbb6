"""The links of a list whose filters stand in its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any
from urllib.parse import urlencode


def list_link(path: str, query: Any, changed: Mapping[str, object]) -> str:
    """The link to a list with some filters of its query changed; then it begins with the first page.

    The query is a dataclass: each field is a filter by that name, and is left out where it is empty or has its default.
    `after`, where the page begins, is one of them.
    """
    usual = {one.name: one.default for one in fields(query)}
    wanted = replace(query, **{"after": usual["after"], **changed})
    values = {name: getattr(wanted, name) for name in usual}
    told = urlencode({name: str(value) for name, value in values.items() if value and value != usual[name]})
    return f"{path}?{told}" if told else path
