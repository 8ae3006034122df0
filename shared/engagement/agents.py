"""What a user agent says about itself: its class, and words for a person ("Outlook on Windows").

First come tables of our own, written for what fetches mail: the public bot lists flag Gmail's and Yahoo's display
proxies and desktop Outlook, and none of them knows Gmail's prefetcher (measured over five libraries). Of the rest a
list kept by others (`crawlers`) says whether it names a program, also behind a browser's name. What remains is judged
by its form: it has a browser's, or says nothing but the device, or names a program that is not known to display mail.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from shared.engagement import crawlers
from shared.engagement.hits import MAX_HEADER_LENGTH

DECLARED = frozenset({"none", "script", "bot", "headless", "previewer", "scanner", "program", "gmail-prefetch"})
"""Classes of agents that say themselves that no person is asking; "none" is a request without a user agent, "program"
one that names itself and is neither a browser nor known to display mail."""

DISPLAY_PROXIES = frozenset({"google-image-proxy", "yahoo-proxy"})
"""Classes of proxies that fetch because somebody displays the mail."""


@dataclass(frozen=True, slots=True)
class Agent:
    """What a user agent says: its class, words for a person ("" unknown), Chromium's major version (0 for others),
    whether it is a browser that nobody could still be using, or that never existed, and whether it claims to be a
    browser of the desktop that is kept current: "yes", "late" where many a system it names gets no newer one, "" no."""

    kind: str
    device: str
    chromium: int = 0
    antique: bool = False
    current: str = ""


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
    r"slackbot|slack-|^slack|skypeuripreview|skype-url-preview|whatsapp/|facebookexternalhit|facebot|meta-external|telegrambot|discordbot"
    r"|twitterbot|linkedinbot|^viber|snap url preview|iframely|embedly|mattermost|microsoft preview|bingpreview"
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
    r"(?<!cu)bot(?![a-z])|crawl|spider|\bscan|(?<!cam)scanner|google-safety|masscan|zgrab|nmap|nuclei|nikto|censys"
    r"|monitor(?:ing)?\b|\bfetch(?:er)?\b|checker|validator|archiver|slurp|feedfetcher|pagerenderer|read-aloud"
    r"|inspectiontool|preview\b"
    # What programs do, and browsers do not say of themselves.
    r"|agent(?:/|\b)|transcoder|verifier|analy[sz]er|inspector|insights?\b|thumbnail|screenshot|web-?(?:shot|thumb|capture)"
    r"|favicon|optimizer|resolver|retriever|extractor|collector|harvest|indexer|classifier|uptime|health-?check|wkhtmlto"
    r"|webkit2png|synthetic|diagnostics|observatory|measurement|search console|translate\b|pingdom|ptst\b|auditor"
    r"|wordpress|snapshot"
    # Where to complain: an address of the web or of mail.
    r"|https?://(?!bsalsa|www\.qtweb)|\bwww\.(?!qtweb)|mailto:|[\w-]@[a-z][\w-]*\.[a-z]"
    # Where a browser says nothing more: behind its engine.
    r"|like gecko;|like gecko, (?!safari)|(?:safari|firefox|mobile)/[\d.]+ \(compatible;",
    re.IGNORECASE,
)
_IMAGE_PROXY = re.compile(
    r"(?:image|mail)[ _-]?proxy|imageresizer|imagefetcher|mailprivacy|\(via [^()]*proxy\)|mail[\w. -]{0,20} proxy\b",
    re.IGNORECASE,
)

_MAIL_CLIENTS = (
    (re.compile(r"Microsoft Outlook|ms-office|MSOffice|OneOutlook|Outlook/|Outlook-Express|; MAPI ",
                re.IGNORECASE), "Outlook"),
    (re.compile(r"Outlook-(?:iOS|Android)|MacOutlook|Outlook Mobile", re.IGNORECASE), "Outlook"),
    (re.compile(r"Thunderbird|Betterbird|Icedove", re.IGNORECASE), "Thunderbird"),
    (re.compile(r"Lotus-?Notes|HCL Notes", re.IGNORECASE), "Notes"),
    (re.compile(r"WebView/3\.0"), "Windows Mail"),
    (re.compile(r"^(?:Mobile)?Mail/\d.*CFNetwork"), "Apple Mail"),
    (re.compile(r"Airmail|eM ?Client|Postbox|Mailbird|BlueMail|Superhuman|Mailspring|FairEmail|K-9|SeaMonkey|The Bat!?"
                r"|Foxmail|MailMaster|Spicebird|Sylpheed|Becky!|Eudora|GroupWise|Zimbra"
                r"|\b(?:Evolution|KMail|Kontact|Canary|Spark(?:%20| )?(?:Desktop)?|Claws(?:[ -]?Mail)?|Geary"
                r"|Troj?it[aá]|Balsa|Barca(?:Pro)?|Edison|Newton|Polymail|Missive|Shortwave|Tuta(?:nota)?|Spike|TypeApp|Boxer|Nine|HEY)/v?\d",
                re.IGNORECASE), "a mail program"),
)  # fmt: skip
_MAIL_NAME = re.compile(r"(?:mail|inbox)[\w.%-]{0,24}[/ ]v?\d", re.IGNORECASE)
"""A program on somebody's device that calls itself one for mail: Yahoo%20Mail/49268 CFNetwork/1121.2.2 Darwin/19.3."""

_WEBKIT_END = re.compile(r"\((?:Macintosh|iPhone|iPad|iPod).*AppleWebKit/[\d.]+ \(KHTML, like Gecko\)$")
_WEBKIT_APP = re.compile(r"AppleWebKit/[\d.]+ \(KHTML, like Gecko\) Mobile/\w+$")
_WEBVIEW = re.compile(r"; wv\)|Electron/|AtomShell/|QtWebEngine/|GSA/|FBA[NV]/|Instagram|\[?LinkedInApp|Mobile/\w+ \[")
_CHROMIUM = re.compile(r"\bChrom(?:e|ium)/(\d+)")
_BROWSERS = (
    (re.compile(r"\bEdg(?:e|A|iOS)?/\d"), "Edge"),
    (re.compile(r"\bOPR/|\bOPT/|\bOpera\b"), "Opera"),
    (re.compile(r"SamsungBrowser/"), "Samsung Internet"),
    (re.compile(r"Vivaldi/"), "Vivaldi"),
    (re.compile(r"\bFirefox/|\bFxiOS/"), "Firefox"),
    (re.compile(r"\bChrome/|\bCriOS/|\bChromium/"), "Chrome"),
    (re.compile(r"\bVersion/[\d.]+.*Safari/"), "Safari"),
    (re.compile(r"MSIE \d|Trident/"), "Internet Explorer"),
    (re.compile(r"^Mozilla/5\.0 \(.*AppleWebKit/.*(?:Mobile/|Safari/)"), "an app's browser"),
    (re.compile(r"UC ?Browser|UCWEB|UP\.(?:Browser|Link)|NetFront|Obigo|Profile/MIDP|MAUI[/ -]|(?:WAP|MAUI)[ -]Browser",
                re.IGNORECASE), "a phone's browser"),
)  # fmt: skip
_TEXT_BROWSER = re.compile(
    r"(?:Lynx|E?Links|ELinks|w3m|Dillo|NetSurf|IBrowse|AmigaVoyager)[/ ]|DDG[-_]Android", re.IGNORECASE
)
_ENGINE = re.compile(
    r"Mozilla/\d\.\d \((?!compatible;(?! Konqueror)).*(?:Gecko|Goanna|KHTML|AppleWebKit|Presto|Ladybird|LibWeb)"
    r"|.*browser(?!less)",
    re.IGNORECASE,
)
"""Browsers that few have, of which only their engine is known, or that they call themselves one."""
_BORROWED = re.compile(r"(?!Opera/|[^/]*(?:browser|\bTV)).+\bMozilla/\d", re.DOTALL | re.IGNORECASE)
"""A name before that of a browser, which begins with "Mozilla": a program shows whose page it fetches."""

_SYSTEMS = (
    (re.compile(r"Windows Phone"), "Windows Phone"),
    (re.compile(r"Windows"), "Windows"),
    (re.compile(r"iPhone|iPod|Outlook-iOS"), "iPhone"),
    (re.compile(r"iPad"), "iPad"),
    (re.compile(r"Macintosh|Mac OS X|macOS|Darwin|MacOutlook"), "Mac"),
    (re.compile(r"Android", re.IGNORECASE), "Android"),
    (re.compile(r"CrOS"), "ChromeOS"),
    (re.compile(r"Linux|X11"), "Linux"),
    (
        re.compile(r"BSD |Haiku|Bada/|Tizen|SMART-TV|PlayStation|Nintendo|Symbian|BlackBerry|BB10|web[O0]S|KAIOS"),
        "a device",
    ),
)


def classify(user_agent: str) -> Agent:
    """Return what `user_agent`, the header's value ("" where there was none), says about who is asking; what stands
    beyond `MAX_HEADER_LENGTH` is not looked at.

    >>> classify("Mozilla/5.0")
    Agent(kind='apple-mpp', device='', chromium=0, antique=False, current='')
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
    client = _first(_MAIL_CLIENTS, text) or ("a mail program" if system and _MAIL_NAME.search(text) else "")
    if client:
        return Agent("mail-client", _words(client, system))
    if _WEBKIT_END.search(text):
        return Agent("apple-mail", _words("Apple Mail", system))
    if _WEBKIT_APP.search(text):
        return Agent("mail-client", _words("a mail app", system))
    browser = _browser(text, system)
    if browser and _WEBVIEW.search(text):
        # What an app says of itself is not what the list is about: Notion's previews are, its windows are not.
        return Agent("webview", _words(browser, system), chromium)
    kind = crawlers.class_of(text)
    if kind:
        return Agent(kind, "")
    if browser:
        return Agent("browser", _words(browser, system), chromium, *_currency(text, chromium))
    if _SAYS_NOTHING.match(text) and (system or "(" not in text):
        return Agent("app", _words("an app", system) if system else "")
    return Agent("program", "")


_PROXY_DEVICES = {"google-image-proxy": "Gmail", "yahoo-proxy": "Yahoo Mail"}

_SAYS_NOTHING = re.compile(
    r"Mozilla/\d\.\d(?: \((?!compatible;)[^()]*\)(?: AppleWebKit/[\d.]+ \(KHTML, like Gecko\))?)?$"
    r"|Dalvik/[\d.]+ [^/]*(?:(?:Build|MIUI)/\S+)?(?: AppleWebKit \S+)?$"
    r"|com\.apple\.WebKit|CFNetwork/|Darwin/"
)
"""What says no more than the device: the networking of Android and of Apple's systems under no app's name, and an
engine under no browser's."""


def _browser(text: str, system: str) -> str:
    """Return a browser's name, or words for it; "" where the text is none's."""
    named = _first(_BROWSERS, text)
    if named != "a phone's browser" and _BORROWED.match(text):
        return ""
    if named or _SAYS_NOTHING.match(text):
        return named
    return "a browser" if _TEXT_BROWSER.match(text) or (system and _ENGINE.match(text)) else ""


_STOCK = re.compile(
    r"Mozilla/5\.0 \([^()]*\) (?:AppleWebKit/[\d.]+ \(KHTML, like Gecko\)|Gecko/\d+)"
    r"(?: (?:Chrome|Safari|Version|Edge?|OPR|Firefox)/[\d.]+)+$"
)
"""A browser as its maker ships it. What has another name beside embeds one, and renews it when it likes: Foxmail, QQ's
and Yandex's browsers, Pale Moon."""
_EXPLORER = re.compile(r"MSIE \d|Trident/")
_WINDOWS = re.compile(r"Windows NT (\d+)\.(\d)")
_MAC = re.compile(r"Mac OS X (\d+)[._](\d+)")
_SMALL_LINUX = re.compile(r"Linux (?:i[3-6]86|arm)")
_HANDHELD = re.compile(r"Android|Mobile|iPhone|iPad|CrOS")
_OLD_VERSIONS = re.compile(r"\bFirefox/\d\d\.|\bVersion/(?:\d|1[01])\.[\d.]+ Safari/")
_OLD_MAC = (10, 11)
"""The last macOS for which Firefox 78 and Safari 11 were the last."""


def _currency(text: str, chromium: int) -> tuple[bool, str]:
    """Return `Agent.antique` and `Agent.current` of a browser.

    Beyond what people still use are anything on XP or Vista, a Chromium on a Windows it never ran on (109 was the last
    for Windows 7 and 8), Internet Explorer where Edge replaced it, and Firefox below 100 and Safari below 12 on systems
    that have later ones.
    """
    explorer = _EXPLORER.search(text)
    if not (explorer or _STOCK.match(text)) or _HANDHELD.search(text):
        return False, ""
    windows, mac = (
        tuple(map(int, found.groups())) if found else None for found in (_WINDOWS.search(text), _MAC.search(text))
    )
    current = "late" if mac or (windows and windows < (10, 0)) or _SMALL_LINUX.search(text) else "yes"
    if windows and windows < (6, 1):
        return True, current
    if explorer:
        return current == "yes", current
    if windows and windows < (10, 0) and chromium >= 110:
        return True, current
    return bool(_OLD_VERSIONS.search(text)) and not (mac and mac <= _OLD_MAC), current


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
