"""What stands between an organization and its tables to break calls on the way."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.services.caller import Caller

NOW = datetime(2026, 11, 23, 17, 35, tzinfo=UTC)
CALLER = Caller(str(uuid.uuid4()), "", "", frozenset({"Seller"}))


@dataclass
class Breaker:
    """Stands before the Table service and breaks its `nth` change: before it happens, or (`after`) its answer only."""

    nth: int = -1
    after: bool = False
    changes: int = 0

    def arm(self, nth: int, *, after: bool) -> None:
        self.nth, self.after, self.changes = nth, after, 0
