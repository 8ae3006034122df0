"""Bearer tokens, verified with keys served over real HTTP."""

import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.settings import settings
from shared.storage.account import close_session
from shared.storage.organizations import Organization
from shared.webapi import auth
from shared.webapi.errors import Failure
from shared.webapi.http import Request
from tests.entra import AUDIENCE, Issuer, issuing

TENANT, OTHER_TENANT, USER = (f"0b1d0b6e-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
ORGANIZATION = Organization("contoso", str(uuid.uuid4()), TENANT)


@pytest_asyncio.fixture(scope="module")
async def serving() -> AsyncIterator[Issuer]:
    with issuing() as issuer:
        yield issuer
    await close_session()


@pytest.fixture
def issuer(serving: Issuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """Return the issuer that the settings trust, with nothing known of its keys yet."""
    values = {
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "BASE_URL": "http://127.0.0.1:7071",
        "TOKEN_SECRETS": "1:" + base64.b64encode(bytes(32)).decode(),
        "WEB_API_AUDIENCE": f"{AUDIENCE},11111111-0000-4000-8000-000000000001",
        "TRUSTED_PROXIES": "",
        "MICROSOFT365_URL": serving.url,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    auth.forget_keys()
    serving.requests.clear()
    serving.status = 200
    serving.key_id = "key-1"
    yield serving
    settings.cache_clear()


def bearing(token: str) -> Request:
    return Request("GET", "/contoso/api/data/v9.2/WhoAmI", {"authorization": f"Bearer {token}"})


async def refusal(token: str, organization: Organization | None = ORGANIZATION) -> Failure:
    with pytest.raises(Failure) as raised:
        await auth.authenticate(bearing(token), organization)
    return raised.value


async def test_a_valid_token_tells_who_calls_from_where(issuer: Issuer) -> None:
    request = Request(
        "GET",
        "/",
        {
            "Authorization": f"bearer {issuer.token(TENANT, USER.upper(), roles=['Manager', 'Other'])}",
            "User-Agent": "tests",
            "X-Forwarded-For": "198.51.100.7, 203.0.113.9:4711",
        },
    )
    caller, identity = await auth.authenticate(request, ORGANIZATION)
    assert (caller.user, caller.address, caller.user_agent) == (USER, "203.0.113.9", "tests")
    assert caller.roles == {"Manager"}
    assert identity.address == "seller@contoso.example"


async def test_first_version_tokens_are_taken_too(issuer: Issuer) -> None:
    token = issuer.token(
        TENANT,
        USER,
        iss=f"{issuer.url}/{TENANT}/",
        aud="11111111-0000-4000-8000-000000000001",
        ver="1.0",
        preferred_username=None,
        upn="seller@contoso.example",
    )
    _, identity = await auth.authenticate(bearing(token), ORGANIZATION)
    assert identity.address == "seller@contoso.example"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": -61},
        {"exp": None},
        {"nbf": 120},
        {"aud": "https://graph.microsoft.com"},
        {"aud": None},
        {"iss": "https://evil.example/v2.0"},
        {"iss": None},
        {"oid": None},
        {"oid": "not-a-guid"},
        {"oid": ["a"]},
        {"tid": None},
        {"tid": "../common"},
        {"tid": 5},
        {"iss": f"https://sts.windows.net/{TENANT}/"},
    ],
    ids=str,
)
async def test_a_token_with_a_wrong_claim_gets_401(issuer: Issuer, claims: dict[str, Any]) -> None:
    now = int(time.time())
    timed = {name: now + value if name in ("exp", "nbf") and value else value for name, value in claims.items()}
    failure = await refusal(issuer.token(TENANT, USER, **timed))
    assert failure.status == 401


# Tokens that are not for calling us with

PAIRWISE = "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ"
OF_ID_TOKENS: dict[str, Any] = {"scp": None, "azp": None, "azpacr": None}
OF_APPLICATIONS: dict[str, Any] = {"scp": None, "sub": USER, "name": None, "preferred_username": None}


def of_first_version(issuer: Issuer) -> dict[str, Any]:
    return {"iss": f"{issuer.url}/{TENANT}/", "ver": "1.0", "azp": None, "azpacr": None, "appid": "a client"}


@pytest.mark.parametrize(
    "claims",
    [
        OF_ID_TOKENS,
        {**OF_ID_TOKENS, "nonce": "678910", "at_hash": "aGFzaA"},
        {**OF_ID_TOKENS, "sub": None},
        {"nonce": "678910"},
        {"at_hash": "aGFzaA"},
        {"c_hash": "aGFzaA"},
        {"scp": ""},
        {"scp": "openid profile email"},
        {"scp": "User.Read Mail.Send"},
        {"scp": "user_impersonation.all not_user_impersonation"},
        {"scp": ["user_impersonation"]},
        {"scp": True},
        {"idtyp": "app"},
        {"idtyp": "device"},
        {**OF_APPLICATIONS, "idtyp": "device"},
        {**OF_APPLICATIONS, "idtyp": "user"},
        {**OF_APPLICATIONS, "idtyp": ["app"]},
        {**OF_APPLICATIONS, "sub": PAIRWISE},
        {**OF_APPLICATIONS, "sub": None},
        {"ver": None},
        {"ver": 2.0},
        {"ver": "3.0"},
    ],
    ids=str,
)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
async def test_a_token_of_another_kind_gets_401_though_all_else_is_right(
    issuer: Issuer, claims: dict[str, Any], version: str
) -> None:
    of_version = of_first_version(issuer) if version == "1.0" else {}
    failure = await refusal(issuer.token(TENANT, USER, **{**of_version, **claims}))
    assert failure.status == 401
    assert 'error="invalid_token"' in failure.headers["WWW-Authenticate"]


async def test_a_token_whose_version_is_not_its_issuers_gets_401(issuer: Issuer) -> None:
    assert (await refusal(issuer.token(TENANT, USER, ver="1.0"))).status == 401
    assert (await refusal(issuer.token(TENANT, USER, **{**of_first_version(issuer), "ver": "2.0"}))).status == 401


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"idtyp": "user"},
        {"scp": "Mail.Read user_impersonation"},
        {**OF_APPLICATIONS, "idtyp": "app"},
        {**OF_APPLICATIONS, "idtyp": "app", "sub": PAIRWISE},
        OF_APPLICATIONS,
    ],
    ids=str,
)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
async def test_tokens_of_users_and_of_applications_are_taken(
    issuer: Issuer, claims: dict[str, Any], version: str
) -> None:
    of_version = of_first_version(issuer) if version == "1.0" else {}
    caller, _ = await auth.authenticate(bearing(issuer.token(TENANT, USER, **of_version, **claims)), ORGANIZATION)
    assert caller.user == USER


async def test_401_has_an_empty_body_and_says_how_to_sign_in(issuer: Issuer) -> None:
    from shared.webapi.errors import error_response

    failure = await refusal("nonsense")
    response = error_response(failure)
    assert (response.status, response.body) == (401, b"")
    assert response.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


async def test_clocks_may_differ_by_a_minute(issuer: Issuer) -> None:
    await auth.authenticate(bearing(issuer.token(TENANT, USER, exp=int(time.time()) - 30)), ORGANIZATION)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer a.b", "Bearer a.b.c"])
async def test_no_token_gets_401(issuer: Issuer, authorization: str) -> None:
    with pytest.raises(Failure) as raised:
        await auth.authenticate(Request("GET", "/", {"Authorization": authorization}), ORGANIZATION)
    assert raised.value.status == 401
    assert issuer.requests == []


async def test_a_token_signed_by_another_key_of_the_same_name_gets_401(issuer: Issuer) -> None:
    forger = Issuer(url=issuer.url, key=rsa.generate_private_key(65537, 2048), key_id=issuer.key_id)
    assert (await refusal(forger.token(TENANT, USER))).status == 401


async def test_a_token_whose_claims_were_changed_gets_401(issuer: Issuer) -> None:
    head, body, signature = issuer.token(TENANT, USER).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["roles"] = ["Administrator"]
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    assert (await refusal(f"{head}.{changed}.{signature}")).status == 401


async def test_an_unsigned_token_gets_401(issuer: Issuer) -> None:
    claims = jwt.decode(issuer.token(TENANT, USER), options={"verify_signature": False})
    unsigned = jwt.encode(claims, "", "none", headers={"kid": issuer.key_id})
    assert (await refusal(unsigned)).status == 401


async def test_the_public_key_used_as_a_shared_secret_gets_401(issuer: Issuer) -> None:
    import hashlib
    import hmac

    def encoded(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    claims = jwt.decode(issuer.token(TENANT, USER), options={"verify_signature": False})
    signed = (
        f"{encoded(json.dumps({'alg': 'HS256', 'kid': issuer.key_id}).encode())}.{encoded(json.dumps(claims).encode())}"
    )
    secret = issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    tag = hmac.digest(secret, signed.encode(), hashlib.sha256)
    assert (await refusal(f"{signed}.{encoded(tag)}")).status == 401


async def test_a_token_of_nothing_but_brackets_gets_401(issuer: Issuer) -> None:
    head = issuer.token(TENANT, USER).split(".")[0]
    nested = base64.urlsafe_b64encode(b"[" * 9000).decode()
    assert (await refusal(f"{head}.{nested}.AAAA")).status == 401


async def test_a_huge_token_gets_401_without_being_looked_at(issuer: Issuer) -> None:
    assert (await refusal(issuer.token(TENANT, USER, filler="x" * 20_000))).status == 401
    assert issuer.requests == []


async def test_a_valid_token_of_another_tenant_gets_403(issuer: Issuer) -> None:
    failure = await refusal(issuer.token(OTHER_TENANT, USER))
    assert (failure.status, failure.code) == (403, "0x80072560")


async def test_an_organization_that_does_not_exist_answers_like_a_foreign_one(issuer: Issuer) -> None:
    foreign = await refusal(issuer.token(OTHER_TENANT, USER))
    unknown = await refusal(issuer.token(TENANT, USER), None)
    assert (unknown.status, unknown.code, unknown.message) == (foreign.status, foreign.code, foreign.message)
    assert (await refusal("nonsense", None)).headers == (await refusal("nonsense")).headers


@pytest.mark.parametrize("roles", [[], ["Reader"], "Seller", None, {"Seller": 1}], ids=str)
async def test_a_valid_token_without_a_role_gets_403(issuer: Issuer, roles: Any) -> None:
    claims = {"roles": roles}
    failure = await refusal(issuer.token(TENANT, USER, **{"roles": [], **({} if roles is None else claims)}))
    assert failure.status == 403
    assert "Seller" in failure.message


async def test_keys_are_fetched_once_for_many_tokens(issuer: Issuer) -> None:
    import asyncio

    token = issuer.token(TENANT, USER)
    await asyncio.gather(*(auth.authenticate(bearing(token), ORGANIZATION) for _ in range(20)))
    assert issuer.requests == [f"/{TENANT}/discovery/v2.0/keys"]


async def test_unknown_key_ids_do_not_make_keys_be_fetched_again_and_again(issuer: Issuer) -> None:
    await auth.authenticate(bearing(issuer.token(TENANT, USER)), ORGANIZATION)
    issuer.key_id = "key-2"
    for _ in range(3):
        assert (await refusal(issuer.token(TENANT, USER))).status == 401
    assert len(issuer.requests) == 1


async def test_a_rotated_key_is_found_a_minute_later(issuer: Issuer) -> None:
    await auth.authenticate(bearing(issuer.token(TENANT, USER)), ORGANIZATION)
    issuer.key_id = "key-2"
    for kept in auth._known_keys.values():
        kept.fetched -= 61
    caller, _ = await auth.authenticate(bearing(issuer.token(TENANT, USER)), ORGANIZATION)
    assert caller.user == USER
    assert len(issuer.requests) == 2


async def test_keys_that_cannot_be_fetched_are_our_fault_and_not_the_callers(issuer: Issuer) -> None:
    issuer.status = 500
    failure = await refusal(issuer.token(TENANT, USER))
    assert failure.status == 503
    assert int(failure.headers["Retry-After"]) > 0


async def test_known_keys_serve_while_the_authority_is_down(issuer: Issuer) -> None:
    token = issuer.token(TENANT, USER)
    await auth.authenticate(bearing(token), ORGANIZATION)
    issuer.status = 500
    for kept in auth._known_keys.values():
        kept.fetched -= 25 * 3600
    await auth.authenticate(bearing(token), ORGANIZATION)


async def test_a_foreign_tenant_never_chooses_what_we_fetch(issuer: Issuer) -> None:
    await refusal(issuer.token(OTHER_TENANT, USER))
    await refusal(issuer.token(str(uuid.uuid4()), USER))
    assert issuer.requests == ["/common/discovery/v2.0/keys"]


async def test_keys_come_over_plain_http_on_loopback_only(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROSOFT365_URL", "http://login.example.com")
    settings.cache_clear()
    with pytest.raises(ValueError, match="loopback"):
        await auth.authenticate(bearing(issuer.token(TENANT, USER)), ORGANIZATION)
