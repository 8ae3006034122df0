"""Writing, sending and delivering mail on real storage and at the Microsoft 365 stand-in, in a time of its own."""

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
from azure.storage.queue import QueueClient

from local.directory import TENANTS
from shared.engagement.options import BCC, CC, SENDER, TO
from shared.services import attaching, composing, delivering
from shared.services.attaching import Attachment
from shared.services.caller import Caller
from shared.services.parties import Party
from shared.services.sending import send_email
from shared.storage import emails, queues, records
from shared.storage.account import host_account
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization

TENANT = TENANTS[0]
SELLER, MANAGER, _ = TENANT.people
CALLER = Caller(SELLER.id, "203.0.113.9", "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0", frozenset({"Seller"}))
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
BODY = "<html><body>\r\n<p>Our <a href=https://contoso.example/offer?a=1&copy=2>offer</a></p>\r\n</body></html>"


@dataclass
class Clock:
    """A time that passes only when told."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, time: timedelta) -> None:
        self.now += time


@dataclass
class World:
    """One organization, its seller, and the world's mailboxes at the stand-in `url`."""

    url: str
    organization: Organization
    http: aiohttp.ClientSession

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call a control of the stand-in and return what it answers in JSON."""
        async with self.http.request(method, self.url + path, json=body) as answer:
            text = await answer.read()
            assert answer.status < 300, (answer.status, text[:500])
            return orjson.loads(text) if text else None

    async def contact(self, name: str = "Ann", **columns: Any) -> Party:
        """Make a contact with an address of its own and return it as a recipient in To."""
        contact = str(uuid.uuid4())
        address = f"customer-{contact[:8]}@northwind.example"
        row = {"contactid": contact, "fullname": name, "emailaddress1": address, "followemail": True, **columns}
        await records.put(self.organization, "contact", contact, row)
        return Party(TO, "contact", contact)

    async def address_of(self, party: Party) -> str:
        """Return the address of a recipient."""
        if party.address:
            return party.address
        row = await records.get(self.organization, party.table, party.id)
        assert row is not None
        return str(row["emailaddress1"])

    async def write(
        self,
        *to: Party,
        body: str = BODY,
        attachments: Sequence[Attachment] = (),
        followed: Sequence[str] = (),
        follow: bool = True,
        sender: Party | None = None,
        **columns: Any,
    ) -> str:
        """Write a draft and return its id; `followed` names the attachments to follow."""
        given = {"subject": "Our offer", "directioncode": True, "followemailuserpreference": follow, **columns}
        parties = [sender or Party(SENDER, "systemuser", SELLER.id), *to]
        now = datetime.now(UTC)
        written = await composing.create_email(
            self.organization, CALLER, given, parties=parties, attachments=attachments, body=body, now=now
        )
        for row in (await self.partition(written)).attachments:
            if row["filename"] in followed:
                await attaching.follow_attachment(
                    self.organization, CALLER, row["activitymimeattachmentid"], followed=True, now=now
                )
        return written

    async def send(self, id: str, clock: Clock | None = None) -> None:
        """Send a draft: Pending Send."""
        await send_email(self.organization, id, CALLER, (clock or Clock())())

    async def deliver(self, id: str, clock: Clock | None = None) -> list[float]:
        """Deliver an email, letting the time pass that each attempt asks for; return the delays in seconds."""
        clock = clock or Clock()
        delays: list[float] = []
        while (delay := await delivering.deliver(self.organization, id, clock)) is not None:
            delays.append(delay.total_seconds())
            assert len(delays) < 50, delays
            clock.pass_(delay)
        return delays

    async def partition(self, id: str) -> EmailPartition:
        """Return an email with what is under it."""
        found = await emails.read_partition(self.organization, id)
        assert found is not None
        return found

    async def arrived(self, party: Party | str) -> list[dict[str, Any]]:
        """Return what arrived at a recipient's, newest first."""
        address = party if isinstance(party, str) else await self.address_of(party)
        found: list[dict[str, Any]] = (await self.call("GET", f"/local/mailboxes/{address}/messages"))["value"]
        return found

    async def break_calls(self, match: str, status: int | str | None, **more: Any) -> None:
        """Break the next calls that match."""
        await self.call("POST", "/local/faults", {"match": match, "status": status, **more})

    async def requests(self) -> list[str]:
        """Return the calls that the stand-in got, as ``METHOD path``."""
        calls = (await self.call("GET", "/local/requests"))["value"]
        return [f"{call['method']} {call['path']}" for call in calls]

    def messages(self, queue: str = queues.DELIVER) -> list[dict[str, str]]:
        """Take what is visible on a queue off it and return what is this organization's."""
        taken = []
        with QueueClient.from_connection_string(host_account().connection_string, queue) as client:
            for message in client.receive_messages(messages_per_page=32):
                client.delete_message(message)
                taken.append(orjson.loads(message.content))
        return [work for work in taken if work["organization"] == self.organization.name]


def cc(party: Party) -> Party:
    """Return a recipient in Cc."""
    return Party(CC, party.table, party.id, party.address, party.name)


def bcc(party: Party) -> Party:
    """Return a recipient in Bcc."""
    return Party(BCC, party.table, party.id, party.address, party.name)


def stranger(address: str = "", name: str = "") -> Party:
    """Return a recipient without a record."""
    return Party(TO, address=address or f"stranger-{uuid.uuid4().hex[:8]}@elsewhere.example", name=name)
