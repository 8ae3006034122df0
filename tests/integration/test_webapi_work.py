"""How much work one request of a caller may make, however it is asked for."""

import asyncio

import pytest

from shared.storage import account, calls
from shared.webapi import context, finding, reading
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
    found = await asyncio.gather(*(seller.get(f"emails?$select=subject&$expand={nested(2)}") for _ in range(50)))
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


async def test_a_page_of_long_texts_is_shorter_and_the_next_one_has_the_rest(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await seller.make("contacts", {"lastname": f"{number}", "jobtitle": "a" * 90}) for number in range(5)]
    monkeypatch.setattr(finding, "MAX_PAGE_TEXT", 800)
    for query in ("contacts?$select=lastname", "contacts?$select=lastname&$orderby=lastname", "contacts?$top=4"):
        found, sizes, url = [], [], query
        while url:
            answer = await seller.get(url)
            assert answer.status == 200, answer.body
            found += [row["contactid"] for row in answer.rows]
            sizes.append(len(answer.rows))
            url = answer.json.get("@odata.nextLink")
        assert sorted(found) == sorted(made)[:4] if "$top" in query else sorted(found) == sorted(made)
        assert len(sizes) > 1, "more than one page"
        assert all(sizes)


async def test_bodies_are_shown_in_pages_and_up_to_a_sum(seller: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [await seller.make("emails", {"subject": f"{number}", "description": "a" * 1000}) for number in range(6)]
    monkeypatch.setattr(reading, "MAX_PAGE_OF_TEXTS", 4)
    first = await seller.get("emails?$select=description")
    assert [len(row["description"]) for row in first.rows] == [1000] * 4
    rest = await seller.get(first.json["@odata.nextLink"])
    assert sorted(row["activityid"] for row in (*first.rows, *rest.rows)) == sorted(made)
    assert len((await seller.get("emails?$select=subject")).rows) == 6


async def test_files_are_shown_up_to_a_sum_and_one_however_large(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = await seller.make("emails", {"subject": "Files"})
    file = {"objectid_email@odata.bind": f"/emails({email})", "filename": "a.txt", "body": "YWFh" * 100}
    made = [await seller.make("activitymimeattachments", file) for _ in range(3)]
    listed = f"activitymimeattachments?$filter=_objectid_value eq {email}&$select=body"
    assert len((await seller.get(listed)).rows) == 3
    monkeypatch.setattr(context, "MAX_TEXT", 200)
    refused = await seller.get(listed)
    assert refused.status == 400
    assert "200 bytes" in refused.error
    assert "odata.maxpagesize" in refused.error
    assert (await seller.get(f"activitymimeattachments({made[0]})?$select=body")).json["body"] == "YWFh" * 100
