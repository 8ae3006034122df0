"""Synthetic traces with their truth: people, proxies and machines as published logs describe them, mixed and varied.

No labelled data set of machines' clicks is public, so the figures of `benchmarks.labels` rest on this. Behaviour and
timing follow published measurements (sweeps: median 43 s after sending, sub-second, an open some 9 s after sending
before them; Apple, Gmail, Yahoo and Outlook proxies; time-of-click checks within milliseconds to 12 s). What people
and scanners have in common is drawn from the same pool, so that no rule can live off an accident of this script.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Made:
    """An email's trace in the exchange format, the true label of each hit, and the actor behind it."""

    trace: Mapping[str, Any]
    labels: tuple[str, ...]
    actors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Company:
    """Where a mail goes: what scans it there, always from the same few addresses with the same few browsers."""

    scanner: tuple[str, ...]
    browsers: tuple["Browser", ...]


@dataclass(frozen=True, slots=True)
class Seller:
    """Who sends: the places and agents of the own sessions."""

    id: str
    organization: str
    sessions: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Scene:
    """An email while its hits are being made up."""

    r: random.Random
    sent: datetime
    links: int
    images: int
    attachments: int
    recipients: int
    sender_ip: str | None
    sender_agent: str | None
    seller: Seller
    company: Company
    hits: list[tuple[float, str, str, dict[str, Any]]] = field(default_factory=list)

    def hit(
        self,
        actor: str,
        truth: str,
        at: float,
        kind: str,
        item: int,
        ip: str,
        headers: Mapping[str, str],
        method: str = "GET",
        query: str = "",
    ) -> None:
        entry: dict[str, Any] = {
            "at": round(at, 3),
            "kind": kind,
            "item": item,
            "method": method,
            "ip": ip,
            "headers": dict(sorted(headers.items())),
        }
        if query:
            entry["query"] = query
        self.hits.append((round(at, 3), actor, truth, entry))

    def display(self, actor: str, truth: str, at: float, ip: str, headers: Mapping[str, str]) -> None:
        """The pixel and the images, as one display fetches them."""
        self.hit(actor, truth, at, "open", 0, ip, headers)
        for item in range(self.images):
            self.hit(actor, truth, at + self.r.uniform(-0.3, 0.9), "image", item, ip, headers)


# --- addresses ------------------------------------------------------------------------------------------------------


def home(r: random.Random) -> str:
    """An ordinary address of somebody."""
    if r.random() < 0.6:
        return f"2001:db8:{r.randrange(65536):x}:{r.randrange(65536):x}::{r.randrange(1, 65536):x}"
    return f"{r.choice(('192.0.2', '198.51.100', '203.0.113'))}.{r.randrange(1, 255)}"


def _pick(*prefixes: str) -> Callable[[random.Random], str]:
    def address(r: random.Random) -> str:
        prefix = r.choice(prefixes)
        if ":" in prefix:
            return f"{prefix}{r.randrange(1, 65536):x}::{r.randrange(1, 65536):x}"
        return ".".join([*prefix.split("."), *(str(r.randrange(1, 255)) for _ in range(3 - prefix.count(".")))])

    return address


google = _pick("66.249.84", "66.102.8", "74.125.208", "209.85.238", "66.249.93", "172.253.1")
yahoo = _pick("98.137.12", "74.6.130", "212.82.100", "67.195.60")
outlook_web = _pick("40.97.120", "52.97.17", "40.104.5", "52.98.4", "2603:1036:302:")
eop = _pick("40.107.22", "52.101.9", "104.47.11", "40.92.1", "2a01:111:f403:")
detonation = _pick("40.94.89", "40.94.31", "40.94.102")
azure = _pick("20.106.3", "13.82.7", "52.168.3", "104.42.9", "40.76.2", "20.50.7")
cloud = _pick("3.91.4", "18.205.3", "54.210.8", "34.201.4", "35.190.2", "52.31.7", "159.89.3", "116.203.8")
barracuda = _pick("209.222.82")
relay = _pick(
    "172.225.20", "104.28.45", "146.75.160", "172.224.226", "2a02:26f7:d5c8:", "2a04:4e41:12c6:", "172.226.48"
)
vendor = _pick("67.231.152", "148.163.150", "205.220.165", "185.58.85", "205.139.110", "207.211.31", "216.71.140")


# --- agents and headers ---------------------------------------------------------------------------------------------

SYSTEMS = {
    "Windows": "Windows NT 10.0; Win64; x64",
    "Mac": "Macintosh; Intel Mac OS X 10_15_7",
    "Linux": "X11; Linux x86_64",
}
HINTS = {"Windows": '"Windows"', "Mac": '"macOS"', "Linux": '"Linux"'}
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PICTURE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
LANGUAGES = ("en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "it-IT,it;q=0.9", "fr", "en-GB,en;q=0.8", "nl-NL,nl;q=0.9")
OUTLOOK = (
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Win64; x64; Trident/7.0; .NET4.0C; .NET4.0E; "
    "Microsoft Outlook 16.0.17328; ms-office; MSOffice 16)"
)
IOS_MAIL = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
)
APPLE_MAIL = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
THUNDERBIRD = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Thunderbird/128.6.0"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
GMAIL_AHEAD = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 "
    "Safari/537.36 Edge/12.246 Mozilla/5.0"
)
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
SAFARI_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
SAFARI_MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Safari/605.1.15"
)
DECLARED = (
    "python-requests/2.32.3",
    "curl/8.7.1",
    "Go-http-client/1.1",
    "Java/17.0.2",
    "Mozilla/5.0 (compatible; bitlybot/3.0; +http://bit.ly/)",
    "Barracuda Sentinel (EE)",
    "",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36",
    "okhttp/4.12.0",
    "axios/1.7.2",
)
PREVIEWERS = (
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
    "WhatsApp/2.24.1.84 A",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "TelegramBot (like TwitterBot)",
)


def chrome(system: str, version: int) -> str:
    return (
        f"Mozilla/5.0 ({SYSTEMS[system]}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
    )


def current(sent: datetime) -> int:
    """Chromium's stable version that day."""
    return 144 + round((sent - datetime(2026, 1, 13, tzinfo=UTC)) / timedelta(days=31))


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser as it presents itself: its agent, and how it asks for pages and for pictures."""

    page: Mapping[str, str]
    picture: Mapping[str, str]


def browser(r: random.Random, sent: datetime, *, lag: int = 1, hints: bool | None = None) -> Browser:
    """A person's browser of that day, up to `lag` versions behind; `hints`: with the client hints Chromium sends."""
    language = r.choice(LANGUAGES)
    rich = r.random() < 0.6 if hints is None else hints
    kind = r.choices(("chrome", "edge", "firefox", "safari", "iphone", "android"), (40, 18, 8, 8, 16, 10))[0]
    system = r.choices(("Windows", "Mac", "Linux"), (75, 22, 3))[0]
    version = current(sent) - r.randint(0, lag)
    extra: dict[str, str] = {}
    if kind in ("chrome", "edge"):
        agent = chrome(system, version) + (f" Edg/{version}.0.0.0" if kind == "edge" else "")
        name = "Microsoft Edge" if kind == "edge" else "Google Chrome"
        extra = {
            "sec-ch-ua": f'"{name}";v="{version}", "Chromium";v="{version}", "Not_A Brand";v="24"',
            "sec-ch-ua-mobile": "?0",
            "sec-ch-ua-platform": HINTS[system],
        }
    elif kind == "firefox":
        agent = f"Mozilla/5.0 ({SYSTEMS['Windows']}; rv:{version + 2}.0) Gecko/20100101 Firefox/{version + 2}.0"
    elif kind == "safari":
        agent = SAFARI_MAC
    elif kind == "iphone":
        agent = SAFARI_IPHONE
    else:
        model = r.choice(("K", "SM-S911B", "Pixel 8", "CUBOT NOTE 20"))
        stale = version - (r.choice((0, 0, 0, 8, 20, 40)))
        agent = (
            f"Mozilla/5.0 (Linux; Android 10; {model}) AppleWebKit/537.36 (KHTML, like Gecko) "
            f"Chrome/{stale}.0.0.0 Mobile Safari/537.36"
        )
    base = {"user-agent": agent, "accept-language": language, "accept-encoding": "gzip, deflate, br"}
    if rich:
        base |= extra
    page = base | {"accept": PAGE}
    picture = base | {"accept": PICTURE}
    if rich and kind in ("chrome", "edge", "firefox"):
        page |= {
            "sec-fetch-dest": "document",
            "sec-fetch-mode": "navigate",
            "sec-fetch-site": "none",
            "upgrade-insecure-requests": "1",
        }
        picture |= {"sec-fetch-dest": "image", "sec-fetch-mode": "no-cors", "sec-fetch-site": "cross-site"}
    return Browser(page, picture)


def program(agent: str, language: str = "") -> dict[str, str]:
    """A mail program's or proxy's headers."""
    headers = {"user-agent": agent, "accept": "*/*", "accept-encoding": "gzip, deflate"}
    return headers | ({"accept-language": language} if language else {})


def disguise(r: random.Random, sent: datetime) -> Browser:
    """A scanner's browser: perfect, stale, or with something missing."""
    flaw = r.choices(("none", "stale", "language", "accept", "headless", "mismatch"), (45, 20, 18, 5, 6, 6))[0]
    made = browser(r, sent, hints=True if flaw in ("headless", "mismatch") else None)
    page, picture = dict(made.page), dict(made.picture)
    for headers in (page, picture):
        if flaw == "stale":
            headers["user-agent"] = chrome(r.choice(("Windows", "Linux")), current(sent) - r.randint(18, 70))
            for name in [name for name in headers if name.startswith("sec-ch")]:
                del headers[name]
        elif flaw == "language":
            del headers["accept-language"]
        elif flaw == "accept":
            headers["accept"] = "*/*"
            headers.pop("accept-language")
        elif flaw == "headless":
            version = current(sent)
            headers["user-agent"] = chrome("Linux", version)
            headers["sec-ch-ua"] = f'"HeadlessChrome";v="{version}", "Chromium";v="{version}"'
            headers["sec-ch-ua-platform"] = '"Linux"'
        elif flaw == "mismatch":
            headers["user-agent"] = chrome("Windows", current(sent))
            headers["sec-ch-ua"] = f'"Google Chrome";v="{current(sent) - 20}", "Chromium";v="{current(sent) - 20}"'
            headers["sec-ch-ua-platform"] = '"Linux"'
    return Browser(page, picture)


# --- people ---------------------------------------------------------------------------------------------------------


def reading_time(r: random.Random) -> float:
    """When somebody gets to it: within seconds for a few, the median about an hour, days for some."""
    if r.random() < 0.12:
        return r.uniform(4, 90)
    return min(r.lognormvariate(8.2, 1.7), 20 * DAY)


def clicks(
    s: Scene, actor: str, start: float, ip: str, page: Mapping[str, str], *, truth: str = "person", query: str = ""
) -> list[tuple[float, int]]:
    """Some links, at a person's pace; returns when and which."""
    r = s.r
    done: list[tuple[float, int]] = []
    at = start
    wanted = [i for i in range(s.links) if r.random() < 0.35][: r.choice((1, 1, 1, 2, 2, 3, 4))]
    if r.random() < 0.5:
        r.shuffle(wanted)
    for item in wanted:
        at += r.choice((r.uniform(2.2, 6), r.uniform(4, 40), r.uniform(10, 300)))
        s.hit(actor, truth, at, "link", item, ip, page, query=query)
        done.append((at, item))
        if r.random() < 0.06:
            s.hit(actor, truth, at + r.uniform(0.4, 8), "link", item, ip, page, query=query)
    for item in range(s.attachments):
        if r.random() < 0.35:
            at += r.uniform(3, 60)
            s.hit(actor, truth, at, "attachment", item, ip, page)
    return done


def person(s: Scene, actor: str = "person", *, at: float | None = None, ip: str | None = None) -> None:
    """Somebody reads, in one of the usual ways."""
    r = s.r
    start = reading_time(r) if at is None else at
    address = ip or home(r)
    shown = browser(r, s.sent, lag=r.choice((0, 1, 2, 2, 4)))
    way = r.choices(
        ("outlook", "web", "gmail", "yahoo", "outlook-web", "ios", "mac", "thunderbird", "blocked", "mpp"),
        (22, 12, 20, 4, 14, 6, 4, 3, 8, 14),
    )[0]
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        language = r.choice(LANGUAGES)
        if way == "outlook":
            s.display(f"{actor}-outlook", "person", start, address, program(OUTLOOK))
        elif way == "web":
            s.display(f"{actor}-web", "person", start, address, shown.picture)
        elif way == "gmail":
            s.hit(f"{actor}-gmail", "person", start, "open", 0, google(r), program(GMAIL))
            for item in range(s.images):
                s.hit(f"{actor}-gmail", "person", start + r.uniform(0, 0.4), "image", item, google(r), program(GMAIL))
        elif way == "yahoo":
            s.display(f"{actor}-yahoo", "person", start, yahoo(r), program(YAHOO))
        elif way == "outlook-web":
            s.display(
                f"{actor}-outlook-web",
                "person",
                start,
                outlook_web(r),
                program(r.choice((OUTLOOK, shown.picture["user-agent"]))),
            )
        elif way in ("ios", "mac", "thunderbird"):
            agent = {"ios": IOS_MAIL, "mac": APPLE_MAIL, "thunderbird": THUNDERBIRD}[way]
            s.display(f"{actor}-{way}", "person", start, address, program(agent, language))
        where = address
        headers = shown.page
        if way == "mpp":
            headers = {**browser(r, s.sent).page, "user-agent": r.choice((SAFARI_IPHONE, SAFARI_MAC))}
            headers = {name: value for name, value in headers.items() if not name.startswith("sec-ch")}
            where = relay(r) if r.random() < 0.5 else address
        name = f"{actor}-relay-click" if where != address else f"{actor}-click"
        query = r.choice(("fbclid=IwAR0a1b2", "gclid=Cj0KCQ")) if r.random() < 0.01 else ""
        done = clicks(s, name, start, where, headers, query=query)
        checked(s, done)
        start += r.lognormvariate(8, 2) + 20
    if way == "mpp":
        private_proxy(s)


def checked(s: Scene, done: list[tuple[float, int]]) -> None:
    """A time-of-click check of what somebody just clicked, by a scanner or by software on the own machine."""
    r = s.r
    if r.random() > 0.12:
        return
    made = disguise(r, s.sent)
    ip = r.choice((eop, azure, detonation, home, home, cloud))(r)
    for at, item in done:
        delay = r.choice((r.uniform(-0.4, 0.5), r.uniform(0.05, 2.5), r.uniform(8, 14)))
        s.hit("time-of-click", "machine", at + delay, "link", item, ip, made.page)


def private_proxy(s: Scene) -> None:
    """Apple's Mail Privacy Protection: soon after delivery, read or not."""
    r = s.r
    at = r.choice((r.uniform(2, 60), r.uniform(60, 1800), r.uniform(1800, 8 * HOUR)))
    for _ in range(r.choice((1, 1, 1, 2))):
        ip = relay(r)
        agent = "Mozilla/5.0" if r.random() < 0.9 else APPLE_MAIL
        for kind, item in [("open", 0), *(("image", i) for i in range(s.images))]:
            s.hit(
                "mpp", "proxy", at + r.uniform(0, 1.5), kind, item, relay(r) if r.random() < 0.4 else ip, program(agent)
            )
        at += r.uniform(60, HOUR)


def unread_private_proxy(s: Scene) -> None:
    private_proxy(s)


def hasty_person(s: Scene) -> None:
    """Opens ten seconds after delivery."""
    person(s, "hasty", at=s.r.uniform(4, 20))


def virtual_desktop(s: Scene) -> None:
    """Reads and clicks from Azure."""
    r = s.r
    ip, start = azure(r), reading_time(r)
    if r.random() < 0.6:
        s.display("virtual-desktop", "person", start, ip, program(OUTLOOK))
    clicks(s, "virtual-desktop", start, ip, browser(r, s.sent, hints=True).page)


def behind_vpn(s: Scene) -> None:
    r = s.r
    ip, start = cloud(r), reading_time(r)
    shown = browser(r, s.sent)
    s.display("vpn", "person", start, ip, r.choice((program(OUTLOOK), shown.picture)))
    clicks(s, "vpn", start, ip, shown.page)


def isolated(s: Scene) -> None:
    """Clicks through a vendor's browser isolation: a person behind the vendor's address."""
    r = s.r
    start = max(reading_time(r), 200)
    s.display("isolated-open", "person", start, home(r), program(OUTLOOK))
    clicks(s, "isolated", start, vendor(r), browser(r, s.sent).page)


def stale_person(s: Scene) -> None:
    """Somebody whose desktop browser has not been updated for a year or two."""
    r = s.r
    ip, start = home(r), reading_time(r)
    headers = {
        **browser(r, s.sent, hints=False).page,
        "user-agent": chrome("Windows", current(s.sent) - r.randint(12, 30)),
    }
    if r.random() < 0.5:
        s.display("stale-person", "person", start, ip, program(OUTLOOK))
    clicks(s, "stale-person", start, ip, headers)


def forwarded(s: Scene) -> None:
    """Passed on: a previewer where it was pasted, and people of another network."""
    r = s.r
    start = reading_time(r) + HOUR
    if r.random() < 0.4 and s.links:
        agent = r.choice(PREVIEWERS)
        method = r.choice(("GET", "GET", "HEAD"))
        s.hit("previewer", "machine", start - 5, "link", r.randrange(s.links), cloud(r), program(agent), method)
    for _ in range(r.randint(1, 2)):
        person(s, "forwarded", at=start + r.uniform(0, HOUR))


# --- machines -------------------------------------------------------------------------------------------------------


def sweep(s: Scene) -> None:
    """A scanner: often the pixel first, then every link at once, mostly within the first minutes."""
    r = s.r
    where = r.choices((home, cloud, azure, eop, detonation, vendor), (40, 18, 12, 12, 8, 10))[0]
    rotates = r.random() < 0.3
    ip = where(r)
    made = disguise(r, s.sent)
    if s.company.scanner and r.random() < 0.7:
        ip, made = r.choice(s.company.scanner), r.choice(s.company.browsers)
    first = r.choices(("none", "same", "other-agent", "other-address"), (35, 40, 15, 10))[0]
    open_at = r.choice((r.uniform(3, 10), r.uniform(5, 20), r.uniform(15, 60)))
    at = open_at + r.lognormvariate(3.3, 0.5)
    if r.random() < 0.06:
        at += r.uniform(300, 12 * HOUR)
    if first != "none":
        shown = made if first != "other-agent" else disguise(r, s.sent)
        address = ip if first != "other-address" else where(r)
        s.display(f"sweep-{first}", "machine", open_at, address, shown.picture)
    query = f"utm_source={r.getrandbits(48):x}" if r.random() < 0.15 else ""
    pace = r.choice((0.02, 0.1, 0.3))
    moment = at
    targets = [("link", i) for i in range(s.links)] + [
        ("attachment", i) for i in range(s.attachments if r.random() < 0.5 else 0)
    ]
    if r.random() < 0.3:
        r.shuffle(targets)
    for kind, item in targets:
        moment += r.uniform(0, pace)
        address, used = (where(r), disguise(r, s.sent)) if rotates else (ip, made)
        alone = "-one-link" if len(targets) == 1 else ""
        s.hit(
            f"sweep{'-rotating' if rotates else ''}{alone}",
            "machine",
            moment,
            kind,
            item,
            address,
            used.page,
            query=query,
        )
    if r.random() < 0.15 and s.links and not rotates:
        later = at + r.uniform(HOUR, 10 * HOUR)
        s.hit("recrawl", "machine", later, "link", r.randrange(s.links), ip, made.page)


def slow_crawl(s: Scene) -> None:
    """A crawler that takes its time, one link after the other."""
    r = s.r
    ip, made = r.choice((home, cloud, azure))(r), disguise(r, s.sent)
    at = r.choice((r.uniform(10, 120), r.uniform(120, 6 * HOUR)))
    for item in range(s.links):
        s.hit("slow-crawl", "machine", at, "link", item, ip, made.page)
        at += r.uniform(0.4, 2.2)


def first_link(s: Scene) -> None:
    """Barracuda: the first link only."""
    r = s.r
    if s.links:
        made = disguise(r, s.sent)
        s.hit("first-link", "machine", r.uniform(5, 120), "link", 0, barracuda(r), made.page)


def opener(s: Scene) -> None:
    """A filter that renders the mail and follows nothing."""
    r = s.r
    made = disguise(r, s.sent)
    s.display("opener", "machine", r.uniform(2, 60), r.choice((eop, detonation, vendor, barracuda))(r), made.picture)


def declared(s: Scene) -> None:
    r = s.r
    agent, ip, at = r.choice(DECLARED), r.choice((home, cloud, azure))(r), r.uniform(1, 3 * HOUR)
    for item in range(min(s.links, r.choice((1, 1, 2, 9)))):
        s.hit("declared", "machine", at + item * 0.2, "link", item, ip, program(agent))
    if r.random() < 0.5:
        s.hit("declared", "machine", at - 0.5, "open", 0, ip, program(agent))


def gmail_ahead(s: Scene) -> None:
    s.display("gmail-ahead", "machine", s.r.uniform(0.5, 30), google(s.r), program(GMAIL_AHEAD))


def gmail_proxy_ahead(s: Scene) -> None:
    """Gmail's proxy under its usual name as the mail arrives (gophish 1390: within seconds, 3086: 4 s after sending;
    Mautic 7884: at once). Some read later, for some of whom Gmail answers from its cache."""
    r = s.r
    s.display("gmail-proxy-ahead", "proxy", r.uniform(0.5, 12), google(r), program(GMAIL))
    if r.random() < 0.6:
        start = max(reading_time(r), 15)
        if r.random() < 0.7:
            s.display("gmail-later", "person", start, google(r), program(GMAIL))
        clicks(s, "gmail-later-click", start, home(r), browser(r, s.sent).page)


def heads(s: Scene) -> None:
    """A link checker that only asks, with a browser's name."""
    r = s.r
    made, ip, at = browser(r, s.sent), home(r), r.uniform(5, 5 * HOUR)
    for item in range(min(s.links, r.choice((1, 2)))):
        s.hit("head", "machine", at + item, "link", item, ip, made.page, "HEAD")
        if r.random() < 0.3:
            s.hit("head-then-get", "machine", at + item + 0.2, "link", item, ip, made.page)


def prefetcher(s: Scene) -> None:
    """A browser that fetches ahead, and its owner who clicks later."""
    r = s.r
    if not s.links:
        return
    made, ip, at, item = browser(r, s.sent), home(r), reading_time(r), r.randrange(s.links)
    s.display("prefetch-owner", "person", at, ip, made.picture)
    name = r.choice(("sec-purpose", "purpose", "x-moz"))
    s.hit("prefetch", "machine", at + 2, "link", item, ip, {**made.page, name: "prefetch"})
    if r.random() < 0.5:
        s.hit("prefetch-owner", "person", at + r.uniform(4, 30), "link", item, ip, made.page)


def office(s: Scene) -> None:
    """A scanner and several people behind one address, some of whom use the scanner's kind of browser."""
    r = s.r
    ip, made = home(r), disguise(r, s.sent)
    at = r.uniform(20, 60)
    for item in range(s.links):
        at += r.uniform(0, 0.2)
        s.hit("office-scanner", "machine", at, "link", item, ip, made.page)
    if s.links < 2:
        return
    for _ in range(r.randint(1, 3)):
        start = max(reading_time(r), 400)
        shown = browser(r, s.sent)
        s.display("office-person", "person", start, ip, program(OUTLOOK))
        clicks(s, "office-person", start, ip, shown.page)


def outbound_scanner(s: Scene) -> None:
    """The sender's own gateway reads what goes out."""
    r = s.r
    ip = s.sender_ip if s.sender_ip and r.random() < 0.4 else r.choice((home, vendor, cloud))(r)
    made, at = disguise(r, s.sent), r.uniform(-0.8, 1.5)
    for item in range(s.links):
        s.hit("outbound", "machine", at, "link", item, ip, made.page)
        at += r.uniform(0, 0.1)


# --- the sender -----------------------------------------------------------------------------------------------------


def sender(s: Scene) -> None:
    """Looks at the own mail, from the session that sent it."""
    r = s.r
    ip, agent = s.sender_ip, s.sender_agent
    if not ip or not agent or r.random() < 0.15:
        ip, agent = r.choice(s.seller.sessions)
    headers = {
        "user-agent": agent,
        "accept-language": "en-US,en;q=0.9",
        "accept-encoding": "gzip, deflate, br",
    }
    for _ in range(r.choice((1, 1, 2, 3))):
        at = r.choice((r.uniform(-0.7, 5), r.uniform(5, 600), r.uniform(600, 5 * DAY)))
        s.display("sender", "sender", at, ip, headers | {"accept": PICTURE})
        if r.random() < 0.2 and s.links:
            s.hit(
                "sender",
                "sender",
                at + r.uniform(2, 20),
                "link",
                r.randrange(s.links),
                ip,
                headers | {"accept": PAGE},
            )


def colleague(s: Scene) -> None:
    """Got a copy, sits behind the sender's address, uses something else."""
    if not s.sender_ip:
        return
    r = s.r
    start = reading_time(r) + 10
    shown = browser(r, s.sent)
    if shown.page["user-agent"] == s.sender_agent:
        return
    s.display("colleague", "person", start, s.sender_ip, r.choice((program(OUTLOOK), shown.picture)))
    clicks(s, "colleague", start, s.sender_ip, shown.page)


ACTORS: tuple[tuple[Callable[[Scene], None], float], ...] = (
    (person, 0.75),
    (hasty_person, 0.08),
    (unread_private_proxy, 0.15),
    (virtual_desktop, 0.02),
    (behind_vpn, 0.02),
    (isolated, 0.03),
    (stale_person, 0.02),
    (forwarded, 0.06),
    (sweep, 0.35),
    (slow_crawl, 0.03),
    (first_link, 0.04),
    (opener, 0.08),
    (declared, 0.06),
    (gmail_ahead, 0.10),
    (heads, 0.04),
    (prefetcher, 0.02),
    (office, 0.05),
    (outbound_scanner, 0.04),
    (sender, 0.20),
    (colleague, 0.04),
    (gmail_proxy_ahead, 0.02),
)


def _company(r: random.Random, sent: datetime) -> Company:
    """A company; half of them have a scanner of their own at ordinary addresses or in a cloud."""
    if r.random() < 0.5:
        return Company((), ())
    where = r.choice((home, home, cloud))
    addresses = tuple(where(r) for _ in range(r.choice((1, 1, 2, 4))))
    return Company(addresses, tuple(disguise(r, sent) for _ in range(r.choice((1, 1, 2)))))


def _seller(r: random.Random, number: int, sent: datetime) -> Seller:
    sessions = tuple((home(r), browser(r, sent, lag=0).page["user-agent"]) for _ in range(r.choice((1, 2, 2, 3))))
    return Seller(f"{number:06x}", f"org{number % 4:02}", sessions)


def generate(seed: int, emails: int) -> Iterator[Made]:
    """Yield `emails` made-up emails; the same `seed` gives the same."""
    r = random.Random(seed)
    sent = datetime(2026, 1, 15, 8, tzinfo=UTC)
    companies = [_company(r, sent) for _ in range(max(1, emails // 100))]
    sellers = [_seller(r, number, sent) for number in range(20)]
    for number in range(emails):
        sent += timedelta(seconds=r.uniform(1, 3000))
        seller = r.choice(sellers)
        ip, agent = r.choice(seller.sessions) if r.random() < 0.85 else (None, None)
        s = Scene(
            r=random.Random(r.getrandbits(64)),
            sent=sent.replace(microsecond=sent.microsecond // 1000 * 1000),
            links=r.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 8)),
            images=r.choice((0, 0, 1, 2)),
            attachments=r.choice((0, 0, 0, 1, 2)),
            recipients=r.choice((1, 1, 1, 1, 2, 3, 5)),
            sender_ip=ip,
            sender_agent=agent,
            seller=seller,
            company=r.choice(companies),
        )
        for actor, share in ACTORS:
            times = s.recipients if actor in (person, unread_private_proxy) else 1
            for _ in range(times):
                if s.r.random() < share:
                    actor(s)
        s.hits.sort(key=lambda entry: entry[0])
        trace = {
            "email": f"{number:016x}",
            "organization": seller.organization,
            "sentAt": s.sent.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "sender": {"id": seller.id, "ip": ip, "agent": agent},
            "recipients": s.recipients,
            "links": s.links,
            "images": s.images,
            "attachments": s.attachments,
            "hits": [entry for _, _, _, entry in s.hits],
        }
        yield Made(trace, tuple(truth for _, _, truth, _ in s.hits), tuple(actor for _, actor, _, _ in s.hits))
