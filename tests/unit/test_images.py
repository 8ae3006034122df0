"""Inline images: which they are, and what a data: URL holds."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.images import TRANSPARENT_GIF, content_ids, data_image, is_inline


@given(st.binary(min_size=1), st.sampled_from(["image/png", "IMAGE/jpeg", "image/gif;x=y", "image/vnd.microsoft.icon"]))
def test_an_image_survives_its_data_url(content: bytes, media_type: str) -> None:
    encoded = base64.b64encode(content).decode()
    essence = media_type.partition(";")[0].lower()
    assert data_image(f"data:{media_type};base64,{encoded}") == (essence, content)
    assert data_image(f" DATA:{media_type} ; BASE64 , {encoded.rstrip('=')}\n") == (essence, content)


@given(st.binary(min_size=1))
def test_an_image_may_be_percent_encoded_instead(content: bytes) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in content)
    assert data_image(f"data:image/png,{encoded}") == ("image/png", content)


@pytest.mark.parametrize("body", ["R0lG\nODlh", "R0lG ODlh", "R0lG%4FDlh", "R0lG%0AODlh", "R0lGODlh#x"])
def test_white_space_and_percent_encoding_within_base64_are_accepted(body: str) -> None:
    assert data_image(f"data:image/gif;base64,{body}") == ("image/gif", b"GIF89a")


@pytest.mark.parametrize(
    "source",
    ["data:image/png;base64,", "data:image/png,", "data:image/png;base64", "data:image/png;base64,A",
     "data:image/png;base64,A=AA",
     "data:image/png;base64,AAAA=", "data:image/png;base64,QQ======", "data:image/png;base64,A*AA",
     "data:image/png;base64,A-_A", "data:,x",
     "data:text/html,x", "data:image/,x",
     "data:image/svg+xml,<svg/>", "data:IMAGE/SVG,x", "data:image/p ng,x", "data:image/png\u20ac,x", "cid:x",
     "https://x/data:image/png,x", "", "data:",
     "data:;base64,AAAA", "data:image/png\x01,x"],
)  # fmt: skip
def test_what_is_no_hostable_image_is_none(source: str) -> None:
    assert data_image(source) is None


@given(st.text())
def test_nothing_raises(text: str) -> None:
    data_image("data:image/png;base64," + text)
    data_image("data:" + text)
    is_inline(text)


@pytest.mark.parametrize(
    ("source", "inline"),
    [
        ("cid:a@b", True),
        (" CID:a", True),
        ("data:image/png,x", True),
        ("https://x/cid:a", False),
        ("cida", False),
        ("", False),
    ],
)
def test_an_inline_image_names_a_part_or_holds_itself(source: str, *, inline: bool) -> None:
    assert is_inline(source) is inline


@pytest.mark.parametrize(
    "html",
    [
        "<p style='background:url(cid:a@b)'>",
        '<style>p{background:url( "CID:a@b" )}</style>',
        "<p style='background:url(&#39;cid:a@b&#39;)'>",
        "<a href=cid:a%40b>x</a>",
        "<img srcset='x, cid:a@b 2x'>",
        "<video poster='cid:a&#64;b'>",
    ],
)
def test_a_content_id_is_found_wherever_it_stands(html: str) -> None:
    assert content_ids(html) == {"a@b"}


def test_a_word_that_only_ends_like_the_scheme_names_no_content_id() -> None:
    assert content_ids("<p>placid:water acid: base</p>") == frozenset()


def test_the_transparent_image_is_a_gif_of_43_bytes() -> None:
    media_type, content = data_image(TRANSPARENT_GIF) or ("", b"")
    assert (media_type, content[:6], len(content)) == ("image/gif", b"GIF89a", 43)
