"""A set of hit sequences, by writer, in a few bytes: which hits of a flood have been counted already."""

from bisect import bisect_right
from collections.abc import Iterable

type Ranges = dict[str, list[list[int]]]
type Run = tuple[str, int, int]
"""A writer, and the first and the last of sequence numbers that follow each other."""

MAX_RANGES = 800
"""Runs and writers that are kept, few enough to fit a table property whatever their numbers; beyond it the oldest are
forgotten (their hits are long folded)."""


def run_of(hit: str) -> Run:
    """Return the run that a single hit is, by its id.

    >>> run_of("0123456789abcdef-000000000007")
    ('0123456789abcdef', 7, 7)
    """
    writer, _, sequence = hit.partition("-")
    return writer, int(sequence), int(sequence)


def add(ranges: Ranges, runs: Iterable[Run]) -> tuple[Ranges, int]:
    """Return `ranges` with these runs, and how many of their hits were new.

    >>> ranges, new = add({}, [("w", 3, 3), ("w", 1, 2), ("w", 7, 7)])
    >>> ranges, new
    ({'w': [[1, 3], [7, 7]]}, 4)
    >>> add(ranges, [("w", 2, 4)])
    ({'w': [[1, 4], [7, 7]]}, 1)
    """
    result = dict(ranges)
    new = 0
    by_writer: dict[str, list[list[int]]] = {}
    for writer, first, last in runs:
        by_writer.setdefault(writer, []).append([first, last])
    for writer, added in by_writer.items():
        before = result.pop(writer, [])
        joined = _joined([*before, *added])
        new += _length(joined) - _length(before)
        result[writer] = joined[1 - MAX_RANGES :]
    while len(result) > 1 and sum(len(kept) + 1 for kept in result.values()) > MAX_RANGES:
        del result[next(iter(result))]
    return result, new


def holds(ranges: Ranges, run: Run) -> bool:
    """Return whether the first hit of a run is among `ranges`.

    >>> holds({"w": [[1, 4], [7, 7]]}, ("w", 4, 4)), holds({"w": [[1, 4]]}, ("w", 5, 5))
    (True, False)
    """
    writer, first, _ = run
    kept = ranges.get(writer, [])
    before = bisect_right(kept, first, key=lambda one: one[0]) - 1
    return before >= 0 and first <= kept[before][1]


def _joined(runs: list[list[int]]) -> list[list[int]]:
    joined: list[list[int]] = []
    for first, last in sorted(runs):
        if joined and first <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    return joined


def _length(runs: list[list[int]]) -> int:
    return sum(last - first + 1 for first, last in runs)
