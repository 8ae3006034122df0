"""Each email that leaves and each that fails is counted once, however often its delivery was attempted."""

from shared import metrics
from tests.delivery_world import World
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world

__all__ = ["standin", "world"]

pytestmark = IGNORED_WARNINGS


def counted(world: World) -> tuple[int, int]:
    """Return how many emails of the world's organization left, and how many failed."""
    of_it = (world.organization.name,)
    return metrics.SENDS.values.get(of_it, 0), metrics.SEND_FAILURES.values.get(of_it, 0)


async def test_an_email_that_leaves_counts_once(world: World) -> None:
    ann = await world.contact()
    email = await world.write(ann)
    await world.send(email)
    await world.deliver(email)
    await world.deliver(email)
    assert len(await world.arrived(ann)) == 1
    assert counted(world) == (1, 0)


async def test_an_email_that_is_refused_counts_as_failed(world: World) -> None:
    email = await world.write(await world.contact())
    await world.send(email)
    await world.break_calls(r"POST .*/messages$", 403)
    await world.deliver(email)
    assert counted(world) == (0, 1)


async def test_what_graph_asks_to_repeat_later_counts_as_throttled_and_not_as_failed(world: World) -> None:
    email = await world.write(await world.contact())
    await world.send(email)
    before = sum(metrics.GRAPH_THROTTLED.values.values())
    await world.break_calls(r"POST .*/messages$", 429, retryAfter=33)
    assert await world.deliver(email) == [33]
    assert sum(metrics.GRAPH_THROTTLED.values.values()) == before + 1
    assert counted(world) == (1, 0)
