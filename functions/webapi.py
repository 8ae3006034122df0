"""The Dataverse Web API of every organization; the service itself verifies the bearer token that a request brings."""

import azure.functions as func

blueprint = func.Blueprint()


@blueprint.route(
    "{organization}/api/data/{version}/{*path}",
    trigger_arg_name="request",
    methods=["GET", "POST", "PATCH", "PUT", "DELETE"],
    auth_level=func.AuthLevel.ANONYMOUS,
)
async def web_api(request: func.HttpRequest) -> func.HttpResponse:
    """Answer one request in Dataverse's dialect."""
    from shared.webapi.http import Request
    from shared.webapi.service import handle

    response = await handle(Request(request.method, request.url, dict(request.headers), request.get_body()))
    return func.HttpResponse(response.body, status_code=response.status, headers=dict(response.headers))
