"""Reads pages like a browser without scripts: links, forms with their fields, and text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx
from litestar import Litestar

from jitui.identity.people import Person
from tests.asgi import transport_to


@dataclass
class Form:
    """A form and what it would send if nothing were changed."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class Page(HTMLParser):
    """What tests look at: `tags` with their attributes, `forms`, and all text."""

    html: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._select = ""
        self._textarea = ""
        self.feed(self.html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def form(self, action: str) -> Form:
        return next(form for form in self.forms if form.action == action)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
        elif tag == "input":
            self._input(given)
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and self.forms:
            fields = self.forms[-1].fields
            if "selected" in given or self._select not in fields:
                fields[self._select] = given["value"]
        elif tag == "textarea":
            self._textarea = given["name"]
            self.forms[-1].fields[self._textarea] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._textarea:
            self.forms[-1].fields[self._textarea] += data

    def _input(self, given: dict[str, str]) -> None:
        unchecked = given.get("type") in ("checkbox", "radio") and "checked" not in given
        if self.forms and "name" in given and not unchecked:
            self.forms[-1].fields[given["name"]] = given.get("value", "")


@dataclass
class Visitor:
    """Somebody with a browser of their own."""

    http: httpx.AsyncClient

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def see(self, path: str) -> Page:
        """A page that is there."""
        response = await self.get(path)
        assert response.status_code == 200, (path, response.status_code, response.text[:500])
        return Page(response.text)

    async def send(self, on: str, action: str, **changed: str | None) -> httpx.Response:
        """Fill in a form of the page `on` and send it; a field given as None is left out."""
        form = (await self.see(on)).form(action)
        fields = {**form.fields, **changed}
        return await self.post(action, {name: value for name, value in fields.items() if value is not None})

    async def post(self, action: str, fields: dict[str, str]) -> httpx.Response:
        return await self.http.post(action, data=fields)

    async def come_in_as(self, person: Person) -> None:
        done = await self.send("/", "/sign-in/sample", name=person.name)
        assert done.status_code == 303, done.text


@asynccontextmanager
async def visiting(app: Litestar, person: Person | None = None, language: str = "en") -> AsyncIterator[Visitor]:
    """A visitor, signed in as a sample person if one is given."""
    transport = transport_to(app)
    headers = {"accept-language": language}
    async with httpx.AsyncClient(transport=transport, base_url="http://console.localhost", headers=headers) as http:
        visitor = Visitor(http)
        if person is not None:
            await visitor.come_in_as(person)
        yield visitor
