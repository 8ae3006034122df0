"""Hits as clients make them, for the tests of labelling and counting."""

from itertools import count

from shared.engagement.hits import Hit, Kind
from shared.engagement.labels import Email, Observation, observe, source_hash

KEY = b"an organization's key"
SENT = 1_768_471_200_000  # 15 January 2026, 10:00 UTC
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Safari/537.36"
)
EDGE = f"{CHROME} Edg/144.0.0.0"
CHROME_MAC = CHROME.replace("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7")
CHROME_101 = CHROME.replace("144", "101")
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:147.0) Gecko/20100101 Firefox/147.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
OUTLOOK = (
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Win64; x64; Trident/7.0; .NET4.0C; .NET4.0E; "
    "Microsoft Outlook 16.0.17328; ms-office; MSOffice 16)"
)
APPLE_MAIL = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
IOS_MAIL = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
)
APPLE_PRIVACY = "Mozilla/5.0"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
GMAIL_AHEAD = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 "
    "Safari/537.36 Edge/12.246 Mozilla/5.0"
)
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"

HOME, OFFICE, ELSEWHERE = "192.0.2.10", "198.51.100.20", "203.0.113.30"
GOOGLE, OUTLOOK_WEB, MAIL_FILTER, DETONATION = "66.249.84.5", "52.97.17.9", "40.107.22.4", "40.94.89.21"
AZURE, CLOUD, RELAY, VENDOR = "20.106.3.9", "3.91.4.8", "172.225.20.7", "67.231.152.3"

_numbers = count(1)


def hit(
    kind: Kind,
    at: int,
    *,
    item: int = 0,
    ip: str = HOME,
    agent: str = CHROME,
    method: str = "GET",
    query: str = "",
    without: tuple[str, ...] = (),
    **more: str,
) -> Hit:
    """A hit `at` ms after sending, with the headers of a browser but for those `without`; `more` are added."""
    headers = {
        "accept": "text/html,application/xhtml+xml,*/*;q=0.8",
        "accept-encoding": "gzip, deflate, br",
        "accept-language": "en-US,en;q=0.9",
        "user-agent": agent,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    kept = {name: value for name, value in headers.items() if name not in without}
    return Hit(f"{7:016x}-{next(_numbers):012d}", kind, item, SENT + at, method, ip, kept, query)


def seen(kind: Kind, at: int, **how: object) -> Observation:
    return observe(hit(kind, at, **how), KEY)  # type: ignore[arg-type]


def opened(at: int, **how: object) -> Observation:
    return seen(Kind.OPEN, at, **how)


def clicked(item: int, at: int, **how: object) -> Observation:
    return seen(Kind.LINK, at, item=item, **how)


def an_email(
    links: int = 5, images: int = 1, attachments: int = 0, recipients: int = 1, ip: str = "", agent: str = CHROME
) -> Email:
    """An email sent from `ip` with `agent`, or by nobody known."""
    return Email(SENT, links, images, attachments, recipients, source_hash(KEY, ip, agent))
