"""Child processes that end when their parent ends, even when the parent is killed.

`python -m jitui.child PARENT MODULE WORDS…` runs a module as `python -m MODULE WORDS…` does, and ends when the process
with the id PARENT is no longer its parent.
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
"""How long a process may take to finish its work after its parent is gone."""
STOP_SECONDS = 20.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
"""A process that ran for longer than this is restarted after the shortest pause again."""

log = logging.getLogger("jitui.processes")


def command_of(module: str, *words: str) -> list[str]:
    """The command that runs a module as a child of this process."""
    return [sys.executable, "-m", "jitui.child", str(os.getpid()), module, *words]


def end_with_parent(parent: int) -> None:
    """Stop this process when its parent is gone: SIGTERM first, SIGKILL after `GRACE_SECONDS`.

    A thread watches the parent's id, which changes on every Unix when the parent ends; no signal of the kernel is
    needed.
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
    """Run a process and restart it whenever it ends; `tell` is called with whether it runs now."""
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
    """Run the command until it ends or `stop` is set; returns the exit code, or the error when it cannot start."""
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
    """Terminate the process, and kill it when it has not ended after `STOP_SECONDS`."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    """The command line `jitui.child PARENT MODULE WORDS…`."""
    parent, module, *words = sys.argv[1:]
    end_with_parent(int(parent))
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
