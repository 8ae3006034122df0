"""Telling of cards by mail and webhook: the queue, and what to do with messages that keep failing."""

from datetime import UTC, datetime

import azure.functions as func

from shared import logs

blueprint = func.Blueprint()


@blueprint.queue_trigger("message", "tell", connection="AzureWebJobsStorage")
async def tell(message: func.QueueMessage) -> None:
    """Make one attempt to tell of a card by one channel, and put the message back where another is needed."""
    from shared.services import telling
    from shared.storage import queues
    from shared.storage.organizations import find_organization

    work = message.get_json()
    logs.about(work["organization"])
    organization = await find_organization(work["organization"])
    if organization is None:
        return
    attempt = int(work.get("attempt", "1"))
    again = await telling.deliver_alert(organization, work["card"], work["channel"], datetime.now(UTC), attempt)
    if again is not None:
        await queues.send(queues.TELL, {**work, "attempt": str(attempt + 1)}, again)


@blueprint.queue_trigger("message", "tell-poison", connection="AzureWebJobsStorage")
async def give_up_telling(message: func.QueueMessage) -> None:
    """Say which card is not told."""
    from shared.services import telling

    work = message.get_json()
    logs.about(work["organization"])
    telling.give_up(work)
