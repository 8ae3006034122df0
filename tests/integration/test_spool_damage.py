"""The spool on disks that fill up, fail and crash: every hit that can be read comes back once, and what is lost is
counted and said."""

import asyncio
import contextlib
import itertools
import os
import resource
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import metrics
from shared.engagement.hits import Hit, Kind
from shared.services import recording, watching
from shared.services.recording import Recorder
from shared.storage.journal import make_count, make_row
from shared.storage.spool import Spool

AT = 1_800_000_000_000
WRITER, HEIR = "0123456789abcdef", "bbbbbbbbbbbbbbbb"
_numbers = itertools.count(1)


def a_row(at=AT, headers=None):
    hit = Hit(f"{WRITER}-{next(_numbers):012d}", Kind.LINK, 3, at, "GET", "203.0.113.9", headers or {"accept": "é"}, "")
    return make_row(hit, str(uuid.uuid4()), 1)


def a_line(row):
    return orjson.dumps(["contoso", row]) + b"\n"


def sequences(rows):
    return [row["sequence"] for row in rows]


async def read_back(directory, content):
    """Leave a file as a process that is gone has left it; return the sequences of the hits that its heir finds, and how
    many the heir counts as lost."""
    directory.mkdir(exist_ok=True)
    (directory / f"{WRITER}-000001.spool").write_bytes(content)
    heir = Spool(directory, HEIR, 1_000_000_000)
    found: list[int] = []

    async def write(organization, rows):
        assert organization == "contoso"
        assert len({row["partition"] for row in rows}) == 1
        found.extend(row["sequence"] for row in rows)

    assert heir.adopt() == 1
    assert await heir.drain(write) == len(found)
    assert heir.empty
    assert list(directory.iterdir()) == [], "what was read is not read again"
    return found, heir.lost


@pytest.mark.parametrize(
    "junk",
    [
        b'["contoso",{"partition":"000',
        b'["cont',
        b"[",
        b'["contoso",',
        b"\0" * 5000,
        b'["contoso",{"partition":"' + b"\0" * 4096,
        b"\xff\xfe\x80",
        b'["contoso",{"partition":"\xc3',
        b"null",
        b"[]",
        b'["contoso",{}]',
        b'["contoso",{"partition":5,"sequence":"1","email":"x","hit":[]}]',
        b'[5,{"partition":"x"}]',
        b'["contoso",{"partition":"0030000000-0123456789abcdef","sequence":"000000000001","email":"e","hit":[9]}',
        b'["contoso",{"a":' + b"[" * 100_000,
        b"x" * 3_000_000,
        a_line(a_row(headers={"x": "y" * 200_000}))[:-1],
    ],
    ids=lambda junk: repr(junk[:24]),
)
async def test_what_cannot_be_read_takes_no_hit_along(tmp_path, junk):
    """At the head, in the middle and at the tail, on a line of its own and with the next hit glued to it."""
    rows = [a_row() for _ in range(4)]
    first, second, third, fourth = map(a_line, rows)
    for end in (b"", b"\n"):
        content = junk + end + first + second + junk + end + third + fourth + junk
        found, lost = await read_back(tmp_path / "spool", content)
        assert found == sequences(rows)
        assert lost <= 3 * (1 + len(junk) // 1_000_000), "a hit each, or nothing where there are only zeros"


async def test_hits_whose_line_does_not_end_are_whole_all_the_same(tmp_path):
    rows = [a_row() for _ in range(3)]
    glued = b"".join(a_line(row)[:-1] for row in rows)
    assert await read_back(tmp_path / "spool", glued) == (sequences(rows), 0)


async def test_what_looks_like_the_beginning_of_a_line_within_a_hit_is_none(tmp_path):
    row = a_row(headers={"user-agent": '["contoso",{"partition":"', "x": "\\\\", "y": '\\["contoso",{"'})
    assert await read_back(tmp_path / "spool", a_line(row)) == ([row["sequence"]], 0)


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.tuples(st.booleans(), st.integers(1, 200), st.booleans()), min_size=1, max_size=12))
def test_wherever_writing_broke_off_every_whole_hit_comes_back_once_and_in_order(tmp_path_factory, cuts):
    content, whole = b"", []
    for is_torn, left, ends in cuts:
        row = a_row()
        line = a_line(row)
        if is_torn:
            content += line[: min(left, len(line) - 3)] + (b"\n" if ends else b"")
        else:
            content += line
            whole.append(row)
    directory = tmp_path_factory.mktemp("spool")
    found, lost = asyncio.run(read_back(directory / "of", content))
    assert found == sequences(whole)
    assert lost <= sum(is_torn for is_torn, _, _ in cuts)


async def test_files_of_the_version_before_are_read(tmp_path):
    """A hit, a count as it was written without kind and times, and half a hit that the next one was glued to."""
    row, glued = a_row(), a_row()
    count = {"partition": f"{AT // 60_000:010d}-{WRITER}", "sequence": "1000000000007", "email": "e", "hit": [42]}
    content = a_line(row) + a_line(count) + a_line(a_row())[:77] + a_line(glued)
    assert (await read_back(tmp_path / "spool", content))[0] == sequences([row, count, glued])


async def test_counts_of_a_flood_come_back(tmp_path):
    row = make_count(10**12, "e", AT, Kind.LINK)
    assert await read_back(tmp_path / "spool", a_line(row)) == ([row["sequence"]], 0)


_CHILD = """
import json, os, resource, signal, sys
from pathlib import Path
from shared.storage.spool import Spool
from tests.integration.test_spool_damage import a_row
directory, limit = Path(sys.argv[1]), int(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
spool = Spool(directory, "0123456789abcdef", 10_000_000)
kept = []
def append(times):
    for _ in range(times):
        row = a_row()
        if spool.append("contoso", row):
            kept.append(row["sequence"])
append(40)
full = spool.trouble()
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
else:
    (directory / "ballast").unlink()
append(40)
print(json.dumps([kept, spool.lost, full, spool.trouble()]))
"""


def fills_up(directory, limit):
    """Append 40 hits on a full disk and 40 after room was made, in a process that then dies; return what it said."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, directory, str(limit)], capture_output=True, check=True, cwd=Path.cwd()
    )
    return orjson.loads(done.stdout)


async def heired(directory):
    heir, found = Spool(directory, HEIR, 10_000_000), []

    async def write(organization, rows):
        found.extend(sequences(rows))

    heir.adopt()
    await heir.drain(write)
    return found, heir.lost


async def test_a_file_that_may_grow_no_further_leaves_no_half_hit(tmp_path):
    kept, lost, full, mended = fills_up(tmp_path, 3000)
    assert 40 < len(kept) < 80
    assert len(kept) + lost == 80
    assert "the disk that holds SPOOL_DIR is full" in full, "4 KiB do not fit"
    assert mended == ""
    assert await heired(tmp_path) == (kept, 0)


@contextlib.contextmanager
def mounted(directory, *options):
    """Mount a file system of its own on a directory until the block ends; skip the test where that is not allowed."""
    commands = [["mount", *option, directory] for option in options]
    if any(subprocess.run(command, capture_output=True, check=False).returncode for command in commands):
        pytest.skip("no file system may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


async def test_a_full_disk_leaves_no_half_hit_and_is_said_until_there_is_room(tmp_path):
    with mounted(tmp_path, ["-t", "tmpfs", "-o", "size=64k", "none"]):
        (tmp_path / "ballast").write_bytes(bytes(65_536 - resource.getpagesize()))
        kept, lost, full, mended = fills_up(tmp_path, 0)
        assert 40 < len(kept) < 80
        assert len(kept) + lost == 80
        assert "the disk that holds SPOOL_DIR is full" in full
        assert mended == ""
        assert await heired(tmp_path) == (kept, 0)


async def test_half_a_hit_that_could_not_be_cut_off_ends_where_it_is(tmp_path):
    spool = Spool(tmp_path, WRITER, 1_000_000)
    spool.append("contoso", first := a_row())
    assert spool._open is not None
    os.write(spool._open.descriptor, b'["contoso",{"part')
    spool._open.torn = True
    spool.append("contoso", second := a_row())
    os.close(spool._open.descriptor)
    found, lost = await heired(tmp_path)
    assert found == sequences([first, second])
    assert lost == 1


async def test_hits_outlive_the_directory_that_is_removed_under_them(tmp_path):
    spool = Spool(tmp_path / "spool", WRITER, 1_000_000)
    rows = [a_row() for _ in range(4)]
    for row in rows[:2]:
        spool.append("contoso", row)
    shutil.rmtree(tmp_path / "spool")
    for row in rows[2:]:
        assert spool.append("contoso", row)
    assert len(list((tmp_path / "spool").iterdir())) == 1, "what comes after is in a file that a heir would find"
    found = []

    async def write(_, batch):
        found.extend(sequences(batch))

    assert await spool.drain(write) == 4
    assert found == sequences(rows)


async def test_a_read_only_disk_is_said_and_its_files_are_read_once_though_they_stay(tmp_path):
    directory = tmp_path / "spool"
    spool = Spool(directory, WRITER, 1_000_000)
    spool.append("contoso", row := a_row())
    assert spool._open is not None
    os.close(spool._open.descriptor)
    with mounted(directory, ["--bind", directory], ["-o", "remount,ro,bind"]):
        heir, found = Spool(directory, HEIR, 1_000_000), []

        async def write(_, batch):
            found.extend(sequences(batch))

        assert "SPOOL_DIR cannot be written" in heir.trouble()
        assert heir.append("contoso", a_row()) is False
        assert heir.lost == 1
        for _ in range(2):
            heir.adopt()
            await heir.drain(write)
        assert found == [row["sequence"]], "written once, though it cannot be removed"
        assert heir.empty
        for file in heir._spent:
            os.close(file.descriptor)


async def test_a_file_that_cannot_be_read_waits_and_holds_up_no_other(tmp_path):
    spool = Spool(tmp_path, WRITER, 1_000_000)
    spool.append("contoso", a_row())
    spool._put_aside()
    spool.append("contoso", row := a_row())
    broken = spool._waiting[0]
    os.close(broken.descriptor)
    broken.descriptor = os.open("/proc/self/mem", os.O_RDONLY)  # its first page answers EIO
    found = []

    async def write(_, batch):
        found.extend(sequences(batch))

    with pytest.raises(OSError, match="Input/output"):
        await spool.drain(write)
    assert found == [row["sequence"]]
    assert spool.hits == 1


@pytest.fixture
def only_recorder(tmp_path, monkeypatch):
    recorder = Recorder(Spool(tmp_path / "file" / "spool", WRITER, 1_000_000), 1.0)
    monkeypatch.setattr(recording, "_recorders", {"": recorder})
    return recorder


async def test_a_spool_that_cannot_be_written_is_said_in_health_and_metrics_before_and_after_a_hit_is_lost(
    configured, only_recorder, tmp_path
):
    (tmp_path / "file").write_text("not a directory")
    assert metrics.SPOOL_FAILING.value() == 1
    said = (await watching.look()).checks["spool"]
    assert "SPOOL_DIR cannot be written" in said
    assert "0 hits lost so far" in said
    before = metrics.HITS_LOST.values.get((), 0)
    only_recorder.spool.append("contoso", a_row())
    assert metrics.HITS_LOST.values[()] == before + 1
    assert "1 hits lost so far" in (await watching.look()).checks["spool"]
    (tmp_path / "file").unlink()
    assert metrics.SPOOL_FAILING.value() == 0
    assert (await watching.look()).checks["spool"] == watching.OK


async def test_a_spool_that_is_full_is_said_until_there_is_room(configured, only_recorder):
    spool = only_recorder.spool
    spool.limit = 1000
    while spool.append("contoso", a_row()):
        pass
    assert "raise SPOOL_MAX_BYTES" in (await watching.look()).checks["spool"]
    assert metrics.SPOOL_FAILING.value() == 1

    async def write(*_):
        pass

    await spool.drain(write)
    assert (await watching.look()).checks["spool"] == watching.OK
