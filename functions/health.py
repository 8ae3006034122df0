"""Whether this process lives, and whether the deployment is ready."""

import azure.functions as func

blueprint = func.Blueprint()

_METHODS = ["GET", "HEAD"]
_HEADERS = {"Cache-Control": "no-store"}


@blueprint.route("health", methods=_METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the worker passes it by name
    """Live: answer 200 as soon as the app is loaded and its settings are right."""
    from shared.settings import settings
    from shared.storage.account import host_account

    settings()
    host_account()
    return func.HttpResponse("healthy", mimetype="text/plain", headers=_HEADERS)


@blueprint.route("health/ready", methods=_METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def ready(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the worker passes it by name
    """Ready: answer 200, or 503 and which part fails and what to do, in JSON."""
    import orjson

    from shared.services.watching import readiness

    found = await readiness()
    body = orjson.dumps({"ready": found.ready, "checks": found.checks})
    status = 200 if found.ready else 503
    return func.HttpResponse(body, status_code=status, mimetype="application/json", headers=_HEADERS)
