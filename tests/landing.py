"""Where the links of a mail land, asked for as recipients do."""

import re
import uuid
from typing import Any

import azure.functions as func

from functions import recipients, withdrawal
from shared.engagement.tokens import Token, TokenKind, mint
from shared.engagement.withdrawal_words import WORDS
from shared.settings import settings
from shared.storage.organizations import Organization

GIF = b"GIF89a-a-logo"


async def ask(kind: TokenKind, path: str) -> func.HttpResponse:
    """Ask as a recipient does."""
    functions: Any = {
        TokenKind.OPEN: recipients.pixel,
        TokenKind.LINK: recipients.link,
        TokenKind.ATTACHMENT: recipients.attachment,
        TokenKind.IMAGE: recipients.image,
        TokenKind.WITHDRAWAL: withdrawal.withdraw,
    }
    request = func.HttpRequest("GET", "http://127.0.0.1/", headers={}, body=b"", route_params={"rest": path})
    answer: func.HttpResponse = await functions[kind]._function.get_user_function()(request)
    return answer


def links_of(organization: Organization, mail: str) -> dict[TokenKind, str]:
    """The links of a mail, as this deployment signs them."""
    kinds = (TokenKind.OPEN, TokenKind.LINK, TokenKind.ATTACHMENT, TokenKind.IMAGE, TokenKind.WITHDRAWAL)
    configured = settings()
    return {
        kind: mint(
            Token(configured.token_key, organization.name, kind, uuid.UUID(mail), 0, 0, f"https://example.com/{kind}"),
            configured.token_secrets,
        )
        for kind in kinds
    }


async def landing(links: dict[TokenKind, str]) -> dict[TokenKind, tuple[int, str, bytes]]:
    """Return the status, target and body that each link gives; of the page to withdraw, its headline."""
    answers = {kind: await ask(kind, path) for kind, path in links.items()}
    return {
        kind: (answer.status_code, answer.headers.get("Location", ""), _body(kind, answer))
        for kind, answer in answers.items()
    }


def _body(kind: TokenKind, answer: func.HttpResponse) -> bytes:
    body: bytes = answer.get_body()
    return re.findall(rb"<h1>(.*?)</h1>", body)[0] if kind is TokenKind.WITHDRAWAL else body


def landed(image: bytes = GIF) -> dict[TokenKind, tuple[int, str, bytes]]:
    return {
        TokenKind.OPEN: (200, "", recipients.PIXEL),
        TokenKind.LINK: (302, "https://example.com/c", b""),
        TokenKind.ATTACHMENT: (302, "https://example.com/a", b""),
        TokenKind.IMAGE: (200, "", image),
        TokenKind.WITHDRAWAL: (200, "", WORDS["en"].title.encode()),
    }
