"""Lazy columns of records: texts that are blobs beside the row, which names them.

A blob is written before the row names it, under a name of its own, and deleted after no row does. Whatever fails in
between, what a row names is there; at worst a blob that nothing names is left behind.
"""

import base64
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from shared.services.composing import check_body
from shared.services.drafts import delete_blobs, is_undone
from shared.storage import blobs
from shared.storage.account import NotFound
from shared.storage.organizations import Organization
from shared.webapi.errors import Failure
from shared.webapi.schema import Column, Table


@asynccontextmanager
async def written(
    organization: Organization, table: Table, id: str, texts: Mapping[str, str]
) -> AsyncIterator[dict[str, str | None]]:
    """Write the texts of lazy columns and yield what the row of this id is to store of them: the names of blobs, None
    for an empty text. Where the row is not written, as far as can be told, the blobs are deleted.

    Raises `Refused` for a text that is larger than an email's body may be.
    """
    for name, text in texts.items():
        check_body(text, name)
    stored: dict[str, str | None] = {}
    writing = True
    try:
        for name, text in texts.items():
            blob = f"texts/{table.logical}/{id}/{uuid.uuid4()}" if text else None
            stored[table.by_name[name].lazy] = blob
            if blob:
                await blobs.put(organization, blob, text.encode("utf-8", "surrogatepass"), "text/plain; charset=utf-8")
        writing = False
        yield stored
    except BaseException as error:
        if writing or isinstance(error, Failure) or is_undone(error):
            await delete_blobs(organization, filter(None, stored.values()))
        raise


async def read(organization: Organization, column: Column, row: Mapping[str, Any]) -> str | None:
    """Return the text of a lazy column of a row, None where it is empty."""
    name = row.get(column.lazy)
    if not name:
        return None
    try:
        content = await blobs.get(organization, name)
    except NotFound:
        # The row has changed since it was read.
        return None
    return base64.b64encode(content).decode() if column.binary else content.decode("utf-8", "surrogatepass")
