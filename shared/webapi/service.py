"""The Web API: one request in, one response out. Verifies the caller, counts the request, and makes every failure an
answer; what a request is about is decided in `shared.webapi.resources`."""

import logging
import re
import time
import uuid
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime

from shared import logs
from shared.services.caller import Caller
from shared.services.errors import Missing, Refused
from shared.services.people import welcome
from shared.services.rights import Denied
from shared.storage.account import PreconditionFailed, StorageError, Unavailable
from shared.storage.calls import Exhausted, of_a_caller
from shared.storage.organizations import Organization, find_organization
from shared.webapi import batch, cors
from shared.webapi.aside import LARGE_BODY, aside
from shared.webapi.auth import Identity, authenticate
from shared.webapi.budget import budgets
from shared.webapi.context import Context, parse_condition, parse_preferences
from shared.webapi.errors import (
    Failure,
    bad_query,
    denied,
    error_response,
    invalid,
    stale,
    too_much_reading,
    unavailable,
    unexpected,
    unknown_segment,
    user_disabled,
)
from shared.webapi.http import Address, Request, Response, parse_address
from shared.webapi.multipart import ChangeSet, Part, parse_batch, render_batch
from shared.webapi.paths import Path
from shared.webapi.resources import BATCH, demand_method, demand_size, respond

MAX_URL = 32_768
"""Characters of a URL: Dataverse's own limit ("Query data using the Web API"); parts of a batch have twice as many."""
MAX_HEADERS = 65_536
"""Characters of all header names and values; the longest token has a quarter of them."""

MAX_HEADER_FIELDS = 200
"""Headers of a request: each is looked for among all."""

_CODINGS = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz", "exi"})
"""IANA's HTTP Content Coding Registry."""

_VERSION = re.compile(r"v9\.\d{1,2}")
_EMAIL = re.compile(r"emails\(([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\)", re.IGNORECASE)

_log = logging.getLogger(__name__)


async def handle(request: Request, now: datetime | None = None) -> Response:
    """Answer a request; every failure becomes an answer in Dataverse's shape, and tells nothing of our insides."""
    service_request = str(uuid.uuid4())
    common = {
        "OData-Version": "4.0",
        "Cache-Control": "no-cache",
        # A body or a file is a client's text: nobody may take it for a page of ours.
        "X-Content-Type-Options": "nosniff",
        "x-ms-service-request-id": service_request,
    }
    if request.method == "HEAD":
        # Answered as GET; the server in front sends the headers and leaves the body out.
        request = replace(request, method="GET")
    response = await _guarded(_answer(request, now or datetime.now(UTC), service_request, common), service_request)
    return Response(response.status, {**common, **response.headers}, response.body)


async def _guarded(work: Awaitable[Response], service_request: str) -> Response:
    """Return what `work` returns, and the answer that its failure stands for."""
    try:
        return await work
    except Failure as failure:
        return error_response(failure)
    except Refused as refusal:
        return error_response(invalid(str(refusal)))
    except Denied as denial:
        return error_response(denied(str(denial)))
    except Missing as missing:
        return error_response(Failure(404, "0x80040217", str(missing)))
    except Exhausted as exhausted:
        return error_response(too_much_reading(exhausted.limit))
    except PreconditionFailed:
        return error_response(stale())
    except Unavailable as error:
        _log.warning("storage is unavailable to the Web API (%s), request %s", error.code, service_request)
        return error_response(unavailable())
    except StorageError as error:
        if error.code == "EntityTooLarge":
            return error_response(invalid("The record is too large: shorten its texts."))
        _log.exception("storage refused a call of the Web API, request %s", service_request)
        return error_response(unexpected())
    except Exception:  # noqa: BLE001 - a caller gets an answer in Dataverse's shape whatever happens
        _log.exception("the Web API failed, request %s", service_request)
        return error_response(unexpected())


async def _answer(request: Request, now: datetime, service_request: str, common: dict[str, str]) -> Response:
    """Answer a request; what its answer says however it ends is added to `common`."""
    _demand_head(request)
    address = _demand_address(request)
    organization = await find_organization(address.organization)
    origins = organization.settings[cors.SETTING] if organization is not None else ()
    if request.method == "OPTIONS":
        return cors.preflight(request, origins)
    common |= cors.answer_headers(request, origins)
    caller, identity = await authenticate(request, organization)
    if organization is None:
        raise unknown_segment(address.organization)
    _say_what_it_is_about(organization, address)
    _demand_own_name(request, caller)
    _demand_plain_body(request)
    user = (organization.id, caller.user)
    with budgets().spend(user, time.monotonic, common), of_a_caller():
        await _demand_enabled(organization, identity, now)
        if address.path != BATCH:
            return await respond(_context(request, address, organization, caller, now), request, address)

        async def part(request: Request, address: Address) -> Response:
            _say_what_it_is_about(organization, address)
            _demand_own_name(request, caller)
            _demand_plain_body(request)
            budgets().charge(user, 1, time.monotonic())
            # A batch may take minutes.
            await _demand_enabled(organization, identity, now)
            # Asked for each time: an earlier part may have changed its settings.
            current = await find_organization(address.organization) or organization
            return await respond(_context(request, address, current, caller, now), request, address)

        return await _on_batch(
            request, address, organization, lambda inner, target: _guarded(part(inner, target), service_request)
        )


async def _demand_enabled(organization: Organization, identity: Identity, now: datetime) -> None:
    """Raise `Failure` 403 where an administrator has shut out who asks; write down who comes for the first time."""
    if not await welcome(organization, identity.user, identity.name, identity.address, now):
        raise user_disabled(identity.user)


def _say_what_it_is_about(organization: Organization, address: Address) -> None:
    """Let what is logged from now on say it."""
    email = _EMAIL.match(address.path)
    logs.about(organization.name, email[1].lower() if email else "")


def _demand_head(request: Request) -> None:
    """Raise `Failure` 414 or 431 where URL or headers are longer than what is looked at."""
    if len(request.url) > MAX_URL:
        raise Failure(
            414,
            "0x80060888",
            f"The URL has {len(request.url):,} characters; at most {MAX_URL:,} are taken. Send a long query in a "
            "$batch, whose parts may have more.",
        )
    headers = sum(len(name) + len(value) for name, value in request.headers.items())
    if headers > MAX_HEADERS:
        raise Failure(
            431, "0x80060888", f"The headers have {headers:,} characters; at most {MAX_HEADERS:,} are taken together."
        )
    if len(request.headers) > MAX_HEADER_FIELDS:
        raise Failure(
            431, "0x80060888", f"There are {len(request.headers):,} headers; at most {MAX_HEADER_FIELDS} are taken."
        )


def _demand_own_name(request: Request, caller: Caller) -> None:
    """Raise `Denied` where a request asks to be made as another user: answered as the caller, it would show and change
    what that user may not ("Impersonate another user using the Web API")."""
    for name in ("MSCRMCallerID", "CallerObjectId"):
        wanted = request.header(name.lower()).strip().strip("{}").lower()
        if wanted not in ("", "null", caller.user.lower()):
            raise Denied(
                f"Principal user is missing prvActOnBehalfOfAnotherUser: nobody acts for others here. Leave the header "
                f"{name} out, or sign in as that user."
            )


def _demand_plain_body(request: Request) -> None:
    """Raise `Failure` 415 where a body is compressed (RFC 9110 section 8.4.1): a kilobyte of it may stand for a
    megabyte. What is no coding, such as the ``utf-8`` that some clients write there, says nothing."""
    codings = {coding.strip().lower() for coding in request.header("content-encoding").split(",")} & _CODINGS
    if codings and request.body:
        raise Failure(
            415,
            "0x80060888",
            f"The body is compressed ({', '.join(sorted(codings))}): send it as it is, without the header "
            "Content-Encoding.",
            {"Accept-Encoding": "identity"},
        )


def _context(request: Request, address: Address, organization: Organization, caller: Caller, now: datetime) -> Context:
    return Context(
        organization,
        caller,
        now,
        address.base,
        parse_preferences(request.header("prefer")),
        parse_condition(request, "if-match"),
        parse_condition(request, "if-none-match"),
    )


async def _on_batch(request: Request, address: Address, organization: Organization, one: batch.Respond) -> Response:
    """Answer ``$batch``: 200 whatever became of its parts, an error only where it cannot be read."""
    demand_method(request, "POST", BATCH)
    demand_size(request, Path(BATCH, None, ()), organization)
    goes_on = parse_preferences(request.header("prefer")).continue_on_error
    items = await _parts(request)
    answer = render_batch(await batch.execute(items, address, one, continue_on_error=goes_on))
    if not goes_on:
        return answer
    applied = {**answer.headers, "Preference-Applied": "odata.continue-on-error"}
    return Response(answer.status, applied, answer.body)


async def _parts(request: Request) -> tuple[Part | ChangeSet, ...]:
    kind = request.header("content-type")
    if len(request.body) > LARGE_BODY:
        return await aside(parse_batch, kind, request.body)
    return parse_batch(kind, request.body)


def _demand_address(request: Request) -> Address:
    try:
        address = parse_address(request)
    except ValueError:
        raise bad_query("The Host header must name a host: links in the answer begin with it.") from None
    if address is None or not _VERSION.fullmatch(address.version):
        raise unknown_segment(address.version if address else "")
    return address
