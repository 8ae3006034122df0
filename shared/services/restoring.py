"""Restoring an exported organization, here or in another deployment: an empty history, and its old links alive."""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping
from itertools import batched
from pathlib import Path
from typing import Any

import orjson

from shared.engagement.link_keys import dump_link_keys, parse_link_keys
from shared.engagement.tokens import link_key
from shared.services.exporting import BLOBS, FORMAT, LINK_KEYS, MANIFEST, RECORDS
from shared.services.images import image_type
from shared.services.organizations import CannotManage, Say, claim, place
from shared.services.wrapping import unwrap
from shared.storage import blobs
from shared.storage.calls import side_by_side
from shared.storage.organizations import (
    DEFAULT_SETTINGS,
    Entry,
    Organization,
    is_valid_name,
    read_entry,
    save_state,
)
from shared.storage.provisioning import make_storage
from shared.storage.tables import Entity, Operation, chunks

_BATCH = 32


async def restore(
    directory: Path, storage_account: str, say: Say, claimed: Callable[[Organization], None] = lambda _: None
) -> Organization:
    """Make an organization from its export and return it; repeated, it finishes what was broken off.

    Its name stays, because its links carry it. `claimed` is called when the name is taken: once the organization is in
    use, a repetition is refused and hands nothing over any more. Raises `CannotManage` where the export is not whole,
    or the name is that of another organization or of one in use, and has written nothing then; OSError.
    """
    manifest, organization = _read_manifest(directory)
    organization = place(organization, storage_account)
    _demand_whole(directory, manifest)
    await _claim(organization)
    claimed(organization)
    await make_storage(organization)
    count = 0
    for rows in _partitions(directory / RECORDS):
        for some in chunks([Operation("put", row) for row in rows]):
            await organization.tables.transact(organization.records, some)
            count += len(some)
        say(f"{count} of {manifest['records']} records restored ...")
    await _restore_blobs(organization, directory / BLOBS, say)
    await save_state(await _entry(organization.name), "", organization)
    return organization


def read_link_keys(directory: Path, passphrase: str, secrets: Mapping[int, bytes]) -> str:
    """Return the link keys of an export, as the app setting spells them, "" where this deployment's `secrets` make
    them all: an organization has come back. Raises `CannotManage`, `WrongPassphrase`."""
    _, organization = _read_manifest(directory)
    name = organization.name
    text = unwrap(_read_json(directory / LINK_KEYS), passphrase, f"{name}/{organization.id}").decode()
    own = {(number, link_key(secret, name)) for number, secret in secrets.items()}
    keys = [(number, key) for (_, number), found in parse_link_keys(name, text).items() for key in found]
    return dump_link_keys(key for key in keys if key not in own)


def _demand_whole(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Raise `CannotManage` where a record or a blob is missing or damaged, before anything is written."""
    counts = {"records": sum(1 for _ in _rows(directory / RECORDS)), "blobs": len(_files(directory / BLOBS))}
    for what, found in counts.items():
        if found != manifest[what]:
            raise CannotManage(
                f"{directory} holds {found} {what} where {manifest[what]} were exported: restore from another copy"
            )


async def _claim(organization: Organization) -> None:
    name = organization.name
    if await claim(organization, "restoring"):
        return
    entry = await _entry(name)
    if not entry.state:
        raise CannotManage(f"there is an organization {name} already, in use; the links of the export carry that name")
    if entry.organization.id != organization.id:
        raise CannotManage(f"the name {name} was given to another organization, and names are never given again")
    if entry.state == "removing":
        raise CannotManage(f"{name} is being removed: finish that first, with `remove {name}`")
    await save_state(entry, "restoring", organization)


async def _entry(name: str) -> Entry:
    entry = await read_entry(name)
    if entry is None:
        raise CannotManage(f"the registry has lost {name} meanwhile: somebody else is at it")
    return entry


def _read_manifest(directory: Path) -> tuple[dict[str, Any], Organization]:
    manifest = _read_json(directory / MANIFEST)
    try:
        if manifest["format"] != FORMAT:
            raise CannotManage(f"{directory} is an export of the format {manifest['format']!r}; {FORMAT!r} is needed")
        settings = {name: value for name, value in manifest["settings"].items() if name in DEFAULT_SETTINGS}
        whole = all(_is_like(value, DEFAULT_SETTINGS[name]) for name, value in settings.items())
        own, tenant = (str(uuid.UUID(manifest[name])) for name in ("id", "tenant"))
        organization = Organization(str(manifest["name"]), own, tenant, {**DEFAULT_SETTINGS, **settings})
        whole = whole and isinstance(manifest["records"], int) and isinstance(manifest["blobs"], int)
    except (KeyError, TypeError, AttributeError, ValueError):
        whole = False
    if not whole or not is_valid_name(organization.name):
        raise CannotManage(f"{directory / MANIFEST} is not as it was exported: restore from another copy")
    return manifest, organization


def _is_like(value: Any, default: Any) -> bool:
    """Return whether a setting is of its default's type, or empty."""
    if isinstance(default, list):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return value == "" or type(value) is type(default)


def _read_json(file: Path) -> Any:
    try:
        return orjson.loads(file.read_bytes())
    except FileNotFoundError:
        raise CannotManage(f"{file.parent} is no whole export: {file.name} is missing; export again") from None
    except orjson.JSONDecodeError:
        raise CannotManage(f"{file} is not as it was exported: restore from another copy") from None


def _partitions(file: Path) -> Iterator[list[Entity]]:
    """Yield the rows, which storage gave in the order of their keys, in runs of one partition."""
    run: list[Entity] = []
    for row in _rows(file):
        if run and (row["PartitionKey"] != run[0]["PartitionKey"] or len(run) == 1000):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _rows(file: Path) -> Iterator[Entity]:
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield _row(line, f"line {number} of {file}")
    except FileNotFoundError:
        raise CannotManage(f"{file} is missing: the export is not whole") from None


def _row(line: bytes, where: str) -> Entity:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    if not isinstance(row, dict) or not _is_entity(row):
        raise CannotManage(f"{where} is not as it was exported: restore from another copy")
    return row


def _is_entity(row: Entity) -> bool:
    keys = (row.get("PartitionKey"), row.get("RowKey"))
    return all(isinstance(key, str) for key in keys) and all(isinstance(v, str | int | float) for v in row.values())


async def _restore_blobs(organization: Organization, directory: Path, say: Say) -> None:
    files = _files(directory)
    count = 0

    async def one(file: Path) -> None:
        data = await asyncio.to_thread(file.read_bytes)
        await blobs.put(organization, file.relative_to(directory).as_posix(), data, image_type(data))

    for some in batched(files, _BATCH, strict=False):
        await side_by_side(one, some)
        count += len(some)
        say(f"{count} of {len(files)} images and other blobs restored ...")


def _files(directory: Path) -> list[Path]:
    """Return the files below a directory; a symbolic link is none of an export's, wherever it leads."""
    return sorted(file for file in directory.rglob("*") if file.is_file() and not file.is_symlink())
