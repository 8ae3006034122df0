"""The fold on real tables: every hit one interaction, counters that a recount gives, whatever happens twice."""

import asyncio
import itertools
import random
import uuid
from datetime import timedelta

import pytest

from shared.engagement import timeline as timeline_rules
from shared.engagement.hits import Kind
from shared.services import folding
from shared.services.alerting import card_of
from shared.storage import emails, journal, records
from shared.storage.account import Unavailable
from shared.storage.organizations import save_organization
from tests.journalled_hits import CHROME, OUTLOOK, SENT, a_hit, journalled
from tests.sent_mail import counters, put_sent_email, recount

LATER = SENT + timedelta(hours=2)


async def a_sent_email(organization, links=2):
    return await put_sent_email(organization, SENT, links)


async def folded(organization, *rows, now=LATER):
    for partition in await journalled(organization, *rows):
        await folding.fold_partition(organization.name, partition, now)


async def read(organization, email_id):
    found = await emails.read_partition(organization, email_id, interactions=True)
    assert found is not None
    return found


async def test_a_hit_becomes_an_interaction_and_leaves_the_journal(organization):
    email_id = await a_sent_email(organization)
    [partition] = await journalled(organization, a_hit(email_id, kind=Kind.LINK, item=1, headers=CHROME))
    assert await folding.fold_partition(organization.name, partition, LATER) is not None
    found = await read(organization, email_id)
    [row] = found.interactions
    assert row["interactiontype"] == 1
    assert row["emailactivityid"] == email_id
    assert row["emailinteractiontime"] == "2026-11-02T10:30:00Z"
    assert row["interactedcomponenttext"] == "https://example.com/1"
    assert row["emailaddress"] == "ada@example.com"
    assert row["ee_label"] == 0
    assert "Chrome" in row["ee_device"]
    assert found.email["linksclickedcount"] == 1
    assert found.email["lastopenedtime"] == "2026-11-02T10:30:00Z", "whoever clicks has opened"
    assert found.email["opencount"] == 0
    assert await journal.read_rows(organization, partition) == []
    assert await folding.fold_partition(organization.name, partition, LATER) is None


async def test_no_address_and_no_agent_outlive_the_journal(organization):
    email_id = await a_sent_email(organization)
    await folded(organization, a_hit(email_id, address="203.0.113.77"))
    found = await read(organization, email_id)
    assert "203.0.113" not in str(found)
    assert OUTLOOK["user-agent"] not in str(found)


async def test_the_timeline_is_newest_first(organization):
    email_id = await a_sent_email(organization)
    await folded(organization, *(a_hit(email_id, after=3600 + n * 60) for n in random.sample(range(8), 8)))
    times = [row["emailinteractiontime"] for row in (await read(organization, email_id)).interactions]
    assert times == sorted(times, reverse=True)


async def test_one_display_is_one_open_and_says_what_it_was_merged_into(organization):
    email_id = await a_sent_email(organization)
    first = a_hit(email_id, after=3600)
    await folded(organization, first, a_hit(email_id, after=3602), a_hit(email_id, after=3700))
    found = await read(organization, email_id)
    assert counters(found) == recount(found)
    assert found.email["opencount"] == 2
    duplicates = [row["ee_duplicateof"] for row in found.interactions if "ee_duplicateof" in row]
    assert duplicates == [folding.interaction_id(email_id, f"{first['partition'][11:]}-{first['sequence']}")]


async def test_machines_stand_beside_people(organization):
    email_id = await a_sent_email(organization)
    scanner = {"user-agent": "python-requests/2.32"}
    hits = [
        a_hit(email_id, 30, headers=scanner, address="198.51.100.1", kind=kind, item=n)
        for kind, n in [(Kind.OPEN, 0), (Kind.LINK, 0), (Kind.LINK, 1)]
    ]
    await folded(organization, *hits, a_hit(email_id, method="HEAD", address="198.51.100.2"), a_hit(email_id))
    found = await read(organization, email_id)
    assert counters(found) == recount(found)
    assert (found.email["opencount"], found.email["ee_machineopencount"], found.email["ee_machineclickcount"]) == (
        1,
        2,
        2,
    )
    assert all(row["ee_labelreason"] for row in found.interactions)


async def test_folds_delivered_twice_late_and_in_parallel_give_each_hit_once(organization):
    email_ids = [await a_sent_email(organization) for _ in range(3)]
    rows = [
        a_hit(random.choice(email_ids), after=3600 + n, kind=Kind(n % 2), address=f"203.0.113.{n % 7}")
        for n in range(240)
    ]
    partitions = await journalled(organization, *rows)
    rounds = [folding.fold_partition(organization.name, p, LATER) for p in partitions for _ in range(3)]
    await asyncio.gather(*rounds)
    # The spool writes a part of it again, late.
    for partition in await journalled(organization, *rows[::3]):
        await folding.fold_partition(organization.name, partition, LATER)
    total = 0
    for email_id in email_ids:
        found = await read(organization, email_id)
        total += len(found.interactions)
        assert len({row["_hit"] for row in found.interactions}) == len(found.interactions)
        assert counters(found) == recount(found)
    assert total == len(rows)


@pytest.mark.parametrize("breaks_at", range(6))
async def test_a_fold_that_dies_between_any_two_writes_is_made_good_by_the_next(organization, monkeypatch, breaks_at):
    email_id = await a_sent_email(organization)
    rows = [a_hit(email_id, after=3600 + n, address=f"203.0.113.{n % 9}") for n in range(230)]
    partitions = await journalled(organization, *rows)
    tables = type(organization.tables)
    transact, calls = tables.transact, itertools.count()

    async def dying(self, table, operations):
        if next(calls) == breaks_at:
            raise Unavailable(0, "Killed")
        return await transact(self, table, operations)

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
    assert len(found.interactions) == len(rows)
    assert counters(found) == recount(found)
    for partition in partitions:
        assert await journal.read_rows(organization, partition) == []


async def test_hits_on_a_deleted_email_do_not_bring_it_back(organization):
    email_id = str(uuid.uuid4())
    await folded(organization, a_hit(email_id))
    assert await emails.read_partition(organization, email_id, interactions=True) is None


async def test_nothing_is_kept_while_following_is_switched_off(organization):
    email_id = await a_sent_email(organization)
    off = type(organization)(
        organization.name,
        organization.id,
        organization.tenant,
        {**organization.settings, "isemailmonitoringallowed": False},
    )
    await save_organization(off)
    await folded(organization, a_hit(email_id))
    await save_organization(organization)
    assert (await read(organization, email_id)).interactions == ()


async def test_a_flood_from_one_source_is_counted_in_one_row(organization, monkeypatch):
    monkeypatch.setattr(timeline_rules, "FLOOD_BUDGET", 50)
    monkeypatch.setattr(timeline_rules.within_budget, "__defaults__", (50,))
    email_id = await a_sent_email(organization)
    rows = [a_hit(email_id, after=3600 + n / 10) for n in range(130)]
    other = a_hit(email_id, address="198.51.100.9", after=9000)
    await folded(organization, *rows[:80], other)
    await folded(organization, *rows[60:])
    found = await read(organization, email_id)
    flood = [row for row in found.interactions if "_flood" in row]
    assert len(found.interactions) == 50 + 1 + 1
    assert len(flood) == 1
    assert "80 further fetches" in flood[0]["ee_labelreason"]
    assert flood[0]["ee_label"] == 2


async def test_hits_that_were_only_counted_join_the_flood_and_come_twice_in_vain(organization, monkeypatch):
    monkeypatch.setattr(timeline_rules.within_budget, "__defaults__", (50,))
    email_id = await a_sent_email(organization)
    at = a_hit(email_id)["hit"][2]

    def counted(*numbers):
        rows = [journal.make_count(number, email_id, at) for number in numbers]
        assert all(journal.count_in(rows[0], row) for row in rows[1:])
        return rows[0]

    await folded(organization, *(a_hit(email_id, after=3600 + n / 10) for n in range(60)), counted(*range(1000, 1400)))
    await folded(organization, counted(*range(1000, 1400)), counted(*range(1300, 1500)), counted(1500))
    found = await read(organization, email_id)
    [flood] = [row for row in found.interactions if "_flood" in row]
    assert "511 further fetches" in flood["ee_labelreason"]
    assert len(found.interactions) == 50 + 1


async def test_a_persons_first_open_raises_one_card_however_many_opens_come(organization):
    email_id = await a_sent_email(organization)
    partitions = await journalled(
        organization, *(a_hit(email_id, after=3600 + n * 20, address=f"203.0.113.{n}") for n in range(6))
    )
    await asyncio.gather(*(folding.fold_partition(organization.name, p, LATER) for p in partitions for _ in range(2)))
    cards = [card async for page in records.query(organization, "actioncard") for card in page]
    assert [card["actioncardid"] for card in cards] == [card_of(email_id, "firstopen")]
    assert "Ada Lovelace" in cards[0]["title"]
    assert "Your quote" in cards[0]["description"]
    assert cards[0]["regardingobjectid"] == email_id


async def test_a_dismissed_card_does_not_come_back(organization):
    email_id = await a_sent_email(organization)
    await folded(organization, a_hit(email_id))
    await records.merge(organization, "actioncard", card_of(email_id, "firstopen"), {"state": 1})
    await folded(organization, a_hit(email_id, after=5000))
    card = await records.get(organization, "actioncard", card_of(email_id, "firstopen"))
    assert card is not None
    assert card["state"] == 1


async def test_machines_raise_no_card(organization):
    email_id = await a_sent_email(organization)
    await folded(organization, a_hit(email_id, headers={"user-agent": "curl/8"}), a_hit(email_id, method="HEAD"))
    assert await records.get(organization, "actioncard", card_of(email_id, "firstopen")) is None


async def test_a_card_is_withdrawn_when_later_hits_say_machine(organization):
    email_id = await a_sent_email(organization, links=4)
    now = SENT + timedelta(seconds=40)
    await folded(organization, a_hit(email_id, 30, headers=CHROME), now=now)
    burst = [a_hit(email_id, 38 + n / 100, kind=Kind.LINK, item=n, headers=CHROME) for n in range(4)]
    await folded(organization, *burst, now=now)
    found = await read(organization, email_id)
    assert found.email["opencount"] == 0
    assert found.email["ee_machineclickcount"] == 4
    await folding.fold_email(organization.name, email_id, SENT + timedelta(minutes=3))
    assert await records.get(organization, "actioncard", card_of(email_id, "firstopen")) is None


async def test_a_card_that_was_due_when_the_process_died_is_written_by_the_next_fold(organization, monkeypatch):
    email_id = await a_sent_email(organization)

    async def die(*_):
        raise Unavailable(0, "Killed")

    with monkeypatch.context() as patch:
        patch.setattr(records, "insert", die)
        with pytest.raises(Unavailable):
            await folded(organization, a_hit(email_id))
    await folding.fold_email(organization.name, email_id, LATER)
    assert await records.get(organization, "actioncard", card_of(email_id, "firstopen")) is not None


async def test_an_open_minute_is_looked_at_again_and_a_closed_one_is_left(organization):
    email_id = await a_sent_email(organization)
    [partition] = await journalled(organization, a_hit(email_id, after=0))
    during = SENT + timedelta(seconds=10)
    assert await folding.fold_partition(organization.name, partition, during) == folding.BUSY_DELAY
    assert await folding.fold_partition(organization.name, partition, during) == folding.IDLE_DELAY
    assert await folding.fold_partition(organization.name, partition, SENT + timedelta(seconds=70)) is None
