"""Changing what others change too."""

import pytest

from shared.storage import contention
from shared.storage.account import Conflict, NotFound, PreconditionFailed, Unavailable
from shared.storage.contention import insist

CHANGED, GONE, TAKEN = PreconditionFailed(412, "Changed"), NotFound(404, "Gone"), Conflict(409, "Taken")


@pytest.fixture(autouse=True)
def without_pause(monkeypatch):
    monkeypatch.setattr(contention, "_PAUSE", 0)


class Attempts:
    """Meets these obstacles in turn, and succeeds when none are left."""

    def __init__(self, *obstacles):
        self.obstacles, self.made = list(obstacles), 0

    async def __call__(self):
        self.made += 1
        if self.obstacles:
            raise self.obstacles.pop(0)
        return "written"


async def test_an_attempt_is_made_anew_while_others_are_faster():
    attempts = Attempts(CHANGED, GONE, CHANGED)
    assert await insist(attempts) == "written"
    assert attempts.made == 4


async def test_who_named_the_version_that_must_hold_hears_at_once_that_it_does_not():
    attempts = Attempts(CHANGED)
    with pytest.raises(PreconditionFailed):
        await insist(attempts, once=True)
    assert attempts.made == 1


async def test_a_row_in_the_way_ends_it_unless_it_was_made_meanwhile():
    with pytest.raises(Conflict):
        await insist(Attempts(TAKEN))
    assert await insist(Attempts(TAKEN), inserts=True) == "written"


async def test_what_storage_refuses_is_not_repeated_here():
    attempts = Attempts(Unavailable(503, "ServerBusy"))
    with pytest.raises(Unavailable):
        await insist(attempts)
    assert attempts.made == 1


@pytest.mark.parametrize("obstacle", [CHANGED, GONE])
async def test_what_never_succeeds_ends_with_what_was_in_the_way(obstacle):
    attempts = Attempts(*[obstacle] * 100)
    with pytest.raises(type(obstacle)):
        await insist(attempts)
    assert attempts.made == 30
