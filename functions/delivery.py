"""Delivery: the queue of emails to send, what to do with those that keep failing, and the agenda's timer."""

import math
from datetime import UTC, datetime, timedelta

import azure.functions as func

blueprint = func.Blueprint()


@blueprint.queue_trigger("message", "deliver", connection="AzureWebJobsStorage")
async def deliver(message: func.QueueMessage) -> None:
    """Make one attempt to send an email, and put the message back where another is needed."""
    from shared.services import delivering
    from shared.storage import queues
    from shared.storage.organizations import find_organization

    work = message.get_json()
    organization = await find_organization(work["organization"])
    if organization is None:
        return
    delay = await delivering.deliver(organization, work["email"], _now)
    if delay is not None:
        await queues.send(queues.DELIVER, work, _whole_seconds(delay))


@blueprint.queue_trigger("message", "deliver-poison", connection="AzureWebJobsStorage")
async def give_up(message: func.QueueMessage) -> None:
    """End an email that failed as often as host.json allows as Failed, with a reason."""
    from shared.services import delivering
    from shared.storage import queues
    from shared.storage.organizations import find_organization

    work = message.get_json()
    organization = await find_organization(work["organization"])
    if organization is None:
        return
    delay = await delivering.give_up(organization, work["email"], _now)
    if delay is not None:
        await queues.send(f"{queues.DELIVER}-poison", work, _whole_seconds(delay))


@blueprint.timer_trigger("timer", "0 * * * * *", use_monitor=False)
async def agenda(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the worker passes it by name
    """Hand over what is due this minute."""
    from shared.services.agenda import run_agenda

    await run_agenda(_now())


def _now() -> datetime:
    return datetime.now(UTC)


def _whole_seconds(delay: timedelta) -> timedelta:
    # Queues count whole seconds, and a message that comes too early has to be put back again.
    return timedelta(seconds=math.ceil(delay.total_seconds()))
