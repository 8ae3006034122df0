"""Writes docs/tables.md, the reference of the Web API's tables, from the schema: `python -m local.reference`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from shared.webapi.operations import COMPLEX_TYPES, OPERATIONS, SET, Operation
from shared.webapi.schema import TEXTS, Column, Table, Type
from shared.webapi.tables import TABLES

PAGE = Path(__file__).parent.parent / "docs" / "tables.md"

_SOURCES = {
    "dataverse": "https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/",
    "sales": "https://learn.microsoft.com/dynamics365/developer/reference/entities/",
}
_HEAD = """\
# Tables and columns

<!-- Written by `make docs` from shared/webapi/tables: change it there. -->

Names, types, lengths and option values are Dataverse's, as the page of Microsoft's table reference has them that each
table names. Columns that begin with `ee_` are this service's own; those marked *Sales* are documented with Dynamics 365
Sales.

**Written by**: *owner* is whoever may change the row (its owner, managers, administrators); *service* is nobody from
outside: such a column is ignored on create and refused on update; *user* is the user whose row it is, and
administrators. *Once*: on create only. *Required*: cannot be null, and must be given on create where there is no
default. Times are UTC, to the second; lengths count UTF-16 code units. A lookup is read as `_name_value` and set
by one of the names in its type, as in `"regardingobjectid_contact@odata.bind"`.
"""


def page() -> str:
    """Return the page, Markdown."""
    contents = " · ".join(f"[{name}](#{name})" for name in TABLES)
    tables = "\n".join(line for table in TABLES.values() for line in _table(table))
    operations = "\n".join(_operation(operation) for operation in OPERATIONS.values())
    types = "\n".join(f"| `{name}` | {_typed(properties)} |" for name, properties in COMPLEX_TYPES.items())
    return f"""{_HEAD}
{contents} · [functions and actions](#functions-and-actions)

{tables}
## functions and actions

A type with `?` may be null or left out; `Collection(self)` are rows of the set's table.

| name | called on | parameters | returns |
|---|---|---|---|
{operations}

| type of a result | properties |
|---|---|
{types}
"""


def _table(table: Table) -> Iterator[str]:
    yield f"## {table.logical}\n"
    name = f", name `{table.name}`" if table.name else ""
    keys = "".join(f", alternate key `{', '.join(key.columns)}`" for key in table.keys)
    documented = f"[{table.label or table.logical}]({_SOURCES[table.source]}{table.logical})"
    yield f"{table.about} Set `{table.set}`, key `{table.id}`{name}{keys}. {_rights(table)} Documented: {documented}.\n"
    yield "| column | type | written by | default | what |\n|---|---|---|---|---|"
    yield from (_row(table, column) for column in table.columns)
    if table.collections:
        listed = (f"`{name}` ({there.table} by `{there.column}`)" for name, there in table.collections.items())
        yield f"\nCollections: {', '.join(listed)}."
    yield ""


def _rights(table: Table) -> str:
    if table.writers == "nobody":
        return "Read only."
    made = "" if table.creatable else ", made by the service"
    return f"Changed by {'administrators' if table.writers == 'administrator' else 'their owner'}{made}."


def _row(table: Table, column: Column) -> str:
    label = f" *{column.display}*" if column.display.lower() != column.name else ""
    source = " (*Sales*)" if table.source_of(column) != table.source and column.source == "sales" else ""
    once = ", once" if column.once or (column.name == table.id and table.writer(column) != "service") else ""
    default = "" if column.default is None else _default(column)
    cells = (
        f"`{column.name}`{label}",
        _type(column) + (", required" if column.required else ""),
        table.writer(column) + once,
        default,
        column.about + source,
    )
    return f"| {' | '.join(cell.replace('|', '\\|') for cell in cells)} |"


def _default(column: Column) -> str:
    if column.options:
        return column.options[int(column.default)]
    return f"`{column.default}`"


def _type(column: Column) -> str:
    kind = column.type.value
    if column.navigations:
        bound = ", ".join(f"`{name}`" for name in column.navigations)
        return f"{kind}: {bound}"
    if column.type is Type.BOOLEAN:
        return f"{kind}: true {column.options[1]}, false {column.options[0]}"
    if column.options:
        return f"{kind}: " + ", ".join(f"{value} {label}" for value, label in column.options.items())
    if column.type in TEXTS:
        return f"{kind} {column.length:,}"
    if column.type is Type.INTEGER and (column.low, column.high) != (0, 2**31 - 1):
        return f"{kind} {column.low:,} to {column.high:,}"
    return kind


def _operation(operation: Operation) -> str:
    called = {"": "the service", SET: "a set"}.get(operation.bound, f"a row of {operation.bound}")
    returns = operation.returned or _typed(operation.returns)
    return f"| `{operation.name}` | {called} | {_typed(operation.parameters)} | {returns or 'nothing'} |"


def _typed(types: Mapping[str, str]) -> str:
    return ", ".join(f"`{name}` {kind}" for name, kind in types.items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
