"""Azure Tables over REST: entities as dicts, entity group transactions, queries page by page.

Values are str, bool, int, float or None (not stored). Times are ISO 8601 strings in UTC, which sort as they should.
Sources: the Table service REST reference, and the limits that Azurite does not enforce (1 MiB and 252 properties an
entity, 100 operations a transaction), enforced here.
"""

import logging
import re
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import orjson

from shared.storage import undo
from shared.storage.account import (
    API_VERSION,
    Account,
    Conflict,
    NotFound,
    PreconditionFailed,
    StorageError,
    Unavailable,
    authorization,
    call,
    error_for,
    http_date,
)
from shared.storage.calls import side_by_side
from shared.storage.connection import Connection

type Entity = dict[str, Any]

MAX_OPERATIONS = 100
MAX_ENTITY_BYTES = 1024 * 1024
MAX_PROPERTIES = 252
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024 - 64 * 1024


_INT32 = range(-(2**31), 2**31)
_VERBS = {"insert": "POST", "put": "PUT", "merge": "MERGE", "delete": "DELETE"}
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
_PART_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_PART_ETAG = re.compile(rb"\r\nETag: ([^\r\n]+)", re.IGNORECASE)
_ERROR_CODE = re.compile(rb'"code"\s*:\s*"([^"]*)"')
_ERROR_MESSAGE = re.compile(rb'"value"\s*:\s*"(?:(\d+):)?([^"]*)')

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Operation:
    """One change. `put` replaces or inserts and `merge` merges or inserts, unless `etag` demands that the entity exist
    (``*``) or be unchanged; `insert` fails with `Conflict` where it exists; `delete` needs an etag, ``*`` for any."""

    kind: Literal["insert", "put", "merge", "delete"]
    entity: Mapping[str, Any]
    etag: str | None = None


class Tables:
    """The tables of one storage account."""

    def __init__(self, account: Account) -> None:
        self.account = account

    async def get(self, table: str, partition: str, row: str, select: Sequence[str] = ()) -> Entity | None:
        """Return an entity with its ``etag``, or None where there is none (or no such table)."""
        query = f"?$select={quote(','.join(select))}" if select else ""
        status, headers, body = await self._send("GET", f"{table}{_key(partition, row)}", query)
        if status == 404:
            return None
        _raise_for(status, body)
        entity = _decode(orjson.loads(body))
        entity["etag"] = headers.get("ETag", entity.get("etag", ""))
        return entity

    async def query(
        self,
        table: str,
        filter: str = "",
        select: Sequence[str] = (),
        page_size: int = 1000,
    ) -> AsyncIterator[list[Entity]]:
        """Yield the pages of a query in key order; each entity carries its ``etag``. A missing table has no pages."""
        options = [f"$top={page_size}"]
        if filter:
            options.append(f"$filter={quote(filter, safe='')}")
        if select:
            options.append(f"$select={quote(','.join(select), safe=',')}")
        continuation = ""
        while True:
            status, headers, body = await self._send("GET", f"{table}()", "?" + "&".join(options) + continuation)
            if status == 404:
                return
            _raise_for(status, body)
            yield [_decode(entity) for entity in orjson.loads(body)["value"]]
            next_partition = headers.get("x-ms-continuation-NextPartitionKey")
            if next_partition is None:
                return
            next_row = headers.get("x-ms-continuation-NextRowKey", "")
            continuation = f"&NextPartitionKey={quote(next_partition, safe='')}"
            continuation += f"&NextRowKey={quote(next_row, safe='')}" if next_row else ""

    async def query_all(self, table: str, filter: str = "", select: Sequence[str] = ()) -> list[Entity]:
        """Return every entity of a query."""
        return [entity async for page in self.query(table, filter, select) for entity in page]

    async def apply(self, table: str, operation: Operation) -> str:
        """Carry out one change and return the new etag ("" after a delete)."""
        noted = undo.log()
        if noted is None:
            return await self._apply(table, operation)
        return (await self._note(noted, table, [operation]))[0]

    async def _apply(self, table: str, operation: Operation) -> str:
        entity = operation.entity
        body = None if operation.kind == "delete" else _encode(entity)
        headers = {"If-Match": operation.etag} if operation.etag is not None else {}
        if operation.kind == "insert":
            headers["Prefer"] = "return-no-content"
            resource = table
        else:
            resource = table + _key(entity["PartitionKey"], entity["RowKey"])
        status, answered, answer = await self._send(_VERBS[operation.kind], resource, "", body, headers)
        _raise_for(status, answer)
        return answered.get("ETag", "")

    async def transact(self, table: str, operations: Sequence[Operation]) -> list[str]:
        """Carry out up to 100 changes of one partition, all or none, and return their new etags ("" after a delete).

        Raises the first failure as its own error (`Conflict`, `PreconditionFailed`, `NotFound`) with its index.
        """
        noted = undo.log()
        if noted is None:
            return await self._transact(table, operations)
        return await self._note(noted, table, operations)

    async def _transact(self, table: str, operations: Sequence[Operation]) -> list[str]:
        if len(operations) == 1:
            return [await self._apply(table, operations[0])]
        if not 0 < len(operations) <= MAX_OPERATIONS:
            raise ValueError(f"a transaction has 1 to {MAX_OPERATIONS} operations, not {len(operations)}")
        boundary = f"batch_{uuid.uuid4()}"
        body = self._transaction(table, operations, boundary)
        headers = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
        status, _, answer = await self._send("POST", "$batch", "", body, headers)
        _raise_for(status, answer)
        for found in _PART_STATUS.finditer(answer):
            if not found[1].startswith(b"2"):
                raise _error(int(found[1]), answer[found.end() :])
        return _etags(answer)

    async def _note(self, noted: undo.Log, table: str, operations: Sequence[Operation]) -> list[str]:
        """Carry out changes, note how to take them back, and return the new etags."""
        found = await self._present(table, operations)
        try:
            etags = await self._transact(table, operations)
        except BaseException as error:
            if not isinstance(error, StorageError) or isinstance(error, Unavailable):
                # No answer came: it may have been done all the same.
                for operation, before in zip(operations, found, strict=True):
                    _note_change(noted, self, table, operation, before, None)
            raise
        for operation, before, etag in zip(operations, found, etags, strict=True):
            _note_change(noted, self, table, operation, before, etag)
        return etags

    async def _present(self, table: str, operations: Sequence[Operation]) -> list[Entity | None]:
        """Return the entities as they are before a change; those that it inserts are not there."""

        async def one(operation: Operation) -> Entity | None:
            if operation.kind == "insert":
                return None
            return await self.get(table, operation.entity["PartitionKey"], operation.entity["RowKey"])

        return await side_by_side(one, operations)

    def _transaction(self, table: str, operations: Sequence[Operation], boundary: str) -> bytes:
        base = f"{self.account.table_url}/{table}"
        parts = [f"--{boundary}\r\nContent-Type: multipart/mixed; boundary=changeset\r\n\r\n".encode()]
        for operation in operations:
            entity = operation.entity
            url = base if operation.kind == "insert" else base + _key(entity["PartitionKey"], entity["RowKey"])
            extra = f"If-Match: {operation.etag}\r\n" if operation.etag is not None else ""
            if operation.kind == "insert":
                extra += "Prefer: return-no-content\r\n"
            parts.append(
                f"--changeset\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
                f"{_VERBS[operation.kind]} {url} HTTP/1.1\r\nContent-Type: application/json\r\n"
                f"Accept: application/json;odata=minimalmetadata\r\nDataServiceVersion: 3.0\r\n{extra}\r\n".encode()
            )
            parts.append(b"" if operation.kind == "delete" else _encode(entity))
            parts.append(b"\r\n")
        parts.append(f"--changeset--\r\n--{boundary}--\r\n".encode())
        return b"".join(parts)

    async def _send(
        self, verb: str, resource: str, query: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        url = f"{self.account.table_url}/{resource}"
        sent = await _headers(self.account, resource)
        if headers:
            sent.update(headers)
        async with call(verb, url + query, sent, body) as response:
            return response.status, response.headers, await response.read()


@dataclass(frozen=True, slots=True)
class _Change:
    """What a scope has done to an entity, named by table and keys. `before` is what it found, None for nothing; `left`
    is what it left, two possibilities where no answer came; `etag` is that of what it left, "" after a delete, None
    where no answer came."""

    tables: Tables
    key: tuple[str, str, str]
    before: Entity | None
    left: tuple[Entity | None, ...]
    etag: str | None

    async def __call__(self) -> None:
        """Put the entity back as it was found, unless somebody else has changed it since."""
        etag = self.etag
        try:
            if etag is None:
                found = await self.tables.get(*self.key)
                if not self.is_left(found):
                    raise PreconditionFailed(412, "UpdateConditionNotSatisfied")
                if _same(found, self.before):
                    return
                etag = "" if found is None else found["etag"]
            await self._put_back(etag)
        except (PreconditionFailed, Conflict, NotFound):
            _log.warning("%s/%s/%s was changed by somebody else and is not rolled back", *self.key)

    async def _put_back(self, etag: str) -> None:
        table, partition, row = self.key
        if self.before is not None:
            operation = Operation("put", self.before, etag) if etag else Operation("insert", self.before)
        elif etag:
            operation = Operation("delete", {"PartitionKey": partition, "RowKey": row}, etag)
        else:
            return
        await self.tables.apply(table, operation)

    def is_left(self, found: Entity | None) -> bool:
        """Return whether what is found is what this change has left."""
        if self.etag is None:
            return any(_same(found, left) for left in self.left)
        return (found["etag"] if found is not None else "") == self.etag


def _note_change(
    noted: undo.Log, tables: Tables, table: str, operation: Operation, before: Entity | None, etag: str | None
) -> None:
    key = (table, operation.entity["PartitionKey"], operation.entity["RowKey"])
    after = _outcome(operation, before)
    first, earlier = before, noted.noted(key)
    if isinstance(earlier, _Change):
        # Two changes are taken back as one, to what the first found.
        if earlier.is_left(before):
            first = earlier.before
        else:
            _log.warning("%s/%s/%s was changed by somebody else and is rolled back to that", *key)
    noted.note(key, _Change(tables, key, first, (after,) if etag is not None else (before, after), etag))


def _outcome(operation: Operation, before: Entity | None) -> Entity | None:
    """Return an entity as a change leaves it."""
    if operation.kind == "delete":
        return None
    kept = before or {} if operation.kind == "merge" else {}
    return {**kept, **{name: value for name, value in operation.entity.items() if value is not None}}


def _same(one: Entity | None, other: Entity | None) -> bool:
    if one is None or other is None:
        return one is other
    return {**one, "etag": ""} == {**other, "etag": ""}


def _etags(answer: bytes) -> list[str]:
    """Return the etag of each part of a transaction's answer, "" after a delete."""
    found = [_PART_ETAG.search(part) for part in _PART_STATUS.split(answer)[2::2]]
    return [match[1].decode() if match else "" for match in found]


class EntityWriter:
    """Puts entities into one table over a connection of its own, one at a time; for the journal."""

    def __init__(self, account: Account, table: str) -> None:
        self._account, self._table = account, table
        self._connection = Connection(account.table_url)

    async def put(self, entity: Mapping[str, Any]) -> None:
        """Write an entity whole. Raises `Unavailable`, `NotFound` where there is no such table, `StorageError`."""
        resource = self._table + _key(entity["PartitionKey"], entity["RowKey"])
        target = f"{self._account.table_path}/{resource}"
        headers = await _headers(self._account, resource)
        status, answer = await self._connection.request("PUT", target, headers, _encode(entity))
        _raise_for(status, answer)


async def _headers(account: Account, resource: str) -> dict[str, str]:
    date = http_date()
    path = f"/{account.name}{account.table_path}/{resource}"
    return {
        "x-ms-date": date,
        "x-ms-version": API_VERSION,
        "DataServiceVersion": "3.0;NetFx",
        "Accept": "application/json;odata=minimalmetadata",
        "Content-Type": "application/json",
        "Authorization": await authorization(account, lambda: f"{date}\n{path}"),
    }


def literal(value: str) -> str:
    """Return a string as a literal of the table query language."""
    return "'" + value.replace("'", "''") + "'"


def chunks(operations: Sequence[Operation], most: int = MAX_OPERATIONS) -> list[list[Operation]]:
    """Split changes into transactions within the service's limits of 100 operations (or `most`) and 4 MiB, in order."""
    result: list[list[Operation]] = [[]]
    size = 0
    for operation in operations:
        length = len(orjson.dumps(dict(operation.entity))) + 512
        if len(result[-1]) == most or (result[-1] and size + length > MAX_TRANSACTION_BYTES):
            result.append([])
            size = 0
        result[-1].append(operation)
        size += length
    return result if result[0] else []


def _key(partition: str, row: str) -> str:
    return f"(PartitionKey='{_quoted(partition)}',RowKey='{_quoted(row)}')"


def _quoted(key: str) -> str:
    return key if _PLAIN(key) else quote(key.replace("'", "''"), safe="")


def _encode(entity: Mapping[str, Any]) -> bytes:
    stored: dict[str, Any] = {}
    for name, value in entity.items():
        if value is None or name == "etag":
            continue
        if type(value) is int and value not in _INT32:
            stored[f"{name}@odata.type"] = "Edm.Int64"
            stored[name] = str(value)
        else:
            stored[name] = value
    encoded = orjson.dumps(stored)
    if len(stored) > MAX_PROPERTIES or len(encoded) > MAX_ENTITY_BYTES:
        raise StorageError(413, "EntityTooLarge", "an entity has at most 252 properties and 1 MiB")
    # JavaScript took these for line ends, and Azurite, which takes transactions apart by lines, does still. In JSON
    # they are in texts only.
    return encoded.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")


def _decode(entity: Entity) -> Entity:
    decoded: Entity = {}
    for name, value in entity.items():
        if "odata" not in name:
            decoded[name] = value
        elif name == "odata.etag":
            decoded["etag"] = value
    for name in [name for name in entity if name.endswith("@odata.type")]:
        if entity[name] == "Edm.Int64":
            decoded[name[:-11]] = int(entity[name[:-11]])
    decoded.pop("Timestamp", None)
    return decoded


def _raise_for(status: int, body: bytes) -> None:
    if status >= 300:
        raise _error(status, body)


def _error(status: int, body: bytes) -> StorageError:
    code, message = _ERROR_CODE.search(body), _ERROR_MESSAGE.search(body)
    index = int(message[1]) if message and message[1] else None
    return error_for(
        status, code[1].decode() if code else "", message[2].decode(errors="replace") if message else "", index
    )
