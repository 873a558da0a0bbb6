"""Text from outside on pages cannot reverse or hide the text beside it, and forms send it back unchanged."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from jitui.entrypoints.console.page.language import Speech
from jitui.entrypoints.console.page.typed import one_line, several_lines
from jitui.entrypoints.console.page.visit import _environment
from jitui.settings import Language

WILD = 'a\u202eb<x> "אבג" \u200b\x1b'
SHOWN = "a\\u202eb&lt;x&gt; &#34;\u2068אבג\u2069&#34; \\u200b\\x1b"


def rendered(template: str) -> str:
    environment = _environment(Speech(Language.EN, ZoneInfo("Asia/Shanghai")))
    return environment.from_string(template).render(wild=WILD, one=1)


def test_text_between_tags_is_isolated() -> None:
    assert rendered("<p>{{ wild }}</p>") == f"<p>{SHOWN}</p>"
    assert rendered("{{ wild }}{% if one %}<b>{{ wild }}</b>{% endif %}") == f"{SHOWN}<b>{SHOWN}</b>"


def test_what_a_form_or_an_address_carries_stays_exact() -> None:
    expected = "a\u202eb&lt;x&gt; &#34;אבג&#34; \u200b\x1b"
    assert rendered('<input value="{{ wild }}">') == f'<input value="{expected}">'
    assert rendered('<input value="{{ wild if one else one }}"{% if one %} x="{{ wild }}"{% endif %}>{{ one }}') == (
        f'<input value="{expected}" x="{expected}">1'
    )


def test_values_of_messages_and_macros_are_isolated_once() -> None:
    assert rendered('{{ _("Order %(id)s", id=wild) }}') == f"Order {SHOWN}"
    macro = '{% macro m(x) %}<i title="{{ x }}">{{ x }}</i>{% endmacro %}{{ m(wild) }}'
    expected = "a\u202eb&lt;x&gt; &#34;אבג&#34; \u200b\x1b"
    assert rendered(macro) == f'<i title="{expected}">{SHOWN}</i>'


def test_of_what_is_typed_only_characters_that_print_are_kept() -> None:
    typed = " a\u202eb\u200b \x1b[2J\r\n\tc\x00 "
    assert one_line(typed) == "a b [2J c"
    assert several_lines(typed) == "ab [2J\nc"


@pytest.mark.parametrize("blank", ["", " ", "\n \u3000", "\u200b\u202e", "\u3164", "\u2800", "\u115f\u034f\ufe0f"])
def test_what_nobody_sees_is_no_words(blank: str) -> None:
    """As in the API, also where Python takes such a character for one that prints."""
    assert one_line(blank) == several_lines(blank) == ""
    assert one_line(f"{blank}字") and several_lines(f"{blank}字")
