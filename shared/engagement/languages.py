"""Times and numbers in a reader's language, a Windows locale id (LCID), as Unicode CLDR writes them (package Babel)."""

import locale
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel import Locale

ENGLISH = 1033
"""English as in the United States, in which the service itself speaks."""


@lru_cache(maxsize=64)
def _locale(language: int) -> "Locale":
    # Babel and a language's data take a tenth of a second: only where a text is not in English.
    from babel import Locale, UnknownLocaleError

    names = locale.windows_locale
    own = names.get(language, "")
    # The low ten bits are the language, the next ones where it is spoken; 1 is where it mostly is ([MS-LCID]).
    for name in (own, own.partition("_")[0], names.get(language & 0x3FF | 0x400, "").partition("_")[0]):
        try:
            return Locale.parse(name)
        except (ValueError, UnknownLocaleError):
            continue
    return Locale("en")


def date_in(moment: datetime, language: int) -> str:
    """Return a day as a locale id's language writes it, with its year in full.

    >>> date_in(datetime(2026, 11, 23, 17, 35), 1031), date_in(datetime(2026, 11, 23, 17, 35), 1040)
    ('23.11.2026', '23 nov 2026')
    """
    from babel.dates import format_date

    return format_date(moment, "medium", locale=_locale(language))


def time_in(moment: datetime, language: int) -> str:
    """Return a time of day, hours and minutes, as a locale id's language writes it.

    >>> time_in(datetime(2026, 11, 23, 17, 5), 1036)
    '17:05'
    """
    from babel.dates import format_time

    return format_time(moment, "short", locale=_locale(language))


def number_in(number: int, language: int) -> str:
    """Return a whole number as a locale id's language writes it.

    >>> number_in(1234567, 1031)
    '1.234.567'
    """
    from babel.numbers import format_decimal

    return format_decimal(number, locale=_locale(language))
