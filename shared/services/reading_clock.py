"""Whose clock times are told by."""

from shared.engagement.clocks import Clock, clock_of
from shared.storage.organizations import Organization


async def reading_clock(organization: Organization, user: str) -> Clock:
    """Return the clock of a user, the organization's for one who has none or is no user; one point read."""
    row = await organization.tables.get(organization.records, "systemuser", user, ("ee_timezone",))
    return clock_of((row or {}).get("ee_timezone"), organization.settings["ee_timezone"])
