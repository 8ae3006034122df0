"""Inline images of a mail: those that travel with it and that this service hosts when the mail is followed."""

import base64
import binascii
import re
from urllib.parse import unquote, unquote_to_bytes

from shared.engagement.character_references import decode_text

# One transparent pixel in 43 bytes: what an image of ours shows when it must not be fetched again.
TRANSPARENT_GIF = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="

_INLINE = re.compile(r"(?:cid|data):", re.IGNORECASE)
# What may come first stands first: a body without a c is passed over several times as fast, and nothing else in this
# process runs meanwhile.
_CONTENT_ID = re.compile(r"""[cC](?<!\w[cC])[iI][dD]:([^\s"'<>()]+)""")
_IGNORED_AROUND = "".join(map(chr, range(0x21)))
_IGNORED_INSIDE = str.maketrans("", "", "\t\n\r")
_BASE64_MARK = re.compile(r";[ ]*base64$", re.IGNORECASE | re.ASCII)
_IMAGE_TYPE = re.compile(r"image/[a-z0-9!#$&^_.+\-]{1,100}", re.ASCII)
_ASCII_WHITESPACE = b"\t\n\f\r "


def is_inline(source: str) -> bool:
    """The image travels with the mail: `cid:` names one of its parts (RFC 2392), `data:` holds it (RFC 2397)."""
    return _INLINE.match(source.lstrip(_IGNORED_AROUND)) is not None


def content_ids(html: str) -> frozenset[str]:
    """The content ids that `html` names anywhere, in a style, a `srcset` or a link too; rather one too many.

    >>> sorted(content_ids("<p style='background:url(&quot;cid:a%40b&quot;)'><img srcset='cid:c, cid:d 2x'>"))
    ['a@b', 'c', 'd']
    """
    return frozenset(unquote(match[1]).rstrip(",;") for match in _CONTENT_ID.finditer(decode_text(html)))


def data_image(source: str) -> tuple[str, bytes] | None:
    """The media type (lower case, without parameters) and the bytes of a `data:` URL that holds an image.

    None where it is no such URL, does not decode, or is empty or SVG: that is a document with scripts and is not
    hosted. Source: the Fetch Standard's "data: URL processor" with "forgiving-base64 decode" of the Infra Standard:
    white space and missing padding are accepted, percent-encoding too, other characters are not.

    >>> data_image("data:image/gif;base64,R0lG%4f A")
    ('image/gif', b'GIF8')
    """
    url = source.strip(_IGNORED_AROUND).translate(_IGNORED_INSIDE)
    if url[:5].lower() != "data:":
        return None
    head, comma, body = url[5:].partition("#")[0].partition(",")
    if not comma:
        return None
    head = head.strip(" ")
    media_type = head.partition(";")[0].rstrip(" ").lower()
    if not _IMAGE_TYPE.fullmatch(media_type) or media_type.startswith("image/svg"):
        return None
    content = unquote_to_bytes(body.encode("utf-8", "replace"))
    if _BASE64_MARK.search(head):
        decoded = _forgiving_base64(content)
        if decoded is None:
            return None
        content = decoded
    return (media_type, content) if content else None


def _forgiving_base64(encoded: bytes) -> bytes | None:
    encoded = encoded.translate(None, _ASCII_WHITESPACE)
    if len(encoded) % 4 == 0:
        encoded = encoded.removesuffix(b"=").removesuffix(b"=")
    if len(encoded) % 4 == 1 or b"=" in encoded:
        return None
    try:
        return base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        return None
