"""The public holidays of a country and its subdivision, from the package holidays; only official ones of everybody."""

from collections.abc import Callable
from datetime import date
from functools import lru_cache

from shared.engagement.places import normalized, state_readings

type Calendar = Callable[[date], str]
"""Returns the name of the holiday that a day is, "" for a day that is none."""

_DEFAULTS = {"GB": "ENG"}


def no_holidays(day: date) -> str:  # noqa: ARG001 - a `Calendar`
    """The calendar of somebody whose country is not known."""
    return ""


@lru_cache(maxsize=256)
def calendar_of(country: str | None, state: str) -> Calendar | None:
    """Return the calendar of a country (code) and a state as an address names it; None where none is known of it.

    A state that is not known leaves the holidays of the whole country; in the United Kingdom, where these are few,
    those of England, where most people live.
    """
    if country is None:
        return None
    # Loading it takes half a second: only where somebody asks for a best time.
    import holidays

    try:
        nationwide = holidays.country_holidays(country)
    except NotImplementedError:
        return None
    codes = {
        normalized(name): code
        for code, names in nationwide.get_subdivision_aliases().items()
        for name in (*names, code)
    }
    subdivision = next(
        (codes[name] for name in state_readings(country, state) if name in codes), _DEFAULTS.get(country)
    )
    language = "en_US" if "en_US" in nationwide.supported_languages else None
    days = holidays.country_holidays(country, subdiv=subdivision, language=language)
    return lambda day: str(days.get(day) or "")
