"""Tables and columns as Dataverse describes them. Written once: validation, serialization, filtering, formatted values
and metadata all read the same description (`shared.webapi.tables` holds it).

Names, types, lengths and option values are Dataverse's (Microsoft's table reference); our own begin with ``ee_``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal


class Type(StrEnum):
    """A column's type; the values are Dataverse's ``AttributeType``."""

    STRING = "String"
    MEMO = "Memo"
    INTEGER = "Integer"
    BIGINT = "BigInt"
    BOOLEAN = "Boolean"
    DATETIME = "DateTime"
    PICKLIST = "Picklist"
    STATE = "State"
    STATUS = "Status"
    LOOKUP = "Lookup"
    OWNER = "Owner"
    GUID = "Uniqueidentifier"
    ENTITY_NAME = "EntityName"


CHOICES = frozenset({Type.PICKLIST, Type.STATE, Type.STATUS})
LOOKUPS = frozenset({Type.LOOKUP, Type.OWNER})
TEXTS = frozenset({Type.STRING, Type.MEMO, Type.ENTITY_NAME})
NUMBERS = frozenset({Type.INTEGER, Type.BIGINT}) | CHOICES
GUIDS = frozenset({Type.GUID}) | LOOKUPS


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `length` counts UTF-16 code units; `options` is label by value; `states` is the state that each status
    belongs to. `navigations` of a lookup is the table by the name that binds to it. A column that is not `writable` is
    ignored on create and refused on update; one that is `once` is set on create only. A `required` one cannot be null
    and must be given on create where it has no default. A `lazy` column is a blob, read only when it is asked for and
    never filtered on. `label` is its display name, `about` describes it in a line, `source` says where it is documented
    where that is not the table's.
    """

    name: str
    type: Type
    length: int = 0
    low: int = -(2**31)
    high: int = 2**31 - 1
    options: Mapping[int, str] = field(default_factory=dict)
    states: Mapping[int, int] = field(default_factory=dict)
    navigations: Mapping[str, str] = field(default_factory=dict)
    default: Any = None
    writable: bool = True
    required: bool = False
    lazy: bool = False
    once: bool = False
    label: str = ""
    about: str = ""
    source: str = ""

    @property
    def wire(self) -> str:
        """The name on the wire: a lookup travels as ``_name_value``."""
        return f"_{self.name}_value" if self.type in LOOKUPS else self.name

    @property
    def targets(self) -> tuple[str, ...]:
        """The tables that a lookup may point at."""
        return tuple(dict.fromkeys(self.navigations.values()))


@dataclass(frozen=True, slots=True)
class Collection:
    """Rows of another table that belong to a row: those whose lookup `column` names it."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Key:
    """An alternate key: columns whose values together name one row, as in ``contacts(ee_externalid='e9')``."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table. `kept` says where its rows are: a record of its own, the email's row, a row under an email (`prefix`
    begins its key, `parent` is the column that names the email), or the organization itself. `writers` may change rows:
    their owner (of rows under an email, the email's), administrators, or nobody."""

    logical: str
    set: str
    id: str
    name: str
    columns: tuple[Column, ...]
    kept: Literal["record", "email", "child", "organization"] = "record"
    prefix: str = ""
    parent: str = ""
    writers: Literal["owner", "administrator", "nobody"] = "owner"
    creatable: bool = True
    collections: Mapping[str, Collection] = field(default_factory=dict)
    keys: tuple[Key, ...] = ()
    label: str = ""
    plural: str = ""
    about: str = ""
    source: str = ""
    order: str = ""
    """The column that rows are sorted by, newest first, where a request does not say; else by id."""

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by logical name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def by_wire(self) -> Mapping[str, Column]:
        """The columns by their name on the wire."""
        return {column.wire: column for column in self.columns}

    @cached_property
    def plan(self) -> tuple[tuple[str, Any, bool, bool], ...]:
        """What reading a row needs to know of each column that is not lazy: its name and default, whether it is a time,
        and whether it is a lookup whose table is stored beside it. Made once: lists read thousands of rows."""
        return tuple(
            (column.name, column.default, column.type is Type.DATETIME, len(column.targets) > 1)
            for column in self.columns
            if not column.lazy
        )

    @cached_property
    def by_navigation(self) -> Mapping[str, tuple[Column, str]]:
        """The lookup and the table that a single-valued navigation property stands for."""
        return {name: (column, target) for column in self.columns for name, target in column.navigations.items()}


def text(name: str, length: int, default: str | None = None) -> Column:
    """A line of text."""
    return Column(name, Type.STRING, length=length, default=default)


def memo(name: str, length: int) -> Column:
    """Lines of text."""
    return Column(name, Type.MEMO, length=length)


def integer(name: str, default: int | None = None, low: int = 0, high: int = 2**31 - 1) -> Column:
    """A whole number."""
    return Column(name, Type.INTEGER, low=low, high=high, default=default)


def flag(name: str, default: bool, yes: str = "Yes", no: str = "No") -> Column:
    """A boolean and what its values are called."""
    return Column(name, Type.BOOLEAN, default=default, options={1: yes, 0: no})


def time(name: str) -> Column:
    """A point in time, to the second."""
    return Column(name, Type.DATETIME)


def choice(name: str, options: Mapping[int, str], default: int | None = None) -> Column:
    """One of several labelled values."""
    return Column(name, Type.PICKLIST, options=options, default=default)


def guid(name: str) -> Column:
    """A guid that is no lookup, such as the primary key."""
    return Column(name, Type.GUID)


def lookup(name: str, navigations: Mapping[str, str]) -> Column:
    """A reference to a row: the table by the navigation property that binds to it."""
    return Column(name, Type.LOOKUP, navigations=navigations)


def fixed(column: Column) -> Column:
    """The same column, written by the service only."""
    return replace(column, writable=False)


def state(open: str = "Active", closed: str = "Inactive") -> tuple[Column, Column]:
    """The state and status columns of a table that knows only open and closed rows."""
    return (
        Column("statecode", Type.STATE, options={0: open, 1: closed}, default=0, required=True),
        Column("statuscode", Type.STATUS, options={1: open, 2: closed}, states={1: 0, 2: 1}, default=1),
    )


def audit() -> tuple[Column, ...]:
    """Who made and changed a row, and when; its owner; its version."""
    return (
        fixed(time("createdon")),
        fixed(time("modifiedon")),
        fixed(lookup("createdby", {"createdby": "systemuser"})),
        fixed(lookup("modifiedby", {"modifiedby": "systemuser"})),
        Column("ownerid", Type.OWNER, navigations={"ownerid": "systemuser"}, required=True),
        fixed(Column("versionnumber", Type.BIGINT)),
    )
