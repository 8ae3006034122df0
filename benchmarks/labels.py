"""How well the rules tell people from machines.

``python -m benchmarks.labels TRACES [-o PREDICTIONS]`` labels traces (JSONL, an email a line; `-` reads standard
input) and writes predictions, JSONL too: ``{"email": .., "labels": [..]}``, a label a hit, in the order of the hits.
``python -m benchmarks.labels --synthetic [--seed N] [--emails N]`` makes traces whose truth is known
(`benchmarks.traces`) and prints precision and recall of every label, and where they are confused. An organization's
other emails tell which sessions are a seller's and which sources are machines; `--alone` judges without them.
"""

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import traces
from shared.engagement import sources
from shared.engagement.hits import Hit, Kind
from shared.engagement.labels import Email, Label, Verdict, judge, observe, source_hash

KEY = b"a key for measuring only"

KINDS = {"open": Kind.OPEN, "image": Kind.IMAGE, "link": Kind.LINK, "attachment": Kind.ATTACHMENT}

type Trace = Mapping[str, Any]


def label(traces_of_file: Sequence[Trace], *, alone: bool = False) -> Iterator[list[Verdict]]:
    """Yield the verdicts on the hits of each of `traces_of_file`, emails in the exchange format, in their order.

    What the organization knows from its other emails is used as the product would: the sessions each seller was seen to
    send from, and the sources that were machines; not where `alone`.
    """
    sessions: defaultdict[str, set[str]] = defaultdict(set)
    for trace in traces_of_file:
        if session_of(trace):
            sessions[_seller(trace)].add(session_of(trace))
    emails = [email_of(trace, {session_of(trace)} if alone else sessions[_seller(trace)]) for trace in traces_of_file]
    observed = [[observe(hit, KEY) for hit in hits_of(trace)] for trace in traces_of_file]
    first = [judge(email, observations) for email, observations in zip(emails, observed, strict=True)]
    if alone:
        yield from map(list, first)
        return
    lessons = [sources.learn(*pair) for pair in zip(observed, first, strict=True)]
    known: defaultdict[str, defaultdict[str, sources.Record]] = defaultdict(lambda: defaultdict(sources.Record))
    for trace, lesson in zip(traces_of_file, lessons, strict=True):
        for name, record in lesson.items():
            known[trace["organization"]][name] += record
    for trace, email, observations, lesson in zip(traces_of_file, emails, observed, lessons, strict=True):
        records = known[trace["organization"]]
        marked = [
            sources.mark(o, records[sources.name(o)] - lesson.get(sources.name(o), sources.Record()))
            for o in observations
        ]
        yield list(judge(email, marked))


def _seller(trace: Trace) -> str:
    return f"{trace['organization']} {(trace.get('sender') or {}).get('id')}"


def session_of(trace: Trace) -> str:
    sender = trace.get("sender") or {}
    return source_hash(KEY, sender.get("ip") or "", sender.get("agent") or "")


def _sent_at(trace: Trace) -> int:
    return round(datetime.fromisoformat(trace["sentAt"]).timestamp() * 1000)


def email_of(trace: Trace, sessions: Iterable[str]) -> Email:
    return Email(
        sent_at=_sent_at(trace),
        links=trace["links"],
        images=trace["images"],
        attachments=trace["attachments"],
        recipients=trace["recipients"],
        sender_source="\n".join(sorted(filter(None, sessions))),
    )


def hits_of(trace: Trace) -> Iterator[Hit]:
    sent_at = _sent_at(trace)
    for number, hit in enumerate(trace["hits"]):
        yield Hit(
            id=f"{0:016x}-{number:012d}",
            kind=KINDS[hit["kind"]],
            item=hit["item"],
            at=sent_at + round(hit["at"] * 1000),
            method=hit["method"],
            address=hit.get("ip") or "",
            headers=hit.get("headers") or {},
            query=hit.get("query") or "",
        )


def predict(lines: Iterable[str], *, alone: bool = False) -> Iterator[str]:
    """Yield a line of predictions for each of `lines`, traces in the exchange format; empty lines are passed over."""
    emails = [json.loads(line) for line in lines if line.strip()]
    for trace, verdicts in zip(emails, label(emails, alone=alone), strict=True):
        yield json.dumps({"email": trace["email"], "labels": [verdict.label.name.lower() for verdict in verdicts]})


def report(seed: int, emails: int, wrong: str, *, alone: bool) -> None:
    """Print how well the rules do on synthetic traces, and the actors they get wrong; `wrong` prints its hits."""
    confusion: Counter[tuple[str, str]] = Counter()
    actors: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    made = list(traces.generate(seed, emails))
    start = time.perf_counter()
    found = list(label([one.trace for one in made], alone=alone))
    spent = time.perf_counter() - start
    hits = sum(map(len, found))
    for one, verdicts in zip(made, found, strict=True):
        for truth, actor, hit, verdict in zip(one.labels, one.actors, one.trace["hits"], verdicts, strict=True):
            got = verdict.label.name.lower()
            confusion[truth, got] += 1
            actors[actor, truth][got] += 1
            if wrong == actor and got != truth:
                shown = {"truth": truth, "got": got, "reason": verdict.reason, "email": one.trace["email"], **hit}
                print(json.dumps(shown))
    names = [value.name.lower() for value in Label]
    print(f"{emails} emails, {hits} hits, {spent / max(hits, 1) * 1e6:.0f} us a hit\n")
    print(f"{'truth':>10} | " + " ".join(f"{name:>8}" for name in names) + " | precision  recall")
    for name in names:
        right = confusion[name, name]
        claimed = sum(confusion[other, name] for other in names)
        there = sum(confusion[name, other] for other in names)
        row = " ".join(f"{confusion[name, other]:>8}" for other in names)
        print(f"{name:>10} | {row} | {right / max(claimed, 1):9.4f} {right / max(there, 1):7.4f}")
    print("\nworst actors: name (truth), right of all")
    ranked = sorted(actors.items(), key=lambda entry: entry[1][entry[0][1]] - sum(entry[1].values()))
    for (actor, truth), got_counts in ranked[:15]:
        total = sum(got_counts.values())
        if got_counts[truth] < total:
            print(f"  {actor} ({truth}): {got_counts[truth]}/{total} {dict(got_counts)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.labels", description=__doc__)
    parser.add_argument("traces", nargs="?", metavar="TRACES", help="JSONL; - for standard input")
    parser.add_argument("-o", "--output", metavar="PREDICTIONS", help="where to write; standard output by default")
    parser.add_argument("--synthetic", action="store_true", help="measure on generated traces")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--emails", type=int, default=4000)
    parser.add_argument(
        "--wrong", default="", metavar="ACTOR", help="with --synthetic: print an actor's mislabelled hits"
    )
    parser.add_argument("--alone", action="store_true", help="judge every email without what the others tell")
    arguments = parser.parse_args()
    if arguments.synthetic:
        report(arguments.seed, arguments.emails, arguments.wrong, alone=arguments.alone)
        return
    if not arguments.traces:
        parser.error("name a file of traces, or --synthetic")
    with ExitStack() as stack:
        source = (
            sys.stdin if arguments.traces == "-" else stack.enter_context(Path(arguments.traces).open(encoding="utf-8"))
        )
        target = sys.stdout
        if arguments.output:
            target = stack.enter_context(Path(arguments.output).open("w", encoding="utf-8"))
        for line in predict(source, alone=arguments.alone):
            target.write(line + "\n")


if __name__ == "__main__":
    main()
