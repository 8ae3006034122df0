"""`python manage.py` as an operator types it, over Azurite: what it prints, asks and ends with."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import azurite
from local.processes import stop
from shared.storage import emails
from shared.storage.organizations import Organization
from tests.conftest import free_ports
from tests.figures_world import running
from tests.journalled_hits import SENT
from tests.sent_mail import put_sent_email
from tests.withdrawing_world import a_contact, as_party, mail_of, opened, sent_to

ROOT = Path(__file__).parents[2]
TENANT = "11111111-2222-4333-8444-555555555555"


def run(*arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line; the deployment is the one that the environment names."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        input=typed,
        text=True,
        capture_output=True,
        timeout=120,
    )


async def test_figures_are_rebuilt_and_what_was_wrong_is_counted(organization: Organization) -> None:
    email = await put_sent_email(organization, SENT)
    row = await emails.get_email(organization, email)
    assert row is not None
    await emails.commit(organization, row, {"_counted": '{"opens":{"1992906":1}}'})
    assert (await running(organization)).keys() == set()
    done = await asyncio.to_thread(run, "rebuild-figures", organization.name)
    assert (done.returncode, "1 emails" in done.stderr) == (0, True), done.stderr
    assert await running(organization) == {
        scope: {1992902: (1, 1, 0, 0, 0, 0), 1992906: (0, 0, 1, 0, 0, 0)}
        for scope in ("organization", f"systemuser {row['ownerid']}")
    }
    again = await asyncio.to_thread(run, "rebuild-figures", organization.name)
    assert again.stdout == f"The figures of {organization.name} are those of its mail; none had to be corrected.\n"


async def test_a_person_is_exported_and_erased_after_asking(organization: Organization, tmp_path: Path) -> None:
    ada = await a_contact(organization)
    mail = await sent_to(organization, as_party(0, 2, ada), sent=SENT)
    assert await opened(organization, mail, SENT) == 1
    person = (organization.name, "contact", ada["contactid"])

    file = tmp_path / "ada.json"
    exported = await asyncio.to_thread(run, "export-person", *person, str(file))
    assert exported.returncode == 0, exported.stderr
    assert ada["emailaddress1"] in file.read_text()

    kept = await asyncio.to_thread(run, "erase-person", *person, typed="yes\n")
    assert (kept.returncode, "Nothing is erased" in kept.stderr) == (1, True)
    erased = await asyncio.to_thread(run, "erase-person", *person, "--delete-record", typed=f"{person[2]}\n")
    assert (erased.returncode, erased.stdout) == (0, f"contact {person[2]} is erased.\n"), erased.stderr
    assert (await mail_of(organization, mail)).interactions == ()
    gone = await asyncio.to_thread(run, "export-person", *person, str(file))
    assert (gone.returncode, "Does Not Exist" in gone.stderr) == (1, True)


@pytest.fixture
def empty_account() -> Iterator[str]:
    """The connection string of an account that nobody has put anything into."""
    port = free_ports(3)
    process = azurite.start(port, None)
    yield azurite.connection_string(port)
    stop(process)


@pytest.fixture
def name() -> str:
    return "org" + uuid.uuid4().hex[:12]


def test_help_names_every_command_and_needs_no_deployment() -> None:
    done = run("--help", AzureWebJobsStorage="")
    assert done.returncode == 0
    for command in (
        "provision",
        "add",
        "list",
        "show",
        "set",
        "following",
        "rebuild-figures",
        "export",
        "restore",
        "remove",
    ):
        assert f"    {command} " in done.stdout


def test_an_organization_is_added_shown_changed_exported_removed_and_restored(
    configured: None, name: str, tmp_path: Path
) -> None:
    assert run("provision").returncode == 0
    added = run("add", name, "--tenant", TENANT)
    assert (added.returncode, added.stdout) == (0, f"{name} is added.\n")
    assert run("add", name, "--tenant", TENANT).stdout == f"{name} is there already and complete.\n"
    assert run("following", name, "off").returncode == 0
    assert run("set", name, "untouched_domains=app.example.com", "ee_timezone=Europe/Berlin").returncode == 0
    shown = dict(line.split(maxsplit=1) for line in run("show", name).stdout.splitlines() if len(line.split()) > 1)
    assert (shown["tenant"], shown["isemailmonitoringallowed"]) == (TENANT, "off")
    assert (shown["untouched_domains"], shown["ee_timezone"]) == ("app.example.com", "Europe/Berlin")
    assert shown["ee_cardkindsoff"] == "firstclick;attachmentopened;reply", "settings have the names that `set` takes"

    directory, secret = tmp_path / "out", {"EXPORT_PASSPHRASE": "correct horse battery"}
    exported = run("export", name, str(directory), **secret)
    assert exported.returncode == 0, exported.stderr
    assert run("remove", name, "--yes").returncode == 0
    refused = run("add", name, "--tenant", TENANT)
    assert (refused.returncode, "never given again" in refused.stderr) == (1, True)
    assert "isemailmonitoringallowed" not in run("show", name).stdout, "what is removed has no settings"
    listed = next(line for line in run("list").stdout.splitlines() if line.startswith(name))
    assert listed.split()[1:3] == ["removed", TENANT]

    elsewhere = {"TOKEN_SECRETS": "1:" + "b3RoZXIgc2VjcmV0LCBvdGhlciBkZXBsb3ltZW50LCBzYW1lIGlk"}
    restored = run("restore", str(directory), **secret, **elsewhere)
    assert restored.returncode == 0, restored.stderr
    file = directory / f"LINK_KEYS_{name}"
    assert f"LINK_KEYS_{name.upper()}" in restored.stdout
    assert file.read_text()[2:] not in restored.stdout + restored.stderr, "keys are never printed"
    assert run("show", name).stdout.count("Europe/Berlin") == 1
    assert run("remove", name, "--yes").returncode == 0


def test_removing_asks_for_the_name(configured: None, name: str) -> None:
    run("add", name, "--tenant", TENANT)
    for typed in ("", "yes\n", f"{name}x\n"):
        refused = run("remove", name, typed=typed)
        assert (refused.returncode, "Nothing is removed." in refused.stderr) == (1, True)
    assert run("remove", name, typed=f"{name}\n").stdout == f"{name} is removed.\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "nosuchone"), "there is no organization 'nosuchone'"),
        (("add", "Contoso", "--tenant", TENANT), "lower-case letters and digits"),
        (("set", "nosuchone", "x=1"), "there is no organization 'nosuchone'"),
        (("--account", "https://contoso.table.core.windows.net", "list"), "no name of a storage account"),
        (("add", "contoso", "--tenant", TENANT, "--storage-account", "Contoso Data"), "no name of a storage account"),
        (("restore", "/nowhere"), "manifest.json is missing"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_in_a_line_that_names_the_culprit(
    configured: None, arguments: tuple[str, ...], told: str
) -> None:
    done = run(*arguments, EXPORT_PASSPHRASE="correct horse battery")
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_that_is_not_known_is_named_with_the_closest_one(configured: None, name: str) -> None:
    run("add", name, "--tenant", TENANT)
    done = run("set", name, "untouched_domain=app.example.com")
    assert (done.returncode, "did you mean untouched_domains?" in done.stderr) == (1, True)
    assert run("remove", name, "--yes").returncode == 0


def test_a_webhook_is_set_from_a_shell_that_knows_the_storage_account_only(configured: None, name: str) -> None:
    alone = dict.fromkeys(("TOKEN_SECRETS", "TOKEN_KEY", "BASE_URL", "MICROSOFT365_URL"), "")
    run("add", name, "--tenant", TENANT, **alone)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    words = ("ee_alertwebhook=https://hooks.example.com/x", f"ee_alertwebhooksecret={secret}")
    done = run("set", name, *words, **alone)
    assert done.returncode == 0, done.stderr
    shown = run("show", name, **alone).stdout
    assert ("https://hooks.example.com/x" in shown, secret in shown) == (True, False)
    assert run("remove", name, "--yes", **alone).returncode == 0


def test_storage_that_does_not_answer_is_said_with_what_to_check() -> None:
    nowhere = "AccountName=x;AccountKey=AAAA;" + "".join(
        f"{service}Endpoint=http://127.0.0.1:9/x;" for service in ("Table", "Blob", "Queue")
    )
    done = run("list", AzureWebJobsStorage=nowhere)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert "az login" in done.stderr


def test_what_an_account_without_a_deployment_lacks_is_said(configured: None, name: str, empty_account: str) -> None:
    done = run("add", name, "--tenant", TENANT, AzureWebJobsStorage=empty_account)
    assert (done.returncode, "make its tables and queues with `provision`" in done.stderr) == (1, True), done.stderr


def test_an_identity_that_cannot_sign_in_is_said_and_nothing_else(tmp_path: Path) -> None:
    nobody = {"PATH": str(tmp_path), "HOME": str(tmp_path), "AZURE_CLIENT_ID": "", "AZURE_CLIENT_SECRET": ""}
    done = run("--account", "nosuchaccount", "list", **nobody)
    assert (done.returncode, "az login" in done.stderr) == (3, True)
    assert "Unclosed" not in done.stderr


def test_without_a_passphrase_nothing_is_exported(configured: None, name: str, tmp_path: Path) -> None:
    run("add", name, "--tenant", TENANT)
    for secret, told in (({}, "set EXPORT_PASSPHRASE"), ({"EXPORT_PASSPHRASE": "short"}, "12 characters")):
        done = run("export", name, str(tmp_path / "out"), **secret)
        assert (done.returncode, told in done.stderr) == (1, True)
    assert not (tmp_path / "out").exists()
    assert run("remove", name, "--yes").returncode == 0
