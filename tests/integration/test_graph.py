"""Microsoft Graph as the product speaks it: the SDK, our upload loop, and every way in which a call fails."""

import asyncio
import base64
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from shared.graph import files, mail
from shared.graph.client import (
    GraphError,
    Rejected,
    StandInCredential,
    Throttled,
    Unreachable,
    ask,
    error_for,
    graph_client,
    retry_after,
)
from shared.graph.files import SharingForbidden, safe_name, share_file
from shared.graph.mail import Attachment, Draft, Mailbox
from shared.graph.uploading import Read, upload
from shared.settings import SettingError
from tests.delivery_world import MANAGER, SELLER, TENANT, World
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world

__all__ = ["standin", "world"]

pytestmark = IGNORED_WARNINGS

PLACE = (TENANT.id, SELLER.address)
LARGE = bytes(range(256)) * 20_000
"""5.12 MB: two ranges."""


def reader(content: bytes) -> Read:
    async def read(offset: int, length: int) -> bytes:
        return content[offset : offset + length]

    return read


def a_draft(html: str = "<p>x</p>", to: str = "") -> Draft:
    key = str(uuid.uuid4())
    return Draft(key, "Our offer", html, [Mailbox(to or f"{key[:8]}@northwind.example", "Ann")])


# Mail


@pytest.mark.parametrize(
    "html",
    ["", "<p>\r\n\t</p>", "<p>é \u2028 \U0001f600 \x00 &nbsp;</p>", '<a href="a?b=1&copy=2">\\"</a>', "x" * 1_000_000],
    ids=["empty", "line ends", "characters", "escapes", "long"],
)
async def test_a_body_arrives_exactly_as_it_was(world: World, html: str):
    draft = a_draft(html)
    made = await mail.create_draft(*PLACE, draft)
    await mail.send_draft(*PLACE, made.id)
    [message] = await world.arrived(draft.to[0].address)
    assert message["body"]["content"] == html


async def test_a_draft_is_found_by_its_key_until_it_is_sent(world: World):
    draft = a_draft()
    assert await mail.find_draft(*PLACE, draft.key) is None
    made = await mail.create_draft(*PLACE, draft)
    assert await mail.find_draft(*PLACE, draft.key) == made
    assert await mail.find_draft(*PLACE, draft.key[:-1]) is None
    assert await mail.find_draft(*PLACE, "it's") is None
    await mail.send_draft(*PLACE, made.id)
    assert await mail.find_draft(*PLACE, draft.key) is None


async def test_the_id_of_a_message_survives_sending(world: World):
    made = await mail.create_draft(*PLACE, a_draft())
    assert made.is_draft
    assert made.conversation and made.internet_id
    before = datetime.now(UTC) - timedelta(seconds=2)
    await mail.send_draft(*PLACE, made.id)
    state = await mail.get_message(*PLACE, made.id)
    assert not state.is_draft
    assert state.folder != made.folder
    assert (state.id, state.conversation, state.internet_id) == (made.id, made.conversation, made.internet_id)
    assert state.sent_at is not None and before <= state.sent_at <= datetime.now(UTC)


async def test_a_message_that_was_sent_cannot_be_sent_again(world: World):
    made = await mail.create_draft(*PLACE, a_draft())
    await mail.send_draft(*PLACE, made.id)
    with pytest.raises(Rejected):
        await mail.send_draft(*PLACE, made.id)


@pytest.mark.parametrize("content", [b"", b"x", LARGE[:2_999_999], LARGE[:3_000_000], LARGE], ids=len)
async def test_an_attachment_arrives_as_it_was_whatever_its_size(world: World, content: bytes):
    draft = a_draft()
    made = await mail.create_draft(*PLACE, draft)
    attachment = Attachment('Ü "prices" 1.pdf', "application/pdf", len(content))
    await mail.add_attachment(*PLACE, made.id, attachment, reader(content))
    [listed] = await mail.list_attachments(*PLACE, made.id)
    assert (listed.name, listed.is_inline) == (attachment.name, False)
    assert listed.size >= len(content)
    await mail.send_draft(*PLACE, made.id)
    [message] = await world.arrived(draft.to[0].address)
    [attached] = message["attachments"]
    assert base64.b64decode(attached["contentBytes"]) == content


async def test_an_inline_attachment_keeps_its_content_id(world: World):
    draft = a_draft()
    made = await mail.create_draft(*PLACE, draft)
    await mail.add_attachment(*PLACE, made.id, Attachment("a.png", "image/png", 1, "logo@x"), reader(b"x"))
    await mail.send_draft(*PLACE, made.id)
    [message] = await world.arrived(draft.to[0].address)
    assert [(a["isInline"], a["contentId"]) for a in message["attachments"]] == [(True, "logo@x")]


async def test_an_attachment_can_be_taken_off_again(world: World):
    made = await mail.create_draft(*PLACE, a_draft())
    await mail.add_attachment(*PLACE, made.id, Attachment("a.txt", "text/plain", 1), reader(b"x"))
    [listed] = await mail.list_attachments(*PLACE, made.id)
    await mail.remove_attachment(*PLACE, made.id, listed.id)
    assert await mail.list_attachments(*PLACE, made.id) == []


async def test_a_range_that_is_lost_is_sent_again_from_where_the_session_says(world: World):
    made = await mail.create_draft(*PLACE, a_draft())
    attachment = Attachment("Film.bin", "application/octet-stream", len(LARGE))
    await world.break_calls("PUT /uploads", "drop", after=True)
    heard = 0

    async def progress() -> None:
        nonlocal heard
        heard += 1

    await mail.add_attachment(*PLACE, made.id, attachment, reader(LARGE), progress)
    [listed] = await mail.list_attachments(*PLACE, made.id)
    assert listed.size >= len(LARGE)
    assert heard == 1


async def test_where_the_last_range_is_lost_nobody_knows_whether_it_completed_the_file(world: World):
    made = await mail.create_draft(*PLACE, a_draft())
    attachment = Attachment("Film.bin", "application/octet-stream", 3_500_000)
    await world.break_calls("PUT /uploads", "drop", after=True)
    with pytest.raises(Unreachable):
        await mail.add_attachment(*PLACE, made.id, attachment, reader(LARGE))
    assert len(await mail.list_attachments(*PLACE, made.id)) == 1


async def test_an_upload_that_keeps_failing_is_given_up(world: World):
    made = await mail.create_draft(*PLACE, a_draft())
    attachment = Attachment("Film.bin", "application/octet-stream", len(LARGE))
    await world.break_calls("PUT /uploads", 500, count=10)
    with pytest.raises(Unreachable):
        await mail.add_attachment(*PLACE, made.id, attachment, reader(LARGE))
    assert sum(request.startswith("PUT /uploads") for request in await world.requests()) == 4


async def test_a_throttled_upload_says_for_how_long(world: World):
    made = await mail.create_draft(*PLACE, a_draft())
    await world.break_calls("PUT /uploads", 429, retryAfter=21)
    with pytest.raises(Throttled) as caught:
        attachment = Attachment("Film.bin", "application/octet-stream", len(LARGE))
        await mail.add_attachment(*PLACE, made.id, attachment, reader(LARGE))
    assert caught.value.retry_after == 21


@pytest.mark.parametrize("expected", [["5-"], ["5-9"], ["5"]], ids=["open", "closed", "Outlook's"])
async def test_ranges_are_understood_as_outlook_and_onedrive_write_them(expected: list[str]):
    parts: list[tuple[str, bytes]] = []

    async def put(request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        parts.append((request.headers["Content-Range"], await request.read()))
        return web.json_response({"nextExpectedRanges": expected} if len(parts) == 1 else {"id": "1"})

    app = web.Application()
    app.router.add_put("/upload", put)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0]
        await upload(f"http://{host}:{port}/upload", 10, 5, reader(b"0123456789"))
    finally:
        await runner.cleanup()
    assert parts == [("bytes 0-4/10", b"01234"), ("bytes 5-9/10", b"56789")]


# Files


@pytest.mark.parametrize("content", [b"prices", LARGE], ids=len)
async def test_a_shared_file_can_be_opened_by_anybody_who_has_the_link(world: World, content: bytes):
    link = await share_file(*PLACE, ("mail", uuid.uuid4().hex), "Prices 100%.pdf", len(content), reader(content))
    async with aiohttp.ClientSession() as stranger, stranger.get(link) as answer:
        assert answer.status == 200
        assert await answer.read() == content
    assert link.isascii()


async def test_sharing_again_replaces_the_file_and_gives_the_same_link(world: World):
    folder = uuid.uuid4().hex
    first = await share_file(*PLACE, (folder,), "a.txt", 3, reader(b"one"))
    second = await share_file(*PLACE, (folder,), "a.txt", 3, reader(b"two"))
    assert first == second
    async with world.http.get(second) as answer:
        assert await answer.read() == b"two"


async def test_a_tenant_that_forbids_such_links_is_told_apart_and_nothing_is_left_in_the_drive(world: World):
    folder = uuid.uuid4().hex
    await world.call("PUT", f"/local/tenants/{TENANT.id}/sharing", {"anonymous": False})
    try:
        with pytest.raises(SharingForbidden, match="does not allow links"):
            await share_file(*PLACE, (folder,), "a.txt", 1, reader(b"x"))
    finally:
        await world.call("PUT", f"/local/tenants/{TENANT.id}/sharing", {"anonymous": True})
    assert any(request.startswith("DELETE ") and folder in request for request in await world.requests())


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "no OneDrive"), (403, "may not write"), (507, "is full")],
)
async def test_a_drive_that_takes_no_file_is_told_apart(world: World, status: int, words: str):
    await world.break_calls("PUT ", status)
    with pytest.raises(SharingForbidden, match=words):
        await share_file(*PLACE, ("x",), "a.txt", 1, reader(b"x"))


async def test_another_drive_is_used_when_asked_for(world: World):
    link = await share_file(TENANT.id, MANAGER.address, ("x",), "a.txt", 1, reader(b"x"))
    assert link
    assert any(request.startswith("PUT ") and MANAGER.address in request for request in await world.requests())


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Prices.pdf", "Prices.pdf"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ('a"b*c:d<e>f?g\\h|i', "a_b_c_d_e_f_g_h_i"),
        ("Q&A #1 & more.pdf", "Q&A #1 & more.pdf"),
        ("A&#B &##1 &#x41;.pdf", "A&_B &_#1 &_x41;.pdf"),
        ("CON", "file_CON"),
        ("nul.txt", "file_nul.txt"),
        ("  x. . ", "x"),
        ("...", "file_"),
        ("~$lock.docx", "file_lock.docx"),
        ("\u202efdp.exe", "_fdp.exe"),
        ("x" * 200 + ".pdf", "x" * 116 + ".pdf"),
        ("", "file_"),
    ],
)
def test_file_names_become_ones_that_onedrive_takes(name: str, safe: str):
    assert safe_name(name) == safe


# What goes wrong


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 429, "retryAfter": 12}, Throttled),
        ({"status": 503, "retryAfter": 12}, Throttled),
        ({"status": 503}, Unreachable),
        ({"status": 500}, Unreachable),
        ({"status": 504}, Unreachable),
        ({"status": "drop"}, Unreachable),
        ({"status": 400}, Rejected),
        ({"status": 403}, Rejected),
        ({"status": 404}, Rejected),
        ({"status": 413}, Rejected),
        ({"status": 423}, Unreachable),
    ],
    ids=str,
)
async def test_a_failing_call_is_made_once_and_says_how(world: World, fault: dict[str, Any], kind: type[GraphError]):
    made = await mail.create_draft(*PLACE, a_draft())
    await world.call("DELETE", "/local/requests")
    await world.break_calls(r"POST .*/send$", **fault)
    with pytest.raises(GraphError) as caught:
        await mail.send_draft(*PLACE, made.id)
    assert type(caught.value) is kind
    assert len(await world.requests()) == 1
    if isinstance(caught.value, Throttled):
        assert caught.value.retry_after == 12


async def test_a_call_that_takes_too_long_is_given_up_with_its_outcome_unknown(world: World):
    graph = await graph_client(TENANT.id)
    await world.break_calls("GET ", None, delay=5)
    with pytest.raises(Unreachable):
        await ask(graph.users.by_user_id(SELLER.address).messages.by_message_id("x").get(), timeout=0.2)


async def test_errors_do_not_spell_out_what_graph_said(world: World):
    with pytest.raises(Rejected) as caught:
        await mail.create_draft(TENANT.id, "nobody@contoso.example", a_draft())
    assert "nobody" not in str(caught.value)
    assert caught.value.code


async def test_a_tenants_token_does_not_open_another_tenants_mailbox(world: World):
    with pytest.raises(Rejected):
        await mail.create_draft(TENANT.id, "seller@fabrikam.example", a_draft())


@pytest.mark.parametrize("text", ["0", "7", "1.5", "120"])
def test_retry_after_may_be_a_number(text: str):
    assert retry_after(text) == float(text)


def test_retry_after_may_be_a_date():
    at = datetime.now(UTC) + timedelta(seconds=60)
    assert 55 <= retry_after(format_datetime(at, usegmt=True)) <= 60
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@pytest.mark.parametrize("text", [None, "", "soon", "-"])
def test_throttling_that_does_not_say_how_long_waits_half_a_minute(text: str | None):
    assert retry_after(text) == 30


@pytest.mark.parametrize("status", [408, 409, 423, 425, 500, 502, 503, 504])
def test_what_may_succeed_later_is_unreachable(status: int):
    assert type(error_for(status, {}, "", "")) is Unreachable


@pytest.mark.parametrize("url", ["http://graph.example", "https://127.0.0.1:1", "http://10.0.0.1:7072"])
def test_secrets_go_in_the_clear_to_loopback_only(url: str):
    with pytest.raises(SettingError, match="loopback"):
        StandInCredential(url, "tenant")


def test_importing_it_loads_no_sdk():
    code = (
        "import sys, shared.graph.mail, shared.graph.files; print([m for m in sys.modules if m.startswith('msgraph')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_concurrent_first_calls_share_one_client(world: World):
    first, second = await asyncio.gather(graph_client(TENANT.id), graph_client(TENANT.id))
    assert first is second
    assert files.ROOT_FOLDER == "Email Engagement"


@pytest.mark.parametrize("text", ["inf", "1e400", "31536000", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_nobody_waits_for_more_than_a_day_whatever_retry_after_says(text: str):
    assert retry_after(text) == 86_400
