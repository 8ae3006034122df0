"""`make demo`: one followed mail from compose to reply, told in the terminal.

It uses the service that `make run` has started, or starts one of its own for as long as the story takes.
"""

import base64
import contextlib
import os
import re
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from local.directory import WEB_API_AUDIENCE, find_person
from local.processes import is_answering, is_port_free, spawn, stop

SELLER = "seller@contoso.example"
RECIPIENT = "ada.lovelace@analytical.example"

# Who fetches, with the address it comes from.
OUTLOOK = (
    "203.0.113.25",
    {"User-Agent": "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)", "Accept": "*/*"},
)
CHROME = (
    "203.0.113.25",
    {
        "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/146.0.0.0 Safari/537.36",
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "Accept-Language": "en-GB,en;q=0.9",
    },
)
SCANNER = (
    "40.94.89.12",
    {
        "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/101.0.4951.64 Safari/537.36",
        "Accept": "*/*",
    },
)
APPLE_PROXY = ("17.58.0.10", {"User-Agent": "Mozilla/5.0", "Accept": "*/*"})

SYMBOLS = {0: "◉ opened", 1: "↗ clicked", 2: "▤ attachment", 3: "↩ replied"}
LABELS = {0: "person", 1: "proxy", 2: "machine", 3: "sender"}
BOLD, DIM, GREEN, YELLOW, RESET = (
    ("\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[0m") if sys.stdout.isatty() else ("",) * 5
)


def main() -> None:
    """Tell the story; exit with an error where a chapter does not come true."""
    with _service() as (service, world):
        story = Story(service, world)
        story.tell()


class Story:
    """The clients and the ids that the chapters share."""

    def __init__(self, service: str, world: str) -> None:
        self.world = httpx.Client(base_url=world, timeout=60)
        tenant, person = _seller()
        answer = self.world.post(
            f"/{tenant}/oauth2/v2.0/token",
            data={
                "grant_type": "password",
                "username": person,
                "password": "local",
                "client_id": "demo",
                "scope": f"{WEB_API_AUDIENCE}/.default",
            },
        ).raise_for_status()
        self.api = httpx.Client(
            base_url=f"{service}/contoso/api/data/v9.2/",
            headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
            timeout=60,
        )
        self.recipients = httpx.Client(timeout=60)
        self.email = ""

    def tell(self) -> None:
        """Compose, send, arrive, be fetched by machines and people, be answered; then the timeline."""
        _chapter("Compose", f"{SELLER} writes to a contact, with two links, a picture and two files")
        self.compose()
        _chapter("Send", "SendEmail returns at once; the deliver queue does the work")
        self.send()
        _chapter("Arrive", f"what {RECIPIENT} finds in the mailbox")
        links, pixel = self.arrive()
        _chapter(
            "Machines first", "a security scanner follows everything within a second, a privacy proxy loads the images"
        )
        self.fetch(SCANNER, [pixel, *links])
        self.fetch(APPLE_PROXY, [pixel])
        _chapter("Ada reads", "in Outlook; then she follows a link, and opens the file")
        self.fetch(OUTLOOK, [pixel])
        time.sleep(2)
        self.fetch(CHROME, links[:1])
        time.sleep(2)
        self.fetch(CHROME, [link for link in links if "/a/" in link])
        _chapter("Ada answers", "from her own mail program")
        self.reply()
        _chapter("What came back", "people and machines apart")
        self.timeline()

    def compose(self) -> None:
        contact = self._create(
            "contacts", {"firstname": "Ada", "lastname": "Lovelace", "emailaddress1": RECIPIENT, "followemail": True}
        )
        _, person = _seller_person()
        self.email = self._create(
            "emails",
            {
                "subject": "Your quote for the engine",
                "description": _body(),
                "followemailuserpreference": True,
                "email_activity_parties": [
                    {"partyid_systemuser@odata.bind": f"/systemusers({person})", "participationtypemask": 1},
                    {"partyid_contact@odata.bind": f"/contacts({contact})", "participationtypemask": 2},
                ],
            },
        )
        followed = self._attach("quote.pdf", "application/pdf", b"%PDF-1.4\n% a quote\n%%EOF\n")
        self._attach("terms.txt", "text/plain", b"The usual terms.\n")
        self.api.post("FollowEmailAttachment", json={"ActivityMimeAttachmentId": followed}).raise_for_status()
        print(f"  email {self.email}; quote.pdf is followed, terms.txt is not")

    def send(self) -> None:
        self.api.post(
            f"emails({self.email})/Microsoft.Dynamics.CRM.SendEmail", json={"IssueSend": True}
        ).raise_for_status()
        columns = "statuscode,isemailfollowed,ee_followreason,ee_failurereason,senton"
        sent = _wait(
            "delivering",
            lambda: self._email(columns),
            lambda email: email["statuscode"] in (3, 8),
        )
        if sent["statuscode"] == 8:
            raise SystemExit(f"the mail was not sent: {sent['ee_failurereason']}")
        print(f"  sent at {sent['senton']}, followed: {'yes' if sent['isemailfollowed'] else sent['ee_followreason']}")

    def arrive(self) -> tuple[list[str], str]:
        message = _wait("arriving", lambda: self._newest(RECIPIENT), lambda found: found is not None)
        html = message["body"]["content"]
        links = re.findall(r'href="(http[^"]+/[ca]/[^"]+)"', html)
        pixel = re.findall(r'src="(http[^"]+/o/[^"]+)"', html)[-1]
        print(f"  subject    {message['subject']}")
        print(f"  links      {len(links)} ours: {', '.join(_short(link) for link in links)}")
        print(f"  pixel      {_short(pixel)}")
        print(f"  attached   {', '.join(a['name'] for a in message['attachments']) or 'nothing'}")
        print(f"  {DIM}look at it: {str(self.world.base_url).rstrip('/')}/mail/{RECIPIENT}{RESET}")
        return links, pixel

    def fetch(self, who: tuple[str, dict[str, str]], urls: list[str]) -> None:
        address, headers = who
        for url in urls:
            answer = self.recipients.get(url, headers={**headers, "X-Forwarded-For": address})
            target = answer.headers.get("location", answer.headers.get("content-type", ""))
            print(f"  {answer.status_code} {_short(url)} {DIM}-> {target[:70]}{RESET}")

    def reply(self) -> None:
        message = self._newest(RECIPIENT)
        body = {"messageId": message["id"], "body": "Dear Sella, we take two. Ada"}
        self.world.post(f"/local/mailboxes/{RECIPIENT}/reply", json=body).raise_for_status()
        print("  a reply is on its way to the seller's mailbox; Graph notifies us of it")

    def timeline(self) -> None:
        counters = (
            "opencount,linksclickedcount,attachmentopencount,replycount,"
            "ee_proxyopencount,ee_machineopencount,ee_machineclickcount,lastopenedtime,ee_statustext"
        )
        email = _wait(
            "folding",
            lambda: self._email(counters),
            lambda e: e["opencount"] and e["attachmentopencount"] and e["replycount"] and e["ee_machineclickcount"],
        )
        query = {"$filter": f"emailactivityid eq {self.email}", "$orderby": "emailinteractiontime desc"}
        for event in self.api.get("interactionforemails", params=query).raise_for_status().json()["value"]:
            self._event(event)
        print()
        people = "{opencount} opens, {linksclickedcount} clicks, {attachmentopencount} files, {replycount} replies"
        others = "{ee_proxyopencount} opens by proxies, {ee_machineopencount} opens and {ee_machineclickcount} clicks"
        print(f"  {BOLD}people{RESET}    {people.format(**email)}")
        print(f"  {BOLD}others{RESET}    {others.format(**email)} by machines")
        print(f"  {BOLD}status{RESET}    {email['ee_statustext']}")
        filter_ = {"$filter": f"_regardingobjectid_value eq {self.email}"}
        for card in self.api.get("actioncards", params=filter_).raise_for_status().json()["value"]:
            print(f"  {BOLD}alert{RESET}     {card['description']}")

    def _event(self, event: dict[str, Any]) -> None:
        label = event["ee_label"]
        colour = {0: GREEN, 2: YELLOW}.get(label, DIM)
        what = event.get("interactedcomponenttext") or event.get("interactionrepliedby") or ""
        merged = f" {DIM}(same event){RESET}" if event.get("ee_duplicateof") else ""
        who = f"{colour}{SYMBOLS[event['interactiontype']]:<13}{LABELS[label]:<8}{RESET}"
        reason = f"{DIM}{event.get('ee_labelreason') or ''}{RESET}{merged}"
        print(f"  {event['emailinteractiontime'][11:19]}  {who}{what[:44]:<45}{reason}")

    def _create(self, entity_set: str, columns: dict[str, Any]) -> str:
        answer = self.api.post(entity_set, json=columns)
        if answer.status_code != 204:
            raise SystemExit(f"POST {entity_set} answered {answer.status_code}: {answer.text}")
        return answer.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")

    def _attach(self, name: str, mime_type: str, data: bytes) -> str:
        return self._create(
            "activitymimeattachments",
            {
                "objectid_email@odata.bind": f"/emails({self.email})",
                "objecttypecode": "email",
                "filename": name,
                "mimetype": mime_type,
                "body": base64.b64encode(data).decode(),
            },
        )

    def _email(self, columns: str) -> Any:
        return self.api.get(f"emails({self.email})", params={"$select": columns}).raise_for_status().json()

    def _newest(self, address: str) -> Any:
        found = self.world.get(f"/local/mailboxes/{address}/messages").raise_for_status().json()["value"]
        return found[0] if found else None


@contextlib.contextmanager
def _service() -> Iterator[tuple[str, str]]:
    """Yield the addresses of the service and of the outside world."""
    port, world = os.environ.get("PORT", "7071"), os.environ.get("MICROSOFT365_PORT", "7072")
    service = f"http://127.0.0.1:{port}"
    if _is_healthy(service):
        if not is_answering(int(world)):
            raise SystemExit(
                f"A service answers on port {port}, but no Microsoft 365 stand-in on port {world}: "
                "set MICROSOFT365_PORT as it was set for `make run`."
            )
        yield service, f"http://127.0.0.1:{world}"
        return
    print("No service answers on port", port, "- starting one for the demo.")
    first = next(p for p in range(7400, 9000, 10) if all(is_port_free(p + n) for n in range(5)))
    with tempfile.TemporaryDirectory(prefix="email-engagement-demo-") as data:
        log = Path(data) / "run.log"
        ports = {"PORT": first, "MICROSOFT365_PORT": first + 1, "AZURITE_PORT": first + 2}
        environment = {**os.environ, **{name: str(value) for name, value in ports.items()}, "DATA_DIR": data}
        command = [sys.executable, "-m", "local.run", "--end-with-parent"]
        with log.open("wb") as output:
            process = spawn(command, environment=environment, output=output)
        try:
            service = f"http://127.0.0.1:{first}"
            _wait("starting", lambda: process.poll() is not None or _is_healthy(service), bool, seconds=120)
            if process.poll() is not None:
                raise SystemExit(f"the service did not start:\n{log.read_text()}")
            yield service, f"http://127.0.0.1:{first + 1}"
        finally:
            stop(process)


def _is_healthy(service: str) -> bool:
    try:
        return httpx.get(f"{service}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _wait[T](what: str, ask: Callable[[], T], done: Callable[[T], Any], seconds: float = 90) -> T:
    """Ask until the answer will do, with a sign of life; exit with an error after `seconds`."""
    end, dots = time.monotonic() + seconds, 0
    while not done(answer := ask()):
        if time.monotonic() > end:
            raise SystemExit(f"\nnothing came of {what} within {seconds:.0f} seconds; the last answer was {answer}")
        dots += 1
        if sys.stdout.isatty():
            print(f"\r  {what} {'.' * (dots % 30)}   ", end="", flush=True)
        time.sleep(0.3)
    if dots and sys.stdout.isatty():
        print("\r" + " " * 60 + "\r", end="")
    return answer


def _chapter(title: str, what: str) -> None:
    print(f"\n{BOLD}{title}{RESET}  {DIM}{what}{RESET}", flush=True)


def _short(url: str) -> str:
    path = url.split("/", 3)[-1]
    return f"/{path[:14]}…"


def _seller() -> tuple[str, str]:
    tenant, _ = _seller_person()
    return tenant, SELLER


def _seller_person() -> tuple[str, str]:
    found = find_person(SELLER)
    assert found is not None  # noqa: S101 - the directory is part of this package
    return found[0].id, found[1].id


def _body() -> str:
    return f"""<html><head><style>p{{font:11pt Calibri}}</style></head><body>
<p>Dear Ada,</p>
<p>here is <a href="https://contoso.example/quotes/42?utm_source=mail&amp;copy=2">your quote</a>, and
<a href="https://contoso.example/engine">what the engine can do</a>.</p>
<p><img alt="our logo" src="data:image/png;base64,{base64.b64encode(_picture()).decode()}"></p>
<p>Best regards,<br>Sella</p>
</body></html>
"""


def _picture() -> bytes:
    """Return a small PNG: a blue square (PNG specification, third edition)."""
    width = height = 32
    rows = b"".join(b"\x00" + b"\x1f\x6f\xeb" * width for _ in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    main()
