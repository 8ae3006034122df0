"""No organization keeps all of a process's workers: one whose storage or mailbox is slow delays no other.

Azure's Bulkhead pattern. A process works on 16 messages of a queue at a time (host.json); without a bulkhead the mail
of one organization, each attempt waiting until a call is given up, would hold all of them.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = 8
"""Messages of one organization that a process works on at a time, per queue: half of what the host hands it. It is also
twice what Microsoft Graph takes at a time for one mailbox."""

_working: Counter[tuple[str, str]] = Counter()


@contextmanager
def place(queue: str, organization: str) -> Iterator[bool]:
    """Take a place for a message of `queue`; yield whether there was one.

    >>> with place("deliver", "contoso") as admitted:
    ...     admitted
    True
    """
    key = (queue, organization)
    if _working[key] >= SHARE:
        yield False
        return
    _working[key] += 1
    try:
        yield True
    finally:
        _working[key] -= 1
        if not _working[key]:
            del _working[key]
