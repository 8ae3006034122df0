"""Values on the wire and as they are stored: checking what a client sends, and writing what is answered."""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.services.versions import version_of
from shared.webapi.errors import Failure, bad_payload, invalid
from shared.webapi.schema import CHOICES, GUIDS, NUMBERS, TEXTS, Column, Table, Type

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?", re.IGNORECASE)
_GUID = re.compile(r"\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?", re.IGNORECASE)

type Stored = str | int | bool | None


def parse_guid(value: str) -> str | None:
    """Return a guid (braces and any case allowed) as it is stored, lower-case and hyphenated, or None.

    >>> parse_guid("{0B1D0B6E-0000-4000-8000-000000000001}")
    '0b1d0b6e-0000-4000-8000-000000000001'
    """
    match = _GUID.fullmatch(value)
    return str(uuid.UUID(match[1])) if match else None


def format_time(moment: datetime) -> str:
    """Return a moment as Dataverse writes it: UTC, to the second, because clients revive nothing else as a date.

    >>> format_time(datetime(2026, 11, 23, 18, 35, 0, 900000, UTC))
    '2026-11-23T18:35:00Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(value: str) -> datetime | None:
    """Return the moment that an ISO 8601 date or date-time names (UTC where it names no zone), or None."""
    if not _DATE.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value.upper())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    # Years that strftime would not pad, and that no calendar of a sales team holds (Dataverse: from 1753).
    return moment if moment.year >= 1753 else None


def to_stored(table: Table, column: Column, value: object) -> Stored:
    """Return a JSON value as it is stored; "" and None are both null, as in Dataverse.

    Raises `Failure` naming the column: 400 0x80048d19 for another type, 0x80044331 for too much text, 0x80040203 for a
    value outside the column's range.
    """
    if value is None or value == "":
        if column.required:
            raise invalid(f"The column '{column.name}' of '{table.logical}' is required and cannot be null.")
        return None
    if column.type in TEXTS:
        return _text(table, column, value)
    if column.type is Type.BOOLEAN:
        if not isinstance(value, bool):
            raise _wrong_type(column, value, "Edm.Boolean: true or false")
        return value
    if column.type in NUMBERS:
        return _number(table, column, value)
    if column.type is Type.DATETIME:
        moment = parse_time(value) if isinstance(value, str) else None
        if moment is None:
            raise _wrong_type(column, value, "Edm.DateTimeOffset, such as 2026-11-23T17:35:00Z")
        return format_time(moment)
    found = parse_guid(value) if isinstance(value, str) else None
    if found is None:
        raise _wrong_type(column, value, "Edm.Guid")
    return found


def _text(table: Table, column: Column, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong_type(column, value, "Edm.String")
    if _units(value, column.length) > column.length:
        raise Failure(
            400,
            "0x80044331",
            f"A validation error occurred.  The length of the '{column.name}' attribute of the '{table.logical}' "
            f"entity exceeded the maximum allowed length of '{column.length}'.",
        )
    if column.lazy:
        return value
    if _CONTROL.search(value):
        raise Failure(
            400, "0x80040278", f"Invalid character in field '{column.name}': control characters are not allowed."
        )
    _demand_rule(table, column, value)
    # A lone surrogate (half of an emoji that somebody cut) cannot be stored as UTF-8.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _demand_rule(table: Table, column: Column, value: str | int) -> None:
    wrong = column.rule(value) if column.rule else ""
    if wrong:
        raise invalid(f"The column '{column.name}' of '{table.logical}' cannot have this value: {wrong}.")


def _units(value: str, limit: int) -> int:
    """Return how long a text is in UTF-16 code units, which Dataverse counts; exact where it may be beyond `limit`."""
    if not len(value) <= limit < 2 * len(value):
        return len(value)
    return len(value.encode("utf-16-le", "surrogatepass")) // 2


def _number(table: Table, column: Column, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise _wrong_type(column, value, "Edm.Int32")
    number = int(value)
    if column.type in CHOICES and number not in column.options:
        known = ", ".join(f"{option} ({label})" for option, label in column.options.items())
        raise invalid(
            f"A validation error occurred. The value '{number}' of '{column.name}' on record of type '{table.logical}' "
            f"is outside the valid range. Accepted values: {known}."
        )
    if not column.low <= number <= column.high:
        raise invalid(
            f"A validation error occurred. The value '{number}' of '{column.name}' on record of type '{table.logical}' "
            f"is outside the valid range of {column.low} to {column.high}."
        )
    _demand_rule(table, column, number)
    return number


def _wrong_type(column: Column, value: object, wanted: str) -> Failure:
    shown = value if isinstance(value, bool | int | float) else type(value).__name__
    if isinstance(value, str):
        shown = f"'{value[:40].encode('ascii', 'backslashreplace').decode()}'"
    return bad_payload(f"Cannot convert the value {shown} of '{column.wire}' to the expected type {wanted}.")


def from_stored(table: Table, entity: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored row by logical name, all columns present but lazy ones: defaults applied, "" as None.

    Its id and its parent come from the keys; ``etag``, each lookup's ``_type`` and the names of the blobs that hold
    lazy columns come along.
    """
    row: dict[str, Any] = {}
    for name, default, is_time, is_typed in table.plan:
        value = entity.get(name)
        if value is None or value == "":
            value = default
        elif is_time:
            value = _to_seconds(value)
        row[name] = value
        if is_typed and value is not None:
            row[f"{name}_type"] = entity.get(f"{name}_type") or None
    if table.kept == "record":
        row[table.id] = entity["RowKey"]
    elif table.kept == "email":
        row[table.id] = entity["PartitionKey"]
    elif table.parent:
        row[table.parent] = entity["PartitionKey"]
    row["etag"] = entity.get("etag", "")
    row["versionnumber"] = version_of(row["etag"])
    for column in table.lazy_columns:
        row[column.lazy] = entity.get(column.lazy) or ""
    return row


def _to_seconds(value: str) -> str:
    return value if len(value) == 20 else f"{value[:19]}Z"


def target_of(column: Column, row: Mapping[str, Any]) -> str:
    """Return the table that a row's lookup points at, "" where that is not known."""
    targets = column.targets
    return targets[0] if len(targets) == 1 else str(row.get(f"{column.name}_type") or "")


def formatted(column: Column, value: Any) -> str | None:
    """Return a value as a person would read it (en-US, as a Dataverse organization in English has it), or None where it
    reads as it is. A lookup's is the name of what it points at, which the caller knows.

    >>> formatted(Column("senton", Type.DATETIME), "2026-11-23T17:35:00Z")
    '11/23/2026 5:35 PM'
    """
    if value is None:
        return None
    if column.type in CHOICES or column.type is Type.BOOLEAN:
        return column.options.get(int(value))
    if column.type in (Type.INTEGER, Type.BIGINT):
        return f"{value:,}"
    if column.type is Type.DATETIME:
        moment = parse_time(value)
        if moment is None:
            return None
        hour, half = moment.hour % 12 or 12, "PM" if moment.hour >= 12 else "AM"
        return f"{moment.month}/{moment.day}/{moment.year} {hour}:{moment.minute:02} {half}"
    return None


def sortable(column: Column, value: Any) -> str | int | None:
    """Return a stored value in the form that orders and compares it: text without regard to case."""
    if value is None:
        return None
    if column.type in TEXTS:
        return str(value).casefold()
    if column.type in GUIDS:
        return str(value)
    return int(value) if isinstance(value, bool) else value
