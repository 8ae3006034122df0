"""The table of contents: every function of the deployment, recipients first."""

import gc
import sys

import azure.functions as func

from functions import delivery, engagement, health, mailbox, privacy, recipients, telling, templates, webapi, withdrawal
from shared import logs, telemetry

# How long a thread of pure work may keep the interpreter from the loop that answers recipients (docs/decisions.md).
sys.setswitchinterval(0.001)
# What was imported stays: the collector need not look through it again and again while recipients wait.
gc.freeze()
logs.redact()
telemetry.start()

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for part in (recipients, withdrawal, health, mailbox, webapi, delivery, engagement, telling, templates, privacy):
    app.register_functions(part.blueprint)
