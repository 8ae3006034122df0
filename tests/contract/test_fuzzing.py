"""The Web API over HTTP, asked everything that its description allows and much that it does not: whatever comes in, the
answer is one that is documented."""

import http.client
import json
import re
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

import hypothesis
import jsonschema_rs
import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks

from shared.webapi.tables import SETS
from tests.contract.openapi import ERROR_SHAPE, ERRORS, KNOWN_ID, description
from tests.entra import Issuer, issuing
from tests.hosts import hosts
from tests.organizations import an_organization

API = schemathesis.openapi.from_dict(description())
API.config.generation.deterministic = True
EACH_VALUE = API.exclude(method="POST")
"""What is tried with the limits of every parameter and column; PATCH makes rows as well as POST, so not that too."""
MAKING = schemathesis.openapi.from_dict(description()).include(method="POST")
MAKING.config.generation.deterministic = True
MAKING.config.phases.coverage.enabled = False
BOUNDED = hypothesis.settings(
    max_examples=4,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
DOCUMENTED = frozenset({200, 201, 204, 304}) | {status for some in ERRORS.values() for status in some}
INSIDES = re.compile(
    rb"Traceback|File \"|AccountKey|devstoreaccount|AzureWebJobs|site-packages|\.py\b|eyJ[A-Za-z0-9_-]{9}"
)
SETS_TO_WRITE = sorted(name for name, table in SETS.items() if table.creatable)
NEEDS_MORE = frozenset({"activitymimeattachments", "actioncarduserstates", "templates"})
"""Sets whose rows need more than a description can say: a row that they belong to, the name of a table."""
NOWHERE = "0b1d0b6e-0000-4000-8000-000000000009"


@dataclass(frozen=True)
class Answer:
    """An HTTP response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Service:
    """A running service, and an administrator of an organization of it."""

    url: str
    """The root of the organization's Web API."""
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def send(self, raw: bytes) -> Answer:
        """Send bytes as they are, and read one answer."""
        parts = urlsplit(self.url)
        method = raw.partition(b" ")[0].decode("latin-1")
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as connection:
            connection.sendall(raw)
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            body = answer.read()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)

    def request(self, method: str, target: bytes, body: bytes = b"", **headers: bytes) -> bytes:
        """Return the bytes of a request; `target` follows the Web API's root, undecoded."""
        sent = {
            b"Host": urlsplit(self.url).netloc.encode(),
            b"Authorization": f"Bearer {self.token}".encode(),
            b"Content-Type": b"application/json",
            **{name.replace("_", "-").encode(): value for name, value in headers.items()},
            b"Content-Length": str(len(body)).encode(),
            b"Connection": b"close",
        }
        lines = [method.encode() + b" " + urlsplit(self.url).path.encode() + target + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in sent.items()]
        return b"\r\n".join([*lines, b"", body])


@pytest_asyncio.fixture(scope="module")
async def service(configured: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """Return a host of the whole app with an organization whose administrator has no budget to speak of."""
    directory: Path = tmp_path_factory.mktemp("fuzzing")
    with issuing() as issuer:
        environment = {"MICROSOFT365_URL": issuer.url, "WEB_API_REQUESTS_PER_FIVE_MINUTES": "1000000"}
        async with an_organization() as organization:
            with hosts(1, directory, **environment) as (host,):
                made = Service(f"{host.url}/{organization.name}/api/data/v9.2", _token(issuer, organization.tenant))
                for entity_set in SETS_TO_WRITE:
                    made.send(made.request("PATCH", f"/{entity_set}({KNOWN_ID})".encode(), b"{}"))
                yield made


def _token(issuer: Issuer, tenant: str) -> str:
    return issuer.token(tenant, str(uuid.uuid4()), roles=["Administrator"])


def wrong(answer: Answer) -> str:
    """Return what is wrong with an answer, "" where it is one that is documented."""
    if "x-ms-service-request-id" not in answer.headers:
        # The server in front refuses what is no HTTP, the router what is no path of ours; both say nothing more.
        return "" if answer.status in (400, 404, 413, 414, 431) and len(answer.body) < 100 else "it is not our answer"
    if answer.status not in DOCUMENTED:
        return f"the status {answer.status} is not documented"
    if answer.headers.get("odata-version") != "4.0":
        return "it lacks OData-Version: 4.0"
    if found := INSIDES.search(answer.body):
        return f"it tells of our insides: {found[0]!r}"
    if re.search(rb"HTTP/1\.1 5(?!01)\d\d", answer.body):
        return "a part of a batch failed on our side"
    if answer.status in (204, 304, 401):
        if answer.status == 401 and not answer.headers.get("www-authenticate", "").startswith("Bearer "):
            return "a 401 that does not say how to sign in"
        return f"a {answer.status} with a body" if answer.body else ""
    return _wrong_error(answer) if answer.status >= 400 else ""


def _wrong_error(answer: Answer) -> str:
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return "an error that is not application/json"
    try:
        jsonschema_rs.validate(ERROR_SHAPE, json.loads(answer.body))
    except jsonschema_rs.ValidationError as error:
        return f"an error of another shape: {error.message}"
    except ValueError as error:
        return f"an error that is not JSON: {error}"
    return ""


def documented(_context: Any, response: schemathesis.Response, _case: schemathesis.Case[Any]) -> None:
    """Check an answer to schemathesis."""
    headers = {name.lower(): values[0] for name, values in response.headers.items()}
    found = wrong(Answer(response.status_code, headers, response.content))
    assert not found, f"{found}: {response.content[:500]!r}"


CHECKS: list[Any] = [
    documented,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def session() -> requests.Session:
    return requests.Session()


@EACH_VALUE.parametrize()
@BOUNDED
def test_every_operation_answers_as_its_description_says(
    case: schemathesis.Case[Any], service: Service, session: requests.Session
) -> None:
    response = case.call(base_url=service.url, headers=service.headers, session=session, allow_redirects=False)
    case.validate_response(response, checks=CHECKS)


@MAKING.parametrize()
@hypothesis.settings(BOUNDED, max_examples=15)
def test_rows_are_made_or_refused_as_described(
    case: schemathesis.Case[Any], service: Service, session: requests.Session
) -> None:
    response = case.call(base_url=service.url, headers=service.headers, session=session, allow_redirects=False)
    case.validate_response(response, checks=CHECKS)


@pytest.mark.parametrize("entity_set", SETS_TO_WRITE)
def test_a_row_lives_from_its_creation_to_its_end_as_described(
    service: Service, session: requests.Session, entity_set: str
) -> None:
    reached: set[str] = set()

    def answered(case: schemathesis.Case[Any], row: str = "") -> schemathesis.Response:
        case.path_parameters |= {"id": row} if row else {}
        case.headers.pop("If-Match", None)
        response = case.call(base_url=service.url, headers=service.headers, session=session, allow_redirects=False)
        case.validate_response(response, checks=CHECKS)
        reached.add(f"{case.method} {response.status_code}")
        return response

    # All is drawn before anything is sent: what is drawn must not depend on answers.
    @hypothesis.settings(BOUNDED, max_examples=10)
    @given(
        API[f"/{entity_set}"]["POST"].as_strategy(),
        API[f"/{entity_set}({{id}})"]["PATCH"].as_strategy(),
        API[f"/{entity_set}({{id}})"]["GET"].as_strategy(),
        API[f"/{entity_set}({{id}})"]["DELETE"].as_strategy(),
    )
    def lives(
        made: schemathesis.Case[Any],
        changed: schemathesis.Case[Any],
        read: schemathesis.Case[Any],
        deleted: schemathesis.Case[Any],
    ) -> None:
        found = re.search(r"\(([0-9a-f-]+)\)$", answered(made).headers.get("odata-entityid", [""])[0])
        if found is not None:
            for case in (read, changed, deleted):
                answered(case, found[1])

    lives()
    assert reached & {"POST 204", "POST 201"} or entity_set in NEEDS_MORE, sorted(reached)


HOSTILE_TARGETS = [
    b"//contacts",
    b"/contacts//",
    b"/%00",
    b"/contacts(%00)",
    b"/contacts(%ED%A0%80)",
    b"/contacts(%FF)",
    b"/contacts%2F$count",
    b"/contacts('%27",
    b"/contacts(((((",
    b"/contacts)",
    b"/../../../etc/passwd",
    b"/..%2f..%2fo/x",
    b"/contacts/\xff\xfe",
    b"/contacts?",
    b"/contacts?&&&=&",
    b"/contacts?$filter",
    b"/contacts?$filter=%",
    b"/contacts?$filter=%zz%0",
    b"/contacts?$filter=lastname%20eq%20'%00'",
    b"/contacts?$filter=lastname%20eq%20'%ED%A0%BD'",
    b"/contacts?$filter=lastname%20eq%20'\xff'",
    b"/contacts?$filter=lastname%20eq%20'%F0%9F%98%80'",
    b"/contacts?$filter=lastname eq 'raw spaces'",
    b"/contacts?$filter=" + b"(" * 3000,
    b"/contacts?$filter=" + b"not%20" * 2000 + b"true",
    b"/contacts?$filter=createdon%20gt%209999-12-31T23:59:59%2B14:00",
    b"/contacts?$filter=createdon%20gt%200001-01-01T00:00:00-14:00",
    b"/contacts?$filter=numberofchildren%20eq%20" + b"9" * 5000,
    b"/accounts?$filter=numberofemployees%20eq%20" + b"9" * 5000,
    b"/accounts?$filter=numberofemployees%20eq%201e999",
    b"/accounts?$filter=numberofemployees%20eq%20NaN",
    b"/contacts?$filter=Microsoft.Dynamics.CRM.LastXDays(PropertyName='createdon',PropertyValue=99999999999)",
    b"/contacts?$filter=@p1&@p1=@p1",
    b"/contacts?$filter=lastname%20eq%20@p&@p=" + b"'x" * 500,
    b"/contacts?$filter=true&$filter=false",
    b"/contacts?$select=lastname&%24select=firstname&$SELECT=x",
    b"/contacts?$top=-1",
    b"/contacts?$top=%D9%A3",
    b"/contacts?$top=" + b"9" * 400,
    b"/contacts?$count=TRUE",
    b"/contacts?$orderby=lastname%20desc%20asc",
    b"/contacts?$orderby=%20",
    b"/contacts?$orderby=,",
    b"/contacts?$expand=(",
    b"/contacts?$expand=ownerid($expand=ownerid($expand=ownerid))",
    b"/contacts?$skiptoken=%00",
    b"/contacts?$skiptoken=bnVsbA",
    b"/contacts?$skiptoken=WzIsW10sIngiLG51bGxd",
    b"/contacts?$skiptoken=W251bGwsW10sMSwxXQ",
    b"/contacts?$skip=1",
    b"/contacts?$apply=aggregate($count%20as%20n)",
    b"/contacts?fetchXml=%3Cfetch%3E",
    b"/contacts?sql=SELECT%201",
    b"/contacts?" + b"a=b&" * 10_000,
    b"/EntityDefinitions(LogicalName='%00')",
    b"/EntityDefinitions?$filter=" + b"(" * 2000,
    b"/EntityDefinitions?$filter=LogicalName%20eq%20",
    b"/EntityDefinitions?$select=%00,,",
    b"/WhoAmI()?@p1=%00",
    b"/$metadata?$format=%FF",
    b"/$batch",
    b"/$entity?$id=%00",
]


@pytest.mark.parametrize("target", HOSTILE_TARGETS, ids=lambda target: ascii(target[:60])[2:-1])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_hostile_address_gets_a_documented_answer(service: Service, method: str, target: bytes) -> None:
    body = b"{}" if method == "POST" else b""
    assert wrong(service.send(service.request(method, target, body))) == ""


DEEP = 50_000
HOSTILE_BODIES = {
    "nothing": b"",
    "nul": b"\0",
    "cut": b'{"lastname": "A',
    "bom": b'\xef\xbb\xbf{"lastname": "A"}',
    "utf-16": '{"lastname": "A"}'.encode("utf-16"),
    "utf-16 without a mark": '{"lastname": "A"}'.encode("utf-16-le"),
    "invalid utf-8": b'{"lastname": "\xff\xc0\x80"}',
    "utf-8 surrogate": b'{"lastname": "\xed\xa0\x80"}',
    "lone surrogate": b'{"lastname": "\\ud800"}',
    "lone surrogate in a name": b'{"\\udfff": 1}',
    "lone surrogate in a reference": b'{"ownerid@odata.bind": "/systemusers(\\ud800)"}',
    "nul in a text": b'{"lastname": "\\u0000"}',
    "nul in a name": b'{"\\u0000": 1}',
    "deep lists": b"[" * DEEP,
    "deep objects": b'{"lastname":' * DEEP,
    "deep and closed": b'{"lastname":' + b"[" * 900 + b"]" * 900 + b"}",
    "duplicate names": b'{"lastname": "A", "lastname": {"a": 1}}',
    "huge integer": b'{"numberofemployees": ' + b"9" * 5000 + b"}",
    "big integer": b'{"numberofemployees": 99999999999999999999}',
    "infinite": b'{"numberofemployees": 1e999}',
    "tiny": b'{"numberofemployees": 1e-999}',
    "not a number": b'{"numberofemployees": NaN}',
    "minus zero": b'{"numberofemployees": -0.0}',
    "a list": b"[{}]",
    "null": b"null",
    "empty name": b'{"": 1}',
    "an annotation of nothing": b'{"@odata.bind": "/contacts(1)"}',
    "an annotation of an annotation": b'{"ownerid@odata.bind@odata.bind": "x"}',
    "reference to a list": b'{"ownerid@odata.bind": ["/systemusers(1)"]}',
    "prototype": b'{"__proto__": {"a": 1}, "__class__": "x"}',
    "far future": b'{"createdon": "99999-12-31T23:59:59Z", "lastonholdtime": "9999-12-31T23:59:59-14:00"}',
    "parties that are none": b'{"email_activity_parties": [[], null, 1]}',
    "party without anything": b'{"email_activity_parties": [{}]}',
    "party that names an object": b'{"email_activity_parties": [{"partyid_contact@odata.bind": {}}]}',
    "attachment that is no base64": b'{"email_activity_mime_attachment": [{"filename": "a", "body": "\\ud800"}]}',
    "time without an end": b'{"emailreminderexpirytime": "0000-00-00T99:99:99Z"}',
}


@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_a_hostile_body_gets_a_documented_answer(service: Service, name: str) -> None:
    body = HOSTILE_BODIES[name]
    for entity_set in SETS_TO_WRITE:
        target = f"/{entity_set}".encode()
        for request in (
            service.request("POST", target, body),
            service.request("POST", target, body, Prefer=b"return=representation"),
            service.request("PATCH", target + f"({uuid.uuid4()})".encode(), body),
            service.request("PUT", target + f"({NOWHERE})/statuscode".encode(), body),
            service.request("PUT", target + f"({NOWHERE})/ownerid/$ref".encode(), body),
        ):
            answer = service.send(request)
            assert wrong(answer) == "", (request[:300], answer)
    for action in (b"/FollowEmailAttachment", b"/emails(%s)/Microsoft.Dynamics.CRM.SendEmail" % NOWHERE.encode()):
        assert wrong(service.send(service.request("POST", action, body))) == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": b"text/plain"},
        {"Content_Type": b"application/json; charset=nonsense"},
        {"Content_Type": b"multipart/mixed"},
        {"Content_Type": b"\xff;;=;"},
        {"Content_Encoding": b"gzip"},
        {"Accept": b"application/atom+xml"},
        {"Accept_Encoding": b"\xff"},
        {"Prefer": b"\xff=\xfe;\x7f"},
        {"Prefer": b'odata.include-annotations="' + b"*" * 2000},
        {"Prefer": b'odata.include-annotations="[!]]],[*,\xe9"'},
        {"Prefer": b"odata.maxpagesize=0"},
        {"Prefer": b"odata.maxpagesize=\xb2"},
        {"Prefer": b"odata.maxpagesize=" + b"9" * 1000},
        {"Prefer": b'",",",' * 500},
        {"If_Match": b"\xff"},
        {"If_Match": b'W/"-1"'},
        {"If_Match": b'W/"' + b"9" * 20 + b'"'},
        {"If_Match": b'W/"1", W/"2"'},
        {"If_None_Match": b"*"},
        {"If_None_Match": b'"' * 2000},
        {"Host": b"[::1"},
        {"Host": b"a b"},
        {"Host": b""},
        {"Host": b"\xff.example"},
        {"Host": b"a.example:99999999"},
        {"Host": b"evil.example/<x>?"},
        {"X_Forwarded_Host": b"[", "X_Forwarded_Proto": b"javascript"},
        {"X_Forwarded_For": b"[::1, \xff, 1.2.3.4:x"},
        {"Origin": b"\xff\x00".rstrip(b"\0")},
        {"User_Agent": b"\xff" * 3000},
        {"MSCRMCallerID": NOWHERE.encode(), "CallerObjectId": b"x"},
    ],
    ids=ascii,
)
def test_hostile_headers_get_a_documented_answer(service: Service, headers: dict[str, bytes]) -> None:
    row = b"/contacts(" + str(uuid.uuid4()).encode() + b")"
    for request in (
        service.request("PATCH", row, b'{"lastname": "A"}', **headers),
        service.request("GET", row, **headers),
        service.request("GET", b"/contacts?$top=2", **headers),
        service.request("POST", b"/contacts", b'{"lastname": "A"}', **{"Prefer": b"return=representation", **headers}),
        service.request("DELETE", row, **headers),
        service.request("OPTIONS", row, **headers),
        service.request("POST", b"/$batch", b"--x--", **{"Content_Type": b"multipart/mixed; boundary=x", **headers}),
    ):
        answer = service.send(request)
        assert wrong(answer) == "", (request[:300], answer)


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Bearer",
        b"Bearer \xff",
        b"Basic eDp5",
        b"Bearer " + b"a." * 5000,
        b"Bearer e30.e30.",
        b"Negotiate x",
        b"\t",
    ],
    ids=lambda value: ascii(value[:20])[2:-1],
)
def test_hostile_credentials_get_an_empty_401(service: Service, authorization: bytes) -> None:
    for method, target in (("GET", b"/contacts"), ("POST", b"/$batch"), ("DELETE", b"/nosuch"), ("PATCH", b"")):
        answer = service.send(service.request(method, target, b"", Authorization=authorization))
        assert (answer.status, wrong(answer)) == (401, "")


BATCH_PIECES = st.sampled_from(
    [
        b"--x",
        b"--x--",
        b"--y",
        b"--y--",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"Content-Type: application/http\r\n",
        b"Content-Type: multipart/mixed; boundary=y\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n",
        b"Content-Type: multipart/mixed\r\n",
        b"Content-Transfer-Encoding: binary\r\n",
        b"Content-ID: 1\r\n",
        b"Content-ID: \xff\r\n",
        b"Content-Type: application/json\r\n",
        b"GET contacts?$top=1 HTTP/1.1\r\n",
        b"GET /nosuch HTTP/1.1\r\n",
        b"GET http://[/api/data/v9.2/contacts HTTP/1.1\r\n",
        b"POST contacts HTTP/1.1\r\n",
        b"POST $batch HTTP/1.1\r\n",
        b"PATCH $1 HTTP/1.1\r\n",
        b"PATCH $2/lastname HTTP/1.1\r\n",
        b"DELETE contacts(%00) HTTP/1.1\r\n",
        b"\xff\x00 \xfe HTTP/9\r\n",
        b"GET\r\n",
        b'{"lastname": "A"}\r\n',
        b'{"lastname": ',
        b'{"parentcustomerid_contact@odata.bind": "$1"}\r\n',
        b"\xff\xfe\x00",
    ]
)


def test_no_batch_brings_the_service_down(service: Service) -> None:
    @hypothesis.settings(BOUNDED, max_examples=250)
    @given(
        st.lists(BATCH_PIECES, max_size=25).map(b"".join),
        st.sampled_from([b"boundary=x", b'boundary="x"', b"boundary=", b"boundary=\xff", b"charset=utf-8", b""]),
        st.sampled_from([b"", b"odata.continue-on-error"]),
    )
    def send(body: bytes, parameter: bytes, prefer: bytes) -> None:
        kind = b"multipart/mixed;" + parameter
        answer = service.send(service.request("POST", b"/$batch", body, Content_Type=kind, Prefer=prefer))
        assert wrong(answer) == "", (body, answer)

    send()


TEXTS = st.binary(max_size=20).map(lambda raw: quote_from_bytes(raw, safe="'()=&;/").encode())
"""Any bytes, percent-encoded: raw ones are refused by the server in front."""
TARGET_PIECES = st.one_of(
    TEXTS,
    st.sampled_from(
        [f"/{name}".encode() for name in SETS]
        + [f"({NOWHERE})".encode(), b"/", b"(", b")", b"'", b"?", b"&", b"=", b"%", b"%25", b"%00", b"%C3", b"+", b"$"]
        + [b"$filter=", b"$select=", b"$expand=", b"$orderby=", b"$count=true", b"$top=1", b"$ref", b"$value", b"@p1="]
        + [b"%20eq%20", b"%20and%20", b"not%20", b"null", b"1", b"-1", b"true", b"lastname", b"subject", b"createdon"]
        + [b"statuscode", b"ownerid", b"Microsoft.Dynamics.CRM.", b"contains(", b"/any(x:x/", b",", b";", b"/$count"]
    ),
)


def test_no_address_brings_the_service_down(service: Service) -> None:
    ours: list[bool] = []

    @hypothesis.settings(BOUNDED, max_examples=500)
    @given(
        st.sampled_from(["GET", "GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"]),
        st.lists(TARGET_PIECES, max_size=12).map(b"".join),
        st.sampled_from([b"", b"{}", b'{"value": null}', b'{"lastname": "A"}']),
    )
    def send(method: str, target: bytes, body: bytes) -> None:
        answer = service.send(service.request(method, b"/" + target, body))
        if method != "HEAD":
            assert wrong(answer) == "", (method, target, answer)
        assert answer.status < 500 or answer.status == 501
        ours.append("x-ms-service-request-id" in answer.headers)

    send()
    assert sum(ours) > 400, "nearly all of them reach the service"


OURS = {
    "x-ms-service-request-id": "1",
    "odata-version": "4.0",
    "content-type": "application/json; odata.metadata=minimal",
}
ERROR = b'{"error":{"code":"0x80040216","message":"An error."}}'


@pytest.mark.parametrize(
    ("answer", "culprit"),
    [
        (Answer(500, OURS, ERROR), "500"),
        (Answer(503, OURS, ERROR), "503"),
        (Answer(500, {}, b""), "not our answer"),
        (Answer(418, OURS, ERROR), "418"),
        (Answer(400, {**OURS, "odata-version": "2.0"}, ERROR), "OData-Version"),
        (Answer(400, {**OURS, "content-type": "text/html"}, ERROR), "application/json"),
        (Answer(400, OURS, b"<html>"), "not JSON"),
        (Answer(400, OURS, b""), "not JSON"),
        (Answer(400, OURS, b'{"error":{"code":"0x80040216","message":""}}'), "another shape"),
        (Answer(400, OURS, b'{"error":{"code":"0x80040216","message":"A","stack":"B"}}'), "another shape"),
        (Answer(400, OURS, b'{"message":"An error has occurred."}'), "another shape"),
        (Answer(400, OURS, ERROR.replace(b"An error", b"Traceback (most recent call last)")), "insides"),
        (Answer(401, OURS, b""), "sign in"),
        (Answer(401, {**OURS, "www-authenticate": "Bearer x"}, ERROR), "with a body"),
        (Answer(204, OURS, b"{}"), "with a body"),
        (Answer(200, OURS, b"--batch\r\nHTTP/1.1 500 Internal Server Error\r\n"), "batch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_planted_fault_is_found(answer: Answer, culprit: str) -> None:
    assert culprit in wrong(answer)


def test_a_planted_fault_is_found_by_schemathesis() -> None:
    case = API["/contacts"]["POST"].Case(body={})
    request = requests.Request("POST", "http://127.0.0.1/contacts").prepare()
    response = schemathesis.Response(
        500, {name: [value] for name, value in OURS.items()}, ERROR, request, 0, verify=True
    )
    with pytest.raises(BaseExceptionGroup) as raised:
        case.validate_response(response, checks=CHECKS)
    assert "500 is not documented" in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(400, OURS, ERROR),
        Answer(501, OURS, ERROR),
        Answer(401, {**OURS, "www-authenticate": "Bearer x"}, b""),
        Answer(204, OURS, b""),
        Answer(400, {}, b"Invalid HTTP request received."),
    ],
    ids=lambda answer: str(answer.status),
)
def test_a_documented_answer_is_let_pass(answer: Answer) -> None:
    assert wrong(answer) == ""
