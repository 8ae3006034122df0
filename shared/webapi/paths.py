"""The path of a request under the Web API's root: its segments, and what names a row in the first."""

import re
from dataclasses import dataclass

from shared.webapi.errors import unknown_segment

SEGMENT = re.compile(r"([$\w.]+)(?:\((.*)\))?", re.DOTALL)
"""A name, and what stands in the parentheses behind it."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path's segments and what stands in the parentheses of the first."""

    first: str
    key: str | None
    rest: tuple[str, ...]


def parse_path(path: str) -> Path:
    """Return the segments of a path; a slash inside parentheses or quotes does not part them."""
    segments, depth, quote, start = [], 0, "", 0
    for position, character in enumerate(path):
        if quote or (depth > 0 and character in "'\""):
            quote = "" if character == quote else quote or character
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "/" and depth == 0:
            segments.append(path[start:position])
            start = position + 1
    segments.append(path[start:])
    if not path:
        return Path("", None, ())
    match = SEGMENT.fullmatch(segments[0])
    if match is None:
        raise unknown_segment(segments[0][:80])
    return Path(match[1], match[2], tuple(segments[1:]))
