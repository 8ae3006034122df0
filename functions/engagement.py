"""The queues of the fold and of the figures, the sweep that finds what a lost message left behind, and the timer that
judges templates."""

from datetime import UTC, datetime

import azure.functions as func

from shared import logs

blueprint = func.Blueprint()

_HALF_A_MINUTE = 30


@blueprint.queue_trigger("message", "fold", connection="AzureWebJobsStorage")
async def fold(message: func.QueueMessage) -> None:
    """Fold one journal partition, or tell one email's timeline again; look again as long as more may come."""
    from shared.services import folding
    from shared.storage import queues

    work = message.get_json()
    logs.about(work["organization"], work.get("email", ""))
    now = datetime.now(UTC)
    if "email" in work:
        await folding.fold_email(work["organization"], work["email"], now)
        return
    again = await folding.fold_partition(work["organization"], work["partition"], now)
    if again is not None:
        await queues.send(queues.FOLD, work, again)


@blueprint.queue_trigger("message", "figures", connection="AzureWebJobsStorage")
async def figures(message: func.QueueMessage) -> None:
    """Bring what emails add to the figures of an organization into them; look again as long as some is on its way."""
    from shared.services import figuring
    from shared.storage import queues

    work = message.get_json()
    logs.about(work["organization"])
    again = await figuring.figure(work["organization"], datetime.now(UTC))
    if again is not None:
        await queues.send(queues.FIGURES, work, again)


@blueprint.timer_trigger("timer", "*/30 * * * * *", run_on_startup=True, use_monitor=False)
async def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the worker passes it by name
    """Find what lost messages left behind: journal partitions older than 90 seconds, changes that the figures do not
    know, and spool files of processes that are gone. Once a minute, count what was given up."""
    from shared.services import figuring, folding, watching
    from shared.services.recording import start_draining

    start_draining()
    await folding.sweep(datetime.now(UTC))
    await figuring.sweep(datetime.now(UTC))
    if datetime.now(UTC).second < _HALF_A_MINUTE:
        await watching.count_poison()


@blueprint.timer_trigger("timer", "0 22 * * * *", run_on_startup=False, use_monitor=False)
async def judge_templates(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the worker passes it by name
    """Judge every hour which templates are recommended."""
    from shared.services import recommending

    await recommending.judge_everywhere(datetime.now(UTC))
