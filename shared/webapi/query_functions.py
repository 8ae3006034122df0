"""Dataverse's query functions (``Microsoft.Dynamics.CRM.LastXDays(PropertyName='createdon',PropertyValue=7)``) as the
plain comparisons that they stand for.

Which there are and what they take is Microsoft's "Web API Query Function Reference"; what they mean, its
``ConditionOperator`` enumeration and "FetchXML condition operators". Where these leave the bounds open (does *last 2
days* begin at midnight?) the ranges are those measured in "FetchXML Date Filtering" (markcarrington.dev, 2020): *last
X* begins X whole periods before the start of today (for hours, of this hour) and ends now, *next X* begins now and ends
X whole periods after the end of today (of this hour), *older than X* is what lies before *last X*. Weeks begin on
Sunday. Days are those of UTC.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from odata_query import ast

from shared.webapi.errors import Failure, bad_query
from shared.webapi.schema import GUIDS, NUMBERS, Column, Type
from shared.webapi.values import format_time, parse_time

NAMESPACE = "Microsoft.Dynamics.CRM."

type Range = tuple[datetime | None, datetime | None]

_MAX_PATH = 260
"""Characters of a path of two names."""
_DAY = timedelta(days=1)
_EARLIEST = 1753
"""Dataverse's first year."""
_STEPS: Mapping[str, timedelta] = {
    "Minutes": timedelta(minutes=1),
    "Hours": timedelta(hours=1),
    "Days": _DAY,
    "Weeks": 7 * _DAY,
}
_MONTHS: Mapping[str, int] = {"Months": 1, "Years": 12}
_RELATIVE = re.compile(
    r"(?:(Last|Next)X(Hours|Days|Weeks|Months|Years))|(?:(OlderThan)X(Minutes|Hours|Days|Weeks|Months|Years))"
)
_ON = frozenset({"On", "OnOrAfter", "OnOrBefore"})
_SETS = frozenset({"In", "NotIn", "Between", "NotBetween"})
_USERS = frozenset({"EqualUserId", "NotEqualUserId"})
_NAMED = frozenset({
    "Yesterday", "Today", "Tomorrow", "Last7Days", "Next7Days", "LastWeek", "ThisWeek", "NextWeek",
    "LastMonth", "ThisMonth", "NextMonth", "LastYear", "ThisYear", "NextYear",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, by the id of their user, and when: what *my* and *today* mean. None where that is not known."""

    now: datetime | None = None
    user: str | None = None


NOBODY = Asker()


def as_comparison(call: ast.Call, column_of: Callable[[Any], Column], asker: Asker) -> Any:
    """Return the comparison that a query function stands for; `column_of` is asked for the column at a path.

    What a function that begins with Not keeps is exactly what the one without it drops, rows with null included, as
    with ``ne``. Raises `Failure` 400 naming the function that is not known, or the parameter that it cannot take.
    """
    name = ".".join((*call.func.namespace, call.func.name)).removeprefix(NAMESPACE)
    wanted = _parameters(name)
    if wanted is None:
        raise bad_query(f"The function '{NAMESPACE}{name}' is not supported in $filter.")
    given = {node.name.name: node.param for node in call.args if isinstance(node, ast.NamedParam)}
    if set(given) != wanted or len(given) != len(call.args) or not isinstance(given["PropertyName"], ast.String):
        raise bad_query(f"The function '{name}' takes {' and '.join(sorted(wanted))}, the first of them a text.")
    path = _path(given["PropertyName"].val.strip()[:_MAX_PATH])
    column = column_of(path)
    if name in _USERS:
        return _user(name, path, column, asker)
    if name in _SETS:
        return _set(name, path, column, given["PropertyValues"])
    if name == "Contains":
        return ast.Call(ast.Identifier("contains"), [path, given["PropertyValue"]])
    if column.type is not Type.DATETIME:
        raise bad_query(f"The function '{name}' needs a column of dates, not '{column.wire}', which is {column.type}.")
    try:
        return _within(path, _range(name, given.get("PropertyValue"), asker))
    except (OverflowError, ValueError):
        raise bad_query(f"The function '{name}' reaches beyond the calendar, {_EARLIEST} to 9999.") from None


def _parameters(name: str) -> set[str] | None:
    if name in _NAMED or name in _USERS:
        return {"PropertyName"}
    if name in _SETS:
        return {"PropertyName", "PropertyValues"}
    if name in _ON or name == "Contains" or _RELATIVE.fullmatch(name):
        return {"PropertyName", "PropertyValue"}
    return None


def _path(text: str) -> Any:
    *owners, name = text.split("/")
    if len(owners) > 1:
        raise bad_query(f"The path '{text}' in $filter has more than one step.")
    return ast.Attribute(ast.Identifier(owners[0]), name) if owners else ast.Identifier(name)


def _user(name: str, path: Any, column: Column, asker: Asker) -> Any:
    if column.type not in GUIDS:
        raise bad_query(f"The function '{name}' needs a column of ids, not '{column.wire}', which is {column.type}.")
    if asker.user is None:
        raise bad_query(f"The function '{name}' cannot be used here.")
    return ast.Compare(ast.Eq() if name == "EqualUserId" else ast.NotEq(), path, ast.GUID(asker.user))


def _set(name: str, path: Any, column: Column, values: Any) -> Any:
    if not isinstance(values, ast.List):
        raise bad_query(f"PropertyValues of the function '{name}' must be a list, such as ['1','2'].")
    if any(isinstance(node, ast.Null) for node in values.val):
        raise bad_query(f"PropertyValues of the function '{name}' cannot hold null; compare '{column.wire}' eq null.")
    literals = [_typed(node, column) for node in values.val]
    if name.endswith("In"):
        inside: Any = ast.Compare(ast.In(), path, ast.List(literals))
    elif len(literals) == 2:
        low, high = literals
        inside = ast.BoolOp(ast.And(), ast.Compare(ast.GtE(), path, low), ast.Compare(ast.LtE(), path, high))
    else:
        raise bad_query(f"PropertyValues of the function '{name}' must be two values, such as ['1','5'].")
    return ast.UnaryOp(ast.Not(), inside) if name.startswith("Not") else inside


def _typed(node: Any, column: Column) -> Any:
    """Return a parameter, which query functions declare as text, as the literal that `column` is compared with."""
    text = node.val.strip() if isinstance(node, ast.String) else ""
    if column.type in NUMBERS and re.fullmatch(r"[+-]?[0-9]+", text):
        return ast.Integer(text)
    if column.type is Type.BOOLEAN and text.lower() in ("true", "false", "1", "0"):
        return ast.Boolean("true" if text.lower() in ("true", "1") else "false")
    return node


def _within(path: Any, bounds: Range) -> Any:
    start, end = bounds
    sides = [
        ast.Compare(comparator, path, ast.DateTime(format_time(moment)))
        for comparator, moment in ((ast.GtE(), start), (ast.Lt(), end))
        if moment is not None
    ]
    if any(moment is not None and moment.year < _EARLIEST for moment in bounds):
        raise ValueError
    return sides[0] if len(sides) == 1 else ast.BoolOp(ast.And(), *sides)


def _range(name: str, value: Any, asker: Asker) -> Range:
    if name in _ON:
        moment = parse_time(value.val) if isinstance(value, ast.Date | ast.DateTime | ast.String) else None
        if moment is None:
            raise _refused(name, value, "a date, such as 2026-11-23")
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return (None if name == "OnOrBefore" else day), (None if name == "OnOrAfter" else day + _DAY)
    if asker.now is None:
        raise bad_query(f"The function '{name}' cannot be used here.")
    now = asker.now.astimezone(UTC).replace(microsecond=0)
    if name in _NAMED:
        return named_range(name, now)
    text = value.val.strip() if isinstance(value, ast.Integer | ast.String) else ""
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise _refused(name, value, "a whole number, 1 or more")
    return relative_range(name, int(text), now)


def _refused(name: str, value: Any, wanted: str) -> Failure:
    shown = str(getattr(value, "val", "null"))[:40]
    return bad_query(f"PropertyValue '{shown}' of the function '{name}' must be {wanted}.")


def named_range(name: str, now: datetime) -> Range:
    """Return from when (inclusive) to when (exclusive) a range without a number goes."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    week = today - _DAY * ((today.weekday() + 1) % 7)
    if name.endswith("7Days"):
        return relative_range(name.replace("7", "X"), 7, now)
    if name in ("Yesterday", "Today", "Tomorrow"):
        day = today + _DAY * ("Yesterday", "Today", "Tomorrow").index(name) - _DAY
        return day, day + _DAY
    offset = {"Last": -1, "This": 0, "Next": 1}[name[:4]]
    if name.endswith("Week"):
        return week + 7 * _DAY * offset, week + 7 * _DAY * (offset + 1)
    first = today.replace(day=1) if name.endswith("Month") else today.replace(month=1, day=1)
    length = 1 if name.endswith("Month") else 12
    return _shift(first, length * offset), _shift(first, length * (offset + 1))


def relative_range(name: str, count: int, now: datetime) -> Range:
    """Return from when (inclusive) to when (exclusive) ``LastXDays`` and its kin go with an X of `count`.

    >>> start, end = relative_range("LastXDays", 2, datetime(2026, 11, 23, 13, 0, 0, tzinfo=UTC))
    >>> format_time(start), format_time(end)
    ('2026-11-21T00:00:00Z', '2026-11-23T13:00:01Z')
    """
    kind, _, unit = name.partition("X")
    smallest = _STEPS[unit] if unit in ("Minutes", "Hours") else _DAY
    begun = now.replace(second=0, microsecond=0, minute=now.minute if unit == "Minutes" else 0)
    if smallest == _DAY:
        begun = begun.replace(hour=0)

    def moved(by: int) -> datetime:
        return begun + _STEPS[unit] * by if unit in _STEPS else _shift(begun, _MONTHS[unit] * by)

    if kind == "Next":
        return now, moved(count) + smallest
    # Times are kept to the second: the one that is passing now belongs to the past.
    return (moved(-count), now + timedelta(seconds=1)) if kind == "Last" else (None, moved(-count))


def _shift(moment: datetime, months: int) -> datetime:
    """Return a moment some months on, on the month's last day where it has no such day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not _EARLIEST <= year <= 9999:
        raise OverflowError
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
