"""What a stranger, a signed-in caller and a mail may send to keep a process busy: a list, for the tests and `make bench`.

To add a kind, add a row to the list of its family. A request is text in a place, so that it reads as what it is.
"""

# ruff: noqa: E501 - a kind is a line

import base64
import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.running_service import Seller, Service

MEBIBYTE = 1024 * 1024
SECONDS = 300
"""How long an answer may take: a request may make work, and it is others who must not wait for it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A service with what hostile requests are about: a seller, an administrator, a contact with mail about it, a
    template with a long text, and a followed mail that arrived at `address` as `message`."""

    service: Service
    seller: Seller
    admin: Seller
    contact: str
    template: str
    email: str
    address: str
    message: dict[str, Any] = field(repr=False)

    @property
    def reference(self) -> dict[str, str]:
        """The contact as a parameter."""
        return {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": self.contact}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of hostile request. `send` sends it once; `refused` is whether the answer must be a refusal (4xx); without
    it any answer below 500 will do."""

    name: str
    send: Callable[[Ground], httpx.Response]
    refused: bool = True


def _anybody(
    name: str, path: str, *, method: str = "GET", body: str | bytes = b"", refused: bool = True, **headers: str
) -> Kind:
    """A request without a token; ``{n}`` in the path is a number that no other request has."""

    def send(ground: Ground) -> httpx.Response:
        url = ground.service.url + path.replace("{n}", uuid.uuid4().hex[:8])
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return ground.service.anybody.request(method, url, content=body, headers=sent)

    return Kind(name, send, refused)


def _get(name: str, path: Callable[[Ground], str] | str, *, refused: bool = True, **headers: str) -> Kind:
    def send(ground: Ground) -> httpx.Response:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return ground.seller.api.get(path if isinstance(path, str) else path(ground), headers=sent, timeout=SECONDS)

    return Kind(name, send, refused)


def _post(
    name: str, path: str, body: Callable[[Ground], Any], *, refused: bool = True, as_admin: bool = False, **headers: str
) -> Kind:
    """A request with a body: bytes as they are, anything else as JSON. It is made once for a ground."""
    made: dict[int, bytes] = {}

    def send(ground: Ground) -> httpx.Response:
        if id(ground) not in made:
            content = body(ground)
            made[id(ground)] = content if isinstance(content, bytes) else json.dumps(content).encode()
        api = (ground.admin if as_admin else ground.seller).api
        sent = {"Content-Type": "application/json", **{key.replace("_", "-"): value for key, value in headers.items()}}
        return api.post(path.replace("{email}", ground.email), content=made[id(ground)], headers=sent, timeout=SECONDS)

    return Kind(name, send, refused)


def _batch(part: str, times: int) -> bytes:
    head = "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    return (f"{head}GET {part} HTTP/1.1\r\n\r\n\r\n" * times + "--b--").encode()


def nested(depth: int) -> str:
    """Return an ``$expand`` from mail to its contact, to that contact's mail, and so on."""
    text = ""
    for level in reversed(range(depth)):
        name = "Contact_Emails" if level % 2 else "regardingobjectid_contact_email"
        text = f"{name}($select=createdon{';$expand=' + text if text else ''})"
    return text


def _mail(body: str, subject: str = "A hostile body") -> Callable[[Ground], Any]:
    def made(ground: Ground) -> dict[str, Any]:
        to = {"participationtypemask": 2, "partyid_contact@odata.bind": f"/contacts({ground.contact})"}
        sender = {"participationtypemask": 1, "partyid_systemuser@odata.bind": f"/systemusers({ground.seller.id})"}
        return {"subject": subject, "description": body, "email_activity_parties": [sender, to]}

    return made


def _delivered(name: str, body: str, subject: str = "A hostile body") -> Kind:
    """A mail that is made and sent: the answer is that of sending, the work comes after it."""

    def send(ground: Ground) -> httpx.Response:
        made = ground.seller.api.post("emails", json=_mail(body, subject)(ground))
        if made.status_code != 204:
            return made
        url = f"{made.headers['OData-EntityId']}/Microsoft.Dynamics.CRM.SendEmail"
        return ground.seller.api.post(url, json={"IssueSend": True})

    return Kind(name, send, refused=False)


def _arriving(name: str, route: str, **said: Any) -> Kind:
    """A message that arrives in the seller's mailbox: the answer is that of the world outside, the work comes after."""
    if "mime" in said:
        said["mime"] = base64.b64encode(said["mime"].encode()).decode()

    def send(ground: Ground) -> httpx.Response:
        path = f"/local/mailboxes/{ground.address}/{route}"
        return ground.service.world.post(path, json={"messageId": ground.message["id"], **said})

    return Kind(name, send, refused=False)


def _long_names(count: int) -> dict[str, Any]:
    return {f"column{number}": None for number in range(count)}


_HEADER = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"made up","x":' + b"[" * 5000 + b"]" * 5000 + b"}").decode()
_AA, _LIKE = "a" * 1500, "%a" * 700

# fmt: off
STRANGERS: Sequence[Kind] = (
    _anybody("an organization that there is not, of 30,000 letters", "/{n}" + "a" * 30_000 + "/api/data/v9.2/x"),
    _anybody("an organization that there is not", "/a{n}/api/data/v9.2/x"),
    _anybody("a link that is long and forged", "/c/AQFv{n}" + "A" * 30_000),
    _anybody("a link of thousands of segments", "/c/" + "A/" * 15_000),
    _anybody("a token of nothing but nesting", "/contoso/api/data/v9.2/x", Authorization=f"Bearer {_HEADER.rstrip('=')}.e30.AA"),
    _anybody("a token of 16,000 letters", "/contoso/api/data/v9.2/x", Authorization="Bearer " + "a" * 16_000),
    _anybody("forwarded by thousands", "/c/AQFv", X_Forwarded_For=",".join(["127.0.0.1"] * 3000)),
    _anybody("languages without end", "/w/AQFv", Accept_Language=",".join(f"x{n};q=0.{n}" for n in range(2000))),
    _anybody("a notification of nothing but braces", "/mailbox/notifications", method="POST", body='{"value":[' + "{}," * 300_000 + "{}]}"),
    _anybody("a notification that is nested", "/mailbox/notifications", method="POST", body="[" * 500_000),
)

PAYLOADS: Sequence[Kind] = (
    _post("millions of empty objects", "emails", lambda _: b'{"email_activity_parties":[' + b"{}," * 2_600_000 + b"{}]}"),
    _post("millions of empty objects where no list may be", "emails", lambda _: b"[" + b"{}," * 2_600_000 + b"{}]"),
    _post("nothing but nesting", "emails", lambda _: b'{"a":' * 500_000),
    _post("a list within a list without end", "emails", lambda _: b'{"subject":' + b"[" * 2_000_000),
    _post("thousands of columns that there are not", "contacts", lambda _: _long_names(40_000)),
    _post("one text of escapes", "emails", lambda _: b'{"subject":"' + b"\\u0061" * 1_300_000 + b'"}'),
    _post("a number of a million digits", "contacts", lambda _: b'{"numberofchildren":' + b"9" * 1_000_000 + b"}"),
    _post("a reference of 30,000 underscores", "GetEmailEngagementAggregateCounts", lambda _: {"Target": {"@odata.id": "_" * 30_000}}),
    _post("a bound reference of 30,000 underscores", "emails", lambda _: {"regardingobjectid_contact@odata.bind": "_" * 30_000}),
    _post("a bound reference of parentheses", "emails", lambda _: {"regardingobjectid_contact@odata.bind": "contacts(" * 5_000}),
    _post("a hundred thousand targets", "contacts/Microsoft.Dynamics.CRM.CreateMultiple", lambda _: {"Targets": [{"lastname": "a"}] * 100_000}),
    _post("recipients without end", "BestTimeToEmail", lambda g: {"EntityReferenceCollection": [g.reference] * 9_000}),
    _post("five hundred parties of long addresses", "emails", lambda _: {"email_activity_parties": [
        {"participationtypemask": 2, "addressused": "a." * 400 + f"{n}@example.com"} for n in range(500)]}, refused=False),
    _post("rows to delete without end", "BulkDelete", lambda _: {"QuerySet": [{"EntityName": "contact", "Criteria": {"Conditions": [
        {"AttributeName": "contactid", "Operator": "In", "Values": [{"Value": str(uuid.UUID(int=n))} for n in range(60_000)]}]}}]}),
)

QUERIES: Sequence[Kind] = (
    _get("a text that nearly fits", f"templates?$select=title&$filter=contains(subjectsafehtml,'{_AA}b')", refused=False),
    _get("a pattern that nearly fits", f"templates?$select=title&$filter=contains(subjectsafehtml,'{_LIKE.replace('%', '%25')}b')", refused=False),
    _get("a pattern of single characters", f"templates?$select=title&$filter=contains(subjectsafehtml,'{'_' * 3000}b')", refused=False),
    _get("an argument of 20,000 plus signs", lambda g: f"emails({g.email})/Microsoft.Dynamics.CRM.ee_GetEmailHistory(TimeZone=@p)?@p=" + "+" * 20_000),
    _get("an argument of quotes", lambda g: f"emails({g.email})/Microsoft.Dynamics.CRM.ee_GetEmailHistory(TimeZone='{chr(39) * 20_000})"),
    _get("a filter of nothing but not", "emails?$filter=" + "not " * 4_500 + "isemailfollowed"),
    _get("a filter of parentheses", "emails?$filter=" + "(" * 30_000),
    _get("a filter of alternatives", "emails?$select=subject&$filter=" + " or ".join(["opencount eq 1"] * 1_100), refused=False),
    _get("a filter of thousands of values", "emails?$select=subject&$filter=opencount in (" + ",".join(["1"] * 14_000) + ")", refused=False),
    _get("a filter with a quote that never ends", "emails?$filter=subject eq '" + "a''" * 9_000),
    _get("a filter of blanks", "emails?$filter=opencount" + "%20" * 10_000 + "eq 1", refused=False),
    _get("a selection of thousands", "emails?$select=" + ",".join(["subject"] * 4_000), refused=False),
    _get("an order of thousands", "emails?$orderby=" + ",".join(["subject"] * 3_000), refused=False),
    _get("an expansion of parentheses", "emails?$expand=" + "email_activity_parties(" * 1_300),
    _get("a path of slashes", "emails/" + "/".join(["a"] * 15_000)),
    _get("a key of 30,000 letters", "emails(" + "a=" * 15_000 + ")"),
    _get("a place to go on that is long", "emails?$skiptoken=" + base64.urlsafe_b64encode(b"[" * 20_000).decode()),
    _get("annotations without end", "emails?$select=subject", refused=False, Prefer='odata.include-annotations="' + "*a" * 15_000 + '"'),
    _get("preferences without end", "emails?$select=subject", refused=False, Prefer="a=b," * 7_000 + '"' * 1_001),
    _get("a version of 30,000 digits", lambda g: f"emails({g.email})?$select=subject", refused=False, If_None_Match='W/"' + "1" * 30_000),
    _get("another user of 30,000 letters", "WhoAmI", MSCRMCallerID="{" * 30_000 + "a"),
)

WORK: Sequence[Kind] = (
    _get("mail expanded thirteen times over", f"emails?$select=subject&$expand={nested(13)}"),
    _get("mail that is asked which of its mail is asked", "contacts?$select=fullname&$filter=Contact_Emails/any(e:e/opencount ge 0)", refused=False),
    _post("a thousand parts that each expand", "$batch", lambda _: _batch(f"emails?$select=subject&$expand={nested(2)}", 1000),
        refused=False, Content_Type="multipart/mixed; boundary=b", Prefer="odata.continue-on-error"),
    _post("a thousand parts that each read the metadata", "$batch", lambda _: _batch("$metadata", 1000),
        refused=False, Content_Type="multipart/mixed; boundary=b", Prefer="odata.continue-on-error"),
    _post("a batch of nothing but boundaries", "$batch", lambda _: b"--b\r\n" * 400_000, Content_Type="multipart/mixed; boundary=b"),
    _post("a batch with a header of a megabyte", "$batch", lambda _: _batch("emails", 1).replace(b"binary", b"b" * MEBIBYTE),
        refused=False, Content_Type="multipart/mixed; boundary=b"),
    _get("every definition with all that belongs to it", "EntityDefinitions?$expand=Attributes,Keys,ManyToOneRelationships,OneToManyRelationships", refused=False),
    _post("a hundred recipients' best time", "BestTimeToEmail", lambda g: {"EntityReferenceCollection": [g.reference] * 100}, refused=False),
    _post("two years of figures", "ee_GetEmailEngagementSeries", lambda g: {"Target": g.reference, "From": "2025-01-01T00:00:00Z", "To": "2026-12-31T00:00:00Z"}, refused=False),
    _post("figures of all time", "GetEmailEngagementAggregateCounts", lambda g: {"Target": g.reference, "From": "0001-01-01T00:00:00Z", "To": "9999-12-31T00:00:00Z"}, refused=False),
    _post("everything that is held about a person", "ee_ExportPerson", lambda g: {"Target": g.reference}, refused=False, as_admin=True),
    _post("a thousand contacts at once", "contacts/Microsoft.Dynamics.CRM.CreateMultiple", lambda _: {"Targets": [{"lastname": "a"}] * 1000}, refused=False),
)

BODIES: Sequence[Kind] = (
    _delivered("a body of prefixes", "<html " + "xmlns:" * 10_000 + "><body>"),
    _delivered("a body of prefixes that are declared", "<html " + " ".join(f'xmlns:a{n}="b"' for n in range(8_000)) + ">"),
    _delivered("a body of tags that never end", "<a " * 200_000),
    _delivered("a body of attributes", "<a " + " ".join(f"a{n}=b" for n in range(60_000)) + ">"),
    _delivered("a body of comments that never end", "<!--" * 150_000),
    _delivered("a body of conditions", "<!--[if mso]>" * 50_000),
    _delivered("a body of open elements", "<div><b><i>" * 50_000),
    _delivered("a body of character references", "&#x41;&amp" * 60_000),
    _delivered("a body of quotes", "<a href='" * 60_000),
    _delivered("a body of thousands of links", "".join(f'<a href="https://example.com/{n}">{n}</a>' for n in range(12_000))),
    _delivered("a body of pictures", '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">' * 2_000),
    _delivered("a body of styles", "<style>" * 80_000 + "a{b:c}"),
    _delivered("a body of content ids", "<img src=cid:" * 60_000),
    _delivered("a body of spaces", "<p" + " " * 600_000 + "x"),
)

# fmt: on


_REPORT = (
    "From: postmaster@example.com\r\nSubject: Undeliverable\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n"
)


def _report(parts: str) -> str:
    return f"{_REPORT}\r\n{parts}--b--\r\n"


# fmt: off
MESSAGES: Sequence[Kind] = (
    _arriving("a report of 2 MB of empty parts", "bounce", mime=_report("--b\r\n\r\n" * 260_000)),
    _arriving("a report of nested parts", "bounce", mime=_report("".join(
        f"--b{n}\r\nContent-Type: multipart/mixed; boundary=b{n + 1}\r\n\r\n" for n in range(20_000)))),
    _arriving("a report of a header of 2 MB", "bounce", mime=_REPORT + "Received: " + "(" * 2_000_000 + "\r\n\r\n"),
    _arriving("a report of 2 MB of headers", "bounce", mime=_REPORT + "a: b\r\n" * 300_000 + "\r\n"),
    _arriving("a report of encoded words", "bounce", mime=_report("--b\r\nContent-Type: message/delivery-status\r\n\r\n"
         "Final-Recipient: " + "=?utf-8?q?a?= " * 100_000 + "\r\n\r\n")),
    _arriving("a report of the words message id", "bounce", mime=_REPORT + "\r\n" + "Message-ID: <\r\n" * 140_000),
    _arriving("a report of parts in base64", "bounce",
         mime=_report("--b\r\nContent-Transfer-Encoding: base64\r\n\r\nTWVz\r\n" * 18_000)),
    _arriving("a report of quoted-printable", "bounce",
         mime=_REPORT + "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + "=3D=\r\n" * 280_000),
    _arriving("a reply that quotes a hostile body", "reply", body="<html " + "xmlns:" * 10_000 + ">"),
    _arriving("a reply with references without end", "reply", body="Yes", headers={"References": "<a@b> " * 5_000}),
    _arriving("a reply with a subject of 30,000 letters", "reply", body="Yes", headers={"Subject": "Re: " * 8_000}),
)
# fmt: on

FAMILIES = {
    "strangers": STRANGERS,
    "payloads": PAYLOADS,
    "queries": QUERIES,
    "work": WORK,
    "bodies": BODIES,
    "messages": MESSAGES,
}


def prepare(service: Service) -> Ground:
    """Make what hostile requests are about."""
    seller, admin = service.seller(), service.seller("admin@contoso.example")
    address = f"ada-{uuid.uuid4().hex[:10]}@example.com"
    contact = seller.contact(address)
    bound = {"regardingobjectid_contact_email@odata.bind": f"/contacts({contact})"}
    for number in range(12):
        seller.create("emails", subject=f"{number}", **bound)
    template = seller.create(
        "templates",
        title="Long",
        subject="Long",
        body="<p>Long</p>",
        languagecode=1033,
        ispersonal=False,
        subjectsafehtml="a" * 32_000,
        templatetypecode="contact",
    )
    email = seller.email(
        '<p>Here is <a href="https://example.com/quote">your quote</a></p>',
        [{"partyid_contact@odata.bind": f"/contacts({contact})"}],
    )
    seller.send(email)
    [message] = service.mailbox(address)
    return Ground(service, seller, admin, contact, template, email, address, message)


@dataclass
class Asked:
    """What one recipient's program was answered: how often, and with what else than what is right."""

    hits: int = 0
    wrong: list[str] = field(default_factory=list)


@contextlib.contextmanager
def recipients(urls: Sequence[str], pause: float = 0.02) -> Iterator[Asked]:
    """Ask for pixels and links, one after the other and each from an address of its own, until the block ends."""
    asked, begun, ended = Asked(), threading.Event(), threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=60) as client:
            while not ended.is_set():
                number = asked.hits
                headers = {
                    "X-Forwarded-For": f"198.51.{number // 250 % 250}.{number % 250 + 1}",
                    "User-Agent": "Mozilla/5.0",
                }
                try:
                    answer = client.get(urls[number % len(urls)], headers=headers)
                    asked.hits += 1
                    if answer.status_code not in (200, 302):
                        asked.wrong.append(f"{answer.status_code}: {answer.text[:200]}")
                except httpx.HTTPError as error:
                    asked.wrong.append(repr(error))
                begun.set()
                time.sleep(pause)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        begun.wait()
        yield asked
    finally:
        ended.set()
        thread.join()
