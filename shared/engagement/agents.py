"""What a user agent says about itself: its class, and words for a person ("Outlook on Windows").

A small table of our own: the public bot lists flag Gmail's and Yahoo's display proxies and desktop Outlook, and none
of them knows Gmail's prefetcher (measured over five libraries). Patterns are written for what fetches mail.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from shared.engagement.hits import MAX_HEADER_LENGTH

DECLARED = frozenset({"none", "script", "bot", "headless", "previewer", "scanner", "gmail-prefetch"})
"""Classes of agents that say themselves that no person is asking; "none" is a request without a user agent."""

DISPLAY_PROXIES = frozenset({"google-image-proxy", "yahoo-proxy"})
"""Classes of proxies that fetch because somebody displays the mail."""


@dataclass(frozen=True, slots=True)
class Agent:
    """What a user agent says: its class, words for a person ("" unknown), Chromium's major version (0 for others), and
    whether it is a browser that nobody could still be using, or that never existed."""

    kind: str
    device: str
    chromium: int = 0
    antique: bool = False


GMAIL_PREFETCH = re.compile(r"Chrome/42\.0\.2311\.135 .*Edge/12\.246\b")
"""Google fetching on delivery (Mautic 10245, Keila 164)."""

_SCANNER = re.compile(
    r"barracuda|proofpoint|urldefense|mimecast|\btmes\b|trend ?micro|ciscosecure|ironport|safelinks?\b|urlscan"
    r"|virustotal|fireeye|trellix|forcepoint|websense|sophos|fortinet|fortimail|fortigate|symantec|messagelabs"
    r"|cloudmark|hornetsecurity|vadesecure|avanan|check ?point|paloalto|netcraft|zerofox|phishtank|mcafee|webroot"
    r"|spamtitan|mailmarshal|trustwave|greathorn|abnormal ?security|url ?(?:scan|check|inspect)",
    re.IGNORECASE,
)
_PREVIEWER = re.compile(
    r"slack|skypeuripreview|skype-url-preview|whatsapp/|facebookexternalhit|facebot|meta-external|telegrambot|discordbot"
    r"|twitterbot|linkedinbot|viber|snap url preview|iframely|embedly|mattermost|microsoft preview|bingpreview"
    r"|google-?messages|kakaotalk-scrap|line-poker|vkshare|redditbot|pinterestbot|applebot|zoombot|teamsbot|tumblr/"
    r"|msteams.*preview|link ?preview|url ?preview|(?:existence|protocol) discovery|internet publishing provider",
    re.IGNORECASE,
)
_HEADLESS = re.compile(
    r"headless|phantomjs|slimerjs|puppeteer|playwright|selenium|webdriver|cypress|chrome-lighthouse|splash/|jsdom",
    re.IGNORECASE,
)
_SCRIPT = re.compile(
    r"^(?:python|curl|wget|go-http|java/|java-http|jakarta|okhttp|axios|node|undici|got[ /(]|deno/|bun/|ruby|php|guzzle"
    r"|perl|lua-|rest-client|httpie|httpx|aiohttp|ahc/|reqwest|hyper/|ureq|faraday|typhoeus|libcurl|lwp|winhttp"
    r"|microsoft-cryptoapi|microsoft url control|microsoft bits|dart/|cortex/|amazon cloudfront|hubspot connect"
    r"|mechanize)"
    r"|python-requests|python-urllib|libwww-perl|apache-httpclient|go-http-client|postmanruntime|insomnia/|scrapy"
    r"|httrack|windowspowershell|node-fetch|dataaccessd",
    re.IGNORECASE,
)
_BOT = re.compile(
    r"(?<!cu)bot(?![a-z])|crawl|spider|\bscan|scanner|google-safety|masscan|zgrab|nmap|nuclei|nikto|censys|monitor(?:ing)?\b|\bfetch(?:er)?\b|checker|validator|archiver|slurp"
    r"|\+https?://|feedfetcher|pagerenderer|read-aloud|inspectiontool|preview\b",
    re.IGNORECASE,
)
_IMAGE_PROXY = re.compile(r"image-?proxy|mail-?proxy|imageresizer|imagefetcher|mailprivacy", re.IGNORECASE)

_MAIL_CLIENTS = (
    (re.compile(r"Microsoft Outlook|ms-office|MSOffice|OneOutlook|Outlook/", re.IGNORECASE), "Outlook"),
    (re.compile(r"Outlook-(?:iOS|Android)|MacOutlook|Outlook Mobile", re.IGNORECASE), "Outlook"),
    (re.compile(r"Thunderbird|Betterbird", re.IGNORECASE), "Thunderbird"),
    (re.compile(r"Lotus-?Notes|HCL Notes", re.IGNORECASE), "Notes"),
    (re.compile(r"WebView/3\.0"), "Windows Mail"),
    (re.compile(r"^(?:Mobile)?Mail/\d.*CFNetwork"), "Apple Mail"),
    (re.compile(r"Airmail|eM ?Client|Postbox|Mailbird|BlueMail|Evolution|KMail|Canary|Superhuman|Mailspring|FairEmail"
                r"|K-9|Spark|SamsungEmail|Samsung Email|SeaMonkey|Claws|The Bat", re.IGNORECASE), "a mail program"),
)  # fmt: skip

_WEBKIT_END = re.compile(r"\((?:Macintosh|iPhone|iPad|iPod).*AppleWebKit/[\d.]+ \(KHTML, like Gecko\)$")
_WEBKIT_APP = re.compile(r"AppleWebKit/[\d.]+ \(KHTML, like Gecko\) Mobile/\w+$")
_WEBVIEW = re.compile(r"; wv\)|Electron/|GSA/|FBA[NV]/|Instagram|\[?LinkedInApp|Mobile/\w+ \[")
_CHROMIUM = re.compile(r"\bChrom(?:e|ium)/(\d+)")
_BROWSERS = (
    (re.compile(r"\bEdg(?:e|A|iOS)?/\d"), "Edge"),
    (re.compile(r"\bOPR/|\bOPT/|\bOpera\b"), "Opera"),
    (re.compile(r"SamsungBrowser/"), "Samsung Internet"),
    (re.compile(r"Vivaldi/"), "Vivaldi"),
    (re.compile(r"\bFirefox/|\bFxiOS/"), "Firefox"),
    (re.compile(r"\bChrome/|\bCriOS/|\bChromium/"), "Chrome"),
    (re.compile(r"\bVersion/[\d.]+.*Safari/"), "Safari"),
    (re.compile(r"MSIE |Trident/"), "Internet Explorer"),
    (re.compile(r"^Mozilla/5\.0 \(.*AppleWebKit/.*(?:Mobile/|Safari/)"), "an app's browser"),
)
_SYSTEMS = (
    (re.compile(r"Windows Phone"), "Windows Phone"),
    (re.compile(r"Windows"), "Windows"),
    (re.compile(r"iPhone|iPod|Outlook-iOS"), "iPhone"),
    (re.compile(r"iPad"), "iPad"),
    (re.compile(r"Macintosh|Mac OS X|macOS|Darwin|MacOutlook"), "Mac"),
    (re.compile(r"Android", re.IGNORECASE), "Android"),
    (re.compile(r"CrOS"), "ChromeOS"),
    (re.compile(r"Linux|X11"), "Linux"),
)


def classify(user_agent: str) -> Agent:
    """Return what `user_agent`, the header's value ("" where there was none), says about who is asking; what stands
    beyond `MAX_HEADER_LENGTH` is not looked at.

    >>> classify("Mozilla/5.0")
    Agent(kind='apple-mpp', device='', chromium=0, antique=False)
    >>> classify("Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Microsoft Outlook 16.0.5134; ms-office)").device
    'Outlook on Windows'
    """
    return _classify(user_agent[:MAX_HEADER_LENGTH])


@lru_cache(maxsize=4096)
def _classify(user_agent: str) -> Agent:
    text = user_agent.strip()
    kind = _intermediary(text) or _declared(text)
    if kind:
        return Agent(kind, _PROXY_DEVICES.get(kind, ""))
    version = _CHROMIUM.search(text)
    chromium = int(version[1]) if version else 0
    system = _first(_SYSTEMS, text)
    client = _first(_MAIL_CLIENTS, text)
    if client:
        return Agent("mail-client", _words(client, system))
    if _WEBKIT_END.search(text):
        return Agent("apple-mail", _words("Apple Mail", system))
    if _WEBKIT_APP.search(text):
        return Agent("mail-client", _words("a mail app", system))
    browser = _first(_BROWSERS, text)
    if browser:
        kind = "webview" if _WEBVIEW.search(text) else "browser"
        return Agent(kind, _words(browser, system), chromium, antique=_antique(text, chromium))
    return Agent("app", _words("an app", system) if system else "")


_PROXY_DEVICES = {"google-image-proxy": "Gmail", "yahoo-proxy": "Yahoo Mail"}


_WINDOWS = re.compile(r"Windows NT (\d+)\.(\d)")
_OLD_VERSIONS = re.compile(r"MSIE |Trident/|\bFirefox/\d\d\.|\bVersion/(?:\d|1[01])\.[\d.]+ Safari/")


def _antique(text: str, chromium: int) -> bool:
    """Return whether a desktop browser is beyond what people still use: Internet Explorer, Firefox below 100, Safari
    below 12, anything on XP or Vista, or a Chromium on a Windows it no longer ran on (110 left Windows 7 and 8)."""
    windows = _WINDOWS.search(text)
    version = (int(windows[1]), int(windows[2])) if windows else (10, 0)
    return bool(_OLD_VERSIONS.search(text)) or version < (6, 1) or (version < (10, 0) and chromium >= 110)


def _intermediary(text: str) -> str:
    """Return the class of a mail provider's own fetcher, or ""."""
    if text == "Mozilla/5.0":
        return "apple-mpp"  # Mailgun, SocketLabs and ClickDimensions all publish exactly this
    if "GoogleImageProxy" in text:
        return "google-image-proxy"
    if "YahooMailProxy" in text:
        return "yahoo-proxy"
    if GMAIL_PREFETCH.search(text):
        return "gmail-prefetch"
    if _IMAGE_PROXY.search(text):
        return "image-proxy"
    return ""


def _declared(text: str) -> str:
    """Return the class of a program that names itself, or "": the most telling first."""
    if not text or text == "-":
        return "none"
    for kind, pattern in (
        ("scanner", _SCANNER),
        ("previewer", _PREVIEWER),
        ("headless", _HEADLESS),
        ("script", _SCRIPT),
        ("bot", _BOT),
    ):
        if pattern.search(text):
            return kind
    return ""


def _first(table: tuple[tuple[re.Pattern[str], str], ...], text: str) -> str:
    return next((name for pattern, name in table if pattern.search(text)), "")


def _words(what: str, system: str) -> str:
    return f"{what} on {system}" if system else what
