"""Withdrawing from being followed: the link in a mail, the page behind it, and the mail that confirms an address.

The page works without signing in, cookies and scripts. Scanners follow links, so only its form withdraws. Source: GDPR
article 7(3), the CNIL's recommendation of 12 March 2026 (as easy as giving, apart from unsubscribing).
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from shared.engagement.addresses import is_address, normal_form
from shared.engagement.withdrawal_words import WORDS, Words

LINK_TEXT = "Stop the sender from seeing when I open this email and use its links"
"""What the link in a mail says where the organization gives no words of its own."""
FIELD, ADDRESS = "withdraw", "address"
"""The form's fields: the button's, and the address where the mail had several recipients."""
MAX_FORM = 2048
"""Bytes of a form that is sent back."""

_SAID = "said"
_HASH = re.compile(r"[0-9a-f]{40}")
_RECORD = re.compile(r"(?:contact|account|lead) [0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who withdraws: the `address` as `address_key` writes it, and the `record`, table and id, "" where there is
    none. It is the target of their link, so that withdrawing needs no look-up and survives the email."""

    address: str
    record: str = ""


def address_key(address: str) -> str:
    """Return what stands for an address, however it is written, where it must not be readable; not keyed, so that it
    outlives every secret and moves with an organization."""
    return hashlib.sha256(f"address {normal_form(address)}".encode("utf-8", "surrogatepass")).hexdigest()[:40]


def dump(recipient: Recipient) -> str:
    """Return a recipient as the target of a token.

    >>> load(dump(Recipient("0" * 40, "contact 11111111-1111-1111-1111-111111111111"))).record.partition(" ")[0]
    'contact'
    """
    return f"{recipient.address} {recipient.record}".rstrip()


def load(target: str) -> Recipient | None:
    """Return the recipient that a token names, None where the mail had several."""
    address, _, record = target.partition(" ")
    if not _HASH.fullmatch(address):
        return None
    return Recipient(address, record if _RECORD.fullmatch(record) else "")


def footer(url: str, text: str) -> str:
    """Return the line at the end of a followed mail that leads to the page."""
    style = "margin:16px 0 0;font-size:12px;color:#666"
    words = escape(text or LINK_TEXT)
    return f'<div style="{style}" dir="auto"><a href="{escape(url)}" style="color:#666">{words}</a></div>'


class Form(NamedTuple):
    """What a page's form sent: whether its button was pressed, and the address, "" where none was asked for."""

    pressed: bool
    address: str


def address_in(form: Form) -> str | None:
    """Return the address that a form gives, None where it gives none that can be written to."""
    address = form.address.strip()
    return address if is_address(address) else None


def language_of(accepted: str) -> str:
    """Return the language of `WORDS` that an ``Accept-Language`` header prefers (RFC 9110 section 12.5.4).

    >>> language_of("fr-CA,fr;q=0.9,en;q=0.8"), language_of("ja, de;q=0.3, en;q=0.2"), language_of("")
    ('fr', 'de', 'en')
    """
    wanted = []
    for place, part in enumerate(accepted.split(",")[:20]):
        name, _, quality = part.strip().partition(";")
        number = re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", quality)
        wanted.append((-float(number[1]) if number else -1.0, place, name.partition("-")[0].lower()))
    return next((name for quality, _, name in sorted(wanted) if quality and name in WORDS), "en")


_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1rem}"
    "input,button{font:inherit;padding:.5rem;margin:.5rem 0;display:block;width:100%;box-sizing:border-box}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
"""What every answer of the page has: nothing is kept, framed, indexed, loaded or told to others."""


def page(language: str, said: str = "", *, asks_address: bool = False, form: bool = True) -> str:
    """Return the page; `said` is what it says in answer, above its form. It holds nothing of the request."""
    words = WORDS[language]
    answer = f'<p id="{_SAID}" role="status"><strong>{escape(said)}</strong></p>' if said else ""
    field = _field(words, explained=bool(said)) if asks_address else ""
    button = f'<button name="{FIELD}" value="yes">{escape(words.button)}</button>'
    about = f'<p>{escape(words.about)}</p>{answer}<form method="post">{field}{button}</form>'
    body = about if form else answer
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><meta name="robots" content="noindex"><title>{escape(words.title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{escape(words.title)}</h1>{body}</body></html>\n"
    )


def _field(words: Words, *, explained: bool) -> str:
    # Not of type email: browsers send no form with such a field where a letter before the @ is not ASCII.
    keyboard = 'inputmode="email" autocomplete="email" autocapitalize="none" spellcheck="false"'
    # Who hears the page, hears at once what was wrong with it.
    wrong = f' autofocus aria-describedby="{_SAID}"' if explained else ""
    return (
        f'<p>{escape(words.ask)}</p><label for="{ADDRESS}">{escape(words.label)}</label>'
        f'<input id="{ADDRESS}" name="{ADDRESS}" {keyboard} maxlength="254" required{wrong}>'
    )


def confirmation(language: str, url: str) -> tuple[str, str]:
    """Return subject and HTML of the mail that asks whoever reads an address to confirm."""
    words, link = WORDS[language], escape(url)
    text = f'<p>{escape(words.confirm)}</p><p><a href="{link}">{escape(words.title)}</a></p>'
    return words.subject, f'<!doctype html><html lang="{language}"><body>{text}</body></html>'


def wording(language: str) -> str:
    """Return what a person was shown who withdrew by the page, for the proof."""
    return f"{WORDS[language].about} [{WORDS[language].button}]"
