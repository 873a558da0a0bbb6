"""`jitui history import`: writes a foreign data set to a new folder with the schema's tables."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from shutil import rmtree

from jitui.backtest.history import import_olist, import_online_retail
from jitui.backtest.history.imported import Imported
from jitui.backtest.new_folder import new_folder, with_values, write_assumptions
from jitui.errors import BadInput

IMPORTS = ("online-retail", "olist")
Progress = Callable[[int, int], None]


def import_history(
    format_name: str, path: Path, out: Path, settings: Sequence[str] = (), progress: Progress = lambda _done, _of: None
) -> Imported:
    """Read a data set and write the folder `out`, which appears only when it is complete.

    Raises BadInput for an unknown format, a wrong assumption, unreadable data, and a folder that exists.
    """
    if format_name not in IMPORTS:
        near = difflib.get_close_matches(format_name, IMPORTS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise BadInput(f"There is no format {format_name!r}; known are: {', '.join(IMPORTS)}.{hint}", path="format")
    with new_folder(out) as folder:
        if format_name == "olist":
            brazil = with_values(import_olist.OlistAssumptions(), settings, may_be_zero=import_olist.MAY_BE_ZERO)
            done = import_olist.import_olist(path, folder, brazil)
        else:
            retail = with_values(
                import_online_retail.RetailAssumptions(), settings, may_be_zero=import_online_retail.MAY_BE_ZERO
            )
            done = import_online_retail.import_online_retail(path, folder, retail, progress)
        rmtree(folder / "spill", ignore_errors=True)
        about = {name: value for name, value in asdict(done).items() if name != "folder"}
        write_assumptions(folder, {"path": path.name, **about})
    return replace(done, folder=out)
