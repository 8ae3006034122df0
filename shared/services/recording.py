"""Recording a hit: into the journal, or within the budget into the spool, so that no recipient waits for storage."""

import asyncio
import atexit
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared import metrics
from shared.engagement.floods import Flood, Floods
from shared.engagement.hits import Hit, Kind, client_address, kept_headers, source_of
from shared.engagement.tokens import Token, TokenKind
from shared.settings import settings
from shared.storage import journal, queues
from shared.storage.account import StorageError, Unavailable, account_of, close_session, host_account
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


@dataclass(frozen=True, slots=True)
class _Counted:
    """A row that counts hits of a flood and is on its way; others ride in it until the writer takes its next batch."""

    row: Row
    batches: int
    task: asyncio.Task[None]


class Recorder:
    """What one process records with: a writer for each organization, and the spool behind them.

    `suspended` is true from the first write that failed or was late until the spool has been written: meanwhile hits
    go to the spool at once, so that nobody waits for a store that is down.
    """

    def __init__(self, spool: Spool, budget: float) -> None:
        self.spool, self.budget = spool, budget
        self.suspended = False
        self.floods = Floods()
        self._counted: dict[Flood, _Counted] = {}
        self._this_second = self._last_second = (0, 0)
        self._writers: dict[str, Writer] = {}
        self._drain: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def record(self, organization: str, row: Row) -> None:
        """Return when the row is committed or spooled; at the latest when the budget is over."""
        self._count(organization)
        await self._commit(organization, row)

    async def record_counted(self, organization: str, flood: Flood, row: Row) -> None:
        """Record a hit of a flood that is only counted, in the row of the one before where no batch has taken that yet.

        `row` is of `journal.make_count`. Returns when it is committed or spooled, like `record`.
        """
        self._count(organization)
        writer = self._writer(organization)
        before = self._counted.get(flood)
        is_open = before is not None and before.batches == writer.batches and not before.task.done()
        if before is None or not is_open or not journal.count_in(before.row, row):
            task = asyncio.create_task(self._commit(organization, row))
            task.add_done_callback(lambda _: self._forget(flood, task))
            before = self._counted[flood] = _Counted(row, writer.batches, task)
        # Several wait for it: none may end it for the others.
        await asyncio.shield(before.task)

    def _forget(self, flood: Flood, task: asyncio.Task[None]) -> None:
        latest = self._counted.get(flood)
        if latest is not None and latest.task is task:
            del self._counted[flood]

    async def _commit(self, organization: str, row: Row) -> None:
        if self.suspended:
            self._spool(organization, row)
            return
        future = self._writer(organization).append(row)
        late = asyncio.get_running_loop().call_later(self.budget, _give_up, future)
        committed = await future
        late.cancel()
        if not committed:
            self._spool(organization, row)

    def _writer(self, organization: str) -> Writer:
        writer = self._writers.get(organization)
        if writer is None:
            writer = self._writers[organization] = Writer(organization, self._wake_fold)
            # The first hit after a start also looks for what an earlier process left in the spool.
            self.start_draining()
        return writer

    @property
    def is_busy(self) -> bool:
        """Whether more than `BUSY_RATE` hits came in the last second or so."""
        second = int(time.monotonic())
        return any(at >= second - 1 and hits > BUSY_RATE for at, hits in (self._this_second, self._last_second))

    def _count(self, organization: str) -> None:
        metrics.HITS.add(organization)
        second = int(time.monotonic())
        if self._this_second[0] != second:
            self._last_second, self._this_second = self._this_second, (second, 0)
        self._this_second = (second, self._this_second[1] + 1)

    def start_draining(self) -> None:
        """Write the spool to the journal in the background, until it is empty."""
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._drain_spool())

    async def drain_now(self) -> int:
        """Write the spool to the journal, once; return the number of hits. Raises `Unavailable`, and OSError where a
        file cannot be read, after all others."""
        try:
            written = await self.spool.drain(self._write_and_wake)
        except OSError:
            # Storage takes hits: what is wrong is on the disk.
            self.suspended = False
            raise
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
            except (Unavailable, OSError) as error:
                if isinstance(error, OSError) and not failures:
                    _log.error("a file of the spool cannot be read and waits: %s", error.strerror)
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
                self.spool.lose(f"a spooled hit was refused by the journal of {organization}: {error.code}")
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


_recorders: dict[str, Recorder] = {}
"""By the storage account that they write to, "" for the deployment's."""


def recorder(account: str = "") -> Recorder:
    """Return this process's recorder of a storage account, by default the deployment's. Each account has a spool of its
    own, so that one that is down, or gone, holds up no hit on any other."""
    found = _recorders.get(account)
    if found is None:
        configured = settings()
        spool = Spool(configured.spool_directory / account, journal.WRITER, configured.spool_limit)
        found = _recorders[account] = Recorder(spool, configured.answer_budget)
        atexit.register(_drain_at_exit, found)
    return found


def recorder_of(organization: str) -> Recorder:
    """Return the recorder of the storage account that an organization is in."""
    account = account_of(organization).name
    return recorder("" if account == host_account().name else account)


def start_draining() -> None:
    """Write every account's spool to its journals in the background, what processes that are gone have left too."""
    directory = settings().spool_directory
    left = [path.name for path in directory.iterdir() if path.is_dir()] if directory.is_dir() else []
    for account in ("", *left):
        recorder(account).start_draining()


def is_busy() -> bool:
    """Whether this process is being hammered with hits."""
    return any(found.is_busy for found in _recorders.values())


def is_spooling() -> bool:
    """Whether hits of any storage account wait on this process's disk, or the next ones will."""
    return any(found.suspended or not found.spool.empty for found in _recorders.values())


def waiting_hits() -> int:
    """Return how many hits wait on this process's disk, whatever storage account they are for."""
    return sum(found.spool.hits for found in list(_recorders.values()))


def spool_troubles() -> list[str]:
    """Return why hits of a storage account could not be kept on this process's disk, for each where it is so. Takes as
    long as the disk does; another thread may ask."""
    return [trouble for found in list(_recorders.values()) if (trouble := found.spool.trouble())]


def lost_hits() -> int:
    """Return how many hits this process has lost, whatever storage account they were for."""
    return sum(found.spool.lost for found in list(_recorders.values()))


metrics.SPOOL_WAITING.source = waiting_hits
metrics.SPOOL_FAILING.source = lambda: len(spool_troubles())


async def record(token: Token, method: str, headers: Mapping[str, str], query: str) -> None:
    """Record a fetch of what `token` opens, now. `headers` are the request's; `query` is its query string."""
    organization, email = token.organization, str(token.email)
    own = recorder_of(organization)
    at = time.time_ns() // 1_000_000
    address = client_address(headers.get("x-forwarded-for", ""), settings().trusted_proxies)
    kind = _KINDS[token.kind]
    number = own.floods.add((organization, email, source_of(address)), kind, token.item, at)
    if number is not None:
        row = journal.make_count(number, email, at, kind)
        await own.record_counted(organization, (organization, email, kind), row)
        return
    hit = Hit(
        id=journal.next_hit_id(),
        kind=kind,
        item=token.item,
        at=at,
        method=method,
        address=address,
        headers=kept_headers(headers),
        query=query[:MAX_QUERY_LENGTH],
    )
    await own.record(organization, journal.make_row(hit, email, token.key))


def _drain_at_exit(own: Recorder) -> None:
    """Give the spool one last chance before this process ends; what stays is adopted, where the disk outlives us."""
    if own.spool.empty:
        return

    async def drain() -> None:
        try:
            async with asyncio.timeout(3):
                await own.drain_now()
        except (Unavailable, OSError):
            _log.warning("hits stay in the spool at exit")
        finally:
            await close_session()

    asyncio.run(drain())
