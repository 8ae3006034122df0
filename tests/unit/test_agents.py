"""What user agents say about who is asking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.agents import DECLARED, classify
from tests.unit import making_hits as made


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
