"""What a list kept by others says of an agent: the package crawler-user-agents, some 1,500 patterns of programs that
name themselves, MIT licensed, brought up to date with the other pins (``make pins``).

The list is made for web servers, and takes some that people have for programs: see `_PEOPLE`.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

_CHUNK = 25
"""Patterns to an expression: more share a first letter with every text and are slower, less are more expressions."""

_CLASSES = {
    "scanner": "scanner",
    "social-preview": "previewer",
    "browser-automation": "headless",
    "http-library": "script",
}
"""Our class for a tag of the list; all other tags (search engines, feeds, monitoring, ..) make a bot."""

_PEOPLE = frozenset({"AP3A\\.240617\\.008", "Blackboard", "coccoc", "Fluid", "Freespoke\\/", "Sogou"})
"""Patterns of the list that meet people: browsers (Cốc Cốc, Fluid, Freespoke, Sogou), an app's browser, and a build of
Android."""


def class_of(text: str) -> str:
    """Return the class, as in `agents.DECLARED`, of a program on the list that a user agent names; "" where none is."""
    for kind, expressions in _expressions().items():
        if any(_begins_a_word(found) for expression in expressions for found in expression.finditer(text)):
            return kind
    return ""


def _begins_a_word(found: re.Match[str]) -> bool:
    """Whether no word is cut: ViewSonic is no "Sonic". Looking behind within the expressions makes them a hundred times
    slower."""
    start = found.start()
    return start == 0 or not (found.string[start - 1].isalpha() and found[0][:1].isalpha())


@cache
def _expressions() -> Mapping[str, Sequence[re.Pattern[str]]]:
    # Reading and compiling it takes 25 ms: not before a hit is judged.
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    patterns: dict[str, list[str]] = {}
    for entry in CRAWLER_USER_AGENTS_DATA:
        if entry["pattern"] not in _PEOPLE:
            kind = next((_CLASSES[tag] for tag in entry.get("tags", ()) if tag in _CLASSES), "bot")
            patterns.setdefault(kind, []).append(entry["pattern"])
    return {
        kind: [re.compile("|".join(found[i : i + _CHUNK])) for i in range(0, len(found), _CHUNK)]
        for kind, found in patterns.items()
    }
