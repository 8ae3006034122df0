"""What user agents say about who is asking.

The tables in tests/unit/agents are of public reports and of the documentation of the programs concerned.
"""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.agents import DECLARED, DISPLAY_PROXIES, _classify, classify
from shared.engagement.hits import Kind
from shared.engagement.labels import Label, judge
from tests.unit import making_hits as made
from tests.unit.making_hits import DAY, HOUR, MINUTE, SECOND


def lines(name: str) -> list[str]:
    text = (Path(__file__).parent / "agents" / name).read_text("utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


PEOPLE = [line.split("\t") for line in lines("people.tsv")]
PROGRAMS = lines("programs.txt")
DECEMBER = 320 * DAY
"""From the day of the made-up mail to December 2026, when Chromium is at 154."""


@pytest.mark.parametrize(
    ("user_agent", "kind"),
    [
        ("Mozilla/5.0", "apple-mpp"),
        (made.GMAIL, "google-image-proxy"),
        (made.GMAIL_AHEAD, "gmail-prefetch"),
        (made.YAHOO, "yahoo-proxy"),
        (made.OUTLOOK, "mail-client"),
        (made.IOS_MAIL, "mail-client"),
        (made.APPLE_MAIL, "apple-mail"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.6.0", "mail-client"),
        (made.CHROME, "browser"),
        (made.SAFARI, "browser"),
        ("", "none"),
        ("python-requests/2.32.3", "script"),
        ("Go-http-client/2.0", "script"),
        ("curl/8.7.1", "script"),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "previewer"),
        (
            "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
            "previewer",
        ),
        ("WhatsApp/2.24.1.84 A", "previewer"),
        ("Microsoft Office Existence Discovery", "previewer"),
        ("Mozilla/5.0 (compatible; bitlybot/3.0; +http://bit.ly/)", "bot"),
        ("Barracuda Sentinel (EE)", "scanner"),
        (made.CHROME.replace("Chrome", "HeadlessChrome"), "headless"),
    ],
)
def test_each_kind_of_agent_is_known(user_agent: str, kind: str) -> None:
    assert classify(user_agent).kind == kind


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (made.OUTLOOK, "Outlook on Windows"),
        (made.EDGE, "Edge on Windows"),
        (made.SAFARI, "Safari on iPhone"),
        (made.CHROME_MAC, "Chrome on Mac"),
        (made.GMAIL, "Gmail"),
        (made.APPLE_MAIL, "Apple Mail on Mac"),
        ("python-requests/2.32.3", ""),
    ],
)
def test_the_device_is_named_for_a_person(user_agent: str, device: str) -> None:
    assert classify(user_agent).device == device


def test_a_phone_whose_maker_is_called_cubot_is_no_bot() -> None:
    phone = (
        "Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Mobile"
    )
    assert classify(phone).kind == "browser"


@pytest.mark.parametrize(
    ("user_agent", "antique"),
    [
        (made.CHROME, False),
        (made.FIREFOX, False),
        ("Mozilla/5.0 (Windows NT 6.1; WOW64; rv:40.0) Gecko/20100101 Firefox/40.1", True),
        ("Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Trident/7.0)", True),
        (made.CHROME.replace("NT 10.0", "NT 6.1"), True),
        (made.CHROME.replace("NT 10.0", "NT 6.1").replace("144", "109"), False),
        (made.CHROME.replace("NT 10.0", "NT 5.1").replace("144", "49"), True),
    ],
)
def test_a_browser_nobody_can_be_using_is_antique(user_agent: str, antique: bool) -> None:
    assert classify(user_agent).antique is antique


@given(st.text(max_size=300))
def test_any_text_is_classified(user_agent: str) -> None:
    agent = classify(user_agent)
    assert agent.kind
    assert not (agent.kind in DECLARED and agent.device)


@pytest.mark.parametrize(
    "user_agent",
    [
        made.IOS_MAIL + " [LinkedInApp]/9.29",
        made.CHROME.replace("Chrome/144.0.0.0", "Teams/1.6 Chrome/96.0.4664.174 Electron/19.1.8"),
        made.CHROME.replace("Windows NT 10.0; Win64; x64", "Linux; Android 14; SM-S911B; wv"),
    ],
)
def test_a_browser_inside_an_app_is_as_old_as_the_app(user_agent: str) -> None:
    assert classify(user_agent).kind == "webview"


@pytest.mark.parametrize(("kind", "what", "user_agent"), PEOPLE, ids=[what for _, what, _ in PEOPLE])
def test_somebody_with_a_program_of_any_age_is_a_person_in_the_first_minutes(
    kind: str, what: str, user_agent: str
) -> None:
    assert classify(user_agent).kind == kind
    email = replace(made.an_email(links=1), sent_at=made.SENT + DECEMBER)
    hits = [
        made.opened(DECEMBER + 15 * SECOND, agent=user_agent),
        made.clicked(0, DECEMBER + 19 * SECOND, agent=user_agent),
    ]
    assert [verdict.label for verdict in judge(email, hits)] == [Label.PERSON] * 2


def test_what_claims_to_be_current_and_is_years_old_is_a_machine_in_the_first_minutes() -> None:
    email = replace(made.an_email(links=1), sent_at=made.SENT + DECEMBER)
    for system in ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64"):
        agent = made.CHROME_101.replace("Windows NT 10.0; Win64; x64", system)
        found = judge(email, [made.clicked(0, DECEMBER + 19 * SECOND, agent=agent)])
        assert [verdict.label for verdict in found] == [Label.MACHINE]


@pytest.mark.parametrize("after", [MINUTE, HOUR, 3 * DAY])
@pytest.mark.parametrize("kind", [Kind.OPEN, Kind.LINK])
@pytest.mark.parametrize("user_agent", PROGRAMS)
def test_a_program_that_names_itself_is_a_machine_at_any_hour(user_agent: str, kind: Kind, after: int) -> None:
    assert [v.label for v in judge(made.an_email(), [made.seen(kind, after, agent=user_agent)])] == [Label.MACHINE]


PROXIES = [
    made.CHROME.replace("144", "55") + " (via secureurl.fwdcdn.com - mail.ukr.net proxy)",
    "Mozilla/5.0 SeznamEmailProxy/2.0.174",
    "RamblerMail/6.0 (incompatible; ImageProxy/6.0)",
    "Mozilla/5.0 (compatible; YandexImageResizer/2.0; +http://yandex.com/bots)",
]


@pytest.mark.parametrize("user_agent", PROXIES)
def test_a_mail_providers_proxy_is_one_whatever_browser_it_names(user_agent: str) -> None:
    assert classify(user_agent).kind == "image-proxy"
    found = judge(made.an_email(), [made.opened(15 * SECOND, agent=user_agent)])
    assert [v.label for v in found] == [Label.PROXY]


def test_what_the_list_calls_a_program_is_one_but_for_proxies_windows_and_a_few_browsers() -> None:
    named = {text: classify(text).kind for entry in CRAWLER_USER_AGENTS_DATA for text in entry["instances"]}
    people = {text: kind for text, kind in named.items() if kind not in DECLARED}
    assert len(named) > 2000
    assert set(people.values()) <= {"image-proxy", "webview", "browser", *DISPLAY_PROXIES}
    assert sum(kind == "browser" for kind in people.values()) < 10
    assert len(people) < 0.01 * len(named)


@pytest.mark.parametrize(
    "repeated",
    ["a", "bo", "mail", "(via ", "Mozilla/5.0 (", "AppleWebKit/", "Version/1", "Dalvik/1 ", "a@a.", "compatible;", "("],
)
def test_a_hostile_agent_takes_no_longer_than_its_length(repeated: str) -> None:
    def spent(length: int) -> float:
        texts = [f"{(repeated * length)[: length - 1]}{n}" for n in range(8)]
        start = time.process_time()
        for text in texts:
            _classify.__wrapped__(text)
        return time.process_time() - start

    _classify.__wrapped__("loads the list")
    assert min(spent(512) for _ in range(3)) < 30 * min(spent(64) for _ in range(3))
