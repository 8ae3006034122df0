"""Recording hits: group commit, the budget, the spool, and every hit exactly once in the journal."""

import asyncio
import itertools
import os
import stat
import time
import uuid

import pytest

from shared.engagement import ranges
from shared.engagement.floods import Floods
from shared.engagement.hits import Hit, Kind
from shared.engagement.tokens import Token, TokenKind
from shared.services import recording
from shared.services.recording import Recorder
from shared.storage import journal
from shared.storage.account import Unavailable
from shared.storage.journal import Writer, hits_of, make_row, read_rows
from shared.storage.spool import Spool
from shared.storage.tables import EntityWriter

_numbers = itertools.count(1)
AT = 1_800_000_000_000
PARTITION = f"{AT // 60_000:010d}-0123456789abcdef"


def a_row(at=AT, headers=None):
    headers = headers or {"accept": "*/*"}
    hit = Hit(f"0123456789abcdef-{next(_numbers):012d}", Kind.OPEN, 0, at, "GET", "203.0.113.9", headers, "")
    return make_row(hit, str(uuid.uuid4()), 1)


async def journalled(organization):
    return [hit for entity in await read_rows(organization, PARTITION) for hit in hits_of(entity)]


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool", "0123456789abcdef", 1_000_000)


def dies(spool, while_writing=b""):
    """End a spool's process as a kill would: its locks go, its files stay."""
    os.write(spool._open.descriptor, while_writing)
    os.close(spool._open.descriptor)


class Journal:
    """A journal that takes what it is given, or fails while it is down."""

    def __init__(self):
        self.down, self.rows = False, []

    async def write(self, organization, rows):
        if self.down:
            raise Unavailable(0, "Down")
        self.rows.extend((organization, row["sequence"]) for row in rows)


async def test_hits_of_a_burst_share_few_writes_and_are_all_there(organization):
    woken = []
    writer = Writer(organization.name, lambda *partition: woken.append(partition))
    rows = [a_row() for _ in range(250)]
    assert all(await asyncio.gather(*(writer.append(row) for row in rows)))
    stored = await journalled(organization)
    assert sorted(row["sequence"] for row in stored) == sorted(row["sequence"] for row in rows)
    assert woken == [(organization.name, PARTITION)], "one fold message for the partition"


async def test_a_minute_that_turns_splits_the_commit(organization):
    woken = []
    writer = Writer(organization.name, lambda *partition: woken.append(partition))
    assert all(await asyncio.gather(*(writer.append(a_row(AT + n * 60_000)) for n in (0, 0, 1, 1, 2))))
    assert len(woken) == 3


async def test_hits_of_an_organization_that_is_gone_are_dropped_without_failing(configured):
    writer = Writer("nobodyhere", lambda *_: None)
    assert await writer.append(a_row())


async def test_writing_a_hit_again_beside_others_replaces_none_of_them(organization):
    rows = [a_row() for _ in range(3)]
    await journal.write_rows(organization.name, rows)
    await journal.write_rows(organization.name, [rows[0], rows[2]])
    assert {row["sequence"] for row in await journalled(organization)} == {row["sequence"] for row in rows}


async def test_hits_of_any_size_fit_into_one_write(organization):
    rows = [a_row(headers={f"x-{n}": '"' * 512 for n in range(16)}) for _ in range(20)]
    await journal.write_rows(organization.name, rows)
    [entity] = await read_rows(organization, PARTITION)
    assert [row["sequence"] for row in hits_of(entity)] == [row["sequence"] for row in rows]
    assert hits_of(entity)[0]["hit"][-1] == rows[0]["hit"][-1]


async def test_deleting_takes_exactly_the_rows_that_were_read(organization):
    first, second = [a_row() for _ in range(150)], a_row()
    for row in first:
        await journal.write_rows(organization.name, [row])
    read = await read_rows(organization, PARTITION)
    await journal.write_rows(organization.name, [second])
    await journal.delete_rows(organization, read[:3])
    await journal.delete_rows(organization, read)
    assert [row["sequence"] for row in await journalled(organization)] == [second["sequence"]]


async def test_old_partitions_are_found_and_young_ones_left(organization):
    minutes = [100, 101, 105]
    for minute in minutes:
        await journal.write_rows(organization.name, [a_row(minute * 60_000) for _ in range(3)])
    found = await journal.old_partitions(organization, 105)
    assert [journal.partition_minute(partition) for partition in found] == [100, 101]


async def test_a_store_that_hangs_does_not_keep_the_recipient_waiting(organization, spool, monkeypatch):
    async def hang(*_):
        await asyncio.sleep(60)

    monkeypatch.setattr(EntityWriter, "put", hang)
    recorder = Recorder(spool, budget=0.05)
    started = time.perf_counter()
    await recorder.record(organization.name, a_row())
    waited = time.perf_counter() - started
    await recorder.record(organization.name, a_row())
    assert recorder.suspended, "the second one did not even try"
    assert waited < 5
    assert not spool.empty


async def test_what_was_spooled_is_written_when_storage_is_back(organization, spool, monkeypatch):
    async def refuse(*_):
        raise Unavailable(0, "Down")

    real = journal.write_rows
    monkeypatch.setattr(EntityWriter, "put", refuse)
    monkeypatch.setattr(journal, "write_rows", refuse)
    recorder = Recorder(spool, budget=1.0)
    rows = [a_row() for _ in range(120)]
    await asyncio.gather(*(recorder.record(organization.name, row) for row in rows))
    spooled = recorder.suspended
    monkeypatch.setattr(journal, "write_rows", real)
    assert await recorder.drain_now() == 120
    assert (spooled, recorder.suspended) == (True, False)
    stored = await journalled(organization)
    assert sorted(row["sequence"] for row in stored) == sorted(row["sequence"] for row in rows)


async def test_a_drain_that_breaks_off_loses_nothing(spool):
    journal_, rows = Journal(), [a_row() for _ in range(250)]
    for row in rows:
        spool.append("contoso", row)
    journal_.down = True
    with pytest.raises(Unavailable):
        await spool.drain(journal_.write)
    journal_.down = False
    spool.append("contoso", late := a_row())
    assert await spool.drain(journal_.write) == 251
    assert {key for _, key in journal_.rows} == {row["sequence"] for row in [*rows, late]}
    assert spool.empty
    assert list(spool.directory.iterdir()) == []


async def test_the_spool_of_a_process_that_is_gone_is_adopted(tmp_path):
    gone = Spool(tmp_path, "aaaaaaaaaaaaaaaa", 1_000_000)
    gone.append("contoso", row := a_row())
    heir = Spool(tmp_path, "bbbbbbbbbbbbbbbb", 1_000_000)
    assert heir.adopt() == 0, "its owner lives"
    dies(gone)
    assert heir.adopt() == 1
    assert Spool(tmp_path, "cccccccccccccccc", 1_000_000).adopt() == 0, "one heir"
    journal_ = Journal()
    assert await heir.drain(journal_.write) == 1
    assert journal_.rows == [("contoso", row["sequence"])]


async def test_a_torn_tail_is_ignored(tmp_path):
    gone = Spool(tmp_path, "aaaaaaaaaaaaaaaa", 1_000_000)
    gone.append("contoso", row := a_row())
    dies(gone, while_writing=b'["contoso",{"partition":"000')
    heir, journal_ = Spool(tmp_path, "bbbbbbbbbbbbbbbb", 1_000_000), Journal()
    heir.adopt()
    assert await heir.drain(journal_.write) == 1
    assert journal_.rows == [("contoso", row["sequence"])]


def test_a_full_spool_counts_what_it_loses(tmp_path):
    spool = Spool(tmp_path, "0123456789abcdef", 1000)
    kept = sum(spool.append("contoso", a_row()) for _ in range(20))
    assert 0 < kept < 20
    assert spool.lost == 20 - kept
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000


def test_a_spool_that_cannot_be_written_loses_and_says_so_but_does_not_raise(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    spool = Spool(tmp_path / "file", "0123456789abcdef", 1000)
    assert spool.append("contoso", a_row()) is False
    assert spool.lost == 1


def test_nobody_else_reads_the_spool(spool):
    spool.append("contoso", a_row())
    [path] = spool.directory.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


FLOOD = ("contoso", "email", Kind.OPEN)


def counts(numbers):
    return [journal.make_count(number, "email", AT) for number in numbers]


def counted(rows):
    """Return how many hits rows of the journal count, each once, and how many rows these are."""
    runs = [run for row in rows if (run := journal.counted_run(row)) is not None]
    return ranges.add({}, runs)[1], len(runs)


async def journalled_counts(organization):
    entities = await read_rows(organization, f"{AT // 60_000:010d}-{journal.WRITER}")
    return [row for entity in entities for row in hits_of(entity)]


async def test_a_flood_is_journalled_as_few_counts_that_stand_for_every_hit(organization, spool):
    recorder = Recorder(spool, budget=5.0)
    await asyncio.gather(*(recorder.record_counted(organization.name, FLOOD, row) for row in counts(range(2000))))
    await asyncio.gather(*(recorder.record_counted(organization.name, FLOOD, row) for row in counts(range(2000, 2500))))
    hits, rows = counted(await journalled_counts(organization))
    assert hits == 2500
    assert rows < 10
    assert recorder._counted == {}, "nothing stays in memory"


async def test_hits_of_others_go_through_a_flood_one_by_one(organization, spool):
    recorder = Recorder(spool, budget=5.0)
    own = [a_row() for _ in range(40)]
    flood = [recorder.record_counted(organization.name, FLOOD, row) for row in counts(range(400))]
    await asyncio.gather(*flood[:200], *(recorder.record(organization.name, row) for row in own), *flood[200:])
    assert {row["sequence"] for row in await journalled(organization)} == {row["sequence"] for row in own}
    assert counted(await journalled_counts(organization))[0] == 400


async def test_a_flood_is_answered_and_counted_exactly_while_storage_hangs_and_after(organization, spool, monkeypatch):
    put = EntityWriter.put

    async def late(self, entity):
        await put(self, entity)
        await asyncio.sleep(60)

    with monkeypatch.context() as patch:
        # Committed, and yet not known to be: what is spooled then is written a second time.
        patch.setattr(EntityWriter, "put", late)
        recorder = Recorder(spool, budget=0.2)
        for numbers in (range(300), range(300, 330)):
            flood = (recorder.record_counted(organization.name, FLOOD, row) for row in counts(numbers))
            await asyncio.wait_for(asyncio.gather(*flood), 10)
    assert recorder._drain is not None
    await recorder._drain
    rows = await journalled_counts(organization)
    assert sum(row["hit"][0] for row in rows) > 330, "some were written twice"
    assert counted(rows)[0] == 330


async def test_whoever_hangs_up_ends_the_count_for_nobody_else(organization, spool):
    recorder = Recorder(spool, budget=5.0)
    first, second = (
        asyncio.create_task(recorder.record_counted(organization.name, FLOOD, row)) for row in counts(range(2))
    )
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert counted(await journalled_counts(organization))[0] == 2


async def test_what_one_source_asks_beyond_its_budget_is_counted_and_all_others_stay_hits(
    organization, spool, monkeypatch
):
    recorder = Recorder(spool, budget=5.0)
    recorder.floods = Floods(budget=10)
    monkeypatch.setitem(recording._recorders, "", recorder)
    token = Token(1, organization.name, TokenKind.OPEN, uuid.uuid4(), 0, None, "")
    hammer, person = {"x-forwarded-for": "203.0.113.9:80"}, {"x-forwarded-for": "198.51.100.7:80"}
    await asyncio.gather(*(recording.record(token, "GET", hammer, "") for _ in range(100)))
    await asyncio.gather(*(recording.record(token, "GET", person, "") for _ in range(10)))
    minutes = {int(time.time()) // 60 - before for before in (0, 1)}
    entities = [e for m in minutes for e in await read_rows(organization, f"{m:010d}-{journal.WRITER}")]
    rows = [row for entity in entities for row in hits_of(entity)]
    hits = [journal.read_hit(row)[0] for row in rows if journal.counted_run(row) is None]
    assert sorted(hit.address for hit in hits) == ["198.51.100.7"] * 10 + ["203.0.113.9"] * 10
    assert counted(rows)[0] == 90
    assert {row["email"] for row in rows} == {str(token.email)}


async def test_a_flood_from_many_addresses_is_counted_beyond_the_emails_budget_and_known_sources_stay_hits(
    organization, spool, monkeypatch
):
    recorder = Recorder(spool, budget=5.0)
    recorder.floods = Floods(of_email=50)
    monkeypatch.setitem(recording._recorders, "", recorder)
    email, now = uuid.uuid4(), int(time.time()) // 60
    link = Token(1, organization.name, TokenKind.LINK, email, 0, None, "https://example.com/")
    person = {"x-forwarded-for": "[2001:db8:1:2::9]:80"}
    await recording.record(Token(1, organization.name, TokenKind.OPEN, email, 0, None, ""), "GET", person, "")
    flood = ({"x-forwarded-for": f"203.0.{n >> 8}.{n & 255}:80"} for n in range(400))
    await asyncio.gather(*(recording.record(link, "GET", one, "") for one in flood))
    # The same subscriber's, from another address.
    await recording.record(link, "GET", {"x-forwarded-for": "[2001:db8:1:2:3:4:5:6]:80"}, "")
    partitions = [f"{now + minutes:010d}-{journal.WRITER}" for minutes in (0, 1)]
    rows = [row for p in partitions for entity in await read_rows(organization, p) for row in hits_of(entity)]
    hits = [journal.read_hit(row)[0] for row in rows if journal.counted(row) is None]
    found = [one for row in rows if (one := journal.counted(row)) is not None]
    assert [hit.kind for hit in hits if hit.address.startswith("2001:")] == [Kind.OPEN, Kind.LINK]
    assert 50 <= len(hits) <= 100
    assert len(hits) + counted(rows)[0] == 402
    assert {one.kind for one in found} == {Kind.LINK}
    assert all(one.first <= one.last for one in found)
