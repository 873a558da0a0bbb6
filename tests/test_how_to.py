"""Python of the how-to pages runs as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_commands_run_without_a_database_as_printed() -> None:
    text = (ROOT / "docs" / "how-to" / "run-without-a-database.md").read_text(encoding="utf-8")
    ((script, printed),) = re.findall(r"^```python\n(.*?)^```\n\n```\n(.*?)^```", text, flags=re.S | re.M)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (printed, "")
