"""What the figures must be, worked out from the rows of mail alone."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime

from shared.services import figuring
from shared.storage import emails, figures

PLACES = {0: 2, 3: 3, 2: 4, 1: 5}
"""``interactiontype`` by its place among the counts."""
EVER = (date(2000, 1, 1), date(2100, 1, 1))


async def brought_up_to_date(organization, now=None):
    """Bring everything that waits into the figures."""
    for _ in range(20):
        again = await figuring.figure(organization.name, now or datetime.now(UTC))
        if again is None:
            return
    raise AssertionError("the figures never end")


async def expected(organization):
    """Return every scope's counts by quarter hour, from the interactions of all mail."""
    found: defaultdict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    for partition in await _all(organization):
        email = partition.email
        if email.get("statuscode") != 3 or not email.get("senton"):
            continue
        events = Counter(
            {(_quarter(email["senton"]), 0): 1, (_quarter(email["senton"]), 1): int(email["isemailfollowed"])}
        )
        for row in partition.interactions if email["isemailfollowed"] else ():
            if row.get("ee_label") == 0 and not row.get("ee_duplicateof"):
                events[_quarter(row["emailinteractiontime"]), PLACES[row["interactiontype"]]] += 1
        people = {(party["partyid_type"], party["partyid"]) for party in partition.parties if party.get("partyid")}
        people |= {(email.get("regardingobjectid_type"), email.get("regardingobjectid"))}
        scopes = {"organization", f"systemuser {email['ownerid']}"}
        scopes |= {f"{table} {key}" for table, key in people if key and table != "systemuser"}
        for scope in scopes:
            found[scope].update(events)
    return {scope: _cells(events) for scope, events in found.items()}


async def running(organization):
    """Return every scope's counts by quarter hour, as the figures have them; without those that are empty."""
    scopes = [scope async for scope in figures.list_scopes(organization) if not scope.startswith("template ")]
    found = {scope: await figures.read(organization, scope, *EVER) for scope in scopes}
    return {scope: counts for scope, counts in found.items() if counts}


async def expected_of_template(organization, template):
    """Return used, followed, opened, replied and clicked, each mail once, from the interactions of all mail."""
    counts: Counter[str] = Counter()
    for partition in await _all(organization):
        if partition.email.get("templateid") != template or partition.email.get("statuscode") != 3:
            continue
        counts["sent"] += 1
        if partition.email["isemailfollowed"]:
            own = [row for row in partition.interactions if row["ee_label"] == 0 and not row.get("ee_duplicateof")]
            counts["followed"] += 1
            for name, kind in (("opened", 0), ("replied", 3), ("clicked", 1)):
                counts[name] += any(row["interactiontype"] == kind for row in own)
    return tuple(counts[name] for name in ("sent", "followed", "opened", "replied", "clicked"))


async def _all(organization):
    rows = await organization.tables.query_all(organization.emails, "RowKey eq 'email'", ("PartitionKey",))
    found = [await emails.read_partition(organization, row["PartitionKey"], interactions=True) for row in rows]
    return [partition for partition in found if partition is not None]


def _quarter(time):
    return int(datetime.fromisoformat(time).timestamp()) // 900


def _cells(events):
    quarters = {quarter for quarter, _ in events}
    return {quarter: tuple(events[quarter, place] for place in range(6)) for quarter in quarters}
