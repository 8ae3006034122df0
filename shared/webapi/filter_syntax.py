"""The grammar of ``$filter``: odata-query's, and the spellings of real clients that it does not know.

Those are ``guid'...'`` and ``{...}`` around guids, lists in brackets as JSON has them, a list of one value, blanks
around ``=``, ``not(``, ``in(`` and ``)and(``, and names that begin like a keyword (``allowed``, ``nullable``).
"""

import copy
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from odata_query import ast
from odata_query.exceptions import ODataException, ODataSyntaxError
from odata_query.grammar import ODataLexer, ODataParser

from shared.webapi.errors import bad_query

_GUID = r"[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}"
MAX_WORDS = 12_000
"""Names, values, operators, commas and parentheses of a filter: two thousand conditions, four times what Dataverse
takes. Each takes ten microseconds to understand, and recipients are served meanwhile by the same loop."""
_MAX_PARAMETERS = 2
"""Named parameters that a function may have; the grammar's own rule for three is broken."""

type Token = Any
"""sly's: `type`, `value`, and where it is in the text."""


def _token(pattern: str, value: Callable[[str], Any]) -> Any:
    """Return a rule of a lexer: `value` makes what the parser gets of the text that fits `pattern`."""

    def rule(_: ODataLexer, token: Token) -> Token:
        token.value = value(token.value)
        return token

    rule.pattern = pattern  # type: ignore[attr-defined]
    return rule


def _operator(name: str, value: Callable[[], Any]) -> Any:
    """Return the rule of an operator that stands between blanks or parentheses."""
    return _token(rf"(?:\s+|(?<=\))){name}(?:\s+|(?=\())", lambda _: value())


class _Lexer(ODataLexer):
    tokens = ODataLexer.tokens | {"JSON_STRING"}
    literals = ODataLexer.literals | {"[", "]"}

    GUID = _token(rf"guid'{_GUID}'|\{{{_GUID}\}}|{_GUID}", lambda text: ast.GUID(re.sub("^guid'|['{}]", "", text)))
    JSON_STRING = _token(r'"(?:[^"\\]|\\.)*"', lambda text: ast.String(well_formed(json.loads(text))))
    BOOLEAN = _token(r"(?:true|false)\b", ast.Boolean)
    NULL = _token(r"null\b", lambda _: ast.Null())
    AND = _operator("and", ast.And)
    OR = _operator("or", ast.Or)
    IN = _operator("in", ast.In)
    NOT = _token(r"not(?:\s+|(?=\())", lambda _: ast.Not())
    ANY = _token(r"any(?=\s*\()", lambda _: ast.Any())
    ALL = _token(r"all(?=\s*\()", lambda _: ast.All())


@dataclass(slots=True)
class _Parenthesis:
    """An open parenthesis: the name before it, whether a list must follow, and what was found in it so far."""

    name: str = ""
    is_list: bool = False
    items: int = 0
    commas: int = 0
    parameters: int = 0


def well_formed(text: str) -> str:
    """Return a text without the halves of characters that cannot be stored either: they become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def parse_expression(text: str) -> Any:
    """Return the tree of a filter. Raises `Failure` 400 saying where it cannot be understood."""
    try:
        tree = ODataParser().parse(iter(_mended(_Lexer().tokenize(text))))
    except (ODataException, ValueError) as error:
        raise bad_query(f"Syntax error in $filter: {_shown(error, text)}") from None
    if tree is None:
        raise bad_query("The $filter is empty.")
    return tree


def _mended(tokens: Iterable[Token]) -> list[Token]:
    """Return tokens as the parser takes them: no blanks of their own, lists in parentheses and with a comma in them.

    A path of more than one step is refused here, before the parser follows it step by step.
    """
    mended: list[Token] = []
    opened: list[_Parenthesis] = []
    for token in tokens:
        if token.type == "WS":
            continue
        if len(mended) >= MAX_WORDS:
            raise bad_query(
                f"The $filter has more than {MAX_WORDS:,} names, values, operators, commas and parentheses: ask with "
                "shorter lists, in several requests."
            )
        if token.type == "JSON_STRING":
            token.type = "STRING"
        before = mended[-1].type if mended else ""
        if token.type == "/" and len(mended) > 1 and mended[-2].type == "/":
            raise bad_query(
                f"The path at position {token.index} in $filter has more than one step: "
                "only columns of a directly related row can be compared, as in navigation/column."
            )
        if token.type in ("(", "["):
            name = (
                ".".join((*mended[-1].value.namespace, mended[-1].value.name)) if before == "ODATA_IDENTIFIER" else ""
            )
            opened.append(_Parenthesis(name, token.type == "[" or before == "IN"))
            token.type = "("
        elif token.type in (")", "]") and opened:
            closed = opened.pop()
            if closed.is_list and closed.items and not closed.commas:
                mended.append(_comma(token))
            token.type = ")"
        elif opened:
            _count(opened[-1], token)
        mended.append(token)
    return mended


def _count(parenthesis: _Parenthesis, token: Token) -> None:
    parenthesis.items += 1
    parenthesis.commas += token.type == ","
    parenthesis.parameters += token.type == "="
    if parenthesis.parameters > _MAX_PARAMETERS:
        raise bad_query(f"The function '{parenthesis.name}' with more than two parameters is not supported in $filter.")


def _comma(token: Token) -> Token:
    comma = copy.copy(token)
    comma.type = comma.value = ","
    return comma


def _shown(error: Exception, text: str) -> str:
    if not isinstance(error, ODataSyntaxError):
        return f"{error}."
    token = getattr(error, "token", None)
    if token is None:
        return "it ends too early."
    return f"unexpected '{text[token.index : token.index + 40].strip()}' at position {token.index}."
