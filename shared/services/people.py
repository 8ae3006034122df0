"""The people of an organization: a systemuser is written when its token is first seen."""

import contextlib
from datetime import datetime

from shared.storage import records
from shared.storage.account import Conflict
from shared.storage.organizations import Organization

_MAX_KNOWN = 50_000

_known: set[tuple[str, str]] = set()


async def welcome(organization: Organization, user: str, name: str, address: str, now: datetime) -> None:
    """Write the systemuser of a person seen for the first time; later it is the organization's to change.

    `user` is the Entra object id, `name` and `address` what the token says, "" where it does not.
    """
    # The organization's id and not its name: restored or made anew, it starts without people.
    key = (organization.id, user)
    if key in _known:
        return
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    columns = {
        "systemuserid": user,
        "azureactivedirectoryobjectid": user,
        "fullname": name or address or user,
        "internalemailaddress": address if "@" in address else None,
        "domainname": address or None,
        "isdisabled": False,
        "organizationid": organization.id,
        "createdon": moment,
        "modifiedon": moment,
    }
    with contextlib.suppress(Conflict):
        await records.insert(organization, "systemuser", user, columns)
    if len(_known) >= _MAX_KNOWN:
        _known.clear()
    _known.add(key)
