"""Taking out of a text what no log may hold: addresses of people, and what opens a door.

Replaced are tokens in our paths (``/o/ /c/ /i/ /a/ /w/`` and what follows), email addresses (RFC 5321 and 6531, quoted
local parts too), credentials of an ``Authorization`` header, JSON Web Tokens, signatures of shared access, account and
function keys, client secrets and the secrets that links are signed with; plain or percent-encoded.
"""

import re

TOKEN, ADDRESS, SECRET = "[token]", "[address]", "[secret]"
"""What is written instead."""

_TOKEN = re.compile(r"""((?:/|%2[Ff])[ociaw](?:/|%2[Ff]))[^\s"'<>?#]{8,}""")
_LOCAL = r"[^\s\"'<>()\[\],;:=?&/\\@]"
_DOMAIN = r"(?:\[[^\]\s]*\]|[^\s\"'<>()\[\],;:=?&/\\]*)"
# A run is entered at its start only and left at its end only, so that long texts take time in proportion.
_PLAIN = re.compile(rf'(?:"(?:[^"\\\r\n]|\\.)*"|(?<!{_LOCAL}){_LOCAL}++)@{_DOMAIN}')
_ENCODED = re.compile(rf"(?<![^\s\"'<>()\[\],;:=?&/\\%])(?:(?!%40){_LOCAL})++%40{_DOMAIN}")
_CREDENTIAL = re.compile(r"\b(Bearer|Basic|SharedKey(?:Lite)?)((?:\s|%20)+)[\w.~+/:=-]{16,}", re.IGNORECASE)
_WEB_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*")
_NAMED = re.compile(
    r"""((?:\b(?:sig|AccountKey|SharedAccessKey|client_secret|client_assertion|access_token|TOKEN_SECRETS)|[?&]code)"""
    r"""["']?\s*(?:=|:|%3[Dd])\s*["']?)[^\s"'&;]+""",
    re.IGNORECASE,
)

_RULES = (
    (("sig", "key", "secret", "assertion", "access_token", "code"), _NAMED, rf"\1{SECRET}"),
    (("bearer", "basic", "sharedkey"), _CREDENTIAL, rf"\1\2{SECRET}"),
    (("eyj",), _WEB_TOKEN, SECRET),
    (("/", "%2f"), _TOKEN, rf"\1{TOKEN}"),
    (("@",), _PLAIN, ADDRESS),
    (("%40",), _ENCODED, ADDRESS),
)
"""What has to occur in a text, in lower case, for a pattern to be tried; the pattern; what is written for it. Most
lines of a log hold none of it, and it is several times cheaper to find that out first."""


def redact(text: str) -> str:
    """Return a text without what no log may hold; the rest is as it was.

    >>> redact("GET /o/AQFvAf8AAJ1xC2W6 for Ada <ada@example.com>: 404")
    'GET /o/[token] for Ada <[address]>: 404'
    >>> redact("https://account.table.core.windows.net/T?sv=2021-12-02&sig=a%2Fb%3D answered 403")
    'https://account.table.core.windows.net/T?sv=2021-12-02&sig=[secret] answered 403'
    """
    lower = text.lower()
    for marks, pattern, written in _RULES:
        if any(mark in lower for mark in marks):
            text = pattern.sub(written, text)
    return text
