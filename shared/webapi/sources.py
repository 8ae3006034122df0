"""Where a table's rows come from: which partition and which keys of our storage are read for a question."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from shared.storage import emails, records
from shared.storage.organizations import Organization, find_organization
from shared.storage.tables import Entity, literal
from shared.webapi import cors, telling
from shared.webapi.filters import Condition
from shared.webapi.schema import Table

type Page = list[Entity]


def scan(organization: Organization, table: Table, pushed: Sequence[Condition], after: str = "") -> AsyncIterator[Page]:
    """Yield the rows that may meet `pushed`, in the order of their keys, those after the place `after`: an id, or the
    partition and row key of a row under an email.

    A condition on the key or on the email reads one partition only.
    """
    if table.kept == "organization":
        return _organization(organization)
    conditions = [_key_range(table)]
    if after and table.kept == "child":
        partition, _, row = after.partition(" ")
        same = f"PartitionKey eq {literal(partition)} and RowKey gt {literal(row)}"
        conditions.append(f"(PartitionKey gt {literal(partition)} or ({same}))")
    elif after:
        conditions.append(f"{_key_name(table)} gt {literal(after)}")
    for condition in pushed:
        if condition.column.name == _keyed_column(table):
            conditions.append(f"{_key_name(table)} eq {literal(str(condition.value))}")
        else:
            conditions.append(f"{condition.column.name} {condition.operator} {_literal(condition.value)}")
    text = " and ".join(filter(None, conditions))
    if table.kept == "record":
        return records.query(organization, table.logical, text)
    return organization.tables.query(organization.emails, text)


async def get(organization: Organization, table: Table, id: str) -> Entity | None:
    """Return one row by its id, or None."""
    if table.kept == "organization":
        return organization_row(await latest(organization)) if id == organization.id else None
    if table.kept == "record":
        return await records.get(organization, table.logical, id)
    if table.kept == "email":
        return await emails.get_email(organization, id)
    if table.logical == "activitymimeattachment":
        found = await records.get(organization, table.logical, id)
        if found is None:
            return None
        return await organization.tables.get(organization.emails, found["email"], f"{table.prefix}{id}")
    condition = f"{_key_range(table)} and {table.id} eq {literal(id)}"
    async for page in organization.tables.query(organization.emails, condition):
        if page:
            return page[0]
    return None


async def latest(organization: Organization) -> Organization:
    """Return the organization as it is now: the request may have changed it itself."""
    return await find_organization(organization.name) or organization


def organization_row(organization: Organization) -> dict[str, Any]:
    """Return the organization as a row; its settings are its columns."""
    return {
        **{
            name: value
            for name, value in organization.settings.items()
            if isinstance(value, str | int | bool) and name not in telling.SETTINGS
        },
        **telling.columns(organization.settings),
        cors.COLUMN: "\n".join(organization.settings[cors.SETTING]),
        "ee_cardkindsoff": ";".join(organization.settings["card_kinds_off"]) or None,
        "ee_retentiondays": organization.settings["ee_retentiondays"] or None,
        "organizationid": organization.id,
        "name": organization.name,
    }


async def _organization(organization: Organization) -> AsyncIterator[Page]:
    yield [organization_row(await latest(organization))]


def _key_range(table: Table) -> str:
    if table.kept == "email":
        return f"RowKey eq {literal(emails.EMAIL)}"
    if table.kept == "child":
        # The character after ":" ends the range.
        return f"RowKey ge {literal(table.prefix)} and RowKey lt {literal(table.prefix[:-1] + ';')}"
    return ""


def _keyed_column(table: Table) -> str:
    """Return the column whose value is the row's or the partition's key."""
    return table.parent if table.kept == "child" else table.id


def _key_name(table: Table) -> str:
    return "RowKey" if table.kept == "record" else "PartitionKey"


def _literal(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -(2**31) <= value < 2**31 else f"{value}L"
    return literal(value)
