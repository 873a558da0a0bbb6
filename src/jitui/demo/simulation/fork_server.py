"""The process that forks the simulated processes: it has imported everything, and runs no thread and no event loop.

It alone kills and collects its children, so an id belongs to no other process when it is killed. It ends, with all of
them, when the driver's end of its socket is closed, also by the driver's death.
"""

from __future__ import annotations

import array
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress

import msgspec

from jitui.demo.simulation.messages import ProcessSpec

_ANSWER = struct.Struct("!i")
_BYTES = 64 * 1024
_STOP_SECONDS = 20
_PROGRAM = "import sys; from jitui.demo.simulation.fork_server import main; sys.exit(main())"


class ForkServer:
    """The fork server, seen from the driver."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is handled by the driver, which closes the socket
            )
        self._socket = ours
        ours.sendall(msgspec.json.encode(sys.path))
        self._answer()

    def fork(self, spec: ProcessSpec) -> tuple[int, socket.socket]:
        """Fork a process; returns its id and our end of the socket to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))]
            self._socket.sendmsg([b"f" + msgspec.json.encode(spec)], ancillary)
            pid = self._answer()
        return pid, ours

    def kill(self, pid: int) -> None:
        """Kill a process with SIGKILL and wait for its end; one that has ended already is collected."""
        self._socket.sendall(b"k" + str(pid).encode())
        self._answer()

    def _answer(self) -> int:
        answer = self._socket.recv(_ANSWER.size)
        if len(answer) != _ANSWER.size:
            raise RuntimeError("the fork server of the simulated processes is gone")
        number: int = _ANSWER.unpack(answer)[0]
        return number

    def close(self) -> None:
        """End the fork server and all its children."""
        self._socket.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main() -> int:
    """Fork and kill on request, until the socket is closed."""
    line = socket.socket(fileno=int(sys.argv[1]))
    sys.path[:] = msgspec.json.decode(line.recv(_BYTES), type=list[str])
    from jitui.demo.simulation import process

    children: set[int] = set()
    try:
        line.sendall(_ANSWER.pack(0))
        while request := _request(line):
            word, fds = request
            if word[:1] == b"f":
                pid = os.fork()
                if pid == 0:
                    line.close()
                    _live(process.live, msgspec.json.decode(word[1:], type=ProcessSpec), fds[0])
                os.close(fds[0])
                children.add(pid)
                line.sendall(_ANSWER.pack(pid))
            else:
                pid = int(word[1:])
                _end(pid, children)
                line.sendall(_ANSWER.pack(pid))
    except (BrokenPipeError, ConnectionError):
        pass
    finally:
        for pid in list(children):
            _end(pid, children)
    return 0


def _request(line: socket.socket) -> tuple[bytes, list[int]] | None:
    with selectors.DefaultSelector() as waiting:
        waiting.register(line, selectors.EVENT_READ)
        waiting.select()
    word, fds, _, _ = socket.recv_fds(line, _BYTES, 1)
    return (word, fds) if word else None


def _live(live: object, spec: ProcessSpec, fd: int) -> None:
    """Run the child process; it never returns to the fork server's code."""
    code = 1
    try:
        assert callable(live)
        live(spec, socket.socket(fileno=fd))
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _end(pid: int, children: set[int]) -> None:
    if pid not in children:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
    children.discard(pid)
