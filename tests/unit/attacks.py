"""Texts that a pattern finds hard, made from the pattern itself: what it can match, again and again, and never its end.

A matcher that goes back takes long where many places begin a match and none ends it. So texts that the pattern matches
are made, and every beginning and every end of them is a piece to be repeated.
"""

import re
from collections.abc import Iterator

# The standard library's own parser: what a pattern means is not guessed at.
from re import _constants as sre
from re import _parser
from typing import Any

_CATEGORIES = {
    sre.CATEGORY_DIGIT: "1",
    sre.CATEGORY_WORD: "a",
    sre.CATEGORY_SPACE: " ",
    sre.CATEGORY_NOT_SPACE: "a",
    sre.CATEGORY_NOT_WORD: "-",
    sre.CATEGORY_NOT_DIGIT: "a",
}
_PROBES = [*"a1 -_.:;,<>()[]{}\"'=/\\@%&#\t\n~!?*|$", "\u00e4"]


def attacks(pattern: "re.Pattern[Any]") -> list[str]:
    """Return pieces to be repeated, the shortest first: beginnings and ends of what the pattern matches."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    parsed = _parser.parse(source, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags)
    examples = {example for example in _examples(parsed) if example}
    pieces: set[str] = set()
    for example in examples:
        pieces |= {example[:length] for length in range(1, len(example) + 1)}
        pieces |= {example[start:] for start in range(1, len(example))}
    return sorted(pieces, key=lambda piece: (len(piece), piece))


def _examples(parsed: Any) -> Iterator[str]:
    """Yield texts that the pattern, or its beginning, matches: one for each alternative, repetitions short."""
    texts = [""]
    for operator, argument in parsed:
        ends = list(_of(operator, argument))
        texts = [text + end for text in texts[:24] for end in ends[:24]][:96] or texts
    yield from texts


def _of(operator: Any, argument: Any) -> Iterator[str]:
    match operator:
        case sre.LITERAL:
            yield chr(argument)
        case sre.NOT_LITERAL:
            yield next(probe for probe in _PROBES if ord(probe) != argument)
        case sre.ANY:
            yield "a"
        case sre.IN:
            yield from _members(argument)
        case sre.BRANCH:
            for branch in argument[1]:
                yield from _examples(branch)
        case sre.SUBPATTERN:
            yield from _examples(argument[3])
        case sre.ATOMIC_GROUP:
            yield from _examples(argument)
        case sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT:
            least, _, repeated = argument
            for example in list(_examples(repeated))[:12]:
                yield example * max(least, 1)
            if least == 0:
                yield ""
        case _:
            # What looks around, anchors and references back take no text of their own.
            yield ""


def _members(items: Any) -> list[str]:
    """Return some characters of a set: one of each kind that it names, or any that it does not exclude."""
    if items[0][0] is sre.NEGATE:
        return [probe for probe in _PROBES if not any(_holds(item, probe) for item in items[1:])][:6] or ["\u4e00"]
    found: list[str] = []
    for operator, argument in items:
        if operator is sre.LITERAL:
            found.append(chr(argument))
        elif operator is sre.RANGE:
            found.append(chr(argument[0]))
        else:
            found.append(_CATEGORIES[argument])
    return found[:6]


def _holds(item: Any, character: str) -> bool:
    operator, argument = item
    if operator is sre.LITERAL:
        return bool(argument == ord(character))
    if operator is sre.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    kind = {sre.CATEGORY_DIGIT: r"\d", sre.CATEGORY_WORD: r"\w", sre.CATEGORY_SPACE: r"\s"}.get(argument)
    kind = (
        kind or {sre.CATEGORY_NOT_DIGIT: r"\D", sre.CATEGORY_NOT_WORD: r"\W", sre.CATEGORY_NOT_SPACE: r"\S"}[argument]
    )
    return re.match(kind, character) is not None
