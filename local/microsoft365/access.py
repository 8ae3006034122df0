"""Who calls Graph, and whose mailbox or drive the call is about."""

import re
from typing import Any

import jwt
import orjson
from starlette.requests import Request

from local.directory import Person, Tenant
from local.microsoft365.errors import GraphError, bad_request, drive_item_not_found
from local.microsoft365.ids import drive_id
from local.microsoft365.issuer import verify_graph_token
from local.microsoft365.standin import StandIn, standin_of
from local.microsoft365.store import is_on


def authenticate(standin: StandIn, authorization: str) -> Tenant:
    """Return the tenant of the caller's app-only bearer token; raise GraphError (401, or 403 without a role)."""
    scheme, _, token = authorization.partition(" ")
    if scheme.casefold() != "bearer" or not token.strip():
        raise GraphError(401, "InvalidAuthenticationToken", "Access token is empty.")
    try:
        tenant, roles = verify_graph_token(standin.signer, token.strip())
    except jwt.ExpiredSignatureError:
        raise GraphError(
            401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."
        ) from None
    except jwt.InvalidTokenError as error:
        raise GraphError(401, "InvalidAuthenticationToken", f"Access token validation failure. {error}") from None
    if not roles:
        raise GraphError(403, "ErrorAccessDenied", "Access is denied. No administrator has consented to a permission.")
    return tenant


def tenant_of(request: Request) -> Tenant:
    """Return the tenant that the caller's token is for."""
    tenant: Tenant = request.state.tenant
    return tenant


def user_of(request: Request) -> Person:
    """Return the user that `/users/{user}` names by object id or user principal name; raise GraphError (404)."""
    return find_user(tenant_of(request), request.path_params["user"])


def mailbox_of(request: Request) -> Person:
    """Return the user whose mailbox is meant; raise GraphError (404) for one that has none."""
    user = user_of(request)
    if not is_on(standin_of(request).db, f"mailbox {user.address}"):
        raise GraphError(
            404,
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
        )
    return user


def drive_owner_of(request: Request) -> Person:
    """Return the owner of the drive that `/users/{user}/drive` or `/drives/{drive}` names; raise GraphError (404)."""
    if "user" in request.path_params:
        return user_of(request)
    for person in tenant_of(request).people:
        if drive_id(person.address) == request.path_params["drive"]:
            return person
    raise drive_item_not_found()


def find_user(tenant: Tenant, name: str) -> Person:
    """Return a tenant's user by object id or user principal name; raise GraphError (404)."""
    for person in tenant.people:
        if name.casefold() in {person.id, person.address}:
            return person
    raise GraphError(404, "ErrorInvalidUser", f"The requested user '{name}' is invalid.")


def wants_immutable_ids(request: Request) -> bool:
    """Return whether the caller asked for immutable ids."""
    return re.search(r'IdType\s*=\s*"?ImmutableId"?', request.headers.get("prefer", ""), re.IGNORECASE) is not None


async def json_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request; raise GraphError (400) when there is something else."""
    data = await request.body()
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"Unable to read JSON request payload: {error}.") from None
    if not isinstance(value, dict):
        raise bad_request("Unable to read JSON request payload: an object is needed.")
    return value
