"""Retention on real storage: old hits go, numbers stay, and later hits go on counting."""

import uuid
from datetime import timedelta

from shared.engagement import times
from shared.engagement.options import TO
from shared.services import folding, reminding, retaining
from shared.services.alerting import card_of
from shared.storage import emails, figures, opens, records
from shared.storage.tables import Operation
from tests.figures_world import EVER, brought_up_to_date
from tests.journalled_hits import SENT, a_hit, journalled
from tests.withdrawing_world import a_contact, as_party, opened, queued, sent_to, with_settings

DAY = timedelta(days=1)
COUNTED = ("opencount", "linksclickedcount", "ee_proxyopencount", "ee_machineopencount")


async def folded(organization, now, *rows):
    for partition in await journalled(organization, *rows):
        await folding.fold_partition(organization.name, partition, now)


async def retained(organization, now, budget=60.0):
    work: dict[str, str] | None = {"organization": organization.name, "work": "retain", "slice": "0"}
    messages = 0
    while work is not None:
        work, messages = await retaining.retain(organization, work, now, budget), messages + 1
    return messages


async def read(organization, email_id):
    found = await emails.read_partition(organization, email_id, interactions=True)
    assert found is not None
    return found


def numbers(email):
    return {name: email.get(name) for name in (*COUNTED, "lastopenedtime", "_counted")}


async def test_old_hits_go_and_everything_that_was_counted_stays(organization):
    ada = await a_contact(organization)
    email_id = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
    hits = [a_hit(email_id, after=3600.0 + n * 86_400, address=f"203.0.113.{n % 5}") for n in range(40)]
    await folded(organization, SENT + 41 * DAY, *hits, a_hit(email_id, headers={"user-agent": "curl/8"}))
    await brought_up_to_date(organization, SENT + 41 * DAY)
    before, told = await read(organization, email_id), await figures.read(organization, "organization", *EVER)
    assert before.email["opencount"] == 40
    organization = await with_settings(organization, ee_retentiondays=30)
    await retained(organization, SENT + 41 * DAY)
    after = await read(organization, email_id)
    assert len(after.interactions) == 29
    assert numbers(after.email) == numbers(before.email)
    await folding.fold_email(organization.name, email_id, SENT + 41 * DAY)
    assert numbers((await read(organization, email_id)).email) == numbers(before.email), "the next fold says the same"
    await folded(organization, SENT + 42 * DAY, a_hit(email_id, after=41.5 * 86_400))
    assert (await read(organization, email_id)).email["opencount"] == 41
    await brought_up_to_date(organization, SENT + 42 * DAY)
    now = await figures.read(organization, "organization", *EVER)
    assert sum(counts[2] for counts in now.values()) == 1 + sum(counts[2] for counts in told.values())


async def test_run_every_day_it_comes_to_the_same(organization):
    organization = await with_settings(organization, ee_retentiondays=3)
    email_id = await sent_to(organization, as_party(0, TO, await a_contact(organization)), sent=SENT)
    for day in range(8):
        await folded(organization, SENT + (day + 1) * DAY, a_hit(email_id, after=day * 86_400 + 4000.0))
        await retained(organization, SENT + (day + 1) * DAY)
        await retained(organization, SENT + (day + 1) * DAY)
        found = await read(organization, email_id)
        assert found.email["opencount"] == day + 1
        assert len(found.interactions) <= 3


async def test_a_hit_that_comes_later_than_it_may_be_kept_is_not(organization):
    organization = await with_settings(organization, ee_retentiondays=3)
    email_id = await sent_to(organization, as_party(0, TO, await a_contact(organization)), sent=SENT)
    await folded(organization, SENT + 10 * DAY, a_hit(email_id))
    assert (await read(organization, email_id)).interactions == ()


async def test_reading_times_and_cards_go_too_and_no_card_is_withdrawn_for_it(organization):
    organization = await with_settings(organization, ee_retentiondays=10)
    ada = await a_contact(organization, ee_timezone="Europe/Rome")
    email_id = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
    await opened(organization, email_id, SENT)
    card = card_of(email_id, "firstopen")
    await retained(organization, SENT + 5 * DAY)
    assert await records.get(organization, "actioncard", card) is not None
    assert await opens.read(organization, opens.of_person(ada["contactid"]), 9) != []
    await retained(organization, SENT + 11 * DAY)
    assert await opens.read(organization, opens.of_person(ada["contactid"]), 9) == []
    assert await opens.read(organization, opens.ORGANIZATION, 9) == []
    assert await records.get(organization, "actioncard", card) is None
    await folded(organization, SENT + 12 * DAY, a_hit(email_id, after=11.5 * 86_400))
    assert (await read(organization, email_id)).email["_card"] == "raised", "the first open was told once"
    assert await records.get(organization, "actioncard", card) is None


async def test_a_reminder_still_knows_that_the_mail_was_opened(organization):
    organization = await with_settings(organization, ee_retentiondays=3)
    expiry = times.iso_seconds(times.milliseconds(SENT + 20 * DAY))
    email_id = await sent_to(
        organization,
        as_party(0, TO, await a_contact(organization)),
        sent=SENT,
        emailremindertype=1,
        emailreminderexpirytime=expiry,
        emailreminderstatus=1,
    )
    await opened(organization, email_id, SENT)
    await retained(organization, SENT + 10 * DAY)
    await reminding.remind(organization, email_id, SENT + 20 * DAY + timedelta(minutes=1))
    email = (await read(organization, email_id)).email
    assert email["emailreminderstatus"] == 3
    assert "it was opened" in email["ee_reminderreason"]


async def test_replies_stay_and_without_a_setting_everything_does(organization):
    email_id = await sent_to(organization, as_party(0, TO, await a_contact(organization)), sent=SENT)
    await opened(organization, email_id, SENT)
    reply = {
        "PartitionKey": email_id,
        "RowKey": emails.interaction_key(0, f"reply-{uuid.uuid4()}"),
        "interactiontype": 3,
    }
    await organization.tables.apply(organization.emails, Operation("insert", reply))
    await retained(organization, SENT + 4000 * DAY)
    assert len((await read(organization, email_id)).interactions) == 2
    await retained(await with_settings(organization, ee_retentiondays=10), SENT + 4000 * DAY)
    assert [row["interactiontype"] for row in (await read(organization, email_id)).interactions] == [3]


async def test_it_is_cut_into_slices_and_one_message_takes_as_many_as_its_time_allows(organization):
    organization = await with_settings(organization, ee_retentiondays=10)
    sent = [await sent_to(organization, as_party(0, TO, await a_contact(organization)), sent=SENT) for _ in range(6)]
    for email_id in sent:
        await opened(organization, email_id, SENT)
    assert await retained(organization, SENT + 20 * DAY, budget=0.0) > 1
    assert [(await read(organization, email_id)).interactions for email_id in sent] == [()] * 6


async def test_only_organizations_that_keep_for_some_days_are_looked_at(organization):
    await retaining.start(SENT)
    assert queued(organization) == []
    await with_settings(organization, ee_retentiondays=10)
    await retaining.start(SENT)
    assert [work["slice"] for work in queued(organization)] == ["0"]
