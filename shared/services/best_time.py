"""BestTimeToEmail: reads what is known of the recipients, and nothing is written."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from shared.engagement.advice import Advice, Known, advise
from shared.engagement.best_time import parse_week
from shared.engagement.zones import find_zone
from shared.services.errors import Missing, Refused
from shared.services.habits import person_of
from shared.storage import opens, records
from shared.storage.calls import side_by_side
from shared.storage.organizations import Organization
from shared.storage.tables import Entity

MAX_RECIPIENTS = 100


async def best_time(organization: Organization, people: Sequence[tuple[str, str]], now: datetime) -> Advice:
    """Return when to write to `people`, tables and ids of records, and why.

    Raises `Refused` where there are none or too many, and `Missing` naming a record that there is not. Somebody named
    twice is one recipient.
    """
    people = list(dict.fromkeys(people))
    if not 1 <= len(people) <= MAX_RECIPIENTS:
        raise Refused(f"BestTimeToEmail takes 1 to {MAX_RECIPIENTS} recipients, not {len(people)}.")
    found = await side_by_side(lambda person: records.get(organization, *person), people)
    for (table, key), record in zip(people, found, strict=True):
        if record is None:
            raise Missing(f"{table} With Id = {key} Does Not Exist")
    times = await side_by_side(
        lambda person: opens.read(organization, opens.of_person(person[1]), opens.NEWEST_OF_PERSON), people
    )
    everybody = []
    if len(people) == 1:
        everybody = await opens.read(organization, opens.ORGANIZATION, opens.NEWEST_OF_ORGANIZATION)
    of_each = [tuple(at for _, at in own) for own in times]
    # In a thread: loading a country's holidays for the first time takes a second, and recipients are served here too.
    return await asyncio.to_thread(_advise, organization, [row for row in found if row], of_each, everybody, now)


def _advise(
    organization: Organization,
    found: Sequence[Entity],
    times: Sequence[tuple[int, ...]],
    everybody: Sequence[tuple[str, int]],
    now: datetime,
) -> Advice:
    settings = organization.settings
    week = parse_week(settings["ee_workdaystart"], settings["ee_workdayend"], settings["ee_workingdays"])
    people = []
    for record, own in zip(found, times, strict=True):
        person = person_of(record, own)
        people.append(Known(find_zone(person, settings["ee_timezone"], now), own))
    return advise(people, week, everybody, now)
