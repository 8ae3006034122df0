"""The fold of a flood from very many addresses: what is kept of people, what is counted, what a fold has to read."""

import asyncio
import itertools
import random
from datetime import timedelta
from hashlib import blake2b

import orjson
import pytest

from shared.engagement import budgets
from shared.engagement import timeline as timeline_rules
from shared.engagement.hits import Kind
from shared.engagement.observations import source_hash
from shared.engagement.tokens import derive_key
from shared.services import folding, retaining
from shared.services.alerting import card_of
from shared.settings import settings
from shared.storage import emails, journal, records
from shared.storage.account import Unavailable
from shared.storage.organizations import Organization
from shared.storage.tables import Operation
from tests.journalled_hits import CHROME, OUTLOOK, SENT, a_hit, journalled
from tests.sent_mail import counters, put_sent_email, recount

LATER = SENT + timedelta(hours=30)
BUDGET = 60
HOUR = 3600
_addresses = itertools.count(1)


@pytest.fixture(autouse=True)
def _small_budgets(monkeypatch):
    """A budget of 60 hits for an email, and shares of 3, so that a test's flood is small."""
    monkeypatch.setattr(timeline_rules.within_budget, "__kwdefaults__", {"of_email": BUDGET})
    monkeypatch.setattr(budgets, "SHARE", 3)


def flood(email_id, hits, after=2 * HOUR, kind=Kind.LINK, item=0):
    """Return so many hits within some seconds, each from an address of its own."""
    numbers = itertools.islice(_addresses, hits)
    return [
        a_hit(email_id, after + n / 100, kind, item, CHROME, f"11.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in numbers
    ]


def counts(email_id, first, hits, kind=Kind.LINK, after=2 * HOUR):
    """Return the row that stands for so many hits that were only counted, numbered from `first` on."""
    at = a_hit(email_id, after)["hit"][2]
    rows = [journal.make_count(first + n, email_id, at + n, kind) for n in range(hits)]
    assert all(journal.count_in(rows[0], row) for row in rows[1:])
    return rows[0]


async def folded(organization, *rows, now=LATER):
    for partition in await journalled(organization, *rows):
        await folding.fold_partition(organization.name, partition, now)


async def read(organization, email_id):
    found = await emails.read_partition(organization, email_id, interactions=True)
    assert found is not None
    return found


def told(found):
    """Return the hits that are kept one by one, and what is kept of those that are counted."""
    own = {row["_hit"]: row for row in found.interactions if "_hit" in row}
    assert len(own) + sum("_flood" in row for row in found.interactions) == len(found.interactions)
    state = next((orjson.loads(row["_flood"]) for row in found.interactions if "_flood" in row), {"count": 0})
    return own, state


def id_of(row):
    return f"{row['partition'][11:]}-{row['sequence']}"


async def test_very_many_sources_leave_a_bounded_number_of_rows_and_every_hit_is_told(organization):
    email_id = await put_sent_email(organization, SENT)
    for _ in range(4):
        await folded(organization, *flood(email_id, 100))
    found = await read(organization, email_id)
    own, state = told(found)
    assert BUDGET <= len(own) <= 2 * BUDGET
    assert len(own) + state["count"] == 400
    assert counters(found) == recount(found)
    assert found.email["linksclickedcount"] + found.email["ee_machineclickcount"] >= state["count"]
    assert found.email["ee_machineopencount"] == 0, "clicks are no opens"


async def test_what_a_person_did_before_amid_and_after_a_flood_is_told(organization):
    email_id = await put_sent_email(organization, SENT)
    before = a_hit(email_id, HOUR, headers=OUTLOOK, address="203.0.113.9")
    amid = [
        a_hit(email_id, 2 * HOUR + 1, Kind.LINK, 0, CHROME, "203.0.113.9"),
        a_hit(email_id, 2 * HOUR + 2, Kind.LINK, 1, CHROME, "203.0.113.77"),
    ]
    after = a_hit(email_id, 26 * HOUR, Kind.LINK, 0, CHROME, "198.51.100.9")
    await folded(organization, before)
    await folded(organization, *flood(email_id, 200))
    await folded(organization, *flood(email_id, 100), *amid)
    await folded(organization, after)
    own, state = told(await read(organization, email_id))
    assert id_of(before) in own
    assert id_of(amid[0]) in own, "known before, on the link that is flooded"
    assert id_of(amid[1]) in own, "unknown, on a link that is not"
    assert id_of(after) in own, "the next day, unknown, on the link that was flooded"
    assert len(own) + state["count"] == 304
    assert await records.get(organization, "actioncard", card_of(email_id, "firstopen")) is not None


async def test_the_first_and_the_last_of_what_is_counted_are_told_and_how_many_of_each_kind(organization):
    email_id = await put_sent_email(organization, SENT)
    await folded(
        organization,
        counts(email_id, 10**12, 300, Kind.LINK, HOUR),
        counts(email_id, 2 * 10**12, 50, Kind.OPEN, 2 * HOUR),
    )
    [row] = (await read(organization, email_id)).interactions
    assert row["ee_labelreason"] == (
        "a flood: 350 further fetches, counted here in one (50 opens, 300 clicks), the first at 2026-11-02T10:30:00Z"
    )
    assert row["emailinteractiontime"] == "2026-11-02T11:30:00Z", "the last"
    assert (row["ee_label"], row["interactiontype"]) == (2, 1)


@pytest.mark.parametrize("seed", range(8))
async def test_order_batches_and_repeats_of_a_flood_change_neither_the_sum_nor_the_counts(organization, seed):
    shuffled = random.Random(seed)
    email_id = await put_sent_email(organization, SENT)
    hits = [*flood(email_id, 150), *flood(email_id, 40, kind=Kind.OPEN)]
    counted = [counts(email_id, 10**12 * (1 + n), 20 + n, Kind(n % 3)) for n in range(6)]
    rows = [*hits, *counted]
    left = [*rows, *shuffled.sample(rows, len(rows) // 2)]
    shuffled.shuffle(left)
    while left:
        size = shuffled.choice((1, 5, 30, 90))
        batch, left = left[:size], left[size:]
        await asyncio.gather(folded(organization, *batch[::2]), folded(organization, *batch[1::2]))
    found = await read(organization, email_id)
    own, state = told(found)
    assert set(own) <= set(map(id_of, hits))
    assert len(own) + state["count"] == 190 + sum(row["hit"][0] for row in counted)
    assert sum(state["kinds"].values()) == state["count"]
    assert counters(found) == recount(found)


@pytest.mark.parametrize("breaks_at", range(8))
async def test_a_fold_of_a_flood_that_dies_between_any_two_writes_is_made_good(organization, monkeypatch, breaks_at):
    email_id = await put_sent_email(organization, SENT)
    rows = [*flood(email_id, 230), counts(email_id, 10**12, 100), counts(email_id, 3 * 10**12, 30, Kind.OPEN)]
    only = [counts(email_id, 5 * 10**12, 70)]
    tables, calls = type(organization.tables), itertools.count()
    transact = tables.transact

    async def dying(self, table, operations):
        if next(calls) == breaks_at:
            raise Unavailable(0, "Killed")
        return await transact(self, table, operations)

    partitions = [*await journalled(organization, *rows), *await journalled(organization, *only)]
    with monkeypatch.context() as patch:
        patch.setattr(tables, "transact", dying)
        for partition in partitions:
            try:
                await folding.fold_partition(organization.name, partition, LATER)
            except Unavailable:
                break
    for partition in partitions:
        await folding.fold_partition(organization.name, partition, LATER)
    found = await read(organization, email_id)
    own, state = told(found)
    assert len(own) + state["count"] == 430
    assert counters(found) == recount(found)


async def test_what_is_only_counted_is_folded_without_a_look_at_the_other_hits(organization, monkeypatch):
    email_id = await put_sent_email(organization, SENT)
    await folded(organization, *flood(email_id, 120))
    before = await read(organization, email_id)
    looked = []
    read_partition = emails.read_partition

    async def looking(*args, interactions=False, **more):
        looked.append(interactions)
        return await read_partition(*args, interactions=interactions, **more)

    with monkeypatch.context() as patch:
        patch.setattr(emails, "read_partition", looking)
        await folded(organization, counts(email_id, 10**12, 5000))
        await folded(organization, counts(email_id, 10**12, 5000))
    assert looked == [False, False]
    found = await read(organization, email_id)
    assert told(found)[1]["count"] == told(before)[1]["count"] + 5000
    assert found.email["ee_machineclickcount"] == before.email["ee_machineclickcount"] + 5000
    assert counters(found) == recount(found)


async def test_a_message_takes_a_slice_of_a_partition_and_the_next_one_follows_at_once(organization, monkeypatch):
    monkeypatch.setattr(folding, "MAX_HITS", 100)
    monkeypatch.setattr(timeline_rules.within_budget, "__kwdefaults__", {"of_email": 1000})
    email_id = await put_sent_email(organization, SENT)
    [partition] = await journalled(organization, *[a_hit(email_id, 60 + n / 100) for n in range(250)])
    # A page of the journal has up to a hundred entities; here one holds a hundred hits.
    monkeypatch.setattr(journal, "MAX_BATCH", 1)
    seen = []
    while (again := await folding.fold_partition(organization.name, partition, LATER)) is not None:
        seen.append((len((await read(organization, email_id)).interactions), again))
    assert seen == [
        (100, timedelta(0)),
        (200, timedelta(0)),
        (250, folding.BUSY_DELAY),
    ]


async def test_a_64_of_ipv6_is_one_source_and_keeps_its_budget(organization, monkeypatch):
    monkeypatch.setattr(timeline_rules.within_budget, "__defaults__", (20,))
    email_id = await put_sent_email(organization, SENT)
    one = [a_hit(email_id, HOUR + n / 10, address=f"2a00:1:2:3:{n:x}::{n:x}") for n in range(40)]
    other = a_hit(email_id, HOUR, address="2a00:1:2:4::1")
    await folded(organization, *one, other)
    own, state = told(await read(organization, email_id))
    assert (len(own), state["count"]) == (21, 20)


async def test_one_display_from_two_addresses_of_a_64_is_one_open(organization):
    email_id = await put_sent_email(organization, SENT)
    await folded(
        organization,
        a_hit(email_id, HOUR, address="2a00:1:2:3::1"),
        a_hit(email_id, HOUR + 2, address="2a00:1:2:3:9:9:9:9"),
    )
    assert (await read(organization, email_id)).email["opencount"] == 1


async def test_the_sender_of_a_mail_sent_before_a_source_was_a_64_is_known_still(organization):
    """The mail keeps the hash of the single address."""
    key = derive_key(settings().token_secrets[1], organization.name, "sources")
    address = "2a00:1:2:3:4:5:6:7"
    _, agent, kind, device = source_hash(key, address, CHROME["user-agent"]).split("|")
    alone = blake2b(address.encode(), digest_size=8, key=key, person=b"address").hexdigest()
    email_id = await put_sent_email(organization, SENT)
    sender = {"PartitionKey": email_id, "RowKey": "email", "_sendersource": f"{alone}|{agent}|{kind}|{device}"}
    await organization.tables.apply(organization.emails, Operation("merge", sender, "*"))
    await folded(organization, a_hit(email_id, HOUR, headers=CHROME, address=address))
    [row] = (await read(organization, email_id)).interactions
    assert row["ee_labelreason"] == "the sender's own device"


async def test_a_flood_of_the_version_before_goes_on(organization):
    email_id = await put_sent_email(organization, SENT)
    old = {
        "PartitionKey": email_id,
        "RowKey": "interaction:100000000000000:flood",
        "interactionforemailid": folding.interaction_id(email_id, "flood"),
        "interactiontype": 0,
        "emailactivityid": email_id,
        "emailinteractiontime": "2026-11-02T10:00:00Z",
        "createdon": "2026-11-02T10:00:00Z",
        "ee_label": 2,
        "ee_labelreason": "a flood from one source: 80 further fetches, counted here in one",
        "_flood": '{"count":80,"ranges":{"0123456789abcdef":[[11,90]]}}',
    }
    assert old["RowKey"] == emails.FLOOD
    await organization.tables.apply(organization.emails, Operation("insert", old))
    row = {**counts(email_id, 0, 1), "sequence": "000000000081", "hit": [20]}
    row["partition"] = f"{row['partition'][:11]}0123456789abcdef"
    await folded(organization, row, a_hit(email_id, 3 * HOUR))
    found = await read(organization, email_id)
    assert told(found)[1]["count"] == 90, "ten of the twenty had been counted"
    assert found.email["opencount"] == 1


async def test_retention_keeps_what_was_counted_once_whatever_it_does_twice(organization, monkeypatch):
    email_id = await put_sent_email(organization, SENT)
    now = SENT + timedelta(days=45)
    await folded(
        organization, *flood(email_id, 100), counts(email_id, 10**12, 500), a_hit(email_id, 40 * 24 * HOUR), now=now
    )
    before = counters(await read(organization, email_id))
    short = Organization(
        organization.name, organization.id, organization.tenant, {**organization.settings, "ee_retentiondays": 30}
    )

    async def die(*_):
        raise Unavailable(0, "Killed")

    with monkeypatch.context() as patch:
        patch.setattr(retaining, "_delete", die)
        with pytest.raises(Unavailable):
            await retaining.retain(short, {"slice": "0"}, now)
    await folding.fold_email(organization.name, email_id, now)
    assert counters(await read(organization, email_id)) == before, "between the numbers and the rows"
    await retaining.retain(short, {"slice": "0"}, now)
    await folding.fold_email(organization.name, email_id, now)
    found = await read(organization, email_id)
    assert (counters(found), len(found.interactions)) == (before, 1)
    await folded(organization, counts(email_id, 7 * 10**12, 5, after=44 * 24 * HOUR), now=now)
    after = counters(await read(organization, email_id))
    assert after == {**before, "ee_machineclickcount": before["ee_machineclickcount"] + 5}


async def test_a_partition_whose_fold_was_much_work_is_left_alone_for_longer_whatever_messages_come(
    organization, monkeypatch
):
    monkeypatch.setattr(folding, "HITS_A_SECOND", 20)
    email_id = await put_sent_email(organization, SENT)
    [partition] = await journalled(organization, *flood(email_id, 120, after=60))
    again = await folding.fold_partition(organization.name, partition, LATER)
    assert again == timedelta(seconds=2 + 120 // 20)
    await journalled(organization, a_hit(email_id, 60.5))
    soon, then = LATER + timedelta(seconds=7), LATER + again
    assert [await folding.fold_partition(organization.name, partition, soon) for _ in range(3)] == [None] * 3
    assert await journal.read_rows(organization, partition) != []
    assert await folding.fold_partition(organization.name, partition, then) is not None
    assert await journal.read_rows(organization, partition) == []
