"""Tables over REST against a real table service, checked with Microsoft's SDK as the independent reader."""

import pytest
from azure.data.tables import TableServiceClient

from shared.storage.account import (
    Conflict,
    NotFound,
    PreconditionFailed,
    StorageError,
    Unavailable,
    parse_connection_string,
)
from shared.storage.tables import MAX_OPERATIONS, Operation, Tables, chunks


@pytest.fixture(scope="module")
def tables(azurite):
    with TableServiceClient.from_connection_string(azurite) as service:
        service.create_table_if_not_exists("Things")
    return Tables(parse_connection_string(azurite))


@pytest.fixture
def sdk(azurite):
    with TableServiceClient.from_connection_string(azurite) as service:
        yield service.get_table_client("Things")


def row(partition, key, **columns):
    return {"PartitionKey": partition, "RowKey": key, **columns}


async def test_what_is_written_is_what_the_sdk_reads(tables, sdk):
    written = row("types", "it's ü: 100%", text='a "b" <c> é', whole=7, big=2**40, real=1.5, yes=True, nothing=None)
    await tables.apply("Things", Operation("insert", written))
    read = sdk.get_entity("types", "it's ü: 100%")
    assert (read["text"], read["whole"], read["big"].value, read["real"], read["yes"]) == (
        'a "b" <c> é',
        7,
        2**40,
        1.5,
        True,
    )
    assert "nothing" not in read
    again = await tables.get("Things", "types", "it's ü: 100%")
    assert again is not None
    assert {name: value for name, value in written.items() if value is not None} == {
        name: value for name, value in again.items() if name != "etag"
    }


async def test_nothing_is_there_before_it_is_written(tables):
    assert await tables.get("Things", "no", "no") is None
    assert await tables.get("Nothing", "no", "no") is None
    assert await tables.query_all("Nothing") == []


async def test_an_insert_does_not_replace(tables):
    await tables.apply("Things", Operation("insert", row("once", "1")))
    with pytest.raises(Conflict):
        await tables.apply("Things", Operation("insert", row("once", "1")))


async def test_a_stale_etag_changes_nothing(tables):
    first = await tables.apply("Things", Operation("put", row("etag", "1", n=1)))
    await tables.apply("Things", Operation("merge", row("etag", "1", n=2), first))
    with pytest.raises(PreconditionFailed):
        await tables.apply("Things", Operation("merge", row("etag", "1", n=3), first))
    found = await tables.get("Things", "etag", "1")
    assert found is not None
    assert found["n"] == 2


async def test_a_merge_that_demands_the_entity_does_not_bring_it_back(tables):
    with pytest.raises(NotFound):
        await tables.apply("Things", Operation("merge", row("gone", "1", n=1), "*"))


async def test_a_transaction_is_all_or_none_and_names_the_culprit(tables):
    await tables.apply("Things", Operation("insert", row("all", "b")))
    with pytest.raises(Conflict) as caught:
        await tables.transact("Things", [Operation("insert", row("all", key)) for key in "abc"])
    assert caught.value.index == 1
    assert await tables.get("Things", "all", "a") is None


async def test_a_query_goes_on_over_all_pages_in_key_order(tables):
    for at in range(0, 250, 50):
        await tables.transact("Things", [Operation("put", row("many", f"{n:03d}", n=n)) for n in range(at, at + 50)])
    pages = [page async for page in tables.query("Things", "PartitionKey eq 'many'", ("n",), page_size=100)]
    assert [len(page) for page in pages] == [100, 100, 50]
    assert [entity["n"] for page in pages for entity in page] == list(range(250))


async def test_the_limits_that_an_emulator_forgets_are_kept(tables):
    with pytest.raises(StorageError, match="EntityTooLarge"):
        await tables.apply("Things", Operation("put", row("limits", "1", **{f"c{n}": 1 for n in range(260)})))
    with pytest.raises(StorageError, match="EntityTooLarge"):
        await tables.apply("Things", Operation("put", row("limits", "2", **{f"c{n}": "x" * 60_000 for n in range(20)})))
    with pytest.raises(ValueError, match="1 to 100"):
        await tables.transact("Things", [Operation("put", row("limits", f"{n}")) for n in range(101)])


def test_changes_are_split_by_number_and_by_size():
    small = [Operation("put", row("p", f"{n}")) for n in range(250)]
    assert [len(chunk) for chunk in chunks(small)] == [MAX_OPERATIONS, MAX_OPERATIONS, 50]
    large = [Operation("put", row("p", f"{n}", text="x" * 900_000)) for n in range(9)]
    assert [len(chunk) for chunk in chunks(large)] == [4, 4, 1]
    assert chunks([]) == []


async def test_a_store_that_is_down_is_unavailable():
    nowhere = Tables(parse_connection_string("AccountName=a;AccountKey=eA==;TableEndpoint=http://127.0.0.1:9/a"))
    with pytest.raises(Unavailable):
        await nowhere.get("Things", "a", "b")


async def test_a_text_comes_back_as_it_was_written_whatever_it_takes_for_ends_of_lines(tables):
    text = "a".join("\t\n\r\u0085\u2028\u2029\u202e\u200d\ufeff\U000e0041")
    await tables.transact("Things", [Operation("insert", row("lines", key, text=text)) for key in "ab"])
    await tables.apply("Things", Operation("put", row("lines", "c", text=text)))
    assert [found["text"] for found in await tables.query_all("Things", "PartitionKey eq 'lines'")] == [text] * 3
