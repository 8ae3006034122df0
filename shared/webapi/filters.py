"""``$filter``: from text to a plain predicate over rows, and the parts of it that a reader of storage can use.

odata-query parses (`shared.webapi.filter_syntax`); binding names to the schema and evaluating are ours
(`shared.webapi.filter_predicates`). What a reader uses to look in fewer places never loses a row that the filter keeps.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from odata_query import ast

from shared.webapi.errors import bad_query, shown
from shared.webapi.filter_predicates import (
    COMPARE,
    Compiler,
    Predicate,
    all_of,
    always,
    is_query_function,
)
from shared.webapi.filter_predicates import Row as Row
from shared.webapi.filter_predicates import attach as attach
from shared.webapi.filter_syntax import parse_expression, well_formed
from shared.webapi.query_functions import NOBODY, Asker
from shared.webapi.schema import GUIDS, TEXTS, Column, Table, Type
from shared.webapi.values import sortable

MAX_LENGTH = 32_768
"""Characters; Dataverse takes URLs of up to 32 KB."""

_NAMES: Mapping[type, str] = {ast.Eq: "eq", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
_MIRRORED: Mapping[type, type] = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that a row must meet to be kept, for the Table service to decide: a stored value compared."""

    column: Column
    operator: str
    value: str | int | bool


@dataclass(frozen=True, slots=True)
class Filter:
    """What a filter asks, and what must be so wherever it keeps a row.

    `keeps` decides; for the navigations and collections in `relations` the rows that they lead to are put into the row
    with `attach` before it is asked. `columns` are those of the table itself that it looks at; a lookup among them that
    may point at several tables comes with its ``_type``.

    Of every row that `keeps` keeps these hold too, so that a reader may look there first: `early`, which looks at no
    relation; the `pushed` conditions; for each collection in `within`, that one of its rows meets all the conditions
    given with it; for each column in `equals`, that its value is this one (text in the form that `sortable` gives it).
    `only_equals` is whether the values in `equals` decide alone.

    `weight` is what `keeps` costs of one row, and of each that a relation has put into it, in comparisons.
    """

    keeps: Predicate
    pushed: tuple[Condition, ...] = ()
    columns: frozenset[str] = frozenset()
    relations: frozenset[str] = frozenset()
    early: Predicate = always
    within: tuple[tuple[str, tuple[Condition, ...]], ...] = ()
    equals: Mapping[str, str | int | bool] = field(default_factory=dict)
    only_equals: bool = False
    weight: int = 0


EVERYTHING = Filter(always, only_equals=True)


@dataclass(frozen=True, slots=True)
class _Fact:
    """What a conjunct says of a stored column: how it compares with a literal other than null. `alone` is whether that
    is all it says."""

    column: Column
    comparator: type
    value: Any
    alone: bool


def parse_filter(text: str, table: Table, aliases: Mapping[str, str] | None = None, asker: Asker = NOBODY) -> Filter:
    """Return what `text` asks of the rows of `table`; `aliases` are the values of ``@p1`` parameters, `asker` is who
    asks and when, for functions such as Today and EqualUserId.

    Raises `Failure` 400 naming what is not understood: the unknown column, the function, the value of another type.
    """
    tree = parse_expression(well_formed(substitute_aliases(text, aliases or {})).strip())
    conjuncts = _conjuncts(tree, Compiler(table, asker))
    compilers = [Compiler(table, asker) for _ in conjuncts]
    predicates = [compiler.predicate(node) for compiler, node in zip(compilers, conjuncts, strict=True)]
    early = [keeps for compiler, keeps in zip(compilers, predicates, strict=True) if not compiler.relations]
    facts = [_fact(node, compiler) for compiler, node in zip(compilers, conjuncts, strict=True)]
    equals = [fact for fact in facts if fact and fact.comparator is ast.Eq and _is_exact(fact)]
    values = {fact.column.name: fact.value for fact in equals}
    return Filter(
        all_of(predicates),
        _conditions(facts),
        frozenset(name for compiler in compilers for name in compiler.columns),
        frozenset(name for compiler in compilers for name in compiler.relations),
        all_of(early),
        tuple(found for node in conjuncts if (found := _within(node, compilers[0]))),
        values,
        len(equals) == len(facts) and all(fact.alone and values[fact.column.name] == fact.value for fact in equals),
        sum(compiler.weight for compiler in compilers),
    )


def substitute_aliases(text: str, aliases: Mapping[str, str]) -> str:
    """Return `text` with each parameter alias (``@p1``) outside of quotes replaced by its value.

    Raises `Failure` 400 for an alias without a value, and for a text that is or gets longer than `MAX_LENGTH`.

    >>> substitute_aliases("a eq @p1 and b eq '@p1'", {"@p1": "5"})
    "a eq 5 and b eq '@p1'"
    """
    length = len(text)

    def replace(match: re.Match[str]) -> str:
        nonlocal length
        token = match[0]
        if token[0] != "@":
            return token
        if token not in aliases:
            raise bad_query(f"The parameter alias '{shown(token)}' has no value: give it as {shown(token)}=...")
        length += len(aliases[token])
        _limit(length)
        return aliases[token]

    _limit(length)
    return _QUOTED_OR_ALIAS.sub(replace, text)


# A quote that is never closed goes to the end: looked at once, not from each of its characters anew.
_QUOTED_OR_ALIAS = re.compile(r"""'(?:[^']|'')*+'?|"(?:[^"\\]|\\.)*+"?|@\w+""", re.DOTALL)


def _limit(length: int) -> None:
    if length > MAX_LENGTH:
        raise bad_query(f"The query option has {length:,} characters; at most {MAX_LENGTH:,} are allowed.")


def _conjuncts(tree: Any, compiler: Compiler) -> list[Any]:
    """Return what must hold all at once, query functions as the comparisons that they stand for."""
    found: list[Any] = []
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            pending += [node.right, node.left]
        elif is_query_function(node):
            pending.append(compiler.comparison_of(node))
        else:
            found.append(node)
    return found


def _fact(node: Any, compiler: Compiler) -> _Fact | None:
    """Return what a conjunct says of a stored column, or None where it says nothing of that kind."""
    if isinstance(node, ast.Identifier | ast.Attribute):
        node = ast.Compare(ast.Eq(), node, ast.Boolean("true"))
    if not isinstance(node, ast.Compare) or type(node.comparator) not in _NAMES:
        return None
    kind: type = type(node.comparator)
    left, right = node.left, node.right
    if isinstance(left, ast._Literal):
        left, right, kind = right, left, _MIRRORED.get(kind, kind)
    if not isinstance(right, ast._Literal) or isinstance(right, ast.Null):
        return None
    if not isinstance(left, ast.Identifier | ast.Attribute):
        return None
    operand = compiler.operand(left)
    if not operand.stored:
        return None
    value = compiler.literal(right, operand.column)
    return _Fact(operand.column, kind, bool(value) if operand.column.type is Type.BOOLEAN else value, operand.always)


def _within(node: Any, compiler: Compiler) -> tuple[str, tuple[Condition, ...]] | None:
    """Return the collection of an any, and what its body says of one row's stored columns; None for nothing."""
    if not isinstance(node, ast.CollectionLambda) or not isinstance(node.operator, ast.Any) or not node.lambda_:
        return None
    name, inner = compiler.body(node)
    conditions = _conditions([_fact(part, inner) for part in _conjuncts(node.lambda_.expression, inner)])
    return (name, conditions) if conditions else None


def _conditions(facts: Sequence[_Fact | None]) -> tuple[Condition, ...]:
    return tuple(condition for fact in facts if fact and (condition := _condition(fact)))


def _condition(fact: _Fact) -> Condition | None:
    """Return a fact as the Table service can decide it, or None where it cannot without losing rows."""
    column, value = fact.column, fact.value
    if not _is_exact(fact) or column.type in TEXTS or (column.type in GUIDS and fact.comparator is not ast.Eq):
        return None
    # The service refuses numbers that do not fit its types.
    if isinstance(value, int) and not -(2**31) <= value < 2**31:
        return None
    # A row without the column reads as the default: it must not be lost where the default is kept.
    default = sortable(column, column.default)
    if default is not None and COMPARE[fact.comparator](default, value):
        return None
    return Condition(column, _NAMES[fact.comparator], value)


def _is_exact(fact: _Fact) -> bool:
    """Return whether what is compared is what is stored: times may be stored finer, and versions are not stored."""
    column = fact.column
    return column.type is not Type.DATETIME and column.name != "versionnumber" and not isinstance(fact.value, float)
