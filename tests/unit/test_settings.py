"""The app settings: what a process refuses to start with."""

import base64
import json
from pathlib import Path

import pytest

from shared.settings import SettingError, read_settings

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
