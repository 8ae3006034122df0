"""What recipients touch: pixel, image, link, attachment. Anonymous, signed tokens, no look-up before the answer."""

import logging

import azure.functions as func

from shared import logs
from shared.engagement.tokens import Token, TokenKind, verify
from shared.services.recording import record
from shared.settings import settings

blueprint = func.Blueprint()

PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
"""A transparent GIF of one pixel, 43 bytes (GIF89a)."""

NOT_FOUND = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Link not found - Email Engagement</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem}</style></head>
<body><h1>This link is not complete</h1>
<p>It may have been shortened or changed on its way to you. Please open it from the email once more, or ask the sender
for the address.</p><p><small>Email Engagement</small></p></body></html>
"""

_FOR_ALL = {"X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer"}
_UNCACHED = {**_FOR_ALL, "Cache-Control": "no-store, no-cache, must-revalidate, private, max-age=0"}
_CACHED = {**_FOR_ALL, "Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}

_METHODS = ["GET", "HEAD"]
_ANONYMOUS = func.AuthLevel.ANONYMOUS

_log = logging.getLogger(__name__)


@blueprint.route("o/{*rest}", methods=_METHODS, auth_level=_ANONYMOUS)
async def pixel(req: func.HttpRequest) -> func.HttpResponse:
    """Answer the pixel, to anything at all; a token of ours counts as an open."""
    token = _token(req)
    if token is not None and token.kind is TokenKind.OPEN:
        await _record(req, token)
    return func.HttpResponse(PIXEL, mimetype="image/gif", headers=_UNCACHED)


@blueprint.route("c/{*rest}", methods=_METHODS, auth_level=_ANONYMOUS)
async def link(req: func.HttpRequest) -> func.HttpResponse:
    """Redirect to the target that the token carries."""
    return await _redirect(req, TokenKind.LINK)


@blueprint.route("a/{*rest}", methods=_METHODS, auth_level=_ANONYMOUS)
async def attachment(req: func.HttpRequest) -> func.HttpResponse:
    """Redirect to the sharing link that the token carries."""
    return await _redirect(req, TokenKind.ATTACHMENT)


@blueprint.route("i/{*rest}", methods=_METHODS, auth_level=_ANONYMOUS)
async def image(req: func.HttpRequest) -> func.HttpResponse:
    """Answer an inline image; where storage cannot be reached, a transparent one instead of an error."""
    token = _token(req)
    if token is None or token.kind not in (TokenKind.IMAGE, TokenKind.QUIET_IMAGE):
        return not_found()
    from shared.services.images import find_image

    if token.kind is TokenKind.IMAGE:
        await _record(req, token)
    found = await find_image(token.organization, str(token.email), token.item)
    if found is None:
        return func.HttpResponse(PIXEL, mimetype="image/gif", headers=_UNCACHED)
    media_type, data = found
    return func.HttpResponse(data, mimetype=media_type, headers=_CACHED)


async def _redirect(req: func.HttpRequest, kind: TokenKind) -> func.HttpResponse:
    token = _token(req)
    if token is None or token.kind is not kind:
        return not_found()
    await _record(req, token)
    return func.HttpResponse(b"", status_code=302, headers={**_UNCACHED, "Location": token.target})


def _token(req: func.HttpRequest) -> Token | None:
    configured = settings()
    return verify(req.route_params.get("rest") or "", configured.token_secrets, configured.link_keys)


async def _record(req: func.HttpRequest, token: Token) -> None:
    try:
        await record(token, req.method, req.headers, req.url.partition("?")[2])
    except Exception:  # noqa: BLE001 - see below
        # Whatever goes wrong with our books, the recipient gets what the mail promised.
        logs.about(token.organization, str(token.email))
        _log.exception("a hit on email %s of %s was not recorded", token.email, token.organization)


def not_found() -> func.HttpResponse:
    """Answer a link that we did not sign."""
    return func.HttpResponse(NOT_FOUND, status_code=404, mimetype="text/html", headers=_UNCACHED)
