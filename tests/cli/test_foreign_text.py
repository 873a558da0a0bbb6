"""Text from outside on a terminal is data: never markup, and never a control sequence; with any encoding."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from rich.progress import ProgressColumn

from jitui.entrypoints.cli import output
from jitui.text import escaped_in_json, for_spreadsheet, visible, visible_lines, why_no_id
from tests.cli.conftest import Jitui, in_a_process

COMMANDS = sorted(Path(output.__file__).parent.glob("*.py"))
WILD = "[sale] [/model/x.jpg] [bold]x[/] \x1b[2J\x1b]0;owned\x07\r\x9b31m\u202egnihton\u2066 :smile: \x00"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [sale] 中文 é 😀", "plain [sale] 中文 é 😀"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b31m", "\\x9b31m"),
        ("a\rb\nc\td", "a\\rb\\nc\\td"),
        ("\x7f\x08\x07\x00", "\\x7f\\x08\\x07\\x00"),
        ("a\u202eb", "a\\u202eb"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\u200b\ufeff\xad", "\\u200b\\ufeff\\xad"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("by אבג: 5", "by \u2068אבג\u2069: 5"),
        ("سلام دنیا, x", "\u2068سلام دنیا\u2069, x"),
        ("אבג: דהו", "\u2068אבג\u2069: \u2068דהו\u2069"),
    ],
    ids=ascii,
)
def test_text_is_shown_as_it_can_be_read(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_lines_of_a_text_are_kept_where_they_may_be() -> None:
    assert visible_lines("a\nb\x1b") == "a\nb\\x1b"


def test_json_means_the_same_and_holds_nothing_that_hides() -> None:
    text = json.dumps({"a": "\x1b\x7f\x9b\u202e\U000e0041 中文"}, ensure_ascii=False)
    shown = escaped_in_json(text)
    assert json.loads(shown) == json.loads(text)
    assert not set("\x1b\x7f\x9b\u202e\U000e0041") & set(shown)
    assert "中文" in shown


def test_what_is_no_id_says_why() -> None:
    assert why_no_id("o-1") is None
    assert why_no_id("a\u202eb") == "it has U+202E (right-to-left override) at character 2"
    assert why_no_id("a/b") == "it has U+002F (solidus) at character 2"
    assert why_no_id("a/b", slashes=True) is None
    assert why_no_id("") == "it is empty"
    assert why_no_id("x" * 129) == "it has 129 characters, 128 at most are taken"
    assert why_no_id("o\udcff") == "it has U+DCFF at character 2"
    assert why_no_id("o-1\n") == "it has U+000A (a control character) at character 4"


def harmless(said: str) -> bool:
    return not set(said) & set("\x1b\x07\r\x9b\u202e\u2066\x00")


def test_reasons_and_names_steer_no_terminal(jitui: Jitui) -> None:
    wild = WILD.replace("\x00", "")
    for words in (
        ("pause", "shop", "s-1", "--reason", wild, "--by", wild),
        ("restrict", "b-1", "--reason", wild, "--by", wild),
        ("coverage", "set", "shop", "s-1", "--not-covered", "--reason", wild, "--by", wild),
        ("coverage", "show", "s-1"),
        ("pause", "--list"),
        ("restrict", "b-1", "--list"),
    ):
        for more in ((), ("--json",)):
            done = jitui(*words, *more)
            assert done.code == 0, (words, done.err)
            assert "[sale] [/model/x.jpg] [bold]x[/]" in done.out
            assert harmless(done.out), words
            assert ":smile:" in done.out
            if more:
                assert wild in _texts(done.json)


def _texts(document: object) -> list[str]:
    if isinstance(document, dict):
        return [text for value in document.values() for text in _texts(value)]
    if isinstance(document, list):
        return [text for value in document for text in _texts(value)]
    return [str(document)]


def test_errors_steer_no_terminal(jitui: Jitui, tmp_path: Path) -> None:
    for words in (("policy", "check", f"{tmp_path}/gone{WILD[:-1]}.yaml"), ("keys", "issue", "--scope", WILD[:-1])):
        done = jitui(*words)
        assert done.code == 2
        assert harmless(done.err)


def test_tables_print_brackets_and_hold_their_columns(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table(title="[title] [/x]", box=None, pad_edge=False)
    for name in ("[name]", "[/b]"):
        table.add_column(name)
    table.add_row("[sale] x", "one")
    table.add_row("a\x1b[31m\rb", output.styled("[/model/x.jpg]\x1b", "bold"))
    console = output.results()
    console.print(table)
    console.print("[bold]y[/]", style="bold")
    out = capsys.readouterr().out
    for text in ("[title] [/x]", "[name]", "[/b]", "[sale] x", "[/model/x.jpg]\\x1b", "[bold]y[/]", "a\\x1b[31m\\rb"):
        assert text in out
    assert harmless(out)
    rows = [line for line in out.splitlines() if "one" in line or "jpg" in line]
    assert rows[0].index("one") == rows[1].index("[/model")


C_LOCALE = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_progress_bar_shows_brackets_as_they_are() -> None:
    with output.progress() as bar:
        bar.add_task("[sale] a[/b] :smile:")
        column = bar.columns[0]
        assert isinstance(column, ProgressColumn)
        assert str(column.render(bar.tasks[0])) == "[sale] a[/b] :smile:"


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, C_LOCALE])
def test_a_terminal_without_unicode_gets_escapes(settings: dict[str, str], environment: dict[str, str]) -> None:
    reason = "无货"
    set_ = in_a_process("pause", "shop", "店", "--reason", reason, settings={**settings, "PYTHONUTF8": "1"})
    assert set_.code == 0, set_.err
    for more in ((), ("--json",)):
        done = in_a_process("pause", "--list", *more, settings={**settings, **environment})
        assert done.code == 0, done.err
        assert "\\u65e0\\u8d27" in done.out
        if more:
            assert done.json["pauses"][0]["reason"] == reason
    assert in_a_process("policy", "facts", settings={**settings, **environment}).code == 0
    assert in_a_process("policy", "check", "无.yaml", settings={**settings, **environment}).code == 2


PRINTING = (
    "typer.echo", "typer.secho", "click.echo", "sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer", "print",
)  # fmt: skip
OF_RICH = ("rich", "rich.text", "rich.console", "rich.markup", "rich.panel")


def test_only_the_module_for_output_prints() -> None:
    """Whoever prints around it would print what others wrote as markup, or as commands to the terminal."""
    found = []
    for path in COMMANDS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute | ast.Name):
                prints = ast.unparse(node) in PRINTING
            elif isinstance(node, ast.ImportFrom):
                prints = node.module in OF_RICH and node.names[0].name != "box"
            else:
                continue
            if prints and path.name != "output.py":
                found.append(f"{path.name}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("1234567890123456789", "'1234567890123456789"),
        ("1234567890123456", "'1234567890123456"),
        ("123456789012345", "123456789012345"),
        ("007", "'007"),
        ("12E5", "'12E5"),
        ("1e10", "'1e10"),
        ("0", "0"),
        ("129.00", "129.00"),
        ("0.50", "0.50"),
        ("A-1234567890123456789", "A-1234567890123456789"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        (" =1", "' =1"),
        ("＝1", "'＝1"),
        ("2026-11-26T11:06:03+08:00", "2026-11-26T11:06:03+08:00"),
        ("", ""),
    ],
)
def test_a_cell_of_a_spreadsheet_is_what_it_says(cell: str, written: str) -> None:
    assert for_spreadsheet(cell) == written
