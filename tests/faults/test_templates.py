"""Templates while storage fails at any step, and while mail made of them is on its way."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from shared.services import templates
from shared.services.claiming import observer
from shared.services.people import welcome
from shared.services.sending import send_new
from shared.storage import agenda, blobs, emails, queues, records, undo
from shared.storage.account import StorageError, Unavailable, host_account
from shared.storage.organizations import Organization
from shared.webapi import finding, reading, writing
from shared.webapi.context import Context, Preferences
from shared.webapi.query import Query
from shared.webapi.tables import TABLES
from shared.webapi.template_actions import send_email_from_template
from tests.breaking import Breaker, a_breakable_organization
from tests.delivery_world import CALLER as SELLER
from tests.delivery_world import Clock, World
from tests.faults.conftest import CALLER, NOW
from tests.faults.test_composing import blob_names
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world
from tests.storage_dump import dump

__all__ = ["standin", "world"]

pytestmark = IGNORED_WARNINGS

type Broken = tuple[Breaker, Organization]

TABLE = TABLES["template"]
OLD = {"title": "t", "subject": "old", "templatetypecode": "contact", "languagecode": 1033, "body": "<p>old</p>"}
OLD |= {"safehtml": "<i>old</i>", "presentationxml": "<o/>"}
NEW = {"subject": "new", "body": "<p>new</p>", "safehtml": "<i>new</i>", "presentationxml": "<n/>"}
MOST = 8
"""More changes to a table, or calls to the Blob service, than any of these makes."""


@pytest_asyncio.fixture
async def breaking_blobs(configured: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Broken]:
    """Return an organization whose blobs are reached through a breaker."""
    async with a_breakable_organization(monkeypatch, host_account().blob_url) as (found, organization):
        found.status = 403
        await welcome(organization, CALLER.user, "Sella Seller", "seller@contoso.example", NOW)
        yield found, organization
    await blobs.close_clients()


def context_of(organization: Organization) -> Context:
    return Context(organization, CALLER, NOW, "https://x.example/o/api/data/v9.2", Preferences(), "", "")


async def state(organization: Organization, id: str) -> tuple[Any, ...] | None:
    """Return the texts of a template as they are, None where there is none; what it names must be there."""
    row = await records.get(organization, "template", id)
    if row is None:
        return None
    found = [(await blobs.get(organization, row[column.lazy])).decode() for column in TABLE.lazy_columns]
    return (row["subject"], *found)


def texts(sent: dict[str, Any]) -> tuple[Any, ...]:
    return (sent["subject"], *(sent[column.name] for column in TABLE.lazy_columns))


@pytest.mark.parametrize("after", [False, True], ids=["the call is lost", "the answer is lost"])
@pytest.mark.parametrize("step", ["make", "change", "delete"])
async def test_a_template_is_as_it_was_or_as_it_will_be_wherever_tables_fail(
    breaker: Broken, step: str, after: bool
) -> None:
    broken, organization = breaker
    context = context_of(organization)
    for nth in range(MOST):
        made = str(uuid.uuid4())
        before = None if step == "make" else texts(OLD)
        wanted = {"make": texts(OLD), "change": texts(NEW), "delete": None}[step]
        if step != "make":
            await writing.create(context, TABLE, {**OLD, "templateid": made})
        broken.arm(nth, after=after)
        failed = False
        try:
            if step == "make":
                await writing.create(context, TABLE, {**OLD, "templateid": made})
            elif step == "change":
                await writing.update(context, TABLE, made, NEW)
            else:
                await writing.delete(context, TABLE, made)
        except Unavailable:
            failed = True
        broken.arm(-1, after=False)
        assert await state(organization, made) == (before if failed and not after else wanted)
        if not failed:
            break
    assert nth == 1, "one change to the tables, and one attempt without a failure"


@pytest.mark.parametrize("step", ["make", "change", "delete", "change set"])
async def test_a_template_is_whole_wherever_blobs_fail(
    breaking_blobs: Broken, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "_PAUSES", (0, 0))
    broken, organization = breaking_blobs
    context = context_of(organization)
    failures = 0
    for nth in range(MOST):
        made = str(uuid.uuid4())
        if step != "make":
            await writing.create(context, TABLE, {**OLD, "templateid": made})
        broken.arm(nth, after=False, down=True)
        failed = False
        try:
            if step == "make":
                await writing.create(context, TABLE, {**OLD, "templateid": made})
            elif step == "change":
                await writing.update(context, TABLE, made, NEW)
            elif step == "delete":
                await writing.delete(context, TABLE, made)
            else:
                async with undo.scope():
                    await writing.update(context, TABLE, made, NEW)
        except Unavailable:
            failed = True
        broken.arm(-1, after=False)
        before, wanted = (None if step == "make" else texts(OLD)), (texts(OLD) if step == "make" else texts(NEW))
        expected = before if failed else None if step == "delete" else wanted
        assert await state(organization, made) == expected, nth
        failures += failed
    # The three texts come before the row; blobs that nothing names any more go after it, and may be left behind.
    assert failures == (0 if step == "delete" else 3)


async def test_what_a_change_set_wrote_of_a_template_is_gone_when_it_fails(breaker: Broken) -> None:
    _, organization = breaker
    context = context_of(organization)
    made = await writing.create(context, TABLE, OLD)
    before = sorted(await blob_names(organization))
    with pytest.raises(KeyError):
        async with undo.scope():
            await writing.update(context, TABLE, made, NEW)
            await writing.update(context, TABLE, made, {"body": "<p>newer</p>"})
            await writing.create(context, TABLE, OLD)
            await writing.delete(context, TABLE, made)
            raise KeyError
    assert await state(organization, made) == texts(OLD)
    assert sorted(await blob_names(organization)) == before


async def test_two_who_change_a_template_at_once_leave_the_texts_of_one_and_no_others(
    organization: Organization,
) -> None:
    context = context_of(organization)
    made = await writing.create(context, TABLE, OLD)
    changes = [{name: f"{value}{number}" for name, value in NEW.items()} for number in range(6)]
    await asyncio.gather(*(writing.update(context, TABLE, made, change) for change in changes))
    assert await state(organization, made) in [texts(change) for change in changes]
    assert len(await blob_names(organization)) == 3


async def test_a_template_that_is_sent_is_sent_or_not_made_wherever_storage_fails(
    breaker: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "_PAUSES", (0, 0))
    broken, organization = breaker
    context = context_of(organization)
    await records.merge(organization, "systemuser", CALLER.user, {"internalemailaddress": "seller@contoso.example"})
    contact = await writing.create(context, TABLES["contact"], {"firstname": "Ada", "emailaddress1": "a@x.example"})
    sent = {
        "TemplateId": await writing.create(context, TABLE, OLD),
        "Regarding": {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": contact},
        "Target": {"email_activity_parties": [{"addressused": "a@x.example", "participationtypemask": 2}]},
    }
    before = await dump(organization)
    for nth in range(30):
        broken.arm(nth, after=nth % 2 == 1)
        with contextlib.suppress(StorageError):
            await send_email_from_template(context, sent)
            break
        broken.arm(-1, after=False)
        assert await dump(organization) == before, nth
    assert 5 < nth < 29
    [row] = await organization.tables.query_all(organization.emails, "RowKey eq 'email'")
    assert row["statuscode"] == 6


async def never(*_: Any) -> bool:
    """Take nothing back, as a process that is gone."""
    return False


@pytest.mark.parametrize(("end", "after"), [("killed", False), ("killed", True), ("storage stays away", False)])
async def test_a_template_that_is_sent_leaves_no_draft_wherever_the_process_is_killed(
    breaker: Broken, monkeypatch: pytest.MonkeyPatch, after: bool, end: str
) -> None:
    monkeypatch.setattr(undo, "_PAUSES", (0, 0))
    broken, organization = breaker
    context = context_of(organization)
    await records.merge(organization, "systemuser", CALLER.user, {"internalemailaddress": "seller@contoso.example"})
    contact = await writing.create(context, TABLES["contact"], {"firstname": "Ada", "emailaddress1": "a@x.example"})
    if end == "killed":
        monkeypatch.setattr(undo, "_take_back", never)
    file = {"filename": "offer.pdf", "body": "JVBERg=="}
    # More parties than one transaction takes, and a time far ahead.
    parties = [{"addressused": f"a{number}@x.example", "participationtypemask": 2} for number in range(120)]
    sent = {
        "TemplateId": await writing.create(context, TABLE, OLD),
        "Regarding": {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": contact},
        "Target": {
            "email_activity_parties": parties,
            "email_activity_mime_attachment": [file],
            "delayedemailsendtime": "2027-11-23T17:35:00Z",
        },
    }
    ends: list[int] = []
    for nth in range(40):
        broken.arm(nth, after=after, down=True)
        killed = False
        try:
            await send_email_from_template(context, sent)
        except StorageError:
            killed = True
        broken.arm(-1, after=False)
        rows = await organization.tables.query_all(organization.emails, "RowKey eq 'email'")
        assert {row["statuscode"] for row in rows} <= {6}, nth
        ends.append(len(rows))
        for row in rows:
            due = [entry async for page in agenda.due(datetime(2028, 1, 1, tzinfo=UTC)) for entry in page]
            assert [entry.kind for entry in due if entry.email == row["PartitionKey"]] == ["deliver"]
            found = await emails.read_partition(organization, row["PartitionKey"])
            assert found is not None
            assert (len(found.parties), len(found.attachments)) == (121, 1)
            assert await emails.read_body(organization, found.email) == OLD["body"]
            assert (await reading.read_row(context, TABLES["email"], row["PartitionKey"]))["statuscode"] == 6
            await writing.delete(context, TABLES["email"], row["PartitionKey"])
        if not killed:
            break
    assert ends[0] == 0
    assert ends[-1] == 1
    assert nth > 3


async def test_a_mail_of_a_template_leaves_like_any_other(world: World) -> None:
    ann, clock = await world.contact(), Clock()
    columns = {"subject": "Our offer", "directioncode": True, "followemailuserpreference": True}
    mail = await send_new(world.organization, SELLER, columns, parties=[ann], body="<p>x</p>", now=clock())
    assert (await world.partition(mail)).email["statuscode"] == 6
    await world.deliver(mail, clock)
    email = (await world.partition(mail)).email
    assert (email["statuscode"], email["isemailfollowed"]) == (3, True)
    assert len(await world.arrived(ann)) == 1


# Deleting a template


async def emails_of(organization: Organization, template: str, count: int) -> list[str]:
    made = [str(uuid.uuid4()) for _ in range(count)]
    for number, mail in enumerate(made):
        columns = {"createdon": f"2026-11-23T17:35:{number:02}Z", "templateid": template, "subject": "s"}
        await emails.insert(organization, {"PartitionKey": mail, "RowKey": "email", **columns}, [])
    return made


@pytest.mark.parametrize("after", [False, True], ids=["the call is lost", "the answer is lost"])
async def test_unlinking_that_was_cut_off_is_finished_by_the_next(breaker: Broken, after: bool) -> None:
    broken, organization = breaker
    template = str(uuid.uuid4())
    made = await emails_of(organization, template, 5)
    for nth in range(4):
        broken.arm(nth, after=after, down=True)
        with contextlib.suppress(Unavailable):
            await templates.unlink(organization.name, template)
    broken.arm(-1, after=False)
    await templates.unlink(organization.name, template)
    for mail in made:
        email = await emails.get_email(organization, mail)
        assert email is not None
        assert "templateid" not in email
        assert "template" not in email["_lists"]
        assert email["subject"] == "s"


async def test_a_template_is_not_deleted_where_nobody_can_be_told(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(organization)
    made = await writing.create(context, TABLE, OLD)
    monkeypatch.setattr(queues, "UNLINK", "no-such-queue")
    with pytest.raises(StorageError):
        await writing.delete(context, TABLE, made)
    assert await state(organization, made) == texts(OLD)


async def test_a_mail_goes_out_once_at_whichever_step_its_template_is_forgotten(world: World) -> None:
    steps: list[str] = []
    at = 0
    while True:
        template = str(uuid.uuid4())
        ann = await world.contact()
        mail = await world.write(ann, templateid=template)
        await world.send(mail)
        seen: list[str] = []

        async def forget(step: str, template: str = template, seen: list[str] = seen, at: int = at) -> None:
            if len(seen) == at:
                await templates.unlink(world.organization.name, template)
            seen.append(step)

        async def deliver(mail: str = mail, forget: Any = forget) -> None:
            observer.set(forget)
            assert await world.deliver(mail, Clock()) == []

        await asyncio.create_task(deliver())
        if len(seen) <= at:
            break
        email = (await world.partition(mail)).email
        assert (email["statuscode"], email.get("templateid")) == (3, None), seen[at]
        assert len(await world.arrived(ann)) == 1, seen[at]
        steps.append(seen[at])
        at += 1
    assert {"before claim", "after claim", "before intent", "after send"} <= set(steps), steps


async def test_a_mail_whose_template_is_gone_is_shown_without_one(organization: Organization) -> None:
    context = context_of(organization)
    [made] = await emails_of(organization, str(uuid.uuid4()), 1)
    row = await reading.read_row(context, TABLES["email"], made)
    assert await finding.pointed(context, TABLES["email"].by_name["templateid"], Query(TABLE), row) is None
