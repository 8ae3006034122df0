"""The page behind the link to withdraw by: anonymous, a signed token, no look-up. Only its form changes anything."""

import asyncio
import logging
import time
import uuid
from collections import Counter
from datetime import UTC, datetime
from urllib.parse import parse_qs

import azure.functions as func

from functions.recipients import not_found
from shared.engagement import withdrawal
from shared.engagement.times import iso_seconds, milliseconds
from shared.engagement.tokens import Token, TokenKind, verify
from shared.engagement.withdrawal import Form, Recipient
from shared.engagement.withdrawal_words import WORDS
from shared.settings import settings

blueprint = func.Blueprint()

_QUEUE_SECONDS = 3.0
"""How long a person waits for the queue to take their withdrawal before they hear that it did not."""
_PER_MINUTE = 30
"""How often the button under one email is taken by one process: as often as people press it, not as programs can."""

_pressed: Counter[uuid.UUID] = Counter()
_minute = 0

_log = logging.getLogger(__name__)


@blueprint.route("w/{*rest}", methods=["GET", "HEAD", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def withdraw(req: func.HttpRequest) -> func.HttpResponse:
    """Show the page; take what its form sends."""
    configured = settings()
    token = verify(req.route_params.get("rest") or "", configured.token_secrets, configured.link_keys)
    if token is None or token.kind is not TokenKind.WITHDRAWAL:
        return not_found()
    language = withdrawal.language_of(req.headers.get("accept-language", ""))
    recipient = withdrawal.load(token.target)
    if req.method != "POST":
        return _page(200, language, asks_address=recipient is None)
    return await _take(req.get_body(), token, recipient, language)


async def _take(body: bytes, token: Token, recipient: Recipient | None, language: str) -> func.HttpResponse:
    words, form = WORDS[language], _form(body)
    if form is None or not form.pressed:
        return _page(400, language, asks_address=recipient is None)
    if recipient is not None:
        work = {"work": "withdraw", "address": recipient.address, "record": recipient.record}
    else:
        address = withdrawal.address_in(form)
        if address is None:
            return _page(400, language, words.wrong, asks_address=True)
        work = {"work": "confirm", "address": withdrawal.address_key(address)}
    if _is_flood(token.email):
        return _page(429, language, words.later, asks_address=recipient is None)
    if not await _queue(token, work, language):
        return _page(503, language, words.later, asks_address=recipient is None)
    return _page(200, language, words.done if recipient is not None else words.asked, form=False)


def _is_flood(email: uuid.UUID) -> bool:
    """Count that a button was pressed; return whether that was too often within this minute."""
    global _minute
    minute = int(time.monotonic() // 60)
    if minute != _minute:
        _minute = minute
        _pressed.clear()
    _pressed[email] += 1
    return _pressed[email] > _PER_MINUTE


async def _queue(token: Token, work: dict[str, str], language: str) -> bool:
    """Queue a withdrawal, ids only; return whether it is surely there."""
    from shared.storage import queues
    from shared.storage.account import StorageError

    about = {
        "organization": token.organization,
        "email": str(token.email),
        "id": str(uuid.uuid4()),
        "on": iso_seconds(milliseconds(datetime.now(UTC))),
        "language": language,
    }
    try:
        async with asyncio.timeout(_QUEUE_SECONDS):
            await queues.send(queues.PRIVACY, {**about, **work})
    except (StorageError, TimeoutError) as error:
        _log.error("a withdrawal of %s was not taken, its sender was told: %r", token.organization, error)
        return False
    return True


def _form(body: bytes) -> Form | None:
    """Return what a form sent, None where it is none of ours (application/x-www-form-urlencoded, UTF-8)."""
    if len(body) > withdrawal.MAX_FORM:
        return None
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=8)
    except ValueError:
        return None
    return Form(withdrawal.FIELD in fields, fields.get(withdrawal.ADDRESS, [""])[0])


def _page(
    status: int, language: str, said: str = "", *, asks_address: bool = False, form: bool = True
) -> func.HttpResponse:
    text = withdrawal.page(language, said, asks_address=asks_address, form=form)
    headers = {**withdrawal.HEADERS, "Content-Language": language, "Vary": "Accept-Language"}
    if status in (429, 503):
        headers["Retry-After"] = "60"
    return func.HttpResponse(text, status_code=status, mimetype="text/html", charset="utf-8", headers=headers)
