"""The people of an organization: a systemuser is written when its token is first seen, and may be shut out later."""

import contextlib
import time
from datetime import datetime

from shared.engagement.addresses import normal_form
from shared.storage import records
from shared.storage.account import Conflict
from shared.storage.organizations import Organization

MAX_KNOWN = 50_000
"""How many people a process remembers; who came first is forgotten first."""
KEPT_SECONDS = 30.0
"""How long it remembers whether somebody is shut out: every process follows within this."""

_OWN_ADDRESSES = (
    ("systemuser", ("internalemailaddress", "domainname")),
    ("queue", ("emailaddress",)),
    ("mailbox", ("address",)),
)
"""Where the addresses of an organization's own people and mailboxes are: tables and columns."""

_known: dict[tuple[str, str], tuple[float, bool]] = {}
"""Until when (monotonic seconds) what is known of somebody holds, and whether they are enabled."""


async def welcome(organization: Organization, user: str, name: str, address: str, now: datetime) -> bool:
    """Return whether a person may come in: False where their systemuser is disabled, as it was `KEPT_SECONDS` ago at
    the earliest. Of somebody seen for the first time the row is written; later it is the organization's to change.

    `user` is the Entra object id of a verified token, `name` and `address` what the token says, "" where it does not.
    """
    # The organization's id and not its name: restored or made anew, it starts without people.
    key = (organization.id, user)
    until, enabled = _known.get(key, (0.0, False))
    # The time before the look and not after it: what is changed in between must not be remembered for longer.
    started = time.monotonic()
    if started < until:
        return enabled
    enabled = await _is_enabled(organization, user, name, address, now)
    _known.pop(key, None)
    if len(_known) >= MAX_KNOWN:
        _known.pop(next(iter(_known)))
    _known[key] = (started + KEPT_SECONDS, enabled)
    return enabled


def forget(organization: Organization, user: str) -> None:
    """Let this process look at somebody's row again, because it was changed."""
    _known.pop((organization.id, user), None)


async def is_disabled(organization: Organization, user: str) -> bool:
    """Return whether somebody is shut out now; who has no row is not."""
    row = await records.get(organization, "systemuser", user)
    return bool(row is not None and row.get("isdisabled"))


async def disabled(organization: Organization) -> frozenset[str]:
    """Return the ids of all who are shut out now."""
    found = records.query(organization, "systemuser", "isdisabled eq true", ("RowKey",))
    return frozenset([row["RowKey"] async for page in found for row in page])


async def is_colleague(organization: Organization, address: str) -> bool:
    """Return whether an address, in its normal form, is one of the organization's own: a user's by any of theirs, that
    of a mailbox that mail was sent from, or a queue's, which several of them write from.

    Reads the tables through, since addresses are written in any case: for what answers a followed mail and comes from
    nobody whom it went to.
    """
    for table, columns in _OWN_ADDRESSES:
        async for page in records.query(organization, table, select=columns):
            if any(normal_form(str(row[name])) == address for row in page for name in columns if row.get(name)):
                return True
    return False


async def _is_enabled(organization: Organization, user: str, name: str, address: str, now: datetime) -> bool:
    row = await records.get(organization, "systemuser", user)
    if row is not None:
        return not row.get("isdisabled")
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
        return True
    return not await is_disabled(organization, user)
