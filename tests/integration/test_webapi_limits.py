"""How large a request of the Web API may be and what is answered beyond; that no answer is taken for a page."""

import pytest

from shared.webapi import batch
from shared.webapi.service import MAX_HEADERS, MAX_URL
from tests.integration.test_webapi_batch import part, post, replies
from tests.web_client import Client


def filling(client: Client, length: int) -> str:
    """Return a query whose URL has so many characters."""
    path = "contacts?$top=1&$filter=lastname eq 'Byron'"
    return path + " " * (length - len(f"{client.base}/{path}"))


async def test_the_longest_url_is_taken_and_one_character_more_is_refused(seller: Client) -> None:
    assert (await seller.get(filling(seller, MAX_URL))).status == 200
    refused = await seller.get(filling(seller, MAX_URL + 1))
    assert refused.status == 414
    assert "at most 32,768" in refused.error
    assert "$batch" in refused.error
    assert refused.headers["OData-Version"] == "4.0"


async def test_headers_without_end_are_refused_before_the_token_is_looked_at(seller: Client) -> None:
    # The headers of a genuine request come on top.
    refused = await seller.get("contacts", headers={"X-Filler": "x" * MAX_HEADERS, "Authorization": "Bearer none"})
    assert refused.status == 431
    assert "at most 65,536" in refused.error


@pytest.mark.parametrize("header", ["MSCRMCallerID", "CallerObjectId"])
async def test_nobody_acts_for_another_user(seller: Client, manager: Client, header: str) -> None:
    other, own = {header: manager.user}, {header: f"{{{seller.user.upper()}}}"}
    refused = await seller.get("contacts", headers=other)
    assert (refused.status, refused.json["error"]["code"]) == (403, "0x80040220")
    assert header in refused.error
    assert (await post(seller, part("GET", "contacts"), headers=other)).status == 403
    assert (await seller.get("contacts", headers=own)).status == 200
    parts = [part("GET", "contacts", **named) for named in (own, other)]
    answered = replies(await post(seller, *parts, headers={"Prefer": "odata.continue-on-error"}))
    assert [reply.status for reply in answered] == [200, 403]


async def test_many_headers_count_together(seller: Client) -> None:
    many = {f"X-Filler-{n}": "x" * 1000 for n in range(70)}
    assert (await seller.get("contacts", headers=many)).status == 431
    assert (await seller.get("contacts", headers=dict(list(many.items())[:50]))).status == 200


async def test_a_batch_stops_being_answered_where_its_answers_become_too_many(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seller.make("contacts", {"lastname": "Byron"})
    monkeypatch.setattr(batch, "MAX_ANSWERS", 100)
    parts = [
        part("GET", "contacts?$select=lastname"),
        *[part("POST", "contacts", {"lastname": "Late"}) for _ in range(3)],
    ]
    ended = replies(await post(seller, *parts))
    assert [reply.status for reply in ended] == [200, 413]
    assert "a batch of its own" in ended[1].error
    goes_on = replies(await post(seller, *parts, headers={"Prefer": "odata.continue-on-error"}))
    assert [reply.status for reply in goes_on] == [200, 413, 413, 413]
    assert [row["lastname"] for row in (await seller.get("contacts?$select=lastname")).rows] == ["Byron"]


async def test_hostile_html_in_a_body_is_given_back_as_plain_text_that_no_browser_shows(seller: Client) -> None:
    email = await seller.make(
        "emails", {"subject": "<script>alert(1)</script>", "description": "<script>alert(1)</script>"}
    )
    raw = await seller.get(f"emails({email})/description/$value")
    row = await seller.get(f"emails({email})?$select=subject,description")
    assert raw.headers["Content-Type"].startswith("text/plain")
    assert row.headers["Content-Type"].startswith("application/json")
    for answer in (raw, row, await seller.get("nothing<script>")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
