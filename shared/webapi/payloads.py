"""What a client sends to be written: JSON, checked against the schema, as the values that are stored."""

import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from shared.services.attaching import Attachment
from shared.services.parties import Party
from shared.storage.organizations import Organization
from shared.webapi.errors import bad_payload, invalid, unknown_property
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


def parse_json(body: bytes) -> dict[str, Any]:
    """Return a JSON object; raise `Failure` 400 where it is none.

    The standard library's parser and not orjson: it takes the lone surrogates that JavaScript clients send.
    """
    try:
        value = json.loads(body or b"{}", parse_constant=_no_constant)
    except RecursionError:
        raise bad_payload("The body is nested too deeply.") from None
    except ValueError as error:
        raise bad_payload(f"The body is not valid JSON: {error}"[:300]) from None
    if not isinstance(value, dict):
        raise bad_payload("The body must be a JSON object.")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


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
            f"An undeclared property '{navigation}' which only has property annotations in the payload but no property "
            f"value was found in the payload. 'Microsoft.Dynamics.CRM.{table.logical}' has no such navigation property."
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
    match = _REFERENCE.fullmatch(unquote(value.strip())) if isinstance(value, str) else None
    if match is None:
        raise bad_payload(f"The value of '{where}' is not a reference such as /{TABLES[target].set}(<id>).")
    known = SETS.get(match[1])
    # An email may be named as the activity that it is.
    if known is None or target not in (known.logical, known.view_of):
        reason = f"'{match[1]}' holds {known.logical} rows" if known else f"there is no entity set '{match[1]}'"
        raise bad_payload(f"The value of '{where}' must name a row of '{TABLES[target].set}': {reason}.")
    return parse_key(TABLES[target], match[2])


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
        # Removing spaces takes longer than decoding: only where they may be what is wrong.
        return binascii.a2b_base64(body, strict_mode=True) if " " not in body and "\n" not in body else _unfolded(body)
    except ValueError:
        raise bad_payload("Cannot convert the value of 'body' to the expected type Edm.Binary: not base64.") from None


def _unfolded(body: str) -> bytes:
    return binascii.a2b_base64("".join(body.split()), strict_mode=True)
