"""How much work one request of a caller may make, however it is asked for."""

import asyncio

import pytest

from shared.storage import account, calls
from shared.webapi import context
from tests.web_client import Client

MAILS = 12


def nested(depth: int) -> str:
    """Return an ``$expand`` from mail to its contact, to that contact's mail, and so on."""
    text = ""
    for level in reversed(range(depth)):
        name = "Contact_Emails" if level % 2 else "regardingobjectid_contact_email"
        text = f"{name}($select=createdon{';$expand=' + text if text else ''})"
    return text


async def filled(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "Turing"})
    bound = {"regardingobjectid_contact_email@odata.bind": f"/contacts({contact})"}
    for number in range(MAILS):
        await seller.make("emails", {"subject": f"{number}", **bound})


class Watched:
    """Counts what is asked of storage, and how much of it at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.most = self.made = 0
        real = account.session

        def session() -> "Watched":
            self.session = real()
            return self

        monkeypatch.setattr(account, "session", session)

    def request(self, *args, **kwargs):
        return _Request(self, self.session.request(*args, **kwargs))


class _Request:
    def __init__(self, watched: Watched, request) -> None:
        self.watched, self.real = watched, request

    async def __aenter__(self):
        self.watched.made += 1
        self.watched.now += 1
        self.watched.most = max(self.watched.most, self.watched.now)
        return await self.real.__aenter__()

    async def __aexit__(self, *error):
        self.watched.now -= 1
        return await self.real.__aexit__(*error)


async def test_expanding_the_same_mail_again_and_again_is_refused_by_name(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "MAX_EXPANDED", 2000)
    await filled(seller)
    watched = Watched(monkeypatch)
    # Mail, contact, all mail again: 12 * 12 * 12 rows on the fifth level, 12 to the seventh on the thirteenth.
    found = await seller.get(f"emails?$select=subject&$expand={nested(13)}")
    assert found.status == 400
    assert "$expand" in found.error
    assert "2,000" in found.error
    assert watched.most <= calls.AT_ONCE
    assert watched.made < 4 * 2000, "a list of mail costs a call for the list and for each mail"


async def test_expanding_within_the_limit_is_answered_whole(seller: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(seller)
    watched = Watched(monkeypatch)
    found = await seller.get(f"emails?$select=subject&$expand={nested(4)}")
    assert found.status == 200, found.body
    again = [
        inner["regardingobjectid_contact_email"]["Contact_Emails"]
        for row in found.rows
        for inner in row["regardingobjectid_contact_email"]["Contact_Emails"]
    ]
    assert [len(mails) for mails in again] == [MAILS] * MAILS**2
    assert calls.AT_ONCE / 2 < watched.most <= calls.AT_ONCE


async def test_fifty_requests_of_one_user_leave_storage_to_everybody_else(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(seller)
    watched = Watched(monkeypatch)
    found = await asyncio.gather(*(seller.get(f"emails?$select=subject&$expand={nested(4)}") for _ in range(50)))
    assert {answer.status for answer in found} == {200}
    assert watched.most <= calls.CALLERS_AT_ONCE


async def test_a_batch_is_one_request_however_many_parts_it_has(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(seller)
    monkeypatch.setattr(calls, "MAX_CALLS", 200)
    part = (
        "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"GET emails?$select=subject&$expand={nested(2)} HTTP/1.1\r\n\r\n\r\n"
    )
    headers = {"Content-Type": "multipart/mixed; boundary=b", "Prefer": "odata.continue-on-error"}
    answer = await seller.post("$batch", (part * 40 + "--b--").encode(), headers=headers)
    assert answer.status == 200
    answered = answer.body.count(b"HTTP/1.1 200")
    assert 0 < answered < 20
    assert answer.body.count(b"HTTP/1.1 400") == 40 - answered
    assert b"200 calls to storage" in answer.body
    assert (await seller.get("emails?$select=subject")).status == 200, "the next request begins anew"
