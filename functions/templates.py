"""The queue of templates that were deleted."""

import azure.functions as func

from shared import logs

blueprint = func.Blueprint()


@blueprint.queue_trigger("message", "unlink", connection="AzureWebJobsStorage")
async def unlink(message: func.QueueMessage) -> None:
    """Let mail forget a template that is gone."""
    from shared.services import templates

    work = message.get_json()
    logs.about(work["organization"])
    await templates.unlink(work["organization"], work["template"])
