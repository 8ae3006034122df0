"""Cards while storage fails at every call: none is lost, none is made twice, none comes back."""

import contextlib
import dataclasses
from datetime import timedelta

import pytest

from shared.engagement.cards import KINDS
from shared.engagement.hits import Kind
from shared.services import folding
from shared.services.alerting import card_of, settle_failure, settle_reply, state_column
from shared.storage import emails, records
from shared.storage.account import StorageError
from shared.storage.organizations import Organization, save_organization
from shared.storage.tables import Operation
from tests.breaking import Breaker
from tests.journalled_hits import CHROME, SENT, a_hit, journalled
from tests.sent_mail import put_sent_email

LATER = SENT + timedelta(hours=2)
ENOUGH = 24
"""More calls than any of these make."""


async def with_every_kind(organization: Organization) -> Organization:
    made = dataclasses.replace(organization, settings={**organization.settings, "card_kinds_off": []})
    await save_organization(made)
    return made


async def cards(organization: Organization) -> set[str]:
    return {card["actioncardid"] async for page in records.query(organization, "actioncard") for card in page}


async def states(organization: Organization, email_id: str) -> dict[str, str]:
    email = await emails.get_email(organization, email_id)
    assert email is not None
    columns = {state_column(kind): kind for kind in KINDS}
    return {kind: email[column] for column, kind in columns.items() if column in email}


@pytest.mark.parametrize("down", [False, True], ids=["one call fails", "storage goes down"])
@pytest.mark.parametrize("after", [False, True], ids=["the call is lost", "the answer is lost"])
async def test_a_fold_that_dies_at_any_call_makes_its_cards_once_when_it_comes_again(
    breaker: tuple[Breaker, Organization], after: bool, down: bool
) -> None:
    broken, organization = breaker
    organization = await with_every_kind(organization)
    expected: set[str] = set()
    for nth in range(ENOUGH):
        email_id = await put_sent_email(organization, SENT, file="Prices.pdf")
        kinds = {"firstopen": Kind.OPEN, "firstclick": Kind.LINK, "attachmentopened": Kind.ATTACHMENT}
        rows = [a_hit(email_id, 3600 + n * 20, kind, headers=CHROME) for n, kind in enumerate(kinds.values())]
        partitions = await journalled(organization, *rows)
        broken.arm(nth, after=after, down=down)
        for partition in partitions:
            with contextlib.suppress(StorageError):
                await folding.fold_partition(organization.name, partition, LATER)
        done = broken.changes <= nth
        broken.arm(-1, after=False)
        # The queue's message comes again where it was not acknowledged.
        for partition in partitions:
            await folding.fold_partition(organization.name, partition, LATER)
        await folding.fold_email(organization.name, email_id, LATER)
        expected |= {card_of(email_id, kind) for kind in kinds}
        assert await cards(organization) == expected, nth
        assert await states(organization, email_id) == dict.fromkeys(kinds, "raised"), nth
        if done:
            return
    raise AssertionError("the last call was not reached")


@pytest.mark.parametrize("after", [False, True], ids=["the call is lost", "the answer is lost"])
async def test_a_card_that_is_withdrawn_while_storage_fails_is_gone_in_the_end(
    breaker: tuple[Breaker, Organization], after: bool
) -> None:
    broken, organization = breaker
    now = SENT + timedelta(minutes=3)
    for nth in range(ENOUGH):
        email_id = await put_sent_email(organization, SENT, links=4)
        for partition in await journalled(organization, a_hit(email_id, 30, headers=CHROME)):
            await folding.fold_partition(organization.name, partition, now)
        assert await cards(organization) == {card_of(email_id, "firstopen")}
        burst = [a_hit(email_id, 38 + n / 100, Kind.LINK, n, headers=CHROME) for n in range(4)]
        partitions = await journalled(organization, *burst)
        broken.arm(nth, after=after)
        for partition in partitions:
            with contextlib.suppress(StorageError):
                await folding.fold_partition(organization.name, partition, now)
        done = broken.changes <= nth
        broken.arm(-1, after=False)
        for partition in partitions:
            await folding.fold_partition(organization.name, partition, now)
        assert await cards(organization) == set(), nth
        if done:
            return
    raise AssertionError("the last call was not reached")


@pytest.mark.parametrize("kind", ["failed", "reply"])
@pytest.mark.parametrize("after", [False, True], ids=["the call is lost", "the answer is lost"])
async def test_a_card_that_is_due_is_written_once_by_whoever_comes_next(
    breaker: tuple[Breaker, Organization], kind: str, after: bool
) -> None:
    broken, organization = breaker
    organization = await with_every_kind(organization)
    settle = {"failed": settle_failure, "reply": settle_reply}[kind]
    for nth in range(ENOUGH):
        email_id = await put_sent_email(organization, SENT)
        due = {"PartitionKey": email_id, "RowKey": "email", state_column(kind): "raise"}
        await organization.tables.apply(organization.emails, Operation("merge", due, "*"))
        broken.arm(nth, after=after)
        with contextlib.suppress(StorageError):
            await settle(organization, email_id, LATER)
        done = broken.changes <= nth
        broken.arm(-1, after=False)
        await settle(organization, email_id, LATER)
        assert await records.delete(organization, "actioncard", card_of(email_id, kind))
        assert await states(organization, email_id) == {kind: "raised"}
        await settle(organization, email_id, LATER)
        assert await cards(organization) == set(), "deleted by its owner, it does not come back"
        if done:
            return
    raise AssertionError("the last call was not reached")


async def test_no_card_stays_of_an_email_that_is_deleted_while_it_is_written(
    breaker: tuple[Breaker, Organization], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, organization = breaker
    email_id = await put_sent_email(organization, SENT)
    insert = records.insert

    async def insert_late(*arguments: object) -> str:
        row = {"PartitionKey": email_id, "RowKey": "email"}
        await organization.tables.apply(organization.emails, Operation("delete", row, "*"))
        return await insert(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(records, "insert", insert_late)
    for partition in await journalled(organization, a_hit(email_id)):
        await folding.fold_partition(organization.name, partition, LATER)
    assert await cards(organization) == set()
