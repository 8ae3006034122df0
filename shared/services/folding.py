"""The fold: from journal rows to interactions, labels, counters and the alerts.

Everything is recomputed from all of an email's hits, never incremented: run twice, late, or beside another fold of the
same rows, it gives the same. The journal rows are deleted last, exactly those that were read.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from shared import metrics
from shared.engagement import frozen, ranges
from shared.engagement.counting import Counters
from shared.engagement.hits import Kind
from shared.engagement.labels import Email, Label, Observation, dump, load, observe
from shared.engagement.options import is_recipient
from shared.engagement.reading_times import dump as dump_times
from shared.engagement.reading_times import reading_times
from shared.engagement.timeline import Event, Timeline, alert_at, first_by_person, tell, within_budget
from shared.engagement.times import MAX_TIME, from_milliseconds, iso_seconds, milliseconds, parse_iso
from shared.engagement.tokens import derive_key
from shared.services import alerting, consenting, habits
from shared.services.recording import is_busy
from shared.settings import settings
from shared.storage import emails, journal, queues
from shared.storage.account import StorageError
from shared.storage.contention import insist
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization, find_organization, list_organizations
from shared.storage.tables import Entity, Operation

BUSY_DELAY = timedelta(seconds=2)
IDLE_DELAY = timedelta(seconds=5)
GRACE_SECONDS = 5
"""How long after its minute a partition may still receive rows of its own accord."""
SWEEP_SECONDS = 90
MAX_ROWS = 500
"""How many group commits, of up to 100 hits, one message takes; where there are more, the next one follows at once."""
MAX_ROWS_WHILE_BUSY = 5
"""How many where this very process is being hammered, and none of an open minute: recipients first."""

_PARALLEL_EMAILS = 8
_THREAD_FROM = 300
"""From how many hits the timeline is told in a thread, so that no recipient in this process waits for it."""

_in_hand: set[tuple[str, str]] = set()

_log = logging.getLogger(__name__)


async def fold_partition(organization_name: str, partition: str, now: datetime) -> timedelta | None:
    """Fold a journal partition; return when to look again, None when nothing more will come or it is in hand already.

    A second message for what this process is folding would only contend with it; whoever is at it looks again.
    """
    organization = await find_organization(organization_name)
    if organization is None:
        _log.warning("hits of organization %s are not folded: there is no such organization", organization_name)
        return None
    key = (organization_name, partition)
    if key in _in_hand:
        return None
    _in_hand.add(key)
    try:
        return await _fold_partition(organization, partition, now)
    finally:
        _in_hand.discard(key)


async def _fold_partition(organization: Organization, partition: str, now: datetime) -> timedelta | None:
    closes_at = (journal.partition_minute(partition) + 1) * 60 + GRACE_SECONDS
    is_open, hammered = now.timestamp() < closes_at, is_busy()
    if is_open and hammered:
        return IDLE_DELAY
    limit = MAX_ROWS_WHILE_BUSY if hammered else MAX_ROWS
    rows = await journal.read_rows(organization, partition, limit)
    if rows:
        await _fold_hits(organization, [hit for row in rows for hit in journal.hits_of(row)], now)
        await journal.delete_rows(organization, rows)
        return timedelta(0) if len(rows) >= limit and not hammered else BUSY_DELAY
    return IDLE_DELAY if is_open else None


async def fold_email(organization_name: str, email_id: str, now: datetime) -> None:
    """Tell an email's timeline again, without new hits: an alert that was held is due."""
    organization = await find_organization(organization_name)
    if organization is not None:
        await _fold_email(organization, email_id, (), now)


async def sweep(now: datetime) -> None:
    """Wake the fold for every partition that a lost message left behind, and tell the operator how old the oldest is
    (seconds since its last hit can have come)."""
    before = int(now.timestamp() - SWEEP_SECONDS) // 60
    oldest = 0.0
    for organization in await list_organizations():
        try:
            for partition in await journal.old_partitions(organization, before):
                oldest = max(oldest, now.timestamp() - (journal.partition_minute(partition) + 1) * 60)
                await queues.send(queues.FOLD, {"organization": organization.name, "partition": partition})
        except StorageError as error:
            _log.warning("the journal of %s was not swept: %s", organization.name, error.code)
    metrics.JOURNAL_AGE.set(oldest)


async def _fold_hits(organization: Organization, rows: Sequence[journal.Row], now: datetime) -> None:
    by_email: dict[str, list[journal.Row]] = {}
    for row in rows:
        by_email.setdefault(row["email"], []).append(row)
    gate = asyncio.Semaphore(_PARALLEL_EMAILS)
    started = time.monotonic()

    async def one(email_id: str, own: Sequence[journal.Row]) -> None:
        async with gate:
            await _fold_email(organization, email_id, own, now)
        received = [journal.received_at(row) for row in own if journal.counted_run(row) is None]
        if received:
            waited = now.timestamp() - min(received) / 1000
            metrics.FOLD_LAG.record(max(0.0, waited) + time.monotonic() - started, organization.name)

    # Every email gets its turn even where one fails; the first failure is then the message's, which comes again.
    results = await asyncio.gather(*(one(*item) for item in by_email.items()), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _fold_email(organization: Organization, email_id: str, rows: Sequence[journal.Row], now: datetime) -> None:
    counted = [run for row in rows if (run := journal.counted_run(row)) is not None]
    new = [_observe(organization.name, row) for row in rows if journal.counted_run(row) is None]

    async def attempt() -> None:
        partition = await emails.read_partition(organization, email_id, interactions=True)
        if partition is not None and await _may_be_kept(organization, partition, now):
            oldest = oldest_kept(organization, now)
            await _commit(organization, partition, [one for one in new if one.at >= oldest], counted, now)

    await insist(attempt)


async def _may_be_kept(organization: Organization, partition: EmailPartition, now: datetime) -> bool:
    """Return whether hits on this email may be kept: the organization's switch is on, the email is followed, and no
    recipient has withdrawn. Where one has, that is noted on the email, for ever."""
    email = partition.email
    if not organization.settings["isemailmonitoringallowed"] or not email.get("isemailfollowed"):
        return False
    if email.get("ee_followendedon"):
        if email.get("_erased") and any(map(is_hit, partition.interactions)):
            # Written by a fold of hundreds of hits that began before the erasure and then found the email changed.
            gone = [Operation("delete", row, "*") for row in partition.interactions if is_hit(row)]
            await emails.commit(organization, email, {}, gone)
        return False
    ended = await consenting.ended(organization, partition, now)
    if ended is not None:
        await emails.commit(organization, email, {"ee_followendedon": ended})
    return ended is None


def oldest_kept(organization: Organization, now: datetime) -> int:
    """Return from when on hits are kept (ms), 0 where the organization keeps them for ever."""
    days = organization.settings["ee_retentiondays"]
    return milliseconds(now - timedelta(days=days)) if days else 0


def is_hit(interaction: Mapping[str, Any]) -> bool:
    """Return whether an interaction is a hit, or a flood of them, and not a reply."""
    return "_observation" in interaction or "_flood" in interaction


def _observe(organization: str, row: journal.Row) -> Observation:
    hit, key = journal.read_hit(row)
    return observe(hit, derive_key(settings().token_secrets.get(key, b""), organization, "sources"))


async def _commit(
    organization: Organization,
    partition: EmailPartition,
    new: Sequence[Observation],
    counted: Sequence[ranges.Run],
    now: datetime,
) -> None:
    gone = frozen.load(partition.email.get("_frozen"))
    held = {row["_hit"]: row for row in partition.interactions if "_observation" in row}
    flood = next((row for row in partition.interactions if "_flood" in row), None)
    # What came before is in the numbers that are kept already; its rows are being removed.
    kept = [hit for hit in await _load_all([row["_observation"] for row in held.values()]) if hit.at >= gone.before]
    fresh = [o for o in {o.id: o for o in new}.values() if o.id not in held and o.at >= gone.before]
    taken, beyond = within_budget(kept, fresh)
    facts = facts_of(partition)
    timeline = await tell_all(facts, [*kept, *taken])
    rows = _changed_rows(partition, held, timeline, now)
    beyond_budget = [*counted, *(ranges.run_of(observation.id) for observation in beyond)]
    if beyond_budget:
        rows.extend(_flood_row(partition, flood, beyond_budget, now))
    due = {kind: alert_at(facts, timeline, hits) for kind, hits in alerting.HITS.items()}
    cards = _cards(organization, partition.email, due, now, some_are_gone=gone != frozen.NOTHING)
    states = {alerting.state_column(kind): state for kind, state in cards.items()}
    # While it is not recorded as sent, which a fetch may precede, habits have no place; the next fold keeps them.
    read_at = (dump_times(reading_times(timeline)) or None) if facts.sent_at is not None else None
    kept_for_others = {"_readat": read_at, "_counted": frozen.counted(timeline, gone) or None}
    counters = _columns(frozen.counters(timeline, gone))
    changes = _changed_columns(partition.email, {**counters, **states, **kept_for_others})
    if "_readat" in changes:
        # Before the email says so: a crash in between is made good by the next fold.
        await habits.keep(organization, partition, read_at or "", len(timeline.events))
    if rows or changes:
        await emails.commit(organization, partition.email, changes, rows)
    _count_labels(organization, timeline, {observation.id for observation in taken}, len(beyond))
    # A fold that brings nothing new was woken for these, or is one again that died before it sent the message.
    waking = [
        at
        for kind, at in due.items()
        if at is not None and cards[kind] == "held" and (alerting.state_column(kind) in changes or not fresh)
    ]
    if waking:
        message = {"organization": organization.name, "email": partition.email["PartitionKey"]}
        await queues.send(queues.FOLD, message, timedelta(seconds=max(1.0, min(waking) / 1000 - now.timestamp())))
    for kind, state in cards.items():
        if state in alerting.UNFINISHED:
            await _settle(organization, partition, timeline, kind, state, now)


def _count_labels(organization: Organization, timeline: Timeline, taken: Container[str], beyond: int) -> None:
    for event in timeline.events:
        if event.observation.id in taken:
            metrics.LABELS.add(organization.name, event.verdict.label.name.lower())
    if beyond:
        metrics.LABELS.add(organization.name, Label.MACHINE.name.lower(), count=beyond)


async def tell_all(facts: Email, observations: Sequence[Observation]) -> Timeline:
    """Tell the timeline of an email's hits without keeping recipients waiting."""
    if len(observations) < _THREAD_FROM:
        return tell(facts, observations)
    return await asyncio.to_thread(tell, facts, observations)


async def _load_all(texts: Sequence[str]) -> list[Observation]:
    """Read what is kept of an email's hits, likewise."""
    if len(texts) < _THREAD_FROM:
        return list(map(load, texts))
    return await asyncio.to_thread(lambda: list(map(load, texts)))


def facts_of(partition: EmailPartition) -> Email:
    """Return what the rules need to know of an email."""
    email = partition.email
    return Email(
        sent_at=milliseconds(parse_iso(email["senton"])) if email.get("senton") else None,
        links=sum("item" in link for link in partition.links),
        images=len(partition.images),
        attachments=sum("_item" in attachment for attachment in partition.attachments),
        recipients=sum(map(is_recipient, partition.parties)),
        sender_source=email.get("_sendersource", ""),
    )


def _changed_rows(
    partition: EmailPartition, held: Mapping[str, Entity], timeline: Timeline, now: datetime
) -> list[Operation]:
    """Return the interaction rows that are new or are told differently now."""
    changed: list[Operation] = []
    email_id = partition.email["PartitionKey"]
    for event in timeline.events:
        stored = held.get(event.observation.id)
        # Of thousands of hits few are told differently: a whole row is made for those alone.
        if stored is not None:
            judged = _judged(email_id, event)
            if all(stored.get(name) == value for name, value in judged.items()):
                continue
        row = _interaction(partition, event, now)
        if stored is not None:
            row["createdon"] = stored["createdon"]
        changed.append(Operation("put", row))
    return changed


def _judged(email_id: str, event: Event) -> dict[str, Any]:
    """Return the columns of an interaction that later hits may change."""
    return {
        "ee_label": int(event.verdict.label),
        "ee_labelreason": event.verdict.reason,
        "ee_duplicateof": interaction_id(email_id, event.duplicate_of) if event.duplicate_of else None,
    }


def _interaction(partition: EmailPartition, event: Event, now: datetime) -> dict[str, Any]:
    observation = event.observation
    email_id = partition.email["PartitionKey"]
    return {
        "PartitionKey": email_id,
        "RowKey": emails.interaction_key(observation.at, observation.id),
        "interactionforemailid": interaction_id(email_id, observation.id),
        "interactiontype": int(Kind.OPEN if observation.kind is Kind.IMAGE else observation.kind),
        "emailactivityid": email_id,
        "emailinteractiontime": iso_seconds(observation.at),
        "interactedcomponenttext": _component(partition, observation),
        "interactionuseragent": observation.device or None,
        "ownerid": partition.email.get("ownerid"),
        "statecode": 0,
        "createdon": iso_seconds(milliseconds(now)),
        "ee_device": observation.device or None,
        **_judged(email_id, event),
        **_party(partition),
        "_hit": observation.id,
        "_observation": dump(observation),
    }


def interaction_id(email_id: str, hit: str) -> str:
    """Return the id of the interaction that a hit on an email becomes."""
    return str(uuid.uuid5(uuid.UUID(email_id), hit))


def _component(partition: EmailPartition, observation: Observation) -> str | None:
    if observation.kind is Kind.LINK:
        found: Iterable[str] = (link["target"] for link in partition.links if link.get("item") == observation.item)
    elif observation.kind is Kind.ATTACHMENT:
        found = (a["filename"] for a in partition.attachments if a.get("_item") == observation.item)
    else:
        found = ()
    text = next(iter(found), None)
    return text[:1250] if text else None


def _party(partition: EmailPartition) -> dict[str, Any]:
    """Return who it was, which is known where the mail went to exactly one person."""
    recipients = [party for party in partition.parties if is_recipient(party)]
    if len(recipients) != 1:
        return {}
    return {"interactionpartyid": recipients[0].get("partyid"), "emailaddress": recipients[0].get("addressused")}


def _flood_row(
    partition: EmailPartition, stored: Entity | None, beyond: Sequence[ranges.Run], now: datetime
) -> list[Operation]:
    """Return the one row that counts a flood, or nothing where all of these hits are counted already."""
    state: dict[str, Any] = orjson.loads(stored["_flood"]) if stored else {"count": 0, "ranges": {}}
    counted, added = ranges.add(state["ranges"], beyond)
    if not added:
        return []
    total = state["count"] + added
    email_id = partition.email["PartitionKey"]
    return [
        Operation(
            "put",
            {
                "PartitionKey": email_id,
                "RowKey": f"interaction:{MAX_TIME:014d}:flood",
                "interactionforemailid": interaction_id(email_id, "flood"),
                "interactiontype": int(Kind.OPEN),
                "emailactivityid": email_id,
                "emailinteractiontime": iso_seconds(milliseconds(now)),
                "ownerid": partition.email.get("ownerid"),
                "statecode": 0,
                "createdon": iso_seconds(milliseconds(now)),
                "ee_label": int(Label.MACHINE),
                "ee_labelreason": f"a flood from one source: {total:,} further fetches, counted here in one",
                "_flood": orjson.dumps({"count": total, "ranges": counted}).decode(),
            },
        )
    ]


def _columns(counters: Counters) -> dict[str, Any]:
    return {
        "opencount": counters.opencount,
        "linksclickedcount": counters.linksclickedcount,
        "attachmentopencount": counters.attachmentopencount,
        "ee_proxyopencount": counters.ee_proxyopencount,
        "ee_machineopencount": counters.ee_machineopencount,
        "ee_machineclickcount": counters.ee_machineclickcount,
        "lastopenedtime": iso_seconds(counters.lastopenedtime) if counters.lastopenedtime is not None else None,
    }


def _changed_columns(email: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if email.get(name) != value}


def _cards(
    organization: Organization,
    email: Mapping[str, Any],
    due: Mapping[str, int | None],
    now: datetime,
    *,
    some_are_gone: bool,
) -> dict[str, str | None]:
    """Return the state that each card of a hit should be in; `due` is when each is worth an alert (ms). Where retention
    has removed hits, that there is none says nothing against a card that was raised."""
    return {
        kind: email.get(alerting.state_column(kind))
        if at is None and some_are_gone
        else alerting.next_state(
            email.get(alerting.state_column(kind)), at, milliseconds(now), on=alerting.is_on(organization, kind)
        )
        for kind, at in due.items()
    }


async def _settle(
    organization: Organization, partition: EmailPartition, timeline: Timeline, kind: str, state: str, now: datetime
) -> None:
    """Write or withdraw the card of a hit."""
    event = first_by_person(timeline, alerting.HITS[kind])
    if event is None:
        await alerting.settle(organization, partition, kind, state, now)
        return
    hit = event.observation
    detail = hit.device if kind == "firstopen" else _component(partition, hit) or ""
    await alerting.settle(organization, partition, kind, state, now, moment=from_milliseconds(hit.at), detail=detail)
