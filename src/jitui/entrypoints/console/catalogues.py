"""Updates the translation catalogues from the pages: `python -m jitui.entrypoints.console.catalogues`.

New texts are added to the English catalogue as they are, and to the Chinese one without a translation, which a test
refuses. Texts that no page uses any more are removed from both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import normalize, read_po

from jitui.settings import Language

FOLDER = Path(__file__).parent
_HEADER = """\
msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"""


_SENTENCES = [
    ("adapters/payments/statements/**.py", "python"),
    ("adapters/postgres/statement_staging.py", "python"),
    ("aftersales/reconciliation/**.py", "python"),
    ("bootstrap_reconciling.py", "python"),
    ("tabular/**.py", "python"),
]
"""Where the core makes sentences (`jitui.text.sentence`) that pages say."""


def texts_used() -> list[str]:
    """Every text that a page or a module of the console marks for translation, and the core's sentences."""
    found = extract_from_dir(
        FOLDER,
        method_map=[("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")],
        keywords={"_": None},
    )
    of_core = extract_from_dir(
        FOLDER.parents[1], method_map=_SENTENCES, keywords={"sentence": None, "unreadable": None}
    )
    return sorted({message for _, _, message, _, _ in (*found, *of_core) if isinstance(message, str)})


def path_of(language: Language) -> Path:
    """The file of a language's catalogue."""
    return FOLDER / "locales" / f"{language.value.replace('-', '_')}.po"


def translations_in(language: Language) -> dict[str, str]:
    """The committed catalogue, with untranslated texts."""
    with path_of(language).open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


def write_catalogue(language: Language, translations: Mapping[str, str]) -> None:
    """Write a catalogue in a fixed order without dates and line numbers, so that a diff shows only changed texts."""
    entries = [f"msgid {normalize(text)}\nmsgstr {normalize(said)}\n" for text, said in sorted(translations.items())]
    content = "\n".join([_HEADER.format(language=language.value.replace("-", "_")), *entries])
    path_of(language).write_text(content, encoding="utf-8")


def main() -> None:
    """Update both catalogues, and print what has to be translated."""
    used = texts_used()
    chinese = translations_in(Language.ZH_CN)
    write_catalogue(Language.EN, {text: text for text in used})
    write_catalogue(Language.ZH_CN, {text: chinese.get(text, "") for text in used})
    missing = [text for text in used if not chinese.get(text)]
    print("\n".join(["To be translated in zh_CN.po:", *missing]) if missing else "The catalogues are complete.")


if __name__ == "__main__":
    main()
