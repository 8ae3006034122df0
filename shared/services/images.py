"""Serving the inline images that a followed mail shows, from Blob, and from memory when they are asked for again."""

import asyncio
from collections import OrderedDict

from shared.storage import blobs
from shared.storage.account import NotFound, Unavailable
from shared.storage.emails import image_blob
from shared.storage.organizations import Organization

FETCH_TIMEOUT = 2.0
"""Seconds after which the recipient gets a transparent image instead."""

MAX_KEPT_BYTES = 32 * 1024 * 1024
_BESIDE = 1024
"""Bytes that an image takes in memory beside its own, its name among them: a great many small ones are not small."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)

_kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
_kept_bytes = 0


async def find_image(organization: str, email: str, item: int) -> tuple[str, bytes] | None:
    """Return the media type and the bytes of a hosted image, or None where it is gone or cannot be had now."""
    key = (organization, image_blob(email, item))
    data = _kept.get(key)
    if data is None:
        # Where an organization's blobs are follows from its name; its row is not read on the recipients' path.
        try:
            async with asyncio.timeout(FETCH_TIMEOUT):
                data = await blobs.get(Organization(organization, "", ""), key[1])
        except (NotFound, Unavailable, TimeoutError):
            return None
        _keep(key, data)
    return image_type(data), data


def image_type(data: bytes) -> str:
    """Return the media type that the first bytes declare (WHATWG MIME Sniffing section 6.1); never one that runs."""
    for signature, media_type in _SIGNATURES:
        if data.startswith(signature):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    return "application/octet-stream"


def _keep(key: tuple[str, str], data: bytes) -> None:
    global _kept_bytes
    if key in _kept:
        # Who asked for it at the same time was faster.
        return
    _kept[key] = data
    _kept_bytes += len(data) + _BESIDE
    while _kept_bytes > MAX_KEPT_BYTES:
        _, dropped = _kept.popitem(last=False)
        _kept_bytes -= len(dropped) + _BESIDE
