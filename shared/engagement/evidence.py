"""The evidence one hit gives of a machine: small rules, each with its weight, its words and where it is known from.

Weights are points; `ENOUGH` of them on one hit make it a machine's. What proves it alone weighs that much, what only
hints weighs less and needs company: being early is never enough, whatever comes before five minutes are over.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared.engagement import agents
from shared.engagement.hits import Kind
from shared.engagement.observations import DAY, Observation

ENOUGH = 100

SECOND = 1000  # ms
MINUTE = 60 * SECOND
AT_ONCE = 3 * SECOND
"""Within this a second fetch of what was clicked comes of the click: it checks it."""

AHEAD = 10 * SECOND
"""Sooner than this after sending Gmail's proxy may fetch unread mail (gophish 1390: within seconds; 3086: at 4 s)."""

CLICKS = frozenset({Kind.LINK, Kind.ATTACHMENT})
BROWSERS = frozenset({"browser", "webview"})
NEVER_CLICK = agents.DISPLAY_PROXIES | {"apple-mpp", "image-proxy"}
FILTERS = frozenset({"microsoft-eop", "microsoft-detonation", "barracuda"})
GATEWAYS = frozenset({"proofpoint", "mimecast", "cisco", "gateway"})
HOSTING = frozenset({"azure", "cloud"})
NEVER_HOSTED = frozenset({"google-image-proxy", "apple-mpp"})
"""Google and Apple fetch from their own published networks; Yahoo and the small proxies may rent theirs."""


@dataclass(frozen=True, slots=True)
class Email:
    """What the rules may know of the email: when the send was recorded (ms, None while it is being sent), how many
    followed links, hosted images, followed attachments and recipients it has, and the `source_hash` of the session that
    sent it, with those of other sessions known to be the same seller's, one a line ("" where none is known)."""

    sent_at: int | None
    links: int
    images: int
    attachments: int
    recipients: int
    sender_source: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a machine: `points` of `ENOUGH`, why, and whether it speaks of who fetched (`lasting`) or only of
    this one fetch."""

    points: int
    reason: str
    lasting: bool = True


def age(email: Email, o: Observation) -> int:
    """Return how long after sending `o` happened, ms; 0 while the email is still being sent."""
    return 0 if email.sent_at is None else o.at - email.sent_at


def is_sender(email: Email, o: Observation) -> bool:
    """Return whether `o` came from a session of the seller's: the same address and agent.

    The same kind of agent is enough later than two days after sending, when its version may have changed. Another agent
    at the same address is somebody else in the same office.
    """
    if o.source not in email.sender_source:
        return False
    for line in email.sender_source.split("\n"):
        source, agent, kind, device = line.split("|")
        if o.source == source:
            if o.agent == agent:
                return True
            if age(email, o) > 2 * DAY and (o.agent_class, o.device) == (kind, device):
                return True
    return False


# --- what one hit shows ---------------------------------------------------------------------------------------------

_DECLARATIONS = {
    "none": "asked without saying what it is",
    "script": "was fetched by a script that says so",
    "bot": "was fetched by a bot that says so",
    "headless": "was fetched by a browser without a screen",
    "previewer": "was fetched for a link preview",
    "scanner": "was fetched by a security scanner that says so",
    "program": "was fetched by a program that is neither a browser nor a mail program",
    "gmail-prefetch": "was fetched by Gmail on delivery",
}


def declares_itself(_email: Email, o: Observation) -> Iterator[Evidence]:
    """An agent that says what it is, or says nothing at all (machines-and-law, 1 and 3)."""
    reason = _DECLARATIONS.get(o.agent_class)
    if reason:
        yield Evidence(ENOUGH, reason)


def only_asks(_email: Email, o: Observation) -> Iterator[Evidence]:
    """HEAD and OPTIONS display nothing; mail programs send them when a pointer hovers (gophish 499, Mautic 14053)."""
    if o.method != "GET":
        yield Evidence(ENOUGH, f"only asked whether it is there ({o.method})", lasting=False)


def fetches_ahead(_email: Email, o: Observation) -> Iterator[Evidence]:
    """Browsers mark what they fetch before anybody asks (Sec-Purpose, Purpose, X-Moz)."""
    if "prefetch" in o.flags:
        yield Evidence(ENOUGH, "was fetched ahead by a browser", lasting=False)


def does_not_click(_email: Email, o: Observation) -> Iterator[Evidence]:
    """Image proxies fetch images; one that follows a link is a program under a borrowed name. Apple Mail fetches a link
    to preview it under the pointer (gophish 499); what somebody follows opens in a browser."""
    if o.kind in CLICKS:
        if o.agent_class in NEVER_CLICK:
            yield Evidence(ENOUGH, "an image proxy followed a link")
        elif o.agent_class == "apple-mail":
            yield Evidence(ENOUGH, "was fetched for a preview in Apple Mail", lasting=False)
        elif o.agent_class == "app":
            yield Evidence(ENOUGH, "was followed by a program that is no browser")


def comes_from(_email: Email, o: Observation) -> Iterator[Evidence]:
    """Networks by what runs there (Warmbly's catalogue, its scopes and certainties).

    Exchange Online fetches images when somebody reads and links when Safe Links checks them. Vendors that filter also
    render pages for people (browser isolation); clouds also carry virtual desktops and VPNs: these only hint.
    """
    click = o.kind in CLICKS
    network = o.network_class
    if network in FILTERS:
        yield Evidence(ENOUGH, "was fetched by a mail filter's network")
    elif network in GATEWAYS:
        yield Evidence(80, "came from a mail security vendor's network")
    elif network == "exchange-online" and click:
        yield Evidence(ENOUGH, "was checked by Microsoft (Safe Links)", lasting=False)
    elif network == "google" and (click or o.agent_class in BROWSERS):
        yield Evidence(80, "came from Google's own network")
    elif network in HOSTING and o.agent_class in NEVER_HOSTED:
        yield Evidence(ENOUGH, "came from a data centre under a mail provider's name")
    elif network in ("azure", "yahoo") and click:
        yield Evidence(80, "came from a mail provider's data centre")
    elif network == "azure" and o.agent_class in BROWSERS:
        yield Evidence(40, "came from a data centre")
    elif network == "cloud" and o.agent_class not in agents.DISPLAY_PROXIES:
        yield Evidence(75 if click or o.agent_class in BROWSERS else 20, "came from a data centre")


def known_elsewhere(_email: Email, o: Observation) -> Iterator[Evidence]:
    """A source that other emails of the organization showed to be a machine (`sources`)."""
    if "machine-elsewhere" in o.flags and not (o.network_class == "exchange-online" and o.kind not in CLICKS):
        yield Evidence(80, "came from a machine known from other emails")


_FLAG_POINTS = {
    # flag: (points on a click, on an open, words)
    "no-accept-language": (80, 60, "unlike any browser, named no language"),
    "no-accept": (60, 60, "unlike any browser, did not say what it accepts"),
    "no-html-accepted": (40, 0, "did not ask for a page"),
    "query-added": (80, 60, "changed the address of the link"),
    "from-header": (60, 60, "sent a robot's From header"),
    "not-navigated": (30, 0, "did not ask for a page"),
    "headless-brand": (ENOUGH, ENOUGH, "is a browser without a screen"),
    "hints-contradict": (60, 60, "says two different things about its browser"),
    "ancient-browser": (80, 80, "used a browser more than two years old"),
    "old-browser": (40, 40, "used a browser more than a year old"),
}


def betrays_itself(_email: Email, o: Observation) -> Iterator[Evidence]:
    """Headers a browser always sends, and versions nobody runs (machines-and-law 3; gophish 2357, 2646; Mautic 9798).

    Only what claims to be a browser is judged: mail programs leave out what they like, and proxies are not asked.
    """
    if o.agent_class not in BROWSERS or (o.network_class == "exchange-online" and o.kind not in CLICKS):
        if "query-added" in o.flags:
            yield Evidence(60, "changed the address of the link")
        return
    for flag in o.flags:
        points = _FLAG_POINTS.get(flag)
        if points:
            weight = points[0] if o.kind in CLICKS else points[1]
            if weight:
                yield Evidence(weight, points[2])


def is_early(email: Email, o: Observation) -> Iterator[Evidence]:
    """95 of 100 sweeps fall into the first five minutes (craft-campaign 546), and people open then too."""
    since = age(email, o)
    if since <= 5 * MINUTE:
        yield Evidence(25, "came soon after sending")
    if since < 0:
        yield Evidence(20, "came before the email was out", lasting=False)


HIT_RULES: tuple[Callable[[Email, Observation], Iterator[Evidence]], ...] = (
    declares_itself,
    only_asks,
    fetches_ahead,
    does_not_click,
    comes_from,
    known_elsewhere,
    betrays_itself,
    is_early,
)
