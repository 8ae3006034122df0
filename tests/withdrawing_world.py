"""What the tests of privacy have in common: people, mail to them that was sent, and the page behind its link."""

import uuid
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import azure.functions as func
import orjson
from azure.storage.queue import QueueClient

from functions import withdrawal as page
from local.directory import TENANTS
from shared.engagement.tokens import Token, TokenKind, mint
from shared.engagement.withdrawal import dump
from shared.services import consenting, folding
from shared.settings import settings
from shared.storage import emails, queues, records
from shared.storage.account import host_account
from shared.storage.organizations import Organization, save_organization
from shared.storage.tables import Entity, Operation
from tests.journalled_hits import a_hit, journalled
from tests.sent_mail import put_sent_email

PROOF = {"ee_consentmethod": "web form", "ee_consentwording": "May we see when you open our mail?"}


async def with_settings(organization: Organization, **settings: Any) -> Organization:
    """Change settings of an organization, for every process."""
    changed = Organization(
        organization.name, organization.id, organization.tenant, {**organization.settings, **settings}
    )
    await save_organization(changed)
    return changed


async def a_contact(organization: Organization, address: str = "", **columns: Any) -> Entity:
    """Make a contact and return its row."""
    key = str(uuid.uuid4())
    address = address or f"ada-{key[:8]}@example.com"
    row = {"contactid": key, "fullname": "Ada Lovelace", "emailaddress1": address, **columns}
    await records.put(organization, "contact", key, row)
    return {**row, "PartitionKey": "contact", "RowKey": key}


async def contact_of(organization: Organization, contact: str) -> Entity:
    """Return a contact's row as it is now."""
    found = await records.get(organization, "contact", contact)
    assert found is not None
    return found


async def mail_of(organization: Organization, email: str) -> emails.EmailPartition:
    """Return an email with its timeline as it is now."""
    found = await emails.read_partition(organization, email, interactions=True)
    assert found is not None
    return found


def as_party(number: int, mask: int, contact: Entity | None, address: str = "") -> Entity:
    """Return the party row of a contact, or of an address without a record."""
    row = {"RowKey": f"party:{number:03d}", "activitypartyid": str(uuid.uuid4()), "participationtypemask": mask}
    if contact is None:
        return {**row, "addressused": address, "_name": address}
    known = {"partyid": contact["contactid"], "partyid_type": "contact", "_name": contact["fullname"]}
    return {**row, **known, "addressused": address or contact["emailaddress1"]}


async def sent_to(organization: Organization, *parties: Entity, sent: datetime, **columns: Any) -> str:
    """Put a followed mail that was sent into storage and return its id."""
    email_id = str(await put_sent_email(organization, sent))
    addresses = ";".join(party["addressused"] for party in parties if party["participationtypemask"] == 2)
    email = {"_mailbox": TENANTS[0].people[0].id, "torecipients": addresses, **columns}
    rows = [Operation("put", {**party, "PartitionKey": email_id}) for party in parties]
    rows.append(Operation("merge", {**email, "PartitionKey": email_id, "RowKey": "email"}, "*"))
    await organization.tables.transact(organization.emails, rows)
    return email_id


async def opened(organization: Organization, email_id: str, now: datetime, *after: float) -> int:
    """Let a mail program open an email, by default an hour after it was sent; return how many hits are kept."""
    rows = [a_hit(email_id, after=seconds) for seconds in after or (3600.0,)]
    for partition in await journalled(organization, *rows):
        await folding.fold_partition(organization.name, partition, now + timedelta(hours=2))
    return len((await mail_of(organization, email_id)).interactions)


def token_of(organization: Organization, email_id: str, party: Entity | None = None) -> str:
    """Return the token of an email's link to withdraw by: of its only recipient, or of several."""
    target = dump(consenting.recipient_of(party)) if party is not None else ""
    token = Token(1, organization.name, TokenKind.WITHDRAWAL, uuid.UUID(email_id), 0, None, target)
    return mint(token, settings().token_secrets)


async def ask(token: str, method: str = "GET", **form: str) -> func.HttpResponse:
    """Ask for the page as a browser does."""
    request = func.HttpRequest(
        method,
        "http://127.0.0.1/",
        headers={"accept-language": "en"},
        route_params={"rest": token},
        body=urlencode(form).encode(),
    )
    answer: func.HttpResponse = await page.withdraw._function.get_user_function()(request)
    return answer


def queued(organization: Organization) -> list[dict[str, str]]:
    """Take what waits for an organization off the queue."""
    taken = []
    with QueueClient.from_connection_string(host_account().connection_string, queues.PRIVACY) as client:
        for message in client.receive_messages(messages_per_page=32):
            client.delete_message(message)
            taken.append(orjson.loads(message.content))
    return [work for work in taken if work["organization"] == organization.name]
