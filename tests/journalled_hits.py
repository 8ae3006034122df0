"""Hits as recipients' processes write them into the journal."""

import itertools
from datetime import UTC, datetime
from typing import Any

from shared.engagement.hits import Hit, Kind
from shared.engagement.times import milliseconds
from shared.storage import journal

SENT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
"""When the emails were sent that these hits are on."""
OUTLOOK = {
    "user-agent": "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
    "accept": "*/*",
    "accept-language": "en",
}
CHROME = {
    "user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 "
    "Safari/537.36",
    "accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "accept-language": "en-GB,en;q=0.9",
}

_numbers = itertools.count(1)


def a_hit(
    email_id,
    after=3600.0,
    kind=Kind.OPEN,
    item=0,
    headers=OUTLOOK,
    address="203.0.113.9",
    method="GET",
    writer="0123456789abcdef",
):
    """Return a hit `after` seconds, written by the process `writer`: one journal partition per writer and minute."""
    hit = Hit(
        f"{writer}-{next(_numbers):012d}",
        kind,
        item,
        milliseconds(SENT) + int(after * 1000),
        method,
        address,
        headers,
        "",
    )
    return journal.make_row(hit, email_id, 1)


async def journalled(organization, *rows):
    """Write rows as recipients' processes would and return their partitions."""
    rows_by_partition: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        rows_by_partition.setdefault(row["partition"], []).append(row)
    for own in rows_by_partition.values():
        for at in range(0, len(own), 100):
            await journal.write_rows(organization.name, own[at : at + 100])
    return list(rows_by_partition)
