"""``$filter``: from text to a plain predicate over rows, and the part of it that the Table service can decide itself.

odata-query parses; binding names to the schema and evaluating are ours. Comparison is Dataverse's: text without regard
to case, ``%`` and ``_`` as wildcards inside contains, startswith and endswith. Null equals null only, and nothing is
less or greater than null (OData 4.01 Protocol, 5.1.1.1). The pushed part never loses a row that the whole filter keeps.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from odata_query import ast
from odata_query.exceptions import ODataException, ODataSyntaxError
from odata_query.grammar import ODataLexer, ODataParser

from shared.webapi.errors import bad_query, unknown_property
from shared.webapi.patterns import matches
from shared.webapi.schema import GUIDS, NUMBERS, TEXTS, Column, Table, Type
from shared.webapi.values import format_time, parse_guid, parse_time, sortable

type Row = Mapping[str, Any]
type Predicate = Callable[[Row], bool]

MAX_LENGTH = 32_768
"""Characters; Dataverse takes URLs of up to 32 KB."""
MAX_NESTING = 100

_COMPARE: Mapping[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_NAMES = {ast.Eq: "eq", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
_MIRRORED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_PATTERNS = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}
_FOLDS = frozenset({"tolower", "toupper"})
_QUOTED_GUID = re.compile(r"guid'([0-9a-fA-F-]{36})'")


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that a row must meet to be kept, for the Table service to decide: a stored value compared."""

    column: Column
    operator: str
    value: str | int | bool


@dataclass(frozen=True, slots=True)
class Filter:
    """`keeps` decides; `pushed` are conditions that every row that it keeps meets; `columns` are those it looks at."""

    keeps: Predicate
    pushed: tuple[Condition, ...] = ()
    columns: frozenset[str] = frozenset()


EVERYTHING = Filter(lambda _: True)


@dataclass(frozen=True, slots=True)
class _Operand:
    """A side of a comparison: how to get it from a row, and what it is compared as. A column or literal says so."""

    get: Callable[[Row], Any]
    column: Column | None = None
    literal: Any = None
    type: Type | None = None


def parse_filter(text: str, table: Table, aliases: Mapping[str, str] | None = None) -> Filter:
    """Return what `text` asks of the rows of `table`; `aliases` are the values of ``@p1`` parameters.

    Raises `Failure` 400 naming what is not understood: the unknown column, the function, the value of another type.
    """
    if len(text) > MAX_LENGTH:
        raise bad_query(f"The $filter has {len(text):,} characters; at most {MAX_LENGTH:,} are allowed.")
    text = _QUOTED_GUID.sub(r"\1", substitute_aliases(text, aliases or {})).strip()
    try:
        tree = ODataParser().parse(ODataLexer().tokenize(text))
    except (ODataException, ValueError) as error:
        raise bad_query(f"Syntax error in $filter: {_shown(error)}") from None
    if tree is None:
        raise bad_query("The $filter is empty.")
    compiler = _Compiler(table)
    keeps = compiler.predicate(tree)
    pushed = tuple(filter(None, (compiler.condition(node) for node in _chain(tree, ast.And))))
    return Filter(keeps, pushed, frozenset(compiler.columns))


def substitute_aliases(text: str, aliases: Mapping[str, str]) -> str:
    """Return `text` with each parameter alias (``@p1``) outside of quotes replaced by its value.

    >>> substitute_aliases("a eq @p1 and b eq '@p1'", {"@p1": "5"})
    "a eq 5 and b eq '@p1'"
    """

    def replace(match: re.Match[str]) -> str:
        token = match[0]
        if token.startswith("'"):
            return token
        if token not in aliases:
            raise bad_query(f"The parameter alias '{token}' has no value: give it as {token}=...")
        return aliases[token]

    return re.sub(r"'(?:[^']|'')*'|@\w+", replace, text)


class _Compiler:
    """Binds a parsed filter to a table; `columns` collects the names that it looks at."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns: set[str] = set()

    def predicate(self, node: Any, depth: int = 0) -> Predicate:
        if depth > MAX_NESTING:
            raise bad_query(f"The $filter is nested deeper than {MAX_NESTING} levels.")
        if isinstance(node, ast.BoolOp):
            kind = type(node.op)
            parts = [self.predicate(part, depth + 1) for part in _chain(node, kind)]
            if kind is ast.And:
                return lambda row: all(part(row) for part in parts)
            return lambda row: any(part(row) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.predicate(node.operand, depth + 1)
            return lambda row: not inner(row)
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        if isinstance(node, ast.Call) and _name(node.func) in _PATTERNS:
            return self._pattern(node)
        if isinstance(node, ast.Boolean):
            value = node.py_val
            return lambda _: value
        if isinstance(node, ast.Identifier):
            column = self._column(node)
            if column.type is Type.BOOLEAN:
                return lambda row: row.get(column.name) is True
        raise bad_query(f"The $filter needs a condition, not {_describe(node)}.")

    def condition(self, node: Any) -> Condition | None:
        """Return a conjunct as the Table service can decide it, or None where it cannot without losing rows."""
        if not isinstance(node, ast.Compare) or type(node.comparator) not in _NAMES:
            return None
        kind, left, right = type(node.comparator), node.left, node.right
        if isinstance(right, ast.Identifier):
            kind, left, right = _MIRRORED.get(kind, kind), right, left
        if not isinstance(left, ast.Identifier) or isinstance(right, ast.Identifier | ast.Call | ast.Null):
            return None
        column = self._column(left)
        value = self._literal(right, column)
        if column.type in GUIDS and kind is not ast.Eq:
            return None
        if column.type not in GUIDS and column.type not in NUMBERS and column.type is not Type.BOOLEAN:
            return None
        if isinstance(value, float) or column.name == "versionnumber":
            return None
        # A row without the column reads as the default: it must not be lost where the default is kept.
        default = sortable(column, column.default)
        if default is not None and _COMPARE[kind](default, value):
            return None
        return Condition(column, _NAMES[kind], bool(value) if column.type is Type.BOOLEAN else value)

    def _comparison(self, node: ast.Compare) -> Predicate:
        if isinstance(node.comparator, ast.In):
            return self._membership(node)
        left, right = self._operand(node.left), self._operand(node.right)
        if left.type is None and right.type is None:
            raise bad_query("A comparison in $filter needs a column on one side.")
        left, right = self._agree(left, right), self._agree(right, left)
        compare, a, b = _COMPARE[type(node.comparator)], left.get, right.get
        if isinstance(node.comparator, ast.Eq | ast.NotEq):
            return lambda row: compare(a(row), b(row))

        def ordered(row: Row) -> bool:
            one, other = a(row), b(row)
            return one is not None and other is not None and compare(one, other)

        return ordered

    def _membership(self, node: ast.Compare) -> Predicate:
        operand = self._operand(node.left)
        if operand.type is None or not isinstance(node.right, ast.List):
            raise bad_query("'in' in $filter needs a column and a list, such as statuscode in (1,3).")
        column = operand.column or Column("", operand.type)
        values = {self._literal(item, column) for item in node.right.val}
        get = operand.get
        return lambda row: get(row) in values

    def _pattern(self, node: ast.Call) -> Predicate:
        name = node.func.name
        if len(node.args) != 2 or not isinstance(node.args[1], ast.String):
            raise bad_query(f"{name} in $filter takes a column and a text, such as {name}(subject,'offer').")
        inner = node.args[0]
        nested = isinstance(inner, ast.Call) and _name(inner.func) not in _FOLDS
        operand = None if nested else self._operand(inner)
        if operand is None or operand.type not in TEXTS:
            raise bad_query(f"{name} in $filter needs a text column, not {_describe(inner)}.")
        pattern, get = _PATTERNS[name].format(node.args[1].val.casefold()), operand.get

        def found(row: Row) -> bool:
            value = get(row)
            return value is not None and matches(pattern, value)

        return found

    def _operand(self, node: Any) -> _Operand:
        if isinstance(node, ast.Identifier):
            column = self._column(node)
            return _Operand(lambda row: sortable(column, row.get(column.name)), column, type=column.type)
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if name in _FOLDS and len(node.args) == 1 and isinstance(node.args[0], ast.Identifier):
                # Comparison ignores case anyway.
                operand = self._operand(node.args[0])
                if operand.type in TEXTS:
                    return operand
            if name in _PATTERNS:
                inner = self._pattern(node)
                return _Operand(lambda row: int(inner(row)), Column("", Type.BOOLEAN), type=Type.BOOLEAN)
        if isinstance(node, ast._Literal):
            return _Operand(lambda _: None, literal=node)
        raise bad_query(f"{_describe(node)} is not supported in $filter.")

    def _agree(self, one: _Operand, other: _Operand) -> _Operand:
        """Return an operand ready to be compared with `other`: a literal in the other's type."""
        if one.literal is not None:
            value = self._literal(one.literal, other.column or Column("", other.type or Type.STRING))
            return _Operand(lambda _: value, type=other.type)
        if other.literal is None and _family(one.type) != _family(other.type):
            raise bad_query(f"Columns of the types {one.type} and {other.type} cannot be compared in $filter.")
        return one

    def _literal(self, node: Any, column: Column) -> Any:
        """Return a literal as values of `column` are compared."""
        if isinstance(node, ast.Null):
            return None
        value: Any = None
        if column.type in TEXTS and isinstance(node, ast.String):
            value = node.val.casefold()
        elif column.type in GUIDS and isinstance(node, ast.GUID | ast.String):
            value = parse_guid(node.val)
        elif column.type is Type.BOOLEAN and isinstance(node, ast.Boolean):
            value = int(node.py_val)
        elif column.type in NUMBERS and isinstance(node, ast.Integer | ast.Float) and len(node.val) < 30:
            value = node.py_val
        elif column.type is Type.DATETIME and isinstance(node, ast.Date | ast.DateTime | ast.String):
            moment = parse_time(node.val)
            value = None if moment is None else format_time(moment)
        if value is None:
            name = column.wire or "the value"
            raise bad_query(f"{_describe(node)} in $filter cannot be compared with '{name}', which is {column.type}.")
        return value

    def _column(self, node: ast.Identifier) -> Column:
        column = self.table.by_wire.get(_name(node))
        if column is None:
            raise unknown_property(_name(node), self.table.logical)
        if column.lazy:
            raise bad_query(f"'{column.name}' is kept as a file and cannot be filtered on.")
        self.columns.add(column.name)
        return column


def _chain(node: Any, kind: type) -> list[Any]:
    """Return the operands of a chain of one boolean operator, without recursion: chains get thousands long."""
    operands: list[Any] = []
    pending = [node]
    while pending:
        top = pending.pop()
        if isinstance(top, ast.BoolOp) and isinstance(top.op, kind):
            pending += [top.right, top.left]
        else:
            operands.append(top)
    return operands


def _family(type: Type | None) -> str:
    if type in TEXTS:
        return "text"
    if type in GUIDS:
        return "guid"
    return "number" if type in NUMBERS else str(type)


def _name(node: ast.Identifier) -> str:
    return ".".join((*node.namespace, node.name))


def _describe(node: Any) -> str:
    if isinstance(node, ast.Call):
        return f"the function '{_name(node.func)}'"
    if isinstance(node, ast.Identifier):
        return f"'{_name(node)}'"
    if isinstance(node, ast._Literal) and hasattr(node, "val") and not isinstance(node, ast.List):
        return f"'{str(node.val)[:60]}'"
    return {ast.BinOp: "arithmetic", ast.CollectionLambda: "any/all", ast.Attribute: "a path"}.get(
        type(node), "this expression"
    )


def _shown(error: Exception) -> str:
    if not isinstance(error, ODataSyntaxError):
        return f"{error}."
    token = getattr(error, "token", None)
    if token is None:
        return "it ends too early."
    return f"unexpected '{str(getattr(token.value, 'val', token.value))[:40]}' at position {token.index}."
