"""Making the followed form of a mail: files shared from OneDrive, inline images hosted, the HTML instrumented.

What comes out is recorded on the email before a draft is made of it, so that whoever goes on later sends the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from shared.engagement import withdrawal
from shared.engagement.clipping import length_note, size_of
from shared.engagement.images import content_ids, data_image
from shared.engagement.instrument import Instrumented, Link, instrument
from shared.engagement.options import is_recipient
from shared.engagement.tokens import Token, TokenKind, mint, verify
from shared.graph.files import SharingForbidden, share_file
from shared.services import consenting
from shared.services.claiming import Claim, Gone, record, renew, step
from shared.services.images import image_type
from shared.services.long_work import in_turn
from shared.settings import settings
from shared.storage import blobs, emails
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

MAX_BODY = 3_700_000
"""Characters of the instrumented body as JSON: with 500 recipients the request stays under Graph's 4 MB."""

MAX_IMAGES = 500
"""Inline images that are hosted; the others travel as they are."""
MAX_UNFOLLOWED = 500
"""Links listed as not followed; a mail may have tens of thousands."""

_SIGNATURE_LENGTH = 32
_KINDS = {
    TokenKind.OPEN: "pixel",
    TokenKind.LINK: "link",
    TokenKind.ATTACHMENT: "attachment",
    TokenKind.IMAGE: "image",
    TokenKind.QUIET_IMAGE: "image",
    TokenKind.WITHDRAWAL: "link",
}
_NOT_FOLLOWED_EMAIL = "the email is not followed"
_SWITCHED_OFF = "OneDrive is switched off in your organization"


@dataclass(frozen=True, slots=True)
class _Minter:
    """Makes the addresses of one email's pixel, images, links and attachments."""

    organization: str
    email: UUID
    key: int
    party: int | None

    def __call__(self, kind: TokenKind, item: int = 0, target: str = "") -> str:
        configured = settings()
        token = Token(self.key, self.organization, kind, self.email, item, self.party, target)
        return f"{configured.base_url}/{kind.route}/{mint(token, configured.token_secrets)}"


async def prepare(claim: Claim) -> None:
    """Record the form in which an email goes out; raises as Graph and storage do, and `Lost`."""
    if not claim.email.get("isemailfollowed"):
        await record("prepared", claim, {"_prepared": True}, await _unfollowed_rows(claim))
        return
    await _share_files(claim)
    partition = await _read(claim)
    body = await emails.read_body(claim.organization, claim.email)
    minter = _minter(claim, partition.parties)
    images = await _inline_images(claim.organization, partition.attachments)
    shared = [row for row in _in_order(partition.attachments) if "_item" in row]

    def work() -> Instrumented:
        return instrument(
            body,
            link_url=lambda item, target: minter(TokenKind.LINK, item, target),
            image_url=lambda item, source: _image_url(minter, images, item, source),
            pixel_url=minter(TokenKind.OPEN),
            attachments=[
                (row["filename"], minter(TokenKind.ATTACHMENT, row["_item"], row["anonymouslink"])) for row in shared
            ],
            footer=_footer(claim.organization, minter, partition.parties),
            is_ours=what_of_ours,
            untouched_domains=claim.organization.settings["untouched_domains"],
            max_length=MAX_BODY,
        )

    done = await in_turn(work)
    image_rows, hosted = await _host(claim, images, done)
    name = f"bodies/{claim.id}/sent-{claim.attempt}"
    await step("instrumented body", blobs.put(claim.organization, name, done.html.encode("utf-8", "surrogatepass")))
    rows = [*_link_rows(partition, done), *image_rows, *_hosted_rows(partition.attachments, hosted)]
    note = length_note(size_of(body), size_of(done.html))
    await record("prepared", claim, {"_prepared": True, "_sentbody": name, "ee_lengthnote": note}, rows)


def what_of_ours(url: str) -> str | None:
    """Return what an address that this deployment signed is ("link", "pixel", "image", "attachment"), else None."""
    token = _token_of(url)
    return None if token is None else _KINDS[token.kind]


def _token_of(url: str) -> Token | None:
    configured = settings()
    base, path = f"{configured.base_url}/", url.partition("#")[0].partition("?")[0]
    if not path.startswith(base):
        return None
    route, _, signed = path.removeprefix(base).partition("/")
    token = verify(signed, configured.token_secrets, configured.link_keys)
    return token if token is not None and token.kind.route == route else None


def _minter(claim: Claim, parties: Sequence[Entity]) -> _Minter:
    # A mail with several recipients cannot say who opened it: they all get the same message.
    numbers = [int(party["RowKey"].partition(":")[2]) for party in parties if is_recipient(party)]
    party = numbers[0] if len(numbers) == 1 else None
    return _Minter(claim.organization.name, UUID(claim.id), int(claim.email["_keyid"]), party)


def _footer(organization: Organization, minter: _Minter, parties: Sequence[Entity]) -> str:
    """Return the link to withdraw by, "" where the organization has none; with prior consent it always has one."""
    settings_of = organization.settings
    if not consenting.is_prior(organization) and not settings_of["ee_withdrawallink"]:
        return ""
    recipients = [party for party in parties if is_recipient(party)]
    target = withdrawal.dump(consenting.recipient_of(recipients[0])) if len(recipients) == 1 else ""
    return withdrawal.footer(minter(TokenKind.WITHDRAWAL, target=target), settings_of["ee_withdrawaltext"])


async def _share_files(claim: Claim) -> None:
    """Put each followed attachment into OneDrive and record its link, or why it travels as an ordinary one."""
    attachments = _in_order((await _read(claim)).attachments)
    rows = [row for row in attachments if row.get("isfollowed") or row.get("ee_notfollowedreason")]
    for item, row in enumerate(rows):
        if "_item" in row or row.get("ee_notfollowedreason"):
            continue
        try:
            link = await step("share file", _share(claim, row))
        except SharingForbidden as error:
            change = _not_followed(str(error))
        else:
            change = {"_item": item, "anonymouslink": link}
        await record("shared file", claim, {}, [_change(row, change)])


async def _share(claim: Claim, row: Entity) -> str:
    organization = claim.organization
    if not organization.settings["isonedriveenabled"]:
        raise SharingForbidden(_SWITCHED_OFF)
    return await share_file(
        organization.tenant,
        organization.settings["attachment_drive"] or claim.email["_mailbox"],
        (claim.id, row["activitymimeattachmentid"]),
        row["filename"],
        int(row["filesize"]),
        reader(organization, row),
        lambda: renew(claim),
    )


def reader(organization: Organization, row: Entity) -> Callable[[int, int], Any]:
    """Return what reads a range of an attachment's content."""

    async def read(offset: int, length: int) -> bytes:
        return await blobs.get_range(organization, row["_blob"], offset, length) if length else b""

    return read


async def _inline_images(organization: Organization, attachments: Sequence[Entity]) -> dict[str, Entity]:
    """Return the attachments that the body may show as images, by content id."""
    found: dict[str, Entity] = {}
    for row in attachments:
        content_id = str(row.get("attachmentcontentid") or "").strip("<>")
        if content_id and int(row.get("filesize") or 0):
            start = await blobs.get_range(organization, row["_blob"], 0, _SIGNATURE_LENGTH)
            if _is_image(start):
                found.setdefault(content_id, row)
    return found


def _image_url(minter: _Minter, images: Mapping[str, Entity], item: int, source: str) -> str | None:
    if item >= MAX_IMAGES:
        return None
    quoted = _token_of(source)
    if quoted is not None:
        # Shown as ever, but as a part of its own mail's history: looking at it is no open of that mail again.
        if quoted.organization != minter.organization:
            return None
        configured = settings()
        token = Token(minter.key, quoted.organization, TokenKind.QUIET_IMAGE, quoted.email, quoted.item)
        return f"{configured.base_url}/{token.kind.route}/{mint(token, configured.token_secrets)}"
    return minter(TokenKind.IMAGE, item) if _is_hosted(source, images) else None


def _is_hosted(source: str, images: Mapping[str, Entity]) -> bool:
    content_id = _content_id(source)
    if content_id is not None:
        return content_id in images
    decoded = data_image(source)
    return decoded is not None and _is_image(decoded[1])


async def _host(
    claim: Claim, images: Mapping[str, Entity], done: Instrumented
) -> tuple[list[Operation], frozenset[str]]:
    """Write the hosted images to Blob; return their rows and the content ids that need not be attached any more."""
    rows: list[Operation] = []
    hosted: set[str] = set()
    for image in done.images:
        content_id = _content_id(image.source)
        if content_id is not None:
            data = await blobs.get(claim.organization, images[content_id]["_blob"])
            hosted.add(content_id)
        elif (decoded := data_image(image.source)) is not None:
            data = decoded[1]
        else:
            continue
        name = emails.image_blob(claim.id, image.item)
        await step("host image", blobs.put(claim.organization, name, data, image_type(data)))
        row = {
            "PartitionKey": claim.id,
            "RowKey": f"image:{image.item:04d}",
            "blob": name,
            "mimetype": image_type(data),
        }
        rows.append(Operation("put", row))
    kept = {row.entity["RowKey"] for row in rows}
    old = (await _read(claim)).images
    if hosted:
        # What a style or a link still names has to travel too: only images are hosted.
        hosted -= await in_turn(content_ids, done.html)
    return [*rows, *(Operation("delete", row, "*") for row in old if row["RowKey"] not in kept)], frozenset(hosted)


def _link_rows(partition: EmailPartition, done: Instrumented) -> list[Operation]:
    new = [
        {
            "PartitionKey": partition.email["PartitionKey"],
            "RowKey": f"link:{number:04d}",
            "item": link.item,
            "target": _storable(link.target),
            "text": _storable(link.text),
            "reason": link.reason,
        }
        for number, link in enumerate(_listed(done.links))
    ]
    kept = {row["RowKey"] for row in new}
    gone = [Operation("delete", row, "*") for row in partition.links if row["RowKey"] not in kept]
    return [*(Operation("put", row) for row in new), *gone]


def _listed(links: Sequence[Link]) -> list[Link]:
    beyond = [link for link in links if link.item is None][MAX_UNFOLLOWED:]
    left_out = {id(link) for link in beyond}
    return [link for link in links if id(link) not in left_out]


def _hosted_rows(attachments: Sequence[Entity], hosted: frozenset[str]) -> list[Operation]:
    named = [(row, str(row.get("attachmentcontentid") or "").strip("<>") in hosted) for row in attachments]
    return [_change(row, {"_hosted": is_hosted}) for row, is_hosted in named if is_hosted != bool(row.get("_hosted"))]


async def _unfollowed_rows(claim: Claim) -> list[Operation]:
    """Say of every attachment that was to be followed why it is not; drop what an earlier sending left."""
    partition = await _read(claim)
    followed = [
        _change(row, _not_followed(_NOT_FOLLOWED_EMAIL)) for row in partition.attachments if row.get("isfollowed")
    ]
    left = [Operation("delete", row, "*") for row in (*partition.links, *partition.images)]
    return [*followed, *left]


def _not_followed(reason: str) -> dict[str, Any]:
    return {"isfollowed": False, "ee_notfollowedreason": reason}


def _change(row: Entity, changes: Mapping[str, Any]) -> Operation:
    return Operation("merge", {**changes, "PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}, "*")


def _in_order(attachments: Sequence[Entity]) -> list[Entity]:
    return sorted(attachments, key=lambda row: (int(row.get("attachmentnumber") or 0), row["RowKey"]))


def _content_id(source: str) -> str | None:
    """Return the content id that a ``cid:`` address names (RFC 2392: percent-encoded), None for other addresses."""
    scheme, colon, rest = source.strip().partition(":")
    return unquote(rest).strip("<>") if colon and scheme.casefold() == "cid" else None


def _is_image(data: bytes) -> bool:
    return image_type(data).startswith("image/")


def _storable(text: str) -> str:
    """Return what a table takes: no lone surrogates, at most 32 Ki characters (64 KiB) a property."""
    return text[:32_000].encode("utf-16", "surrogatepass").decode("utf-16", "replace")


async def _read(claim: Claim) -> EmailPartition:
    partition = await emails.read_partition(claim.organization, claim.id)
    if partition is None:
        raise Gone
    return partition
