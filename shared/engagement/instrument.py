"""Turns the HTML of a mail into its followed form: links through redirects, inline images hosted, a pixel, attachment
links.

Only the spans that must change do. What is not replaced or added survives character by character.
"""

import json
import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from shared.engagement.body import Picture, read
from shared.engagement.clipping import Insertion, pixel_place, size_of
from shared.engagement.html import Attribute
from shared.engagement.images import TRANSPARENT_GIF, data_image, is_inline
from shared.engagement.links import judge, target_of

__all__ = ["Image", "Instrumented", "Link", "data_image", "instrument"]


@dataclass(frozen=True, slots=True)
class Link:
    """A link of the body, one per occurrence and in its order.

    `item`: the number in its token, counting followed links from 0; None when it is not followed. `target`: the URL
    Standard's serialization when followed, the decoded attribute otherwise. `text`: what the link shows, white space
    collapsed, at most 200 characters. `reason`: why it is not followed, None when it is.
    """

    item: int | None
    target: str
    text: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is hosted from now on, one per source: `cid:..`, `data:..`, or one of ours from a quoted mail."""

    item: int
    source: str


@dataclass(frozen=True, slots=True)
class Instrumented:
    html: str
    links: tuple[Link, ...]
    images: tuple[Image, ...]


class Edit(NamedTuple):
    """The span of the document that `text` takes the place of; empty where something is only added."""

    start: int
    end: int
    text: str


def instrument(
    html: str,
    *,
    link_url: Callable[[int, str], str],
    image_url: Callable[[int, str], str | None],
    pixel_url: str,
    attachments: Sequence[tuple[str, str]] = (),
    footer: str = "",
    is_ours: Callable[[str], str | None] = lambda _: None,
    untouched_domains: Collection[str] = (),
    max_link_length: int = 2000,
    max_length: int | None = None,
    max_links: int = 2000,
) -> Instrumented:
    """The followed form of a body; any string is one, nothing raises but what the functions given raise.

    `link_url(item, target)` makes the redirect to a target. `image_url(item, source)` makes the address of a hosted
    image, None where that image is to stay (one of ours then becomes inert). `attachments`: file name and address
    of the followed ones. `footer`: HTML that stands last; the pixel comes behind it, in a long mail further up
    (`shared.engagement.clipping`). `is_ours(url)`: "link", "pixel", "image" or "attachment" for an address that this
    service made, None for others. `untouched_domains`: never followed, with their subdomains. `max_link_length`: in
    characters of the redirect, which is never shorter than its target. `max_length`: in characters of the result as
    JSON with ASCII escapes; links that do not fit are not followed. The result is longer where the body with pixel,
    images and attachments alone does not fit. `max_links`: how many links are followed; a token numbers them in two
    bytes.
    """
    body = read(html)
    images, edits = _host_images(body.pictures, image_url, is_ours)
    edits.append(Edit(body.end_of_own_text, body.end_of_own_text, attachment_block(attachments)))
    edits.append(Edit(body.end, body.end, footer))
    image = pixel(pixel_url)
    room = None
    if max_length is not None:
        room = max_length - _json_length(html) - 2 - sum(_growth(html, edit) for edit in edits) - _json_length(image)
    links: list[Link] = []
    followed = 0
    for anchor in body.anchors:
        target, reason = judge(
            anchor.href, anchor.text, marked=anchor.marked, is_ours=is_ours, untouched_domains=untouched_domains
        )
        if target is not None and followed == max_links:
            target, reason = None, f"too many links: only the first {max_links} are followed"
        if target is not None and len(target) > max_link_length:
            target, reason = None, _too_long(max_link_length)
        if target is not None:
            url = link_url(followed, target)
            edit = _replacement(anchor.value, url)
            growth = 0 if room is None else _growth(html, edit)
            reason = _why_no_room(len(url), max_link_length, growth, room)
        if target is None or reason is not None:
            links.append(Link(None, anchor.href, anchor.text, reason))
            continue
        links.append(Link(followed, target, anchor.text, None))
        followed += 1
        room = None if room is None else room - growth
        if url != anchor.href:
            edits.append(edit)
    changes = [Insertion(edit.start, edit.end, size_of(edit.text)) for edit in edits]
    place = pixel_place(html, body, changes, size_of(image))
    edits.append(Edit(place, place, image))
    return Instrumented(apply(html, edits), tuple(links), tuple(images))


def _why_no_room(length: int, max_length: int, growth: int, room: int | None) -> str | None:
    if length > max_length:
        return _too_long(max_length)
    if room is not None and growth > room:
        return "mail too long: no room for another redirect"
    return None


def _too_long(max_length: int) -> str:
    return f"address too long: its redirect would pass {max_length} characters"


def pixel(url: str) -> str:
    """The image whose request is an open.

    Not hidden: clients leave out images with `display:none`, `hidden` or a size of 0. A block, so that it opens no line
    of its own; sizes `!important` because newsletters say `img{width:100%!important}` for small screens; the attributes
    for Outlook, which reads no such style; an empty `alt`, so that nothing is read aloud.
    """
    style = "display:block;width:1px!important;height:1px!important;border:0!important;margin:0!important;padding:0"
    return f'<img src="{escape(url)}" width="1" height="1" border="0" alt="" style="{style}">'


def attachment_block(attachments: Sequence[tuple[str, str]]) -> str:
    """A list of links to files, "" for none. It needs no words, so it suits a mail in any language."""
    if not attachments:
        return ""
    items = "".join(
        '<li style="margin:4px 0"><span aria-hidden="true">&#128206;&nbsp;</span>'
        f'<a href="{escape(url)}" dir="auto">{escape(_shown_name(name))}</a></li>'
        for name, url in attachments
    )
    return f'<ul style="list-style:none;margin:16px 0;padding:0">{items}</ul>'


def apply(document: str, edits: Sequence[Edit]) -> str:
    """The document with its edits, which do not overlap; of several additions at one place the first comes first."""
    parts: list[str] = []
    position = 0
    for edit in sorted(edits, key=lambda edit: edit[:2]):
        parts += (document[position : edit.start], edit.text)
        position = edit.end
    parts.append(document[position:])
    return "".join(parts)


def _host_images(
    pictures: Sequence[Picture], image_url: Callable[[int, str], str | None], is_ours: Callable[[str], str | None]
) -> tuple[list[Image], list[Edit]]:
    images: list[Image] = []
    hosted: dict[str, str | None] = {}
    edits: list[Edit] = []
    for picture in pictures:
        ours = None if is_inline(picture.source) else is_ours(target_of(picture.source) or picture.source)
        if ours is None and not is_inline(picture.source):
            continue
        if ours == "pixel" and picture.is_element:
            # Gone, not blanked: Outlook draws a red cross for a data: image, Gmail drops the address, nobody misses a
            # pixel.
            edits.append(Edit(picture.element.start, picture.element.end, ""))
            continue
        if ours not in {None, "image"}:
            edits.append(_replacement(picture.value, TRANSPARENT_GIF))
            continue
        if picture.source not in hosted:
            hosted[picture.source] = image_url(len(images), picture.source)
            if hosted[picture.source] is not None:
                images.append(Image(len(images), picture.source))
        url = hosted[picture.source] or (TRANSPARENT_GIF if ours else picture.source)
        if url != picture.source:
            edits.append(_replacement(picture.value, url))
    return images, edits


def _replacement(value: Attribute, url: str) -> Edit:
    text = escape(url)
    return Edit(value.start, value.end, text if value.quote else f'"{text}"')


def _growth(document: str, edit: Edit) -> int:
    return _json_length(edit.text) - _json_length(document[edit.start : edit.end])


def _json_length(text: str) -> int:
    """The length of `text` as the content of a JSON string with ASCII escapes."""
    return len(json.dumps(text)) - 2


def _shown_name(name: str) -> str:
    """A file name as the recipient may see it: without control and direction characters, which can make `fdp.exe`
    read `exe.pdf`.
    """
    return (
        "".join(character for character in name if unicodedata.category(character) not in {"Cc", "Cf", "Cs"})
        or "attachment"
    )
