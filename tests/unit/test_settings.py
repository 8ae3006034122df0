"""The app settings: what a process refuses to start with."""

import base64
import json
from pathlib import Path

import pytest

from shared.settings import SettingError, read_settings
from shared.storage.account import parse_connection_string

SAMPLE = json.loads((Path(__file__).parents[2] / "local.settings.sample.json").read_text())["Values"]
OWN_SECRET = base64.b64encode(bytes(range(32))).decode()
ON_AZURE = pytest.mark.parametrize("azure", [{"WEBSITE_INSTANCE_ID": "4b1c"}, {"WEBSITE_SITE_NAME": "mail-contoso"}])


def test_a_local_run_takes_the_sample_as_it_is() -> None:
    assert read_settings(SAMPLE).token_secrets[1].startswith(b"local runs only")


def test_there_is_no_secret_by_default() -> None:
    with pytest.raises(SettingError, match="TOKEN_SECRETS is not set"):
        read_settings({**SAMPLE, "TOKEN_SECRETS": ""})


@ON_AZURE
def test_on_azure_the_secret_of_the_sample_is_refused_beside_a_good_one_too(azure: dict[str, str]) -> None:
    deployed = {**SAMPLE, **azure, "MICROSOFT365_URL": ""}
    for secrets in (SAMPLE["TOKEN_SECRETS"], f"1:{OWN_SECRET},2:{SAMPLE['TOKEN_SECRETS'].partition(':')[2]}"):
        with pytest.raises(SettingError, match=r"TOKEN_SECRETS holds, with the id \d, the secret of local\.settings"):
            read_settings({**deployed, "TOKEN_SECRETS": secrets})


@ON_AZURE
def test_on_azure_the_stand_in_for_microsoft_365_is_refused(azure: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="MICROSOFT365_URL"):
        read_settings({**SAMPLE, **azure, "TOKEN_SECRETS": f"1:{OWN_SECRET}"})


@ON_AZURE
def test_on_azure_a_secret_of_ones_own_is_taken(azure: dict[str, str]) -> None:
    deployed = {**SAMPLE, **azure, "TOKEN_SECRETS": f"1:{OWN_SECRET}", "MICROSOFT365_URL": ""}
    assert read_settings(deployed).token_secrets == {1: bytes(range(32))}


def test_a_refusal_never_repeats_the_secret() -> None:
    with pytest.raises(SettingError) as refused:
        read_settings({**SAMPLE, "WEBSITE_SITE_NAME": "mail-contoso"})
    assert SAMPLE["TOKEN_SECRETS"].partition(":")[2] not in str(refused.value)
    assert "local runs only" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TOKEN_SECRETS", "1:é", "TOKEN_SECRETS must be id:secret"),
        ("TOKEN_SECRETS", f"1:{OWN_SECRET},1:{OWN_SECRET[::-1].lstrip('=')}=", "two secrets with the id 1"),
        ("TOKEN_KEY", "²", "TOKEN_KEY must name"),
        ("TOKEN_KEY", "7", "TOKEN_KEY must name"),
        ("BASE_URL", "mail.example.com", "BASE_URL must be the address"),
        ("BASE_URL", "https://mail.example.com/a b", "BASE_URL must be the address"),
        ("BASE_URL", "https://mail.example.com?x=1", "BASE_URL must be the address"),
        ("BASE_URL", "https://größe.example", "BASE_URL must be the address"),
        ("ANSWER_BUDGET_SECONDS", "nan", "ANSWER_BUDGET_SECONDS must be a number above 0"),
        ("ANSWER_BUDGET_SECONDS", "-1", "ANSWER_BUDGET_SECONDS must be a number above 0"),
        ("SPOOL_MAX_BYTES", "inf", "SPOOL_MAX_BYTES must be a number above 0"),
        ("SPOOL_MAX_BYTES", "much", "SPOOL_MAX_BYTES must be a number above 0"),
        ("TRUSTED_PROXIES", "everybody", "TRUSTED_PROXIES must be a list of networks"),
        ("LINK_KEYS_CONTOSO", "1:short", "LINK_KEYS_CONTOSO must be id:key"),
        ("WEB_API_REQUESTS_PER_FIVE_MINUTES", "0", "WEB_API_REQUESTS_PER_FIVE_MINUTES must be a whole number"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_right(name: str, value: str, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        read_settings({**SAMPLE, name: value})


@pytest.mark.parametrize(
    "address", ["https://mail.example.com", "http://127.0.0.1:7071/", "http://[::1]:7071", "https://example.com/mail"]
)
def test_links_begin_with_any_address_that_recipients_can_reach(address: str) -> None:
    assert read_settings({**SAMPLE, "BASE_URL": address}).base_url == address.rstrip("/")


def test_a_secret_that_is_named_twice_is_one() -> None:
    given = f"1:{OWN_SECRET},1:{OWN_SECRET}"
    assert read_settings({**SAMPLE, "TOKEN_SECRETS": given}).token_secrets == {1: bytes(range(32))}


@pytest.mark.parametrize("text", ["garbage", "AccountName=x", "AccountName=x;AccountKey=%"])
def test_a_connection_string_that_is_none_is_named_by_its_setting(text: str) -> None:
    with pytest.raises(SettingError, match="STORAGE_CONTOSO must be a connection string"):
        parse_connection_string(text, "STORAGE_CONTOSO")
