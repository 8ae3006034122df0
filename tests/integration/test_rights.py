"""Who may do what, tried from outside: over HTTP, on a host of the whole app, with good tokens and bad ones."""

import base64
import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.storage.organizations import Organization
from tests.entra import AUDIENCE, Issuer, issuing
from tests.hosts import hosts
from tests.organizations import an_organization

INSIDES = re.compile(r"Traceback|AccountKey|devstoreaccount|PartitionKey|\.py\b|eyJ|127\.0\.0\.1|@contoso\.example")
ORIGIN = "https://crm.contoso.example"


@dataclass
class World:
    """A running service, the issuer that it trusts, and two organizations of different tenants."""

    url: str
    issuer: Issuer
    contoso: Organization
    fabrikam: Organization

    def base(self, organization: str = "") -> str:
        return f"{self.url}/{organization or self.contoso.name}/api/data/v9.2"

    def token(self, **claims: Any) -> str:
        """Return a token of a seller of contoso, changed by `claims`."""
        tenant = claims.pop("tenant", self.contoso.tenant)
        return self.issuer.token(tenant, claims.pop("user", str(uuid.uuid4())), **claims)

    def ask(self, authorization: str, organization: str = "", **headers: str) -> httpx.Response:
        sent = {**headers, **({"Authorization": authorization} if authorization else {})}
        return httpx.get(f"{self.base(organization)}/contacts", headers=sent, timeout=30)

    def person(self, role: str, organization: Organization | None = None) -> "Person":
        """Return somebody new, with a role in an organization."""
        where, user = organization or self.contoso, str(uuid.uuid4())
        token = self.issuer.token(where.tenant, user, roles=[role])
        client = httpx.Client(
            base_url=f"{self.base(where.name)}/", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        return Person(user, client)


@dataclass
class Person:
    """Somebody who is signed in."""

    user: str
    client: httpx.Client

    def try_(self, method: str, path: str, body: Any = None, **headers: str) -> int:
        """Make a request and return its status; an error tells nothing of our insides."""
        answer = self.client.request(method, path, json=body, headers=headers)
        if answer.status_code >= 400:
            assert set(answer.json()["error"]) == {"code", "message"}
            assert not INSIDES.search(answer.text), answer.text
        return answer.status_code

    def make(self, path: str, **columns: Any) -> str:
        answer = self.client.post(path, json=columns)
        assert answer.status_code == 204, answer.text
        return answer.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")


@pytest_asyncio.fixture(scope="module")
async def world(configured: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    with issuing() as issuer:
        directory = tmp_path_factory.mktemp("rights")
        async with an_organization() as contoso, an_organization() as fabrikam:
            with hosts(1, directory, MICROSOFT365_URL=issuer.url) as (host,):
                yield World(host.url, issuer, contoso, fabrikam)


@pytest.fixture
def seller(world: World) -> Iterator[Person]:
    person = world.person("Seller")
    with person.client:
        yield person


@pytest.fixture
def other(world: World) -> Iterator[Person]:
    person = world.person("Seller")
    with person.client:
        yield person


@pytest.fixture
def manager(world: World) -> Iterator[Person]:
    person = world.person("Manager")
    with person.client:
        yield person


@pytest.fixture
def administrator(world: World) -> Iterator[Person]:
    person = world.person("Administrator")
    with person.client:
        yield person


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def unsigned(world: World, algorithm: str = "none") -> str:
    return f"{part({'alg': algorithm, 'kid': world.issuer.key_id})}.{part(claims_of(world.token()))}."


def signed_with_the_public_key(world: World) -> str:
    head = unsigned(world, "HS256").rstrip(".")
    public = world.issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return f"{head}.{part(hmac.digest(public, head.encode(), hashlib.sha256))}"


def signed_by_a_stranger(world: World) -> str:
    forger = Issuer(url=world.issuer.url, key=rsa.generate_private_key(65537, 2048), key_id=world.issuer.key_id)
    return forger.token(world.contoso.tenant, str(uuid.uuid4()))


def signed_by_a_key_that_it_brings(world: World) -> str:
    stranger = Issuer(url=world.issuer.url, key_id=world.issuer.key_id)
    headers = {"kid": world.issuer.key_id, "jwk": stranger.jwks()["keys"][0], "jku": "https://evil.example/keys"}
    return jwt.encode(claims_of(world.token()), stranger.key, "RS256", headers=headers)


def promoted(world: World) -> str:
    head, _, signature = world.token().split(".")
    return f"{head}.{part({**claims_of(world.token()), 'roles': ['Administrator']})}.{signature}"


BAD_TOKENS: dict[str, Any] = {
    "unsigned": unsigned,
    "unsigned in capitals": lambda world: unsigned(world, "NONE"),
    "signed with the public key": signed_with_the_public_key,
    "signed by a stranger": signed_by_a_stranger,
    "signed by a key that it brings": signed_by_a_key_that_it_brings,
    "its role changed": promoted,
    "its signature cut": lambda world: world.token().rpartition(".")[0] + ".",
    "expired": lambda world: world.token(exp=int(time.time()) - 61),
    "without an end": lambda world: world.token(exp=None),
    "not yet valid": lambda world: world.token(nbf=int(time.time()) + 3600),
    "for another audience": lambda world: world.token(aud="https://graph.microsoft.com"),
    "of another issuer": lambda world: world.token(iss=f"https://evil.example/{world.contoso.tenant}/v2.0"),
    "of an issuer of another tenant": lambda world: world.token(iss=f"{world.issuer.url}/{world.fabrikam.tenant}/v2.0"),
    "no token": lambda _: "nonsense",
    "two dots": lambda _: "..",
    "not ASCII": lambda _: "\xe9\xff",
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_bad_token_gets_an_empty_401_that_says_where_to_sign_in(world: World, name: str) -> None:
    token = BAD_TOKENS[name](world)
    for organization in (world.contoso.name, "nosuchorganization"):
        headers = {b"Authorization": b"Bearer " + token.encode("latin-1")}
        answer = httpx.get(f"{world.base(organization)}/contacts", headers=headers)
        assert (answer.status_code, answer.content) == (401, b"")
        assert answer.headers["OData-Version"] == "4.0"
        assert answer.headers["WWW-Authenticate"] == (
            f"Bearer authorization_uri={world.issuer.url}/common/oauth2/authorize, resource_id={AUDIENCE}, "
            'error="invalid_token"'
        )


@pytest.mark.parametrize("authorization", ["", "Bearer", "Basic dXNlcjpwYXNz", "Negotiate abc", "token"])
def test_no_bearer_token_gets_an_empty_401(world: World, authorization: str) -> None:
    for organization in (world.contoso.name, "nosuchorganization", "xy", "NoSuch%00"):
        answer = world.ask(authorization, organization)
        assert (answer.status_code, answer.content) == (401, b"")
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith(
            f"Bearer authorization_uri={world.issuer.url}/common/oauth2/authorize, resource_id="
        )
        assert ("error=" in challenge) == bool(authorization), "who showed nothing made no error"


def test_a_foreign_tenant_hears_the_same_of_every_organization(world: World) -> None:
    strangers = [world.token(tenant=world.fabrikam.tenant), world.token(tenant=str(uuid.uuid4()))]
    answers = [
        world.ask(f"Bearer {token}", organization)
        for token in strangers
        for organization in (world.contoso.name, "nosuchorganization")
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.content for answer in answers}) == 1
    own_headers = {"date", "x-ms-service-request-id"}
    told = [{name: value for name, value in answer.headers.items() if name not in own_headers} for answer in answers]
    assert all(headers == told[0] for headers in told)


@pytest.mark.parametrize("roles", [[], ["Reader"], ["seller"]], ids=str)
def test_a_token_without_a_role_gets_403(world: World, roles: list[str]) -> None:
    answer = world.ask(f"Bearer {world.token(roles=roles)}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "0x80042f09")
    assert not INSIDES.search(answer.text)


def test_a_seller_reads_all_and_writes_their_own(seller: Person, other: Person) -> None:
    theirs = other.make("contacts", lastname="Theirs")
    email = other.make("emails", subject="Theirs")
    for path in (f"contacts({theirs})", f"emails({email})", "emails", "systemusers", "organizations"):
        assert seller.try_("GET", path) == 200
    own = seller.make("contacts", lastname="Mine")
    assert seller.try_("PATCH", f"contacts({own})", {"lastname": "Changed"}) == 204
    assert seller.try_("DELETE", f"contacts({own})") == 204


def test_a_seller_changes_nothing_of_another(seller: Person, other: Person) -> None:
    theirs = other.make("contacts", lastname="Theirs")
    sender = {"partyid_systemuser@odata.bind": f"/systemusers({other.user})", "participationtypemask": 1}
    email = other.make("emails", subject="Theirs", email_activity_parties=[sender])
    file = {"objectid_email@odata.bind": f"/emails({email})", "filename": "a.txt", "body": "YQ=="}
    attachment = other.make("activitymimeattachments", **file)
    for method, path, body in [
        ("PATCH", f"contacts({theirs})", {"lastname": "Mine"}),
        ("PUT", f"contacts({theirs})/lastname", {"value": "Mine"}),
        ("DELETE", f"contacts({theirs})/lastname", None),
        ("DELETE", f"contacts({theirs})", None),
        ("PATCH", f"contacts({theirs})", {"ownerid@odata.bind": f"/systemusers({seller.user})"}),
        ("PUT", f"contacts({theirs})/ownerid/$ref", {"@odata.id": f"systemusers({seller.user})"}),
        ("PATCH", f"emails({email})", {"subject": "Mine"}),
        ("DELETE", f"emails({email})", None),
        ("POST", f"emails({email})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True}),
        ("POST", f"emails({email})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": False}),
        ("POST", "activitymimeattachments", file),
        ("PATCH", f"activitymimeattachments({attachment})", {"filename": "b.txt"}),
        ("DELETE", f"activitymimeattachments({attachment})", None),
        ("POST", "FollowEmailAttachment", {"ActivityMimeAttachmentId": attachment}),
        ("POST", "UnfollowEmailAttachment", {"ActivityMimeAttachmentId": attachment}),
    ]:
        assert seller.try_(method, path, body) == 403, (method, path)
    assert other.client.get(f"contacts({theirs})").json()["lastname"] == "Theirs"
    assert other.client.get(f"emails({email})").json()["subject"] == "Theirs"


def test_a_seller_makes_nothing_for_another_and_sends_as_nobody_else(seller: Person, other: Person) -> None:
    assert other.try_("GET", "WhoAmI") == 200
    owner = {"ownerid@odata.bind": f"/systemusers({other.user})"}
    assert seller.try_("POST", "contacts", {"lastname": "A", **owner}) == 403
    assert seller.try_("POST", "emails", {"subject": "A", **owner}) == 403
    assert seller.try_("PATCH", f"contacts({uuid.uuid4()})", {"lastname": "A", **owner}) == 403
    sender = {"partyid_systemuser@odata.bind": f"/systemusers({other.user})", "participationtypemask": 1}
    assert seller.try_("POST", "emails", {"subject": "A", "email_activity_parties": [sender]}) == 403
    email = seller.make("emails", subject="A")
    assert seller.try_("PATCH", f"emails({email})", {"email_activity_parties": [sender]}) == 403
    own = seller.make("contacts", lastname="A")
    assert seller.try_("PATCH", f"contacts({own})", owner) == 204, "what is one's own may be given away"
    assert seller.try_("PATCH", f"contacts({own})", {"lastname": "B"}) == 403


def test_only_administrators_change_settings_people_and_queues(
    world: World, seller: Person, manager: Person, administrator: Person
) -> None:
    settings = f"organizations({world.contoso.id})"
    assert manager.try_("GET", "WhoAmI") == 200
    for person in (seller, manager):
        for method, path, body in [
            ("PATCH", settings, {"isemailmonitoringallowed": False}),
            ("PATCH", settings, {"ee_allowedorigins": "https://evil.example"}),
            ("PUT", f"{settings}/isemailmonitoringallowed", {"value": False}),
            ("DELETE", f"{settings}/ee_allowedorigins", None),
            ("PATCH", f"systemusers({person.user})", {"firstname": "Root"}),
            ("POST", "systemusers", {"firstname": "New"}),
            ("DELETE", f"systemusers({manager.user})", None),
            ("POST", "queues", {"name": "Q"}),
        ]:
            assert person.try_(method, path, body) == 403, (method, path)
    assert administrator.try_("PATCH", settings, {"isemailmonitoringallowed": False}) == 204
    assert administrator.try_("PATCH", settings, {"isemailmonitoringallowed": True}) == 204
    assert administrator.try_("PATCH", f"systemusers({seller.user})", {"firstname": "Sella"}) == 204
    for method in ("DELETE", "POST"):
        assert administrator.try_(method, settings if method == "DELETE" else "organizations", {}) == 405


def test_managers_and_administrators_write_for_all(seller: Person, manager: Person, administrator: Person) -> None:
    assert seller.try_("GET", "WhoAmI") == 200
    for person in (manager, administrator):
        theirs = seller.make("contacts", lastname="A")
        email = seller.make("emails", subject="A")
        assert person.try_("PATCH", f"contacts({theirs})", {"lastname": "B"}) == 204
        assert person.try_("PATCH", f"emails({email})", {"subject": "B"}) == 204
        made = person.make("contacts", **{"lastname": "C", "ownerid@odata.bind": f"/systemusers({seller.user})"})
        assert seller.try_("PATCH", f"contacts({made})", {"lastname": "D"}) == 204
        assert person.try_("DELETE", f"contacts({theirs})") == 204
        assert person.try_("DELETE", f"emails({email})") == 204


def test_an_id_of_another_organization_is_not_found(world: World, administrator: Person) -> None:
    foreign = world.person("Administrator", world.fabrikam)
    with foreign.client:
        contact = foreign.make("contacts", lastname="Foreign")
        email = foreign.make("emails", subject="Foreign")
        file = {"objectid_email@odata.bind": f"/emails({email})", "filename": "a.txt", "body": "YQ=="}
        attachment = foreign.make("activitymimeattachments", **file)
        assert foreign.try_("GET", "WhoAmI") == 200
        paths = [f"contacts({contact})", f"emails({email})", f"activitymimeattachments({attachment})"]
        paths += [f"systemusers({foreign.user})", f"organizations({world.fabrikam.id})"]
        for path in paths:
            assert foreign.try_("GET", path) == 200
            assert administrator.try_("GET", path) == 404
            assert administrator.try_("PATCH", path, {}, **{"If-Match": "*"}) == 404
            assert administrator.try_("DELETE", path) in (404, 405)
        for path, body in [
            ("contacts", {"parentcustomerid_contact@odata.bind": f"/contacts({contact})"}),
            ("activitymimeattachments", file),
            (f"emails({email})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True}),
            ("FollowEmailAttachment", {"ActivityMimeAttachmentId": attachment}),
        ]:
            assert administrator.try_("POST", path, body) == 404
        own_url = f"{world.base(world.fabrikam.name)}/contacts({contact})"
        assert administrator.try_("GET", own_url) == 403
        assert administrator.try_("PATCH", f"contacts({contact})", {"lastname": "Ours"}) == 204, "a row of our own"
        assert foreign.client.get(f"contacts({contact})").json()["lastname"] == "Foreign"
        assert foreign.client.get(f"emails({email})").json()["subject"] == "Foreign"


def test_pages_of_named_origins_may_call_and_no_others(world: World, administrator: Person) -> None:
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "prefer"}
    address = f"{world.base()}/contacts({uuid.uuid4()})"
    before = httpx.options(address, headers=preflight)
    unknown = httpx.options(f"{world.base('nosuchorganization')}/contacts", headers=preflight)
    for answer in (before, unknown):
        assert (answer.status_code, answer.content) == (204, b"")
        assert not [name for name in answer.headers if name.startswith("access-control")]

    settings = f"organizations({world.contoso.id})"
    assert administrator.try_("PATCH", settings, {"ee_allowedorigins": "https://a.example/path"}) == 400
    assert administrator.try_("PATCH", settings, {"ee_allowedorigins": f"{ORIGIN}:443; http://localhost:3000"}) == 204
    row = administrator.client.get(f"{settings}?$select=ee_allowedorigins").json()
    assert row["ee_allowedorigins"] == f"{ORIGIN}\nhttp://localhost:3000"

    allowed = httpx.options(address, headers=preflight)
    assert allowed.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert allowed.headers["Access-Control-Allow-Headers"] == "prefer"
    assert "PATCH" in allowed.headers["Access-Control-Allow-Methods"]

    good = administrator.client.get("contacts?$top=0", headers={"Origin": ORIGIN})
    for answer in (good, world.ask("", Origin=ORIGIN), world.ask("Bearer x", Origin=ORIGIN)):
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "OData-EntityId" in answer.headers["Access-Control-Expose-Headers"]
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    evil = administrator.client.get("contacts?$top=0", headers={"Origin": "https://evil.example"})
    assert not [name for name in evil.headers if name.startswith("access-control")]

    assert administrator.try_("PATCH", settings, {"ee_allowedorigins": None}) == 204
    after = httpx.options(address, headers=preflight)
    assert not [name for name in after.headers if name.startswith("access-control")]


def test_the_service_document_is_there_with_and_without_the_last_slash(world: World, seller: Person) -> None:
    for address in (world.base(), f"{world.base()}/"):
        answer = seller.client.get(address)
        assert answer.status_code == 200
        assert {"name": "emails", "kind": "EntitySet", "url": "emails"} in answer.json()["value"]
        assert httpx.get(address).status_code == 401


def test_head_is_answered_as_get_without_the_body(seller: Person) -> None:
    contact = seller.make("contacts", lastname="A")
    for path, status in ((f"contacts({contact})", 200), ("", 200), (f"contacts({uuid.uuid4()})", 404)):
        shown, head = seller.client.get(path), seller.client.head(path)
        assert (head.status_code, head.content) == (status, b"")
        for name in ("Content-Type", "Content-Length", "OData-Version"):
            assert head.headers[name] == shown.headers[name]


def test_the_answer_says_what_is_left_of_the_budget(seller: Person) -> None:
    left = [seller.client.get("WhoAmI").headers["x-ms-ratelimit-burst-remaining-xrm-requests"] for _ in range(2)]
    assert left == ["5999", "5998"]
    assert 0 < float(seller.client.get("nosuch").headers["x-ms-ratelimit-time-remaining-xrm-requests"]) <= 1200


async def test_a_user_beyond_the_budget_waits_and_nobody_else(
    configured: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with issuing() as issuer:
        environment = {"MICROSOFT365_URL": issuer.url, "WEB_API_REQUESTS_PER_FIVE_MINUTES": "3"}
        async with an_organization() as organization:
            with hosts(1, tmp_path_factory.mktemp("limits"), **environment) as (host,):
                world = World(host.url, issuer, organization, organization)
                busy, calm = world.person("Administrator"), world.person("Seller")
                settings = f"organizations({organization.id})"
                assert busy.try_("PATCH", settings, {"ee_allowedorigins": ORIGIN}) == 204
                assert [busy.try_("GET", "WhoAmI") for _ in range(3)] == [200, 200, 429]
                refused = busy.client.get("contacts", headers={"Origin": ORIGIN})
                assert refused.json()["error"]["code"] == "0x80072322"
                assert 290 <= int(refused.headers["Retry-After"]) <= 305
                assert refused.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "0"
                assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN
                assert calm.try_("GET", "WhoAmI") == 200
