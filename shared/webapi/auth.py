"""Who asks: bearer tokens of Entra ID, verified here (signature, issuer, audience, lifetime, tenant, role).

Sources: Microsoft's "Access tokens", "Access token claims reference", "ID token claims reference" and "Claims
validation" pages, RFC 7519, RFC 8725 (algorithm confusion, substitution of tokens), RFC 6750.
Whoever has no valid token learns nothing (401 with an empty body); whoever has one of another tenant hears the same
whether an organization exists or not (403).
"""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import jwt

from shared.engagement.hits import client_address
from shared.engagement.plain_text import harmless
from shared.services.caller import ROLES, Caller
from shared.settings import Settings, settings
from shared.storage.account import session
from shared.storage.organizations import Organization
from shared.webapi.errors import Failure
from shared.webapi.http import Request
from shared.webapi.values import parse_guid

MAX_TOKEN = 16_384
"""Characters; an Entra token with hundreds of groups stays well below."""
LEEWAY = 60
"""Seconds that clocks may differ."""
_KEYS_LIFETIME = 24 * 3600.0
_REFETCH_AFTER = 60.0
_RETRY_AFTER = 5
_COMMON = "common"
SCOPE = "user_impersonation"
"""The delegated permission that a client asks for, named as Dataverse's (infra/scripts/entra-app.json)."""
_OF_ID_TOKENS = ("nonce", "at_hash", "c_hash")
"""Claims that Entra puts into ID tokens alone."""
_KEY_ID = re.compile(r"[A-Za-z0-9_\-=.]{1,256}")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a verified token says about a person: `user` is the object id; `address` the sign-in name, "" if unknown."""

    user: str
    tenant: str
    name: str
    address: str
    roles: frozenset[str]


@dataclass(slots=True)
class _Keys:
    """The signing keys of one authority, and when they were last asked for (monotonic seconds)."""

    keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    fetched: float = -_KEYS_LIFETIME
    tried: float = -_KEYS_LIFETIME


class _KeysUnavailable(Exception):
    """The signing keys cannot be fetched now."""


_known_keys: dict[str, _Keys] = {}
_fetching: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[None]] = {}


async def authenticate(request: Request, organization: Organization | None) -> tuple[Caller, Identity]:
    """Return who makes a request to `organization` (None: there is no such); raise `Failure` 401, 403 or 503."""
    configured = settings()
    tenant = organization.tenant if organization is not None else None
    token = _bearer(request.header("authorization"))
    if token is None:
        raise _unauthorized(configured, request.header("authorization"))
    try:
        identity = await verify(token, configured, tenant)
    except (jwt.PyJWTError, RecursionError):
        raise _unauthorized(configured, token) from None
    except _KeysUnavailable:
        raise Failure(
            503, "0x80044151", "Sign-in cannot be checked at the moment.", {"Retry-After": str(_RETRY_AFTER)}
        ) from None
    if identity.tenant != tenant:
        raise Failure(403, "0x80072560", "The user is not a member of the organization.")
    if not identity.roles:
        raise Failure(
            403,
            "0x80042f09",
            f"The user with id {identity.user} has no role here: one of {', '.join(sorted(ROLES))} is needed.",
        )
    address = client_address(request.header("x-forwarded-for"), configured.trusted_proxies)
    return Caller(identity.user, address, request.header("user-agent"), identity.roles), identity


async def verify(token: str, configured: Settings, tenant: str | None) -> Identity:
    """Return what a token says once it is proven; raise `jwt.PyJWTError` where it is not.

    Its own tenant's keys are used for `tenant`; any other token is checked against the keys that all tenants share,
    only to tell a stranger from a forger, so that nobody makes us fetch an address of their choosing.
    """
    header = jwt.get_unverified_header(token)
    key_id = header.get("kid")
    if header.get("alg") != "RS256" or not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise jwt.InvalidAlgorithmError("RS256 with a key id is needed")
    said = jwt.decode(token, options={"verify_signature": False})
    claimed = parse_guid(said["tid"]) if isinstance(said.get("tid"), str) else None
    if claimed is None:
        raise jwt.InvalidTokenError("no tenant")
    key = await _find_key(configured, tenant if claimed == tenant else _COMMON, key_id)
    claims = jwt.decode(
        token,
        key.key,
        algorithms=["RS256"],
        audience=list(configured.web_api_audience),
        leeway=LEEWAY,
        options={"require": ["exp", "nbf", "iss", "aud", "oid", "tid"]},
    )
    version = _issuers(configured, claimed).get(claims["iss"])
    if version is None or claims.get("ver") != version:
        raise jwt.InvalidIssuerError("foreign issuer")
    _demand_access_token(claims)
    return _identity(claims, claimed)


def _demand_access_token(claims: Mapping[str, Any]) -> None:
    """Raise `jwt.PyJWTError` where a token is none that was issued to call us with.

    An ID token is signed by the same key, names the same user with the same roles, and where client and Web API share
    an app registration it has our audience. It says who signed in and lets nobody do anything: ``scp`` is what a user
    let a client do, and only access tokens have it. A token without a user is known by ``idtyp`` "app", an optional
    claim that our registration asks for; where a registration does not, by its subject being the application's own
    object, while a user's subject is another one for each client.
    """
    if any(name in claims for name in _OF_ID_TOKENS):
        raise jwt.InvalidTokenError("an ID token")
    kind, scopes = claims.get("idtyp"), claims.get("scp")
    if scopes is not None:
        if kind not in (None, "user") or not isinstance(scopes, str) or SCOPE not in scopes.split():
            raise jwt.InvalidTokenError(f"without the scope {SCOPE}")
    elif kind != "app" and not (kind is None and claims.get("sub") == claims["oid"]):
        raise jwt.InvalidTokenError("neither a scope nor an application of its own")


def _identity(claims: Mapping[str, Any], tenant: str) -> Identity:
    user = parse_guid(claims["oid"]) if isinstance(claims["oid"], str) else None
    if user is None:
        raise jwt.InvalidTokenError("no object id")
    roles = claims.get("roles")
    names = (claims.get(name) for name in ("preferred_username", "upn", "unique_name"))
    address = next((name for name in names if isinstance(name, str) and name), "")
    name = claims.get("name")
    name = harmless(name) if isinstance(name, str) else ""
    return Identity(
        user,
        tenant,
        name[:160],
        harmless(address)[:100],
        ROLES & {role for role in roles if isinstance(role, str)} if isinstance(roles, list) else frozenset(),
    )


def _issuers(configured: Settings, tenant: str) -> dict[str, str]:
    """Return the versions of a tenant's tokens, as their ``ver`` says it, by issuer."""
    first = (
        f"{configured.microsoft365_url}/{tenant}/"
        if configured.microsoft365_url
        else f"https://sts.windows.net/{tenant}/"
    )
    return {first: "1.0", f"{configured.authority_url}/{tenant}/v2.0": "2.0"}


def _bearer(authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN:
        return None
    return token


def _unauthorized(configured: Settings, sent: str) -> Failure:
    """Return 401 with where to sign in and for what, as Dataverse writes it (addresses unquoted): Excel and Power BI
    look for ``authorization_uri``. `sent` is what the caller showed; who showed nothing made no error (RFC 6750, 3.1).
    """
    # The same for an organization that does not exist: the tenant is not told either.
    challenge = f"Bearer authorization_uri={configured.authority_url}/common/oauth2/authorize"
    if configured.web_api_audience:
        challenge += f", resource_id={configured.web_api_audience[0]}"
    if sent:
        challenge += ', error="invalid_token"'
    return Failure(401, "", "", {"WWW-Authenticate": challenge})


async def _find_key(configured: Settings, tenant: str, key_id: str) -> jwt.PyJWK:
    """Return a signing key; one that is not known makes the keys be fetched anew, at most once a minute."""
    url = f"{configured.authority_url}/{tenant}/discovery/v2.0/keys"
    kept = _known_keys.setdefault(url, _Keys())
    now = time.monotonic()
    unknown = key_id not in kept.keys
    if (unknown and now - kept.fetched >= _REFETCH_AFTER) or now - kept.fetched >= _KEYS_LIFETIME:
        await _fetch_once(url, kept)
    if key_id in kept.keys:
        return kept.keys[key_id]
    if time.monotonic() - kept.fetched >= _REFETCH_AFTER:
        raise _KeysUnavailable
    raise jwt.InvalidKeyError("unknown key")


async def _fetch_once(url: str, kept: _Keys) -> None:
    """Fetch the keys, one call for all who wait; after a failure not again for a few seconds."""
    if time.monotonic() - kept.tried < _RETRY_AFTER:
        return
    place = (asyncio.get_running_loop(), url)
    if place not in _fetching:
        _fetching[place] = asyncio.ensure_future(_fetch(url, kept))
        _fetching[place].add_done_callback(lambda _: _fetching.pop(place, None))
    await asyncio.shield(_fetching[place])


async def _fetch(url: str, kept: _Keys) -> None:
    import aiohttp

    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("signing keys come over https; plain http is for loopback only")
    try:
        async with session().get(url, timeout=aiohttp.ClientTimeout(total=5)) as response:
            if response.status != 200:
                raise _KeysUnavailable
            listed = (await response.json(content_type=None))["keys"]
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError, _KeysUnavailable):
        kept.tried = time.monotonic()
        return
    kept.keys = dict(filter(None, (_signing_key(item) for item in listed)))
    kept.fetched = time.monotonic()


def _signing_key(item: Any) -> tuple[str, jwt.PyJWK] | None:
    """Return a key of a JWKS that may sign with RS256; others, which we do not use, are passed over."""
    if not isinstance(item, dict) or item.get("kty") != "RSA" or item.get("use", "sig") != "sig":
        return None
    try:
        return str(item["kid"]), jwt.PyJWK(item, "RS256")
    except (KeyError, jwt.PyJWTError, ValueError, TypeError):
        return None


def forget_keys() -> None:
    """Drop the signing keys in memory, so that the next token fetches them."""
    _known_keys.clear()
