"""In which time zone somebody is, from what is known of them, best first: their own zone, postal address, phone number,
the hours in which they opened mail, the organization's zone. What does not say is passed over, and the words say why.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from shared.engagement import places
from shared.engagement.times import from_milliseconds

ENOUGH_OPENS = 40
ENOUGH_DAYS = 20
"""From how many opens by the person, on how many days, their hours may say where their day is."""
_CONFIDENCE = 0.95
"""How probable the estimated offset, an hour more or less, must be for it to be used."""
_DAY_OF_MAIL = (1, 1, 1, 1, 1, 1, 3, 6, *(12,) * 10, 6, 6, 6, 6, 3, 3)
"""How often mail is opened in each hour of a local day, relative to the dead of night: an assumption, a plain one."""
_OFFSETS = range(-11, 13)


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of a recipient. Texts as somebody wrote them, "" where unknown; `opens` are times in milliseconds
    since the epoch at which they, and nobody else, opened mail."""

    timezone: str = ""
    country: str = ""
    state: str = ""
    city: str = ""
    phones: tuple[str, ...] = ()
    opens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The zone (an IANA name, or None), where it comes from in words, the country (code) whose holidays they have, if
    known, what was looked at before and did not say, each in words, and the state of that country ("" not known)."""

    zone: str | None
    source: str
    country: str | None = None
    passed_over: tuple[str, ...] = ()
    state: str = ""


def complaint(name: str) -> str:
    """Return what is wrong with the name of a time zone, "" where nothing is.

    >>> complaint("Europe/Berlin"), complaint("europe/berlin")
    ('', "'europe/berlin' is not a time zone: it is spelled 'Europe/Berlin'")
    """
    if name in places.zone_names():
        return ""
    shown = f"'{name[:60].encode('ascii', 'backslashreplace').decode()}' is not a time zone"
    folded = name[:60].strip().casefold()
    proper = next((known for known in places.zone_names() if known.casefold() == folded), None)
    if proper:
        return f"{shown}: it is spelled '{proper}'"
    return f"{shown}: give a name of the IANA time zone database, such as Europe/Berlin or America/New_York"


def find_zone(person: Person, organization_zone: str, now: datetime) -> Whereabouts:
    """Return where a person's clock is; `organization_zone` is the last resort, "" where there is none.

    A country with several zones says nothing alone, unless their clocks agree throughout the year after `now`. A phone
    number of another country than the address's contradicts it and is passed over, and so is the organization's zone
    where it is none of that country's.
    """
    place = places.locate(person.country, person.state or person.city.partition(",")[2])
    country = place.country if place else None
    found = _find(replace(person, state=place.state) if place else person, country, organization_zone, now)
    return replace(found, state=place.state) if place and found.country == country else found


def _find(person: Person, country: str | None, organization_zone: str, now: datetime) -> Whereabouts:
    passed: list[str] = []
    if person.timezone:
        if not complaint(person.timezone):
            return Whereabouts(
                person.timezone, "their own time zone", country or places.zone_countries().get(person.timezone)
            )
        passed.append(f"their time zone '{person.timezone}' does not exist")
    found = _by_address(person, country, now, passed) or _by_phones(person, country, now, passed)
    if found is not None:
        return Whereabouts(*found, tuple(passed))
    estimated = estimate_offset(person.opens)
    if estimated is not None:
        words = f"the hours of their {len(person.opens)} opens, which fit UTC{estimated:+d} if they keep ordinary hours"
        return Whereabouts(f"Etc/GMT{-estimated:+d}", words, country, tuple(passed))
    if organization_zone and not complaint(organization_zone):
        if country is None or any(
            agreeing((z, organization_zone), now) for z in places.country_zones().get(country, ())
        ):
            # Where no country is known, nothing says that they live there: the holidays there say nothing of them.
            return Whereabouts(organization_zone, "the organization's own time zone", country, tuple(passed))
        passed.append(f"the organization's own time zone is not one of {places.country_names()[country]}")
    return Whereabouts(None, "", country, tuple(passed))


def agreeing(zones: Sequence[str], now: datetime) -> str | None:
    """Return the first of `zones` where all their clocks agree in every week of the year after `now`, else None."""
    if not zones:
        return None
    infos = [ZoneInfo(zone) for zone in zones]
    for week in range(53):
        moment = now + timedelta(weeks=week)
        if len({moment.astimezone(info).utcoffset() for info in infos}) > 1:
            return None
    return zones[0]


def _by_address(
    person: Person, country: str | None, now: datetime, passed: list[str]
) -> tuple[str, str, str | None] | None:
    if country is None:
        if person.country:
            passed.append(f"the country of their address, '{person.country}', is not known")
        elif person.state or person.city:
            passed.append("their address names no country")
        return None
    name = places.country_names().get(country, country)
    zones = places.country_zones().get(country, ())
    only = OFFICIAL.get(country) or agreeing(zones, now)
    if only:
        return only, f"their address ({name})", country
    of_state = places.state_zones(country, person.state) if person.state else ()
    of_city = places.city_zones(country, person.city) if person.city else ()
    if of_state:
        where = f"{person.state}, {name}"
        in_both = [zone for zone in of_city if any(agreeing((zone, other), now) for other in of_state)]
        only = agreeing(of_state, now) or agreeing(in_both, now)
        if only:
            city = f"{person.city}, " if not agreeing(of_state, now) else ""
            return only, f"their address ({city}{where})", country
        return of_state[0], f"their address (most of {where})", country
    only = agreeing(of_city, now)
    if only:
        return only, f"their address ({person.city}, {name})", country
    # Many a province is named after its capital.
    only = agreeing(places.city_zones(country, person.state), now) if person.state and not of_city else None
    if only:
        return only, f"their address ({person.state}, {name})", country
    passed.append(_why_not(person, name) if zones else f"nobody lives in {name}, and it has no time zone")
    return None


def _why_not(person: Person, country: str) -> str:
    given = " and ".join(f"'{text}'" for text in (person.city, person.state) if text)
    several = f"{country} has several time zones"
    return f"{several}, and {given} does not say which" if given else f"{several}, and their address names no state"


_ABROAD = re.compile(r"^[\s(]*\+?(?:0011|011|00)[\s)-]*")

OFFICIAL = {"CN": "Asia/Shanghai", "UA": "Europe/Kyiv", "UZ": "Asia/Tashkent"}
"""Countries that keep one time by law, whatever else the database lists of what is kept there locally."""


def _by_phones(
    person: Person, country: str | None, now: datetime, passed: list[str]
) -> tuple[str, str, str | None] | None:
    for number in person.phones:
        # Its tables take a while to load: only where a number is asked about.
        import phonenumbers
        from phonenumbers import timezone

        try:
            parsed = phonenumbers.parse(number, country)
        except phonenumbers.NumberParseException:
            parsed = None
        if parsed is None or not phonenumbers.is_valid_number(parsed):
            # Dialled abroad: 00 in most countries, 011 in America, whatever country the address names.
            try:
                parsed = phonenumbers.parse(_ABROAD.sub("+", number, count=1), None)
            except phonenumbers.NumberParseException:
                if parsed is None:
                    words = "has no country code" if country is None else "cannot be read"
                    passed.append(f"a phone number of theirs {words}")
                    continue
        region = phonenumbers.region_code_for_number(parsed)
        if not phonenumbers.is_valid_number(parsed) or region is None:
            passed.append("a phone number of theirs is not one that exists")
            continue
        if country is not None and region != country:
            passed.append("a phone number of theirs is of another country than their address")
            continue
        own = places.country_zones().get(region, ())
        # The library's zones of a number that could be anywhere are those of its whole country code.
        zones = [zone for zone in timezone.time_zones_for_number(parsed) if zone in own]
        zone = OFFICIAL.get(region) or agreeing(zones or own, now)
        if zone:
            return zone, f"their phone number ({places.country_names().get(region, region)})", region
        passed.append("a phone number of theirs may be in several time zones")
    return None


def estimate_offset(opens: Sequence[int]) -> int | None:
    """Return the whole hours from UTC in which opens (ms since the epoch) fit a plain day of mail, None where they are
    too few or do not say it clearly.

    The likelihood of every offset under `_DAY_OF_MAIL`, all offsets equally probable before. It cannot see summer time,
    and the hours in which mail was sent colour it: the last resort before the organization's zone.
    """
    times = [from_milliseconds(at) for at in opens]
    if len(times) < ENOUGH_OPENS or len({time.date() for time in times}) < ENOUGH_DAYS:
        return None
    hours = Counter(time.astimezone(UTC).hour for time in times)
    likelihoods = {
        offset: sum(count * math.log(_DAY_OF_MAIL[(hour + offset) % 24]) for hour, count in hours.items())
        for offset in _OFFSETS
    }
    best = max(likelihoods, key=lambda offset: (likelihoods[offset], -abs(offset)))
    weights = {offset: math.exp(value - likelihoods[best]) for offset, value in likelihoods.items()}
    near = sum(weight for offset, weight in weights.items() if abs((offset - best + 12) % 24 - 12) <= 1)
    return best if near >= _CONFIDENCE * sum(weights.values()) else None
