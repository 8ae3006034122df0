"""Dataverse's option values that decide something about an email (the table references of email and activityparty)."""

from collections.abc import Mapping
from typing import Any

DRAFT, COMPLETED, SENT, RECEIVED, CANCELED, PENDING_SEND, SENDING, FAILED = range(1, 9)
"""``statuscode``"""
STATUS_NAMES = ("", "Draft", "Completed", "Sent", "Received", "Canceled", "Pending Send", "Sending", "Failed")

STATE_OF_STATUS: Mapping[int, int] = {
    DRAFT: 0,
    COMPLETED: 1,
    SENT: 1,
    RECEIVED: 1,
    CANCELED: 2,
    PENDING_SEND: 1,
    SENDING: 1,
    FAILED: 0,
}
"""``statecode``: 0 Open, 1 Completed, 2 Canceled."""
STATUS_OF_STATE: Mapping[int, int] = {0: DRAFT, 1: COMPLETED, 2: CANCELED}
"""The status that a state has where only the state is given."""

REPLY = 3
"""``interactiontype`` of a reply; those of hits are `shared.engagement.hits.Kind`."""

SENDER, TO, CC, BCC = 1, 2, 3, 4
"""``participationtypemask``"""


def is_recipient(party: Mapping[str, Any]) -> bool:
    """Return whether mail goes to a party: in To, Cc or Bcc."""
    return party.get("participationtypemask") in (TO, CC, BCC)
