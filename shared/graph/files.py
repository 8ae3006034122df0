"""Followed files in OneDrive: upload, and a link that anybody may view.

`tenant` is an Entra tenant id, `user` the object id or sign-in name of the user whose drive it is. Raises `Throttled`
and `Unreachable` of `shared.graph.client`, and `SharingForbidden` where the file cannot be shared this way.
Sources: learn.microsoft.com/graph/api/driveitem-put-content, driveitem-createuploadsession, driveitem-createlink.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from shared.graph.client import Rejected, Unreachable, ask, graph_client
from shared.graph.uploading import Progress, Read, no_progress, upload
from shared.settings import settings

if TYPE_CHECKING:
    from msgraph.generated.drives.item.items.item.drive_item_item_request_builder import DriveItemItemRequestBuilder

ROOT_FOLDER = "Email Engagement"
SMALL_FILE = 3_000_000
"""Bytes from which a file is uploaded in ranges; a single PUT may have 250 MB, but must not be in memory at once."""
UPLOAD_RANGE = 12 * 320 * 1024

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f"*:<>?/\\|\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?|desktop\.ini|\.lock")
_MAX_NAME = 120


class SharingForbidden(Exception):
    """The file cannot be shared by a link; the message says why, for the seller to read."""


async def share_file(
    tenant: str, user: str, folders: Sequence[str], name: str, size: int, read: Read, progress: Progress = no_progress
) -> str:
    """Put a file into a drive, over one of the same path, and return the address of a link that anybody may view.

    It goes to ``Email Engagement/{folders}/{safe name}``; `read(offset, length)` gives its bytes. Doing it again gives
    the same link. Where the link is refused the file is taken away again.
    """
    path = "/".join(quote(part, safe="") for part in (ROOT_FOLDER, *folders, safe_name(name)))
    base = f"{settings().graph_url}/users/{quote(user, safe='@')}/drive/root:/{path}:"
    try:
        await _store(tenant, base, size, read, progress)
    except Rejected as error:
        if error.status == 401:
            raise
        raise SharingForbidden(_why_not_stored(error)) from error
    try:
        return await _link(tenant, base)
    except Rejected as error:
        if error.status == 401:
            raise
        if error.status == 404:
            raise Unreachable(404, "FileNotThereYet") from None
        await _take_away(tenant, base)
        raise SharingForbidden("your organization does not allow links that anybody may open") from error


def safe_name(name: str) -> str:
    """Return a file name that OneDrive takes: no forbidden characters or reserved names, at most 120 characters.

    Sources: support.microsoft.com "Restrictions and limitations in OneDrive and SharePoint";
    microsoftgraph/msgraph-sdk-dotnet #671: a path with ``&#`` in it is refused however it is encoded.

    >>> safe_name("a/b: c?.pdf")
    'a_b_ c_.pdf'
    """
    safe = _FORBIDDEN.sub("_", name).replace("&#", "&_").strip(" ").rstrip(". ")
    if not safe or _RESERVED.fullmatch(safe) or safe.startswith("~$") or "_vti_" in safe:
        safe = "file_" + safe.replace("_vti_", "_").lstrip("~$.")
    suffix = PurePosixPath(safe).suffix[:20]
    return safe if len(safe) <= _MAX_NAME else safe[: _MAX_NAME - len(suffix)].rstrip(". ") + suffix


async def _store(tenant: str, base: str, size: int, read: Read, progress: Progress) -> None:
    from msgraph.generated.drives.item.items.item.create_upload_session import (
        create_upload_session_post_request_body as bodies,
    )
    from msgraph.generated.models.drive_item_uploadable_properties import DriveItemUploadableProperties

    item = await _item(tenant)
    if size < SMALL_FILE:
        await ask(item.content.with_url(f"{base}/content").put(await read(0, size)))
        return
    properties = DriveItemUploadableProperties(additional_data={"@microsoft.graph.conflictBehavior": "replace"})
    session = await ask(
        item.create_upload_session.with_url(f"{base}/createUploadSession").post(
            bodies.CreateUploadSessionPostRequestBody(item=properties)
        )
    )
    if session is None or not session.upload_url:
        raise Unreachable(0, "NoUploadUrl")
    await upload(session.upload_url, size, UPLOAD_RANGE, read, progress)


async def _link(tenant: str, base: str) -> str:
    from msgraph.generated.drives.item.items.item.create_link.create_link_post_request_body import (
        CreateLinkPostRequestBody,
    )

    create_link = (await _item(tenant)).create_link.with_url(f"{base}/createLink")
    permission = await ask(create_link.post(CreateLinkPostRequestBody(type="view", scope="anonymous")))
    link = permission.link.web_url if permission and permission.link else None
    if not link:
        raise Unreachable(0, "NoSharingLink")
    # Locations are ASCII (RFC 9110 section 10.2.2), and OneDrive may name the file in its link.
    return quote(link, safe="!#$%&'()*+,/:;=?@[]~-._")


async def _take_away(tenant: str, base: str) -> None:
    try:
        await ask((await _item(tenant)).with_url(base.removesuffix(":")).delete())
    except Rejected:
        return


async def _item(tenant: str) -> "DriveItemItemRequestBuilder":
    # The SDK knows items by drive id only; each call names its own address under the user's drive instead.
    return (await graph_client(tenant)).drives.by_drive_id("-").items.by_drive_item_id("-")


def _why_not_stored(error: Rejected) -> str:
    if error.status == 404:
        return "there is no OneDrive to share it from"
    if error.status == 507:
        return "the OneDrive that would share it is full"
    return "this service may not write to the OneDrive that would share it"
