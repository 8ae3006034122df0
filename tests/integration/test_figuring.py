"""From mail that is sent and opened to the figures of everybody it concerns."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.engagement.hits import Kind
from shared.engagement.times import parse_iso
from shared.services import composing, figuring, folding
from shared.storage import figures, pending_figures, queues, records
from tests.delivery_world import CALLER, SELLER, World
from tests.figures_world import EVER, brought_up_to_date, expected, running
from tests.journalled_hits import CHROME, OUTLOOK, SENT, a_hit, journalled
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world

__all__ = ["standin", "world"]

pytestmark = IGNORED_WARNINGS


async def sent(world: World, **columns: Any) -> tuple[str, str]:
    """Send a followed mail to a contact of its own; return its id and the contact's."""
    contact = await world.contact(
        parentcustomerid=columns.pop("account", None), parentcustomerid_type="account", followemail=True
    )
    email = await world.write(contact, **columns)
    await world.send(email)
    assert await world.deliver(email) == []
    return email, contact.id


async def hit(world: World, email: str, kind: Kind = Kind.OPEN, item: int = 0) -> None:
    """Have a person open a mail, or click in it, an hour after it was sent."""
    moment = parse_iso((await world.partition(email)).email["senton"])
    headers = CHROME if kind is Kind.LINK else OUTLOOK
    row = a_hit(email, after=(moment - SENT).total_seconds() + 3600, kind=kind, item=item, headers=headers)
    for partition in await journalled(world.organization, row):
        await folding.fold_partition(world.organization.name, partition, moment + timedelta(hours=2))


async def counted(world: World, scope: str) -> tuple[int, ...]:
    """Return a scope's counts over all time."""
    found = await figures.read(world.organization, scope, *EVER)
    return tuple(map(sum, zip(*found.values(), strict=True)))


async def test_a_mail_counts_for_all_that_it_concerns(world: World) -> None:
    account = str(uuid.uuid4())
    email, contact = await sent(world, account=account)
    await hit(world, email)
    await hit(world, email, Kind.LINK)
    await brought_up_to_date(world.organization)
    for scope in ("organization", f"systemuser {SELLER.id}", f"contact {contact}", f"account {account}"):
        assert await counted(world, scope) == (1, 1, 1, 0, 0, 1), scope
    assert await running(world.organization) == {
        **await expected(world.organization),
        f"account {account}": await figures.read(world.organization, "organization", *EVER),
    }
    assert [page async for page in figures.emails_of(world.organization, f"contact {contact}")] == [[email]]


async def test_drafts_and_scheduled_mail_do_not_count(world: World) -> None:
    await world.write(await world.contact())
    scheduled = await world.write(await world.contact(), delayedemailsendtime="2030-01-01T09:00:00Z")
    await world.send(scheduled)
    await brought_up_to_date(world.organization)
    assert await running(world.organization) == {}


async def test_mail_that_is_only_marked_as_sent_counts_as_mail(world: World) -> None:
    email = await world.write(await world.contact())
    await composing.change_email(world.organization, CALLER, email, {"statuscode": 3}, now=datetime.now(UTC))
    await brought_up_to_date(world.organization)
    assert await counted(world, "organization") == (1, 0, 0, 0, 0, 0)


async def test_a_template_shows_how_its_mail_fares(world: World) -> None:
    template = str(uuid.uuid4())
    await records.insert(world.organization, "template", template, {"templateid": template, "title": "Offer"})
    opened, _ = await sent(world, templateid=template)
    await hit(world, opened)
    await sent(world, templateid=template)
    await sent(world, templateid=template, follow=False)
    await brought_up_to_date(world.organization)
    record = await records.get(world.organization, "template", template)
    assert record is not None
    shown = [record[name] for name in ("usedcount", "ee_followedcount", "opencount", "openrate", "replyrate")]
    assert shown == [3, 2, 1, 50, 0]
    assert record["title"] == "Offer"


async def test_a_deleted_mail_leaves_the_figures(world: World) -> None:
    email, contact = await sent(world)
    await hit(world, email)
    await brought_up_to_date(world.organization)
    await composing.delete_email(world.organization, CALLER, email)
    await brought_up_to_date(world.organization)
    assert await running(world.organization) == {}
    assert [page async for page in figures.emails_of(world.organization, f"contact {contact}")] == [[]]


async def test_the_figures_of_a_template_that_is_gone_hurt_nobody(world: World) -> None:
    _, contact = await sent(world, templateid=str(uuid.uuid4()))
    await brought_up_to_date(world.organization)
    assert await counted(world, f"contact {contact}") == (1, 1, 0, 0, 0, 0)


async def test_who_changes_mail_leaves_a_hint_on_the_queue(world: World) -> None:
    world.messages(queues.FIGURES)
    await sent(world)
    await _until_visible()
    assert {"organization": world.organization.name} in world.messages(queues.FIGURES)


async def test_a_lost_hint_is_made_good_by_the_sweep(world: World) -> None:
    await sent(world)
    await _until_visible()
    world.messages(queues.FIGURES)
    await figuring.sweep(datetime.now(UTC))
    assert world.messages(queues.FIGURES) == [], "the hint may still be on its way"
    await figuring.sweep(datetime.now(UTC) + timedelta(minutes=1))
    assert world.messages(queues.FIGURES) == [{"organization": world.organization.name}]


async def test_nothing_waits_once_the_figures_are_current(world: World) -> None:
    await sent(world)
    assert await pending_figures.read(world.organization, 10)
    await brought_up_to_date(world.organization)
    assert await pending_figures.read(world.organization, 10) == []
    assert await figuring.figure(world.organization.name, datetime.now(UTC)) is None


@pytest.mark.parametrize("name", ["nobody", "x"])
async def test_figures_of_an_organization_that_is_gone_are_left_alone(configured: None, name: str) -> None:
    assert await figuring.figure(name, datetime.now(UTC)) is None


async def _until_visible() -> None:
    await asyncio.sleep(1.1)
