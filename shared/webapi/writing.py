"""Writing: making, changing and deleting rows of every table."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from shared.engagement import consent
from shared.engagement.best_time import parse_week
from shared.engagement.cards import parse_kinds
from shared.services import alerting, attaching, composing, consenting, people, sending
from shared.services.drafts import delete_blobs
from shared.services.rights import demand_administrator, demand_ownership, demand_write
from shared.services.templates import announce_deletion
from shared.services.versions import demand_version
from shared.storage import keys, records
from shared.storage.account import Conflict, PreconditionFailed
from shared.storage.contention import insist
from shared.storage.organizations import change_settings
from shared.storage.tables import Operation
from shared.webapi import cors, sources, telling, templates, texts
from shared.webapi.aside import aside
from shared.webapi.context import Context, version_in
from shared.webapi.errors import (
    already_exists,
    bad_payload,
    disables_oneself,
    does_not_exist,
    invalid,
    method_not_allowed,
    stale,
)
from shared.webapi.keys import RowKey, columns_of_keys, contradicts, find_id, missing
from shared.webapi.payloads import (
    Payload,
    decode_body,
    demand_few_rows,
    parse_attachment,
    parse_payload,
    resolve_references,
)
from shared.webapi.schema import Table, Type
from shared.webapi.sharing import demand_sight
from shared.webapi.tables import TABLES
from shared.webapi.values import format_time

_NAMED_BY_PARTS = frozenset({"contact", "lead", "systemuser"})
"""Tables whose ``fullname`` is made of first and last name."""
_CARD_KINDS_OFF = "ee_cardkindsoff"
_MAY_BE_EMPTY = frozenset({
    "blockedattachments", "ee_timezone", "ee_withdrawaltext", "ee_retentiondays", cors.COLUMN, _CARD_KINDS_OFF,
    telling.WEBHOOK, telling.SECRET,
})  # fmt: skip
"""Columns of the organization that may be null; the other ones are switches, sizes and the working week."""
_ATTEMPTS = 8
_WITH_FILES = frozenset({"body", "email_activity_mime_attachment"})
"""Members of a row that hold files."""


async def create(context: Context, table: Table, sent: Mapping[str, Any]) -> str:
    """Make a row and return its id. Raises `Failure`."""
    demand_creatable(table)
    payload = await prepare(context, table, sent, RowKey(), creating=True)
    try:
        return await make(context, table, payload)
    except Conflict:
        raise already_exists() from None


async def update(context: Context, table: Table, id: str, sent: Mapping[str, Any]) -> None:
    """Change a row that must exist; raise `Failure`: 404, 412 where If-Match names another version."""
    demand_changeable(table)
    await change(context, table, id, await prepare(context, table, sent, RowKey(id), creating=False))


async def upsert(context: Context, table: Table, named: RowKey, sent: Mapping[str, Any]) -> tuple[str, bool]:
    """Change the row that is named, or make it; return its id and whether it was made.

    If-Match says that the row must exist, If-None-Match ``*`` that it must not. Raises `Failure`: 404, 412.
    """
    refused = False
    for _ in range(_ATTEMPTS):
        found = await find_id(context.organization, table, named)
        if found is not None and await exists(context, table, found):
            if context.none_match == "*":
                raise already_exists()
            demand_changeable(table)
            await change(context, table, found, await prepare(context, table, sent, named, creating=False))
            return found, False
        if refused:
            # What was in the way was another row: one with this row's values of some other key.
            raise already_exists()
        if context.match or not table.creatable:
            raise missing(table, named)
        payload = await prepare(context, table, sent, named, creating=True)
        try:
            return await make(context, table, payload), True
        except Conflict:
            # Somebody made it in the meantime: the next look finds it.
            refused = True
    raise already_exists()


async def delete(context: Context, table: Table, id: str) -> None:
    """Delete a row; raise `Failure`: 404, 412 where If-Match names another version."""
    organization, caller, expected = context.organization, context.caller, version_in(context.match)
    if table.writers == "nobody" or table.kept == "organization":
        raise method_not_allowed("DELETE", table.set, row_methods(table))
    try:
        if table.kept == "email":
            await composing.delete_email(organization, caller, id, expected=expected)
        elif table.logical == "activitymimeattachment":
            await attaching.delete_attachment(organization, caller, id, now=context.now, expected=expected)
        else:
            await _delete_record(context, table, id, expected)
    except PreconditionFailed:
        raise stale() from None


async def exists(context: Context, table: Table, id: str) -> bool:
    """Return whether there is such a row."""
    return await sources.get(context.organization, table, id) is not None


def set_methods(table: Table) -> str:
    """Return the methods of a table's set, for ``Allow``."""
    return "GET, POST" if table.creatable else "GET"


def row_methods(table: Table) -> str:
    """Return the methods of a table's rows, for ``Allow``."""
    if table.writers == "nobody":
        return "GET"
    return "GET, PATCH" if table.kept == "organization" else "GET, PATCH, DELETE"


def demand_creatable(table: Table) -> None:
    """Raise `Failure` 405 where the Web API makes no rows of a table."""
    if not table.creatable:
        raise method_not_allowed("POST", table.set, set_methods(table))


def demand_changeable(table: Table) -> None:
    """Raise `Failure` 405 where the Web API changes no rows of a table."""
    if table.writers == "nobody":
        raise method_not_allowed("PATCH", table.set, row_methods(table))


async def prepare(context: Context, table: Table, sent: Mapping[str, Any], named: RowKey, *, creating: bool) -> Payload:
    """Return what is to be written to the row that is named, with its key's values where it is made; raise `Failure`
    400 or 404 naming what is wrong."""
    demand_few_rows(table, sent)
    resolved = await resolve_references(context.organization, table, sent)
    if _WITH_FILES & sent.keys():
        # Decoding a file of megabytes takes a while.
        payload = await aside(parse_payload, table, resolved, creating=creating)
    else:
        payload = parse_payload(table, resolved, creating=creating)
        # A thousand rows may be read from one request: recipients get their turn between them.
        await asyncio.sleep(0)
    contradicted = contradicts(named, payload.columns)
    if contradicted:
        raise bad_payload(f"'{contradicted}' in the body is not the value of the key that names the row.")
    if named.id and payload.id not in ("", named.id):
        raise bad_payload(f"'{table.id}' in the body is not the id that names the row.")
    if creating:
        payload.id = named.id or payload.id
        payload.columns = {**named.columns, **payload.columns}
    await _demand_pointed(context, payload)
    return payload


async def make(context: Context, table: Table, payload: Payload) -> str:
    """Make a row and return its id; raise `Failure`, and `Conflict` where its id or a key's values are taken."""
    if table.kept == "email":
        return await _create_email(context, table, payload)
    if table.logical == "activitymimeattachment":
        return await _create_attachment(context, payload)
    if table.logical == "actioncarduserstate":
        return await _create_card_state(context, table, payload)
    return await _create_record(context, table, payload)


async def change(context: Context, table: Table, id: str, payload: Payload) -> None:
    """Change a row; raise `Failure`: 404, 412 where If-Match names another version or a key's values are taken."""
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
            if table.logical == "actioncarduserstate":
                await alerting.apply_user_state(context.organization, id, context.caller.user, context.now)
    except PreconditionFailed:
        raise stale() from None
    except Conflict:
        raise already_exists() from None


async def _demand_pointed(context: Context, payload: Payload) -> None:
    """Raise `Failure` 404 where a lookup would name a row that there is not, `Denied` one that is another user's."""
    for table, pointed in dict.fromkeys(payload.pointed):
        row = await sources.get(context.organization, TABLES[table], pointed)
        if row is None:
            raise does_not_exist(table, pointed)
        demand_sight(context.caller, TABLES[table], row)


def _defaults(table: Table) -> dict[str, Any]:
    return {column.name: column.default for column in table.columns if column.default is not None}


async def make_and_send(context: Context, payload: Payload) -> str:
    """Make an email that is on its way at once, and return its id; raise `Failure`, and `Conflict` where its id is
    taken."""
    return await _create_email(context, TABLES["email"], payload, sending.send_new)


async def _create_email(
    context: Context, table: Table, payload: Payload, create: Callable[..., Awaitable[str]] = composing.create_email
) -> str:
    columns = {**_defaults(table), **payload.columns}
    return await create(
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
    attachment = await aside(parse_attachment, payload)
    return await attaching.add_attachment(context.organization, context.caller, str(email), attachment, now=context.now)


async def _update_attachment(context: Context, id: str, payload: Payload, expected: int | None) -> None:
    if "objectid" in payload.columns or "objecttypecode" in payload.columns:
        raise invalid("An attachment stays with its email: 'objectid' cannot be changed.")
    await attaching.change_attachment(
        context.organization,
        context.caller,
        id,
        payload.columns,
        content=await aside(decode_body, payload.lazy["body"]) if "body" in payload.lazy else None,
        now=context.now,
        expected=expected,
    )


async def _create_record(context: Context, table: Table, payload: Payload) -> str:
    caller, stamp = context.caller, format_time(context.now)
    if table.writers == "administrator":
        demand_administrator(caller, table.set)
    given = _consistent(table, payload.columns, {}, context.now)
    columns = {**_defaults(table), **given, "createdon": stamp, "modifiedon": stamp}
    if "ownerid" in table.by_name:
        owner = str(columns.get("ownerid") or caller.user)
        demand_ownership(caller, owner)
        columns |= {"ownerid": owner, "createdby": caller.user, "modifiedby": caller.user}
    if table.logical == "template":
        await templates.demand_fillable(context.organization, columns, payload)
    made = payload.id or str(uuid.uuid4())
    async with texts.written(context.organization, table, made, payload.lazy) as blobs:
        row = {**columns, **blobs, table.id: made}
        beside = _beside(context, table, made, {}, row)
        await keys.insert(context.organization, table.logical, made, row, columns_of_keys(table), beside)
    return made


async def _create_card_state(context: Context, table: Table, payload: Payload) -> str:
    """Keep what a user made of a card, over what they made of it before."""
    card, owner = payload.columns.get("actioncardid"), payload.columns.get("ownerid") or context.caller.user
    if not card:
        raise bad_payload("A card's state belongs to a card: give 'actioncardid@odata.bind'.")
    derived = alerting.user_state_of(str(card), str(owner))
    if payload.id not in ("", derived):
        raise invalid(f"'{table.id}' of '{table.logical}' is made of the card and the user: leave it out.")
    payload.id, payload.columns = derived, {**_defaults(table), **payload.columns}
    try:
        await _create_record(context, table, payload)
    except Conflict:
        await _update_record(context, table, derived, payload, None)
    await alerting.apply_user_state(context.organization, derived, context.caller.user, context.now)
    return derived


async def _update_record(context: Context, table: Table, id: str, payload: Payload, expected: int | None) -> None:
    organization = context.organization
    if table.logical == "systemuser" and id == context.caller.user and payload.columns.get("isdisabled"):
        raise disables_oneself()
    async with texts.written(organization, table, id, payload.lazy) as blobs:
        old = await _replace_record(context, table, id, payload, blobs, expected)
    if table.logical == "systemuser":
        people.forget(organization, id)
    await delete_blobs(organization, [old.get(name) or "" for name in blobs])


async def _replace_record(
    context: Context, table: Table, id: str, payload: Payload, blobs: Mapping[str, str | None], expected: int | None
) -> dict[str, Any]:
    """Change a record that has been read, again where somebody was faster; return it as it was."""

    async def attempt() -> dict[str, Any]:
        old = await _writable(context, table, id, payload.columns)
        demand_version(old, expected)
        new = {
            **old,
            **_consistent(table, payload.columns, old, context.now),
            **blobs,
            "modifiedon": format_time(context.now),
        }
        if "modifiedby" in table.by_name:
            new["modifiedby"] = context.caller.user
        if table.logical == "template":
            await templates.demand_fillable(context.organization, new, payload)
        beside = _beside(context, table, id, old, new)
        await keys.put(context.organization, table.logical, id, new, old, columns_of_keys(table), beside)
        return old

    return await insist(attempt, once=expected is not None)


async def _delete_record(context: Context, table: Table, id: str, expected: int | None) -> None:
    async def attempt() -> dict[str, Any]:
        row = await _writable(context, table, id)
        demand_version(row, expected)
        if table.logical == "template":
            await announce_deletion(context.organization, id)
        await keys.delete(context.organization, table.logical, id, row, columns_of_keys(table))
        return row

    row = await insist(attempt, once=expected is not None)
    await delete_blobs(context.organization, [row.get(column.lazy) or "" for column in table.lazy_columns])


async def _writable(context: Context, table: Table, id: str, columns: Collection[str] = ()) -> dict[str, Any]:
    """Return a stored record of which the caller may change `columns`, or which they may delete where none are given;
    raise `Failure` 404 or `Denied`."""
    old = await records.get(context.organization, table.logical, id)
    if old is None:
        raise does_not_exist(table.logical, id)
    demand_sight(context.caller, table, old)
    own = id == context.caller.user and columns and all(table.by_name[name].personal for name in columns)
    if table.writers == "administrator" and not own:
        demand_administrator(context.caller, table.set)
    elif table.writers != "administrator":
        demand_write(context.caller, old, f"This {table.logical}")
    return old


def _beside(context: Context, table: Table, id: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Operation]:
    """Return what is written together with a record: what its change means for the person's consent."""
    if table.logical not in consenting.TABLES:
        return []
    return consenting.beside(context.organization, table.logical, id, old, new, context.caller.user, context.now)


def _consistent(table: Table, changes: Mapping[str, Any], old: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return changes completed by what follows from them: the full name, status and state of each other, consent."""
    new = dict(changes)
    if table.logical in consenting.TABLES:
        try:
            new = consent.complete(new, old, format_time(now))
        except ValueError as error:
            raise invalid(str(error)) from None
    if new.get(_CARD_KINDS_OFF):
        new[_CARD_KINDS_OFF] = ";".join(_kinds(new[_CARD_KINDS_OFF])) or None
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


def _kinds(text: str) -> tuple[str, ...]:
    """Return the kinds of cards that a text names; raise `Failure` 400 naming what is none."""
    try:
        return parse_kinds(text)
    except ValueError as error:
        raise invalid(f"In '{_CARD_KINDS_OFF}', {error}") from None


async def _update_organization(context: Context, id: str, payload: Payload) -> None:
    if id != context.organization.id:
        raise does_not_exist("organization", id)
    demand_administrator(context.caller, "the organization")
    name = context.organization.name
    if await change_settings(name, lambda settings: changed_settings(settings, payload.columns)) is None:
        raise does_not_exist("organization", id)


def changed_settings(settings: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return an organization's settings after a change of its columns (None: cleared); raise `Failure` 400 naming what
    is wrong."""
    for name, value in columns.items():
        if value is None and name not in _MAY_BE_EMPTY:
            raise invalid(f"The column '{name}' of 'organization' cannot be null.")
    changed: dict[str, Any] = {name: "" if value is None else value for name, value in columns.items()}
    if cors.COLUMN in changed:
        changed[cors.SETTING] = cors.parse_origins(changed.pop(cors.COLUMN))
    changed |= telling.take_settings(changed, settings)
    if _CARD_KINDS_OFF in changed:
        changed["card_kinds_off"] = _kinds(changed.pop(_CARD_KINDS_OFF))
    new = {**settings, **changed}
    try:
        parse_week(new["ee_workdaystart"], new["ee_workdayend"], new["ee_workingdays"])
    except ValueError as error:
        raise invalid(f"'ee_workdaystart' and 'ee_workdayend' do not go together: {error}.") from None
    return new
