"""The addresses of Entra ID: token, discovery, keys."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from local.microsoft365 import issuer
from local.microsoft365.standin import standin_of

_PLACEHOLDERS = {"common": "{tenantid}", "organizations": "{tenantid}"}


async def issue(request: Request) -> Response:
    """POST /{tenant}/oauth2/v2.0/token."""
    standin = standin_of(request)
    async with request.form() as sent:
        form = {name: value for name, value in sent.items() if isinstance(value, str)}
    try:
        granted = issuer.grant(standin.signer, standin.base_url, request.path_params["tenant"], form)
    except issuer.TokenError as error:
        return _json(error.body(), 401 if error.error == "invalid_client" else 400)
    return _json(granted, headers={"Cache-Control": "no-store"})


async def describe_v2(request: Request) -> Response:
    """GET OpenID Connect discovery for tokens of version 2.0."""
    return _describe(request, "2.0")


async def describe_v1(request: Request) -> Response:
    """GET OpenID Connect discovery for tokens of version 1.0."""
    return _describe(request, "1.0")


async def list_keys(request: Request) -> Response:
    """GET the key set; it is the same for all tenants."""
    if _tenant_id(request) is None:
        return _unknown_tenant(request)
    return _json(issuer.key_set(standin_of(request).signer))


def _describe(request: Request, version: str) -> Response:
    tenant = _tenant_id(request)
    if tenant is None:
        return _unknown_tenant(request)
    described = issuer.metadata(standin_of(request).base_url, tenant, version)
    described["jwks_uri"] = described["jwks_uri"].replace("{tenantid}", "common")
    described["token_endpoint"] = described["token_endpoint"].replace("{tenantid}", "common")
    return _json(described)


def _tenant_id(request: Request) -> str | None:
    name = request.path_params["tenant"]
    tenant = issuer.find_tenant(name)
    return tenant.id if tenant else _PLACEHOLDERS.get(name)


def _unknown_tenant(request: Request) -> Response:
    error = issuer.TokenError("invalid_tenant", 90002, f"Tenant '{request.path_params['tenant']}' not found.")
    return _json(error.body(), 400)


def _json(body: Mapping[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")
