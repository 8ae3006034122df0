"""Entra ID in small: tokens of the shape Entra ID issues, and the documents needed to verify them.

Claims: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference. Secrets and passwords are not
checked, because this issuer is trusted by nothing but a local run.
"""

import base64
import hashlib
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local.directory import TENANTS, WEB_API_AUDIENCE, Person, Tenant, find_person
from local.microsoft365.ids import new_guid, new_secret
from local.microsoft365.times import now, stamp

GRAPH_AUDIENCE = "https://graph.microsoft.com"
GRAPH_ROLES = ("Files.ReadWrite.All", "Mail.ReadWrite", "Mail.Send", "User.Read.All")
LIFETIME = 3600
_LOOPBACK = ("http://127.0.0.1", "http://localhost")


@dataclass(frozen=True, slots=True)
class Signer:
    """The key that signs tokens and the id under which its public half is published."""

    key: rsa.RSAPrivateKey
    kid: str


class TokenError(Exception):
    """A token request that is refused: the OAuth error (RFC 6749 section 5.2), Entra's number for it, and a message."""

    def __init__(self, error: str, number: int, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.number = number
        self.message = message

    def body(self) -> dict[str, Any]:
        """Return the body Entra ID sends."""
        return {
            "error": self.error,
            "error_description": f"AADSTS{self.number}: {self.message}",
            "error_codes": [self.number],
            "timestamp": stamp(now()),
            "trace_id": new_guid(),
            "correlation_id": new_guid(),
        }


def load_signer(path: Path) -> Signer:
    """Load the signing key, making one (mode 0600) the first time, so that tokens survive a restart."""
    if not path.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        unfinished = path.with_suffix(f".{secrets.token_hex(4)}")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        unfinished.rename(path)
    loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise TypeError(f"{path} does not hold an RSA key; delete it and a new one is made")
    public = loaded.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    kid = base64.urlsafe_b64encode(hashlib.sha256(public).digest()[:20]).decode("ascii").rstrip("=")
    return Signer(loaded, kid)


def find_tenant(name: str) -> Tenant | None:
    """Return the tenant with this id, organization name or mail domain (any case), or None."""
    wanted = name.casefold()
    for tenant in TENANTS:
        domains = {person.address.partition("@")[2] for person in tenant.people}
        if wanted in {tenant.id, tenant.organization, f"{tenant.organization}.onmicrosoft.com"} | domains:
            return tenant
    return None


def key_set(signer: Signer) -> dict[str, Any]:
    """Return the JSON Web Key Set (RFC 7517) that verifies our tokens."""
    numbers = signer.key.public_key().public_numbers()
    return {
        "keys": [{"kty": "RSA", "use": "sig", "kid": signer.kid, "n": _unsigned(numbers.n), "e": _unsigned(numbers.e)}]
    }


def metadata(base_url: str, tenant: str, version: str) -> dict[str, Any]:
    """Return OpenID Connect discovery for a tenant id (or Entra's placeholder) and token version "1.0" or "2.0"."""
    issuer = f"{base_url}/{tenant}/v2.0" if version == "2.0" else f"{base_url}/{tenant}/"
    path = "discovery/v2.0/keys" if version == "2.0" else "discovery/keys"
    return {
        "issuer": issuer,
        "token_endpoint": f"{base_url}/{tenant}/oauth2/v2.0/token",
        "authorization_endpoint": f"{base_url}/{tenant}/oauth2/v2.0/authorize",
        "jwks_uri": f"{base_url}/{tenant}/{path}",
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": [
            "sub",
            "iss",
            "aud",
            "exp",
            "iat",
            "nbf",
            "tid",
            "oid",
            "ver",
            "preferred_username",
            "name",
        ],
    }


def grant(signer: Signer, base_url: str, tenant_name: str, form: dict[str, str]) -> dict[str, Any]:
    """Answer a token request with Entra's token response.

    Grants: `client_credentials` (an app-only token) and `password` (a user's token, and with the scope ``openid`` an ID
    token for the client beside it). Beyond Entra's parameters a local run may ask for `ver` "1.0", another life time in
    seconds (`expires_in`, negative for an expired token) and other app roles (`roles`, a comma list, empty for none).
    Raises TokenError.
    """
    client = form.get("client_id", "").strip()
    if not client:
        raise TokenError(
            "invalid_request", 900144, "The request body must contain the following parameter: 'client_id'."
        )
    audience = _audience(form.get("scope", ""))
    match form.get("grant_type"):
        case "client_credentials":
            tenant = _tenant(tenant_name)
            if not (form.get("client_secret") or form.get("client_assertion")):
                raise TokenError(
                    "invalid_client", 7000218, "The request must contain 'client_assertion' or 'client_secret'."
                )
            claims = _application_claims(tenant, client, audience)
        case "password":
            tenant, person = _user(tenant_name, form.get("username", ""))
            claims = _user_claims(person, client, audience)
        case None | "":
            raise TokenError("invalid_request", 900144, "The request body must contain the parameter 'grant_type'.")
        case other:
            raise TokenError("unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{other}'.")
    lifetime = _lifetime(form.get("expires_in"))
    if "roles" in form:
        claims["roles"] = [role.strip() for role in form["roles"].split(",") if role.strip()]
    if not claims["roles"]:
        del claims["roles"]
    version = form.get("ver", "2.0")
    token = _sign(signer, base_url, tenant, version, audience, lifetime, claims)
    granted: dict[str, Any] = {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime}
    granted["access_token"] = token
    if "scp" in claims and "openid" in form.get("scope", "").split():
        granted["id_token"] = _id_token(signer, token, client)
    return granted


def verify_graph_token(signer: Signer, token: str) -> tuple[Tenant, list[str]]:
    """Return the tenant and app roles of a valid app-only token for Graph; raise jwt.InvalidTokenError otherwise."""
    claims = jwt.decode(token, signer.key.public_key(), algorithms=["RS256"], audience=GRAPH_AUDIENCE)
    tenant = find_tenant(str(claims.get("tid")))
    if tenant is None or claims.get("idtyp") != "app":
        raise jwt.InvalidTokenError("an app-only token of a known tenant is needed")
    return tenant, list(claims.get("roles", []))


def application_of(token: str) -> str:
    """Return the client id in a token that has been verified."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return str(claims.get("azp") or claims.get("appid"))


def _unsigned(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _audience(scope: str) -> str:
    resources = [part for part in scope.split() if part not in {"openid", "profile", "email", "offline_access"}]
    if not resources:
        raise TokenError("invalid_request", 900144, "The request body must contain the following parameter: 'scope'.")
    resource = resources[0].rpartition("/")[0]
    if resource.rstrip("/") == GRAPH_AUDIENCE:
        return GRAPH_AUDIENCE
    # Dataverse clients ask for a scope of the address they call, which in a local run is a loopback address.
    if resource.rstrip("/") == WEB_API_AUDIENCE or resource.startswith(_LOOPBACK):
        return WEB_API_AUDIENCE
    raise TokenError(
        "invalid_resource",
        500011,
        f"The resource principal named {resource} was not found; here are {GRAPH_AUDIENCE} and {WEB_API_AUDIENCE}.",
    )


def _tenant(name: str) -> Tenant:
    tenant = find_tenant(name)
    if tenant is None:
        known = ", ".join(known.organization for known in TENANTS)
        raise TokenError("invalid_request", 90002, f"Tenant '{name}' not found; known here: {known}.")
    return tenant


def _user(tenant_name: str, username: str) -> tuple[Tenant, Person]:
    found = find_person(username)
    anywhere = tenant_name in {"common", "organizations"}
    if found is None or not (anywhere or found[0] == _tenant(tenant_name)):
        raise TokenError(
            "invalid_grant", 50034, f"The user account {username} does not exist in the {tenant_name} directory."
        )
    return found


def _lifetime(text: str | None) -> int:
    if not text:
        return LIFETIME
    if re.fullmatch(r"-?[0-9]{1,9}", text) is None:
        raise TokenError("invalid_request", 90014, f"'expires_in' must be whole seconds, not '{text}'.")
    return int(text)


def _application_claims(tenant: Tenant, client: str, audience: str) -> dict[str, Any]:
    digest = bytearray(hashlib.sha256(f"{tenant.id}/{client}".encode()).digest()[:16])
    subject = f"{digest[:4].hex()}-{digest[4:6].hex()}-{digest[6:8].hex()}-{digest[8:10].hex()}-{digest[10:].hex()}"
    roles = list(GRAPH_ROLES) if audience == GRAPH_AUDIENCE else []
    return {"oid": subject, "sub": subject, "client": client, "idtyp": "app", "roles": roles}


def _user_claims(person: Person, client: str, audience: str) -> dict[str, Any]:
    pairwise = hashlib.sha256(f"{person.id}/{audience}".encode()).digest()
    return {
        "oid": person.id,
        "sub": base64.urlsafe_b64encode(pairwise).decode("ascii").rstrip("="),
        "client": client,
        "name": person.name,
        "preferred_username": person.address,
        "scp": "user_impersonation",
        "roles": list(person.roles),
    }


def _id_token(signer: Signer, access_token: str, client: str) -> str:
    """Return the ID token that goes with a user's access token: who signed in, for the client alone
    (learn.microsoft.com/entra/identity-platform/id-token-claims-reference)."""
    claims = jwt.decode(access_token, options={"verify_signature": False})
    of_access = ("scp", "azp", "azpacr", "appid", "appidacr")
    said = {name: value for name, value in claims.items() if name not in of_access}
    half = hashlib.sha256(access_token.encode("ascii")).digest()[:16]
    said |= {"aud": client, "at_hash": base64.urlsafe_b64encode(half).decode("ascii").rstrip("=")}
    return jwt.encode(said, signer.key, algorithm="RS256", headers={"kid": signer.kid})


def _sign(
    signer: Signer, base_url: str, tenant: Tenant, version: str, audience: str, lifetime: int, claims: dict[str, Any]
) -> str:
    issued = int(time.time()) + min(0, lifetime) - (300 if lifetime <= 0 else 0)
    client = claims.pop("client")
    common = {
        "aud": audience,
        "iat": issued,
        "nbf": issued,
        "exp": int(time.time()) + lifetime,
        "tid": tenant.id,
        "uti": new_secret(),
        **claims,
    }
    if version == "2.0":
        common |= {"iss": f"{base_url}/{tenant.id}/v2.0", "azp": client, "azpacr": "1", "ver": "2.0"}
    elif version == "1.0":
        common |= {"iss": f"{base_url}/{tenant.id}/", "appid": client, "appidacr": "1", "ver": "1.0"}
        if "preferred_username" in common:
            username = common.pop("preferred_username")
            common |= {"upn": username, "unique_name": username}
    else:
        raise TokenError("invalid_request", 90014, f"'ver' must be 1.0 or 2.0, not '{version}'.")
    return jwt.encode(common, signer.key, algorithm="RS256", headers={"kid": signer.kid})
