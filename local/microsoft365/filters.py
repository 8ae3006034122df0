"""OData `$filter` over messages, as SQL.

The grammar is the part of OData 4.01 (section 5.1.1) that Graph's mail takes: comparisons, `and`, `or`, `not`,
parentheses, `startswith`, `contains`, and `any` over single-value extended properties.
"""

import re
from dataclasses import dataclass, field

from local.microsoft365.errors import bad_request
from local.microsoft365.times import parse

_TEXT = {
    "conversationId": "m.conversation",
    "internetMessageId": "m.internet_id",
    "subject": "m.subject",
    "importance": "m.importance",
    "from/emailAddress/address": "m.from_address",
    "sender/emailAddress/address": "m.from_address",
}
_TIMES = {
    "receivedDateTime": "m.received",
    "sentDateTime": "m.sent",
    "createdDateTime": "m.created",
    "lastModifiedDateTime": "m.modified",
}
_TRUTHS = {"isDraft": "m.is_draft", "isRead": "m.is_read", "hasAttachments": "m.has_attachments"}
_COLUMNS = _TEXT | _TIMES | _TRUTHS
_COMPARISONS = {"eq": "=", "ne": "<>", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')"
    r"|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))"
    r"|(?P<name>[A-Za-z_]\w*(?:/[A-Za-z_]\w*)*)"
    r"|(?P<mark>[(),:]))"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A `WHERE` clause over `messages m`, its parameters, and the properties it names in the order it names them."""

    sql: str
    parameters: tuple[object, ...]
    properties: tuple[str, ...]


@dataclass(slots=True)
class _Reader:
    tokens: list[tuple[str, str]]
    position: int = 0
    parameters: list[object] = field(default_factory=list)
    properties: list[str] = field(default_factory=list)

    def peek(self) -> str:
        return self.tokens[self.position][1]

    def take(self) -> tuple[str, str]:
        token = self.tokens[self.position]
        if token[0] != "end":
            self.position += 1
        return token

    def expect(self, value: str) -> None:
        _, found = self.take()
        if found != value:
            raise bad_request(f"Invalid filter clause: expected '{value}', found '{found}'.")


def property_key(property_id: str) -> str:
    """Return an extended property's id in the form in which two spellings of it compare equal."""
    return " ".join(property_id.split()).casefold()


def column_of(name: str) -> str:
    """Return the SQL column of a property that may be filtered and sorted by; raise GraphError for others."""
    if name not in _COLUMNS:
        raise bad_request(f"Could not find a property named '{name}' that messages can be filtered or sorted by here.")
    return _COLUMNS[name]


def parse_filter(text: str) -> Condition:
    """Translate a `$filter`; raise GraphError with what is wrong with it."""
    reader = _Reader(_tokenize(text))
    sql = _either(reader, lambda_name=None)
    if reader.tokens[reader.position][0] != "end":
        raise bad_request(f"Invalid filter clause: '{reader.peek()}' was not expected there.")
    return Condition(sql, tuple(reader.parameters), tuple(reader.properties))


def _tokenize(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise bad_request(f"Invalid filter clause: syntax error at position {position} in '{text}'.")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return [*tokens, ("end", "end of the filter")]


def _either(reader: _Reader, lambda_name: str | None) -> str:
    parts = [_both(reader, lambda_name)]
    while reader.peek() == "or":
        reader.take()
        parts.append(_both(reader, lambda_name))
    return f"({' OR '.join(parts)})"


def _both(reader: _Reader, lambda_name: str | None) -> str:
    parts = [_single(reader, lambda_name)]
    while reader.peek() == "and":
        reader.take()
        parts.append(_single(reader, lambda_name))
    return f"({' AND '.join(parts)})"


def _single(reader: _Reader, lambda_name: str | None) -> str:
    kind, value = reader.take()
    if value == "not":
        return f"NOT {_single(reader, lambda_name)}"
    if value == "(":
        inner = _either(reader, lambda_name)
        reader.expect(")")
        return inner
    if kind != "name":
        raise bad_request(f"Invalid filter clause: '{value}' is not a property.")
    if value in {"startswith", "contains"}:
        return _function(reader, value)
    if value.casefold() == "singlevalueextendedproperties/any":
        return _any(reader)
    return _comparison(reader, value, lambda_name)


def _function(reader: _Reader, function: str) -> str:
    reader.expect("(")
    _, name = reader.take()
    if name not in _TEXT:
        raise bad_request(f"'{function}' needs a text property, not '{name}'.")
    reader.expect(",")
    wanted = _literal(reader, "text")
    reader.expect(")")
    reader.properties.append(name)
    reader.parameters.append(wanted)
    found = f"instr(lower({_TEXT[name]}), lower(?))"
    return f"{found} = 1" if function == "startswith" else f"{found} > 0"


def _any(reader: _Reader) -> str:
    reader.expect("(")
    _, name = reader.take()
    reader.expect(":")
    inner = _either(reader, name)
    reader.expect(")")
    reader.properties.append("singleValueExtendedProperties")
    # `inner` is made of column names and placeholders only.
    return f"m.id IN (SELECT p.message FROM properties p WHERE {inner})"  # noqa: S608


def _comparison(reader: _Reader, name: str, lambda_name: str | None) -> str:
    _, operator = reader.take()
    if operator not in _COMPARISONS:
        raise bad_request(f"Invalid filter clause: '{operator}' is not a comparison.")
    if lambda_name is not None:
        return _property_comparison(reader, name, operator, lambda_name)
    column = column_of(name)
    reader.properties.append(name)
    if name in _TIMES:
        reader.parameters.append(_time(reader))
    elif name in _TRUTHS:
        reader.parameters.append(int(_truth(reader)))
    else:
        reader.parameters.append(_literal(reader, "text"))
        column += " COLLATE NOCASE" if name.endswith("/address") or name == "subject" else ""
    return f"{column} {_COMPARISONS[operator]} ?"


def _property_comparison(reader: _Reader, name: str, operator: str, lambda_name: str) -> str:
    if operator != "eq":
        raise bad_request("Extended properties are compared with 'eq' here.")
    value = _literal(reader, "text")
    if name == f"{lambda_name}/id":
        reader.parameters.append(property_key(value))
        return "p.property = ?"
    if name == f"{lambda_name}/value":
        reader.parameters.append(value)
        return "p.value = ?"
    raise bad_request(f"Could not find a property named '{name}' on an extended property; it has 'id' and 'value'.")


def _literal(reader: _Reader, kind: str) -> str:
    found, value = reader.take()
    if found != kind:
        raise bad_request(f"Invalid filter clause: expected {kind}, found {value}.")
    return value[1:-1].replace("''", "'") if kind == "text" else value


def _time(reader: _Reader) -> float:
    value = _literal(reader, "time")
    try:
        return parse(value)
    except ValueError:
        raise bad_request(f"Invalid filter clause: '{value}' is not a time.") from None


def _truth(reader: _Reader) -> bool:
    value = _literal(reader, "name")
    if value not in {"true", "false"}:
        raise bad_request(f"Invalid filter clause: expected true or false, found {value}.")
    return value == "true"
