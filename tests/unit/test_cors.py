"""Origins that an organization names, and what browsers are told about them."""

import pytest

from shared.webapi.cors import answer_headers, parse_origins, preflight
from shared.webapi.errors import Failure
from shared.webapi.http import Request

NAMED = "https://crm.contoso.example"


def asking(origin: str, **headers: str) -> Request:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("OPTIONS", "/contoso/api/data/v9.2/emails", {"Origin": origin, **sent})


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", []),
        (" ; \r\n ", []),
        (NAMED, [NAMED]),
        ("https://A.example;https://b.example\nhttps://a.example:443", ["https://a.example", "https://b.example"]),
        ("https://a.example:8443\r\nhttp://localhost:3000", ["https://a.example:8443", "http://localhost:3000"]),
        ("http://127.0.0.1:80;http://[::1]:5173", ["http://127.0.0.1", "http://[::1]:5173"]),
        ("https://xn--bcher-kva.example", ["https://xn--bcher-kva.example"]),
    ],
)
def test_origins_are_kept_as_browsers_spell_them(text: str, origins: list[str]) -> None:
    assert parse_origins(text) == origins
    assert parse_origins("\n".join(origins)) == origins


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "contoso.example",
        "https://*.contoso.example",
        "https://contoso.example/",
        "https://contoso.example/app",
        "https://contoso.example?x",
        "https://user@contoso.example",
        "https://contoso.example:0x1",
        "https://contoso.example:70000",
        "https://",
        "https://bücher.example",
        "https://a.example, https://b.example",
        "ftp://contoso.example",
        "http://contoso.example",
        "http://localhost.contoso.example",
        "http://127.0.0.1.contoso.example",
        "javascript:alert(1)",
        f"{NAMED};https://\ud800",
    ],
)
def test_what_is_no_origin_is_refused_and_named(text: str) -> None:
    with pytest.raises(Failure) as raised:
        parse_origins(text)
    assert raised.value.status == 400
    assert "ee_allowedorigins" in raised.value.message
    assert raised.value.message.encode()


def test_a_named_origin_hears_what_its_pages_may_send() -> None:
    answer = preflight(asking(NAMED, Access_Control_Request_Headers="authorization,content-type, if-match"), [NAMED])
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == NAMED
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type, if-match"
    assert {"PATCH", "PUT", "DELETE"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["", "null", "*", "https://evil.example", f"{NAMED}.evil.example", f"{NAMED}:444", NAMED.upper()]
)
def test_any_other_origin_hears_nothing(origin: str) -> None:
    answer = preflight(asking(origin), [NAMED])
    assert (answer.status, answer.headers) == (204, {})
    assert answer_headers(asking(origin), [NAMED]) == {"Vary": "Origin"}


def test_header_names_that_are_none_are_not_sent_back() -> None:
    answer = preflight(asking(NAMED, Access_Control_Request_Headers="a\r\nSet-Cookie: x"), [NAMED])
    assert "Access-Control-Allow-Headers" not in answer.headers


def test_an_answer_may_be_read_by_a_named_origin_with_the_headers_that_clients_need() -> None:
    headers = answer_headers(asking(NAMED), [NAMED])
    assert headers["Access-Control-Allow-Origin"] == NAMED
    exposed = headers["Access-Control-Expose-Headers"].split(", ")
    assert {"OData-EntityId", "ETag", "Retry-After", "x-ms-service-request-id", "Preference-Applied"} <= set(exposed)
    assert headers["Vary"] == "Origin"
