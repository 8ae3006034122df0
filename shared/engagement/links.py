"""Which links of a mail are followed, and where they lead."""

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import NamedTuple

from ada_url import URL

from shared.engagement.unsubscribing import says_unsubscribe

# What the URL Standard (4.4) removes before it parses: C0 controls and spaces around, tabs and line ends anywhere.
_AROUND = "".join(map(chr, range(0x21)))
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
MAX_LENGTH = 8192
"""Characters of an address that are parsed; a link's token carries half of that at most. Host names take time with the
square of their length (punycode, RFC 3492)."""
_FOLLOWED_SCHEMES = frozenset({"http", "https"})
_PLACEHOLDER = re.compile(
    r"\{\{[^{}]{1,200}\}\}|\{![^{}]{1,200}\}|\{%[^{}%]{1,200}%\}|%%[A-Za-z_][\w .:=\-]{0,200}%%|\*\|[^|*]{1,200}\|\*"
    r"|\$\{[^{}]{1,200}\}|\[\[[^\[\]]{1,200}\]\]|<%[^<>%]{1,200}%>"
)


class Verdict(NamedTuple):
    """Where a link leads when it is followed, else why it is not, in words for the sender: one of the two is None."""

    target: str | None
    reason: str | None


def judge(
    href: str,
    text: str,
    *,
    marked: bool = False,
    is_ours: Callable[[str], str | None] = lambda _: None,
    untouched_domains: Collection[str] = (),
) -> Verdict:
    """Whether a link is followed.

    `href`: the attribute's value, decoded. `text`: what the link shows. `marked`: it carries `data-notrack` or
    `clicktracking="off"`. `is_ours(url)` is not None for an address that this service made. `untouched_domains`:
    domains that are left alone with all their subdomains.
    """
    if marked:
        return Verdict(None, "marked as not to be followed")
    if _PLACEHOLDER.search(href):
        return Verdict(None, "template placeholder")
    link = _stripped(href)
    scheme = _scheme(link[:MAX_LENGTH])
    if scheme is None:
        return Verdict(None, _why_relative(link))
    if scheme not in _FOLLOWED_SCHEMES:
        return Verdict(None, f"{scheme[:40]}: link")
    if len(link) > MAX_LENGTH:
        return Verdict(None, f"address too long: more than {MAX_LENGTH:,} characters")
    url = _parsed(link)
    if url is None:
        return Verdict(None, "not a valid address")
    target = str(url.href)
    if is_ours(target) is not None:
        return Verdict(None, "already followed")
    if untouched_domains and _is_within(str(url.hostname), untouched_domains):
        return Verdict(None, "domain is not to be touched")
    if says_unsubscribe(target, text):
        return Verdict(None, "unsubscribe link")
    return Verdict(target, None)


def target_of(href: str) -> str | None:
    """Where a browser goes for this link: the URL Standard's serialization of an absolute http or https URL, plain
    ASCII.

    `href` is the attribute's value with its character references decoded. None where it is no such URL, or longer than
    `MAX_LENGTH`. Credentials
    and fragment are kept: they are part of what the browser acts on. Lone surrogates count as U+FFFD, as in browsers.

    >>> target_of(" HTTPS://Exämple.com/ä b?q=ü#§")
    'https://xn--exmple-cua.com/%C3%A4%20b?q=%C3%BC#%C2%A7'
    """
    link = _stripped(href)
    url = _parsed(link) if len(link) <= MAX_LENGTH and _scheme(link) in _FOLLOWED_SCHEMES else None
    return str(url.href) if url else None


def _stripped(href: str) -> str:
    return href.strip(_AROUND).replace("\t", "").replace("\n", "").replace("\r", "")


def _scheme(link: str) -> str | None:
    match = _SCHEME.match(link)
    return match[1].lower() if match else None


def _parsed(link: str) -> URL | None:
    try:
        return URL(link if link.isascii() else link.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except ValueError:
        return None


def _why_relative(link: str) -> str:
    if not link:
        return "empty link"
    if link.startswith("#"):
        return "anchor within the mail"
    if link[:2].replace("\\", "/") == "//":
        # Its scheme is that of the page around, and a mail has none of its own.
        return "address without a scheme"
    return "relative link"


def _is_within(host: str, domains: Collection[str]) -> bool:
    host = host.rstrip(".")
    return any(host == domain or host.endswith(f".{domain}") for domain in map(_ascii_domain, domains) if domain)


@lru_cache(maxsize=1024)
def _ascii_domain(domain: str) -> str:
    """The domain as it stands in a target; "" where it cannot stand in any."""
    url = _parsed(f"https://{domain.strip().removeprefix('*').strip('.')}")
    return str(url.hostname) if url and url.href == f"https://{url.hostname}/" else ""
