"""Exporting an organization into a directory: all that it needs to begin again elsewhere, with its old links alive.

=================  ==================================================================================================
file               holds
=================  ==================================================================================================
``records.jsonl``  people, users, queues, templates and what is kept beside them, a row a line
``blobs/``         hosted images of sent mail and what templates are made of, under their names
``link-keys.json``  the keys of its links by key id, wrapped with a passphrase (`shared.services.wrapping`)
``manifest.json``  format, name, id, tenant, settings, counts; written last: without it an export is not whole
=================  ==================================================================================================

Mail, its timeline, figures and cards stay behind.
"""

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from shared.engagement.figures import template_columns
from shared.engagement.link_keys import LinkKeys, dump_link_keys
from shared.engagement.tokens import link_key
from shared.services.organizations import CannotManage, Say
from shared.services.wrapping import MIN_PASSPHRASE, wrap
from shared.storage import blobs
from shared.storage.account import NotFound
from shared.storage.calls import side_by_side
from shared.storage.organizations import Organization
from shared.storage.tables import Entity

FORMAT = "email-engagement/organization/1"
MANIFEST, RECORDS, BLOBS, LINK_KEYS = "manifest.json", "records.jsonl", "blobs", "link-keys.json"

_HISTORY = frozenset({
    "activitymimeattachment", "actioncard", "actioncarduserstate", "conversation", "figures", "mailbox", "message",
    "opens", "pending",
})  # fmt: skip
"""The first words of partitions of records that are about mail and its timeline, or about subscriptions of this
deployment. Everything else moves, so that what is not known here is not lost."""
_BLOBS_OF_MAIL = ("attachments/", "bodies/")
_LEFT_BEHIND = {"template": ("_revision",), "systemuser": ("_sessions",)}
_BATCH = 32


async def export(
    organization: Organization,
    directory: Path,
    passphrase: str,
    secrets: Mapping[int, bytes],
    imported: LinkKeys,
    now: datetime,
    say: Say,
) -> None:
    """Write an organization into a directory that is empty, missing, or a broken-off export of it.

    `secrets` are the deployment's token secrets and `imported` the link keys brought along earlier. Raises
    `CannotManage`, OSError.
    """
    if len(passphrase) < MIN_PASSPHRASE:
        raise CannotManage(f"the passphrase is too short: give {MIN_PASSPHRASE} characters or more")
    _prepare(directory)
    records = await _write_records(organization, directory / RECORDS, say)
    images = await _write_blobs(organization, directory / BLOBS, say)
    keys = _keys_of(organization.name, secrets, imported)
    box = wrap(dump_link_keys(keys).encode(), passphrase, f"{organization.name}/{organization.id}")
    _write_json(directory / LINK_KEYS, box)
    manifest = {
        "format": FORMAT,
        "name": organization.name,
        "id": organization.id,
        "tenant": organization.tenant,
        "exported": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "records": records,
        "blobs": images,
        # What a webhook is signed with stays behind: nothing secret is exported but the link keys, which are wrapped.
        "settings": {**organization.settings, "alert_webhook": "", "alert_webhook_secret": ""},
    }
    _write_json(directory / MANIFEST, manifest)


def _prepare(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise CannotManage(f"{directory} is a file: name a directory")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (directory / MANIFEST).exists():
        raise CannotManage(f"{directory} holds an export already: name another directory")
    strange = {child.name for child in directory.iterdir()} - {RECORDS, BLOBS, LINK_KEYS}
    if (directory / BLOBS).exists() and not (directory / RECORDS).exists():
        # A broken-off export has written records first: these blobs are somebody's.
        strange.add(BLOBS)
    if strange:
        raise CannotManage(f"{directory} is not empty ({min(strange)}): name another directory")
    # What was there then may be gone since.
    shutil.rmtree(directory / BLOBS, ignore_errors=True)


async def _write_records(organization: Organization, file: Path, say: Say) -> int:
    count = 0
    with private(file) as out:
        async for page in organization.tables.query(organization.records):
            for row in page:
                if str(row["PartitionKey"]).split(" ")[0] not in _HISTORY:
                    out.write(orjson.dumps(_exported(row)) + b"\n")
                    count += 1
            say(f"{count} records exported ...")
    return count


def _exported(row: Entity) -> Entity:
    """Return a record without what its mail has made of it."""
    table = row["PartitionKey"]
    dropped = ("etag", *_LEFT_BEHIND.get(table, ()))
    # Rows beside a table's records, such as entries of keys, have no figures to take back.
    nothing = template_columns({}) if table == "template" and "templateid" in row else {}
    return {name: value for name, value in {**row, **nothing}.items() if name not in dropped}


async def _write_blobs(organization: Organization, directory: Path, say: Say) -> int:
    count = 0
    async for names in _batches(organization):
        contents = await side_by_side(lambda name: _content(organization, name), names)
        for name, content in zip(names, contents, strict=True):
            if content is not None:
                _write(directory / name, content)
                count += 1
        say(f"{count} images and other blobs exported ...")
    return count


async def _content(organization: Organization, name: str) -> bytes | None:
    """Return a blob, None where it has been deleted since it was listed: people go on working."""
    try:
        return await blobs.get(organization, name)
    except NotFound:
        return None


async def _batches(organization: Organization) -> AsyncIterator[list[str]]:
    batch: list[str] = []
    async for name in blobs.names(organization):
        if not name.startswith(_BLOBS_OF_MAIL):
            batch.append(name)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _keys_of(name: str, secrets: Mapping[int, bytes], imported: LinkKeys) -> list[tuple[int, bytes]]:
    own = [(number, link_key(secret, name)) for number, secret in secrets.items()]
    brought = [(number, key) for (of, number), keys in imported.items() if of == name for key in keys]
    return list(dict.fromkeys([*own, *brought]))


def _write_json(file: Path, content: Any) -> None:
    _write(file, orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with private(file) as out:
        out.write(content)


def private(file: Path) -> BinaryIO:
    """Open a file for writing that nobody else may read: it holds people's data or keys.

    Raises OSError, also for a symbolic link, which would lead the data elsewhere.
    """
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    # One that was there keeps its mode and its content otherwise.
    os.fchmod(opened, 0o600)
    os.ftruncate(opened, 0)
    return os.fdopen(opened, "wb")
