"""The spool: hits that could not be committed in time, on local disk until storage is back.

One append per hit, before the answer. A process writes its own files and holds a lock on them; the files of a process
that is gone are adopted by rename. A torn tail (the process died while writing) is ignored: that hit was not answered.
Writing a file's hits again changes nothing, because a hit keeps the keys that it got when it was received.

Disks fill up, fail and become read-only. What an append has left of a hit is taken back, so that the next one begins a
line; a file is read through its descriptor, which lasts though the directory be gone; and of what cannot be read
everything around it is: a line begins where `_BEGINS` says, whatever stands before it.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from shared import metrics
from shared.storage.journal import is_row

type Row = dict[str, Any]
type Write = Callable[[str, list[Row]], Awaitable[None]]

_SUFFIX = ".spool"
_BATCH = 100
_CHUNK = 1024 * 1024
_LONGEST = 65_536
"""Bytes of a line: more than the journal takes of one hit."""
_PROBE = bytes(4096)
_NAME = re.compile(r"[a-z][a-z0-9]{2,30}")
_BEGINS = re.compile(rb'\["[a-z][a-z0-9]{2,30}",\{"')
"""How each line begins, and nothing else in it: within a text every quotation mark has a backslash before it."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _File:
    """A file of the spool. `length` is how many bytes were written whole; `torn` is whether more than that is there,
    `damaged` how many hits of it could not be read."""

    path: Path
    descriptor: int
    hits: int = 0
    length: int = 0
    torn: bool = False
    damaged: int = 0


class Spool:
    """One process's part of the spool. `limit` is the most bytes it may hold; `lost` counts the hits that it could not
    keep or not read again."""

    def __init__(self, directory: Path, writer: str, limit: int) -> None:
        self.directory, self.writer, self.limit = directory, writer, limit
        self.lost = 0
        self._size = 0
        self._refused = 0
        self._number = 0
        self._open: _File | None = None
        self._waiting: list[_File] = []
        self._spent: list[_File] = []

    def append(self, organization: str, row: Row) -> bool:
        """Keep one hit; return False where it is lost because the spool is full or the disk fails."""
        line = orjson.dumps([organization, row]) + b"\n"
        if self._size + len(line) > self.limit:
            self._refused = len(line)
            return self.lose(_FULL)
        try:
            file = self._current()
            _write_whole(file, line)
        except OSError as error:
            return self.lose(_cannot_be_written(error))
        self._size += len(line)
        file.hits += 1
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

    def trouble(self) -> str:
        """Return why the next hit could not be kept and what to do, "" where it could: it is tried. Takes as long as
        the disk does; another thread may ask."""
        if self._refused and self._size + self._refused > self.limit:
            return _FULL
        path = self.directory / f".{self.writer}-{threading.get_ident()}"
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _write_all(descriptor, _PROBE)
            finally:
                os.close(descriptor)
                path.unlink(missing_ok=True)
        except OSError as error:
            return _cannot_be_written(error)
        return ""

    def lose(self, why: str, hits: int = 1) -> bool:
        """Count hits that are lost, and say so: at first and then ever more rarely. Return False."""
        before, self.lost = self.lost, self.lost + hits
        metrics.HITS_LOST.add(count=hits)
        if before.bit_length() < self.lost.bit_length():
            _log.error("%d hits lost so far: %s", self.lost, why)
        return False

    def adopt(self) -> int:
        """Take over the files of processes that are gone; return how many."""
        if not self.directory.is_dir():
            return 0
        mine = {file.path for file in (*self._waiting, *self._spent, *([self._open] if self._open else []))}
        adopted = 0
        for path in sorted(self.directory.glob(f"*{_SUFFIX}")):
            if path not in mine and (file := self._take_over(path)) is not None:
                self._waiting.append(file)
                self._size += os.fstat(file.descriptor).st_size
                adopted += 1
        return adopted

    async def drain(self, write: Write) -> int:
        """Write every hit through `write` (organization, rows of one partition, at most 100) and forget it; return the
        number of hits. What `write` raises ends the attempt; nothing is forgotten that was not written.

        Raises OSError where a file cannot be read, after all others: it is kept, and comes again.
        """
        self._put_aside()
        self._remove_spent()
        written = 0
        failure: OSError | None = None
        for file in list(self._waiting):
            batches = _batches(file)
            while True:
                try:
                    batch = next(batches, None)
                except OSError as error:
                    failure = error
                    break
                if batch is None:
                    self._forget(file)
                    break
                await write(*batch)
                written += len(batch[1])
        if failure is not None:
            raise failure
        return written

    def _current(self) -> _File:
        """Return the file that is written: a new one where there is none, or where it was removed under us."""
        if self._open is not None and os.fstat(self._open.descriptor).st_nlink == 0:
            self._put_aside()
        if self._open is None:
            self._open = self._create()
        return self._open

    def _put_aside(self) -> None:
        if self._open is not None:
            self._waiting.append(self._open)
            self._open = None

    def _forget(self, file: _File) -> None:
        self._waiting.remove(file)
        self._size -= os.fstat(file.descriptor).st_size
        if file.damaged:
            self.lose("lines of the spool were damaged and passed over", file.damaged)
        self._spent.append(file)
        self._remove_spent()

    def _remove_spent(self) -> None:
        """Remove the files that were written to the journal. One that cannot be removed now stays ours, by its lock, so
        that nobody writes it again and again."""
        for file in list(self._spent):
            with contextlib.suppress(OSError):
                file.path.unlink(missing_ok=True)
                self._spent.remove(file)
                os.close(file.descriptor)

    def _create(self) -> _File:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._next_path()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return _File(path, descriptor)

    def _take_over(self, path: Path) -> _File | None:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                # Its owner holds this lock for as long as it lives.
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return _File(self._renamed(path), descriptor, _count_lines(descriptor))
            except OSError:
                os.close(descriptor)
        return None

    def _renamed(self, path: Path) -> Path:
        """Give a file a name of ours. Where the disk is read-only now it keeps its own; FileNotFoundError where another
        heir was faster."""
        renamed = self._next_path()
        try:
            path.rename(renamed)
        except FileNotFoundError:
            raise
        except OSError:
            return path
        return renamed

    def _next_path(self) -> Path:
        self._number += 1
        return self.directory / f"{self.writer}-{self._number:06d}{_SUFFIX}"


_FULL = "the spool is full: raise SPOOL_MAX_BYTES or bring storage back"


def _cannot_be_written(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk that holds SPOOL_DIR is full ({error.strerror}): make room, or name another directory"
    return f"SPOOL_DIR cannot be written ({error.strerror}): mend the disk or its rights, or name another directory"


def _write_whole(file: _File, line: bytes) -> None:
    """Append a line, or else nothing: what a failure leaves of it is cut off, and where even that fails ends there."""
    text = b"\n" + line if file.torn else line
    try:
        _write_all(file.descriptor, text)
    except OSError:
        file.torn = True
        with contextlib.suppress(OSError):
            os.ftruncate(file.descriptor, file.length)
            file.torn = False
        raise
    file.length += len(text)
    file.torn = False


def _write_all(descriptor: int, text: bytes) -> None:
    while text:
        written = os.write(descriptor, text)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        text = text[written:]


def _chunks(descriptor: int) -> Iterator[bytes]:
    at = 0
    while chunk := os.pread(descriptor, _CHUNK, at):
        yield chunk
        at += len(chunk)


def _count_lines(descriptor: int) -> int:
    return sum(chunk.count(b"\n") for chunk in _chunks(descriptor))


def _batches(file: _File) -> Iterator[tuple[str, list[Row]]]:
    def destination(record: tuple[str, Row]) -> tuple[str, str]:
        return record[0], record[1]["partition"]

    for (organization, _), records in groupby(_records(file), destination):
        batch: list[Row] = []
        for _, row in records:
            batch.append(row)
            if len(batch) == _BATCH:
                yield organization, batch
                batch = []
        if batch:
            yield organization, batch


def _records(file: _File) -> Iterator[tuple[str, Row]]:
    file.damaged = 0
    for line, ends in _lines(file.descriptor):
        for piece in _pieces(line):
            record = _read(piece)
            if record is not None:
                yield record
            elif ends:
                file.damaged += 1


def _lines(descriptor: int) -> Iterator[tuple[bytes, bool]]:
    """Yield a file's lines, and whether each ends: the last one may be torn. A run of zeros, which a crash leaves where
    blocks were not written, ends a line too. Of one that is too long only where the last hit in it begins is kept in
    memory, which may be a whole one."""
    rest = b""
    for chunk in _chunks(descriptor):
        *lines, rest = (rest + chunk.replace(b"\0", b"\n")).split(b"\n")
        yield from ((line, True) for line in lines if line)
        if len(rest) > _CHUNK:
            begins = max((found.start() for found in _BEGINS.finditer(rest)), default=len(rest) - _LONGEST)
            begins = max(begins, len(rest) - _LONGEST)
            yield rest[:begins], True
            rest = rest[begins:]
    if rest:
        yield rest, False


def _pieces(line: bytes) -> Iterator[bytes]:
    """Yield the hits that a line holds, or what is left of them: one, unless writing broke off within it."""
    begins = [found.start() for found in _BEGINS.finditer(line)]
    for start, end in zip([0, *begins], [*begins, len(line)], strict=True):
        if start < end:
            yield line[start:end]


def _read(piece: bytes) -> tuple[str, Row] | None:
    """Return the organization and the row that a piece begins with, None where it cannot be read."""
    if len(piece) > _LONGEST or not _BEGINS.match(piece):
        return None
    try:
        record = orjson.loads(piece)
    except orjson.JSONDecodeError:
        try:
            record = json.JSONDecoder().raw_decode(piece.decode(errors="replace"))[0]
        except (ValueError, RecursionError):
            return None
    match record:
        case [str(organization), row] if _NAME.fullmatch(organization) and is_row(row):
            return organization, row
    return None
