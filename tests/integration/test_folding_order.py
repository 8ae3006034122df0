"""The fold of what people, proxies and machines do to one mail: the order, the batches and the repetitions in which
their hits arrive change nothing."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks import traces
from benchmarks.labels import hits_of
from shared.engagement.counting import OPENS
from shared.engagement.labels import observe
from shared.engagement.timeline import first_by_person, tell
from shared.engagement.tokens import derive_key
from shared.services import alerting, folding
from shared.settings import settings
from shared.storage import emails, journal, records
from tests.journalled_hits import journalled
from tests.sent_mail import counters, put_sent_email, recount


async def arrives(organization, rows, shuffled, now):
    """Journal and fold `rows` in any order, in batches of any size, some of them twice."""
    left = [*rows, *shuffled.sample(rows, len(rows) // 4)]
    shuffled.shuffle(left)
    while left:
        size = shuffled.choice((1, 2, 5, 13))
        batch, left = left[:size], left[size:]
        for partition in await journalled(organization, *batch):
            await folding.fold_partition(organization.name, partition, now)


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_told_of_a_mail_does_not_depend_on_how_its_hits_arrive(organization, seed):
    shuffled = random.Random(seed)
    trace = next(
        made.trace for made in traces.generate(seed, 400) if 12 <= len(made.trace["hits"]) <= 40 and made.trace["links"]
    )
    sent = datetime.fromisoformat(trace["sentAt"])
    email_id = await put_sent_email(organization, sent, trace["links"])
    hits = list(hits_of(trace))
    now = datetime.fromtimestamp(max(hit.at for hit in hits) / 1000, UTC) + timedelta(hours=1)
    await arrives(organization, [journal.make_row(hit, email_id, 1) for hit in hits], shuffled, now)

    found = await emails.read_partition(organization, email_id, interactions=True)
    assert found is not None
    key = derive_key(settings().token_secrets[1], organization.name, "sources")
    told = tell(folding.facts_of(found), [observe(hit, key) for hit in hits])
    of = {event.observation.id: event for event in told.events}
    assert {row["_hit"] for row in found.interactions} == set(of)
    assert len(found.interactions) == len(hits)
    for row in found.interactions:
        event = of[row["_hit"]]
        into = event.duplicate_of and folding.interaction_id(email_id, event.duplicate_of)
        assert (row["ee_label"], row["ee_labelreason"]) == (int(event.verdict.label), event.verdict.reason)
        assert row.get("ee_duplicateof") == into
    assert counters(found) == recount_of(told) == recount(found)
    card = await records.get(organization, "actioncard", alerting.card_of(email_id, "firstopen"))
    assert (card is not None) == (first_by_person(told, OPENS) is not None)


def recount_of(told):
    """Return the counters that an email's row has."""
    names = ("opencount", "linksclickedcount", "attachmentopencount")
    beside = ("ee_proxyopencount", "ee_machineopencount", "ee_machineclickcount")
    return {name: getattr(told.counters, name) for name in (*names, *beside)}
