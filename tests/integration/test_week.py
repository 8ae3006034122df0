"""Weeks in which the clocks change, in a time that is passed in: mails, opens, replies and reminders in ten zones.

In 2026 New South Wales enters summer time on 4 October; Europe leaves it on 25 October, Egypt in the night after the
29th, North America on 1 November. Every time below was worked out by hand from that.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from local.token import request_token
from shared.engagement.hits import Kind
from shared.services import delivering, folding, mailboxes, reminding
from shared.services.agenda import run_agenda
from shared.storage import queues, records
from shared.storage.organizations import save_organization
from tests.agenda_world import Queues, entries, queue_service
from tests.delivery_world import BODY, SELLER, Clock, World
from tests.entra import Issuer
from tests.journalled_hits import CHROME, OUTLOOK, SENT, a_hit, journalled
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world
from tests.web_client import Client

__all__ = ["queue_service", "standin", "world"]

pytestmark = IGNORED_WARNINGS

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
NO_REPLY, NOT_OPENED, ANYWAY = range(3)
APPLE = {"user-agent": "Mozilla/5.0", "accept": "*/*"}
SCRIPT = {"user-agent": "python-requests/2.32.3", "accept": "*/*"}
TOLD = (
    "statuscode", "senton", "isemailfollowed", "ee_followreason", "lastopenedtime", "opencount", "ee_proxyopencount",
    "ee_machineopencount", "linksclickedcount", "replycount", "emailreminderstatus", "ee_reminderreason",
    "ee_statustext", "ee_lateby",
)  # fmt: skip
"""What an email's row tells of its week."""


@dataclass(frozen=True)
class Recipient:
    """Where a contact says to be, when the seller asks when to write to them, and the answer in UTC and in words."""

    columns: dict[str, str]
    asked: str
    best: str
    words: str


FRIDAY_EVENING, BEFORE_EGYPT, NEXT_FRIDAY = "2026-10-23T16:30:00Z", "2026-10-29T16:00:00Z", "2026-10-31T00:30:00Z"
CAST = {
    "Sydney": Recipient(
        {"ee_timezone": "Australia/Sydney"},
        "2026-10-02T08:00:00Z",
        "2026-10-04T21:00:00Z",
        "begins on Monday 5 October, 08:00 in Australia/Sydney",
    ),
    "Tokyo": Recipient(
        {"telephone1": "+81 3 1234 5678"},
        FRIDAY_EVENING,
        "2026-10-25T23:00:00Z",
        "begins on Monday 26 October, 08:00 in Asia/Tokyo, from their phone number",
    ),
    "Kolkata": Recipient(
        {"address1_country": "India"},
        FRIDAY_EVENING,
        "2026-10-26T02:30:00Z",
        "begins on Monday 26 October, 08:00 in Asia/Kolkata, from their address (India)",
    ),
    "Berlin": Recipient(
        {"address1_country": "Germany"},
        FRIDAY_EVENING,
        "2026-10-26T07:00:00Z",
        "begins on Monday 26 October, 08:00 in Europe/Berlin, from their address (Germany)",
    ),
    "London": Recipient(
        {"address1_country": "United Kingdom", "address1_city": "London"},
        FRIDAY_EVENING,
        "2026-10-26T08:00:00Z",
        "begins on Monday 26 October, 08:00 in Europe/London, from their address",
    ),
    "Auckland": Recipient(
        {"telephone1": "+64 9 300 1234"},
        FRIDAY_EVENING,
        "2026-10-26T19:00:00Z",
        "begins on Tuesday 27 October, 08:00 in Pacific/Auckland, from their phone number",
    ),
    "Cairo": Recipient(
        {"ee_timezone": "Africa/Cairo"},
        BEFORE_EGYPT,
        "2026-10-30T06:00:00Z",
        "begins on Friday 30 October, 08:00 in Africa/Cairo",
    ),
    "New York": Recipient(
        {"telephone1": "+1 212 555 0123"},
        NEXT_FRIDAY,
        "2026-11-02T13:00:00Z",
        "begins on Monday 2 November, 08:00 in America/New_York, from their phone number",
    ),
    "Los Angeles": Recipient(
        {"address1_country": "USA", "address1_stateorprovince": "California"},
        NEXT_FRIDAY,
        "2026-11-02T16:00:00Z",
        "begins on Monday 2 November, 08:00 in America/Los_Angeles, from their address",
    ),
    "São Paulo": Recipient(
        {"address1_country": "Brazil", "address1_stateorprovince": "SP"},
        NEXT_FRIDAY,
        "2026-11-03T11:00:00Z",
        "begins on Tuesday 3 November, 08:00 in America/Sao_Paulo, from their address",
    ),
}


class Granted(Issuer):
    """The stand-in as the issuer of the seller's token, whose lifetime is of real time."""

    def token(self, *_: Any, **__: Any) -> str:
        return request_token({"USER": SELLER.address, "MICROSOFT365_PORT": self.url.rpartition(":")[2]})


def moment(text: str) -> datetime:
    """Read a time that is in UTC."""
    found = datetime.fromisoformat(text)
    assert found.utcoffset() == timedelta()
    return found


def stamp(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass
class Week:
    """A seller's week. What is due is done by the timer and its queues, as time passes; nothing is done before."""

    world: World
    queues: Queues
    seller: Client
    clock: Clock
    addresses: dict[str, str] = field(default_factory=dict)
    sent: list[tuple[str, str]] = field(default_factory=list)
    hits: int = 0

    @property
    def now(self) -> datetime:
        return self.clock.now

    async def pass_to(self, end: str) -> None:
        """Let time pass. The timer comes in every minute that something is due in, and in the minute before."""
        while (due := await self._next_due(moment(end))) is not None:
            minute = max(due.replace(second=0), self.now)
            if minute - MINUTE > self.now:
                await run_agenda(minute - MINUTE)
                assert self._handed_over() == []
            self.clock.now = minute
            await run_agenda(minute)
            for seconds, queue, email in sorted(self._handed_over()):
                at = Clock(minute + timedelta(seconds=seconds))
                if queue == queues.REMIND:
                    await reminding.remind(self.world.organization, email, at.now)
                else:
                    await self._deliver(email, at)
        self.clock.now = moment(end)

    async def _next_due(self, end: datetime) -> datetime | None:
        found = await entries(self.world.organization, end)
        return min((entry.due for entry in found if entry.due <= end), default=None)

    def _handed_over(self) -> list[tuple[int, str, str]]:
        return [
            (seconds, queue, email)
            for queue in (queues.DELIVER, queues.REMIND)
            for email, seconds in self.queues.messages(self.world.organization, queue)
        ]

    async def _deliver(self, email: str, at: Clock) -> None:
        """Work off a message: what is due leaves and not a second before; what is not, or is gone, stays as it is."""
        before = await self._state(email, at.now)
        is_due = before is not None and before["statuscode"] == 6 and moment(before["delayedemailsendtime"]) <= at.now
        if is_due and moment(before["delayedemailsendtime"]) == at.now:
            assert await delivering.deliver(self.world.organization, email, Clock(at.now - SECOND)) == SECOND
        await self._stop_world(at.now)
        assert await self.world.deliver(email, at) == []
        after = await self._state(email, at.now)
        if is_due:
            assert after["statuscode"] == 3, after
            self.sent.append((after["subject"], after["senton"]))
        else:
            assert after == before

    async def _state(self, email: str, now: datetime) -> Any:
        answer = await self.seller.get(f"emails({email})", now=now)
        assert answer.status in (200, 404)
        return answer.json if answer.status == 200 else None

    async def _stop_world(self, now: datetime | None) -> None:
        await self.world.call("PUT", "/local/clock", {"now": stamp(now) if now else None})

    async def contact(self, name: str, columns: dict[str, str] | None = None) -> str:
        address = f"{name.casefold().replace(' ', '-').replace('ã', 'a')}@northwind.example"
        given = {"lastname": name, "emailaddress1": address, "followemail": True, **(columns or {})}
        answer = await self.seller.post("contacts", given, now=self.now)
        assert answer.status == 204, answer.body
        self.addresses[name] = address
        return answer.id

    async def schedule(self, name: str, contact: str, at: str, reminder: tuple[int, str] | None = None) -> str:
        """Write a followed mail and send it at a time; its subject is its recipient's name."""
        given = {
            "subject": name,
            "description": BODY,
            "followemailuserpreference": True,
            "delayedemailsendtime": at,
            "email_activity_parties": [
                {"partyid_contact@odata.bind": f"/contacts({contact})", "participationtypemask": 2}
            ],
        }
        if reminder:
            given |= {"emailremindertype": reminder[0], "emailreminderexpirytime": reminder[1]}
        written = await self.seller.post("emails", given, now=self.now)
        assert written.status == 204, written.body
        path = f"emails({written.id})/Microsoft.Dynamics.CRM.SendEmail"
        assert (await self.seller.post(path, {"IssueSend": True}, now=self.now)).status == 200
        assert (await self.row(written.id))["statuscode"] == 6
        return written.id

    async def write_at_best_time(self, name: str, reminder: tuple[int, str]) -> str:
        """Ask when to write to somebody of the cast, and schedule a mail for then."""
        who = CAST[name]
        assert stamp(self.now) == who.asked
        contact = await self.contact(name, who.columns)
        people = [{"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": contact}]
        answer = (await self.seller.post("BestTimeToEmail", {"EntityReferenceCollection": people}, now=self.now)).json
        assert answer["PreferredTime"] == who.best, answer
        assert who.words in answer["Reason"]
        return await self.schedule(name, contact, answer["PreferredTime"], reminder)

    async def change(self, path: str, **changes: Any) -> None:
        assert (await self.seller.patch(path, changes, now=self.now)).status == 204

    async def hit(self, mail: str, at: str, headers: dict[str, str], kind: Kind = Kind.OPEN) -> None:
        """Have an email fetched at a time."""
        await self.pass_to(at)
        await self.hit_now(mail, headers, kind)

    async def hit_now(self, mail: str, headers: dict[str, str], kind: Kind = Kind.OPEN) -> None:
        """Have an email fetched, each time from another address; five seconds later it is folded."""
        self.hits += 1
        after = (self.now - SENT).total_seconds()
        row = a_hit(mail, after, kind, headers=headers, address=f"203.0.113.{self.hits}")
        organization = self.world.organization.name
        for partition in await journalled(self.world.organization, row):
            await folding.fold_partition(organization, partition, self.now + 5 * SECOND)

    async def reply(self, name: str, mail: str, at: str, **headers: str) -> None:
        """Have a recipient answer; half a minute later the mailbox is caught up with."""
        await self.pass_to(at)
        await self._stop_world(self.now)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = {"messageId": (await self.row(mail))["messageid"], "body": "Yes, please.", "headers": given}
        await self.world.call("POST", f"/local/mailboxes/{self.addresses[name]}/reply", answer)
        mailbox = await records.get(self.world.organization, mailboxes.TABLE, SELLER.id)
        assert mailbox is not None
        await mailboxes.catch_up(self.world.organization, mailbox, self.now + 30 * SECOND)

    async def row(self, mail: str) -> dict[str, Any]:
        answer = await self.seller.get(f"emails({mail})", now=self.now)
        assert answer.status == 200, answer.body
        return dict(answer.json)

    async def told(self, mail: str) -> dict[str, Any]:
        """Return what an email tells of its week now; what is null, false or 0 is left out."""
        row = await self.row(mail)
        return {name: row[name] for name in TOLD if row[name]}

    async def cards(self) -> list[tuple[str, str]]:
        """Return title and start of every card, in the order of time."""
        rows = (await self.seller.get("actioncards", now=self.now)).rows
        return sorted(((row["title"], row["startdate"]) for row in rows), key=lambda card: card[1])

    async def arrivals(self, name: str) -> list[str]:
        """Return when what a recipient has got arrived, earliest first."""
        found = await self.world.arrived(self.addresses[name])
        return sorted(message["receivedDateTime"] for message in found if message["subject"] == name)


@pytest_asyncio.fixture
async def week(world: World, queue_service: Queues) -> AsyncIterator[Week]:
    """A week in an organization that has cards of every kind."""
    made = replace(world.organization, settings={**world.organization.settings, "card_kinds_off": []})
    await save_organization(made)
    world.organization = made
    yield Week(world, queue_service, Client(made, Granted(world.url), SELLER.id), Clock())
    await world.call("PUT", "/local/clock", {"now": None})


async def test_the_weekend_on_which_sydney_enters_summer_time(week: Week):
    week.clock.now = moment("2026-10-02T08:00:00Z")
    sydney = await week.write_at_best_time("Sydney", (NO_REPLY, "2026-10-05T05:30:00Z"))
    assert await week.told(sydney) == {
        "statuscode": 6,
        "isemailfollowed": True,
        "emailreminderstatus": 1,
        "ee_statustext": "Scheduled to be sent on 4 October at 21:00 UTC",
    }
    await week.hit(sydney, "2026-10-04T21:20:00Z", OUTLOOK)
    await week.reply("Sydney", sydney, "2026-10-05T01:00:00Z")
    await week.pass_to("2026-10-05T09:00:00Z")
    assert week.sent == [("Sydney", "2026-10-04T21:00:00Z")]
    assert await week.arrivals("Sydney") == ["2026-10-04T21:00:00Z"]
    assert await week.told(sydney) == {
        "statuscode": 3,
        "senton": "2026-10-04T21:00:00Z",
        "isemailfollowed": True,
        "lastopenedtime": "2026-10-04T21:20:00Z",
        "opencount": 1,
        "replycount": 1,
        "emailreminderstatus": 3,
        "ee_reminderreason": "there was a reply on 5 October 2026 at 01:00 UTC",
        "ee_statustext": "Last opened yesterday at 21:20 UTC",
    }
    assert await week.cards() == [
        ("Sydney opened Sydney", "2026-10-04T21:20:05Z"),
        ("Sydney replied to Sydney", "2026-10-05T01:00:30Z"),
    ]


async def test_the_weekend_on_which_europe_leaves_summer_time(week: Week):
    week.clock.now = moment(FRIDAY_EVENING)
    tokyo = await week.write_at_best_time("Tokyo", (NOT_OPENED, "2026-10-27T00:00:00Z"))
    kolkata = await week.write_at_best_time("Kolkata", (ANYWAY, "2026-10-26T11:30:00Z"))
    berlin = await week.write_at_best_time("Berlin", (NOT_OPENED, "2026-10-26T16:00:00Z"))
    london = await week.write_at_best_time("London", (NO_REPLY, "2026-10-28T17:00:00Z"))
    auckland = await week.write_at_best_time("Auckland", (NO_REPLY, "2026-10-27T23:00:00Z"))
    assert (await week.row(london))["ee_statustext"] == "Scheduled to be sent on 26 October at 08:00 UTC"

    await week.hit(tokyo, "2026-10-26T00:20:00Z", SCRIPT)
    await week.hit(kolkata, "2026-10-26T05:45:00Z", OUTLOOK)
    await week.hit(berlin, "2026-10-26T08:12:00Z", OUTLOOK)
    await week.hit(london, "2026-10-26T08:47:00Z", OUTLOOK)
    await week.hit(kolkata, "2026-10-26T11:30:01Z", OUTLOOK)
    await week.hit(london, "2026-10-26T12:05:30Z", CHROME, Kind.LINK)
    await week.hit(auckland, "2026-10-26T19:30:00Z", APPLE)
    await week.reply("Auckland", auckland, "2026-10-26T20:30:00Z")
    await week.hit(london, "2026-10-28T16:59:00Z", OUTLOOK)
    await week.reply("London", london, "2026-10-28T17:30:00Z")
    await week.pass_to("2026-10-28T18:00:00Z")

    left = [
        ("Tokyo", "2026-10-25T23:00:00Z"),
        ("Kolkata", "2026-10-26T02:30:00Z"),
        ("Berlin", "2026-10-26T07:00:00Z"),
        ("London", "2026-10-26T08:00:00Z"),
        ("Auckland", "2026-10-26T19:00:00Z"),
    ]
    assert week.sent == left
    assert [(name, at) for name, _ in left for at in await week.arrivals(name)] == left
    assert await week.told(tokyo) == {
        "statuscode": 3,
        "senton": "2026-10-25T23:00:00Z",
        "isemailfollowed": True,
        "ee_machineopencount": 1,
        "emailreminderstatus": 2,
        "ee_statustext": "Not yet opened",
    }
    assert await week.told(kolkata) == {
        "statuscode": 3,
        "senton": "2026-10-26T02:30:00Z",
        "isemailfollowed": True,
        "lastopenedtime": "2026-10-26T11:30:01Z",
        "opencount": 2,
        "emailreminderstatus": 2,
        "ee_statustext": "Last opened on 26 October at 11:30 UTC",
    }
    assert await week.told(berlin) == {
        "statuscode": 3,
        "senton": "2026-10-26T07:00:00Z",
        "isemailfollowed": True,
        "lastopenedtime": "2026-10-26T08:12:00Z",
        "opencount": 1,
        "emailreminderstatus": 3,
        "ee_reminderreason": "it was opened on 26 October 2026 at 08:12 UTC",
        "ee_statustext": "Last opened on 26 October at 08:12 UTC",
    }
    assert await week.told(london) == {
        "statuscode": 3,
        "senton": "2026-10-26T08:00:00Z",
        "isemailfollowed": True,
        "lastopenedtime": "2026-10-28T16:59:00Z",
        "opencount": 2,
        "linksclickedcount": 1,
        "replycount": 1,
        "emailreminderstatus": 2,
        "ee_statustext": "Last opened today at 16:59 UTC",
    }
    assert await week.told(auckland) == {
        "statuscode": 3,
        "senton": "2026-10-26T19:00:00Z",
        "isemailfollowed": True,
        "ee_proxyopencount": 1,
        "replycount": 1,
        "emailreminderstatus": 3,
        "ee_reminderreason": "there was a reply on 26 October 2026 at 20:30 UTC",
        "ee_statustext": "Not yet opened",
    }
    assert await week.cards() == [
        ("Kolkata opened Kolkata", "2026-10-26T05:45:05Z"),
        ("Berlin opened Berlin", "2026-10-26T08:12:05Z"),
        ("London opened London", "2026-10-26T08:47:05Z"),
        ("Reminder: Kolkata to Kolkata", "2026-10-26T11:30:00Z"),
        ("London clicked a link in London", "2026-10-26T12:05:35Z"),
        ("Auckland replied to Auckland", "2026-10-26T20:30:30Z"),
        ("Reminder: Tokyo to Tokyo", "2026-10-27T00:00:00Z"),
        ("Reminder: London to London", "2026-10-28T17:00:00Z"),
        ("London replied to London", "2026-10-28T17:30:30Z"),
    ]


async def test_the_days_on_which_egypt_and_north_america_leave_summer_time(week: Week):
    week.clock.now = moment(BEFORE_EGYPT)
    cairo = await week.write_at_best_time("Cairo", (ANYWAY, "2026-10-30T08:00:00Z"))
    await week.pass_to(NEXT_FRIDAY)
    new_york = await week.write_at_best_time("New York", (NOT_OPENED, "2026-11-02T22:00:00Z"))
    los_angeles = await week.write_at_best_time("Los Angeles", (NO_REPLY, "2026-11-03T16:00:00Z"))
    sao_paulo = await week.write_at_best_time("São Paulo", (NOT_OPENED, "2026-11-03T14:30:00Z"))

    await week.reply("Los Angeles", los_angeles, "2026-11-02T16:00:20Z", Auto_Submitted="auto-replied")
    await week.hit(los_angeles, "2026-11-02T18:05:00Z", OUTLOOK)
    await week.hit(new_york, "2026-11-02T21:30:00Z", OUTLOOK)
    await week.hit(sao_paulo, "2026-11-03T14:29:59Z", CHROME, Kind.LINK)
    await week.hit(new_york, "2026-11-03T14:31:00Z", OUTLOOK)
    await week.pass_to("2026-11-03T20:00:00Z")

    left = [
        ("Cairo", "2026-10-30T06:00:00Z"),
        ("New York", "2026-11-02T13:00:00Z"),
        ("Los Angeles", "2026-11-02T16:00:00Z"),
        ("São Paulo", "2026-11-03T11:00:00Z"),
    ]
    assert week.sent == left
    assert [(name, at) for name, _ in left for at in await week.arrivals(name)] == left
    assert await week.told(cairo) == {
        "statuscode": 3,
        "senton": "2026-10-30T06:00:00Z",
        "isemailfollowed": True,
        "emailreminderstatus": 2,
        "ee_statustext": "Not yet opened",
    }
    assert await week.told(new_york) == {
        "statuscode": 3,
        "senton": "2026-11-02T13:00:00Z",
        "isemailfollowed": True,
        "lastopenedtime": "2026-11-03T14:31:00Z",
        "opencount": 2,
        "emailreminderstatus": 3,
        "ee_reminderreason": "it was opened on 2 November 2026 at 21:30 UTC",
        "ee_statustext": "Last opened today at 14:31 UTC",
    }
    assert await week.told(los_angeles) == {
        "statuscode": 3,
        "senton": "2026-11-02T16:00:00Z",
        "isemailfollowed": True,
        "lastopenedtime": "2026-11-02T18:05:00Z",
        "opencount": 1,
        "emailreminderstatus": 2,
        "ee_statustext": "Last opened yesterday at 18:05 UTC",
    }
    assert await week.told(sao_paulo) == {
        "statuscode": 3,
        "senton": "2026-11-03T11:00:00Z",
        "isemailfollowed": True,
        "lastopenedtime": "2026-11-03T14:29:59Z",
        "linksclickedcount": 1,
        "emailreminderstatus": 3,
        "ee_reminderreason": "it was opened on 3 November 2026 at 14:29 UTC",
        "ee_statustext": "Last opened today at 14:29 UTC",
    }
    assert await week.cards() == [
        ("Reminder: Cairo to Cairo", "2026-10-30T08:00:00Z"),
        ("Los Angeles opened Los Angeles", "2026-11-02T18:05:05Z"),
        ("New York opened New York", "2026-11-02T21:30:05Z"),
        ("São Paulo clicked a link in São Paulo", "2026-11-03T14:30:04Z"),
        ("Reminder: Los Angeles to Los Angeles", "2026-11-03T16:00:00Z"),
    ]


async def test_a_week_in_which_things_change_before_they_are_due(week: Week):
    week.clock.now = moment(FRIDAY_EVENING)
    names = ("First", "Second", "Moved", "Cancelled", "Deleted", "Withdrawn", "Late", "Hardly")
    people = {name: await week.contact(name) for name in names}
    # Half past two on Sunday comes twice in Berlin; whoever gives the offset is understood.
    first = await week.schedule(
        "First", people["First"], "2026-10-25T02:30:00+02:00", (NOT_OPENED, "2026-10-27T03:00:00Z")
    )
    await week.schedule("Second", people["Second"], "2026-10-25T02:30:00+01:00")
    moved = await week.schedule("Moved", people["Moved"], "2026-10-26T09:00:00Z", (NOT_OPENED, "2026-10-26T12:00:00Z"))
    cancelled = await week.schedule("Cancelled", people["Cancelled"], "2026-10-26T10:00:00Z")
    deleted = await week.schedule(
        "Deleted", people["Deleted"], "2026-10-26T10:05:00Z", (ANYWAY, "2026-10-26T18:00:00Z")
    )
    withdrawn = await week.schedule(
        "Withdrawn", people["Withdrawn"], "2026-10-26T10:10:40Z", (NO_REPLY, "2026-10-27T18:00:00Z")
    )
    late = await week.schedule("Late", people["Late"], "2026-10-27T02:00:00Z", (ANYWAY, "2026-10-27T03:00:00Z"))
    hardly = await week.schedule("Hardly", people["Hardly"], "2026-10-27T03:58:00Z")

    await week.pass_to("2026-10-26T08:59:00Z")
    await week.change(f"emails({moved})", delayedemailsendtime="2026-10-27T14:15:30Z")
    await week.change(f"emails({cancelled})", statecode=0, statuscode=1)
    assert (await week.seller.send("DELETE", f"emails({deleted})", now=week.now)).status == 204
    await week.change(f"contacts({people['Withdrawn']})", followemail=False)
    await week.pass_to("2026-10-27T01:30:00Z")
    # The timer is down until four; what is opened meanwhile comes after the time of its reminder.
    week.clock.now = moment("2026-10-27T03:30:00Z")
    await week.hit_now(first, OUTLOOK)
    week.clock.now = moment("2026-10-27T04:00:00Z")
    await week.pass_to("2026-10-27T04:30:00Z")
    assert (await week.row(late))["ee_statustext"] == "Sent 2 hours late; not yet opened"
    await week.pass_to("2026-10-28T09:00:00Z")

    left = [
        ("First", "2026-10-25T00:30:00Z"),
        ("Second", "2026-10-25T01:30:00Z"),
        ("Withdrawn", "2026-10-26T10:10:40Z"),
        ("Late", "2026-10-27T04:00:00Z"),
        ("Hardly", "2026-10-27T04:00:00Z"),
        ("Moved", "2026-10-27T14:15:30Z"),
    ]
    assert sorted(week.sent) == sorted(left)
    assert [(name, at) for name, _ in left for at in await week.arrivals(name)] == left
    assert await week.arrivals("Cancelled") == await week.arrivals("Deleted") == []
    assert await week.told(first) == {
        "statuscode": 3,
        "senton": "2026-10-25T00:30:00Z",
        "isemailfollowed": True,
        "lastopenedtime": "2026-10-27T03:30:00Z",
        "opencount": 1,
        "emailreminderstatus": 2,
        "ee_statustext": "Last opened yesterday at 03:30 UTC",
    }
    assert await week.told(moved) == {
        "statuscode": 3,
        "senton": "2026-10-27T14:15:30Z",
        "isemailfollowed": True,
        "emailreminderstatus": 3,
        "ee_reminderreason": "the email had not been sent by then",
        "ee_statustext": "Not yet opened",
    }
    assert await week.told(cancelled) == {"statuscode": 1}
    assert (await week.seller.get(f"emails({deleted})", now=week.now)).status == 404
    assert await week.told(withdrawn) == {
        "statuscode": 3,
        "senton": "2026-10-26T10:10:40Z",
        "ee_followreason": "Withdrawn does not allow following",
        "emailreminderstatus": 3,
        "ee_reminderreason": "the email is not followed: Withdrawn does not allow following",
        "ee_statustext": "Not followed: Withdrawn does not allow following",
    }
    assert await week.told(late) == {
        "statuscode": 3,
        "senton": "2026-10-27T04:00:00Z",
        "isemailfollowed": True,
        "emailreminderstatus": 2,
        "ee_statustext": "Sent 2 hours late; not yet opened",
        "ee_lateby": 7200,
    }
    assert await week.told(hardly) == {
        "statuscode": 3,
        "senton": "2026-10-27T04:00:00Z",
        "isemailfollowed": True,
        "ee_statustext": "Not yet opened",
    }
    assert sorted(await week.cards()) == [
        ("First opened First", "2026-10-27T03:30:05Z"),
        ("Reminder: First to First", "2026-10-27T04:00:00Z"),
        ("Reminder: Late to Late", "2026-10-27T04:00:00Z"),
    ]
