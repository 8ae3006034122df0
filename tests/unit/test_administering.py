"""Settings of an organization as an operator types them: the Web API's rules, and clear words where they are broken."""

import pytest

from shared.storage.organizations import DEFAULT_SETTINGS, Organization
from shared.webapi.administering import names, settings_from, words_of
from shared.webapi.errors import Failure


def changed(**words):
    after = settings_from(DEFAULT_SETTINGS, words)
    assert after.keys() == DEFAULT_SETTINGS.keys()
    return {name: value for name, value in after.items() if value != DEFAULT_SETTINGS[name]}


def test_columns_take_what_the_web_api_takes():
    assert changed(isemailmonitoringallowed="off") == {"isemailmonitoringallowed": False}
    assert changed(maxuploadfilesize="1000") == {"maxuploadfilesize": 1000}
    assert changed(ee_timezone="Europe/Berlin") == {"ee_timezone": "Europe/Berlin"}
    assert changed(ee_allowedorigins="https://CRM.contoso.example") == {
        "allowed_origins": ["https://crm.contoso.example"]
    }
    assert changed(ee_cardkindsoff="reply")["card_kinds_off"] == ("reply",)


def test_operators_settings_take_lists_sizes_and_addresses():
    assert changed(untouched_domains="App.example.com, links.example.org") == {
        "untouched_domains": ["app.example.com", "links.example.org"]
    }
    assert changed(message_size_limit="1048576") == {"message_size_limit": 1048576}
    assert changed(attachment_drive="files@contoso.example") == {"attachment_drive": "files@contoso.example"}
    assert changed(attachment_drive="", untouched_domains="", ee_timezone="") == {}


SOME = {
    "isemailmonitoringallowed": "off",
    "maxuploadfilesize": "1000",
    "blockedattachments": "exe;bat",
    "ee_allowedorigins": "https://a.example; https://b.example",
    "ee_alertwebhook": "https://hooks.example.com/x",
    "ee_alertwebhooksecret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "ee_cardkindsoff": "reply;failed",
    "ee_retentiondays": "30",
    "ee_timezone": "Europe/Berlin",
    "untouched_domains": "a.example, b.example",
    "attachment_drive": "files@contoso.example",
}


@pytest.mark.parametrize("words", [{}, SOME], ids=["none", "some"])
def test_what_is_shown_can_be_set_as_it_is_shown_and_tells_no_secret(words):
    settings = settings_from(DEFAULT_SETTINGS, words)
    shown = words_of(Organization("contoso", "1", "2", settings))
    assert list(shown) == names()
    assert {name: shown[name] for name in words if "secret" not in name} == {
        name: word for name, word in words.items() if "secret" not in name
    }
    assert shown.pop("ee_alertwebhooksecret") == ("(set)" if words else "")
    given = {name: word for name, word in shown.items() if word}
    again = settings_from(settings, given)
    assert {**again, "card_kinds_off": list(again["card_kinds_off"])} == {
        **settings,
        "card_kinds_off": list(settings["card_kinds_off"]),
    }


@pytest.mark.parametrize(
    ("name", "word", "told"),
    [
        ("isemailmonitoringalowed", "on", "did you mean isemailmonitoringallowed"),
        ("zzz", "on", "there are isemailmonitoringallowed, "),
        ("name", "other", "there is no setting 'name'"),
        ("isemailmonitoringallowed", "maybe", "give on or off"),
        ("maxuploadfilesize", "12 MB", "give a whole number"),
        ("message_size_limit", "1", "1 MiB"),
        ("untouched_domains", "https://app.example.com", "is no domain"),
        ("untouched_domains", "größe.example", "in punycode"),
        ("attachment_drive", "files", "give the address"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_right(name, word, told):
    with pytest.raises(ValueError, match=told):
        settings_from(DEFAULT_SETTINGS, {name: word})


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("ee_timezone", "Mars/Olympus"),
        ("ee_workdaystart", "25:00"),
        ("ee_workdayend", "07:00"),
        ("maxuploadfilesize", "999999999999"),
        ("isemailmonitoringallowed", ""),
        ("ee_allowedorigins", "http://crm.contoso.example"),
        ("ee_alertwebhook", "https://hooks.example.com/"),
    ],
)
def test_what_the_web_api_refuses_is_refused_with_its_words(name, word):
    with pytest.raises(Failure, match=name):
        settings_from(DEFAULT_SETTINGS, {name: word})
