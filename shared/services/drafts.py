"""Opening an email to change it, and what goes with a change; `shared.storage.contention.insist` repeats one."""

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from shared.engagement.options import DRAFT, FAILED, STATUS_NAMES
from shared.engagement.times import iso_seconds, milliseconds
from shared.services.caller import Caller
from shared.services.errors import Missing, Refused
from shared.services.rights import Denied, demand_write
from shared.services.versions import demand_version
from shared.storage import blobs, emails
from shared.storage.account import StorageError, Unavailable
from shared.storage.organizations import Organization

_log = logging.getLogger(__name__)


async def read_own(organization: Organization, caller: Caller, id: str, expected: int | None) -> emails.EmailPartition:
    """Return an email that the caller may change, of the version `expected`; raise `Missing`, `Denied`,
    `PreconditionFailed`."""
    partition = await emails.read_partition(organization, id)
    if partition is None:
        raise Missing(f"email With Id = {id} Does Not Exist")
    demand_write(caller, partition.email, "This email")
    demand_version(partition.email, expected)
    return partition


async def read_open(organization: Organization, caller: Caller, id: str, expected: int | None) -> emails.EmailPartition:
    """Return an email whose attachments the caller may change, a Draft or one that failed; raise `Refused` as well."""
    partition = await read_own(organization, caller, id, expected)
    status = partition.email.get("statuscode", DRAFT)
    if status not in (DRAFT, FAILED):
        raise Refused(f"Attachments cannot be changed: the email is {STATUS_NAMES[status]}, not a Draft.")
    return partition


async def delete_blobs(organization: Organization, names: Iterable[str]) -> None:
    """Delete blobs that nothing names any more; one that cannot be deleted now is only wasted space."""
    for name in filter(None, names):
        try:
            await blobs.delete(organization, name)
        except StorageError:
            _log.warning("blob %s of organization %s was left behind", name, organization.name)


def is_undone(error: BaseException) -> bool:
    """Return whether a change that failed like this surely did not take place.

    A call that storage did not answer may have been carried out all the same: what it names must then stay.
    """
    if isinstance(error, StorageError):
        return not isinstance(error, Unavailable)
    return isinstance(error, Refused | Missing | Denied)


def stamp(caller: Caller, now: datetime) -> dict[str, Any]:
    """Return the columns that say who changed a row last, and when."""
    return {"modifiedon": iso_seconds(milliseconds(now)), "modifiedby": caller.user}
