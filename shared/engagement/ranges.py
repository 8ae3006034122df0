"""A set of hit sequences, by writer, in a few bytes: which hits of a flood have been counted already."""

from collections.abc import Iterable

type Ranges = dict[str, list[list[int]]]

MAX_RANGES = 2000
"""Runs kept over all writers; beyond it the oldest are forgotten (their hits are long folded)."""


def add(ranges: Ranges, ids: Iterable[str]) -> tuple[Ranges, int]:
    """Return `ranges` with these hit ids, and how many of them were new.

    >>> ranges, new = add({}, ["w-3", "w-1", "w-2", "w-7"])
    >>> ranges, new
    ({'w': [[1, 3], [7, 7]]}, 4)
    >>> add(ranges, ["w-2", "w-4"])
    ({'w': [[1, 4], [7, 7]]}, 1)
    """
    result = {writer: [list(run) for run in runs] for writer, runs in ranges.items()}
    new = 0
    by_writer: dict[str, set[int]] = {}
    for hit in ids:
        writer, _, sequence = hit.partition("-")
        by_writer.setdefault(writer, set()).add(int(sequence))
    for writer, sequences in by_writer.items():
        runs = result.pop(writer, [])
        fresh = [s for s in sequences if not any(first <= s <= last for first, last in runs)]
        new += len(fresh)
        result[writer] = _joined([*runs, *([s, s] for s in fresh)])[-MAX_RANGES:]
    while len(result) > 1 and sum(map(len, result.values())) > MAX_RANGES:
        del result[next(iter(result))]
    return result, new


def _joined(runs: list[list[int]]) -> list[list[int]]:
    joined: list[list[int]] = []
    for first, last in sorted(runs):
        if joined and first <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    return joined
