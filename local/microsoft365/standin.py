"""What a running stand-in consists of."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from local.microsoft365.faults import Fault
from local.microsoft365.issuer import Signer


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was answered: for tests that count calls."""

    method: str
    path: str
    status: int


@dataclass(slots=True)
class StandIn:
    """The parts every request handler works with. `base_url` has no trailing slash."""

    base_url: str
    db: sqlite3.Connection
    signer: Signer
    faults: list[Fault] = field(default_factory=list)
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=5000))
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    check_notification: Callable[[dict[str, Any]], list[str]] = lambda _: []


def standin_of(request: Request) -> StandIn:
    """Return the stand-in that serves a request."""
    standin: StandIn = request.app.state.standin
    return standin
