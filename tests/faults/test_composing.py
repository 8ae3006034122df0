"""Composing while storage fails: nothing half done, nothing lost."""

import asyncio
import contextlib
import uuid

import pytest
from azure.storage.blob import BlobServiceClient

from shared.services import attaching, composing
from shared.services.attaching import Attachment
from shared.services.errors import Missing
from shared.services.parties import Party
from shared.storage import blobs, emails, records
from shared.storage.account import Conflict, Unavailable, host_account
from shared.storage.organizations import Organization
from tests.breaking import Breaker
from tests.faults.conftest import CALLER, NOW

FILE = Attachment("a.txt", "text/plain", b"content")


type Broken = tuple[Breaker, Organization]


async def blob_names(organization: Organization) -> list[str]:
    def listed() -> list[str]:
        with BlobServiceClient.from_connection_string(host_account().connection_string) as client:
            return [blob.name for blob in client.get_container_client(organization.container).list_blobs()]

    return await asyncio.to_thread(listed)


async def compose(organization: Organization, id: str, recipients: int = 2) -> str:
    parties = [Party(2, address=f"p{number}@x.example") for number in range(recipients)]
    return await composing.create_email(
        organization,
        CALLER,
        {"subject": "s"},
        parties=parties,
        attachments=[FILE, FILE],
        body="<p>x</p>",
        id=id,
        now=NOW,
    )


@pytest.mark.parametrize("recipients", [2, 150])
async def test_an_email_whose_making_fails_is_not_there_and_can_be_made_again(breaker: Broken, recipients: int) -> None:
    broken, organization = breaker
    for nth in range(20):
        made = str(uuid.uuid4())
        broken.arm(nth, after=False)
        try:
            await compose(organization, made, recipients)
        except Unavailable:
            assert await emails.read_partition(organization, made) is None
            again = await compose(organization, str(uuid.uuid4()), recipients)
            found = await emails.read_partition(organization, again)
            assert found is not None
            assert len(found.parties) == recipients + 1
        else:
            break
    # Two keys of attachments, four index rows, and the email itself in one transaction or two.
    assert nth == (7 if recipients == 2 else 8)


async def test_an_email_that_was_saved_unheard_keeps_its_body_and_files(breaker: Broken) -> None:
    broken, organization = breaker
    made = str(uuid.uuid4())
    broken.arm(6, after=True)
    with pytest.raises(Unavailable):
        await compose(organization, made)
    found = await emails.read_partition(organization, made)
    assert found is not None
    assert await emails.read_body(organization, found.email) == "<p>x</p>"
    for row in found.attachments:
        assert await blobs.get(organization, row["_blob"]) == b"content"
    with pytest.raises(Conflict):
        await compose(organization, made)


async def test_a_refused_email_leaves_no_blob_and_no_key(breaker: Broken) -> None:
    _, organization = breaker
    made = await compose(organization, str(uuid.uuid4()))
    before = sorted(await blob_names(organization))
    with pytest.raises(Conflict):
        await compose(organization, made)
    assert sorted(await blob_names(organization)) == before


@pytest.mark.parametrize("after", [False, True], ids=["not done", "done unheard"])
async def test_a_body_is_the_old_or_the_new_one_whatever_fails(breaker: Broken, after: bool) -> None:
    broken, organization = breaker
    made = await compose(organization, str(uuid.uuid4()))
    broken.arm(0, after=after)
    with pytest.raises(Unavailable):
        await composing.change_email(organization, CALLER, made, {}, body="<p>new</p>", now=NOW)
    row = await emails.get_email(organization, made)
    assert row is not None
    assert await emails.read_body(organization, row) == ("<p>new</p>" if after else "<p>x</p>")


@pytest.mark.parametrize("after", [False, True], ids=["not done", "done unheard"])
async def test_an_attachment_is_there_whole_or_not_at_all(breaker: Broken, after: bool) -> None:
    broken, organization = breaker
    made = await compose(organization, str(uuid.uuid4()))
    for nth in range(5):
        broken.arm(nth, after=after)
        try:
            await attaching.add_attachment(organization, CALLER, made, FILE, now=NOW)
        except Unavailable:
            pass
        else:
            break
    assert nth == 2
    found = await emails.read_partition(organization, made)
    assert found is not None
    assert found.email["attachmentcount"] == len(found.attachments)
    for row in found.attachments:
        assert await blobs.get(organization, row["_blob"]) == b"content"
        key = await records.get(organization, "activitymimeattachment", row["activitymimeattachmentid"])
        assert key is not None
        assert key["email"] == made


@pytest.mark.parametrize("nth", range(5))
async def test_a_deletion_that_was_cut_off_is_finished_by_the_next(breaker: Broken, nth: int) -> None:
    broken, organization = breaker
    made = await compose(organization, str(uuid.uuid4()), 220)
    broken.arm(nth, after=False)
    with contextlib.suppress(Unavailable):
        await composing.delete_email(organization, CALLER, made)
    gone = await emails.read_partition(organization, made) is None
    assert gone is (nth > 0)
    with contextlib.suppress(Missing):
        await composing.delete_email(organization, CALLER, made)
    assert await organization.tables.query_all(organization.emails, f"PartitionKey eq '{made}'") == []
    assert await blob_names(organization) == []


async def test_deleting_what_is_not_there_says_so(breaker: Broken) -> None:
    with pytest.raises(Missing):
        await composing.delete_email(breaker[1], CALLER, str(uuid.uuid4()))
