"""Rolling back over real storage: everything as it was, whatever was written and whatever failed."""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.storage import blobs, queues, records, undo
from shared.storage.account import Conflict, NotFound, PreconditionFailed, StorageError, Unavailable
from shared.storage.organizations import Organization, find_organization, save_organization
from shared.storage.tables import Operation
from tests.breaking import Breaker, a_breakable_organization
from tests.organizations import an_organization
from tests.storage_dump import dump, messages


class Failed(Exception):
    """What ends a scope badly in these tests."""


def row(key: str, **columns: object) -> dict[str, object]:
    return {"PartitionKey": "p", "RowKey": key, **columns}


@pytest_asyncio.fixture
async def breaker(configured: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Breaker, Organization]]:
    monkeypatch.setattr(undo, "_PAUSES", (0, 0))
    async with a_breakable_organization(monkeypatch) as made:
        yield made


async def test_what_is_written_is_read_at_once_and_stays_where_all_ends_well(organization: Organization) -> None:
    async with undo.scope():
        etag = await records.insert(organization, "contact", "1", {"lastname": "A"})
        await blobs.put(organization, "b", b"new")
        found = await records.get(organization, "contact", "1")
        assert found is not None
        assert (found["lastname"], found["etag"]) == ("A", etag)
        assert await blobs.get(organization, "b") == b"new"
    assert (await records.get(organization, "contact", "1")) == found
    assert await blobs.get(organization, "b") == b"new"


async def test_every_kind_of_change_is_taken_back(organization: Organization) -> None:
    columns = {"text": "a 'b' é", "whole": 7, "big": 2**40, "real": 1.5, "round": 2.0, "yes": True, "empty": ""}
    for key in "abcdef":
        await records.insert(organization, "contact", key, columns)
    before = await dump(organization)
    with pytest.raises(Failed):
        async with undo.scope():
            await records.put(organization, "contact", "a", {"text": "else"})
            await records.merge(organization, "contact", "b", {"whole": 8, "more": 1})
            await records.delete(organization, "contact", "c")
            await records.insert(organization, "contact", "new", {"text": "n"})
            await records.put(organization, "contact", "newer", {"text": "n"})
            raise Failed
    assert await dump(organization) == before


async def test_transactions_are_taken_back_too(organization: Organization) -> None:
    await organization.tables.transact(
        organization.emails, [Operation("insert", row(key, n=1)) for key in ("a", "b", "c")]
    )
    before = await dump(organization)
    with pytest.raises(Failed):
        async with undo.scope():
            operations = [Operation("insert", row(f"{number:03d}", n=number)) for number in range(96)]
            operations += [Operation("put", row("a", m=2)), Operation("merge", row("b", m=2))]
            operations += [Operation("delete", row("c"), "*"), Operation("put", row("it's ü", m=2))]
            await organization.tables.transact(organization.emails, operations)
            assert len(await organization.tables.query_all(organization.emails)) == 99
            await organization.tables.transact(
                organization.emails, [Operation("insert", row("c", n=5)), Operation("delete", row("a"), "*")]
            )
            raise Failed
    assert await dump(organization) == before


CHANGES = st.lists(
    st.tuples(st.sampled_from(["insert", "put", "merge", "delete", "put blob", "delete blob"]), st.sampled_from("abc")),
    max_size=8,
)


@pytest_asyncio.fixture(scope="module")
async def world(configured: None) -> AsyncIterator[Organization]:
    """Return an organization in which every example leaves everything as it was."""
    async with an_organization() as made:
        await records.insert(made, "contact", "a", {"n": 0})
        await blobs.put(made, "a", b"0", "text/plain")
        yield made


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=CHANGES)
async def test_any_series_of_changes_leaves_nothing_behind(world: Organization, changes: list[tuple[str, str]]) -> None:
    before = await dump(world)
    with pytest.raises(Failed):
        async with undo.scope():
            for number, (kind, key) in enumerate(changes, 1):
                await _change(world, kind, key, number)
            raise Failed
    assert await dump(world) == before


async def _change(organization: Organization, kind: str, key: str, number: int) -> None:
    try:
        if kind == "insert":
            await records.insert(organization, "contact", key, {"n": number})
        elif kind == "put":
            await records.put(organization, "contact", key, {"n": number, "m": number})
        elif kind == "merge":
            await records.merge(organization, "contact", key, {"m": number})
        elif kind == "delete":
            await records.delete(organization, "contact", key)
        elif kind == "put blob":
            await blobs.put(organization, key, b"%d" % number)
        else:
            await blobs.delete(organization, key)
    except (Conflict, NotFound):
        return


async def test_a_refused_change_is_not_taken_back(organization: Organization) -> None:
    await records.insert(organization, "contact", "1", {"lastname": "A"})
    before = await dump(organization)
    with pytest.raises(Conflict):
        async with undo.scope():
            await records.insert(organization, "contact", "1", {"lastname": "B"})
    with pytest.raises(PreconditionFailed):
        async with undo.scope():
            await records.put(organization, "contact", "1", {"lastname": "B"}, "W/\"datetime'2020'\"")
    assert await dump(organization) == before


async def test_blobs_that_were_deleted_go_only_when_all_has_ended_well(organization: Organization) -> None:
    await blobs.put(organization, "b", b"old", "text/html")
    with pytest.raises(Failed):
        async with undo.scope():
            await blobs.delete(organization, "b")
            raise Failed
    assert await blobs.get(organization, "b") == b"old"
    async with undo.scope():
        await blobs.delete(organization, "b")
    with pytest.raises(NotFound):
        await blobs.get(organization, "b")


async def test_a_blob_that_is_written_again_after_its_deletion_stays(organization: Organization) -> None:
    async with undo.scope():
        await blobs.put(organization, "b", b"1")
        await blobs.delete(organization, "b")
        await blobs.put(organization, "b", b"2")
    assert await blobs.get(organization, "b") == b"2"


async def test_messages_leave_only_when_all_has_ended_well(organization: Organization) -> None:
    await messages(organization)
    message = {"organization": organization.name, "email": "1"}
    with pytest.raises(Failed):
        async with undo.scope():
            await queues.send(queues.DELIVER, message)
            raise Failed
    assert await messages(organization) == []
    async with undo.scope():
        await queues.send(queues.DELIVER, message)
        await queues.send(queues.DELIVER, message)
        assert await messages(organization) == []
    assert len(await messages(organization)) == 2


async def test_a_message_that_cannot_leave_at_the_end_does_not_fail_what_was_done(
    organization: Organization, caplog: pytest.LogCaptureFixture
) -> None:
    async with undo.scope():
        await records.insert(organization, "contact", "1", {})
        await queues.send("nosuchqueue", {"email": "1"})
        await queues.send(queues.DELIVER, {"organization": organization.name, "email": "1"})
    assert "nosuchqueue" in caplog.text
    assert await records.get(organization, "contact", "1") is not None
    assert len(await messages(organization)) == 1


async def test_what_somebody_else_changed_meanwhile_stays(
    organization: Organization, caplog: pytest.LogCaptureFixture
) -> None:
    for key in ("changed", "deleted", "mine"):
        await records.insert(organization, "contact", key, {"n": 1})
    done = asyncio.Event()

    async def somebody_else() -> None:
        await done.wait()
        await records.merge(organization, "contact", "changed", {"by": "else"})
        await records.delete(organization, "contact", "deleted")
        await records.merge(organization, "contact", "new", {"by": "else"})
        await records.insert(organization, "contact", "gone", {"by": "else"})

    other = asyncio.create_task(somebody_else())
    await records.insert(organization, "contact", "gone", {"n": 1})
    with pytest.raises(Failed):
        async with undo.scope():
            for key in ("changed", "deleted", "mine", "new"):
                await records.put(organization, "contact", key, {"n": 2})
            await records.delete(organization, "contact", "gone")
            done.set()
            await other
            raise Failed
    kept = {
        key: await records.get(organization, "contact", key) for key in ("changed", "deleted", "mine", "new", "gone")
    }
    assert {key: found and (found.get("n"), found.get("by")) for key, found in kept.items()} == {
        "changed": (2, "else"),
        "deleted": None,
        "mine": (1, None),
        "new": (2, "else"),
        "gone": (None, "else"),
    }
    assert caplog.text.count("is not rolled back") == 4


async def test_what_somebody_else_changed_between_two_changes_is_what_is_gone_back_to(
    organization: Organization, caplog: pytest.LogCaptureFixture
) -> None:
    await records.insert(organization, "contact", "1", {"n": 1})

    async def somebody_else() -> None:
        await records.merge(organization, "contact", "1", {"by": "else"})

    # A task made outside of the scope is not part of it.
    begun = asyncio.Event()

    async def wait() -> None:
        await begun.wait()
        await somebody_else()

    other = asyncio.create_task(wait())
    with pytest.raises(Failed):
        async with undo.scope():
            await records.merge(organization, "contact", "1", {"n": 2})
            begun.set()
            await other
            await records.merge(organization, "contact", "1", {"n": 3})
            raise Failed
    found = await records.get(organization, "contact", "1")
    assert found is not None
    assert (found["n"], found["by"]) == (2, "else")
    assert "is rolled back to that" in caplog.text


async def test_a_scope_within_another_is_part_of_it(organization: Organization) -> None:
    before = await dump(organization)
    with pytest.raises(Failed):
        async with undo.scope():
            async with undo.scope():
                await records.insert(organization, "contact", "1", {})
                await blobs.put(organization, "b", b"")
            assert await records.get(organization, "contact", "1") is not None
            raise Failed
    assert await dump(organization) == before


async def test_writing_together_in_a_scope_is_taken_back_together(organization: Organization) -> None:
    before = await dump(organization)
    with pytest.raises(Failed):
        async with undo.scope():
            await asyncio.gather(*(records.insert(organization, "contact", str(n), {"n": n}) for n in range(20)))
            raise Failed
    assert await dump(organization) == before


async def test_one_scope_does_not_take_back_what_another_did(organization: Organization) -> None:
    async def one(key: str, *, fails: bool) -> None:
        async with undo.scope():
            await records.insert(organization, "contact", key, {})
            await asyncio.sleep(0)
            if fails:
                raise Failed

    await asyncio.gather(*(one(str(n), fails=n % 2 == 0) for n in range(6)), return_exceptions=True)
    left = [found["RowKey"] async for page in records.query(organization, "contact") for found in page]
    assert left == ["1", "3", "5"]


async def test_a_task_that_outlives_the_scope_is_no_part_of_it(organization: Organization) -> None:
    over = asyncio.Event()

    async def later() -> None:
        await over.wait()
        await records.insert(organization, "contact", "later", {})
        await queues.send(queues.DELIVER, {"organization": organization.name, "email": "later"})

    await messages(organization)
    async with undo.scope():
        task = asyncio.create_task(later())
    over.set()
    await task
    assert len(await messages(organization)) == 1


async def test_being_cancelled_is_a_bad_end(organization: Organization) -> None:
    before, begun = await dump(organization), asyncio.Event()

    async def work() -> None:
        async with undo.scope():
            await records.insert(organization, "contact", "1", {})
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await dump(organization) == before


async def test_settings_that_are_taken_back_are_not_remembered(organization: Organization) -> None:
    changed = dataclasses.replace(organization, settings={**organization.settings, "maxuploadfilesize": 1})
    with pytest.raises(Failed):
        async with undo.scope():
            await save_organization(changed)
            during = await find_organization(organization.name)
            assert during is not None
            assert during.settings["maxuploadfilesize"] == 1
            raise Failed
    found = await find_organization(organization.name)
    assert found is not None
    assert found.settings == organization.settings


@pytest.mark.parametrize("after", [False, True], ids=["not done", "done unheard"])
async def test_a_call_without_an_answer_is_taken_back_if_it_was_carried_out(
    breaker: tuple[Breaker, Organization], after: bool
) -> None:
    broken, organization = breaker
    for key in "abcd":
        await records.insert(organization, "contact", key, {"n": 1})
    before = await dump(organization)
    for nth in range(20):
        broken.arm(nth, after=after)
        try:
            async with undo.scope():
                await records.put(organization, "contact", "a", {"m": 2})
                await records.merge(organization, "contact", "a", {"k": 3})
                await records.delete(organization, "contact", "b")
                await records.insert(organization, "contact", "b", {"m": 2})
                await records.insert(organization, "contact", "new", {"n": 1})
                await records.delete(organization, "contact", "new")
                operations = [Operation("put", {**row(key), "PartitionKey": "contact", "m": 2}) for key in ("c", "e")]
                operations.append(Operation("delete", {"PartitionKey": "contact", "RowKey": "d"}, "*"))
                await organization.tables.transact(organization.records, operations)
                raise Failed
        except Unavailable:
            assert nth < 7
        except Failed:
            # All seven changes took place; the call that broke was one of taking them back, and it was tried again.
            assert nth == 7
            break
        finally:
            broken.arm(-1, after=False)
            assert await dump(organization) == before


async def test_where_storage_stays_away_an_error_tells_what_was_left(
    breaker: tuple[Breaker, Organization], caplog: pytest.LogCaptureFixture
) -> None:
    broken, organization = breaker
    await records.insert(organization, "contact", "1", {"n": 1})
    broken.arm(1, after=False, down=True)
    with pytest.raises(StorageError):
        async with undo.scope():
            await records.put(organization, "contact", "1", {"n": 2})
            await records.insert(organization, "contact", "2", {})
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert all("rolling back failed" in error and "'contact'" in error for error in errors)
    broken.arm(-1, after=False)
    found = await records.get(organization, "contact", "1")
    assert found is not None
    assert found["n"] == 2


async def test_outside_a_scope_nothing_is_noted() -> None:
    assert undo.log() is None
    async with undo.scope():
        noted = undo.log()
        assert noted is not None
    assert undo.log() is None
    assert noted.over
