"""Delivery: the agenda's timer, the queues of emails and reminders that are due, what to do where they keep failing."""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import azure.functions as func

from shared import logs

if TYPE_CHECKING:
    from shared.storage.organizations import Organization

type _Attempt = Callable[[Organization, str, Callable[[], datetime]], Awaitable[timedelta | None]]

blueprint = func.Blueprint()

_WAIT_FOR_STORAGE = timedelta(seconds=15)
_NEXT_TURN = timedelta(seconds=2)
_REMIND_AGAIN = timedelta(hours=1)

_log = logging.getLogger(__name__)


@blueprint.queue_trigger("message", "deliver", connection="AzureWebJobsStorage")
async def deliver(message: func.QueueMessage) -> None:
    """Make one attempt to send an email, and put the message back where another is needed."""
    from shared.services import delivering
    from shared.storage import queues

    await _attend(queues.DELIVER, message.get_json(), delivering.deliver)


@blueprint.queue_trigger("message", "deliver-poison", connection="AzureWebJobsStorage")
async def give_up(message: func.QueueMessage) -> None:
    """End an email that failed as often as host.json allows as Failed, with a reason."""
    from shared.services import delivering
    from shared.storage import queues

    await _attend(f"{queues.DELIVER}-poison", message.get_json(), delivering.give_up)


@blueprint.queue_trigger("message", "remind", connection="AzureWebJobsStorage")
async def remind(message: func.QueueMessage) -> None:
    """Judge a reminder whose time has come."""
    from shared.services import reminding
    from shared.storage import queues

    async def attempt(organization: "Organization", email: str, clock: Callable[[], datetime]) -> None:
        await reminding.remind(organization, email, clock())

    await _attend(queues.REMIND, message.get_json(), attempt)


@blueprint.queue_trigger("message", "remind-poison", connection="AzureWebJobsStorage")
async def remind_later(message: func.QueueMessage) -> None:
    """Enter a reminder that failed as often as host.json allows again, for an hour later: it is not lost."""
    from shared.services.agenda import REMIND
    from shared.storage import agenda

    work = message.get_json()
    logs.about(work["organization"], work["email"])
    _log.error("a reminder of email %s of %s fails: look for its error above", work["email"], work["organization"])
    await agenda.add(agenda.Entry(_now() + _REMIND_AGAIN, REMIND, work["organization"], work["email"]))


@blueprint.timer_trigger("timer", "0 * * * * *", use_monitor=False)
async def agenda(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the worker passes it by name
    """Hand over what is due this minute."""
    from shared.services.agenda import run_agenda

    await run_agenda(_now())


async def _attend(queue: str, work: Mapping[str, str], attempt: _Attempt) -> None:
    """Make an attempt at what a message names, and put the message back where another is needed.

    One of an organization that keeps its share of this process busy waits its turn.
    """
    from shared.services import bulkheads
    from shared.storage import queues

    logs.about(work["organization"], work["email"])
    with bulkheads.place(queue, work["organization"]) as admitted:
        delay = await _attempted(work, attempt) if admitted else _NEXT_TURN
    if delay is not None:
        await queues.send(queue, work, _whole_seconds(delay))


async def _attempted(work: Mapping[str, str], attempt: _Attempt) -> timedelta | None:
    """Return after which delay another attempt is needed, None for none.

    A message of an organization that is gone is dropped. Storage that does not answer is waited for: what failed while
    it was away would end as poison.
    """
    from shared.storage.account import Unavailable
    from shared.storage.organizations import find_organization

    try:
        organization = await find_organization(work["organization"])
        return None if organization is None else await attempt(organization, work["email"], _now)
    except Unavailable as error:
        _log.warning("email %s of %s waits for storage: %s", work["email"], work["organization"], error.code)
        return _WAIT_FOR_STORAGE


def _now() -> datetime:
    return datetime.now(UTC)


def _whole_seconds(delay: timedelta) -> timedelta:
    # Queues count whole seconds, and a message that comes too early has to be put back again.
    return timedelta(seconds=math.ceil(delay.total_seconds()))
