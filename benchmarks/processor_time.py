"""How much processor time a process and its children have used, from /proc (Linux)."""

import os
from pathlib import Path


def used(pid: int) -> float:
    """Return the user and system seconds of a process and every process below it that still runs."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            ticks[int(entry.name)] = int(fields[11]) + int(fields[12])
    below = {pid}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return sum(ticks.get(each, 0) for each in below) / os.sysconf("SC_CLK_TCK")
