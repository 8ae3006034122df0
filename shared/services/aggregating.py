"""What came of a record's mail in a period: read from its figures, whose cost is the months asked for."""

from shared.engagement.figures import ORGANIZATION
from shared.engagement.series import Counts, Period, within
from shared.services.errors import Missing
from shared.storage import figures, records
from shared.storage.organizations import Organization


async def counts_of(organization: Organization, table: str, id: str, period: Period) -> dict[int, Counts]:
    """Return the counts of mail to, by or about a record (of all mail for the organization itself) by quarter hour.

    Raises `Missing` where there is no such record.
    """
    everything = table == ORGANIZATION and id == organization.id
    if not everything and (table == ORGANIZATION or await records.get(organization, table, id) is None):
        raise Missing(f"{table} With Id = {id} Does Not Exist")
    if period.is_empty:
        return {}
    scope = ORGANIZATION if everything else f"{table} {id}"
    return within(await figures.read(organization, scope, period.start.date(), period.last.date()), period)
