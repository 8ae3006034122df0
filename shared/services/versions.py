"""The version of a row: Dataverse's ``versionnumber`` and ``@odata.etag``, from the storage service's own etag."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from shared.storage.account import PreconditionFailed

_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,7}))?")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def version_of(etag: str) -> int:
    """Return the version that a storage etag (``W/"datetime'...'"``) stands for: 100 ns since 2000, which grows.

    >>> version_of('W/"datetime\\'2000-01-01T00%3A00%3A01.0000002Z\\'"')
    10000002
    """
    match = _STAMP.search(unquote(etag))
    if match is None:
        return 0
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    elapsed = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 10_000_000 + int((match[7] or "").ljust(7, "0"))


def demand_version(row: Mapping[str, Any], expected: int | None) -> None:
    """Raise `PreconditionFailed` where a row is not of the version that the caller has seen; None: any."""
    if expected is not None and version_of(row["etag"]) != expected:
        raise PreconditionFailed(412, "UpdateConditionNotSatisfied")
