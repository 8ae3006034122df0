"""Link keys on their way from one deployment to another: wrapped, and as an app setting."""

import base64

import pytest

from shared.engagement.link_keys import dump_link_keys, parse_link_keys
from shared.services.wrapping import WrongPassphrase, unwrap, wrap
from shared.settings import SettingError, read_link_keys

PASSPHRASE = "correct horse battery"
KEYS = [(1, bytes(range(32))), (1, bytes(32)), (255, b"\x07" * 32)]


def test_what_was_wrapped_opens_with_its_passphrase_and_for_its_organization_only():
    box = wrap(b"the keys", PASSPHRASE, "contoso/1")
    assert unwrap(box, PASSPHRASE, "contoso/1") == b"the keys"
    assert b"the keys" not in base64.b64decode(box["wrapped"])
    for passphrase, of in ((PASSPHRASE + "!", "contoso/1"), (PASSPHRASE, "fabrikam/1")):
        with pytest.raises(WrongPassphrase):
            unwrap(box, passphrase, of)


@pytest.mark.parametrize(
    "change",
    [{"n": 2}, {"n": 2**40}, {"kdf": "md5"}, {"salt": "AAAA"}, {"salt": 7}, {"wrapped": "!"}, {"nonce": ""}],
    ids=str,
)
def test_what_was_changed_does_not_open_and_costs_no_more(change):
    with pytest.raises(WrongPassphrase):
        unwrap({**wrap(b"the keys", PASSPHRASE, "contoso/1"), **change}, PASSPHRASE, "contoso/1")


@pytest.mark.parametrize("box", [{}, [], "x", None], ids=repr)
def test_what_is_no_box_does_not_open(box):
    with pytest.raises(WrongPassphrase):
        unwrap(box, PASSPHRASE, "contoso/1")


def test_the_app_setting_says_what_was_written_several_keys_under_one_id_too():
    found = parse_link_keys("contoso", dump_link_keys(KEYS))
    assert found == {("contoso", 1): (KEYS[0][1], KEYS[1][1]), ("contoso", 255): (KEYS[2][1],)}


def test_settings_are_of_the_organization_that_they_name():
    text = dump_link_keys(KEYS[:1])
    assert read_link_keys({"LINK_KEYS_CONTOSO": text, "OTHER": "x"}) == {("contoso", 1): (KEYS[0][1],)}


@pytest.mark.parametrize("text", ["1:AAAA", "x:" + "A" * 44, "256:" + "A" * 43 + "=", "nothing", "1:ü"])
def test_a_wrong_setting_is_named_and_its_value_is_not_told(text):
    with pytest.raises(SettingError, match="LINK_KEYS_CONTOSO must be id:key") as raised:
        read_link_keys({"LINK_KEYS_CONTOSO": text})
    assert text not in str(raised.value)
