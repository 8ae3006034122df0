"""Taking out of a text what no log may hold: addresses of people and their machines, and what opens a door.

Replaced are tokens in our paths (``/o/ /c/ /i/ /a/ /w/`` and what follows) and wherever else they stand, email
addresses (RFC 5321 and 6531, quoted local parts too), IP addresses but for those of the machine itself, credentials of
an ``Authorization`` header, JSON Web Tokens, signatures of shared access, account and function keys, client secrets and
the secrets that links are signed with; plain or percent-encoded.
"""

import ipaddress
import re
from collections.abc import Callable

TOKEN, ADDRESS, NETWORK, SECRET = "[token]", "[address]", "[network]", "[secret]"
"""What is written instead."""

_TOKEN = re.compile(r"""((?:/|%2[Ff])[ociaw](?:/|%2[Ff]))[^\s"'<>?#]{8,}""")
# Version, key id and kind of a token (`shared.engagement.tokens`) leave its first three characters little choice.
_BARE_TOKEN = re.compile(
    r"(?:(?<![\w-])|(?<=%[0-9A-Fa-f]{2}))A[Q-Za-v][BFJNRVZdhlptx159][\w-]{37,}(?:(?:/|%2[Ff])[\w-]+)*", re.ASCII
)
_LOCAL = r"[^\s\"'<>()\[\],;:=?&/\\@]"
_LABELS = r"[^\s\"'<>()\[\],;:=?&/\\]"
# An address literal and a quoted local part are bounded (RFC 5321 sections 4.1.3 and 4.5.3.1.1, generously): where
# nothing closes them, each place at which one could begin would be searched to the end.
_DOMAIN = rf"(?:\[[^\]\s]{{,100}}+\]|{_LABELS}*)"
_QUOTED = r'"(?:[^"\\\r\n]|\\.){,128}+"'
# A run is entered at its start only and left at its end only, so that long texts take time in proportion.
# Before the @ may stand what otherwise ends an address, too (RFC 5321 atext).
_PLAIN = re.compile(rf"""(?:{_QUOTED}|(?<!{_LOCAL}){_LOCAL}++)@{_DOMAIN}|['=?&/]@{_LABELS}+\.{_LABELS}+""")
_ENCODED = re.compile(rf"(?<![^\s\"'<>()\[\],;:=?&/\\])(?:%40)*+(?:(?!%40){_LOCAL})++%40{_DOMAIN}")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(?![\w:]|\.\w)")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\w)")
_CREDENTIAL = re.compile(r"\b(Bearer|Basic|SharedKey(?:Lite)?)((?:\s|%20)+)[\w.~+/:=-]{16,}", re.IGNORECASE)
_WEB_TOKEN = re.compile(r"(?<![\w-])((?:(?!\beyJ)[\w-])*+)eyJ[\w-]++\.[\w-]+(?:\.[\w-]*)*")
_NAMED = re.compile(
    r"""((?:\b(?:sig|AccountKey|SharedAccessKey|client_secret|client_assertion|access_token|TOKEN_SECRETS)|[?&]code)"""
    r"""["']?\s*(?:=|:|%3[Dd])\s*["']?)[^\s"'&;]+""",
    re.IGNORECASE,
)


def _redact_network(found: re.Match[str]) -> str:
    """Return what is written for what looks like an IP address: times and the machine's own addresses stay."""
    try:
        address = ipaddress.ip_address(found[0])
    except ValueError:
        return found[0]
    return found[0] if address.is_loopback or address.is_unspecified else NETWORK


_RULES: tuple[tuple[tuple[str, ...], re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (("sig", "key", "secret", "assertion", "access_token", "code"), _NAMED, rf"\1{SECRET}"),
    (("bearer", "basic", "sharedkey"), _CREDENTIAL, rf"\1\2{SECRET}"),
    (("eyj",), _WEB_TOKEN, rf"\1{SECRET}"),
    (("/", "%2f"), _TOKEN, rf"\1{TOKEN}"),
    (("a",), _BARE_TOKEN, TOKEN),
    (("@",), _PLAIN, ADDRESS),
    (("%40",), _ENCODED, ADDRESS),
    ((":",), _IPV6, _redact_network),
    ((".",), _IPV4, _redact_network),
)
"""What has to occur in a text, in lower case, for a pattern to be tried; the pattern; what is written for it. Most
lines of a log hold none of it, and it is several times cheaper to find that out first."""


def redact(text: str) -> str:
    """Return a text without what no log may hold; the rest is as it was.

    >>> redact("GET /o/AQFvAf8AAJ1xC2W6 for Ada <ada@example.com>: 404")
    'GET /o/[token] for Ada <[address]>: 404'
    >>> redact("203.0.113.9 asked 127.0.0.1:7071 at 02:19:42")
    '[network] asked 127.0.0.1:7071 at 02:19:42'
    >>> redact("https://account.table.core.windows.net/T?sv=2021-12-02&sig=a%2Fb%3D answered 403")
    'https://account.table.core.windows.net/T?sv=2021-12-02&sig=[secret] answered 403'
    """
    lower = text.lower()
    for marks, pattern, written in _RULES:
        if any(mark in lower for mark in marks):
            text = pattern.sub(written, text)
    return text
