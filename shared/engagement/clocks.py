"""By which clock a reader is told times: their own, else their organization's, else UTC."""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from shared.engagement import places


@dataclass(frozen=True, slots=True)
class Clock:
    """A time zone (an IANA name), and whether it is the reader's own: then a time need not say in which zone it is."""

    name: str = "UTC"
    is_own: bool = False

    @property
    def zone(self) -> ZoneInfo:
        """The zone's rules."""
        return ZoneInfo(self.name)

    def day(self, moment: datetime) -> date:
        """Return the day on which a moment is by this clock."""
        return moment.astimezone(self.zone).date()


def clock_of(own: str | None, organizations: str | None) -> Clock:
    """Return the clock of a reader from the names of their own zone and of the organization's; a name that the time
    zone database does not have is passed over.

    >>> clock_of("Asia/Tokyo", "Europe/Berlin"), clock_of(None, "Europe/Berlin").name, clock_of("Mars/Olympus", "").name
    (Clock(name='Asia/Tokyo', is_own=True), 'Europe/Berlin', 'UTC')
    """
    if own in places.zone_names():
        return Clock(str(own), is_own=True)
    return Clock(str(organizations)) if organizations in places.zone_names() else Clock()


def say(moment: datetime, now: datetime, clock: Clock) -> str:
    """Return a moment as people say it: the day when it is near, the date otherwise, and the hour.

    >>> now, evening = map(datetime.fromisoformat, ("2026-11-23T23:30Z", "2026-11-23T17:35Z"))
    >>> say(datetime.fromisoformat("2025-03-09T08:05Z"), now, Clock())
    'on 9 March 2025 at 08:05 UTC'
    >>> say(evening, now, Clock("Europe/Berlin")), say(evening, now, Clock("America/New_York", is_own=True))
    ('yesterday at 18:35 in Europe/Berlin', 'today at 12:35')
    """
    today, local = clock.day(now), moment.astimezone(clock.zone)
    day = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get((local.date() - today).days)
    if day is None:
        day = f"on {local.day} {local:%B}" + (f" {local.year}" if local.year != today.year else "")
    where = "" if clock.is_own else " UTC" if clock.name == "UTC" else f" in {clock.name}"
    return f"{day} at {local:%H:%M}{where}"
