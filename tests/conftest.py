"""Fixtures that more than one layer of tests uses."""

import random
from collections.abc import Iterator

import pytest

from local import azurite as emulator
from local.processes import is_port_free, stop


def free_ports(count: int) -> int:
    """Return the first of `count` neighbouring ports that are free, below the range of outgoing connections."""
    for _ in range(1000):
        first = random.randrange(11000, 32000)
        if all(is_port_free(first + offset) for offset in range(count)):
            return first
    raise RuntimeError("no free ports between 11000 and 32000")


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """Return the connection string of an Azurite in memory, one per test process: it is ready in 1.5 seconds."""
    emulator.install()
    for attempt in range(5):
        port = free_ports(3)
        try:
            process = emulator.start(port, None)
            break
        except (OSError, RuntimeError):
            if attempt == 4:
                raise
    yield emulator.connection_string(port)
    stop(process)
