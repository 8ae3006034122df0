"""Rolling back what was written across tables and blobs: compensation, for change sets of the Web API.

Within `scope` every write through `shared.storage.tables` and `shared.storage.blobs` goes to storage at once, so that
what follows reads it, and is noted here with how to take it back. Ends the scope with an exception, everything is taken
back, the last first: entities that were made are deleted, others are put back as they were found, blobs likewise. What
somebody else has changed in the meantime is not ours any more: it stays, and that is logged. What cannot be taken back,
deleting blobs and sending queue messages, waits until the scope has ended well. Outside a scope, writing costs one
look-up of a context variable more.

This is not isolation: others see what is written before it is certain, and a row that was put back has a new version. A
scope lives in one process: where that dies in the middle, what was done until then stays. Nothing is held against
writers who come between reading an entity and changing it without an etag; the services change emails with one. Where
storage does not answer while rolling back, each step is tried three times and then logged as an error.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from shared.storage import calls

type Work = Callable[[], Awaitable[None]]

_PAUSES = (0.2, 1.0)
"""Seconds before the second and the third attempt to take a step back."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Log:
    """What a scope has done: `steps` by what they changed, each taking that back, in the order of the last change;
    `hints` likewise, which stay where a step could not be taken back; and `held`, what waits for the scope to end
    well."""

    steps: dict[Hashable, Work] = field(default_factory=dict)
    hints: dict[Hashable, Work] = field(default_factory=dict)
    held: dict[Hashable, Work] = field(default_factory=dict)
    over: bool = False

    def noted(self, key: Hashable) -> Work | None:
        """Return how what was done to `key` is undone, None where nothing was."""
        return self.steps.get(key) or self.hints.get(key)

    def note(self, key: Hashable, take_back: Work) -> None:
        """Note how to undo what has been done to `key`; earlier notes of it are replaced."""
        self.steps.pop(key, None)
        self.hints.pop(key, None)
        (self.hints if _hinting.get() else self.steps)[key] = take_back


_current: ContextVar[Log | None] = ContextVar("undo", default=None)
_hinting: ContextVar[bool] = ContextVar("hinting", default=False)


@contextmanager
def hinting() -> Iterator[None]:
    """Say that what is written within does no harm where it is wrong, and is missed where it is not there: it is taken
    back last, and only where all else was."""
    token = _hinting.set(True)
    try:
        yield
    finally:
        _hinting.reset(token)


def log() -> Log | None:
    """Return the log of the scope that the caller runs in, or None."""
    found = _current.get()
    return None if found is None or found.over else found


@asynccontextmanager
async def scope() -> AsyncIterator[None]:
    """Take back everything written within where it ends with an exception, which goes on to the caller.

    A scope within another is part of that one: it is taken back where the outer one fails.
    """
    if log() is not None:
        yield
        return
    noted = Log()
    token = _current.set(noted)
    try:
        yield
    except BaseException:
        _close(noted)
        # However much the request has asked of storage already.
        with calls.uncounted():
            taken = [await _take_back(key, take_back) for key, take_back in reversed(noted.steps.items())]
            for key, take_back in noted.hints.items() if all(taken) else ():
                await _take_back(key, take_back)
        raise
    else:
        _close(noted)
        with calls.uncounted():
            for key, work in noted.held.items():
                await _carry_out(key, work)
    finally:
        _current.reset(token)


def _close(noted: Log) -> None:
    # From here on writes are not noted, nor those of a task that the scope has started and that outlives it.
    noted.over = True


async def _take_back(key: Hashable, take_back: Work) -> bool:
    """Take a step back; return False where that failed."""
    for pause in (*_PAUSES, None):
        try:
            await take_back()
        except Exception:
            if pause is None:
                _logger.exception("rolling back failed, %s stays as it is: mend it by hand", key)
                return False
            await asyncio.sleep(pause)
        else:
            return True
    return False


async def _carry_out(key: Hashable, work: Work) -> None:
    try:
        await work()
    except Exception:
        # What was written is valid without it: a blob that nothing names is wasted space, a message is a hint.
        _logger.warning("%s could not be done at the end of a change set", key, exc_info=True)
