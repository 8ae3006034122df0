"""Writing: making, changing and deleting rows of every table."""

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

from shared.services import attaching, composing
from shared.services.rights import demand_administrator, demand_ownership, demand_write
from shared.services.versions import demand_version
from shared.storage import records
from shared.storage.account import Conflict, NotFound, PreconditionFailed
from shared.storage.organizations import save_organization
from shared.webapi import cors, sources
from shared.webapi.context import Context, version_in
from shared.webapi.errors import (
    already_exists,
    bad_payload,
    does_not_exist,
    invalid,
    method_not_allowed,
    stale,
)
from shared.webapi.payloads import Payload, decode_body, parse_attachment, parse_payload, parse_reference
from shared.webapi.schema import Table, Type
from shared.webapi.tables import TABLES
from shared.webapi.values import format_time

_NAMED_BY_PARTS = frozenset({"contact", "lead", "systemuser"})
"""Tables whose ``fullname`` is made of first and last name."""
_MAY_BE_EMPTY = frozenset({"blockedattachments", cors.COLUMN})
"""Columns of the organization that may be null; the other ones are switches and sizes."""
_ATTEMPTS = 8


async def create(context: Context, table: Table, sent: Mapping[str, Any], id: str = "") -> str:
    """Make a row and return its id; `id` is the one in the path of an upsert. Raises `Failure`."""
    if not table.creatable or table.writers == "nobody":
        raise method_not_allowed("POST", table.set)
    payload = parse_payload(table, sent, creating=True)
    if id and payload.id not in ("", id):
        raise bad_payload(f"'{table.id}' in the body is not the id in the path.")
    payload.id = id or payload.id
    await _demand_pointed(context, payload)
    try:
        if table.kept == "email":
            return await _create_email(context, table, payload)
        if table.logical == "activitymimeattachment":
            return await _create_attachment(context, payload)
        return await _create_record(context, table, payload)
    except Conflict:
        raise already_exists() from None


async def update(context: Context, table: Table, id: str, sent: Mapping[str, Any]) -> None:
    """Change a row that must exist; raise `Failure`: 404, 412 where If-Match names another version."""
    if table.writers == "nobody":
        raise method_not_allowed("PATCH", table.set)
    payload = parse_payload(table, sent, creating=False)
    if payload.id not in ("", id):
        raise bad_payload(f"'{table.id}' cannot be changed.")
    await _demand_pointed(context, payload)
    expected = version_in(context.match)
    try:
        if table.kept == "email":
            await _update_email(context, id, payload, expected)
        elif table.logical == "activitymimeattachment":
            await _update_attachment(context, id, payload, expected)
        elif table.kept == "organization":
            await _update_organization(context, id, payload)
        else:
            await _update_record(context, table, id, payload, expected)
    except PreconditionFailed:
        raise stale() from None


async def delete(context: Context, table: Table, id: str) -> None:
    """Delete a row; raise `Failure`: 404, 412 where If-Match names another version."""
    organization, caller, expected = context.organization, context.caller, version_in(context.match)
    if table.writers == "nobody" or table.kept == "organization":
        raise method_not_allowed("DELETE", table.set)
    try:
        if table.kept == "email":
            await composing.delete_email(organization, caller, id, expected=expected)
        elif table.logical == "activitymimeattachment":
            await attaching.delete_attachment(organization, caller, id, now=context.now, expected=expected)
        else:
            row = await _writable(context, table, id)
            demand_version(row, expected)
            await records.delete(organization, table.logical, id, row["etag"] if expected is not None else "*")
    except PreconditionFailed:
        raise stale() from None


async def exists(context: Context, table: Table, id: str) -> bool:
    """Return whether there is such a row."""
    return await sources.get(context.organization, table, id) is not None


def reference_payload(table: Table, navigation: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the change that ``PUT set(id)/nav/$ref`` with ``{"@odata.id": ...}`` stands for."""
    _, target = table.by_navigation[navigation]
    found = parse_reference(sent.get("@odata.id"), target, "@odata.id")
    return {f"{navigation}@odata.bind": f"{TABLES[target].set}({found})"}


async def _demand_pointed(context: Context, payload: Payload) -> None:
    """Raise `Failure` 404 where a lookup would name a row that there is not."""
    for table, pointed in dict.fromkeys(payload.pointed):
        if not await exists(context, TABLES[table], pointed):
            raise does_not_exist(table, pointed)


def _defaults(table: Table) -> dict[str, Any]:
    return {column.name: column.default for column in table.columns if column.default is not None}


async def _create_email(context: Context, table: Table, payload: Payload) -> str:
    columns = {**_defaults(table), **payload.columns}
    return await composing.create_email(
        context.organization,
        context.caller,
        columns,
        parties=payload.parties or (),
        attachments=payload.attachments or (),
        body=payload.lazy.get("description", ""),
        id=payload.id,
        now=context.now,
    )


async def _update_email(context: Context, id: str, payload: Payload, expected: int | None) -> None:
    if payload.attachments is not None:
        raise bad_payload("'email_activity_mime_attachment' is set on create only: use activitymimeattachments.")
    await composing.change_email(
        context.organization,
        context.caller,
        id,
        payload.columns,
        parties=payload.parties,
        body=payload.lazy.get("description"),
        now=context.now,
        expected=expected,
    )


async def _create_attachment(context: Context, payload: Payload) -> str:
    email = payload.columns.get("objectid")
    if not email:
        raise bad_payload("An attachment belongs to an email: give 'objectid_email@odata.bind'.")
    if payload.columns.get("objecttypecode", "email") != "email":
        raise invalid("The objecttypecode of an attachment must be 'email'.")
    return await attaching.add_attachment(
        context.organization, context.caller, str(email), parse_attachment(payload), now=context.now
    )


async def _update_attachment(context: Context, id: str, payload: Payload, expected: int | None) -> None:
    if "objectid" in payload.columns or "objecttypecode" in payload.columns:
        raise invalid("An attachment stays with its email: 'objectid' cannot be changed.")
    await attaching.change_attachment(
        context.organization,
        context.caller,
        id,
        payload.columns,
        content=decode_body(payload.lazy["body"]) if "body" in payload.lazy else None,
        now=context.now,
        expected=expected,
    )


async def _create_record(context: Context, table: Table, payload: Payload) -> str:
    caller, stamp = context.caller, format_time(context.now)
    if table.writers == "administrator":
        demand_administrator(caller, table.set)
    given = _consistent(table, payload.columns, {})
    columns = {**_defaults(table), **given, "createdon": stamp, "modifiedon": stamp}
    if "ownerid" in table.by_name:
        owner = str(columns.get("ownerid") or caller.user)
        demand_ownership(caller, owner)
        columns |= {"ownerid": owner, "createdby": caller.user, "modifiedby": caller.user}
    made = payload.id or str(uuid.uuid4())
    await records.insert(context.organization, table.logical, made, {**columns, table.id: made})
    return made


async def _update_record(context: Context, table: Table, id: str, payload: Payload, expected: int | None) -> None:
    for _ in range(_ATTEMPTS):
        old = await _writable(context, table, id)
        demand_version(old, expected)
        new = {**old, **_consistent(table, payload.columns, old), "modifiedon": format_time(context.now)}
        if "modifiedby" in table.by_name:
            new["modifiedby"] = context.caller.user
        try:
            await records.put(context.organization, table.logical, id, new, old["etag"])
        except PreconditionFailed:
            if expected is not None:
                raise
        except NotFound:
            continue
        else:
            return
    raise PreconditionFailed(412, "UpdateConditionNotSatisfied")


async def _writable(context: Context, table: Table, id: str) -> dict[str, Any]:
    """Return a stored record that the caller may change; raise `Failure` 404 or `Denied`."""
    old = await records.get(context.organization, table.logical, id)
    if old is None:
        raise does_not_exist(table.logical, id)
    if table.writers == "administrator":
        demand_administrator(context.caller, table.set)
    else:
        demand_write(context.caller, old, f"This {table.logical}")
    return old


def _consistent(table: Table, changes: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes completed by what follows from them: the full name, and status and state of each other."""
    new = dict(changes)
    if table.logical in _NAMED_BY_PARTS and {"firstname", "lastname"} & new.keys():
        merged = {**old, **new}
        new["fullname"] = " ".join(filter(None, (merged.get("firstname"), merged.get("lastname")))) or None
    status = next((column for column in table.columns if column.type is Type.STATUS), None)
    if status is not None and {"statecode", "statuscode"} & new.keys():
        if new.get("statuscode") is None:
            wanted = new.get("statecode", old.get("statecode") or 0)
            new["statuscode"] = next(value for value, state in status.states.items() if state == wanted)
        state = status.states[new["statuscode"]]
        if "statecode" in changes and changes["statecode"] != state and "statuscode" in changes:
            wrong = f"{new['statuscode']} is not a valid statuscode for statecode {changes['statecode']}"
            raise invalid(f"{wrong} of '{table.logical}'.")
        new["statecode"] = state
    return new


async def _update_organization(context: Context, id: str, payload: Payload) -> None:
    organization = context.organization
    if id != organization.id:
        raise does_not_exist("organization", id)
    demand_administrator(context.caller, "the organization")
    for name, value in payload.columns.items():
        if value is None and name not in _MAY_BE_EMPTY:
            raise invalid(f"The column '{name}' of 'organization' cannot be null.")
    changed: dict[str, Any] = {name: "" if value is None else value for name, value in payload.columns.items()}
    if cors.COLUMN in changed:
        changed[cors.SETTING] = cors.parse_origins(changed.pop(cors.COLUMN))
    await save_organization(dataclasses.replace(organization, settings={**organization.settings, **changed}))
