"""The documentation: no link is broken, every page is in the site, and the site loads nothing from elsewhere."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.browser.browser import chromium

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, *sorted(ROOT.glob("*.md")), *sorted((ROOT / ".github").rglob("*.md"))]
MARKDOWN = MarkdownIt("commonmark").enable("table")
CLASSES_THAT_LOAD_FROM_A_CDN = {"mermaid", "glightbox", "pyodide"}


def tokens(text: str) -> Iterator[Token]:
    for token in MARKDOWN.parse(text):
        yield token
        yield from token.children or ()


def targets(text: str) -> list[str]:
    """What a page links to or shows, outside of code."""
    found = [token.attrGet("href") or token.attrGet("src") for token in tokens(text)]
    return [str(target) for target in found if target]


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as browsers of repositories and the site make them."""
    found: set[str] = set()
    inlines = [inline for before, inline in pairwise(tokens(text)) if before.type == "heading_open"]
    for inline in inlines:
        words = "".join(part.content for part in inline.children or ())
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        found.add(name if name not in found else f"{name}-1")
    return found


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    broken = []
    for target in targets(read(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.is_file() or (anchor and anchor not in anchors(read(there))):
            broken.append(target)
        elif DOCS in path.parents and DOCS not in there.parents:
            broken.append(f"{target} (outside of docs/, so not in the site)")
    assert broken == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_that_is_named_is_linked(path: Path) -> None:
    """In text and tables; code and the changelog may name a file as it is."""
    if path.name == "CHANGELOG.md":
        return
    text = re.sub(r"^--8<-- .*$", "", read(path), flags=re.MULTILINE)  # what the home page shows of README.md
    named = {token.content for token in tokens(text) if token.type == "text" and re.search(r"\w\.md\b", token.content)}
    linked = {inner.content for outer, inner in pairwise(tokens(text)) if outer.type == "link_open"}
    assert named - linked == set()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_list_begins_behind_an_empty_line(path: Path) -> None:
    """Otherwise the site shows it as text of the paragraph before it."""
    text = re.sub(r"^```.*?^```$", "", read(path), flags=re.DOTALL | re.MULTILINE)
    lines = text.splitlines()
    item = re.compile(r"- |\d+\. ")
    inside = re.compile(r"- |\d+\. |  |$")
    found = [line for before, line in pairwise(lines) if item.match(line) and not inside.match(before)]
    assert found == []


def test_every_page_is_in_the_navigation_and_on_the_home_page() -> None:
    def files(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for one in entry if isinstance(entry, list) else entry.values():
                yield from files(one)

    pages = [str(path.relative_to(DOCS)) for path in PAGES]
    navigation = list(files(tomllib.loads(read(ROOT / "zensical.toml"))["project"]["nav"]))
    assert sorted(navigation) == pages
    assert {*targets(read(DOCS / "index.md"))} >= {*pages} - {"index.md"}


# The site ----------------------------------------------------------------------------------------------------------


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a copy of the documentation, as `make docs` does."""
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def copied(folder: Path) -> Path:
    shutil.copytree(DOCS, folder / "docs")
    for name in ("zensical.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = copied(tmp_path_factory.mktemp("documentation"))
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "site"


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("[gone](gone.md)", "page does not exist"),
        ("[gone](../reference/gone.md#causes)", "page does not exist"),
        ("[gone](../reference/ledger.md#gone)", "anchor does not exist"),
        ("[gone](#gone)", "anchor does not exist"),
    ],
)
def test_a_broken_link_fails_the_build(tmp_path: Path, link: str, says: str) -> None:
    page = copied(tmp_path) / "docs" / "how-to" / "reconcile.md"
    page.write_text(f"{read(page)}\n{link}\n", encoding="utf-8")
    done = build(tmp_path)
    assert done.returncode != 0
    assert says in done.stdout + done.stderr


class Loaded(HTMLParser):
    """What a page makes a browser load, and its classes."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.classes |= set((values.get("class") or "").split())
        for name in ("src", "srcset", "data", "poster", *(["href"] if tag in ("link", "use", "image") else [])):
            if address := values.get(name):
                self.addresses.append(address)


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    for page in pages:
        loaded = Loaded()
        loaded.feed(read(page))
        assert [address for address in loaded.addresses if re.match(r"([a-z]+:)?//", address)] == [], page
        assert loaded.classes & CLASSES_THAT_LOAD_FROM_A_CDN == set(), page
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)\"']*", read(style)) == [], style


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    """The folder over HTTP, on a port of its own."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


async def test_a_browser_asks_no_other_host_either(site: Path) -> None:
    asked: list[str] = []
    async with served(site) as url, chromium() as browser:
        page = await browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index.html", "reference/policy-file.html", "tutorial/from-the-demo-to-your-own-orders.html"):
            await page.goto(f"{url}/{name}", wait_until="networkidle")
            assert await page.locator("h1").count() == 1
    assert len(asked) > 10
    assert [address for address in asked if not address.startswith((f"{url}/", "data:", "blob:"))] == []


def test_the_home_page_has_the_session_of_the_readme(site: Path) -> None:
    home = read(site / "index.html")
    assert "make demo" in home and "v1/eligibility" in home
    assert "--8&lt;--" not in home and "--8<--" not in home
