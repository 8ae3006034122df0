"""The Microsoft 365 stand-in keeps to the contract of Graph, in both directions, and behaves as Microsoft documents it.

Every exchange in this file is checked against `graph-v1.0-slice.json` by the stand-in itself; a test fails when it
finds anything at `/local/violations`, also where the test asserts something else.
"""

import base64
import email
import email.policy
import json
import os
import queue
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from local.directory import TENANTS, WEB_API_AUDIENCE
from local.microsoft365.background import running
from local.microsoft365.contract import Contract, contract_path
from local.microsoft365.faults import read_fault, take
from local.microsoft365.issuer import load_signer
from local.microsoft365.sharing import file_headers
from local.microsoft365.standin import StandIn
from local.microsoft365.store import open_store

CONTRACT = Path(__file__).with_name("graph-v1.0-slice.json")
CONTOSO, FABRIKAM = TENANTS
SELLER = "seller@contoso.example"
CUSTOMER = "customer@example.org"
USER = f"/v1.0/users/{SELLER}"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}
OUR_ID = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name EmailId"
MEBIBYTE = 1024 * 1024
NOT_SURROGATE = st.characters(exclude_categories=["Cs"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(NOT_SURROGATE, max_size=20),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(NOT_SURROGATE, max_size=12), children, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("microsoft365")


@pytest.fixture(scope="module")
def base_url(data_dir: Path) -> Iterator[str]:
    with running(data_dir, CONTRACT) as url:
        yield url


@pytest.fixture(scope="module")
def anyone(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def graph(base_url: str, anyone: httpx.Client) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {app_token(anyone)}", **IMMUTABLE}
    with httpx.Client(base_url=base_url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(autouse=True)
def keeps_the_contract(anyone: httpx.Client) -> Iterator[None]:
    anyone.delete("/local/violations")
    yield
    anyone.delete("/local/faults")
    assert anyone.get("/local/violations").json()["value"] == []


@pytest.fixture
def receiver() -> Iterator["Receiver"]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


class Receiver(ThreadingHTTPServer):
    """A subscriber: echoes validation tokens and keeps notifications; `answers` are statuses to give first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/notify"
        self.notifications: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answers: list[int] = []
        self.echo: Callable[[str], tuple[int, str, str]] = lambda token: (200, "text/plain", token)

    def next(self, timeout: float = 10) -> dict[str, Any]:
        return self.notifications.get(timeout=timeout)

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while not condition(found := self.next()):
            pass
        return found


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = parse_qs(urlsplit(self.path).query).get("validationToken")
        if token:
            status, kind, text = self.server.echo(token[0])
            self._answer(status, kind, text)
            return
        status = self.server.answers.pop(0) if self.server.answers else 202
        if status < 300:
            for notification in json.loads(body)["value"]:
                self.server.notifications.put(notification)
        self._answer(status, "text/plain", "")

    def _answer(self, status: int, kind: str, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def app_token(anyone: httpx.Client, tenant: str = "contoso") -> str:
    form = {
        "grant_type": "client_credentials",
        "client_id": "11111111-1111-1111-1111-111111111111",
        "client_secret": "any",
        "scope": "https://graph.microsoft.com/.default",
    }
    return str(anyone.post(f"/{tenant}/oauth2/v2.0/token", data=form).raise_for_status().json()["access_token"])


def user_token(anyone: httpx.Client, user: str = SELLER, **extra: str) -> httpx.Response:
    form = {
        "grant_type": "password",
        "client_id": "web",
        "username": user,
        "scope": f"{WEB_API_AUDIENCE}/.default",
        **extra,
    }
    return anyone.post(f"/{CONTOSO.id}/oauth2/v2.0/token", data=form)


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def to(*addresses: str) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": address}} for address in addresses]


def draft(graph: httpx.Client, **properties: Any) -> dict[str, Any]:
    message = {
        "subject": "Offer",
        "body": {"contentType": "html", "content": "<p>Hi</p>"},
        "toRecipients": to(CUSTOMER),
    }
    return dict(graph.post(f"{USER}/messages", json=message | properties).raise_for_status().json())


def place(message: dict[str, Any]) -> str:
    return f"{USER}/messages/{message['id']}"


def sent(graph: httpx.Client, **properties: Any) -> dict[str, Any]:
    message = draft(graph, **properties)
    assert graph.post(f"{place(message)}/send").status_code == 202
    return dict(graph.get(place(message)).raise_for_status().json())


def arrived(anyone: httpx.Client, address: str = CUSTOMER) -> list[dict[str, Any]]:
    return list(anyone.get(f"/local/mailboxes/{address}/messages").raise_for_status().json()["value"])


def header(message: dict[str, Any], name: str) -> str | None:
    found = [h["value"] for h in message["internetMessageHeaders"] if h["name"].casefold() == name.casefold()]
    return found[0] if found else None


def error_code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def file(name: str, content: bytes, **properties: Any) -> dict[str, Any]:
    encoded = base64.b64encode(content).decode()
    return {"@odata.type": "#microsoft.graph.fileAttachment", "name": name, "contentBytes": encoded, **properties}


class TestTokens:
    def test_an_app_token_is_shaped_like_entras(self, anyone: httpx.Client, base_url: str) -> None:
        claims = claims_of(app_token(anyone))
        assert claims["iss"] == f"{base_url}/{CONTOSO.id}/v2.0"
        assert (claims["aud"], claims["tid"], claims["ver"]) == ("https://graph.microsoft.com", CONTOSO.id, "2.0")
        assert "Mail.Send" in claims["roles"]

    @pytest.mark.parametrize("tenant", [CONTOSO.id, "contoso", "contoso.example", "CONTOSO.example"])
    def test_a_tenant_is_known_by_its_id_and_its_domain(self, anyone: httpx.Client, tenant: str) -> None:
        assert claims_of(app_token(anyone, tenant))["tid"] == CONTOSO.id

    def test_a_user_token_names_the_user_and_the_roles(self, anyone: httpx.Client) -> None:
        claims = claims_of(user_token(anyone).json()["access_token"])
        person = CONTOSO.people[0]
        assert (claims["oid"], claims["preferred_username"], claims["name"]) == (person.id, person.address, person.name)
        assert (claims["aud"], claims["roles"], claims["scp"]) == (WEB_API_AUDIENCE, ["Seller"], "user_impersonation")

    def test_a_version_1_token_has_the_older_claims(self, anyone: httpx.Client, base_url: str) -> None:
        claims = claims_of(user_token(anyone, ver="1.0").json()["access_token"])
        assert (claims["iss"], claims["ver"], claims["appid"]) == (f"{base_url}/{CONTOSO.id}/", "1.0", "web")
        assert claims["upn"] == claims["unique_name"] == SELLER

    @pytest.mark.parametrize("version", ["1.0", "2.0"])
    def test_who_asks_for_openid_is_told_who_signed_in_by_a_token_that_lets_nobody_in(
        self, anyone: httpx.Client, version: str
    ) -> None:
        assert "id_token" not in user_token(anyone, ver=version).json()
        scope = f"openid {WEB_API_AUDIENCE}/.default"
        claims = claims_of(user_token(anyone, ver=version, scope=scope).json()["id_token"])
        assert (claims["aud"], claims["roles"], claims["ver"]) == ("web", ["Seller"], version)
        assert not {"scp", "azp", "azpacr", "appid", "appidacr", "idtyp"} & set(claims)

    @pytest.mark.parametrize(
        ("version", "document"),
        [("2.0", "v2.0/.well-known/openid-configuration"), ("1.0", ".well-known/openid-configuration")],
    )
    def test_discovery_leads_to_the_key_that_verifies(self, anyone: httpx.Client, version: str, document: str) -> None:
        described = anyone.get(f"/contoso.example/{document}").json()
        token = user_token(anyone, ver=version).json()["access_token"]
        key = jwt.PyJWKClient(described["jwks_uri"]).get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key.key, ["RS256"], audience=WEB_API_AUDIENCE, issuer=described["issuer"])
        assert claims["tid"] == CONTOSO.id

    def test_the_common_key_set_is_every_tenants(self, anyone: httpx.Client) -> None:
        common = anyone.get("/common/discovery/v2.0/keys").json()
        assert common == anyone.get(f"/{FABRIKAM.id}/discovery/v2.0/keys").json()

    def test_an_expired_token_and_one_without_roles_can_be_had(self, anyone: httpx.Client) -> None:
        claims = claims_of(user_token(anyone, expires_in="-60", roles="").json()["access_token"])
        assert claims["exp"] < time.time() - 50
        assert claims["iat"] < claims["exp"]
        assert "roles" not in claims

    @pytest.mark.parametrize(
        ("form", "error"),
        [
            ({"username": "nobody@contoso.example"}, "invalid_grant"),
            ({"username": "seller@fabrikam.example"}, "invalid_grant"),
            ({"scope": "https://example.org/.default"}, "invalid_resource"),
            ({"scope": ""}, "invalid_request"),
            ({"client_id": ""}, "invalid_request"),
            ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
            ({"grant_type": "client_credentials"}, "invalid_client"),
            ({"expires_in": "soon"}, "invalid_request"),
            ({"ver": "3.0"}, "invalid_request"),
        ],
    )
    def test_a_wrong_request_is_refused_as_oauth_says(
        self, anyone: httpx.Client, form: dict[str, str], error: str
    ) -> None:
        answer = user_token(anyone, **({"user": form.pop("username")} if "username" in form else {}), **form)
        assert answer.status_code in {400, 401}
        assert answer.json()["error"] == error
        assert answer.json()["error_description"].startswith("AADSTS")

    def test_an_unknown_tenant_is_refused(self, anyone: httpx.Client) -> None:
        assert anyone.get("/nowhere/v2.0/.well-known/openid-configuration").status_code == 400

    def test_tokens_survive_a_restart(self, tmp_path: Path) -> None:
        with running(tmp_path) as first, httpx.Client(base_url=first) as client:
            token, port = app_token(client), urlsplit(first).port
        with running(tmp_path, port=port or 0) as second, httpx.Client(base_url=second) as client:
            assert client.get(USER, headers={"Authorization": f"Bearer {token}"}).status_code == 200


class TestTokenCommand:
    def run(self, base_url: str, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = os.environ | {"MICROSOFT365_PORT": str(urlsplit(base_url).port)} | environment
        command = [sys.executable, "-m", "local.token"]
        return subprocess.run(command, env=settings, capture_output=True, text=True, check=False)

    def test_prints_a_token_and_nothing_else(self, base_url: str) -> None:
        done = self.run(base_url, USER="manager@contoso.example")
        assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
        assert claims_of(done.stdout.strip())["roles"] == ["Manager"]

    def test_a_user_name_of_the_shell_is_no_user(self, base_url: str) -> None:
        assert claims_of(self.run(base_url, USER="root").stdout.strip())["preferred_username"] == SELLER

    def test_expired_and_without_a_role(self, base_url: str) -> None:
        claims = claims_of(self.run(base_url, USER=SELLER, EXPIRES_IN="-60", ROLES="").stdout.strip())
        assert claims["exp"] < time.time()
        assert "roles" not in claims

    def test_says_what_to_do_when_nobody_answers(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            done = self.run(f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert (done.returncode, done.stdout) == (1, "")
        assert "make run" in done.stderr

    def test_names_the_known_users_for_an_unknown_one(self, base_url: str) -> None:
        done = self.run(base_url, USER="nobody@contoso.example")
        assert (done.returncode, done.stdout) == (1, "")
        assert SELLER in done.stderr


class TestAccess:
    def test_graph_needs_a_token(self, anyone: httpx.Client) -> None:
        assert error_code(anyone.get(USER)) == (401, "InvalidAuthenticationToken")

    def test_an_error_names_the_request(self, anyone: httpx.Client, graph: httpx.Client) -> None:
        for answer in (anyone.get(USER), graph.get(f"{USER}/messages/none"), graph.get(f"{USER}/contacts")):
            assert answer.headers["request-id"] == answer.json()["error"]["innerError"]["request-id"]

    @pytest.mark.parametrize("scope", [f"{WEB_API_AUDIENCE}/.default", "https://graph.microsoft.com/.default"])
    def test_a_users_token_is_not_enough(self, anyone: httpx.Client, scope: str) -> None:
        token = user_token(anyone, scope=scope).json()["access_token"]
        answer = anyone.get(USER, headers={"Authorization": f"Bearer {token}"})
        assert error_code(answer) == (401, "InvalidAuthenticationToken")

    def test_a_token_without_a_permission_is_denied(self, anyone: httpx.Client) -> None:
        form = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y", "roles": ""}
        form["scope"] = "https://graph.microsoft.com/.default"
        token = anyone.post("/contoso/oauth2/v2.0/token", data=form).json()["access_token"]
        answer = anyone.get(USER, headers={"Authorization": f"Bearer {token}"})
        assert error_code(answer) == (403, "ErrorAccessDenied")

    def test_a_token_that_we_did_not_sign_is_refused(self, anyone: httpx.Client) -> None:
        head, claims, signature = app_token(anyone).split(".")
        forged = f"{head}.{claims}.{signature[::-1]}"
        assert anyone.get(USER, headers={"Authorization": f"Bearer {forged}"}).status_code == 401

    def test_another_tenants_mailbox_does_not_exist(self, anyone: httpx.Client) -> None:
        headers = {"Authorization": f"Bearer {app_token(anyone, 'fabrikam')}"}
        assert error_code(anyone.get(f"{USER}/messages", headers=headers)) == (404, "ErrorInvalidUser")

    def test_a_user_without_a_mailbox_is_told_apart(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        anyone.put("/local/mailboxes/admin@contoso.example", json={"enabled": False})
        answer = graph.get("/v1.0/users/admin@contoso.example/messages")
        anyone.put("/local/mailboxes/admin@contoso.example", json={"enabled": True})
        assert error_code(answer) == (404, "MailboxNotEnabledForRESTAPI")

    def test_a_user_is_known_by_object_id_and_name(self, graph: httpx.Client) -> None:
        by_id, by_name = (
            graph.get(f"/v1.0/users/{CONTOSO.people[0].id}"),
            graph.get(USER.upper().replace("/V1.0/USERS", "/v1.0/users")),
        )
        assert by_id.json() == by_name.json()
        assert by_id.json()["mail"] == SELLER

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "127.0.0.1.evil.example"])
    def test_another_host_name_is_refused(self, anyone: httpx.Client, host: str) -> None:
        assert anyone.get("/", headers={"Host": host}).status_code == 421

    def test_a_page_of_another_site_cannot_use_it(self, anyone: httpx.Client) -> None:
        answer = anyone.post(
            "/local/faults", json={"match": "", "status": 500}, headers={"Origin": "https://evil.example"}
        )
        assert answer.status_code == 403
        assert anyone.get("/local/faults", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]

    def test_a_request_over_4_mb_is_refused(self, graph: httpx.Client) -> None:
        answer = graph.post(f"{USER}/messages", json={"body": {"content": "x" * 4 * MEBIBYTE}})
        assert error_code(answer) == (413, "RequestEntityTooLarge")

    def test_so_is_one_that_hides_its_length(self, graph: httpx.Client) -> None:
        answer = graph.post(f"{USER}/messages", content=iter([b"x" * MEBIBYTE] * 5))
        assert answer.status_code == 413


class TestDrafts:
    def test_a_draft_gets_its_ids_when_it_is_made(self, graph: httpx.Client) -> None:
        message = draft(graph)
        assert message["isDraft"]
        assert "/" in message["conversationId"]
        assert message["internetMessageId"].startswith("<")

    def test_a_client_may_set_the_message_id(self, graph: httpx.Client) -> None:
        assert draft(graph, internetMessageId="<mine@contoso.example>")["internetMessageId"] == "<mine@contoso.example>"

    def test_the_body_stays_byte_for_byte(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        html = "<!DOCTYPE html>\r\n<!--[if mso]><v:r><![endif]-->\t<p title=a&copy=2>caf\u00e9 \U0001f600 &nbsp;</P\n>"
        message = sent(graph, body={"contentType": "HTML", "content": html})
        assert message["body"] == {"contentType": "html", "content": html}
        assert arrived(anyone)[0]["body"]["content"] == html

    def test_it_is_found_by_the_extended_property(self, graph: httpx.Client) -> None:
        value = "it's 42"
        made = draft(graph, singleValueExtendedProperties=[{"id": OUR_ID, "value": value}])
        condition = f"singleValueExtendedProperties/Any(ep: ep/id eq '{OUR_ID}' and ep/value eq 'it''s 42')"
        expand = f"singleValueExtendedProperties($filter=id eq '{OUR_ID}')"
        found = graph.get(f"{USER}/messages", params={"$filter": condition, "$expand": expand}).json()["value"]
        assert [message["id"] for message in found] == [made["id"]]
        assert found[0]["singleValueExtendedProperties"] == [{"id": OUR_ID, "value": value}]

    def test_extended_properties_are_shown_only_when_asked_for(self, graph: httpx.Client) -> None:
        made = draft(graph, singleValueExtendedProperties=[{"id": OUR_ID, "value": "7"}])
        assert "singleValueExtendedProperties" not in graph.get(place(made)).json()

    def test_it_can_be_changed(self, graph: httpx.Client) -> None:
        made = draft(graph)
        changed = graph.patch(place(made), json={"subject": "Better", "ccRecipients": to("boss@example.org")}).json()
        assert (changed["subject"], changed["toRecipients"]) == ("Better", made["toRecipients"])
        assert changed["changeKey"] != made["changeKey"]

    def test_after_sending_only_its_marks_can_be_changed(self, graph: httpx.Client) -> None:
        message = sent(graph)
        assert error_code(graph.patch(place(message), json={"subject": "No"})) == (400, "ErrorInvalidPropertySet")
        assert graph.patch(place(message), json={"categories": ["Won"]}).json()["categories"] == ["Won"]

    def test_deleting_puts_it_into_deleted_items_and_then_away(self, graph: httpx.Client) -> None:
        made = draft(graph)
        deleted_items = graph.get(f"{USER}/mailFolders/deleteditems").json()["id"]
        assert graph.delete(place(made)).status_code == 204
        assert graph.get(place(made)).json()["parentFolderId"] == deleted_items
        assert graph.delete(place(made)).status_code == 204
        assert error_code(graph.get(place(made))) == (404, "ErrorItemNotFound")

    @pytest.mark.parametrize(
        "message",
        [
            {"subject": 5},
            {"subject": "x", "colour": "red"},
            {"body": "text"},
            {"body": {"contentType": "rtf", "content": ""}},
            {"toRecipients": {"emailAddress": {"address": CUSTOMER}}},
            {"toRecipients": [{"address": CUSTOMER}]},
            {"importance": "urgent"},
            {"isRead": "no"},
            {"internetMessageHeaders": [{"name": "In-Reply-To", "value": "<a@b>"}]},
            {"singleValueExtendedProperties": [{"id": "EmailId", "value": "1"}]},
            {"singleValueExtendedProperties": [{"id": OUR_ID, "value": 1}]},
            {"attachments": [{"name": "no type"}]},
            [],
            "text",
        ],
    )
    def test_a_malformed_message_is_refused_and_leaves_nothing(self, graph: httpx.Client, message: Any) -> None:
        before = graph.get(f"{USER}/messages?$count=true&$top=1").json()["@odata.count"]
        assert graph.post(f"{USER}/messages", json=message).status_code == 400
        assert graph.get(f"{USER}/messages?$count=true&$top=1").json()["@odata.count"] == before

    def test_json_that_is_none_is_refused(self, graph: httpx.Client) -> None:
        assert (
            graph.post(f"{USER}/messages", content=b"{", headers={"Content-Type": "application/json"}).status_code
            == 400
        )


class TestIds:
    def test_an_immutable_id_survives_sending(self, graph: httpx.Client) -> None:
        message = draft(graph)
        graph.post(f"{place(message)}/send")
        found = graph.get(place(message))
        assert (found.json()["id"], found.json()["isDraft"]) == (message["id"], False)
        assert found.headers["Preference-Applied"] == 'IdType="ImmutableId"'

    def test_the_default_id_does_not(self, graph: httpx.Client) -> None:
        default = {"Prefer": ""}
        message = graph.post(f"{USER}/messages", json={"toRecipients": to(CUSTOMER)}, headers=default).json()
        graph.post(f"{place(message)}/send", headers=default)
        assert error_code(graph.get(place(message), headers=default)) == (404, "ErrorItemNotFound")

    def test_the_other_mailboxes_do_not_know_it(self, graph: httpx.Client) -> None:
        message = draft(graph)
        answer = graph.get(f"/v1.0/users/manager@contoso.example/messages/{message['id']}")
        assert error_code(answer) == (404, "ErrorItemNotFound")


class TestSending:
    def test_the_draft_becomes_a_sent_message(self, graph: httpx.Client) -> None:
        message = draft(graph)
        answer = graph.post(f"{place(message)}/send")
        assert (answer.status_code, answer.content) == (202, b"")
        found = graph.get(f"{USER}/mailFolders/sentitems/messages/{message['id']}").json()
        assert not found["isDraft"]
        assert found["conversationId"] == message["conversationId"]
        assert found["internetMessageId"] == message["internetMessageId"]

    def test_everyone_gets_a_copy_and_nobody_sees_bcc(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        people = ["to@world.example", "cc@world.example", "bcc@world.example"]
        sent(graph, subject="All", toRecipients=to(people[0]), ccRecipients=to(people[1]), bccRecipients=to(people[2]))
        for address in people:
            message = arrived(anyone, address)[0]
            assert (message["subject"], message["bccRecipients"], header(message, "Bcc")) == ("All", [], None)

    def test_somebody_named_twice_gets_one_copy(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        sent(graph, toRecipients=to("twice@world.example"), ccRecipients=to("Twice@World.example"))
        assert len(arrived(anyone, "twice@world.example")) == 1

    def test_a_colleague_gets_it_in_the_graph_inbox(self, graph: httpx.Client) -> None:
        message = sent(graph, subject="For you", toRecipients=to("manager@contoso.example"))
        condition = f"internetMessageId eq '{message['internetMessageId']}'"
        inbox = "/v1.0/users/manager@contoso.example/mailFolders/inbox/messages"
        found = graph.get(inbox, params={"$filter": condition}).json()["value"]
        assert [(m["subject"], m["isRead"]) for m in found] == [("For you", False)]

    def test_what_arrives_carries_its_headers_and_files(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message = draft(graph, internetMessageHeaders=[{"name": "X-Custom", "value": "7"}])
        graph.post(
            f"{place(message)}/attachments", json=file("r\u00e9sum\u00e9.pdf", b"%PDF", contentType="application/pdf")
        )
        graph.post(f"{place(message)}/send")
        copy = arrived(anyone)[0]
        assert header(copy, "Message-ID") == message["internetMessageId"]
        assert (header(copy, "Subject"), header(copy, "To"), header(copy, "X-Custom")) == ("Offer", CUSTOMER, "7")
        assert header(copy, "From") == f'"Sella Seller" <{SELLER}>'
        assert copy["attachments"][0]["name"] == "r\u00e9sum\u00e9.pdf"
        assert base64.b64decode(copy["attachments"][0]["contentBytes"]) == b"%PDF"

    def test_newest_first(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        for subject in ("one", "two", "three"):
            sent(graph, subject=subject, toRecipients=to("order@world.example"))
        assert [message["subject"] for message in arrived(anyone, "order@world.example")] == ["three", "two", "one"]

    def test_a_mail_is_sent_once(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message = sent(graph, toRecipients=to("once@world.example"))
        assert error_code(graph.post(f"{place(message)}/send")) == (400, "ErrorInvalidOperation")
        assert len(arrived(anyone, "once@world.example")) == 1

    @pytest.mark.parametrize("recipients", [[], to("not an address"), to("")])
    def test_without_a_valid_recipient_it_stays_a_draft(self, graph: httpx.Client, recipients: list[Any]) -> None:
        message = draft(graph, toRecipients=recipients)
        assert error_code(graph.post(f"{place(message)}/send")) == (400, "ErrorInvalidRecipients")
        assert graph.get(place(message)).json()["isDraft"]

    def test_nobody_speaks_for_somebody_else(self, graph: httpx.Client) -> None:
        message = draft(graph, **{"from": to("manager@contoso.example")[0]})
        assert error_code(graph.post(f"{place(message)}/send")) == (403, "ErrorSendAsDenied")

    def test_send_mail_sends_in_one_call(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message = {"subject": "Now", "toRecipients": to("now@world.example"), "attachments": [file("a.txt", b"a")]}
        assert graph.post(f"{USER}/sendMail", json={"message": message}).status_code == 202
        copy = arrived(anyone, "now@world.example")[0]
        assert (copy["subject"], copy["attachments"][0]["name"]) == ("Now", "a.txt")

    def test_a_refused_send_mail_leaves_nothing(self, graph: httpx.Client) -> None:
        count = {"$filter": "subject eq 'Half done'", "$count": "true"}
        assert graph.post(f"{USER}/sendMail", json={"message": {"subject": "Half done"}}).status_code == 400
        assert graph.get(f"{USER}/messages", params=count).json()["@odata.count"] == 0

    def test_many_at_once_all_arrive(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: sent(graph, subject=f"n{n}", toRecipients=to("many@world.example")), range(40)))
        assert {m["subject"] for m in arrived(anyone, "many@world.example")} == {f"n{n}" for n in range(40)}


class TestReading:
    def test_pages_are_linked_and_complete(self, graph: httpx.Client) -> None:
        made = {draft(graph, categories=["paging"], subject=f"page {n}")["id"] for n in range(5)}
        url, found, pages = f"{USER}/messages?$filter=startswith(subject,'page ')&$top=2&$select=id", set(), 0
        while url:
            page = graph.get(url).json()
            found |= {message["id"] for message in page["value"]}
            url, pages = page.get("@odata.nextLink"), pages + 1
        assert (found, pages) == (made, 3)

    def test_by_conversation(self, graph: httpx.Client) -> None:
        message = sent(graph)
        params = {"$filter": f"conversationId eq '{message['conversationId']}'"}
        assert [m["id"] for m in graph.get(f"{USER}/messages", params=params).json()["value"]] == [message["id"]]

    def test_by_time_and_state(self, graph: httpx.Client) -> None:
        message = sent(graph)
        moment = message["receivedDateTime"]
        params = {"$filter": f"receivedDateTime ge {moment} and isDraft eq false", "$orderby": "receivedDateTime desc"}
        assert message["id"] in {m["id"] for m in graph.get(f"{USER}/messages", params=params).json()["value"]}
        later = (datetime.fromisoformat(moment) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
        assert graph.get(f"{USER}/messages", params={"$filter": f"receivedDateTime gt {later}"}).json()["value"] == []

    def test_selects_what_is_asked_for(self, graph: httpx.Client) -> None:
        found = graph.get(place(draft(graph)), params={"$select": "subject,isDraft"}).json()
        assert {name for name in found if "@" not in name} == {"id", "subject", "isDraft"}

    def test_headers_are_shown_only_when_selected(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        sent(graph, toRecipients=to("manager@contoso.example"))
        inbox = "/v1.0/users/manager@contoso.example/mailFolders/inbox/messages"
        assert "internetMessageHeaders" not in graph.get(inbox).json()["value"][0]
        selected = graph.get(inbox, params={"$select": "internetMessageHeaders"}).json()["value"][0]
        assert header(selected, "From") == f'"Sella Seller" <{SELLER}>'

    def test_expands_attachments(self, graph: httpx.Client) -> None:
        message = draft(graph, attachments=[file("a.txt", b"abc")])
        found = graph.get(place(message), params={"$expand": "attachments"}).json()
        assert [(a["name"], a["contentBytes"]) for a in found["attachments"]] == [("a.txt", "YWJj")]

    def test_a_text_is_given_when_preferred(self, graph: httpx.Client) -> None:
        message = draft(graph, body={"contentType": "html", "content": "<style>p{}</style><p>A &amp; B</p><p>C</p>"})
        preferring = {"Prefer": 'IdType="ImmutableId", outlook.body-content-type="text"'}
        assert graph.get(place(message), headers=preferring).json()["body"] == {
            "contentType": "text",
            "content": "A & B\nC",
        }

    def test_order_must_fit_the_filter(self, graph: httpx.Client) -> None:
        params = {"$filter": "isDraft eq true", "$orderby": "receivedDateTime desc"}
        assert error_code(graph.get(f"{USER}/messages", params=params)) == (400, "InefficientFilter")

    @pytest.mark.parametrize(
        "params",
        [
            {"$filter": "colour eq 'red'"},
            {"$filter": "subject eq"},
            {"$filter": "subject eq 'a' or"},
            {"$filter": "(subject eq 'a'"},
            {"$filter": "subject eq 'a') or (1 eq 1"},
            {"$filter": "receivedDateTime ge yesterday"},
            {"$filter": "isDraft eq 'true'"},
            {"$filter": "subject eq 'a'; DROP TABLE messages"},
            {"$orderby": "colour"},
            {"$orderby": "subject sideways"},
            {"$top": "0"},
            {"$top": "many"},
            {"$skip": "-1"},
            {"$expand": "body"},
            {"$apply": "aggregate()"},
        ],
    )
    def test_a_query_that_makes_no_sense_is_refused(self, graph: httpx.Client, params: dict[str, str]) -> None:
        assert graph.get(f"{USER}/messages", params=params).status_code == 400

    @settings(max_examples=60, deadline=None)
    @given(st.text(max_size=40))
    def test_no_filter_breaks_it(self, graph: httpx.Client, text: str) -> None:
        assert graph.get(f"{USER}/messages", params={"$filter": text, "$top": "1"}).status_code in {200, 400}

    @settings(max_examples=40, deadline=None)
    @given(st.text(NOT_SURROGATE, min_size=1, max_size=30))
    def test_a_quoted_text_is_compared_as_it_is(self, graph: httpx.Client, subject: str) -> None:
        message = draft(graph, subject=subject)
        escaped = subject.replace("'", "''")
        params = {"$filter": f"subject eq '{escaped}'", "$top": "100", "$select": "id"}
        assert message["id"] in {m["id"] for m in graph.get(f"{USER}/messages", params=params).json()["value"]}

    def test_folders_count_what_they_hold(self, graph: httpx.Client) -> None:
        before = graph.get(f"{USER}/mailFolders/drafts").json()["totalItemCount"]
        draft(graph)
        folders = {f["displayName"]: f for f in graph.get(f"{USER}/mailFolders").json()["value"]}
        assert folders["Drafts"]["totalItemCount"] == before + 1
        by_id = graph.get(f"{USER}/mailFolders/{folders['Drafts']['id']}")
        assert by_id.json()["displayName"] == "Drafts"

    def test_an_unknown_folder_is_not_found(self, graph: httpx.Client) -> None:
        assert error_code(graph.get(f"{USER}/mailFolders/attic/messages")) == (404, "ErrorItemNotFound")

    def test_mime_is_a_whole_mail(self, graph: httpx.Client) -> None:
        message = draft(graph, subject="Gr\u00fc\u00dfe", body={"contentType": "html", "content": "<p>\u00fc</p>"})
        graph.post(f"{place(message)}/attachments", json=file("b.bin", b"\0\1", isInline=True, contentId="b1"))
        answer = graph.get(f"{place(message)}/$value")
        mail = email.message_from_bytes(answer.content, policy=email.policy.default)
        assert (mail["Subject"], mail["Message-ID"]) == ("Gr\u00fc\u00dfe", message["internetMessageId"])
        body, attachment = list(mail.iter_parts())
        assert body.get_content().strip() == "<p>\u00fc</p>"
        assert (attachment.get_content(), attachment["Content-ID"]) == (b"\0\1", "<b1>")

    @settings(max_examples=60, deadline=None)
    @given(st.text(NOT_SURROGATE, max_size=30), st.text(NOT_SURROGATE, min_size=1, max_size=30), st.text(NOT_SURROGATE))
    def test_any_text_makes_a_whole_mail(self, graph: httpx.Client, subject: str, name: str, other: str) -> None:
        odd = file(name, b"abc", contentType=other, contentId=other)
        people = [{"emailAddress": {"name": other, "address": CUSTOMER}}]
        message = draft(graph, subject=subject, toRecipients=people, attachments=[odd])
        answer = graph.get(f"{place(message)}/$value").raise_for_status()
        mail = email.message_from_bytes(answer.content, policy=email.policy.default)
        assert [part.get_payload(decode=True) for part in mail.iter_attachments()] == [b"abc"]
        made = graph.get(f"{place(message)}/attachments").json()["value"][0]
        assert graph.get(f"{place(message)}/attachments/{made['id']}/$value").content == b"abc"


class TestDelta:
    def follow(self, graph: httpx.Client, url: str) -> tuple[list[dict[str, Any]], str]:
        entries: list[dict[str, Any]] = []
        while True:
            page = graph.get(url).raise_for_status().json()
            entries += page["value"]
            if "@odata.deltaLink" in page:
                return entries, page["@odata.deltaLink"]
            url = page["@odata.nextLink"]

    @pytest.mark.parametrize("path", ["messages/delta", "messages/delta()", "mailFolders/drafts/messages/delta"])
    def test_tells_what_is_new_since_the_last_link(self, graph: httpx.Client, path: str) -> None:
        _, link = self.follow(graph, f"{USER}/{path}?$select=subject&$top=50")
        assert self.follow(graph, link)[0] == []
        made = draft(graph, subject="New")
        entries, _ = self.follow(graph, link)
        assert [(entry["id"], entry["subject"]) for entry in entries] == [(made["id"], "New")]

    def test_a_message_that_left_the_folder_is_removed(self, graph: httpx.Client) -> None:
        made = draft(graph)
        _, link = self.follow(graph, f"{USER}/mailFolders/drafts/messages/delta?$top=100")
        graph.post(f"{place(made)}/send")
        entries, _ = self.follow(graph, link)
        assert entries == [{"id": made["id"], "@removed": {"reason": "deleted"}}]

    def test_a_full_page_links_to_the_next(self, graph: httpx.Client) -> None:
        _, link = self.follow(graph, f"{USER}/messages/delta?$top=3")
        made = [draft(graph)["id"] for _ in range(7)]
        entries, _ = self.follow(graph, link)
        assert [entry["id"] for entry in entries] == made

    @pytest.mark.parametrize("token", ["abc", "-1", "9" * 40])
    def test_a_token_we_never_gave_starts_over(self, graph: httpx.Client, token: str) -> None:
        answer = graph.get(f"{USER}/messages/delta?$deltatoken={token}")
        assert error_code(answer) == (410, "SyncStateNotFound")


class TestAttachments:
    def test_round_trip(self, graph: httpx.Client) -> None:
        message = draft(graph)
        made = graph.post(f"{place(message)}/attachments", json=file("a.txt", b"abc", contentType="text/plain")).json()
        one = f"{place(message)}/attachments/{made['id']}"
        assert [a["id"] for a in graph.get(f"{place(message)}/attachments").json()["value"]] == [made["id"]]
        assert graph.get(f"{one}/$value").content == b"abc"
        assert graph.get(one).json()["size"] == 3
        assert graph.get(place(message)).json()["hasAttachments"]
        assert graph.delete(one).status_code == 204
        assert error_code(graph.get(one)) == (404, "ErrorItemNotFound")
        assert not graph.get(place(message)).json()["hasAttachments"]

    def test_an_inline_image_is_no_attachment_to_look_for(self, graph: httpx.Client) -> None:
        message = draft(graph)
        graph.post(f"{place(message)}/attachments", json=file("l.png", b"x", isInline=True, contentId="logo"))
        assert not graph.get(place(message)).json()["hasAttachments"]
        assert graph.get(f"{place(message)}/attachments").json()["value"][0]["contentId"] == "logo"

    def test_3_mb_are_too_much_for_one_request(self, graph: httpx.Client) -> None:
        message = draft(graph)
        answer = graph.post(f"{place(message)}/attachments", json=file("big.bin", b"x" * (3 * MEBIBYTE)))
        assert answer.status_code == 413
        smaller = graph.post(f"{place(message)}/attachments", json=file("big.bin", b"x" * (3 * MEBIBYTE - 4096)))
        assert smaller.status_code == 201

    @pytest.mark.parametrize(
        "body",
        [
            {"name": "a", "contentBytes": "YQ=="},
            {"@odata.type": "#microsoft.graph.fileAttachment", "contentBytes": "YQ=="},
            {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a"},
            {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a", "contentBytes": "%%%"},
            {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a", "contentBytes": "YQ==", "isInline": 1},
        ],
    )
    def test_a_malformed_one_is_refused(self, graph: httpx.Client, body: dict[str, Any]) -> None:
        assert graph.post(f"{place(draft(graph))}/attachments", json=body).status_code == 400

    def session(self, graph: httpx.Client, message: dict[str, Any], size: int) -> httpx.Response:
        item = {"attachmentType": "file", "name": "film.mp4", "size": size, "contentType": "video/mp4"}
        return graph.post(f"{place(message)}/attachments/createUploadSession", json={"AttachmentItem": item})

    def test_a_large_one_goes_up_in_ranges(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message, content = draft(graph), os.urandom(5 * MEBIBYTE)
        url = self.session(graph, message, len(content)).json()["uploadUrl"]
        step = 3 * MEBIBYTE
        first = anyone.put(url, content=content[:step], headers={"Content-Range": f"bytes 0-{step - 1}/{len(content)}"})
        assert (first.status_code, first.json()["nextExpectedRanges"]) == (200, [f"{step}-"])
        assert anyone.get(url).json()["nextExpectedRanges"] == [f"{step}-"]
        rest = {"Content-Range": f"bytes {step}-{len(content) - 1}/{len(content)}"}
        last = anyone.put(url, content=content[step:], headers=rest)
        assert (last.status_code, last.content) == (201, b"")
        assert graph.get(f"{last.headers['Location']}/$value").content == content
        assert anyone.get(url).status_code == 404

    def test_an_upload_address_wants_no_token(self, graph: httpx.Client) -> None:
        url = self.session(graph, draft(graph), 4 * MEBIBYTE).json()["uploadUrl"]
        assert graph.put(url, content=b"x", headers={"Content-Range": f"bytes 0-0/{4 * MEBIBYTE}"}).status_code == 401

    @pytest.mark.parametrize(
        ("content_range", "status"),
        [
            ("bytes 5-9/4194304", 416),
            ("bytes 0-4/10", 400),
            ("bytes 0-9/4194304", 400),
            ("bytes 4-0/4194304", 400),
            ("0-4", 400),
            ("", 400),
        ],
    )
    def test_a_wrong_range_is_refused(
        self, graph: httpx.Client, anyone: httpx.Client, content_range: str, status: int
    ) -> None:
        url = self.session(graph, draft(graph), 4 * MEBIBYTE).json()["uploadUrl"]
        assert anyone.put(url, content=b"12345", headers={"Content-Range": content_range}).status_code == status

    def test_a_range_over_4_mb_is_refused(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        url = self.session(graph, draft(graph), 9 * MEBIBYTE).json()["uploadUrl"]
        headers = {"Content-Range": f"bytes 0-{5 * MEBIBYTE - 1}/{9 * MEBIBYTE}"}
        assert anyone.put(url, content=bytes(5 * MEBIBYTE), headers=headers).status_code == 413

    def test_a_cancelled_upload_is_gone(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        url = self.session(graph, draft(graph), 4 * MEBIBYTE).json()["uploadUrl"]
        assert anyone.delete(url).status_code == 204
        assert anyone.get(url).status_code == 404

    def test_a_small_one_needs_no_session(self, graph: httpx.Client) -> None:
        answer = self.session(graph, draft(graph), 1000)
        assert error_code(answer) == (400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize")

    def test_a_message_over_35_mb_is_not_sent(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message, size = draft(graph), 28 * MEBIBYTE
        url = self.session(graph, message, size).json()["uploadUrl"]
        for start in range(0, size, 4 * MEBIBYTE):
            headers = {"Content-Range": f"bytes {start}-{start + 4 * MEBIBYTE - 1}/{size}"}
            anyone.put(url, content=bytes(4 * MEBIBYTE), headers=headers)
        assert error_code(graph.post(f"{place(message)}/send")) == (413, "ErrorMessageSizeExceeded")
        assert graph.get(place(message)).json()["isDraft"]


class TestDrive:
    def put(self, graph: httpx.Client, path: str, content: bytes = b"abc", conflict: str = "replace") -> httpx.Response:
        return graph.put(
            f"{USER}/drive/root:/{quote(path)}:/content",
            content=content,
            params={"@microsoft.graph.conflictBehavior": conflict},
        )

    def test_a_file_is_written_read_and_replaced(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        made = self.put(graph, "Offers/2026/a b.pdf")
        assert (made.status_code, made.json()["name"], made.json()["file"]["mimeType"]) == (
            201,
            "a b.pdf",
            "application/pdf",
        )
        again = self.put(graph, "offers/2026/A B.pdf", b"new")
        assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])
        by_id = f"{USER}/drive/items/{made.json()['id']}"
        assert anyone.get(graph.get(by_id).json()["@microsoft.graph.downloadUrl"]).content == b"new"
        assert graph.get(f"{by_id}/content").status_code == 302
        assert graph.get(f"{USER}/drive/root:/Offers/2026/a%20b.pdf").json()["id"] == made.json()["id"]

    def test_folders_list_their_children(self, graph: httpx.Client) -> None:
        self.put(graph, "Listing/one.txt")
        self.put(graph, "Listing/two.txt")
        names = [item["name"] for item in graph.get(f"{USER}/drive/root:/Listing:/children").json()["value"]]
        assert names == ["one.txt", "two.txt"]
        assert "Listing" in {item["name"] for item in graph.get(f"{USER}/drive/root/children").json()["value"]}
        assert graph.get(f"{USER}/drive/root:/Listing").json()["folder"]["childCount"] == 2

    def test_a_folder_can_be_made(self, graph: httpx.Client) -> None:
        folder = {"name": "Empty", "folder": {}}
        assert graph.post(f"{USER}/drive/root/children", json=folder).json()["folder"] == {"childCount": 0}
        assert error_code(graph.post(f"{USER}/drive/root/children", json=folder)) == (409, "nameAlreadyExists")

    def test_a_conflict_is_handled_as_asked(self, graph: httpx.Client) -> None:
        self.put(graph, "Twice/a.txt")
        assert error_code(self.put(graph, "Twice/a.txt", conflict="fail")) == (409, "nameAlreadyExists")
        renamed = self.put(graph, "Twice/a.txt", conflict="rename")
        assert (renamed.status_code, renamed.json()["name"]) == (201, "a 1.txt")

    def test_an_item_is_renamed_moved_and_deleted(self, graph: httpx.Client) -> None:
        item = self.put(graph, "Moving/a.txt").json()
        target = self.put(graph, "Target/x.txt").json()["parentReference"]["id"]
        changes = {"name": "b.txt", "parentReference": {"id": target}}
        moved = graph.patch(f"{USER}/drive/items/{item['id']}", json=changes).json()
        assert (moved["name"], moved["parentReference"]["path"]) == ("b.txt", "/drive/root:/Target")
        assert graph.delete(f"{USER}/drive/root:/Target").status_code == 204
        assert error_code(graph.get(f"{USER}/drive/items/{item['id']}")) == (404, "itemNotFound")

    @pytest.mark.parametrize("name", ['a"b', "a:b", "a|b", "con", "~$a.docx", "a.", "x" * 256, "_vti_x"])
    def test_a_name_onedrive_forbids_is_refused(self, graph: httpx.Client, name: str) -> None:
        assert self.put(graph, f"Names/{name}").status_code == 400

    @pytest.mark.parametrize("name", ["50% #1 & more.txt", "\u00fcber\u2028.txt", "a;b='c'.txt"])
    def test_an_odd_name_is_kept(self, graph: httpx.Client, name: str) -> None:
        assert self.put(graph, f"Odd/{name}").json()["name"] == name

    def test_a_large_file_goes_up_in_multiples_of_320_kib(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        content, unit = os.urandom(700 * 1024), 320 * 1024
        session = graph.post(f"{USER}/drive/root:/Large/film.mp4:/createUploadSession", json={"item": {}})
        url = session.json()["uploadUrl"]

        def put(start: int, end: int) -> httpx.Response:
            headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}
            return anyone.put(url, content=content[start:end], headers=headers)

        assert put(0, 1000).status_code == 400
        assert (put(0, unit).status_code, put(unit, 2 * unit).json()["nextExpectedRanges"]) == (202, [f"{2 * unit}-"])
        assert put(unit, 2 * unit).status_code == 416
        last = put(2 * unit, len(content))
        assert (last.status_code, last.json()["size"]) == (201, len(content))
        assert anyone.get(last.json()["@microsoft.graph.downloadUrl"]).content == content

    def test_the_same_link_is_given_again(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        item = self.put(graph, "Shared/offer.pdf", b"%PDF").json()
        wanted = {"type": "view", "scope": "anonymous"}
        first = graph.post(f"{USER}/drive/items/{item['id']}/createLink", json=wanted)
        second = graph.post(f"{USER}/drive/root:/Shared/offer.pdf:/createLink", json=wanted)
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["link"]["webUrl"] == second.json()["link"]["webUrl"]
        opened = anyone.get(first.json()["link"]["webUrl"])
        assert (opened.content, opened.headers["Content-Type"]) == (b"%PDF", "application/pdf")
        assert opened.headers["Content-Disposition"].startswith('attachment; filename="offer.pdf"')

    def test_a_permission_that_is_taken_back_ends_the_link(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        place = f"{USER}/drive/items/{self.put(graph, 'Shared/back.txt').json()['id']}"
        link = graph.post(f"{place}/createLink", json={"type": "view", "scope": "anonymous"}).json()
        assert [p["id"] for p in graph.get(f"{place}/permissions").json()["value"]] == [link["id"]]
        assert graph.get(f"{place}/permissions/{link['id']}").json()["link"] == link["link"]
        assert graph.delete(f"{place}/permissions/{link['id']}").status_code == 204
        assert anyone.get(link["link"]["webUrl"]).status_code == 404

    def test_a_tenant_may_forbid_anonymous_links(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        self.put(graph, "Shared/secret.txt")
        create = f"{USER}/drive/root:/Shared/secret.txt:/createLink"
        anyone.put("/local/tenants/contoso/sharing", json={"anonymous": False})
        refused = graph.post(create, json={"type": "view", "scope": "anonymous"})
        allowed = graph.post(create, json={"type": "view", "scope": "organization"})
        anyone.put("/local/tenants/contoso/sharing", json={"anonymous": True})
        assert error_code(refused) == (403, "accessDenied")
        assert allowed.status_code == 201

    def test_the_drive_is_also_known_by_its_id(self, graph: httpx.Client) -> None:
        drive = graph.get(f"{USER}/drive").json()["id"]
        made = graph.put(f"/v1.0/drives/{drive}/items/root:/By%20id/a.txt:/content", content=b"x")
        assert made.json()["parentReference"]["driveId"] == drive
        assert graph.get(f"{USER}/drive/root:/By%20id/a.txt").json()["id"] == made.json()["id"]
        assert graph.get(f"/v1.0/drives/{drive}/root").json()["root"] == {}

    @given(st.text(min_size=1, max_size=60))
    def test_a_hostile_name_cannot_break_the_header(self, name: str) -> None:
        disposition = file_headers(name)["Content-Disposition"]
        assert disposition.isascii()
        assert disposition.isprintable()
        assert disposition.count('"') == 2


class TestSubscriptions:
    def subscribe(self, graph: httpx.Client, receiver: Receiver, **properties: Any) -> httpx.Response:
        wanted = {
            "changeType": "created",
            "notificationUrl": receiver.url,
            "resource": f"/users/{SELLER}/messages",
            "expirationDateTime": in_hours(1),
            "clientState": "secret",
        }
        return graph.post("/v1.0/subscriptions", json=wanted | properties)

    def test_a_new_message_is_told_with_the_client_state(self, graph: httpx.Client, receiver: Receiver) -> None:
        subscription = self.subscribe(graph, receiver).json()
        message = draft(graph)
        told = receiver.next()
        assert (told["subscriptionId"], told["clientState"], told["changeType"]) == (
            subscription["id"],
            "secret",
            "created",
        )
        assert told["tenantId"] == CONTOSO.id
        assert told["resourceData"]["id"] == message["id"]
        assert graph.get(f"/v1.0/{told['resource']}").json()["subject"] == "Offer"

    def test_a_reply_is_told_for_the_inbox(self, graph: httpx.Client, anyone: httpx.Client, receiver: Receiver) -> None:
        self.subscribe(graph, receiver, resource=f"users/{SELLER}/mailFolders('Inbox')/messages")
        sent(graph)
        answer = {"messageId": arrived(anyone)[0]["id"], "body": "Yes"}
        reply = anyone.post(f"/local/mailboxes/{CUSTOMER}/reply", json=answer).json()
        found = graph.get(f"/v1.0/{receiver.next()['resource']}").json()
        assert found["internetMessageId"] == reply["internetMessageId"]

    def test_only_what_was_asked_for(self, graph: httpx.Client, receiver: Receiver) -> None:
        self.subscribe(graph, receiver, changeType="updated,deleted")
        message = draft(graph)
        graph.patch(place(message), json={"subject": "Changed"})
        assert receiver.next()["changeType"] == "updated"
        graph.delete(place(message))
        assert receiver.next()["changeType"] == "deleted"

    def test_a_receiver_that_fails_is_told_again(self, graph: httpx.Client, receiver: Receiver) -> None:
        self.subscribe(graph, receiver)
        receiver.answers = [503, 500]
        message = draft(graph)
        assert receiver.next()["resourceData"]["id"] == message["id"]

    @pytest.mark.parametrize(
        "answer",
        [
            (200, "text/plain", "something else"),
            (202, "text/plain", None),
            (200, "text/html", None),
            (500, "text/plain", ""),
        ],
    )
    def test_a_receiver_must_echo_the_token(
        self, graph: httpx.Client, receiver: Receiver, answer: tuple[int, str, str | None]
    ) -> None:
        status, kind, text = answer
        receiver.echo = lambda token: (status, kind, token if text is None else text)
        assert error_code(self.subscribe(graph, receiver)) == (400, "ValidationError")

    @pytest.mark.parametrize(
        "properties",
        [
            {"changeType": "opened"},
            {"resource": "/users/nobody@contoso.example/messages"},
            {"resource": "/me/contacts"},
            {"expirationDateTime": "2020-01-01T00:00:00Z"},
            {"expirationDateTime": "soon"},
            {"notificationUrl": "https://example.org/hook"},
            {"clientState": "x" * 129},
        ],
    )
    def test_a_wrong_one_is_refused(self, graph: httpx.Client, receiver: Receiver, properties: dict[str, str]) -> None:
        assert self.subscribe(graph, receiver, **properties).status_code in {400, 404}

    def test_seven_days_are_the_longest(self, graph: httpx.Client, receiver: Receiver) -> None:
        assert self.subscribe(graph, receiver, expirationDateTime=in_hours(167)).status_code == 201
        assert error_code(self.subscribe(graph, receiver, expirationDateTime=in_hours(169))) == (400, "InvalidRequest")

    def test_it_is_renewed_listed_and_ended(self, graph: httpx.Client, receiver: Receiver) -> None:
        made = self.subscribe(graph, receiver).json()
        place, later = f"/v1.0/subscriptions/{made['id']}", in_hours(48)
        assert graph.patch(place, json={"expirationDateTime": later}).json()["expirationDateTime"] == later
        assert made["id"] in {s["id"] for s in graph.get("/v1.0/subscriptions").json()["value"]}
        assert graph.post(f"{place}/reauthorize").status_code == 204
        assert graph.delete(place).status_code == 204
        assert error_code(graph.get(place)) == (404, "ResourceNotFound")

    def test_another_tenant_does_not_see_it(
        self, graph: httpx.Client, anyone: httpx.Client, receiver: Receiver
    ) -> None:
        made = self.subscribe(graph, receiver).json()
        headers = {"Authorization": f"Bearer {app_token(anyone, 'fabrikam')}"}
        assert anyone.get(f"/v1.0/subscriptions/{made['id']}", headers=headers).status_code == 404

    def test_an_expired_one_is_over(self, graph: httpx.Client, receiver: Receiver, data_dir: Path) -> None:
        made = self.subscribe(graph, receiver).json()
        with sqlite3.connect(data_dir / "microsoft365.sqlite") as db:
            db.execute("UPDATE subscriptions SET expires = ? WHERE id = ?", (time.time() - 1, made["id"]))
        db.close()
        assert (
            graph.patch(f"/v1.0/subscriptions/{made['id']}", json={"expirationDateTime": in_hours(1)}).status_code
            == 404
        )
        draft(graph)
        live = self.subscribe(graph, receiver).json()
        draft(graph)
        assert receiver.next()["subscriptionId"] == live["id"]

    @pytest.mark.parametrize("event", ["missed", "reauthorizationRequired", "subscriptionRemoved"])
    def test_lifecycle_events_can_be_sent(
        self, graph: httpx.Client, anyone: httpx.Client, receiver: Receiver, event: str
    ) -> None:
        made = self.subscribe(graph, receiver, lifecycleNotificationUrl=receiver.url).json()
        place = f"/subscriptions/{made['id']}"
        assert anyone.post(f"/local{place}/lifecycle", json={"event": event}).status_code == 202
        told = receiver.until(lambda notification: "lifecycleEvent" in notification)
        assert (told["lifecycleEvent"], told["clientState"], told["subscriptionId"]) == (event, "secret", made["id"])
        assert graph.get(f"/v1.0{place}").status_code == (404 if event == "subscriptionRemoved" else 200)


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


class TestWorld:
    def reply(self, anyone: httpx.Client, message: dict[str, Any], **properties: Any) -> httpx.Response:
        answer = {"messageId": message["id"], "body": "Fine with me", **properties}
        return anyone.post(f"/local/mailboxes/{CUSTOMER}/reply", json=answer)

    def received(self, graph: httpx.Client, reply: httpx.Response) -> dict[str, Any]:
        params = {
            "$filter": f"internetMessageId eq '{reply.json()['internetMessageId']}'",
            "$select": "subject,body,uniqueBody,conversationId,internetMessageHeaders,from,parentFolderId,id",
        }
        return dict(graph.get(f"{USER}/mailFolders/inbox/messages", params=params).json()["value"][0])

    def test_an_unknown_address_has_an_empty_mailbox(self, anyone: httpx.Client) -> None:
        assert arrived(anyone, "nobody.yet@world.example") == []

    def test_a_reply_joins_the_conversation(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message = sent(graph, body={"contentType": "html", "content": "<p>The offer</p>"})
        found = self.received(graph, self.reply(anyone, arrived(anyone)[0]))
        assert found["conversationId"] == message["conversationId"]
        assert header(found, "In-Reply-To") == header(found, "References") == message["internetMessageId"]
        assert (found["subject"], found["from"]["emailAddress"]["address"]) == ("Re: Offer", CUSTOMER)
        assert "<p>The offer</p>" in found["body"]["content"]
        assert "Fine with me" in found["uniqueBody"]["content"]
        assert "The offer" not in found["uniqueBody"]["content"]

    def test_a_message_is_also_known_by_its_message_id(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message = sent(graph)
        reply = self.reply(anyone, {"id": message["internetMessageId"]})
        assert self.received(graph, reply)["conversationId"] == message["conversationId"]

    def test_references_grow_with_the_thread(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message = sent(graph)
        first = self.reply(anyone, arrived(anyone)[0]).json()
        back = {"messageId": first["internetMessageId"], "body": "<b>Good</b>"}
        second = anyone.post(f"/local/mailboxes/{SELLER}/reply", json=back).json()
        assert header(second, "References") == f"{message['internetMessageId']} {first['internetMessageId']}"
        assert second["subject"] == "Re: Offer"
        assert arrived(anyone)[0]["conversationId"] == arrived(anyone)[1]["conversationId"]

    def test_extra_headers_overrule(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        sent(graph)
        headers = {"Auto-Submitted": "auto-replied", "Subject": "Out of office", "X-Loop": "1"}
        found = self.received(graph, self.reply(anyone, arrived(anyone)[0], headers=headers))
        assert (found["subject"], header(found, "subject")) == ("Out of office", "Out of office")
        assert (header(found, "auto-submitted"), header(found, "x-loop")) == ("auto-replied", "1")

    def test_another_in_reply_to_leads_elsewhere(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        other, message = sent(graph, subject="Other"), sent(graph)
        copy = arrived(anyone)[0]
        elsewhere = self.received(graph, self.reply(anyone, copy, headers={"In-Reply-To": other["internetMessageId"]}))
        assert elsewhere["conversationId"] == other["conversationId"]
        nowhere = self.received(graph, self.reply(anyone, copy, headers={"In-Reply-To": "<unknown@world.example>"}))
        assert nowhere["conversationId"] not in {other["conversationId"], message["conversationId"]}
        without = self.received(graph, self.reply(anyone, copy, headers={"In-Reply-To": None, "References": None}))
        assert (header(without, "In-Reply-To"), header(without, "References")) == (None, None)

    def test_a_bounce_is_a_real_report(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message = sent(graph)
        report = anyone.post(f"/local/mailboxes/{CUSTOMER}/bounce", json={"messageId": arrived(anyone)[0]["id"]})
        found = self.received(graph, report)
        assert found["conversationId"] == message["conversationId"]
        assert str(header(found, "Content-Type")).startswith("multipart/report; report-type=delivery-status")
        assert found["subject"] == "Undeliverable: Offer"
        assert found["from"]["emailAddress"]["address"].startswith("MicrosoftExchange")
        raw = graph.get(f"{USER}/messages/{found['id']}/$value").content
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        assert [part.get_content_type() for part in mail.iter_parts()] == [
            "text/html",
            "message/delivery-status",
            "message/rfc822",
        ]
        _, recipient = list(list(mail.iter_parts())[1].iter_parts())
        assert (recipient["Final-Recipient"], recipient["Action"]) == (f"rfc822;{CUSTOMER}", "failed")
        assert mail["In-Reply-To"] == message["internetMessageId"]

    @pytest.mark.parametrize("route", ["reply", "bounce"])
    def test_a_whole_message_arrives_as_it_is(self, graph: httpx.Client, anyone: httpx.Client, route: str) -> None:
        message = sent(graph)
        raw = (
            b"Return-Path: <>\r\nReceived: from mx\r\n\tby mail; today\r\n"
            b"From: =?utf-8?q?M=C3=BCller?= <ma@mx.example>\r\n"
            b"To: nobody@mx.example\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\nMessage-ID: <report-%s@mx.example>\r\n"
            b"In-Reply-To: %s\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nZ\xfcge\r\n.\r\n"
        ) % (uuid.uuid4().hex.encode(), message["internetMessageId"].encode())
        body = {"messageId": message["internetMessageId"], "mime": base64.b64encode(raw).decode()}
        answer = anyone.post(f"/local/mailboxes/{CUSTOMER}/{route}", json=body)
        assert answer.status_code == 201, answer.text
        found = self.received(graph, answer)
        assert found["from"]["emailAddress"] == {"name": "M\u00fcller", "address": "ma@mx.example"}
        assert (found["subject"], found["body"]["content"]) == ("Gr\u00fc\u00dfe", "Z\u00fcge\r\n.\r\n")
        assert found["conversationId"] == message["conversationId"]
        shown = [(entry["name"], entry["value"]) for entry in found["internetMessageHeaders"]]
        assert shown[:2] == [("Return-Path", "<>"), ("Received", "from mx\tby mail; today")]
        assert ("Content-Type", "text/plain; charset=iso-8859-1") in shown
        assert graph.get(f"{USER}/messages/{found['id']}/$value").content == raw

    def test_a_message_without_any_header_arrives_too(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        sent(graph)
        body = {"messageId": arrived(anyone)[0]["id"], "mime": base64.b64encode(b"\r\nlost\r\n").decode()}
        found = self.received(graph, anyone.post(f"/local/mailboxes/{CUSTOMER}/bounce", json=body))
        assert (found["subject"], found["internetMessageHeaders"]) == ("", [])

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("mailboxes/no-address/messages", None, 404),
            ("mailboxes/a@b.example/reply", {"messageId": "none", "body": "x"}, 404),
            ("mailboxes/a@b.example/bounce", {"messageId": "none"}, 404),
            ("mailboxes/a@b.example/reply", {"messageId": "none"}, 400),
            ("mailboxes/a@b.example/reply", {"messageId": 5, "body": "x"}, 400),
            ("mailboxes/a@b.example/reply", {"messageId": "a", "body": "x", "headers": {"A": 5}}, 400),
            ("mailboxes/a@b.example/reply", {"messageId": "a", "body": "x", "headers": {"A B": "5"}}, 400),
            ("mailboxes/a@b.example/reply", {"messageId": "a", "body": "x", "headers": {"A": "1\r\nB: 2"}}, 400),
            ("mailboxes/a@b.example/reply", {"messageId": "a", "body": "x", "colour": "red"}, 400),
            ("mailboxes/a@b.example/reply", [], 400),
            ("mailboxes/a@b.example/reply", {"messageId": "a", "mime": "no base64"}, 400),
            ("mailboxes/a@b.example/bounce", {"messageId": "a", "mime": 5}, 400),
            ("mailboxes/a@b.example/reply", {"messageId": "a", "mime": "YQ==", "body": "x"}, 400),
            ("mailboxes/a@b.example/reply", {"messageId": "none", "mime": "YQ=="}, 404),
            ("faults", {"status": 500}, 400),
            ("faults", {"match": "x"}, 400),
            ("faults", {"match": "x", "status": "broken"}, 400),
            ("faults", {"match": "x", "status": 500, "count": 0}, 400),
            ("tenants/nowhere/sharing", {"anonymous": False}, 405),
            ("nothing", None, 404),
        ],
    )
    def test_a_wrong_control_call_is_told_so(self, anyone: httpx.Client, path: str, body: Any, status: int) -> None:
        answer = anyone.get(f"/local/{path}") if body is None else anyone.post(f"/local/{path}", json=body)
        assert answer.status_code == status
        assert answer.json()["error"]["message"]

    def test_a_stopped_clock_dates_mail_and_lets_tokens_be(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        assert anyone.put("/local/clock", json={"now": "2021-03-04T05:06:07Z"}).status_code == 204
        message = draft(graph, subject="Long ago")
        assert message["createdDateTime"] == "2021-03-04T05:06:07Z"
        assert graph.post(f"{place(message)}/send").status_code == 202
        [came] = [message for message in arrived(anyone) if message["subject"] == "Long ago"]
        assert (came["sentDateTime"], came["receivedDateTime"]) == ("2021-03-04T05:06:07Z", "2021-03-04T05:06:07Z")
        for wrong in ({"now": "noon"}, {"now": 5}, {"now": "2021-03-04T05:06:07"}, {"hour": 1}):
            assert anyone.put("/local/clock", json=wrong).status_code == 400
        assert anyone.put("/local/clock", json={"now": None}).status_code == 204
        assert draft(graph)["createdDateTime"] > "2026"


class TestFaults:
    def test_the_next_calls_break_and_then_it_is_mended(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message = draft(graph)
        anyone.post("/local/faults", json={"match": "/send", "status": 429, "count": 2, "retryAfter": 7})
        for _ in range(2):
            answer = graph.post(f"{place(message)}/send")
            assert error_code(answer) == (429, "TooManyRequests")
            assert answer.headers["Retry-After"] == "7"
        assert graph.post(f"{place(message)}/send").status_code == 202

    @pytest.mark.parametrize(
        "match",
        [
            "/messages",
            "GET /users/",
            f"GET {USER}/messages",
            "GET /users/*/messages",
            "^GET .*/messages$",
            "seller@contoso",
        ],
    )
    def test_a_call_is_matched_in_several_spellings(
        self, graph: httpx.Client, anyone: httpx.Client, match: str
    ) -> None:
        anyone.post("/local/faults", json={"match": match, "status": 503})
        assert graph.get(f"/v1.0/users/{quote(SELLER, safe='')}/messages").status_code == 503
        assert graph.get(f"{USER}/messages").status_code == 200

    def test_other_calls_are_spared(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        anyone.post("/local/faults", json={"match": "POST /users/*/send", "status": 500})
        assert graph.get(f"{USER}/messages").status_code == 200
        assert len(anyone.get("/local/faults").json()["value"]) == 1

    def test_clearing_mends_everything(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        anyone.post("/local/faults", json={"match": "", "status": 500, "count": 99})
        assert graph.get(USER).status_code == 500
        assert anyone.delete("/local/faults").status_code == 204
        assert graph.get(USER).status_code == 200

    def test_an_answer_can_be_lost_after_the_deed(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message = draft(graph, toRecipients=to("lost@world.example"))
        anyone.post("/local/faults", json={"match": "/send", "status": 504, "after": True})
        assert graph.post(f"{place(message)}/send").status_code == 504
        assert len(arrived(anyone, "lost@world.example")) == 1

    @pytest.mark.parametrize("status", [0, "drop"])
    def test_a_connection_can_be_cut(self, graph: httpx.Client, anyone: httpx.Client, status: int | str) -> None:
        anyone.post("/local/faults", json={"match": "/messages", "status": status})
        with pytest.raises(httpx.TransportError):
            graph.get(f"{USER}/messages")
        assert graph.get(f"{USER}/messages").status_code == 200

    def test_a_connection_can_be_cut_after_the_deed(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        message = draft(graph, toRecipients=to("cut@world.example"))
        anyone.post("/local/faults", json={"match": "/send", "status": "drop", "after": True})
        with pytest.raises(httpx.TransportError):
            graph.post(f"{place(message)}/send")
        assert len(arrived(anyone, "cut@world.example")) == 1

    def test_a_delay_alone_only_slows(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        anyone.post("/local/faults", json={"match": "/messages", "delay": 0.3})
        begun = time.monotonic()
        assert graph.get(f"{USER}/messages").status_code == 200
        assert time.monotonic() - begun >= 0.3

    def test_tokens_and_uploads_break_too_but_never_the_control_calls(
        self, graph: httpx.Client, anyone: httpx.Client
    ) -> None:
        session = graph.post(f"{USER}/drive/root:/Faults/a.bin:/createUploadSession", json={}).json()
        anyone.post("/local/faults", json={"match": "", "status": 503, "count": 2})
        assert anyone.get("/local/faults").status_code == 200
        assert user_token(anyone).status_code == 503
        assert anyone.get(session["uploadUrl"]).status_code == 503
        assert anyone.get(session["uploadUrl"]).status_code == 200

    def test_an_error_keeps_graphs_shape(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        document = json.loads(CONTRACT.read_bytes())
        shape = {
            "$ref": "#/components/schemas/microsoft.graph.ODataErrors.ODataError",
            "components": document["components"],
        }
        for status in (400, 401, 403, 404, 409, 412, 413, 429, 500, 502, 503, 504):
            anyone.post("/local/faults", json={"match": "/messages", "status": status})
            Draft202012Validator(shape).validate(graph.get(f"{USER}/messages").json())

    def test_calls_are_counted(self, graph: httpx.Client, anyone: httpx.Client) -> None:
        anyone.delete("/local/requests")
        anyone.post("/local/faults", json={"match": "/messages", "status": 503})
        graph.get(f"{USER}/messages?$top=1")
        graph.get(USER)
        assert anyone.get("/local/requests").json()["value"] == [
            {"method": "GET", "path": f"{USER}/messages?$top=1", "status": 503},
            {"method": "GET", "path": USER, "status": 200},
        ]

    @given(st.text(max_size=30))
    def test_no_pattern_breaks_matching(self, pattern: str) -> None:
        faults = [read_fault({"match": pattern, "status": 500})]
        take(faults, "GET", ["/users/a/messages"])
        assert len(faults) in {0, 1}


class TestRobustness:
    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_no_body_breaks_a_call(self, graph: httpx.Client, data: st.DataObject) -> None:
        made = draft(graph)
        places = {
            f"{USER}/messages": (
                "subject",
                "body",
                "toRecipients",
                "from",
                "internetMessageHeaders",
                "attachments",
                "flag",
            ),
            f"{place(made)}/attachments": ("@odata.type", "name", "contentBytes", "contentType"),
            f"{place(made)}/attachments/createUploadSession": ("AttachmentItem",),
            f"{USER}/sendMail": ("message", "saveToSentItems"),
            f"{USER}/drive/root/children": ("name", "folder", "@microsoft.graph.conflictBehavior"),
            f"{USER}/drive/root:/a.txt:/createUploadSession": ("item", "fileSize"),
            f"{USER}/drive/root:/a.txt:/createLink": ("type", "scope", "expirationDateTime"),
            "/v1.0/subscriptions": ("changeType", "notificationUrl", "resource", "expirationDateTime", "clientState"),
            f"/local/mailboxes/{CUSTOMER}/reply": ("messageId", "body", "headers", "mime"),
            "/local/faults": ("match", "status", "count", "delay", "retryAfter", "after", "code"),
        }
        path = data.draw(st.sampled_from(sorted(places)))
        names = st.sampled_from(places[path]) | st.text(NOT_SURROGATE, max_size=5)
        body = data.draw(st.dictionaries(names, JSON, max_size=5) | JSON)
        answer = graph.post(path, json=body)
        graph.delete("/local/faults")
        graph.delete("/local/violations")
        assert answer.status_code < 500, answer.text

    @settings(max_examples=100, deadline=None)
    @given(
        st.sampled_from(["/local/mailboxes/", f"{USER}/messages/", f"{USER}/drive/root:/", "/mail/", "/"]),
        st.binary(max_size=30),
    )
    def test_no_path_breaks_it(self, graph: httpx.Client, beginning: str, rest: bytes) -> None:
        assert graph.get(beginning + quote(rest)).status_code < 500


class TestContractCheck:
    """The check above can fail: what breaks the contract is found."""

    @pytest.mark.parametrize(
        ("status", "body", "wrong"),
        [
            (200, {"value": [{"subject": "without an id"}]}, "'id' is a required property"),
            (200, {"value": [{"id": "a", "colour": "red"}]}, "'colour'"),
            (200, {"value": [{"id": "a", "isRead": "yes"}]}, "isRead"),
            (404, {"error": "not found"}, "error"),
        ],
    )
    async def test_a_wrong_answer_is_found(self, tmp_path: Path, status: int, body: Any, wrong: str) -> None:
        standin = StandIn("http://127.0.0.1", open_store(":memory:"), load_signer(tmp_path / "key.pem"))
        checked = Contract(JSONResponse(body, status), standin, CONTRACT)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(checked), base_url="http://127.0.0.1") as client:
            await client.get(f"{USER}/messages")
        assert [violation for violation in standin.violations if wrong in violation]

    async def test_a_wrong_request_that_is_accepted_is_found(self, tmp_path: Path) -> None:
        standin = StandIn("http://127.0.0.1", open_store(":memory:"), load_signer(tmp_path / "key.pem"))

        async def accept(scope: Scope, receive: Receive, send: Send) -> None:
            await Request(scope, receive).body()
            await JSONResponse({"id": "a"}, 201)(scope, receive, send)

        checked = Contract(accept, standin, CONTRACT)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(checked), base_url="http://127.0.0.1") as client:
            await client.post(f"{USER}/messages", json={"colour": "red"})
            await client.get(f"{USER}/contacts")
        assert "colour" in standin.violations[0]
        assert "Path not found" in standin.violations[1]

    @pytest.mark.parametrize(
        ("path", "spelled"),
        [
            ("/v1.0/users/a/drive/root:/x/y%20z.txt:/content", "/v1.0/users/a/drive/root:/x%2Fy%20z.txt:/content"),
            ("/v1.0/users/a/drive/root:/x/y", "/v1.0/users/a/drive/root:/x%2Fy"),
            ("/v1.0/users/a/drive/root:/x/y:", "/v1.0/users/a/drive/root:/x%2Fy"),
            ("/v1.0/drives/d/items/root%3A%2Fx%2Fy%3A/createLink", "/v1.0/users/d/drive/root:/x%2Fy:/createLink"),
            ("/v1.0/drives/d/items/7/content", "/v1.0/users/d/drive/items/7/content"),
            ("/v1.0/users/a/messages", "/v1.0/users/a/messages"),
        ],
    )
    def test_paths_are_spelled_as_in_the_contract(self, path: str, spelled: str) -> None:
        assert contract_path(path) == spelled


class TestRestart:
    def test_mail_files_and_subscriptions_survive(self, tmp_path: Path, receiver: Receiver) -> None:
        with running(tmp_path, CONTRACT) as first, httpx.Client(base_url=first) as client:
            port, headers = urlsplit(first).port or 0, {"Authorization": f"Bearer {app_token(client)}", **IMMUTABLE}
            client.headers = httpx.Headers(headers)
            message = sent(client)
            client.put(f"{USER}/drive/root:/a.txt:/content", content=b"kept").raise_for_status()
            TestSubscriptions().subscribe(client, receiver).raise_for_status()
        with running(tmp_path, CONTRACT, port) as second, httpx.Client(base_url=second, headers=headers) as client:
            assert client.get(place(message)).json()["subject"] == "Offer"
            assert arrived(client)[0]["internetMessageId"] == message["internetMessageId"]
            assert client.get(client.get(f"{USER}/drive/root:/a.txt:/content").headers["Location"]).content == b"kept"
            made = draft(client)
            assert receiver.until(lambda told: told["resourceData"]["id"] == made["id"])


class TestSdk:
    @pytest.mark.filterwarnings("ignore:This class is deprecated:DeprecationWarning")
    @pytest.mark.filterwarnings("ignore:GetQueryParameters is deprecated:DeprecationWarning")
    async def test_the_real_sdk_drafts_attaches_sends_lists_follows_and_subscribes(
        self, base_url: str, anyone: httpx.Client, receiver: Receiver
    ) -> None:
        from azure.core.credentials import AccessToken
        from kiota_abstractions.base_request_configuration import RequestConfiguration
        from kiota_authentication_azure.azure_identity_authentication_provider import (
            AzureIdentityAuthenticationProvider,
        )
        from msgraph.generated.drives.item.items.item.create_upload_session import (
            create_upload_session_post_request_body as upload_session,
        )
        from msgraph.generated.models.body_type import BodyType
        from msgraph.generated.models.email_address import EmailAddress
        from msgraph.generated.models.file_attachment import FileAttachment
        from msgraph.generated.models.item_body import ItemBody
        from msgraph.generated.models.message import Message
        from msgraph.generated.models.o_data_errors.o_data_error import ODataError
        from msgraph.generated.models.recipient import Recipient
        from msgraph.generated.models.subscription import Subscription
        from msgraph.graph_request_adapter import GraphRequestAdapter
        from msgraph.graph_service_client import GraphServiceClient

        class Credential:
            def get_token(self, *scopes: str, **_: Any) -> AccessToken:
                return AccessToken(app_token(anyone), int(time.time()) + 3600)

        provider = AzureIdentityAuthenticationProvider(Credential(), scopes=["https://graph.microsoft.com/.default"])
        adapter = GraphRequestAdapter(provider)
        adapter.base_url = f"{base_url}/v1.0"
        client = GraphServiceClient(request_adapter=adapter)
        user, configuration = client.users.by_user_id(SELLER), RequestConfiguration[Any]()
        configuration.headers.add("Prefer", 'IdType="ImmutableId"')

        made = await user.messages.post(
            Message(
                subject="By the SDK",
                body=ItemBody(content_type=BodyType.Html, content="<p>Hi</p>"),
                to_recipients=[Recipient(email_address=EmailAddress(address="sdk@world.example"))],
            ),
            configuration,
        )
        assert made is not None
        assert made.id is not None
        one = user.messages.by_message_id(made.id)
        attachment = FileAttachment(odata_type="#microsoft.graph.fileAttachment", name="a.txt", content_bytes=b"abc")
        await one.attachments.post(attachment)
        await one.send.post(configuration)
        copy = arrived(anyone, "sdk@world.example")[0]
        assert (copy["subject"], copy["attachments"][0]["name"]) == ("By the SDK", "a.txt")

        folder = user.mail_folders.by_mail_folder_id("sentitems")
        listed = await folder.messages.get(configuration)
        assert listed is not None
        assert made.id in {message.id for message in listed.value or []}
        followed = await folder.messages.delta.get(configuration)
        assert followed is not None
        assert followed.odata_delta_link or followed.odata_next_link

        expires = datetime.now(UTC) + timedelta(hours=2)
        subscription = await client.subscriptions.post(
            Subscription(
                change_type="created",
                notification_url=receiver.url,
                resource=f"/users/{SELLER}/messages",
                expiration_date_time=expires,
                client_state="sdk",
            )
        )
        assert subscription is not None
        assert subscription.client_state == "sdk"

        drive = await user.drive.get()
        assert drive is not None
        assert drive.id is not None
        target = client.drives.by_drive_id(drive.id).items.by_drive_item_id("root:/SDK/a b.txt:")
        session = await target.create_upload_session.post(upload_session.CreateUploadSessionPostRequestBody())
        assert session is not None
        async with httpx.AsyncClient() as uploader:
            done = await uploader.put(str(session.upload_url), content=b"abc", headers={"Content-Range": "bytes 0-2/3"})
        assert done.json()["name"] == "a b.txt"
        with pytest.raises(ODataError) as refused:
            await user.messages.by_message_id("unknown").get()
        assert refused.value.error is not None
        assert refused.value.error.code == "ErrorItemNotFound"
