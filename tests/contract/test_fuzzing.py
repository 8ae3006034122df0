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
from urllib.parse import urlsplit

import hypothesis
import jsonschema
import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks

from shared.webapi.tables import SETS
from tests.contract.openapi import ERROR_SHAPE, ERRORS, description
from tests.entra import Issuer, issuing
from tests.hosts import hosts
from tests.organizations import an_organization

API = schemathesis.openapi.from_dict(description())
API.config.generation.deterministic = True
BOUNDED = hypothesis.settings(
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
DOCUMENTED = frozenset({200, 201, 204, 304}) | {status for some in ERRORS.values() for status in some}
INSIDES = re.compile(rb"Traceback|File \"|AccountKey|devstoreaccount|AzureWebJobs|site-packages|\.py\b|eyJ[A-Za-z0-9_-]{9}")
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
                yield Service(f"{host.url}/{organization.name}/api/data/v9.2", _token(issuer, organization.tenant))


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
        jsonschema.validate(json.loads(answer.body), ERROR_SHAPE)
    except ValueError as error:
        return f"an error that is not JSON: {error}"
    except jsonschema.ValidationError as error:
        return f"an error of another shape: {error.message}"
    return ""


def documented(_context: Any, response: schemathesis.Response, _case: schemathesis.Case) -> None:
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


@API.parametrize()
@BOUNDED
def test_every_operation_answers_as_its_description_says(
    case: schemathesis.Case, service: Service, session: requests.Session
) -> None:
    response = case.call(base_url=service.url, headers=service.headers, session=session, allow_redirects=False)
    case.validate_response(response, checks=CHECKS)
