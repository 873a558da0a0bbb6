"""An append-only file of entries; an entry counts when the disk has confirmed it.

An entry is a line: the CRC-32 of the JSON in eight hexadecimal digits, a space, the JSON. Entries that arrive while the
disk is busy share the next write (group commit).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jitui.errors import BadInput, Unavailable


class _Batch:
    __slots__ = ("lines", "written")

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.written = asyncio.Event()


class Journal:
    """The journal, open for one writer; the lock on the file ends with the process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise Unavailable(f"another simulator is using the books {path}") from None
        _sync_folder(path.parent)
        self._next = _Batch()
        self._writing: _Batch | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._broken: OSError | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="books")

    def read(self) -> Iterator[bytes]:
        """Every confirmed entry, oldest first; an incomplete entry at the end, which a crash leaves, is dropped.

        Raises BadInput when a good entry follows a damaged one, because a crash does not do that.
        """
        good_until = 0
        with self.path.open("rb") as lines:
            for line in lines:
                if (entry := _entry_of(line)) is None:
                    break
                good_until += len(line)
                yield entry
            if any(_entry_of(line) is not None for line in lines):
                raise BadInput(f"{self.path} is damaged at byte {good_until}", path=str(self.path))
        if os.fstat(self._file).st_size > good_until:
            os.ftruncate(self._file, good_until)
            os.fsync(self._file)

    def append(self, entry: bytes) -> None:
        """Queue an entry; nobody may be told about it before `durable` returns."""
        if self._broken is not None:
            raise Unavailable(f"the books cannot be written: {self._broken}")
        self._next.lines.append(b"%08x %b\n" % (zlib.crc32(entry), entry))

    async def durable(self) -> None:
        """Return when everything appended so far is on disk; raises Unavailable when it cannot be written."""
        batch = self._next if self._next.lines else self._writing
        if batch is not None:
            if self._flusher is None:
                self._flusher = asyncio.get_running_loop().create_task(self._flush())
            await batch.written.wait()
        if self._broken is not None:
            raise Unavailable(f"the books cannot be written: {self._broken}")

    async def close(self) -> None:
        """Write the queued entries and close the file."""
        try:
            await self.durable()
        finally:
            self.release()

    def release(self) -> None:
        """Close the file without writing anything."""
        self._thread.shutdown()
        os.close(self._file)

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._next.lines:
            batch, self._next = self._next, _Batch()
            self._writing = batch
            try:
                if self._broken is None:
                    await loop.run_in_executor(self._thread, self._write, b"".join(batch.lines))
            except OSError as error:
                self._broken = error
            batch.written.set()
        self._writing = self._flusher = None

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fdatasync(self._file)


def _entry_of(line: bytes) -> bytes | None:
    if line[-1:] != b"\n" or line[8:9] != b" ":
        return None
    entry = line[9:-1]
    return entry if line[:8] == b"%08x" % zlib.crc32(entry) else None


def _sync_folder(folder: Path) -> None:
    """Sync the folder: only then does a new file survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
