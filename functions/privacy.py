"""Privacy: the queue of withdrawals, erasures and retention, and the timer that begins retention once a day."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import azure.functions as func

blueprint = func.Blueprint()

type _Again = tuple[Mapping[str, str], timedelta]

_WAIT_FOR_STORAGE = timedelta(seconds=15)

_log = logging.getLogger(__name__)


@blueprint.queue_trigger("message", "privacy", connection="AzureWebJobsStorage")
async def privacy(message: func.QueueMessage) -> None:
    """Do some of the work that a message names, and put back what remains. What keeps failing stays in the poison
    queue, for somebody to look at: a withdrawal is never dropped."""
    from shared.storage import queues
    from shared.storage.account import Unavailable

    work = message.get_json()
    try:
        again = await _attend(work, datetime.now(UTC))
    except Unavailable as error:
        _log.warning("%s of %s waits for storage: %s", work["work"], work["organization"], error.code)
        again = work, _WAIT_FOR_STORAGE
    if again is not None:
        await queues.send(queues.PRIVACY, *again)


@blueprint.timer_trigger("timer", "0 23 2 * * *", run_on_startup=False, use_monitor=False)
async def keep_to_retention(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the worker passes it by name
    """Remove what is older than organizations keep, and go on with erasures whose message was lost."""
    from shared.services import erasing, retaining, withdrawing
    from shared.storage.account import StorageError
    from shared.storage.organizations import list_organizations

    now = datetime.now(UTC)
    await retaining.start(now)
    for organization in await list_organizations():
        try:
            await erasing.go_on(organization)
            await withdrawing.forget_asked(organization, now)
        except StorageError as error:
            _log.warning("the daily work on privacy of %s waits for tomorrow: %s", organization.name, error.code)


async def _attend(work: Mapping[str, str], now: datetime) -> _Again | None:
    """Do some of the work of a message; return what remains and when to go on with it."""
    from shared.services import erasing, retaining, withdrawing
    from shared.storage.organizations import find_organization

    organization = await find_organization(work["organization"])
    if organization is None:
        return None
    if work["work"] == withdrawing.WITHDRAW:
        await withdrawing.withdraw(organization, work)
        return None
    if work["work"] == retaining.RETAIN:
        rest = await retaining.retain(organization, work, now)
        return None if rest is None else (rest, timedelta())
    step = {withdrawing.CONFIRM: withdrawing.confirm, erasing.ERASE: erasing.erase}[work["work"]]
    delay = await step(organization, work, now)
    return None if delay is None else (work, delay)
