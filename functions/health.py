"""Whether this process answers."""

import azure.functions as func

blueprint = func.Blueprint()


@blueprint.route("health", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the worker passes it by name
    """Answer 200 as soon as the app is loaded and its settings are right."""
    from shared.settings import settings

    settings()
    return func.HttpResponse("healthy", mimetype="text/plain", headers={"Cache-Control": "no-store"})
