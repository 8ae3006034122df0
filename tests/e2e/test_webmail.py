"""A recipient's web mail in a real browser: open a mail, the images load, click, download, answer."""

import base64
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from local.microsoft365.background import running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SELLER, CUSTOMER = "seller@contoso.example", "customer@example.org"
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the web mail is not tried in a browser"),
]


class Elsewhere(ThreadingHTTPServer):
    """The rest of the web: answers everything with an image and remembers who asked for what."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.fetched: list[tuple[str, str | None]] = []

    def paths(self) -> list[str]:
        return [path for path, _ in self.fetched]


class _Handler(BaseHTTPRequestHandler):
    server: Elsewhere

    def do_GET(self) -> None:
        self.server.fetched.append((self.path, self.headers.get("Referer")))
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path.startswith("/page") else "image/gif")
        if self.path.startswith("/file"):
            self.send_header("Content-Disposition", "attachment")
        self.end_headers()
        self.wfile.write(b"<title>The page</title>" if self.path.startswith("/page") else GIF)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def anyone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running(tmp_path_factory.mktemp("webmail")) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, anyone: httpx.Client) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=str(anyone.base_url), accept_downloads=True)
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def send(anyone: httpx.Client, html: str, recipient: str = CUSTOMER, **properties: Any) -> dict[str, Any]:
    """Send a mail to a recipient and return it as it arrived."""
    form = {
        "grant_type": "client_credentials",
        "client_id": "test",
        "client_secret": "any",
        "scope": "https://graph.microsoft.com/.default",
    }
    token = anyone.post("/contoso/oauth2/v2.0/token", data=form).json()["access_token"]
    message = {
        "subject": "Your offer",
        "body": {"contentType": "html", "content": html},
        "toRecipients": [{"emailAddress": {"address": recipient}}],
        **properties,
    }
    anyone.post(
        f"/v1.0/users/{SELLER}/sendMail", json={"message": message}, headers={"Authorization": f"Bearer {token}"}
    ).raise_for_status()
    return dict(anyone.get(f"/local/mailboxes/{recipient}/messages").json()["value"][0])


def place(message: dict[str, Any], mailbox: str = CUSTOMER) -> str:
    return f"/mail/{mailbox}/{quote(message['id'], safe='')}"


def file(name: str, content: bytes, **properties: Any) -> dict[str, Any]:
    encoded = base64.b64encode(content).decode()
    return {"@odata.type": "#microsoft.graph.fileAttachment", "name": name, "contentBytes": encoded, **properties}


def test_a_person_finds_the_mail_from_the_front_page(anyone: httpx.Client, page: Page) -> None:
    send(anyone, "<p>Good morning</p>")
    page.goto("/")
    page.get_by_role("link", name=CUSTOMER).click()
    page.get_by_role("link", name="Your offer").first.click()
    expect(page.frame_locator("iframe").get_by_text("Good morning")).to_be_visible()


def test_opening_a_mail_loads_its_images_without_saying_where_from(
    anyone: httpx.Client, page: Page, elsewhere: Elsewhere
) -> None:
    message = send(anyone, f'<img src="{elsewhere.url}/o/pixel" width="1" height="1" alt="">')
    page.goto(place(message))
    page.wait_for_load_state("networkidle")
    assert elsewhere.fetched == [("/o/pixel", None)]


def test_an_attached_image_is_shown_where_its_cid_stands(anyone: httpx.Client, page: Page) -> None:
    logo = file("logo.gif", GIF, isInline=True, contentId="logo@1", contentType="image/gif")
    message = send(anyone, '<p>x</p><img id=logo src="cid:logo@1">', attachments=[logo])
    page.goto(place(message))
    image = page.frame_locator("iframe").locator("#logo")
    expect(image).to_have_js_property("naturalWidth", 1)


def test_a_link_opens_in_a_new_tab_without_a_referrer(
    anyone: httpx.Client, page: Page, context: BrowserContext, elsewhere: Elsewhere
) -> None:
    message = send(anyone, f'<a href="{elsewhere.url}/page?a=1&amp;b=2">See it</a>')
    page.goto(place(message))
    with context.expect_page() as opened:
        page.frame_locator("iframe").get_by_text("See it").click()
    opened.value.wait_for_load_state()
    assert opened.value.title() == "The page"
    assert ("/page?a=1&b=2", None) in elsewhere.fetched
    assert place(message) in page.url


def test_a_link_to_a_file_saves_it(
    anyone: httpx.Client, page: Page, context: BrowserContext, elsewhere: Elsewhere
) -> None:
    message = send(anyone, f'<a href="{elsewhere.url}/file/offer.pdf">offer.pdf</a>')
    page.goto(place(message))
    with context.expect_event("download") as download:
        page.frame_locator("iframe").get_by_text("offer.pdf").click()
    assert download.value.suggested_filename == "offer.pdf"


def test_a_script_in_a_mail_does_not_run(anyone: httpx.Client, page: Page, elsewhere: Elsewhere) -> None:
    html = (
        f'<script>new Image().src="{elsewhere.url}/script"</script><p>Still here</p>'
        f'<img src="{elsewhere.url}/image" onload="new Image().src=\'{elsewhere.url}/handler\'">'
        f'<iframe src="{elsewhere.url}/page/frame"></iframe>'
        f'<meta http-equiv="refresh" content="0;url={elsewhere.url}/page">'
    )
    page.goto(place(send(anyone, html)))
    expect(page.frame_locator("iframe").first.get_by_text("Still here")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert not {"/script", "/handler", "/page/frame"} & set(elsewhere.paths())


def test_a_mail_cannot_break_out_of_the_page_around_it(anyone: httpx.Client, page: Page) -> None:
    hostile = "</title><script>document.title='owned'</script><b id=owned>"
    properties: dict[str, Any] = {
        "subject": hostile,
        "toRecipients": [{"emailAddress": {"address": CUSTOMER, "name": hostile}}],
    }
    message = send(anyone, "<p>x</p>", **properties, attachments=[file("<b id=owned>.txt", b"x")])
    for path in (f"/mail/{CUSTOMER}", place(message)):
        page.goto(path)
        assert page.title() != "owned"
        expect(page.locator("#owned")).to_have_count(0)


def test_a_file_is_downloaded_under_its_name(anyone: httpx.Client, page: Page) -> None:
    message = send(anyone, "<p>x</p>", attachments=[file("Angebot \u00fc.html", b"<script>alert(1)</script>")])
    page.goto(place(message))
    with page.expect_download() as download:
        page.get_by_role("link", name="Angebot").click()
    assert download.value.suggested_filename == "Angebot \u00fc.html"
    assert Path(download.value.path()).read_bytes() == b"<script>alert(1)</script>"


def test_an_answer_goes_back_to_the_sender(anyone: httpx.Client, page: Page) -> None:
    message = send(anyone, "<p>Shall we?</p>")
    page.goto(place(message))
    page.get_by_label("Reply").fill("Yes & <gladly>")
    page.get_by_role("button", name="Send").click()
    expect(page).to_have_url(f"{str(anyone.base_url).rstrip('/')}/mail/{CUSTOMER}?sent=1")
    expect(page.get_by_role("status")).to_contain_text("sent")
    answer = anyone.get(f"/local/mailboxes/{SELLER}/messages").json()["value"][0]
    assert answer["subject"] == "Re: Your offer"
    assert "Yes &amp; &lt;gladly&gt;" in answer["body"]["content"]


def test_an_answer_from_another_site_is_refused(anyone: httpx.Client) -> None:
    message = send(anyone, "<p>x</p>")
    before = len(anyone.get(f"/local/mailboxes/{SELLER}/messages").json()["value"])
    for origin in ({}, {"Origin": "null"}, {"Origin": "https://evil.example"}):
        assert anyone.post(place(message), data={"body": "forged"}, headers=origin).status_code == 403
    assert len(anyone.get(f"/local/mailboxes/{SELLER}/messages").json()["value"]) == before


def test_pages_load_nothing_from_elsewhere(anyone: httpx.Client, page: Page) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.goto(place(send(anyone, "<p>x</p>")))
    page.wait_for_load_state("networkidle")
    assert hosts == {anyone.base_url.netloc.decode()}


@pytest.mark.parametrize(
    "path", ["/mail/nobody", "/mail/a@b.example/none", "/sharing/none", "/download/none", "/nowhere"]
)
def test_what_is_not_there_is_not_found(anyone: httpx.Client, path: str) -> None:
    assert anyone.get(path).status_code == 404
