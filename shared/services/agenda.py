"""The agenda: entering what is to be done later, and the timer's work of handing over what is due.

The timer reads no email. For each entry that is due it sends a message and then deletes the entry, so that a process
that dies in between, or a second timer at the same time, sends a message twice and never none. A message is a hint: who
gets it compares with the email and drops what no longer matches. What an organization's own storage costs or refuses is
met there, on a queue, and delays nobody else.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import batched

from shared.services.claiming import SOON, step
from shared.storage import agenda, queues
from shared.storage.account import StorageError
from shared.storage.agenda import Entry
from shared.storage.organizations import Organization
from shared.storage.tables import MAX_OPERATIONS

DELIVER = "deliver"
REMIND = "remind"
QUEUE_OF = {DELIVER: queues.DELIVER, REMIND: queues.REMIND}
"""The queue that an entry's kind is handed over to."""

SAFETY = timedelta(minutes=1)
"""After this the agenda sends what the queue message did not."""

_AT_ONCE = 32
"""Messages on their way at a time."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of the timer; `broken` are the queues that did not take a message in it, `unknown` the emails of entries
    whose kind is none of ours."""

    now: datetime
    limit: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    broken: set[str] = field(default_factory=set)
    unknown: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


async def enter_delivery(organization: Organization, email: str, due: datetime, now: datetime) -> None:
    """Enter a delivery before the email says so; one that is due now is found a minute later should its message be
    lost."""
    entered = due if due > now else now + SAFETY
    await agenda.add(Entry(entered, DELIVER, organization.name, email))


async def hint_delivery(organization: Organization, email: str, due: datetime, now: datetime) -> None:
    """Send the message that delivers an email where it is due before the timer might come by; it may fail."""
    if due - now > SOON:
        return
    work = {"organization": organization.name, "email": email}
    try:
        await queues.send(queues.DELIVER, work, max(due - now, timedelta()))
    except StorageError as error:
        _log.warning("email %s of %s is delivered by the agenda: %s", email, organization.name, error.code)


async def run_agenda(now: datetime) -> None:
    """Hand over every entry that is due by the end of this minute, each to its second.

    What cannot be handed over stays for the next run: one queue or shard that fails keeps none of the others waiting.
    """
    run = _Run(now)
    failed = await _see_to_all(agenda.SHARDS, run)
    # A connection that was dropped is no reason to make mail wait for a minute.
    for shard in await _see_to_all(failed, run):
        _log.warning("shard %s of the agenda waits for the next minute", shard)
    for kind, emails in run.unknown.items():
        _log.warning("%s agenda entries of the kind %r wait for a version that knows it", len(emails), kind)


async def _see_to_all(shards: Sequence[str], run: _Run) -> list[str]:
    """Hand over what is due in these shards; return those that failed on the way."""
    results = await asyncio.gather(*(_see_to(shard, run) for shard in shards))
    return [shard for shard, is_done in zip(shards, results, strict=True) if not is_done]


async def _see_to(shard: str, run: _Run) -> bool:
    """Hand over what is due in a shard and delete it, a transaction's worth at a time."""
    try:
        async for page in agenda.due(run.now, [shard]):
            for some in batched(page, MAX_OPERATIONS, strict=False):
                handed_over = await asyncio.gather(*(_hand_over(entry, run) for entry in some))
                done = [entry for entry, is_done in zip(some, handed_over, strict=True) if is_done]
                if done:
                    await step("remove", agenda.remove(done))
    except StorageError as error:
        _log.warning("shard %s of the agenda failed: %s", shard, error.code)
        return False
    return True


async def _hand_over(entry: Entry, run: _Run) -> bool:
    """Send the message that an entry stands for; return whether that was done."""
    queue = QUEUE_OF.get(entry.kind)
    if queue is None:
        run.unknown[entry.kind].add(entry.email)
        return False
    async with run.limit:
        if queue in run.broken:
            return False
        work = {"organization": entry.organization, "email": entry.email}
        try:
            await step("message", queues.send(queue, work, max(entry.due - run.now, timedelta())))
        except StorageError as error:
            run.broken.add(queue)
            _log.warning("the queue %s takes no messages, its work waits for the next minute: %s", queue, error.code)
            return False
    return True
