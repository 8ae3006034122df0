"""The spool: hits that could not be committed in time, on local disk until storage is back.

One append per hit, before the answer. A process writes its own files and holds a lock on them; the files of a process
that is gone are adopted by rename. A torn tail (the process died while writing) is ignored: that hit was not answered.
Writing a file's hits again changes nothing, because a hit keeps the keys that it got when it was received.
"""

import contextlib
import fcntl
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from shared import metrics

type Row = dict[str, Any]
type Write = Callable[[str, list[Row]], Awaitable[None]]

_SUFFIX = ".spool"
_BATCH = 100
_CHUNK = 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _File:
    path: Path
    descriptor: int
    hits: int = 0


class Spool:
    """One process's part of the spool. `limit` is the most bytes it may hold; `lost` counts the hits beyond it."""

    def __init__(self, directory: Path, writer: str, limit: int) -> None:
        self.directory, self.writer, self.limit = directory, writer, limit
        self.lost = 0
        self._size = 0
        self._number = 0
        self._open: _File | None = None
        self._waiting: list[_File] = []

    def append(self, organization: str, row: Row) -> bool:
        """Keep one hit; return False where it is lost because the spool is full or the disk fails."""
        line = orjson.dumps([organization, row]) + b"\n"
        if self._size + len(line) > self.limit:
            return self._lose("the spool is full: raise SPOOL_MAX_BYTES or bring storage back")
        try:
            if self._open is None:
                self._open = self._create()
            if os.write(self._open.descriptor, line) != len(line):
                return self._lose("the disk that holds SPOOL_DIR is full")
        except OSError as error:
            return self._lose(f"SPOOL_DIR cannot be written: {error.strerror}")
        self._size += len(line)
        self._open.hits += 1
        return True

    @property
    def empty(self) -> bool:
        """Whether this process holds no hits; files of others are found by `adopt`."""
        return self._open is None and not self._waiting

    @property
    def hits(self) -> int:
        """How many hits wait here; another thread may ask."""
        opened = self._open
        return sum(file.hits for file in (*self._waiting, *([opened] if opened else [])))

    def adopt(self) -> int:
        """Take over the files of processes that are gone; return how many."""
        if not self.directory.is_dir():
            return 0
        mine = {file.path for file in (*self._waiting, *([self._open] if self._open else []))}
        adopted = 0
        for path in sorted(self.directory.glob(f"*{_SUFFIX}")):
            if path not in mine and (file := self._take_over(path)) is not None:
                self._waiting.append(file)
                self._size += os.fstat(file.descriptor).st_size
                adopted += 1
        return adopted

    async def drain(self, write: Write) -> int:
        """Write every hit through `write` (organization, rows of one partition, at most 100) and forget it; return the
        number of hits. What `write` raises ends the attempt; nothing is forgotten that was not written."""
        if self._open is not None:
            self._waiting.append(self._open)
            self._open = None
        written = 0
        while self._waiting:
            file = self._waiting[0]
            for organization, rows in _batches(file.path):
                await write(organization, rows)
                written += len(rows)
            self._waiting.remove(file)
            self._size -= os.fstat(file.descriptor).st_size
            file.path.unlink(missing_ok=True)
            os.close(file.descriptor)
        return written

    def _create(self) -> _File:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._next_path()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _File(path, descriptor)

    def _take_over(self, path: Path) -> _File | None:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                # Its owner holds this lock for as long as it lives.
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                renamed = self._next_path()
                path.rename(renamed)
            except OSError:
                os.close(descriptor)
                return None
            return _File(renamed, descriptor, _count_lines(descriptor))
        return None

    def _next_path(self) -> Path:
        self._number += 1
        return self.directory / f"{self.writer}-{self._number:06d}{_SUFFIX}"

    def _lose(self, why: str) -> bool:
        self.lost += 1
        metrics.HITS_LOST.add()
        if self.lost & (self.lost - 1) == 0:
            _log.error("%d hits lost so far: %s", self.lost, why)
        return False


def _count_lines(descriptor: int) -> int:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return sum(chunk.count(b"\n") for chunk in iter(lambda: os.read(descriptor, _CHUNK), b""))


def _batches(path: Path) -> Iterator[tuple[str, list[Row]]]:
    def destination(record: tuple[str, Row]) -> tuple[str, str]:
        return record[0], record[1]["partition"]

    for (organization, _), records in groupby(_records(path), destination):
        batch: list[Row] = []
        for _, row in records:
            batch.append(row)
            if len(batch) == _BATCH:
                yield organization, batch
                batch = []
        if batch:
            yield organization, batch


def _records(path: Path) -> Iterator[tuple[str, Row]]:
    with path.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            try:
                organization, row = orjson.loads(line)
            except (orjson.JSONDecodeError, ValueError):
                _log.error("a damaged line of the spool was passed over")
                continue
            yield organization, row
