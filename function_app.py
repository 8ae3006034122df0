"""The table of contents: every function of the deployment, recipients first."""

import azure.functions as func

from functions import delivery, engagement, health, mailbox, recipients, telling, templates, webapi
from shared import logs, telemetry

logs.redact()
telemetry.start()

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for part in (recipients, health, mailbox, webapi, delivery, engagement, telling, templates):
    app.register_functions(part.blueprint)
