"""The Dataverse Web API of every organization; the service itself verifies the bearer token that a request brings."""

import asyncio
import importlib
from typing import Any

import azure.functions as func

blueprint = func.Blueprint()

_service: Any = None


@blueprint.route(
    "{organization}/api/data/{version}/{*path}",
    trigger_arg_name="request",
    methods=["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"],
    auth_level=func.AuthLevel.ANONYMOUS,
)
async def web_api(request: func.HttpRequest) -> func.HttpResponse:
    """Answer one request in Dataverse's dialect."""
    service = await _loaded()
    response = await service.handle(
        service.Request(request.method, request.url, dict(request.headers), request.get_body())
    )
    return func.HttpResponse(response.body, status_code=response.status, headers=dict(response.headers))


async def _loaded() -> Any:
    """Return the module that answers. Importing it takes a third of a second: in a thread, so no recipient waits."""
    global _service
    if _service is None:
        _service = await asyncio.to_thread(importlib.import_module, "shared.webapi.service")
    return _service
