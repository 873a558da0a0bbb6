"""Processes that end with the one that started them, however that one ends.

`python -m jitui.child PARENT MODULE WORDS…` runs a module as `python -m MODULE WORDS…` does, and ends when the process
with the number PARENT is no longer its parent.
"""

from __future__ import annotations

import logging
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

LOOK_SECONDS = 0.25
GRACE_SECONDS = 25.0
"""How long a process whose parent is gone may take to finish what it has in hand."""
STOP_SECONDS = 20.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
"""Who ran for so long is started again as quickly as the first time."""

log = logging.getLogger("jitui.processes")


def command_of(module: str, *words: str) -> list[str]:
    """The command that runs a module as a child of this process."""
    return [sys.executable, "-m", "jitui.child", str(os.getpid()), module, *words]


def end_with_parent(parent: int) -> None:
    """From now on this process is told to stop when its parent is gone, and killed when it does not.

    Every Unix gives an orphan another parent, so no signal of the kernel's is needed.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@contextmanager
def kept_running(name: str, command: Sequence[str], *, tell: Callable[[bool], None]) -> Iterator[None]:
    """A process beside this one, started again whenever it ends by itself; `tell` hears whether it runs."""
    stop = threading.Event()
    keeper = threading.Thread(target=_keep, args=(name, command, tell, stop), name=f"keeper of {name}")
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()


def _keep(name: str, command: Sequence[str], tell: Callable[[bool], None], stop: threading.Event) -> None:
    pause_seconds = FIRST_PAUSE_SECONDS
    while not stop.is_set():
        began = time.monotonic()
        code = _run(command, tell, stop)
        tell(False)
        if stop.is_set():
            return
        if time.monotonic() - began > HEALTHY_SECONDS:
            pause_seconds = FIRST_PAUSE_SECONDS
        log.error("process_ended process=%s code=%s again_in_seconds=%s", name, code, pause_seconds)
        stop.wait(pause_seconds)
        pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)


def _run(command: Sequence[str], tell: Callable[[bool], None], stop: threading.Event) -> int | str:
    """Run it until it ends or is to stop; returns its code."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        return str(error)
    tell(True)
    while process.poll() is None:
        if stop.wait(LOOK_SECONDS):
            end(process)
    return process.returncode


def end(process: subprocess.Popen[bytes]) -> None:
    """Tell it to stop, and kill it when it does not."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    """See the module's own words."""
    parent, module, *words = sys.argv[1:]
    end_with_parent(int(parent))
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
