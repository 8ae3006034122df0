"""Withdrawing in a real browser, from the mail to the record, through the whole service over HTTP."""

import re
import shutil
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.running_service import Seller, Service, eventually

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BODY = "<html><body><p>Dear Ada, <a href='https://example.com/quote'>your quote</a></p></body></html>"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the page is not tried in a browser"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def seller(service: Service) -> Iterator[Seller]:
    """Return a seller of an organization whose mail has the link."""
    administrator = service.seller("admin@fabrikam.example", "fabrikam")
    [row] = administrator.api.get("organizations", params={"$select": "name"}).json()["value"]
    path = f"organizations({row['organizationid']})"
    administrator.api.patch(path, json={"ee_withdrawallink": True}).raise_for_status()
    yield service.seller("seller@fabrikam.example", "fabrikam")
    administrator.api.patch(path, json={"ee_withdrawallink": False}).raise_for_status()


def delivered(service: Service, seller: Seller, *copies: str) -> tuple[str, str, str]:
    """Send a mail to a new contact, with copies to others; return the contact, the email, and the HTML that arrived."""
    address = f"ada-{uuid.uuid4().hex[:10]}@example.com"
    contact = seller.contact(address)
    parties: list[dict[str, Any]] = [{"partyid_contact@odata.bind": f"/contacts({contact})"}]
    for copy in copies:
        other = {"partyid_contact@odata.bind": f"/contacts({seller.contact(copy)})"}
        parties.append({**other, "participationtypemask": 3})
    email = seller.email(BODY, parties)
    assert seller.send(email)["isemailfollowed"] is True
    [message] = service.mailbox(address)
    return contact, email, message["body"]["content"]


def link_in(html: str) -> str:
    [url] = re.findall(r'href="([^"]+/w/[^"]+)"', html)
    return str(url)


def follows(seller: Seller, contact: str) -> bool:
    found = seller.api.get(f"contacts({contact})", params={"$select": "followemail"}).raise_for_status().json()
    return bool(found["followemail"])


def test_a_reader_stops_being_followed_with_one_button(service: Service, seller: Seller, browser: Browser) -> None:
    contact, email, html = delivered(service, seller)
    context = browser.new_context(locale="de-DE", java_script_enabled=False)
    page = context.new_page()
    page.goto(link_in(html))
    assert follows(seller, contact) is True
    expect(page).to_have_title("Nachverfolgung beenden")
    page.get_by_role("button", name="Nachverfolgung beenden").click()
    expect(page.get_by_role("status")).to_contain_text("Erledigt")
    assert context.cookies() == []
    context.close()
    eventually(lambda: follows(seller, contact), lambda found: not found)
    pixel = re.findall(r'src="([^"]+/o/[^"]+)"', html)[-1]
    assert service.fetch(pixel).status_code == 200
    ended = eventually(
        lambda: seller.api.get(f"emails({email})", params={"$select": "ee_followendedon,opencount"}).json(),
        lambda found: found["ee_followendedon"],
    )
    assert ended["opencount"] == 0
    assert seller.timeline(email) == []


def test_one_of_several_is_asked_for_the_address_and_confirms_by_mail(
    service: Service, seller: Seller, browser: Browser
) -> None:
    bob = f"jörg-{uuid.uuid4().hex[:10]}@bücher.example"
    contact, _, html = delivered(service, seller, bob)
    page = browser.new_page(locale="en-GB")
    page.goto(link_in(html))
    page.get_by_label("Your email address").fill(bob)
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("on its way")
    message = eventually(lambda: service.mailbox(bob), lambda found: len(found) == 2)[0]
    page.goto(link_in(message["body"]["content"]))
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("Done")
    rows = eventually(
        lambda: seller.api.get("contacts", params={"$filter": f"emailaddress1 eq '{bob}'"}).json()["value"],
        lambda found: found[0]["followemail"] is False,
    )
    assert rows[0]["ee_consent"] == 3
    assert follows(seller, contact) is True, "the other recipient decides for themselves"
    page.close()
