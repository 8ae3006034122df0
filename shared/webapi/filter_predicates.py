"""What a parsed ``$filter`` means: a plain predicate over rows, its names bound to the schema.

Comparison is Dataverse's: text without regard to case, ``%`` and ``_`` as wildcards inside contains, startswith and
endswith. Null equals null only, and nothing is less or greater than null (OData 4.01 Protocol, 5.1.1.1). A path through
a lookup that is null is null; ``any`` over no rows is false, ``all`` true (OData 4.01 URL Conventions, 5.1.1.13).
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from odata_query import ast

from shared.webapi.errors import bad_query, unknown_property
from shared.webapi.patterns import MAX_LENGTH as MAX_PATTERN
from shared.webapi.patterns import matcher
from shared.webapi.query_functions import NAMESPACE, Asker, as_comparison
from shared.webapi.schema import GUIDS, NUMBERS, TEXTS, Column, Table, Type
from shared.webapi.tables import TABLES
from shared.webapi.values import format_time, parse_guid, parse_time, sortable, target_of

type Row = Mapping[str, Any]
type Predicate = Callable[[Row], bool]

MAX_NESTING = 100
_A_COMPARISON_FOLDS, _A_COMPARISON_STEPS = 2_000, 100
"""Characters of a text that are folded, and looked at one by one for a pattern with ``_``, in the time of a comparison
of short values; measured."""

COMPARE: Mapping[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_PATTERNS = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}
_FOLDS = frozenset({"tolower", "toupper"})


@dataclass(frozen=True, slots=True)
class Operand:
    """A side of a comparison: how to get it from a row, and the column that it is compared as; a `literal` is neither
    yet. `stored` is whether, where it is not null, it is what the row itself holds in `column`; `always` whether it is
    null only where that is."""

    get: Callable[[Row], Any]
    column: Column
    literal: Any = None
    stored: bool = False
    always: bool = False


def attach(row: dict[str, Any], relation: str, related: Row | Sequence[Row] | None) -> None:
    """Put what a navigation (a row or None) or a collection (its rows) leads to where a filter looks for it. That is
    not under its own name: the lookup ``ownerid`` and its navigation have the same."""
    row[_place(relation)] = related


def _place(relation: str) -> str:
    return f"{relation}/"


_UNKNOWN = Column("", Type.STRING)
_TRUTH = Column("", Type.BOOLEAN)


def always(_: Row) -> bool:
    """Keep every row."""
    return True


def all_of(predicates: Sequence[Predicate]) -> Predicate:
    """Return what keeps the rows that all of `predicates` keep."""
    if len(predicates) == 1:
        return predicates[0]
    return (lambda row: all(keeps(row) for keeps in predicates)) if predicates else always


def chain(tree: Any, kind: type) -> list[Any]:
    """Return the operands of a chain of one boolean operator, without recursion: chains get thousands long."""
    operands: list[Any] = []
    pending = [tree]
    while pending:
        top = pending.pop()
        if isinstance(top, ast.BoolOp) and isinstance(top.op, kind):
            pending += [top.right, top.left]
        else:
            operands.append(top)
    return operands


class Compiler:
    """Binds a parsed filter to a table; `columns` and `relations` collect what it looks at, `weight` what deciding it
    for one row costs, in comparisons of short values. In the body of an any or all, `variable` is the name that stands
    for a row of the table; else it is "", and columns go by their own names."""

    def __init__(self, table: Table, asker: Asker, variable: str = "") -> None:
        self.table, self.asker, self.variable = table, asker, variable
        self.columns: set[str] = set()
        self.relations: set[str] = set()
        self.weight = 0

    def predicate(self, node: Any, depth: int = 0) -> Predicate:
        """Return a condition as what decides it. Raises `Failure` 400 naming what it does not understand."""
        if depth > MAX_NESTING:
            raise bad_query(f"The $filter is nested deeper than {MAX_NESTING} levels.")
        self.weight += 1
        if isinstance(node, ast.BoolOp):
            kind = type(node.op)
            parts = [self.predicate(part, depth + 1) for part in chain(node, kind)]
            return all_of(parts) if kind is ast.And else lambda row: any(part(row) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.predicate(node.operand, depth + 1)
            return lambda row: not inner(row)
        if isinstance(node, ast.Compare):
            return self._comparison(node, depth)
        if isinstance(node, ast.CollectionLambda):
            return self._collection(node, depth)
        if is_query_function(node):
            return self.predicate(self.comparison_of(node), depth + 1)
        if isinstance(node, ast.Call) and _name(node.func) in _PATTERNS:
            return self._pattern(node)
        if isinstance(node, ast.Boolean):
            value = node.py_val
            return lambda _: value
        if isinstance(node, ast.Identifier | ast.Attribute):
            operand = self.operand(node)
            if operand.column.type is Type.BOOLEAN:
                get = operand.get
                return lambda row: get(row) == 1
        raise bad_query(f"The $filter needs a condition, not {_describe(node)}.")

    def comparison_of(self, node: ast.Call) -> Any:
        """Return the comparison that a query function stands for."""
        return as_comparison(node, lambda path: self.operand(path).column, self.asker)

    def _comparison(self, node: ast.Compare, depth: int) -> Predicate:
        if isinstance(node.comparator, ast.In):
            return self._membership(node, depth)
        left, right = self.operand(node.left, depth), self.operand(node.right, depth)
        if left.literal is not None and right.literal is not None:
            raise bad_query("A comparison in $filter needs a column on one side.")
        left, right = self._agree(left, right), self._agree(right, left)
        compare, a, b = COMPARE[type(node.comparator)], left.get, right.get
        if isinstance(node.comparator, ast.Eq | ast.NotEq):
            return lambda row: compare(a(row), b(row))

        def ordered(row: Row) -> bool:
            one, other = a(row), b(row)
            return one is not None and other is not None and compare(one, other)

        return ordered

    def _membership(self, node: ast.Compare, depth: int) -> Predicate:
        operand = self.operand(node.left, depth)
        if operand.literal is not None or not isinstance(node.right, ast.List):
            raise bad_query("'in' in $filter needs a column and a list, such as statuscode in (1,3).")
        values = {self.literal(item, operand.column) for item in node.right.val}
        get = operand.get
        return lambda row: get(row) in values

    def _pattern(self, node: ast.Call) -> Predicate:
        name = node.func.name
        if len(node.args) != 2 or not isinstance(node.args[1], ast.String):
            raise bad_query(f"{name} in $filter takes a column and a text, such as {name}(subject,'offer').")
        inner = node.args[0]
        nested = not isinstance(inner, ast.Identifier | ast.Attribute) and not _is_fold(inner)
        operand = None if nested else self.operand(inner)
        if operand is None or operand.column.type not in TEXTS:
            raise bad_query(f"{name} in $filter needs a text column, not {_describe(inner)}.")
        sought = node.args[1].val
        if len(sought) > MAX_PATTERN:
            raise bad_query(
                f"The text in {name} in $filter has {len(sought):,} characters; at most {MAX_PATTERN:,} are looked for."
            )
        if "_" in sought:
            self.weight += operand.column.length // _A_COMPARISON_STEPS
        fits, get = matcher(_PATTERNS[name].format(sought.casefold())), operand.get

        def found(row: Row) -> bool:
            value = get(row)
            return value is not None and fits(value)

        return found

    def _collection(self, node: ast.CollectionLambda, depth: int) -> Predicate:
        name, inner = self.body(node)
        self.relations.add(name)
        place = _place(name)
        if node.lambda_ is None:
            return lambda row: bool(row[place])
        keeps = inner.predicate(node.lambda_.expression, depth + 1)
        self.weight += inner.weight
        if isinstance(node.operator, ast.Any):
            return lambda row: any(keeps(child) for child in row[place])
        return lambda row: all(keeps(child) for child in row[place])

    def body(self, node: ast.CollectionLambda) -> tuple[str, "Compiler"]:
        """Return the name of the collection that an any or all is about, and what compiles its body."""
        name = _name(node.owner)
        if self.variable:
            raise bad_query(f"The body of an any or all in $filter cannot hold another, over '{name}'.")
        if name not in self.table.collections:
            if name in self.table.by_name or name in self.table.by_wire or name in self.table.by_navigation:
                raise bad_query(f"'{name}' is not a collection: any and all in $filter need one.")
            raise unknown_property(name, self.table.logical)
        table = TABLES[self.table.collections[name].table]
        return name, Compiler(table, self.asker, node.lambda_.identifier.name if node.lambda_ else "")

    def operand(self, node: Any, depth: int = 0) -> Operand:
        """Return a side of a comparison. Raises `Failure` 400 for what cannot be one."""
        if isinstance(node, ast.Identifier):
            if self.variable:
                raise bad_query(
                    f"'{_name(node)}' in the body of an any or all must be '{self.variable}/{_name(node)}'."
                )
            return self._own(_name(node))
        if isinstance(node, ast.Attribute):
            owner = _name(node.owner)
            if self.variable and owner != self.variable:
                raise bad_query(f"'{owner}' in the body of an any or all is not '{self.variable}', its own variable.")
            return self._own(node.attr) if self.variable else self._related(owner, node.attr)
        if _is_fold(node):
            # Comparison ignores case anyway.
            operand = self.operand(node.args[0])
            if operand.column.type in TEXTS:
                return operand
        if isinstance(node, ast._Literal):
            return Operand(lambda _: None, _UNKNOWN, literal=node)
        if _is_condition(node):
            holds = self.predicate(node, depth + 1)
            return Operand(lambda row: int(holds(row)), _TRUTH)
        raise bad_query(f"{_describe(node)} is not supported in $filter.")

    def _own(self, name: str) -> Operand:
        column = _column(self.table, name)
        self.columns.add(column.name)
        self.weight += column.length // _A_COMPARISON_FOLDS
        return Operand(_getter(column), column, stored=True, always=True)

    def _related(self, navigation: str, name: str) -> Operand:
        """Return a column of the row that a lookup points at; its key is what the lookup itself holds."""
        if navigation not in self.table.by_navigation:
            if navigation in self.table.collections:
                raise bad_query(f"'{navigation}' is a collection: use {navigation}/any(x:x/{name} ...) in $filter.")
            raise unknown_property(navigation, self.table.logical)
        lookup, logical = self.table.by_navigation[navigation]
        if logical not in TABLES:
            raise unknown_property(navigation, self.table.logical)
        column = _column(TABLES[logical], name)
        self.columns.add(lookup.name)
        self.weight += column.length // _A_COMPARISON_FOLDS
        if name == TABLES[logical].id:
            held = _getter(lookup)

            def key(row: Row) -> Any:
                return held(row) if target_of(lookup, row) == logical else None

            return Operand(key, lookup, stored=True, always=len(lookup.targets) == 1)
        self.relations.add(navigation)
        get, place = _getter(column), _place(navigation)
        return Operand(lambda row: None if row[place] is None else get(row[place]), column)

    def _agree(self, one: Operand, other: Operand) -> Operand:
        """Return an operand ready to be compared with `other`: a literal in the other's type."""
        if one.literal is not None:
            value = self.literal(one.literal, other.column)
            return Operand(lambda _: value, other.column)
        mine, theirs = one.column.type, other.column.type
        if other.literal is None and _family(mine) != _family(theirs):
            raise bad_query(f"Columns of the types {mine} and {theirs} cannot be compared in $filter.")
        return one

    def literal(self, node: Any, column: Column) -> Any:
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


def _column(table: Table, name: str) -> Column:
    # Lookups go by their plain name too, as Dataverse allows.
    column = table.by_wire.get(name) or table.by_name.get(name)
    if column is None:
        raise unknown_property(name, table.logical)
    if column.lazy:
        raise bad_query(f"'{column.name}' is kept as a file and cannot be filtered on.")
    return column


def _getter(column: Column) -> Callable[[Row], Any]:
    return lambda row: sortable(column, row.get(column.name))


def _is_fold(node: Any) -> bool:
    """Whether a node is a column in lower or upper case."""
    return (
        isinstance(node, ast.Call)
        and _name(node.func) in _FOLDS
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Identifier | ast.Attribute)
    )


def is_query_function(node: Any) -> bool:
    """Whether a node is a call of a function of Dataverse's namespace."""
    return isinstance(node, ast.Call) and _name(node.func).startswith(NAMESPACE)


def _is_condition(node: Any) -> bool:
    if isinstance(node, ast.Call):
        return is_query_function(node) or _name(node.func) in _PATTERNS
    return isinstance(node, ast.BoolOp | ast.Compare | ast.CollectionLambda) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    )


def _family(type: Type) -> str:
    if type in TEXTS:
        return "text"
    if type in GUIDS:
        return "guid"
    return "number" if type in NUMBERS else str(type)


def _name(node: Any) -> str:
    return ".".join((*node.namespace, node.name))


def _describe(node: Any) -> str:
    if isinstance(node, ast.Call):
        return f"the function '{_name(node.func)}'"
    if isinstance(node, ast.Identifier):
        return f"'{_name(node)}'"
    if isinstance(node, ast.Attribute):
        return f"'{_name(node.owner)}/{node.attr}'"
    if isinstance(node, ast._Literal) and hasattr(node, "val") and not isinstance(node, ast.List):
        return f"'{str(node.val)[:60]}'"
    return {ast.BinOp: "arithmetic", ast.List: "a list"}.get(type(node), "this expression")
