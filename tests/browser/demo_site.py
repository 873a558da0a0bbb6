"""The demo as `make demo` starts it, with a smaller day."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jitui.demo.home import free_port

ORDERS = 300
READY_SECONDS = 180


@dataclass(frozen=True)
class DemoSite:
    """Its address, and the sample people by role, in the order of the start page."""

    url: str
    people: tuple[dict[str, str], ...]

    def of(self, role: str) -> list[str]:
        """The names that the buttons of a role show."""
        return [person["display_name"] for person in self.people if person["role"] == role]


@asynccontextmanager
async def running_demo_site(home: Path, database_url: str) -> AsyncIterator[DemoSite]:
    settings = {"JITUI_HOME": str(home), "JITUI_DATABASE_URL": database_url, "JITUI_PORT": str(free_port(0))}
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **settings}
    command = (sys.executable, "-m", "jitui.entrypoints.cli", "demo", "--orders", str(ORDERS))
    with (home / "demo.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
    try:
        found = await _ready(process, home)
        yield DemoSite(found["start_page"].rstrip("/"), tuple(found["people"]))
    finally:
        if process.returncode is None:
            process.terminate()  # what a shell starts in the background ignores SIGINT
        await asyncio.wait_for(process.wait(), 60)


async def _ready(process: asyncio.subprocess.Process, home: Path) -> dict[str, Any]:
    """The day is played when the file with the people is there."""
    people = home / "demo" / "people.json"
    for _ in range(READY_SECONDS * 10):
        if people.is_file() and people.stat().st_size:
            found: dict[str, Any] = json.loads(people.read_bytes())
            return found
        if process.returncode is not None:
            break
        await asyncio.sleep(0.1)
    raise AssertionError((home / "demo.log").read_text(errors="replace")[-2_000:])
