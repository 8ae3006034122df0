"""Figures under random interleavings, retries, storage that fails and processes that die: in the end they are what the
mail itself says, and rebuilding them changes nothing."""

import contextlib
import uuid
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.engagement import figures as rules
from shared.engagement.hits import Kind
from shared.services import composing, figuring, folding
from shared.services.caller import Caller
from shared.services.errors import Missing
from shared.storage import emails, figures, records
from shared.storage.account import StorageError
from shared.storage.organizations import Organization
from shared.storage.tables import Operation
from tests.breaking import Breaker, a_breakable_organization
from tests.figures_world import brought_up_to_date, expected, expected_of_template, running
from tests.journalled_hits import CHROME, OUTLOOK, SENT, a_hit, journalled

USERS = [str(uuid.UUID(int=n)) for n in (1, 2)]
CONTACTS = [str(uuid.UUID(int=n)) for n in (11, 12)]
TEMPLATES = [str(uuid.UUID(int=n)) for n in (21, 22)]
LATER = SENT + timedelta(hours=2)
ADMINISTRATOR = Caller(str(uuid.uuid4()), "", "", frozenset({"Administrator"}))


class Mail:
    """A few emails, to which things happen."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization
        self.ids: list[str] = []

    async def write(self, of: int) -> None:
        email_id, contact = str(uuid.uuid4()), CONTACTS[of % 2]
        under = {"PartitionKey": email_id}
        email = {
            **under, "RowKey": "email", "statecode": 0, "statuscode": 1, "isemailfollowed": of % 3 != 2,
            "ownerid": USERS[of % 2], "templateid": TEMPLATES[of % 2], "createdon": "2026-11-02T09:00:00Z",
        }  # fmt: skip
        party = {
            **under, "RowKey": "party:000", "participationtypemask": 2, "partyid": contact,
            "partyid_type": "contact", "addressused": "ada@example.com",
        }  # fmt: skip
        link = {**under, "RowKey": "link:0000", "item": 0, "target": "https://example.com/0", "text": "a link"}
        self.ids.append(email_id)
        await emails.insert(self.organization, email, [party, link])

    async def change(self, of: int, changes: dict[str, Any], rows: tuple[Operation, ...] = ()) -> None:
        email = await emails.get_email(self.organization, self.ids[of])
        if email is not None:
            await emails.commit(self.organization, email, changes, rows)

    async def happen(self, what: str, of: int) -> None:
        if what == "write" or not self.ids:
            await self.write(of)
            return
        of %= len(self.ids)
        if what == "send":
            await self.change(of, {"statecode": 1, "statuscode": 3, "senton": "2026-11-02T09:30:00Z"})
        elif what in ("open", "click"):
            kind, headers = (Kind.OPEN, OUTLOOK) if what == "open" else (Kind.LINK, CHROME)
            for partition in await journalled(
                self.organization, a_hit(self.ids[of], after=60 + 1000 * of, kind=kind, headers=headers)
            ):
                await folding.fold_partition(self.organization.name, partition, LATER)
        elif what == "answer":
            row = {
                "PartitionKey": self.ids[of], "RowKey": emails.interaction_key(1_793_700_000_000, f"reply-{of}"),
                "interactiontype": 3, "ee_label": 0, "emailinteractiontime": "2026-11-03T10:00:00Z",
            }  # fmt: skip
            answered = rules.dump_replies([1_793_700_000_000])
            email = await emails.get_email(self.organization, self.ids[of])
            if email is not None and email["isemailfollowed"]:
                await self.change(of, {"replycount": 1, "_answered": answered}, (Operation("put", row),))
        elif what == "hand over":
            await self.change(of, {"ownerid": USERS[of % 2 - 1]})
        elif what == "regard":
            await self.change(of, {"regardingobjectid": CONTACTS[of % 2 - 1], "regardingobjectid_type": "contact"})
        elif what == "unlink":
            await self.change(of, {"templateid": None})
        elif what == "delete":
            await composing.delete_email(self.organization, ADMINISTRATOR, self.ids[of])
        else:
            await figuring.figure(self.organization.name, LATER)


EVENTS = ("write", "send", "send", "open", "click", "answer", "hand over", "regard", "unlink", "delete", "figure")
STEPS = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.integers(0, 5), st.none() | st.tuples(st.integers(0, 12), st.booleans())),
    min_size=5,
    max_size=25,
)


async def assert_right(organization: Organization) -> None:
    assert await running(organization) == await expected(organization)
    for template in TEMPLATES:
        record = await records.get(organization, "template", template)
        assert record is not None
        names = ("usedcount", "ee_followedcount", "opencount", "replycount")
        sent, followed, opened, replied, clicked = await expected_of_template(organization, template)
        assert tuple(record.get(name, 0) for name in names) == (sent, followed, opened, replied)
        if followed:
            assert record["ee_clickrate"] == int(100 * clicked / followed + 0.5)


@pytest.mark.asyncio
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
async def test_figures_are_what_the_mail_says_whatever_happened_in_between(
    configured: None, steps: list[tuple[str, int, tuple[int, bool] | None]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with a_breakable_organization(patch) as (broken, organization):
            for template in TEMPLATES:
                await records.insert(organization, "template", template, {"templateid": template, "title": "t"})
            mail = Mail(organization)
            for what, of, fault in steps:
                if fault is not None:
                    broken.arm(fault[0], after=fault[1], down=True)
                with contextlib.suppress(StorageError, Missing):
                    await mail.happen(what, of)
                broken.arm(-1, after=False)
            # What died in between is repeated by its message; what was announced and never happened is forgotten.
            for partition in await _journals(organization):
                while await folding.fold_partition(organization.name, partition, LATER) == folding.BUSY_DELAY:
                    pass
            await brought_up_to_date(organization, LATER + timedelta(days=3650))
            await assert_right(organization)
            assert await figuring.rebuild(organization) == 0, "rebuilt from the mail they are the same"
            await assert_right(organization)


async def _journals(organization: Organization) -> set[str]:
    rows = await organization.tables.query_all(organization.journal, "", ("PartitionKey",))
    return {row["PartitionKey"] for row in rows}


@pytest_asyncio.fixture
async def figured(breaker: tuple[Breaker, Organization]) -> tuple[Organization, Mail]:
    """Return an organization with mail in the figures."""
    _, organization = breaker
    for template in TEMPLATES:
        await records.insert(organization, "template", template, {"templateid": template, "title": "t"})
    mail = Mail(organization)
    for of in range(4):
        await mail.write(of)
        for what in ("send", "open", "click", "answer"):
            await mail.happen(what, of)
    await brought_up_to_date(organization)
    await assert_right(organization)
    return organization, mail


async def test_rebuilding_mends_figures_that_were_damaged(figured: tuple[Organization, Mail]) -> None:
    organization, mail = figured
    counted = await figures.get(organization, "organization", "month:2026-11")
    scope = {"PartitionKey": "figures organization", "RowKey": "month:2026-11", "revision": 1}
    await organization.tables.apply(organization.records, Operation("put", scope))
    ticket = {"PartitionKey": f"figures contact {CONTACTS[0]}", "RowKey": f"email:{mail.ids[0]}"}
    await organization.tables.apply(organization.records, Operation("delete", ticket, "*"))
    stray = {**ticket, "PartitionKey": f"figures contact {CONTACTS[1]}", "version": 1}
    stray["cells"] = rules.dump_cells({rules.Cell("month:2026-11", "d02", "38"): (1, 1, 0, 0, 0, 0)})
    await organization.tables.apply(organization.records, Operation("put", stray))
    assert await figuring.rebuild(organization) > 0
    await assert_right(organization)
    assert (await figures.get(organization, "organization", "month:2026-11")).cells == counted.cells
    assert await figuring.rebuild(organization) == 0


async def test_an_older_reading_of_an_email_never_replaces_a_newer_one(figured: tuple[Organization, Mail]) -> None:
    organization, mail = figured
    stale = figures.Addition(mail.ids[0], 1, {})
    await figures.add(organization, "organization", [stale])
    await assert_right(organization)


async def test_a_change_that_was_announced_but_never_happened_is_forgotten(
    breaker: tuple[Breaker, Organization],
) -> None:
    broken, organization = breaker
    mail = Mail(organization)
    await mail.write(0)
    broken.arm(1, after=False, down=True)
    with contextlib.suppress(StorageError):
        await mail.happen("send", 0)
    broken.arm(-1, after=False)
    assert await figuring.figure(organization.name, LATER) == figuring.LOOK_AGAIN, "it may still happen"
    assert await figuring.figure(organization.name, LATER + timedelta(days=3650)) is None
    assert await running(organization) == {}


async def test_while_storage_is_down_figures_are_waited_for(breaker: tuple[Breaker, Organization]) -> None:
    broken, organization = breaker
    mail = Mail(organization)
    await mail.write(0)
    await mail.happen("send", 0)
    broken.arm(0, after=False, down=True)
    assert await figuring.figure(organization.name, LATER) == figuring.LOOK_AGAIN
    broken.arm(-1, after=False)
    assert await figuring.figure(organization.name, LATER) is None
    assert await running(organization) == await expected(organization)
