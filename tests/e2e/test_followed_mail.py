"""One mail, from compose to reply, through the whole service over HTTP."""

import base64
import re
import uuid
from urllib.parse import urlsplit

from tests.running_service import eventually

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\x00" * 40).decode()
BODY = """<!DOCTYPE html>
<html><head><title>Quote</title></head><body bgcolor=white>
<!-- kept as it is --><p>Dear Ada, here is <a href='https://Example.com/quote?a=1&amp;copy=2'>your quote</a>
and <A HREF=https://example.com/b\u00fcro>our office</A>, or write to <a href="mailto:sella@contoso.example">me</a>.</p>
<img alt="logo" src="data:image/png;base64,PNG"></body></html>
""".replace("PNG", PNG)


def anybody():
    """Return an address that no other test uses."""
    return f"ada-{uuid.uuid4().hex[:10]}@example.com"


def hrefs(html):
    return re.findall(r"(?i)href=[\"']?([^\"' >]+)", html)


def pixel(html):
    return re.findall(r'src="([^"]+/o/[^"]+)"', html)[-1]


def sent_to(service, seller, address, body=BODY, **columns):
    """Send a mail to a new contact and return it, and the message that arrived."""
    contact = seller.contact(address)
    email = seller.email(body, [{"partyid_contact@odata.bind": f"/contacts({contact})"}], **columns)
    seller.send(email)
    [message] = service.mailbox(address)
    return email, message


def test_a_followed_mail_arrives_and_what_is_done_with_it_comes_back(service):
    seller, address = service.seller(), anybody()
    contact = seller.contact(address)
    email = seller.email(BODY, [{"partyid_contact@odata.bind": f"/contacts({contact})"}])
    followed = seller.attach(email, "quote.pdf", b"%PDF-1.4 quote")
    seller.attach(email, "terms.txt", b"the usual")
    answer = seller.api.post("FollowEmailAttachment", json={"ActivityMimeAttachmentId": followed})
    assert answer.status_code == 204
    sent = seller.send(email)
    assert (sent["statuscode"], sent["statecode"], sent["isemailfollowed"], sent["ee_followreason"]) == (
        3,
        1,
        True,
        None,
    )
    assert sent["senton"]

    [message] = service.mailbox(address)
    html = message["body"]["content"]
    assert [a["name"] for a in message["attachments"]] == ["terms.txt"]
    assert "<!-- kept as it is -->" in html
    assert "<body bgcolor=white>" in html
    assert 'href="mailto:sella@contoso.example"' in html
    quote, office, file = (url for url in hrefs(html) if url.startswith(service.url))
    assert service.fetch(quote, agent="chrome").headers["location"] == "https://example.com/quote?a=1&copy=2"
    # All links at once would be a scanner's sweep; a program that only asks is one anyway.
    assert service.anybody.head(office).headers["location"] == "https://example.com/b%C3%BCro"
    to_file = service.fetch(file, agent="chrome")
    assert to_file.status_code == 302
    assert service.anybody.get(to_file.headers["location"], follow_redirects=True).status_code == 200
    opened = service.fetch(pixel(html))
    assert (opened.status_code, opened.headers["content-type"], len(opened.content)) == (200, "image/gif", 43)
    [image] = re.findall(r'src="([^"]+/i/[^"]+)"', html)
    shown = service.fetch(image)
    assert (shown.headers["content-type"], base64.b64encode(shown.content).decode()) == ("image/png", PNG)

    reply = {"messageId": message["internetMessageId"], "body": "We take two."}
    service.world.post(f"/local/mailboxes/{address}/reply", json=reply).raise_for_status()
    found = eventually(
        lambda: seller.read(email),
        lambda e: (e["opencount"], e["linksclickedcount"], e["attachmentopencount"], e["replycount"]) == (1, 1, 1, 1),
    )
    assert found["ee_machineclickcount"] == 1
    assert found["lastopenedtime"]
    timeline = seller.timeline(email)
    labelled = sorted((event["interactiontype"], event["ee_label"]) for event in timeline)
    assert labelled == [(0, 0), (0, 0), (1, 0), (1, 2), (2, 0), (3, 0)]
    assert sum(event["ee_duplicateof"] is not None for event in timeline) == 1, "image and pixel are one display"
    times = [event["emailinteractiontime"] for event in timeline]
    assert times == sorted(times, reverse=True)
    # A card is noted with the counters and written after them.
    about = {"$filter": f"_regardingobjectid_value eq {email}"}
    cards = eventually(lambda: seller.api.get("actioncards", params=about).json()["value"], bool)
    assert len(cards) == 1
    assert "Ada Lovelace" in cards[0]["title"]
    assert "Your quote" in cards[0]["title"]


def test_machines_are_answered_like_people_and_counted_apart(service):
    seller, address = service.seller(), anybody()
    email, message = sent_to(service, seller, address)
    html = message["body"]["content"]
    links = [url for url in hrefs(html) if url.startswith(service.url)]
    by_machine = [service.fetch(url, agent="script", address="198.51.100.7") for url in [pixel(html), *links]]
    by_person = [service.fetch(url, agent="chrome") for url in [pixel(html), links[0]]]
    for machine, person in zip(by_machine, by_person, strict=False):
        assert machine.status_code == person.status_code
        assert machine.headers.get("location") == person.headers.get("location")
    head = service.anybody.head(pixel(html), headers={"X-Forwarded-For": "198.51.100.8"})
    assert (head.status_code, head.content) == (200, b"")
    eventually(
        lambda: seller.read(email),
        lambda e: (
            (e["opencount"], e["linksclickedcount"]) == (1, 1)
            and (e["ee_machineopencount"], e["ee_machineclickcount"]) == (2, 2)
        ),
    )


def test_unfollowed_mail_arrives_byte_for_byte_with_its_files(service):
    seller, address = service.seller(), anybody()
    contact = seller.contact(address, followemail=False)
    email = seller.email(BODY, [{"partyid_contact@odata.bind": f"/contacts({contact})"}])
    followed = seller.attach(email, "quote.pdf", b"%PDF-1.4 quote")
    seller.api.post("FollowEmailAttachment", json={"ActivityMimeAttachmentId": followed}).raise_for_status()
    sent = seller.send(email)
    assert sent["isemailfollowed"] is False
    assert "Ada Lovelace" in sent["ee_followreason"]
    [message] = service.mailbox(address)
    assert message["body"]["content"] == BODY
    [file] = message["attachments"]
    assert base64.b64decode(file["contentBytes"]) == b"%PDF-1.4 quote"


def test_a_recipient_who_is_no_contact_is_named_as_the_reason(service):
    seller, address = service.seller(), anybody()
    sent = seller.send(seller.email(BODY, [{"addressused": address}]))
    assert sent["statuscode"] == 3
    assert sent["isemailfollowed"] is False
    assert address in sent["ee_followreason"]


def test_an_automatic_reply_and_a_bounce_are_told_apart(service):
    seller, address = service.seller(), anybody()
    email, message = sent_to(service, seller, address)
    away = {"messageId": message["id"], "body": "I am away.", "headers": {"Auto-Submitted": "auto-replied"}}
    service.world.post(f"/local/mailboxes/{address}/reply", json=away).raise_for_status()
    service.world.post(f"/local/mailboxes/{address}/bounce", json={"messageId": message["id"]}).raise_for_status()
    service.world.post(f"/local/mailboxes/{address}/reply", json={"messageId": message["id"], "body": "Yes!"})
    eventually(lambda: seller.read(email), lambda found: found["replycount"] == 1)
    timeline = eventually(lambda: seller.timeline(email), lambda found: len(found) == 3)
    assert sorted(event["ee_label"] for event in timeline) == [0, 2, 2]


def test_mail_to_several_says_who_it_was_only_where_it_is_known(service):
    seller, first, second = service.seller(), anybody(), anybody()
    parties = [{"partyid_contact@odata.bind": f"/contacts({seller.contact(address)})"} for address in (first, second)]
    email = seller.email(BODY, parties)
    seller.send(email)
    html = service.mailbox(first)[0]["body"]["content"]
    assert html == service.mailbox(second)[0]["body"]["content"]
    service.fetch(pixel(html))
    [event] = eventually(lambda: seller.timeline(email), lambda found: len(found) == 1)
    assert event.get("emailaddress") is None


def test_what_cannot_be_sent_ends_failed_and_says_why(service):
    seller, address = service.seller("admin@contoso.example"), anybody()
    sender = {
        "fullname": "Nobody There",
        "internalemailaddress": f"nobody-{uuid.uuid4().hex[:8]}@contoso.example",
        "systemuserid": str(uuid.uuid4()),
    }
    seller.create("systemusers", **sender)
    contact = seller.contact(address)
    email = seller.create(
        "emails",
        subject="From nobody",
        description=BODY,
        email_activity_parties=[
            {"partyid_systemuser@odata.bind": f"/systemusers({sender['systemuserid']})", "participationtypemask": 1},
            {"partyid_contact@odata.bind": f"/contacts({contact})", "participationtypemask": 2},
        ],
    )
    failed = seller.send(email)
    assert (failed["statuscode"], failed["statecode"]) == (8, 0)
    assert sender["internalemailaddress"] in failed["ee_failurereason"]
    assert service.mailbox(address) == []


def test_where_sharing_is_forbidden_the_file_travels_as_an_ordinary_attachment(service):
    seller, address = service.seller("seller@fabrikam.example", "fabrikam"), anybody()
    contact = seller.contact(address)
    email = seller.email(BODY, [{"partyid_contact@odata.bind": f"/contacts({contact})"}])
    followed = seller.attach(email, "quote.pdf", b"%PDF-1.4 quote")
    seller.api.post("FollowEmailAttachment", json={"ActivityMimeAttachmentId": followed}).raise_for_status()
    service.world.post("/local/faults", json={"match": "createLink", "status": 403, "count": 5}).raise_for_status()
    try:
        assert seller.send(email)["statuscode"] == 3
    finally:
        service.world.delete("/local/faults")
    [message] = service.mailbox(address)
    assert [file["name"] for file in message["attachments"]] == ["quote.pdf"]
    found = seller.api.get(
        f"activitymimeattachments({followed})", params={"$select": "isfollowed,ee_notfollowedreason"}
    )
    assert found.json()["isfollowed"] is False
    assert "links" in found.json()["ee_notfollowedreason"]


def test_throttling_and_failures_of_graph_neither_lose_nor_repeat_a_mail(service):
    seller, address = service.seller(), anybody()
    contact = seller.contact(address)
    email = seller.email(BODY, [{"partyid_contact@odata.bind": f"/contacts({contact})"}])
    faults = [
        {"match": "POST /users/[^/]+/messages$", "status": 429, "retryAfter": 1, "count": 1},
        {"match": "/send", "status": 429, "retryAfter": 1, "count": 1},
    ]
    for fault in faults:
        service.world.post("/local/faults", json=fault).raise_for_status()
    try:
        assert seller.send(email)["statuscode"] == 3
    finally:
        service.world.delete("/local/faults")
    assert len(service.mailbox(address)) == 1


def test_any_path_is_answered_sanely(service):
    garbage = ["", "x", "%00%ff%2F", "AQFv" * 300, "%F0%9F%92%A9", "..%2f..%2fetc", "a" * 6000, "%3Cscript%3E"]
    for rest in garbage:
        answer = service.anybody.get(f"{service.url}/o/{rest}")
        assert (answer.status_code, len(answer.content)) == (200, 43), rest
        for route in "cai":
            answer = service.anybody.get(f"{service.url}/{route}/{rest}")
            assert answer.status_code == 404, (route, rest)
            assert "location" not in answer.headers
            assert "script" not in answer.text.lower().replace("description", "")
            assert answer.headers["cache-control"].startswith("no-store")


def test_an_answer_tells_nobody_to_keep_or_index_it(service):
    seller = service.seller()
    _, message = sent_to(service, seller, anybody())
    html = message["body"]["content"]
    for url in (pixel(html), next(url for url in hrefs(html) if url.startswith(service.url))):
        headers = service.fetch(url).headers
        assert "no-store" in headers["cache-control"]
        assert headers["referrer-policy"] == "no-referrer"
        assert "noindex" in headers["x-robots-tag"]
        assert "set-cookie" not in headers
        assert urlsplit(url).netloc == urlsplit(service.url).netloc


def test_one_organizations_token_opens_no_other(service):
    seller = service.seller()
    foreign = service.anybody.get(
        f"{service.url}/fabrikam/api/data/v9.2/contacts", headers={"Authorization": seller.api.headers["Authorization"]}
    )
    assert foreign.status_code in (401, 403)
    nobody = service.anybody.get(f"{service.url}/contoso/api/data/v9.2/contacts")
    assert nobody.status_code == 401
    assert "www-authenticate" in nobody.headers
