"""What a client sends to be written: JSON, checked against the schema, as the values that are stored."""

import binascii
import json
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from shared.services.attaching import MAX_ATTACHMENTS, Attachment
from shared.services.parties import MAX_PARTIES, Party
from shared.storage.organizations import Organization
from shared.webapi.aside import LARGE_BODY, aside
from shared.webapi.errors import Failure, bad_payload, invalid, shown, unknown_property
from shared.webapi.keys import RowKey, demand_id, parse_key
from shared.webapi.schema import LOOKUPS, Column, Table
from shared.webapi.tables import SETS, TABLES
from shared.webapi.values import Stored, to_stored

_REFERENCE = re.compile(r"(?:[^?#\s()]*?/api/data/v9\.\d+/)?/?(\w+)\((.*)\)", re.IGNORECASE | re.DOTALL)

_MADE_TOGETHER = frozenset({("email", "activityparty"), ("email", "activitymimeattachment")})


@dataclass(slots=True)
class Payload:
    """A row as it was sent. `columns` are stored values by logical name, None where it is to be cleared; `id` is the
    primary key where it was given; `lazy` are the texts of lazy columns; `pointed` are the rows that lookups now name.
    `parties` and `attachments` are None where they were not sent."""

    id: str = ""
    columns: dict[str, Stored] = field(default_factory=dict)
    lazy: dict[str, str] = field(default_factory=dict)
    pointed: list[tuple[str, str]] = field(default_factory=list)
    parties: list[Party] | None = None
    attachments: list[Attachment] | None = None


async def read_json(body: bytes) -> dict[str, Any]:
    """Return a JSON object as `parse_json` does, a large one's beside the event loop."""
    return await aside(parse_json, body) if len(body) > LARGE_BODY else parse_json(body)


MAX_VALUES = 200_000
"""Values of a JSON body, each list and object counted once more: a thousand rows with all of their columns, the way
they were read, have fewer."""
MAX_ESCAPES = 8_000_000
"""Backslashes of a JSON body; a body of mail in a script of its own, all of it escaped, has an eighth of them."""
MAX_MEMBERS = 2_000
"""Members of one object: no table has a tenth as many columns, and each may have a few annotations."""
MAX_DEPTH = 32
"""Objects and lists within each other."""
MAX_REFERENCE = 4096
"""Characters of what names a row: a URL, a set, and the values of a key."""


def parse_json(body: bytes) -> dict[str, Any]:
    """Return a JSON object; raise `Failure` 400 where it is none, or has more or deeper values than may be.

    The standard library's parser and not orjson: it takes the lone surrogates that JavaScript clients send.
    """
    _demand_few_values(body)
    try:
        value = json.loads(body or b"{}", parse_constant=_no_constant)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise bad_payload(f"The body is not valid JSON: {error}"[:300]) from None
    if not isinstance(value, dict):
        raise bad_payload("The body must be a JSON object.")
    _demand_shallow(value)
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _demand_few_values(body: bytes) -> None:
    """Raise `Failure` 400 where JSON has more than `MAX_VALUES`, before any of them is made: an empty object of three
    characters takes twenty times as much memory.

    What begins or parts values is counted, first wherever it stands, which takes no time; only where that is too much,
    as in a text with many commas, outside of texts, one text after the other.
    """
    if body.count(b"\\") > MAX_ESCAPES:
        raise bad_payload(f"The body has more than {MAX_ESCAPES:,} escaped characters: send texts as UTF-8.")
    if sum(body.count(mark) for mark in _MARKS) <= MAX_VALUES:
        return
    found, place = 0, 0
    while place < len(body):
        quote = body.find(b'"', place)
        end = quote if quote >= 0 else len(body)
        found += sum(body.count(mark, place, end) for mark in _MARKS)
        if found > MAX_VALUES:
            raise bad_payload(f"The body has more than {MAX_VALUES:,} values: send fewer rows, in several requests.")
        place = _after_text(body, end + 1)


_MARKS = (b",", b"[", b"{")


def _after_text(body: bytes, place: int) -> int:
    """Return the place behind the quote that ends the text in which `place` is; behind the body where none does."""
    while (quote := body.find(b'"', place)) >= 0:
        first = quote
        while first > place and body[first - 1] == _BACKSLASH:
            first -= 1
        place = quote + 1
        if (quote - first) % 2 == 0:
            return place
    return len(body)


_BACKSLASH = ord("\\")


def _demand_shallow(value: Any) -> None:
    """Raise `Failure` 400 where JSON is deeper than `MAX_DEPTH`, or an object in it has more than `MAX_MEMBERS`."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = []
        for item in level:
            if isinstance(item, dict) and len(item) > MAX_MEMBERS:
                raise bad_payload(
                    f"An object in the body has {len(item):,} members; at most {MAX_MEMBERS:,} are taken."
                )
            members = item.values() if isinstance(item, dict) else item
            inner += [member for member in members if isinstance(member, dict | list)]
        if not inner:
            return
        level = inner
    raise _too_deep()


def _too_deep() -> Failure:
    return bad_payload(f"The body is nested too deeply: at most {MAX_DEPTH} levels are taken.")


def parse_payload(table: Table, sent: Mapping[str, Any], *, creating: bool) -> Payload:
    """Return what `sent` writes to a row of `table`.

    Annotations are passed over. A column that the service keeps is ignored when a row is made (clients send rows back
    as they read them) and refused when it is changed. Raises `Failure` 400 naming what is wrong.
    """
    payload = Payload()
    for name, value in sent.items():
        target, at, annotation = name.partition("@")
        if at:
            if annotation == "odata.bind":
                _bind(payload, table, target, value, creating=creating)
            continue
        if name in table.collections:
            _collection(payload, table, name, value)
        elif name in table.by_navigation and table.by_navigation[name][0].name != name:
            _unbind(payload, table, name, value, creating=creating)
        else:
            _column(payload, table, name, value, creating=creating)
    if creating:
        _demand_needed(payload, table)
    return payload


def _demand_needed(payload: Payload, table: Table) -> None:
    for column in table.needed:
        if payload.columns.get(column.name) is None:
            raise invalid(f"The column '{column.name}' of '{table.logical}' is required: give it a value.")


async def resolve_references(organization: Organization, table: Table, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return `sent` with every reference by alternate key replaced by one by id, those of nested rows included.

    Raises `Failure` 400 where a reference is none, 404 where no row has the values of the key.
    """
    resolved = dict(sent)
    for name, value in sent.items():
        navigation, _, annotation = name.partition("@")
        if annotation == "odata.bind" and navigation in table.by_navigation and isinstance(value, str) and "=" in value:
            target = TABLES[table.by_navigation[navigation][1]]
            found = await demand_id(organization, target, parse_reference(value, target.logical, name))
            resolved[name] = f"/{target.set}({found})"
        elif name in table.collections and isinstance(value, list):
            inner = TABLES[table.collections[name].table]
            if (table.logical, inner.logical) in _MADE_TOGETHER:
                resolved[name] = [
                    await resolve_references(organization, inner, item) if isinstance(item, dict) else item
                    for item in value
                ]
    return resolved


def _column(payload: Payload, table: Table, name: str, value: Any, *, creating: bool) -> None:
    column = table.by_wire.get(name)
    if column is None:
        if name in table.by_navigation:
            _unbind(payload, table, name, value, creating=creating)
            return
        raise unknown_property(name, table.logical)
    if name == table.id:
        payload.id = str(to_stored(table, column, value) or "")
        return
    if not _is_set(table, column, name, creating=creating):
        return
    if column.type in LOOKUPS:
        navigation = next(iter(column.navigations))
        raise bad_payload(f"'{name}' is read-only on the wire: set the lookup with '{navigation}@odata.bind'.")
    stored = to_stored(table, column, value)
    if column.lazy:
        payload.lazy[name] = str(stored or "")
    else:
        payload.columns[name] = stored


def _is_set(table: Table, column: Column, name: str, *, creating: bool) -> bool:
    """Return whether a column sent as `name` is written, False where it is ignored; raise `Failure` 400 where the
    service keeps it or it is set on create only, and a row is changed."""
    kept = not column.writable or column.name == table.id
    if kept and not creating:
        raise invalid(f"The column '{name}' of '{table.logical}' is kept by the service and cannot be set.")
    if column.once and not creating:
        raise invalid(f"The column '{name}' of '{table.logical}' is set on create only and cannot be changed.")
    return not kept


def _unbind(payload: Payload, table: Table, navigation: str, value: Any, *, creating: bool) -> None:
    """A single-valued navigation property set to null clears its lookup; a nested row is not supported."""
    column, _ = table.by_navigation[navigation]
    if value is not None:
        raise bad_payload(f"'{navigation}' names a lookup: set it with '{navigation}@odata.bind', or to null.")
    if _is_set(table, column, navigation, creating=creating):
        _point(payload, table, column, None)


def _bind(payload: Payload, table: Table, navigation: str, value: Any, *, creating: bool) -> None:
    if navigation not in table.by_navigation:
        raise bad_payload(
            f"An undeclared property '{shown(navigation)}' which only has property annotations in the payload but no "
            f"property value was found in the payload. 'Microsoft.Dynamics.CRM.{table.logical}' has no such navigation "
            "property."
        )
    column, target = table.by_navigation[navigation]
    if not _is_set(table, column, navigation, creating=creating):
        raise invalid(f"The lookup '{navigation}' of '{table.logical}' is kept by the service and cannot be set.")
    if value is None:
        _point(payload, table, column, None)
        return
    _point(payload, table, column, (target, parse_reference(value, target, f"{navigation}@odata.bind").id))


def _point(payload: Payload, table: Table, column: Column, pointed: tuple[str, str] | None) -> None:
    if pointed is None and column.required:
        raise invalid(f"The column '{column.name}' of '{table.logical}' is required and cannot be null.")
    before = payload.columns.get(column.name)
    if before is not None and pointed is None:
        # Another navigation property of the same lookup is null because this one is not.
        return
    if pointed and before is not None and (pointed[1], pointed[0]) != (before, _pointed_table(payload, column)):
        raise bad_payload(f"The lookup '{column.name}' of '{table.logical}' is bound to two rows: bind it to one.")
    payload.columns[column.name] = pointed[1] if pointed else None
    if len(column.targets) > 1:
        payload.columns[f"{column.name}_type"] = pointed[0] if pointed else None
    if pointed:
        payload.pointed.append(pointed)


def _pointed_table(payload: Payload, column: Column) -> str:
    return str(payload.columns[f"{column.name}_type"]) if len(column.targets) > 1 else column.targets[0]


def parse_reference(value: Any, target: str, where: str) -> RowKey:
    """Return what a reference to a row of `target` names: ``contacts(id)``, ``/contacts(id)`` or an absolute URL, of
    any host and organization, with an id or an alternate key. `where` tells the caller which reference is meant."""
    match = _REFERENCE.fullmatch(_unquoted(value, where)) if isinstance(value, str) else None
    if match is None:
        raise bad_payload(f"The value of '{where}' is not a reference such as /{TABLES[target].set}(<id>).")
    known = SETS.get(match[1])
    # An email may be named as the activity that it is.
    if known is None or target not in (known.logical, known.view_of):
        reason = f"'{match[1]}' holds {known.logical} rows" if known else f"there is no entity set '{shown(match[1])}'"
        raise bad_payload(f"The value of '{where}' must name a row of '{TABLES[target].set}': {reason}.")
    return parse_key(TABLES[target], match[2])


def set_of(value: str, where: str) -> str:
    """Return the name of the set in a reference, the last before its first parenthesis, "" where there is none."""
    path, parenthesis, _ = _unquoted(value, where).partition("(")
    return path.rpartition("/")[2] if parenthesis else ""


def _unquoted(reference: str, where: str) -> str:
    if len(reference) > MAX_REFERENCE:
        raise bad_payload(
            f"The value of '{where}' has {len(reference):,} characters; a reference has at most {MAX_REFERENCE:,}."
        )
    return unquote(reference.strip())


def demand_few_rows(table: Table, sent: Mapping[str, Any]) -> None:
    """Raise `Failure` 400 where more rows are to be made together with one than it may have, before looking at any."""
    for name, limit in _MOST.items():
        rows = sent.get(name) if name in table.collections else None
        if isinstance(rows, list) and len(rows) > limit:
            raise bad_payload(f"'{name}' has {len(rows):,} rows; an email has at most {limit:,}.")


_MOST = {"email_activity_parties": MAX_PARTIES, "email_activity_mime_attachment": MAX_ATTACHMENTS}


def _collection(payload: Payload, table: Table, name: str, value: Any) -> None:
    """Rows that are made together with an email: its parties and attachments (deep insert)."""
    if (table.logical, table.collections[name].table) not in _MADE_TOGETHER:
        raise bad_payload(f"'{name}' is read only: rows of '{table.collections[name].table}' are made on their own.")
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise bad_payload(f"'{name}' must be a list of rows.")
    inner = TABLES[table.collections[name].table]
    rows = [parse_payload(inner, item, creating=True) for item in value]
    if inner.logical == "activityparty":
        payload.parties = [_party(row) for row in rows]
    else:
        payload.attachments = [parse_attachment(row) for row in rows]


def _party(row: Payload) -> Party:
    mask = row.columns.get("participationtypemask")
    if mask is None:
        raise bad_payload("An activity party needs a participationtypemask: 1 Sender, 2 To, 3 CC or 4 BCC.")
    return Party(
        int(mask),
        str(row.columns.get("partyid_type") or ""),
        str(row.columns.get("partyid") or ""),
        str(row.columns.get("addressused") or "").strip(),
        str(row.columns.get("unresolvedpartyname") or ""),
    )


def parse_attachment(row: Payload) -> Attachment:
    """Return the attachment that a row of activitymimeattachment describes; raise `Failure` 400."""
    return Attachment(
        filename=str(row.columns.get("filename") or ""),
        mimetype=str(row.columns.get("mimetype") or ""),
        content=decode_body(row.lazy.get("body", "")),
        content_id=str(row.columns.get("attachmentcontentid") or ""),
        subject=str(row.columns.get("subject") or ""),
        id=row.id,
    )


def decode_body(body: str) -> bytes:
    """Return the bytes of an attachment's ``body``, base64 (RFC 4648; line breaks as MIME puts them are let pass)."""
    try:
        encoded = body.encode("ascii")
        # Removing spaces takes longer than decoding: only where they may be what is wrong.
        if b" " in encoded or b"\n" in encoded:
            encoded = encoded.translate(None, string.whitespace.encode())
        return _decoded(encoded)
    except ValueError:
        raise bad_payload("Cannot convert the value of 'body' to the expected type Edm.Binary: not base64.") from None


def _decoded(encoded: bytes) -> bytes:
    """Return what base64 stands for, slice by slice: the decoder keeps the interpreter to itself, a quarter of a second
    for the largest file. Raises ValueError."""
    *before, last = [encoded[start : start + _SLICE] for start in range(0, len(encoded), _SLICE)] or [b""]
    if any(b"=" in part for part in before):
        raise ValueError("padding before the end")
    return b"".join(binascii.a2b_base64(part, strict_mode=True) for part in (*before, last))


_SLICE = 1024 * 1024
"""Characters: a multiple of four."""
