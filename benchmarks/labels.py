"""How well the rules tell people from machines.

``python -m benchmarks.labels TRACES [-o PREDICTIONS]`` labels traces (JSONL, an email a line; `-` reads standard
input) and writes predictions, JSONL too: ``{"email": .., "labels": [..]}``, a label a hit, in the order of the hits.
``python -m benchmarks.labels --synthetic [--seed N] [--emails N]`` makes traces whose truth is known
(`benchmarks.traces`) and prints precision and recall of every label, and where they are confused. Rules see one email
at a time.
"""

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import traces
from shared.engagement.hits import Hit, Kind
from shared.engagement.labels import Email, Label, Verdict, judge, observe, source_hash

KEY = b"a key for measuring only"

KINDS = {"open": Kind.OPEN, "image": Kind.IMAGE, "link": Kind.LINK, "attachment": Kind.ATTACHMENT}

type Trace = Mapping[str, Any]


def label(trace: Trace) -> list[Verdict]:
    """Return the verdict on each hit of `trace`, one email in the exchange format."""
    sent_at = round(datetime.fromisoformat(trace["sentAt"]).timestamp() * 1000)
    sender = trace.get("sender") or {}
    email = Email(
        sent_at=sent_at,
        links=trace["links"],
        images=trace["images"],
        attachments=trace["attachments"],
        recipients=trace["recipients"],
        sender_source=source_hash(KEY, sender.get("ip") or "", sender.get("agent") or ""),
    )
    return list(judge(email, [observe(hit, KEY) for hit in _hits(trace, sent_at)]))


def _hits(trace: Trace, sent_at: int) -> Iterator[Hit]:
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


def predict(lines: Iterable[str]) -> Iterator[str]:
    """Yield a line of predictions for each of `lines`, traces in the exchange format; empty lines are passed over."""
    for line in lines:
        if line.strip():
            trace = json.loads(line)
            labels = [verdict.label.name.lower() for verdict in label(trace)]
            yield json.dumps({"email": trace["email"], "labels": labels})


def report(seed: int, emails: int, wrong: str) -> None:
    """Print how well the rules do on synthetic traces, and the actors they get wrong; `wrong` prints its hits."""
    confusion: Counter[tuple[str, str]] = Counter()
    actors: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    hits, spent = 0, 0.0
    for made in traces.generate(seed, emails):
        start = time.perf_counter()
        verdicts = label(made.trace)
        spent += time.perf_counter() - start
        hits += len(verdicts)
        for truth, actor, hit, verdict in zip(made.labels, made.actors, made.trace["hits"], verdicts, strict=True):
            got = verdict.label.name.lower()
            confusion[truth, got] += 1
            actors[actor, truth][got] += 1
            if wrong == actor and got != truth:
                print(
                    json.dumps(
                        {"truth": truth, "got": got, "reason": verdict.reason, "email": made.trace["email"], **hit}
                    )
                )
    names = [value.name.lower() for value in Label]
    print(f"{emails} emails, {hits} hits, {spent / max(hits, 1) * 1e6:.0f} us a hit\n")
    print(f"{'truth':>10} | " + " ".join(f"{name:>8}" for name in names) + " | precision  recall")
    for name in names:
        right = confusion[name, name]
        found = sum(confusion[other, name] for other in names)
        there = sum(confusion[name, other] for other in names)
        row = " ".join(f"{confusion[name, other]:>8}" for other in names)
        print(f"{name:>10} | {row} | {right / max(found, 1):9.4f} {right / max(there, 1):7.4f}")
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
    arguments = parser.parse_args()
    if arguments.synthetic:
        report(arguments.seed, arguments.emails, arguments.wrong)
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
        for line in predict(source):
            target.write(line + "\n")


if __name__ == "__main__":
    main()
