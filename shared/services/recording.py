"""Recording a hit: into the journal, or within the budget into the spool, so that no recipient waits for storage."""

import asyncio
import atexit
import logging
import time
from collections.abc import Mapping
from datetime import timedelta

from shared import metrics
from shared.engagement.hits import Hit, Kind, client_address, kept_headers
from shared.engagement.tokens import Token, TokenKind
from shared.settings import settings
from shared.storage import journal, queues
from shared.storage.account import StorageError, Unavailable, close_session
from shared.storage.journal import Row, Writer
from shared.storage.spool import Spool

FOLD_DELAY = timedelta(seconds=2)
MAX_QUERY_LENGTH = 512
BUSY_RATE = 200
"""Hits per second from which a process counts as hammered; a busy organization's people make a few."""

_KINDS = {
    TokenKind.OPEN: Kind.OPEN,
    TokenKind.IMAGE: Kind.IMAGE,
    TokenKind.LINK: Kind.LINK,
    TokenKind.ATTACHMENT: Kind.ATTACHMENT,
}
_DRAIN_PAUSES = (0.25, 0.5, 1.0, 2.0, 5.0)

_log = logging.getLogger(__name__)


class Recorder:
    """What one process records with: a writer for each organization, and the spool behind them.

    `suspended` is true from the first write that failed or was late until the spool has been written: meanwhile hits
    go to the spool at once, so that nobody waits for a store that is down.
    """

    def __init__(self, spool: Spool, budget: float) -> None:
        self.spool, self.budget = spool, budget
        self.suspended = False
        self._this_second = self._last_second = (0, 0)
        self._writers: dict[str, Writer] = {}
        self._drain: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def record(self, organization: str, row: Row) -> None:
        """Return when the row is committed or spooled; at the latest when the budget is over."""
        self._count()
        metrics.HITS.add(organization)
        if self.suspended:
            self._spool(organization, row)
            return
        writer = self._writers.get(organization)
        if writer is None:
            writer = self._writers[organization] = Writer(organization, self._wake_fold)
            # The first hit after a start also looks for what an earlier process left in the spool.
            self.start_draining()
        future = writer.append(row)
        late = asyncio.get_running_loop().call_later(self.budget, _give_up, future)
        committed = await future
        late.cancel()
        if not committed:
            self._spool(organization, row)

    @property
    def is_busy(self) -> bool:
        """Whether more than `BUSY_RATE` hits came in the last second or so."""
        second = int(time.monotonic())
        return any(at >= second - 1 and hits > BUSY_RATE for at, hits in (self._this_second, self._last_second))

    def _count(self) -> None:
        second = int(time.monotonic())
        if self._this_second[0] != second:
            self._last_second, self._this_second = self._this_second, (second, 0)
        self._this_second = (second, self._this_second[1] + 1)

    def start_draining(self) -> None:
        """Write the spool to the journal in the background, until it is empty."""
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._drain_spool())

    async def drain_now(self) -> int:
        """Write the spool to the journal, once; return the number of hits. Raises `Unavailable`."""
        written = await self.spool.drain(self._write_and_wake)
        self.suspended = False
        return written

    def _spool(self, organization: str, row: Row) -> None:
        if not self.suspended:
            self.suspended = True
            _log.warning("storage is slow or down: hits are spooled until it is back")
        self.spool.append(organization, row)
        self.start_draining()

    async def _drain_spool(self) -> None:
        self.spool.adopt()
        failures = 0
        while self.suspended or not self.spool.empty:
            try:
                written = await self.drain_now()
                _log.info("the spool is drained: %d hits", written)
            except Unavailable:
                await asyncio.sleep(_DRAIN_PAUSES[min(failures, len(_DRAIN_PAUSES) - 1)])
                failures += 1

    async def _write_and_wake(self, organization: str, rows: list[Row]) -> None:
        try:
            await journal.write_rows(organization, rows)
        except Unavailable:
            raise
        except StorageError as error:
            # Refused for good as it stands; one bad row must not hold up the others.
            if len(rows) == 1:
                self.spool.lost += 1
                metrics.HITS_LOST.add()
                _log.exception("a spooled hit was refused by the journal of %s: %s", organization, error.code)
                return
            for row in rows:
                await self._write_and_wake(organization, [row])
            return
        await self._send_fold(organization, rows[0]["partition"])

    def _wake_fold(self, organization: str, partition: str) -> None:
        task = asyncio.create_task(self._send_fold(organization, partition))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_fold(self, organization: str, partition: str) -> None:
        try:
            await queues.send(queues.FOLD, {"organization": organization, "partition": partition}, FOLD_DELAY)
        except StorageError as error:
            _log.warning("the fold of %s was not woken, the sweep will: %s", organization, error.code)


def _give_up(future: asyncio.Future[bool]) -> None:
    if not future.done():
        future.set_result(False)


_recorder: Recorder | None = None


def recorder() -> Recorder:
    """Return this process's recorder."""
    global _recorder
    if _recorder is None:
        configured = settings()
        spool = Spool(configured.spool_directory, journal.WRITER, configured.spool_limit)
        _recorder = Recorder(spool, configured.answer_budget)
        atexit.register(_drain_at_exit, _recorder)
    return _recorder


async def record(token: Token, method: str, headers: Mapping[str, str], query: str) -> None:
    """Record a fetch of what `token` opens, now. `headers` are the request's; `query` is its query string."""
    configured = settings()
    hit = Hit(
        id=journal.next_hit_id(),
        kind=_KINDS[token.kind],
        item=token.item,
        at=time.time_ns() // 1_000_000,
        method=method,
        address=client_address(headers.get("x-forwarded-for", ""), configured.trusted_proxies),
        headers=kept_headers(headers),
        query=query[:MAX_QUERY_LENGTH],
    )
    row = journal.make_row(hit, str(token.email), token.key)
    await recorder().record(token.organization, row)


def _drain_at_exit(own: Recorder) -> None:
    """Give the spool one last chance before this process ends; what stays is adopted, where the disk outlives us."""
    if own.spool.empty:
        return

    async def drain() -> None:
        try:
            async with asyncio.timeout(3):
                await own.drain_now()
        except (Unavailable, TimeoutError):
            _log.warning("hits stay in the spool at exit")
        finally:
            await close_session()

    asyncio.run(drain())
