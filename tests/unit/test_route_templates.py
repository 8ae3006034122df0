"""Route templates and request paths as ASP.NET Core, and so Azure Functions, reads them."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.functions_host.routes import Router, compile_route, decode_path


def match(template: str, path: str) -> dict[str, str] | None:
    return compile_route(template, (), None).match(path)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("", "/", {}),
        ("health", "/HEALTH/", {}),
        ("health", "/health/x", None),
        ("a/{id}", "/a/7", {"id": "7"}),
        ("a/{id}", "/a//", None),
        ("a/{id}", "/a", None),
        ("a/{id?}", "/a", {}),
        ("a/{id=9}", "/a", {"id": "9"}),
        ("a/{id=9}", "/a/3", {"id": "3"}),
        ("o/{*rest}", "/o", {}),
        ("o/{*rest}", "/o/", {}),
        ("o/{*rest}", "/o/a/\nb/", {"rest": "a/\nb/"}),
        ("o/{*rest}", "/oa", None),
        (
            "{org}/api/data/v9.2/{*path}",
            "/contoso/api/data/v9.2/emails(1)/x",
            {"org": "contoso", "path": "emails(1)/x"},
        ),
        ("{org}/api/data/v9.2/{*path}", "/contoso/api/data/v9x2/emails", None),
        ("{entity}({id})", "/emails(12)", {"entity": "emails", "id": "12"}),
        ("{name}.{extension}", "/a.b.png", {"name": "a.b", "extension": "png"}),
        ("a/{id:int}", "/a/-2147483648", {"id": "-2147483648"}),
        ("a/{id:int}", "/a/2147483648", None),
        ("a/{id:long}", "/a/2147483648", {"id": "2147483648"}),
        ("a/{id:int:min(3)}", "/a/2", None),
        ("a/{id:range(1,5)}", "/a/5", {"id": "5"}),
        ("a/{id:bool}", "/a/TRUE", {"id": "TRUE"}),
        ("a/{id:guid}", "/a/00000000-0000-0000-0000-000000000001", {"id": "00000000-0000-0000-0000-000000000001"}),
        ("a/{id:guid}", "/a/1", None),
        ("a/{id:alpha}", "/a/b1", None),
        ("a/{id:length(2,3)}", "/a/abcd", None),
        ("a/{id:maxlength(3)}", "/a/abc", {"id": "abc"}),
        ("a/{id:regex(^[a-z]{{2}}/?$)}", "/a/xy", {"id": "xy"}),
        ("a/{id:regex(^[a-z]{{2}}/?$)}", "/a/xyz", None),
        ("a/{id:datetime}", "/a/2026-11-23", {"id": "2026-11-23"}),
        ("a/{id:double}", "/a/1.5e3", {"id": "1.5e3"}),
    ],
)
def test_a_template_matches(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert match(template, path) == expected


@pytest.mark.parametrize("template", ["a/{id", "a/id}", "a/{id:nonsense}", "a/{}", "a/{id:range(1)}"])
def test_a_template_that_is_not_understood_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"route|unbalanced"):
        compile_route(template, (), None)


def test_the_first_registered_route_wins_whether_it_starts_with_a_literal_or_not() -> None:
    router = Router(
        [
            compile_route("o/{*rest}", ["GET"], "recipients"),
            compile_route("{org}/x", ["GET"], "organization"),
            compile_route("o/x", ["POST"], "never"),
            compile_route("contoso/x", ["GET", "POST"], "contoso"),
        ]
    )

    def target(method: str, path: str) -> str | None:
        found = router.find(method, path)
        return found and found[0]

    assert target("GET", "/o/x") == "recipients"
    assert target("POST", "/O/x") == "never"
    assert target("GET", "/contoso/x") == "organization"
    assert target("POST", "/contoso/x") == "contoso"
    assert target("GET", "/fabrikam/x") == "organization"
    assert target("PUT", "/fabrikam/x") is None


@given(st.lists(st.text(min_size=1).filter(lambda segment: segment not in (".", "..") and "\0" not in segment)))
def test_percent_encoded_text_comes_back_with_slashes_still_encoded(segments: list[str]) -> None:
    raw = "".join("/" + quote(segment, safe="", errors="ignore") for segment in segments) or "/"
    sent = [segment.encode("utf-8", "ignore").decode() for segment in segments]
    expected = "/".join(segment.replace("/", "%2F") for segment in sent)
    decoded = decode_path(raw.encode("ascii"))
    assert decoded == "/" + expected or any(segment in ("", ".", "..") for segment in sent)


@given(st.binary())
def test_any_bytes_are_a_path_without_a_nul(raw: bytes) -> None:
    decoded = decode_path(b"/o/" + raw.replace(b"\0", b""))
    assert decoded.startswith("/")
    assert "\0" not in decoded


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/a%2fb", "/a%2Fb"),
        (b"/a%00", "/a%00"),
        (b"/%C3%A9", "/é"),
        (b"/%C3x%A9", "/%C3x%A9"),
        (b"/%2541", "/%41"),
        (b"/%zz%4", "/%zz%4"),
        (b"/a/./b/../c", "/a/c"),
        (b"/a/%2e%2E/b", "/b"),
        (b"/../..", "/"),
        (b"/a/..", "/"),
        (b"/a/b/.", "/a/b/"),
        (b"/.well-known/x", "/.well-known/x"),
    ],
)
def test_paths_are_decoded_as_kestrel_decodes_them(raw: bytes, path: str) -> None:
    assert decode_path(raw) == path
