"""What the HTML reports share: one file in both languages, with charts by ECharts inside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

_ECHARTS = files("jitui.backtest") / "static" / "vendor" / "echarts.common.min.js"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its heading, its height in pixels, and ECharts' options as plain data, without functions."""

    title: str
    height: int
    option: Mapping[str, Any]


def page_environment(package: str) -> Environment:
    """Templates of a package, which may extend `page.html`, the frame of every report."""
    loader = ChoiceLoader([PackageLoader(package), PackageLoader("jitui.backtest")])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


@lru_cache(maxsize=1)
def chart_library() -> str | None:
    """ECharts as the content of a script element; None in a checkout to which its file was not brought."""
    return script_text(_ECHARTS.read_text(encoding="utf-8")) if _ECHARTS.is_file() else None


def script_text(text: str) -> str:
    """A script as the content of its element: nothing in it ends the element or hides its end.

    The two texts that do so stand in strings of a script, where they mean the same with a backslash.
    """
    return re.sub(r"<(?=/script|!--)", r"<\\", text, flags=re.IGNORECASE)


def script_data(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Data as the content of a script element of type application/json: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
