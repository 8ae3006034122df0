"""Which texts are mail addresses that can be written to, and which are the same one."""

import re
import unicodedata

from shared.engagement.plain_text import complaint

MAX_LENGTH = 254
"""RFC 5321 section 4.5.3.1.3 (256 octets of path, less the angle brackets)."""

_NORMALIZED = 1000
"""Characters up to which a text is brought into its normal form: four times an address, because composing shortens.
Runs of combining marks take time with the square of their length (Unicode Standard Annex 15, canonical ordering)."""

_LOCAL = re.compile(r"[^\s@\x00-\x20\x7f-\xa0<>()\[\],;:\\\"\u2028\u2029\ud800-\udfff]{1,64}")
_LABEL = re.compile(r"(?!-)[^\W_](?:[\w-]{0,61}[^\W_])?")


def is_address(text: str) -> bool:
    """Return whether `text` is a dot-atom address (RFC 5322 section 3.4.1, with RFC 6531's letters) and nothing else.

    Quoted local parts and address literals are left out: Exchange takes neither, and what cannot hold a quote, a comma,
    a control character or white space cannot smuggle in a header or a second recipient, and what cannot be seen makes
    no second address that reads like the first.

    >>> is_address("ann.b+c@mail.example"), is_address("ann@mail.example\\r\\nBcc: eve@evil.example")
    (True, False)
    """
    local, at, domain = text.rpartition("@")
    if not at or len(text) > MAX_LENGTH or _LOCAL.fullmatch(local) is None or complaint(local):
        return False
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return False
    return all(_LABEL.fullmatch(label) for label in domain.split("."))


def normal_form(address: str) -> str:
    """Return what all ways of writing an address have in common: NFC (RFC 6532 section 3.1), case folded, the domain in
    punycode (UTS #46), which is how browsers and mail systems may write what people know by its letters. What is far
    too long to be an address is case folded only.

    >>> normal_form(" Ada@B\u00fccher.example"), normal_form("ada@xn--bcher-kva.example")
    ('ada@xn--bcher-kva.example', 'ada@xn--bcher-kva.example')
    """
    text = address.strip()
    if len(text) > _NORMALIZED:
        return text.casefold()
    local, at, domain = unicodedata.normalize("NFC", text).rpartition("@")
    return f"{local}{at}{domain if domain.isascii() else _punycode(domain)}".casefold()


def _punycode(domain: str) -> str:
    # Most addresses need none, and recipients wait for a cold start.
    from ada_url import idna_to_ascii

    try:
        return idna_to_ascii(domain).decode() or domain
    except UnicodeEncodeError:
        return domain
