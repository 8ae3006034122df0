"""How large a request of the Web API may be and what is answered beyond; that no answer is taken for a page."""

import base64
import gzip

import pytest

from shared.webapi import batch, context
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


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "identity, gzip"])
async def test_a_compressed_body_is_refused_and_says_what_to_do(seller: Client, coding: str) -> None:
    header = {"Content-Encoding": coding}
    for body in (gzip.compress(b'{"lastname": "Byron"}'), b'{"lastname": "Byron"}'):
        refused = await seller.send("POST", "contacts", body, headers=header)
        assert (refused.status, refused.headers["Accept-Encoding"]) == (415, "identity")
        assert "without the header Content-Encoding" in refused.error
    assert (await seller.get("contacts", headers=header)).status == 200, "there is no body"
    answered = replies(await post(seller, part("POST", "contacts", {"lastname": "Byron"}, **header)))
    assert [reply.status for reply in answered] == [415]


@pytest.mark.parametrize("coding", ["identity", "", "utf-8"])
async def test_a_body_that_is_not_compressed_is_read_whatever_its_header_says(seller: Client, coding: str) -> None:
    header = {"Content-Encoding": coding}
    assert (await seller.send("POST", "contacts", b'{"lastname": "Byron"}', headers=header)).status == 204


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


GUID = "0b1d0b6e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "GetEmailEngagementAggregateCounts", {"Target": {"@odata.id": "_" * 30_000}}, "at most 4,096"),
        ("GET", f"contacts?$filter=contains(lastname,'{'a' * 1500}b')", None, "at most 1,000 are looked for"),
        ("GET", f"emails({GUID})/Microsoft.Dynamics.CRM.ee_GetEmailHistory(@p)?@p=" + "+" * 20_000, None, "Not Exist"),
        ("POST", "emails", b'{"email_activity_parties":[' + b"{}," * 5_000_000 + b"{}]}", "more than 200,000 values"),
        ("POST", "emails", {"email_activity_parties": [{}] * 501}, "at most 500"),
        ("POST", "emails", {"email_activity_mime_attachment": [{}] * 101}, "at most 100"),
        ("POST", "BestTimeToEmail", {"EntityReferenceCollection": [{}] * 1001}, "at most 1,000"),
        ("GET", "contacts?$expand=" + ",".join(["ownerid"] * 16), None, "at most 15"),
        ("GET", "contacts?$orderby=" + ",".join(["lastname"] * 11), None, "more than 10 columns"),
        ("GET", "EntityDefinitions?$select=" + "LogicalName," * 400, None, "at most 4,096"),
    ],
)
async def test_what_would_take_too_long_is_refused_by_name(
    seller: Client, method: str, path: str, body: object, said: str
) -> None:
    refused = await seller.send(method, path, body)
    assert refused.status in (400, 404)
    assert said in refused.error


async def test_headers_and_preferences_are_bounded_in_number(seller: Client) -> None:
    many = await seller.get("contacts", headers={f"X-{n}": "" for n in range(201)})
    assert (many.status, "at most 200" in many.error) == (431, True)
    names = ",".join(f"a.b{n}" for n in range(21))
    asked = await seller.get("contacts", headers={"Prefer": f'odata.include-annotations="{names}"'})
    assert (asked.status, "at most 20" in asked.error) == (400, True)
    assert (await seller.get("contacts", headers={"Prefer": "a," * 3000})).status == 400


async def test_a_filter_that_compares_too_much_is_refused_and_says_how_to_shorten_it(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "MAX_COMPARISONS", 5)
    for name in ("Byron", "Lovelace"):
        await seller.make("contacts", {"lastname": name})
    refused = await seller.get("contacts?$filter=statecode eq 0 or statecode eq 1")
    assert (refused.status, refused.json["error"]["code"]) == (400, "0x8004e023")
    assert "3 comparisons" in refused.error
    assert "one column in (a list)" in refused.error
    assert len((await seller.get("contacts?$filter=statecode in (0,1)")).rows) == 2


async def test_the_largest_requests_of_honest_clients_are_taken(seller: Client) -> None:
    text = "x,{}" * (3 * 2**18 - 10)
    email = await seller.make("emails", {"subject": "s", "description": text})
    assert (await seller.get(f"emails({email})/description/$value")).body == text.encode()
    file = base64.encodebytes(bytes(range(256)) * 80_000).decode()
    await seller.make(
        "activitymimeattachments",
        {"objectid_email@odata.bind": f"/emails({email})", "filename": "a.bin", "body": file},
    )
    asked = " or ".join(f"contactid eq {GUID}" for _ in range(600))
    assert (await seller.get(f"contacts?$filter={asked}")).status == 200
