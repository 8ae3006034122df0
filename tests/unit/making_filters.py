"""Random filters over email: what they mean, by a plain evaluation of their own, and how clients may write them.

A filter is a tree of the dataclasses below. `means` evaluates it straight from the definition of each kind; `Writer`
renders it in one of its many spellings, which `drawn` chooses.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

from hypothesis import strategies as st

type Row = Mapping[str, Any]

IDS = tuple(f"0b1d0b6e-0000-4000-8000-00000000000{digit}" for digit in "ab")
ME = IDS[0]
NOW = datetime(2026, 11, 23, 13, 45, 30, tzinfo=UTC)
PARTIES = "email_activity_parties"
CONTACT = "regardingobjectid_contact_email"
CRM = "Microsoft.Dynamics.CRM."

NUMBERS = ("opencount", "statuscode", "participationtypemask")
TEXTS = ("subject", "category", "fullname", "addressused")
TIMES = ("createdon", "senton")
FLAGS = ("isemailfollowed", "followemail")
LOOKUPS = ("ownerid", "regardingobjectid", "partyid", "parentcustomerid", "contactid", "systemuserid")
KEYS = ("contactid", "systemuserid", "activityid")

OWN = ("opencount", "statuscode", "subject", "category", "createdon", "senton", "isemailfollowed", "ownerid",
       "regardingobjectid")  # fmt: skip
OF_CONTACT = ("fullname", "followemail", "createdon", "ownerid", "contactid")
OF_OWNER = ("fullname", "createdon", "systemuserid")
OF_PARTY = ("participationtypemask", "addressused", "partyid")


@dataclass(frozen=True)
class Path:
    """A column: of the row, or of the row that a navigation leads to."""

    name: str
    navigation: str = ""

    def read(self, row: Row) -> Any:
        if not self.navigation:
            return row[self.name]
        related = row[f"{self.navigation}_row"]
        return None if related is None else related[self.name]


@dataclass(frozen=True)
class Compare:
    path: Path
    operator: str
    value: Any


@dataclass(frozen=True)
class CompareColumns:
    path: Path
    operator: str
    other: Path


@dataclass(frozen=True)
class OneOf:
    path: Path
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Like:
    function: str
    path: Path
    text: str


@dataclass(frozen=True)
class Flag:
    path: Path


@dataclass(frozen=True)
class Function:
    """A query function of Dataverse's."""

    name: str
    path: Path
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Not:
    part: Any


@dataclass(frozen=True)
class Every:
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Either:
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Collection:
    quantifier: str
    body: Any = None


def means(node: Any, row: Row) -> bool:
    """Return whether a row is kept."""
    match node:
        case Compare(path, operator, value):
            return _compared(operator, path.read(row), value)
        case CompareColumns(path, operator, other):
            return _compared(operator, path.read(row), other.read(row))
        case OneOf(path, values):
            return any(_compared("eq", path.read(row), value) for value in values)
        case Like(function, path, text):
            return _is_like(function, path.read(row), text)
        case Flag(path):
            return path.read(row) is True
        case Function(name, path, values):
            return _holds(name, path.read(row), values)
        case Not(part):
            return not means(part, row)
        case Every(parts):
            return all(means(part, row) for part in parts)
        case Either(parts):
            return any(means(part, row) for part in parts)
        case Collection("any", None):
            return len(row[PARTIES]) > 0
        case Collection("any", body):
            return any(means(body, party) for party in row[PARTIES])
        case Collection("all", body):
            return all(means(body, party) for party in row[PARTIES])
    raise AssertionError(node)


def _compared(operator: str, one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        one, other = one.lower(), other.lower()
    if operator in ("eq", "ne"):
        return (one == other) is (operator == "eq")
    if one is None or other is None:
        return False
    return bool({"lt": one < other, "le": one <= other, "gt": one > other, "ge": one >= other}[operator])


def _is_like(function: str, value: str | None, text: str) -> bool:
    expression = "".join({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in text.lower())
    expression = {"contains": f".*{expression}.*", "startswith": f"{expression}.*", "endswith": f".*{expression}"}[
        function
    ]
    return value is not None and re.fullmatch(expression, value.lower(), re.DOTALL) is not None


def _holds(name: str, value: Any, given: tuple[Any, ...]) -> bool:
    if name.startswith("Not"):
        return not _holds({"NotEqualUserId": "EqualUserId"}.get(name, name[3:]), value, given)
    if value is None:
        return False
    if name == "EqualUserId":
        return bool(value == ME)
    if name == "In":
        return any(_compared("eq", value, item) for item in given)
    if name == "Between":
        return bool(given[0] <= value <= given[1])
    moment, day = _moment(value), timedelta(days=1)
    today = NOW.replace(hour=0, minute=0, second=0)
    date, this_day = moment.date(), today.date()
    if name in ("On", "OnOrAfter", "OnOrBefore"):
        wanted = _moment(given[0]).date()
        return {"On": date == wanted, "OnOrAfter": date >= wanted, "OnOrBefore": date <= wanted}[name]
    if name in ("Yesterday", "Today", "Tomorrow"):
        return (date - this_day).days == {"Yesterday": -1, "Today": 0, "Tomorrow": 1}[name]
    if name == "ThisWeek":
        sunday = datetime(2026, 11, 22, tzinfo=UTC)
        return sunday <= moment < sunday + 7 * day
    if name in ("LastMonth", "ThisMonth"):
        return (date.year, date.month) == (2026, 11 if name == "ThisMonth" else 10)
    if name == "LastXHours":
        return bool(NOW.replace(minute=0, second=0) - timedelta(hours=given[0]) <= moment <= NOW)
    if name == "LastXDays":
        return bool(today - given[0] * day <= moment <= NOW)
    if name == "NextXDays":
        return bool(moment >= NOW and (date - this_day).days <= given[0])
    if name == "OlderThanXDays":
        return bool(moment < today - given[0] * day)
    raise AssertionError(name)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# Values. The same few come back, so that comparisons meet.

LETTERS = "aAbÉé'%_ "
VALUES: Mapping[str, tuple[int, ...]] = {
    "opencount": (0, 1, 2, 3),
    "statuscode": (1, 3, 6),
    "participationtypemask": (1, 2, 3),
}
MOMENTS = (
    "2026-10-31T23:59:59Z", "2026-11-21T23:59:59Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z",
    "2026-11-23T12:00:00Z", "2026-11-23T13:45:30Z", "2026-11-23T13:45:31Z", "2026-11-24T00:00:00Z",
    "2026-11-25T23:59:59Z",
)  # fmt: skip
WORDS = st.text(LETTERS, max_size=3)
OPERATORS = st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])


def values_of(name: str) -> st.SearchStrategy[Any]:
    """Return what a column may hold."""
    if name in TEXTS:
        return WORDS
    if name in FLAGS:
        return st.booleans()
    return st.sampled_from(VALUES.get(name, MOMENTS if name in TIMES else IDS))


def paths(places: tuple[Path, ...], names: tuple[str, ...]) -> st.SearchStrategy[Path]:
    """Return those of `places` whose column is one of `names`; nothing where there is none."""
    found = [path for path in places if path.name in names]
    return st.sampled_from(found) if found else st.nothing()


def conditions(places: tuple[Path, ...]) -> st.SearchStrategy[Any]:
    """Return filters of one condition on one of the columns in `places`."""
    every = st.sampled_from(places)
    numbers, texts, times = (paths(places, names) for names in (NUMBERS, TEXTS, TIMES))
    either = st.sampled_from(["eq", "ne"])

    def compared(path: Path) -> st.SearchStrategy[Any]:
        operators = OPERATORS if path.name in NUMBERS + TEXTS + TIMES else either
        return st.builds(Compare, st.just(path), operators, values_of(path.name))

    def listed(path: Path) -> st.SearchStrategy[Any]:
        values = st.lists(values_of(path.name), min_size=1, max_size=3).map(tuple)
        functions = st.builds(Function, st.sampled_from(["In", "NotIn"]), st.just(path), values)
        return st.builds(OneOf, st.just(path), values) | functions

    named = st.sampled_from(["Yesterday", "Today", "Tomorrow", "ThisWeek", "LastMonth", "ThisMonth"])
    counted = st.sampled_from(["LastXHours", "LastXDays", "NextXDays", "OlderThanXDays"])
    return st.one_of(
        every.flatmap(compared),
        every.flatmap(listed),
        st.builds(Compare, every, either, st.none()),
        st.builds(Like, st.sampled_from(["contains", "startswith", "endswith"]), texts, WORDS),
        st.builds(Flag, paths(places, FLAGS)),
        *(st.builds(CompareColumns, same, OPERATORS, same) for same in (texts, times)),
        st.builds(
            Function,
            st.sampled_from(["Between", "NotBetween"]),
            numbers,
            st.tuples(st.integers(0, 3), st.integers(0, 3)),
        ),
        st.builds(Function, st.sampled_from(["EqualUserId", "NotEqualUserId"]), paths(places, LOOKUPS)),
        st.builds(Function, named, times),
        st.builds(Function, counted, times, st.tuples(st.integers(1, 3))),
        st.builds(
            Function, st.sampled_from(["On", "OnOrAfter", "OnOrBefore"]), times, st.tuples(st.sampled_from(MOMENTS))
        ),
    )


def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(Every, several) | st.builds(Either, several) | st.builds(Not, inner)


BODIES = st.recursive(conditions(tuple(Path(name) for name in OF_PARTY)), combined, max_leaves=4)
COLLECTIONS = st.builds(Collection, st.sampled_from(["any", "all"]), BODIES) | st.just(Collection("any"))
PLAIN = conditions(tuple(Path(name) for name in OWN))
RELATED = conditions(
    (*(Path(name, CONTACT) for name in OF_CONTACT), *(Path(name, "ownerid") for name in OF_OWNER), Path("subject"))
)
FILTERS = st.recursive(PLAIN | PLAIN | RELATED | COLLECTIONS, combined, max_leaves=6)
"""Filters over emails."""

_KEY_PATHS = st.sampled_from([Path("contactid", CONTACT), Path("systemuserid", "ownerid")])
_KEYS = st.builds(Compare, _KEY_PATHS, st.just("eq"), st.sampled_from(IDS))
_PARTY_CONDITIONS = conditions(tuple(Path(name) for name in OF_PARTY))
_BODIES = _PARTY_CONDITIONS | st.builds(Every, st.tuples(_PARTY_CONDITIONS, _PARTY_CONDITIONS))
_TERMS = st.one_of(PLAIN, PLAIN, _KEYS, st.builds(Collection, st.sampled_from(["any", "any", "all"]), _BODIES), FILTERS)
CHAINS = _TERMS | st.builds(Every, st.lists(_TERMS, min_size=2, max_size=3).map(tuple))
"""Filters that are a chain of and at the top, which is what readers of storage can use."""


_NAVIGATIONS = (
    (CONTACT, "regardingobjectid", "contactid", OF_CONTACT),
    ("ownerid", "ownerid", "systemuserid", OF_OWNER),
)


def make_email(chance: Random) -> dict[str, Any]:
    """Return an email as it is stored: a column that is null is missing, and times may be finer than they are read. The
    rows that belong to it come along as they are read, those of navigations as ``ownerid_row``."""
    row = {name: _value(chance, name) for name in OWN if chance.random() < 0.7}
    for name in TIMES:
        if name in row and chance.random() < 0.5:
            row[name] = row[name].replace("Z", ".5Z")
    row["regardingobjectid_type"] = chance.choice(["contact", "account"]) if "regardingobjectid" in row else None
    for navigation, lookup, key, names in _NAVIGATIONS:
        points = navigation == lookup or row["regardingobjectid_type"] == "contact"
        related = {name: _value(chance, name) if chance.random() < 0.7 else None for name in names}
        row[f"{navigation}_row"] = related | {key: row[lookup]} if points and lookup in row else None
    row[PARTIES] = [
        {name: _value(chance, name) for name in OF_PARTY if chance.random() < 0.7}
        for _ in range(chance.choice([0, 1, 1, 2]))
    ]
    return row


def _value(chance: Random, name: str) -> Any:
    if name in TEXTS:
        return "".join(chance.choices(LETTERS, k=chance.randrange(4)))
    if name in FLAGS:
        return chance.random() < 0.5
    return chance.choice(VALUES.get(name, MOMENTS if name in TIMES else IDS))


@dataclass
class Writer:
    """Writes a filter; `choose` picks one of several spellings, `aliases` are those that it used."""

    choose: Callable[[Sequence[Any]], Any]
    variable: str = ""
    aliases: dict[str, str] = field(default_factory=dict)

    def write(self, node: Any) -> str:
        match node:
            case Compare(path, operator, value):
                return self._comparison(path, operator, value)
            case CompareColumns(path, operator, other):
                return f"{self._path(path)} {operator} {self._path(other)}"
            case OneOf(path, values):
                listed = ",".join(self._value(path, value) for value in values)
                return f"{self._path(path)} {self.choose(['in', 'IN'])} {self.choose([f'({listed})', f'( {listed} )'])}"
            case Like(function, path, text):
                tested = self._path(path) if self.choose([True, False]) else f"tolower({self._path(path)})"
                call = f"{function}({tested},{self.choose(['', ' '])}{self._value(path, text)})"
                return str(self.choose([call, f"{call} eq true"]))
            case Flag(path):
                return self._path(path)
            case Function():
                return self._function(node)
            case Not(part):
                return f"{self.choose(['not ', 'NOT ', 'not'])}({self.write(part)})"
            case Every(parts):
                return f"({str(self.choose([' and ', ' AND ', '  and '])).join(self.write(part) for part in parts)})"
            case Either(parts):
                return f"({str(self.choose([' or ', ' OR '])).join(self.write(part) for part in parts)})"
            case Collection(quantifier, None):
                return f"{PARTIES}/{quantifier}()"
            case Collection(quantifier, body):
                inner = Writer(self.choose, self.choose(["p", "x", "party"]), self.aliases)
                return f"{PARTIES}/{quantifier}({inner.variable}:{self.choose(['', ' '])}{inner.write(body)})"
        raise AssertionError(node)

    def _comparison(self, path: Path, operator: str, value: Any) -> str:
        mirrored = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}.get(operator, operator)
        written = self._value(path, value)
        if self.choose([True, False, False]):
            self.aliases[f"@p{len(self.aliases)}"] = written
            written = f"@p{len(self.aliases) - 1}"
        return str(
            self.choose([f"{self._path(path)} {operator} {written}", f"{written} {mirrored} {self._path(path)}"])
        )

    def _path(self, path: Path) -> str:
        name = path.name
        if name in LOOKUPS and name not in KEYS:
            name = self.choose([name, f"_{name}_value"])
        return "/".join(filter(None, (self.variable or path.navigation, name)))

    def _value(self, path: Path, value: Any) -> str:
        if value is None:
            return str(self.choose(["null", "NULL"]))
        if isinstance(value, bool):
            return str(self.choose([str(value).lower(), str(value)]))
        if path.name in TIMES:
            return self._time(value)
        if path.name in LOOKUPS:
            return str(self.choose([value, value.upper(), f"'{value}'", f"guid'{value}'", f"{{{value}}}"]))
        return str(value) if path.name in NUMBERS else "'" + value.replace("'", "''") + "'"

    def _time(self, value: str) -> str:
        moment = _moment(value)
        away = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
        spellings = [value, f"'{value}'", value.replace("Z", "+00:00"), value.replace("Z", ""), away.isoformat()]
        return str(self.choose(spellings + [value[:10]] * value.endswith("T00:00:00Z")))

    def _function(self, node: Function) -> str:
        parameters = {"PropertyName": f"'{self._path(node.path)}'"}
        if node.name.endswith(("In", "Between")):
            items = [self._item(node.path, value) for value in node.values]
            parameters["PropertyValues"] = f"[{','.join(items)}]"
        elif node.name.startswith("On"):
            parameters["PropertyValue"] = (
                self._time(node.values[0]) if self.choose([True, False]) else f"'{node.values[0]}'"
            )
        elif node.values:
            parameters["PropertyValue"] = self.choose([str(node.values[0]), f"'{node.values[0]}'"])
        if self.choose([True, False]):
            for name in parameters:
                self.aliases[f"@p{len(self.aliases)}"] = parameters[name]
                parameters[name] = f"@p{len(self.aliases) - 1}"
        equals = self.choose(["=", " = "])
        return f"{CRM}{node.name}({','.join(f'{name}{equals}{value}' for name, value in parameters.items())})"

    def _item(self, path: Path, value: Any) -> str:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        quoted = "'" + text.replace("'", "''") + "'"
        bare = [text] if isinstance(value, int) else []
        return str(self.choose([quoted, '"' + text + '"', *bare]))
