"""Whose mailbox an email goes out from: that of its sender's own user, and nobody else's."""

from collections.abc import Mapping
from typing import Any

from shared.engagement.options import SENDER
from shared.storage import emails
from shared.storage.organizations import Organization


async def mailbox_of(organization: Organization, email: Mapping[str, Any]) -> str:
    """Return the user whose mailbox an email that was submitted goes out from, "" where it has none.

    It is the systemuserid, which is the Entra object id that Graph takes, as ``_mailbox`` says it. Mail that was
    submitted before object ids were kept has an address there. Whoever may write an address could have chosen it, so
    that the user counts whom its sender names: parties do not change once a mail is on its way.
    """
    mailbox = str(email.get("_mailbox") or "")
    if "@" not in mailbox:
        return mailbox
    partition = await emails.read_partition(organization, email["PartitionKey"])
    senders = [row for row in (partition.parties if partition else ()) if row["participationtypemask"] == SENDER]
    users = [str(row["partyid"]) for row in senders if row.get("partyid_type") == "systemuser" and row.get("partyid")]
    return users[0] if len(users) == len(senders) == 1 else ""
