"""CreateMultiple, UpdateMultiple, UpsertMultiple: many rows of one set in one request.

Source: Microsoft's "Use bulk operation messages" and the reference page of each. All targets are checked before the
first is written, all are written or none, and a failure names the target's index.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from shared.services.errors import Missing, Refused
from shared.services.rights import Denied
from shared.storage import undo
from shared.storage.account import Conflict
from shared.webapi import writing
from shared.webapi.context import Context
from shared.webapi.errors import Failure, already_exists, bad_payload
from shared.webapi.keys import RowKey, demand_id, find_id, missing, parse_key
from shared.webapi.operations import demand_parameters
from shared.webapi.payloads import parse_reference
from shared.webapi.schema import Table

MAX_TARGETS = 1000
_NAMESPACE = "Microsoft.Dynamics.CRM"


async def create_multiple(context: Context, table: Table, sent: Mapping[str, Any]) -> dict[str, Any]:
    """CreateMultiple: make rows and return their ids in the order of the targets."""
    writing.demand_creatable(table)
    payloads = []
    for index, target in enumerate(_targets(table, sent, "CreateMultiple")):
        with _naming(index):
            payloads.append(await writing.prepare(context, table, target, RowKey(), creating=True))
    ids = []
    async with undo.scope():
        for index, payload in enumerate(payloads):
            with _naming(index):
                ids.append(await writing.make(context, table, payload))
    return {"@odata.context": f"{context.base}/$metadata#{_NAMESPACE}.CreateMultipleResponse", "Ids": ids}


async def update_multiple(context: Context, table: Table, sent: Mapping[str, Any]) -> None:
    """UpdateMultiple: change rows that exist, each named by its id in the row or by ``@odata.id``."""
    writing.demand_changeable(table)
    context = _unconditional(context)
    changes = []
    for index, target in enumerate(_targets(table, sent, "UpdateMultiple")):
        with _naming(index):
            named = _named(table, target)
            found = await demand_id(context.organization, table, named)
            if not await writing.exists(context, table, found):
                raise missing(table, named)
            changes.append((found, await writing.prepare(context, table, target, named, creating=False)))
    async with undo.scope():
        for index, (found, payload) in enumerate(changes):
            with _naming(index):
                await writing.change(context, table, found, payload)


async def upsert_multiple(context: Context, table: Table, sent: Mapping[str, Any]) -> None:
    """UpsertMultiple: change rows that exist and make the others, each named by its id in the row or by ``@odata.id``,
    which may be an alternate key."""
    writing.demand_changeable(table)
    context = _unconditional(context)
    targets = []
    for index, target in enumerate(_targets(table, sent, "UpsertMultiple")):
        with _naming(index):
            named = _named(table, target)
            found = await find_id(context.organization, table, named)
            there = found is not None and await writing.exists(context, table, found)
            await writing.prepare(context, table, target, named, creating=not there)
            targets.append((named, target))
    async with undo.scope():
        for index, (named, target) in enumerate(targets):
            with _naming(index):
                await writing.upsert(context, table, named, target)


def _targets(table: Table, sent: Mapping[str, Any], action: str) -> list[dict[str, Any]]:
    """Return the rows in ``Targets``; raise `Failure` 400 where they are none, too many, or of another table."""
    demand_parameters(sent, action)
    targets = sent.get("Targets")
    if not isinstance(targets, list) or not all(isinstance(target, dict) for target in targets):
        raise bad_payload("The parameter 'Targets' must be a list of rows.")
    if len(targets) > MAX_TARGETS:
        raise bad_payload(f"'Targets' has {len(targets):,} rows; at most {MAX_TARGETS:,} are taken in one request.")
    expected = f"{_NAMESPACE}.{table.logical}"
    for index, target in enumerate(targets):
        given = target.get("@odata.type", expected)
        if not isinstance(given, str) or given.removeprefix("#") != expected:
            with _naming(index):
                told = repr(given[:80]) if isinstance(given, str) else "no text"
                raise bad_payload(f"'@odata.type' is {told}, but '{table.set}' holds '{expected}' rows.")
    return targets


def _named(table: Table, target: Mapping[str, Any]) -> RowKey:
    """Return what names a target: its ``@odata.id``, or its primary key."""
    if "@odata.id" in target:
        return parse_reference(target["@odata.id"], table.logical, "@odata.id")
    given = target.get(table.id)
    if not isinstance(given, str):
        raise bad_payload(f"The row must be named: give its '{table.id}' or an '@odata.id'.")
    return parse_key(table, f"{table.id}={given}")


def _unconditional(context: Context) -> Context:
    """If-Match and its like speak of one row and mean nothing here."""
    return dataclasses.replace(context, match="", none_match="")


@contextmanager
def _naming(index: int) -> Iterator[None]:
    """Let a failure say which target it is about."""
    try:
        yield
    except Failure as failure:
        raise _about(index, failure) from None
    except Conflict:
        raise _about(index, already_exists()) from None
    except (Refused, Denied, Missing) as refusal:
        raise type(refusal)(f"Targets[{index}]: {refusal}") from None


def _about(index: int, failure: Failure) -> Failure:
    return Failure(failure.status, failure.code, f"Targets[{index}]: {failure.message}", failure.headers)
