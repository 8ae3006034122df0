"""A seller's mailbox at the Microsoft 365 stand-in, and followed mail as the delivery leaves it in storage."""

import base64
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import azure.functions as func
import orjson
import pytest
from aiohttp import web
from azure.storage.queue import QueueClient

from functions import mailbox as triggers
from local.directory import TENANTS, Person
from local.processes import spawn, stop, wait_until_answering
from shared.engagement.times import iso_seconds, milliseconds, parse_iso
from shared.graph.client import close_clients
from shared.services import mailboxes
from shared.settings import settings
from shared.storage import blobs, emails, queues, records
from shared.storage.account import close_session, host_account
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation, literal
from tests.conftest import free_ports
from tests.organizations import an_organization

CONTRACT = Path(__file__).parent / "contract" / "graph-v1.0-slice.json"
TENANT = TENANTS[0]
SELLER, MANAGER, _ = TENANT.people
ANN = "ann@northwind.example"


@contextmanager
def run_standin(directory: Path) -> Iterator[str]:
    """Start the stand-in, every exchange checked against the contract, and yield its address."""
    port = free_ports(1)
    environment = os.environ | {
        "MICROSOFT365_PORT": str(port),
        "DATA_DIR": str(directory),
        "MICROSOFT365_CONTRACT": str(CONTRACT),
    }
    process = spawn([sys.executable, "-m", "local.microsoft365"], environment=environment, output=subprocess.DEVNULL)
    try:
        wait_until_answering(process, [port])
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


@contextmanager
def settings_for(standin: str) -> Iterator[None]:
    """Point this process's settings at a stand-in, with a BASE_URL of their own that nothing serves yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MICROSOFT365_URL", standin)
        patch.setenv("BASE_URL", f"http://127.0.0.1:{free_ports(1)}")
        settings.cache_clear()
        yield
    settings.cache_clear()


@asynccontextmanager
async def mailbox_triggers() -> AsyncIterator[None]:
    """Serve the notification triggers where BASE_URL says; close at the end what this event loop opened."""
    async with receive_notifications(int(settings().base_url.rpartition(":")[2])):
        yield
    await close_clients()
    await blobs.close_clients()
    await close_session()


@asynccontextmanager
async def new_world(standin: str) -> AsyncIterator["World"]:
    """Make an organization of its own; at the end mend the stand-in, and see that Graph's contract was kept."""
    async with an_organization(tenant=TENANT.id) as organization, aiohttp.ClientSession() as http:
        world = World(standin, organization, http)
        yield world
        await world.call("DELETE", "/local/faults")
        for person in TENANT.people:
            await world.call("PUT", f"/local/mailboxes/{person.address}", {"enabled": True})
            await records.delete(organization, mailboxes.TABLE, person.id)
            await world.empty_mailbox(person)
        for subscription in await world.subscriptions():
            await world.call("DELETE", f"/v1.0/subscriptions/{subscription['id']}")
        world.waiting()
        violations = (await world.call("GET", "/local/violations"))["value"]
        await world.call("DELETE", "/local/violations")
        assert violations == []


def http_request(path: str, body: bytes, **params: str) -> func.HttpRequest:
    """Return a POST as the Functions host hands it to a trigger."""
    return func.HttpRequest("POST", f"http://127.0.0.1/{path}", headers={}, params=params, route_params={}, body=body)


async def post(path: str, body: bytes = b"", **params: str) -> func.HttpResponse:
    """Post to a mailbox trigger as the Functions host would."""
    trigger = {"mailbox/notifications": triggers.notifications, "mailbox/lifecycle": triggers.lifecycle}[path]
    function: Any = trigger
    answer: func.HttpResponse = await function._function.get_user_function()(http_request(path, body, **params))
    return answer


@asynccontextmanager
async def receive_notifications(port: int) -> AsyncIterator[None]:
    """Serve the notification triggers over HTTP on 127.0.0.1."""

    async def answer(request: web.Request) -> web.Response:
        given = await post(request.path.strip("/"), await request.read(), **request.query)
        return web.Response(
            status=given.status_code, body=given.get_body(), headers=dict(given.headers), content_type=given.mimetype
        )

    app = web.Application(client_max_size=8 * 1024 * 1024)
    app.router.add_post("/mailbox/{which}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@dataclass
class World:
    """One organization whose sellers have mailboxes at the stand-in."""

    url: str
    organization: Organization
    http: aiohttp.ClientSession
    token: str = ""
    marks: dict[str, str] = field(default_factory=dict)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the stand-in and return what it answers in JSON; Graph's paths begin with ``/v1.0``."""
        headers = {"Prefer": 'IdType="ImmutableId"'}
        if path.startswith("/v1.0"):
            headers["Authorization"] = f"Bearer {await self._token()}"
        async with self.http.request(method, self.url + path, json=body, headers=headers) as answer:
            text = await answer.read()
            assert answer.status < 300, (answer.status, text[:500])
            return orjson.loads(text) if text else None

    async def send(self, *, followed: bool = True, sent: bool = True, to: str = ANN, seller: Person = SELLER) -> str:
        """Send an email to Ann and return its id: rows, index and message as the delivery leaves them."""
        email_id = str(uuid.uuid4())
        user = f"/v1.0/users/{seller.id}/messages"
        recipient = {"emailAddress": {"address": to, "name": to.partition("@")[0].capitalize()}}
        text = {"contentType": "html", "content": "<p>Our offer</p>"}
        draft = await self.call("POST", user, {"subject": "Our offer", "body": text, "toRecipients": [recipient]})
        now = datetime.now(UTC)
        state: dict[str, Any] = {"statuscode": 7, "_intent": now.isoformat()}
        if sent:
            state = {"statuscode": 3, "senton": _iso(now), "messageid": draft["internetMessageId"]}
        email = {
            "subject": "Our offer",
            "directioncode": True,
            "statecode": 1,
            "isemailfollowed": followed,
            "opencount": 2,
            "replycount": 0,
            "createdon": _iso(now),
            "ownerid": seller.id,
            "ownerid_type": "systemuser",
            "sender": seller.address,
            "_draft": draft["id"],
            **state,
        }
        contact = {
            "participationtypemask": 2,
            "addressused": to,
            "partyid": str(uuid.uuid4()),
            "partyid_type": "contact",
            "_name": "Ann Arbor",
        }
        rows = {
            emails.EMAIL: email,
            "party:000": {"participationtypemask": 1, "addressused": seller.address, "partyid": seller.id},
            "party:001": contact,
        }
        inserts = [Operation("insert", {**row, "PartitionKey": email_id, "RowKey": key}) for key, row in rows.items()]
        await self.organization.tables.transact(self.organization.emails, inserts)
        for table, value in (("message", draft["internetMessageId"]), ("conversation", draft["conversationId"])):
            await records.put(self.organization, table, records.hashed_key(value), {"email": email_id})
        self.marks[email_id] = draft["internetMessageId"]
        await mailboxes.follow_mailbox(self.organization, seller.id, seller.address, now - timedelta(seconds=1))
        await self.call("POST", f"{user}/{draft['id']}/send")
        return email_id

    async def reply(
        self, email_id: str, body: str = "Yes, please.", address: str = ANN, **headers: str
    ) -> dict[str, Any]:
        """Have somebody answer an email; `headers` with underscores for hyphens."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = {"messageId": self.marks[email_id], "body": body, "headers": given}
        answer: dict[str, Any] = await self.call("POST", f"/local/mailboxes/{address}/reply", request)
        return answer

    async def bounce(self, email_id: str, address: str = ANN) -> None:
        """Have an email returned as undeliverable."""
        await self.call("POST", f"/local/mailboxes/{address}/bounce", {"messageId": self.marks[email_id]})

    async def arrive(self, email_id: str, mime: str, address: str = ANN) -> None:
        """Let a whole message arrive at whoever sent an email, as a mail system of others wrote it."""
        body = {"messageId": self.marks[email_id], "mime": base64.b64encode(mime.encode()).decode()}
        await self.call("POST", f"/local/mailboxes/{address}/bounce", body)

    async def break_calls(self, match: str, status: int, **more: Any) -> None:
        """Break the next calls that match."""
        await self.call("POST", "/local/faults", {"match": match, "status": status, **more})

    async def catch_up(self, now: datetime | None = None) -> None:
        """Run the timer that catches up."""
        await mailboxes.catch_up_all(now or datetime.now(UTC))

    async def work_off(self, now: datetime | None = None) -> int:
        """Do what waits on the mailbox queue for this organization, once; return how many messages that was."""
        done = 0
        for work in self.waiting():
            again = await mailboxes.attend(work, now or datetime.now(UTC))
            if again is not None:
                await queues.send(queues.MAILBOX, *again)
            done += 1
        return done

    def waiting(self) -> list[dict[str, str]]:
        """Take what is visible on the mailbox queue off it and return what is this organization's."""
        taken = []
        with QueueClient.from_connection_string(host_account().connection_string, queues.MAILBOX) as queue:
            for message in queue.receive_messages(messages_per_page=32):
                queue.delete_message(message)
                taken.append(orjson.loads(message.content))
        return [work for work in taken if work["organization"] == self.organization.name]

    async def email(self, email_id: str) -> EmailPartition:
        """Return an email with its interactions."""
        found = await emails.read_partition(self.organization, email_id, interactions=True)
        assert found is not None
        return found

    async def replies(self, email_id: str) -> list[Entity]:
        """Return an email's replies, newest first."""
        return [row for row in (await self.email(email_id)).interactions if row["interactiontype"] == 3]

    async def received(self) -> list[Entity]:
        """Return the rows of every incoming email."""
        tables, condition = self.organization.tables, f"RowKey eq {literal(emails.EMAIL)} and directioncode eq false"
        return await tables.query_all(self.organization.emails, condition)

    async def mailbox(self, person: Person = SELLER) -> Entity:
        """Return the row of a mailbox."""
        row = await records.get(self.organization, mailboxes.TABLE, person.id)
        assert row is not None
        return row

    async def empty_mailbox(self, person: Person) -> None:
        """Delete every message of a mailbox: into Deleted Items, and from there."""
        messages = f"/v1.0/users/{person.id}/messages"
        while found := (await self.call("GET", f"{messages}?$top=500&$select=id"))["value"]:
            for message in found:
                await self.call("DELETE", f"{messages}/{message['id']}")

    async def through(self) -> datetime:
        """Return the watermark of the seller's mailbox."""
        return parse_iso((await self.mailbox())["_through"])

    async def subscriptions(self) -> list[dict[str, Any]]:
        """Return the subscriptions at Graph."""
        return list((await self.call("GET", "/v1.0/subscriptions"))["value"])

    async def _token(self) -> str:
        if not self.token:
            form = {
                "grant_type": "client_credentials",
                "client_id": "tests",
                "client_secret": "tests",
                "scope": "https://graph.microsoft.com/.default",
            }
            async with self.http.post(f"{self.url}/{TENANT.id}/oauth2/v2.0/token", data=form) as answer:
                self.token = (await answer.json())["access_token"]
        return self.token


def _iso(time: datetime) -> str:
    return iso_seconds(milliseconds(time))
