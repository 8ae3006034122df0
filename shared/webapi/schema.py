"""Tables and columns as Dataverse describes them. Written once: validation, serialization, filtering, formatted values,
metadata and the reference page (docs/tables.md) all read the same description (`shared.webapi.tables` holds it).

Names, types, lengths and option values are Dataverse's (Microsoft's table reference); our own begin with ``ee_``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

type Source = Literal["dataverse", "sales", "ours"]
"""Where something is documented: Microsoft's table reference of Dataverse or of Dynamics 365 Sales, or here only."""


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
    """A column.

    `about` says in a line what it holds, `label` is its display name where that is not the capitalized name, `source`
    where it is documented if not where its table is. `length` counts UTF-16 code units, `low` and `high` bound a
    number; `options` is label by value; `states` is the state that each status belongs to. `navigations` of a lookup is
    the table by the name that binds to it, the documented name first.

    A column that is not `writable` is kept by the service: ignored on create, refused on update. One that is `once` is
    set on create only. A `required` one cannot be null, and must be given on create where it has no default. A `lazy`
    column is a blob, read only when it is asked for and never filtered on; `lazy` is the stored property that names the
    blob, and a `binary` one is base64 on the wire. A `personal` one of a user's row is also the user's own to change. A
    `rule` returns what is wrong with a text or number that is to be stored, "" where nothing is.
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
    lazy: str = ""
    binary: bool = False
    once: bool = False
    personal: bool = False
    rule: Callable[[Any], str] | None = None
    label: str = ""
    about: str = ""
    source: Source | None = None

    @property
    def wire(self) -> str:
        """The name on the wire: a lookup travels as ``_name_value``."""
        return f"_{self.name}_value" if self.type in LOOKUPS else self.name

    @property
    def targets(self) -> tuple[str, ...]:
        """The tables that a lookup may point at."""
        return tuple(dict.fromkeys(self.navigations.values()))

    @property
    def display(self) -> str:
        """The display name."""
        return self.label or self.name.capitalize()


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
    begins its key, `parent` is the column that names the email), or the organization itself; a table that shows rows of
    another has that as its `view_of`. `writers` may change rows: their owner (of rows under an email, the email's),
    administrators, or nobody. Where a flag `private_where` is set, a row is its owner's alone to see
    (`shared.webapi.sharing`)."""

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
    private_where: str = ""
    collections: Mapping[str, Collection] = field(default_factory=dict)
    keys: tuple[Key, ...] = ()
    view_of: str = ""
    label: str = ""
    plural: str = ""
    schema_name: str = ""
    about: str = ""
    source: Source = "dataverse"
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
    def lazy_columns(self) -> tuple[Column, ...]:
        """The columns that are blobs."""
        return tuple(column for column in self.columns if column.lazy)

    @cached_property
    def by_navigation(self) -> Mapping[str, tuple[Column, str]]:
        """The lookup and the table that a single-valued navigation property stands for."""
        return {name: (column, target) for column in self.columns for name, target in column.navigations.items()}

    @cached_property
    def needed(self) -> tuple[Column, ...]:
        """The columns that a row cannot be made without; its owner is the caller where it is not given."""
        return tuple(
            column
            for column in self.columns
            if column.required and column.writable and column.default is None and column.type is not Type.OWNER
        )

    def writer(self, column: Column) -> Literal["service", "administrator", "owner", "user"]:
        """Return who sets a column; of a user's row, "user" is that user and administrators."""
        if not column.writable or (column.name == self.id and not self.creatable):
            return "service"
        if column.personal:
            return "user"
        return "administrator" if self.writers == "administrator" else "owner"

    def source_of(self, column: Column) -> Source:
        """Return where a column is documented."""
        return "ours" if column.name.startswith("ee_") else column.source or self.source


def text(name: str, length: int, default: str | None = None, *, label: str = "", about: str = "") -> Column:
    """A line of text."""
    return Column(name, Type.STRING, length, default=default, label=label, about=about)


def memo(name: str, length: int, *, label: str = "", about: str = "") -> Column:
    """Lines of text."""
    return Column(name, Type.MEMO, length, label=label, about=about)


def integer(
    name: str, default: int | None = None, low: int = 0, high: int = 2**31 - 1, *, label: str = "", about: str = ""
) -> Column:
    """A whole number."""
    return Column(name, Type.INTEGER, low=low, high=high, default=default, label=label, about=about)


def flag(name: str, default: bool, yes: str = "Yes", no: str = "No", *, label: str = "", about: str = "") -> Column:
    """A boolean and what its values are called."""
    return Column(name, Type.BOOLEAN, default=default, options={1: yes, 0: no}, label=label, about=about)


def time(name: str, *, label: str = "", about: str = "") -> Column:
    """A point in time, to the second."""
    return Column(name, Type.DATETIME, label=label, about=about)


def choice(
    name: str, options: Mapping[int, str], default: int | None = None, *, label: str = "", about: str = ""
) -> Column:
    """One of several labelled values."""
    return Column(name, Type.PICKLIST, options=options, default=default, label=label, about=about)


def guid(name: str, *, label: str = "", about: str = "") -> Column:
    """A guid that is no lookup, such as the primary key."""
    return Column(name, Type.GUID, label=label, about=about)


def lookup(name: str, navigations: Mapping[str, str], *, label: str = "", about: str = "") -> Column:
    """A reference to a row: the table by the navigation property that binds to it."""
    return Column(name, Type.LOOKUP, navigations=navigations, label=label, about=about)


def entity_name(name: str, default: str | None = None, *, label: str = "", about: str = "") -> Column:
    """The logical name of a table."""
    return Column(name, Type.ENTITY_NAME, 64, default=default, label=label, about=about)


def lazy(column: Column, stored: str) -> Column:
    """The same column, a blob that the stored property names; how much it holds is decided where it is written."""
    return replace(column, length=2**30 - 1, lazy=stored)


def fixed(column: Column) -> Column:
    """The same column, written by the service only."""
    return replace(column, writable=False)


def all_fixed(*columns: Column) -> tuple[Column, ...]:
    """The same columns, written by the service only."""
    return tuple(fixed(column) for column in columns)


def once(column: Column) -> Column:
    """The same column, set on create only."""
    return replace(column, once=True)


def personal(column: Column) -> Column:
    """The same column of a user's row, which that user may change too."""
    return replace(column, personal=True)


def required(column: Column) -> Column:
    """The same column, which cannot be null and has to be given on create where it has no default."""
    return replace(column, required=True)


def ruled(column: Column, rule: Callable[[Any], str]) -> Column:
    """The same column, whose values keep a rule."""
    return replace(column, rule=rule)


def from_sales(column: Column) -> Column:
    """The same column, documented in the table reference of Dynamics 365 Sales."""
    return replace(column, source="sales")


def state(open: str = "Active", closed: str = "Inactive") -> tuple[Column, Column]:
    """The state and status columns of a table that knows only open and closed rows."""
    return (
        Column(
            "statecode",
            Type.STATE,
            options={0: open, 1: closed},
            default=0,
            required=True,
            label="Status",
            about="Whether the row is open or closed; follows the status reason.",
        ),
        Column(
            "statuscode",
            Type.STATUS,
            options={1: open, 2: closed},
            states={1: 0, 2: 1},
            default=1,
            label="Status Reason",
            about="Why the row is open or closed.",
        ),
    )


def version() -> Column:
    """The version of a row, which its ETag has too."""
    return fixed(
        Column(
            "versionnumber",
            Type.BIGINT,
            low=0,
            high=2**63 - 1,
            label="Version Number",
            about="Changes with every write.",
        )
    )


def audit(suffix: str = "") -> tuple[Column, ...]:
    """Who made and changed a row, and when; its owner; its version.

    `suffix` is what Dataverse appends to the navigation properties of activities (``ownerid_email``); the plain names
    bind too.
    """

    def user(name: str, label: str, about: str) -> Column:
        return lookup(name, {f"{name}{suffix}": "systemuser", name: "systemuser"}, label=label, about=about)

    return (
        fixed(time("createdon", label="Created On", about="When the row was made.")),
        fixed(time("modifiedon", label="Modified On", about="When the row was last changed.")),
        fixed(user("createdby", "Created By", "Who made the row.")),
        fixed(user("modifiedby", "Modified By", "Who last changed the row.")),
        replace(
            user("ownerid", "Owner", "Whose row it is; the caller where it is not given on create."),
            type=Type.OWNER,
            required=True,
        ),
        version(),
    )
