"""What may be in names, addresses and file names, at every door; and a subject of many lines leaves as one."""

import base64
import uuid
from typing import Any

import pytest

from shared.storage.tables import Operation
from tests.delivery_world import Clock, World, stranger
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world
from tests.web_client import Client

__all__ = ["standin", "world"]

pytestmark = IGNORED_WARNINGS

BODY = base64.b64encode(b"content").decode()
BAD = ["\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\u0085", "\U000e0041", "\ue000", "\u3164"]
BAD_IN_NAMES = ["\u202e", "\u2067", "\u2028", "\n", "\u0085"]
LINE_ENDS = "\n\r\t\u0085\u2028\u2029"
"""Those that the Web API takes in a subject, and that storage can hold."""


def said_of(answer: Any, one: str) -> str:
    assert answer.status == 400, answer.body
    assert f"U+{ord(one):04X}" in answer.error, answer.error
    assert "position" in answer.error
    return str(answer.error)


def file(name: str, **more: Any) -> dict[str, Any]:
    return {"filename": name, "body": BODY, **more}


@pytest.mark.parametrize("one", BAD, ids=ascii)
async def test_no_door_takes_a_file_whose_name_is_not_what_it_reads(seller: Client, one: str) -> None:
    name = f"invoice{one}fdp.exe.txt"
    said_of(await seller.post("emails", {"subject": "s", "email_activity_mime_attachment": [file(name)]}), one)
    mail = await seller.make("emails", {"subject": "s"})
    bound = {"objectid_email@odata.bind": f"/emails({mail})", "objecttypecode": "email"}
    said_of(await seller.post("activitymimeattachments", file(name, **bound)), one)
    made = await seller.make("activitymimeattachments", file("good.pdf", **bound))
    said_of(await seller.patch(f"activitymimeattachments({made})", {"filename": name}), one)
    many = {"Targets": [{"@odata.type": "Microsoft.Dynamics.CRM.activitymimeattachment", **file(name, **bound)}]}
    said_of(await seller.post("activitymimeattachments/Microsoft.Dynamics.CRM.CreateMultiple", many), one)
    assert (await seller.get(f"activitymimeattachments({made})")).json["filename"] == "good.pdf"


@pytest.mark.parametrize("one", [*BAD, "\u200d", "\u00ad"], ids=ascii)
async def test_no_door_takes_an_address_that_is_not_what_it_reads(
    seller: Client, administrator: Client, one: str
) -> None:
    address = f"ada{one}b@mail.example"
    party = [{"addressused": address, "participationtypemask": 2}]
    said_of(await seller.post("emails", {"subject": "s", "email_activity_parties": party}), one)
    mail = await seller.make("emails", {"subject": "s"})
    said_of(await seller.patch(f"emails({mail})", {"email_activity_parties": party}), one)
    for path in ("contacts", "leads", "accounts"):
        for column in ("emailaddress1", "emailaddress2", "emailaddress3"):
            said_of(await seller.post(path, {column: address}), one)
    contact = await seller.make("contacts", {"lastname": "L"})
    said_of(await seller.patch(f"contacts({contact})", {"emailaddress1": address}), one)
    said_of(await administrator.post("queues", {"name": "q", "emailaddress": address}), one)
    user = await administrator.make("systemusers", {"systemuserid": str(uuid.uuid4())})
    for column in ("internalemailaddress", "domainname"):
        said_of(await administrator.patch(f"systemusers({user})", {column: address}), one)


@pytest.mark.parametrize("one", BAD_IN_NAMES, ids=ascii)
async def test_no_door_takes_a_display_name_that_turns_around_or_has_lines(
    seller: Client, administrator: Client, one: str
) -> None:
    name = f"Ada{one}Lovelace"
    party = [{"addressused": "a@x.example", "unresolvedpartyname": name, "participationtypemask": 2}]
    said_of(await seller.post("emails", {"subject": "s", "email_activity_parties": party}), one)
    for path, columns in {
        "contacts": ("firstname", "lastname"),
        "leads": ("firstname", "lastname"),
        "accounts": ("name",),
    }.items():
        for column in columns:
            said_of(await seller.post(path, {column: name}), one)
    said_of(await administrator.post("queues", {"name": name}), one)


async def test_names_and_subjects_of_persian_and_with_emoji_are_kept_as_they_are(seller: Client) -> None:
    name, subject = "می\u200cخواهم", "👩\u200d💻 Angebot ❤\ufe0f\u00a0für \u2067\u202eשלום\u2069"
    contact = await seller.make("contacts", {"lastname": name})
    assert (await seller.get(f"contacts({contact})")).json["lastname"] == name
    mail = await seller.make("emails", {"subject": subject, "email_activity_mime_attachment": [file(f"{name}.pdf")]})
    assert (await seller.get(f"emails({mail})")).json["subject"] == subject


async def test_a_subject_of_many_lines_leaves_as_one_and_its_row_keeps_it(world: World) -> None:
    ann, clock = await world.contact(), Clock()
    subject = "".join(f"{number}{end}" for number, end in enumerate(LINE_ENDS)) + "end"
    mail = await world.write(ann, subject=subject)
    await world.send(mail, clock)
    assert await world.deliver(mail, clock) == []
    email = (await world.partition(mail)).email
    assert (email["statuscode"], email["subject"]) == (3, subject)
    [arrived] = await world.arrived(ann)
    assert arrived["subject"] == "0 1 2 3 4 5 end"


async def test_what_was_stored_before_the_rules_leaves_in_a_form_that_hides_nothing(world: World) -> None:
    ann, clock = await world.contact(), Clock()
    mail = await world.write(ann, stranger("bob@x.example", "Bob"), attachments=[_attachment()])
    await world.send(mail, clock)
    partition = await world.partition(mail)
    for row, changes in (
        (partition.parties[2], {"_name": "Bob\u202eevE\u2028"}),
        (partition.attachments[0], {"filename": "invoice\u202efdp.txt"}),
    ):
        keys = {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}
        await world.organization.tables.apply(world.organization.emails, Operation("merge", keys | changes, "*"))
    await world.deliver(mail, clock)
    assert (await world.partition(mail)).email["statuscode"] == 3
    [arrived] = await world.arrived(ann)
    assert [one["emailAddress"]["name"] for one in arrived["toRecipients"]][1] == "Bob evE"
    assert [one["name"] for one in arrived["attachments"]] == ["invoice fdp.txt"]


def _attachment() -> Any:
    from shared.services.attaching import Attachment

    return Attachment("a.txt", "text/plain", b"content")
