"""What an organization's other emails say about a source, to be frozen onto a hit as a flag before it is judged.

A scanner that shows itself in one email, by sweeping its links, cannot in another that has only one link. Its address
comes again, though: one address on many recipients' mails is how gateways and outbound scanners are known
(machines-and-law, 1 and 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.engagement.labels import Label, Observation, Verdict

MACHINE_ELSEWHERE = "machine-elsewhere"


@dataclass(frozen=True, slots=True)
class Record:
    """In how many emails a source was plainly a machine, and in how many something else."""

    machine: int = 0
    other: int = 0

    def __add__(self, more: "Record") -> "Record":
        return Record(self.machine + more.machine, self.other + more.other)

    def __sub__(self, less: "Record") -> "Record":
        return Record(self.machine - less.machine, self.other - less.other)


def learn(observations: Sequence[Observation], verdicts: Sequence[Verdict]) -> dict[str, Record]:
    """Return what one email's hits teach: a record of one email for each source.

    What only one fetch shows (HEAD, prefetch) is nobody's character; proxies and the sender teach nothing.
    """
    machines: set[str] = set()
    others: set[str] = set()
    for o, verdict in zip(observations, verdicts, strict=True):
        if verdict.label is Label.MACHINE and verdict.settled and o.method == "GET" and "prefetch" not in o.flags:
            machines.add(name(o))
        elif verdict.label is Label.PERSON:
            others.add(name(o))
    return {source: Record(source in machines, source not in machines) for source in machines | others}


def name(o: Observation) -> str:
    """Return under which name a source is remembered: its address with its agent, as keyed hashes.

    Not the address alone: an office shares one between its scanner and its people.
    """
    return f"{o.source}{o.agent}"


def mark(o: Observation, elsewhere: Record) -> Observation:
    """Return `o` with what the other emails' records of its source say about it."""
    if elsewhere.machine >= 2 and elsewhere.machine >= 2 * elsewhere.other:
        return replace(o, flags=(*o.flags, MACHINE_ELSEWHERE))
    return o
