"""What one more mail, and one more open, cost the figures, by the number of emails that the organization has; and how
long rebuilding all figures takes.

Storage is an Azurite with the order that Azure has (azurite_index.cjs).
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks.filled import TEMPLATES, Filled, deployment, draft, fill
from benchmarks.lists import LARGE, ROUNDS, SMALL, Calls, Sample, count_calls
from shared.engagement.figures import QUARTER
from shared.engagement.options import SENT
from shared.engagement.times import iso_seconds, milliseconds
from shared.services import figuring
from shared.storage import emails, records
from shared.storage.account import close_session
from shared.storage.organizations import Organization
from shared.storage.provisioning import provision_deployment
from tests.entra import Issuer


def report(small: int = SMALL, large: int = LARGE, rounds: int = ROUNDS) -> None:
    """Fill the organizations, measure, and print the tables."""
    with deployment() as issuer:
        asyncio.run(_report(issuer, small, large, rounds))


async def _report(issuer: Issuer, small: int, large: int, rounds: int) -> None:
    try:
        await provision_deployment()
        calls = count_calls()
        print("| emails | rebuilding all figures, s | emails/s |\n|--:|--:|--:|", flush=True)
        organizations = [await _filled(issuer, name, count) for name, count in (("small", small), ("large", large))]
        print(f"\n|  | calls, {small:,} | {large:,} | ms, {small:,} | {large:,} | ratio |\n|---|--:|--:|--:|--:|--:|")
        sent: list[list[Sample]] = [[], []]
        opened: list[list[Sample]] = [[], []]
        for number in range(rounds + 1):
            for place, filled in enumerate(organizations):
                samples = await _one_more(filled, calls)
                if number > 0:
                    sent[place].append(samples[0])
                    opened[place].append(samples[1])
        _print_row("one more mail sent", sent)
        _print_row("one more open", opened)
    finally:
        await close_session()


async def _filled(issuer: Issuer, name: str, count: int) -> Filled:
    filled = await fill(issuer, name, count)
    organization = filled.seller.organization
    for template in TEMPLATES:
        await records.put(
            organization, "template", template, {"templateid": template, "title": template, "ispersonal": False}
        )
    started = time.perf_counter()
    await figuring.rebuild(organization)
    seconds = time.perf_counter() - started
    print(f"| {count:,} | {seconds:.1f} | {count / seconds:,.0f} |", flush=True)
    return filled


async def _one_more(filled: Filled, calls: Calls) -> tuple[Sample, Sample]:
    """Send a mail from a template and open it; return what bringing each into the figures cost."""
    organization = filled.seller.organization
    template = f"/templates({TEMPLATES[0]})"
    email = await filled.seller.make("emails", {**draft(filled.contact), "templateid@odata.bind": template})
    now = milliseconds(datetime.now(UTC))
    sent = {"statecode": 1, "statuscode": SENT, "senton": iso_seconds(now), "isemailfollowed": True}
    opened = {"_counted": f'{{"opens":{{"{now // QUARTER}":1}}}}'}
    return await _measured(organization, email, sent, calls), await _measured(organization, email, opened, calls)


async def _measured(organization: Organization, email: str, changes: dict[str, Any], calls: Calls) -> Sample:
    row = await emails.get_email(organization, email)
    if row is None:
        raise RuntimeError(f"email {email} is gone")
    await emails.commit(organization, row, changes)
    before, started = calls.count, time.perf_counter()
    await figuring.figure(organization.name, datetime.now(UTC))
    return Sample((time.perf_counter() - started) * 1000, calls.count - before)


def _print_row(what: str, samples: Sequence[Sequence[Sample]]) -> None:
    """Print medians; the ratio is that of neighbours in time."""
    ratio = statistics.median(b.ms / a.ms for a, b in zip(*samples, strict=True))
    calls = [statistics.mode(sample.calls for sample in of_size) for of_size in samples]
    ms = [statistics.median(sample.ms for sample in of_size) for of_size in samples]
    print(f"| {what} | {calls[0]} | {calls[1]} | {ms[0]:.1f} | {ms[1]:.1f} | {ratio:.2f} |", flush=True)
