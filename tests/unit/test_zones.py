"""Where somebody's clock is, from what is known of them, best first; what does not say is passed over in words."""

import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel import Locale

from local import country_names
from shared.engagement import places
from shared.engagement.places import find_country
from shared.engagement.public_holidays import calendar_of
from shared.engagement.times import milliseconds
from shared.engagement.zones import OFFICIAL, Person, agreeing, complaint, estimate_offset, find_zone

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def zone_of(organization="", **known):
    return find_zone(Person(**known), organization, NOW).zone


def opens_of(zone, days=60, seed=1):
    """Return opens of somebody who reads one mail a day, at any hour between eight and six."""
    rng = random.Random(seed)
    start = datetime(2026, 1, 5, tzinfo=ZoneInfo(zone))
    times = (start + timedelta(days=day, hours=rng.choice(range(8, 18))) for day in range(days))
    return tuple(milliseconds(time) for time in times)


def test_their_own_zone_comes_before_everything_else():
    person = Person("Asia/Tokyo", "Germany", "", "Berlin", ("+12125550123",))
    assert find_zone(person, "Europe/Vienna", NOW).zone == "Asia/Tokyo"
    assert find_zone(person, "Europe/Vienna", NOW).source == "their own time zone"


@pytest.mark.parametrize(
    ("address", "zone"),
    [
        ({"country": "Germany"}, "Europe/Berlin"),
        ({"country": "de"}, "Europe/Berlin"),
        ({"country": "DEU"}, "Europe/Berlin"),
        ({"country": " Deutschland "}, "Europe/Berlin"),
        ({"country": "Österreich"}, "Europe/Vienna"),
        ({"country": "UK"}, "Europe/London"),
        ({"country": "Scotland"}, "Europe/London"),
        ({"country": "Nepal"}, "Asia/Kathmandu"),
        ({"country": "China"}, "Asia/Shanghai"),
        ({"country": "Argentina"}, "America/Argentina/Buenos_Aires"),
        ({"country": "USA", "state": "CA"}, "America/Los_Angeles"),
        ({"country": "U.S.", "state": "New York"}, "America/New_York"),
        ({"country": "USA", "state": "Arizona"}, "America/Phoenix"),
        ({"country": "USA", "state": "TX", "city": "El Paso"}, "America/Denver"),
        ({"country": "USA", "state": "OR", "city": "Portland"}, "America/Los_Angeles"),
        ({"country": "USA", "state": "ME", "city": "Portland"}, "America/New_York"),
        ({"country": "USA", "city": "San Francisco"}, "America/Los_Angeles"),
        ({"country": "USA", "city": "NYC"}, "America/New_York"),
        ({"country": "Canada", "state": "Newfoundland and Labrador", "city": "St. John's"}, "America/St_Johns"),
        ({"country": "Canada", "city": "Montréal"}, "America/Toronto"),
        ({"country": "Brasil", "state": "São Paulo"}, "America/Sao_Paulo"),
        ({"country": "Brazil", "city": "Manaus"}, "America/Manaus"),
        ({"country": "México", "state": "Baja California"}, "America/Tijuana"),
        ({"country": "Australia", "state": "QLD"}, "Australia/Brisbane"),
        ({"country": "Australia", "city": "Perth"}, "Australia/Perth"),
        ({"country": "Россия", "city": "Владивосток"}, "Asia/Vladivostok"),
        ({"country": "Russia", "state": "Novosibirsk Oblast"}, "Asia/Novosibirsk"),
        ({"country": "Indonesia", "state": "Bali"}, "Asia/Makassar"),
        ({"country": "España", "city": "Sevilla"}, "Europe/Madrid"),
        ({"country": "Spain", "state": "Las Palmas"}, "Atlantic/Canary"),
    ],
)
def test_a_postal_address_says_the_zone(address, zone):
    found = zone_of(**address)
    assert found is not None
    assert agreeing((zone, found), NOW), found


def table(name):
    lines = (Path(__file__).parent / "places" / name).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(("code", "names"), [(code, names) for code, *names in table("countries.tsv")])
def test_a_country_is_known_by_every_name_of_iso_3166(code, names):
    assert {find_country(name) for name in (code, *names, *map(str.upper, names))} == {code}
    assert {find_country(name.replace(" and ", " & ")) for name in names} == {code}


@pytest.mark.parametrize("language", ["en", "de", "fr", "it", "es", "pt", "nl", "ru", "ja", "zh", "ar", "el", "ko"])
def test_a_country_is_known_by_the_name_that_cldr_has_for_it(language):
    names = Locale.parse(language).territories
    assert {code: find_country(names[code]) for code in places.country_names()} == {
        code: code for code in places.country_names()
    }


def test_the_extract_of_cldr_is_what_babel_holds():
    assert country_names.TARGET.read_text("utf-8").splitlines() == list(country_names.lines()), "run make places"


@pytest.mark.parametrize(("country", "state", "code", "zone"), table("addresses.tsv"))
def test_an_address_says_where_somebody_is_however_it_is_written(country, state, code, zone):
    found = find_zone(Person(country=country, state=state), "", NOW)
    assert found.country == code
    assert found.zone is not None
    assert agreeing((zone, found.zone), NOW), found


def test_a_part_of_the_united_kingdom_has_its_own_holidays_and_no_part_has_englands():
    def holidays(**address):
        found = find_zone(Person(**address), "", NOW)
        calendar = calendar_of(found.country, found.state)
        assert calendar is not None
        days = {day: calendar(date(2026, *day)) for day in ((11, 30), (7, 13), (8, 31), (4, 6))}
        return {day for day, name in days.items() if name}

    scotland, ireland, england = {(11, 30)}, {(7, 13), (8, 31), (4, 6)}, {(8, 31), (4, 6)}
    assert holidays(country="Scotland") == holidays(country="UK", state="Scotland") == scotland
    assert holidays(country="Schottland") == holidays(country="GB-SCT") == scotland
    assert holidays(country="UK", state="GB-SCT") == holidays(country="Scotland", state="Fife, Scotland") == scotland
    assert holidays(country="Northern Ireland") == ireland
    assert holidays(country="Wales") == england
    assert holidays(country="United Kingdom") == holidays(country="UK", state="Kent") == england
    assert holidays(phones=("+44 20 7946 0958",)) == england


def test_a_territory_has_its_own_holidays():
    found = find_zone(Person(country="USA", state="Puerto Rico"), "", NOW)
    assert (found.country, found.state) == ("PR", "")


@pytest.mark.parametrize("text", ["", "?", "Atlantis", "Republic", "The", "(,)", "x" * 10_000, ",".join("ab" * 5000)])
def test_what_names_no_country_is_none(text):
    assert find_country(text) is None


def test_a_state_with_two_zones_and_an_unknown_city_is_where_most_of_it_is_and_says_so():
    found = find_zone(Person(country="USA", state="FL", city="Nowhere"), "", NOW)
    assert (found.zone, found.source) == ("America/New_York", "their address (most of FL, the United States)")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ({"country": "USA"}, "the United States has several time zones, and their address names no state"),
        (
            {"country": "USA", "city": "Portland"},
            "the United States has several time zones, and 'Portland' does not say which",
        ),
        ({"country": "Atlantis"}, "the country of their address, 'Atlantis', is not known"),
        ({"city": "Paris"}, "their address names no country"),
    ],
)
def test_an_address_that_does_not_say_is_passed_over_in_words(address, words):
    found = find_zone(Person(**address), "", NOW)
    assert found.zone is None
    assert found.passed_over == (words,)


@pytest.mark.parametrize(
    ("number", "country", "zone"),
    [
        ("+49 30 12345678", "", "Europe/Berlin"),
        ("+1 212 555 0123", "", "America/New_York"),
        ("+61 2 9374 4000", "", "Australia/Sydney"),
        ("(415) 555-0132", "USA", "America/Los_Angeles"),
        ("0049 30 901820", "", "Europe/Berlin"),
        ("0049 (0)30 901820", "", "Europe/Berlin"),
        ("(0049) 30 901820", "", "Europe/Berlin"),
        ("00 49 30 901820", "", "Europe/Berlin"),
        ("+0049 30 901820", "", "Europe/Berlin"),
        ("011 44 20 7946 0958", "", "Europe/London"),
        ("0011 81 3 1234 5678", "", "Asia/Tokyo"),
        ("001 212 555 0123", "", "America/New_York"),
        ("0039 055 2616 051", "Italia", "Europe/Rome"),
        ("00 1 415 555 0132", "USA", "America/Los_Angeles"),
        ("020 7946 0958", "UK", "Europe/London"),
    ],
)
def test_a_phone_number_says_the_zone_where_the_address_does_not(number, country, zone):
    assert zone_of(country=country, phones=(number,)) == zone


@pytest.mark.parametrize(
    ("number", "country", "words"),
    [
        ("030 12345678", "", "has no country code"),
        ("call me", "USA", "cannot be read"),
        ("+49 30 1", "", "is not one that exists"),
        ("+7 916 1234567", "", "may be in several time zones"),
        ("+1 800 555 0100", "", "may be in several time zones"),
        ("+49 30 12345678", "USA", "is of another country than their address"),
    ],
)
def test_a_phone_number_that_does_not_say_is_passed_over_in_words(number, country, words):
    found = find_zone(Person(country=country, phones=(number,)), "", NOW)
    assert found.zone is None
    assert words in found.passed_over[-1]


def test_the_second_number_counts_where_the_first_does_not_say():
    assert zone_of(phones=("0800", "+81 3 1234 5678")) == "Asia/Tokyo"


@pytest.mark.parametrize(("zone", "offset"), [("Asia/Kolkata", 5), ("Asia/Tokyo", 9), ("America/Bogota", -5)])
def test_many_opens_on_many_days_say_the_offset_within_an_hour(zone, offset):
    found = estimate_offset(opens_of(zone))
    assert found is not None
    assert abs(found - offset) <= 1


def test_estimated_hours_come_before_the_organizations_zone_and_say_that_they_are_estimated():
    found = find_zone(Person(opens=opens_of("Asia/Tokyo")), "Europe/Vienna", NOW)
    assert found.zone is not None
    hours = NOW.astimezone(ZoneInfo(found.zone)).utcoffset()
    assert hours in {timedelta(hours=8), timedelta(hours=9), timedelta(hours=10)}
    assert "the hours of their 60 opens, which fit UTC+" in found.source


def test_few_opens_opens_of_few_days_and_opens_at_all_hours_say_nothing():
    assert estimate_offset(opens_of("Asia/Tokyo", days=39)) is None
    assert estimate_offset(opens_of("Asia/Tokyo", days=10) * 6) is None
    around_the_clock = tuple(milliseconds(NOW + timedelta(days=n, hours=n % 24)) for n in range(96))
    assert estimate_offset(around_the_clock) is None


def test_the_organizations_zone_is_last_and_says_nothing_of_holidays():
    found = find_zone(Person(), "Europe/Vienna", NOW)
    assert (found.zone, found.country, found.source) == ("Europe/Vienna", None, "the organization's own time zone")


def test_the_organizations_zone_is_not_used_against_a_known_country():
    assert zone_of("Europe/Vienna", country="USA") is None
    assert zone_of("America/New_York", country="USA") == "America/New_York"
    assert zone_of("US/Eastern", country="USA") == "US/Eastern"


def test_nothing_known_is_no_zone():
    assert find_zone(Person(), "", NOW).zone is None


def test_a_zone_that_does_not_exist_is_passed_over_where_it_was_stored():
    found = find_zone(Person(timezone="Mars/Olympus", country="Japan"), "", NOW)
    assert found.zone == "Asia/Tokyo"
    assert found.passed_over == ("their time zone 'Mars/Olympus' does not exist",)


def test_the_country_for_holidays_follows_address_phone_and_zone():
    assert find_zone(Person("Europe/Berlin", "Austria"), "", NOW).country == "AT"
    assert find_zone(Person("Europe/Berlin"), "", NOW).country == "DE"
    assert find_zone(Person(phones=("+33 1 42 68 53 00",)), "", NOW).country == "FR"


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Argentina/Ushuaia", "US/Eastern", "UTC", "Etc/GMT+5"])
def test_names_of_the_database_are_zones(name):
    assert complaint(name) == ""


@pytest.mark.parametrize("name", ["Berlin", "W. Europe Standard Time", "UTC+2", "../etc/passwd", "Europe", "x\n"])
def test_an_impossible_zone_is_named_with_what_would_be_right(name):
    assert complaint(name).startswith(f"'{name}'" if name.isprintable() else "'x")
    assert "such as Europe/Berlin" in complaint(name)


def test_clocks_agree_only_if_they_do_all_year():
    assert agreeing(("Europe/Berlin", "Europe/Busingen"), NOW) == "Europe/Berlin"
    assert agreeing(("America/Denver", "America/Phoenix"), NOW) is None, "the same time now, but not in summer"
    assert agreeing((), NOW) is None


def test_every_zone_and_state_of_our_tables_is_in_the_database():
    zones = places.zone_names()
    for country in (*places._states(), *places._cities()):
        tables = (*places._states().get(country, {}).values(), *places._cities().get(country, {}).values())
        assert {zone for found in tables for zone in found} <= zones, country
        assert country in places.country_zones()
    assert set(OFFICIAL.values()) <= zones


def test_every_country_with_several_zones_has_states_or_cities():
    several = {c for c, zones in places.country_zones().items() if c not in OFFICIAL and not agreeing(zones, NOW)}
    without = several - {*places._states(), *places._cities()}
    assert without == {"AQ", "UM"}, "nobody has an address there"


def test_codes_names_and_spellings_lead_to_one_country_each():
    for code, name in places.country_names().items():
        assert find_country(code) == code
        assert find_country(name) in (code, None), name
    assert find_country("") is None
    assert len({find_country(text) for text in ("Turkey", "Türkiye", "Turkiye", "TR", "TUR")}) == 1


@pytest.mark.parametrize("organization", ["", "Europe/Berlin"])
def test_a_country_where_nobody_lives_has_no_zone_and_is_said(organization):
    found = find_zone(Person(country="Bouvet Island"), organization, NOW)
    assert found.zone is None
    assert "nobody lives in Bouvet Island, and it has no time zone" in found.passed_over
