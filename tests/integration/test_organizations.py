"""Organizations as operators handle them: added once, moved with their links alive, removed for good."""

import asyncio
import contextlib
import http.server
import json
import re
import stat
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from functions import recipients
from local.azurite import OTHER_ACCOUNT
from shared.engagement.tokens import TokenKind
from shared.services import exporting, folding, organizations, people, recording, restoring
from shared.services.organizations import CannotManage
from shared.services.recording import recorder
from shared.services.wrapping import WrongPassphrase
from shared.settings import settings
from shared.storage import agenda, blobs, emails, journal, pending_figures, provisioning, records
from shared.storage.account import NotFound, Unavailable, account_of, host_account
from shared.storage.organizations import (
    Organization,
    change_settings,
    find_organization,
    forget_organizations,
    list_organizations,
    read_entry,
    save_organization,
)
from shared.storage.provisioning import provision_deployment
from shared.storage.tables import Operation, Tables
from tests.entra import Issuer
from tests.landing import GIF, ask, landed, landing, links_of
from tests.sent_mail import put_sent_email
from tests.web_client import Client

PASSPHRASE = "correct horse battery"
TENANT = "11111111-2222-4333-8444-555555555555"
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
OTHER_SECRET = "1:" + "b3RoZXIgc2VjcmV0LCBvdGhlciBkZXBsb3ltZW50LCBzYW1lIGlk"
said: list[str] = []


def forget() -> None:
    for cached in (settings, host_account, account_of):
        cached.cache_clear()
    forget_organizations()


@pytest.fixture(autouse=True)
def environment(configured: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let a test say where accounts and keys are, and take it back."""
    said.clear()
    yield monkeypatch
    monkeypatch.undo()
    forget()


@pytest.fixture
def name(environment: pytest.MonkeyPatch) -> str:
    made = "org" + uuid.uuid4().hex[:12]
    # What the registry says is put into the environment: it goes again with the test.
    environment.setenv(f"STORAGE_{made.upper()}", "")
    return made


@pytest.fixture
def other_account(configured: None) -> str:
    """The connection string of Azurite's second account."""
    first = host_account()
    return first.connection_string.replace(f"AccountName={first.name}", f"AccountName={OTHER_ACCOUNT}").replace(
        f"/{first.name};", f"/{OTHER_ACCOUNT};"
    )


@pytest_asyncio.fixture
async def made(name: str) -> AsyncIterator[Organization]:
    """An organization with a person, a template, a followed mail and what recipients did with it."""
    organization, _ = await organizations.add(name, TENANT)
    yield organization
    forget_organizations()
    entry = await read_entry(name)
    if entry is not None and not entry.state:
        await organizations.remove(name, said.append)


async def filled(organization: Organization) -> str:
    """Give an organization something of everything and return the id of its mail."""
    mail: str = await put_sent_email(organization, NOW - timedelta(hours=1))
    await records.insert(organization, "contact", str(uuid.uuid4()), {"lastname": "Lovelace", "weight": 2**40})
    await records.insert(organization, "contact", "~entry", {"id": "x"})
    used = {"templateid": "t", "title": "Hello", "usedcount": 7, "openrate": 50, "_revision": 3, "_body": "texts/t"}
    await records.insert(organization, "template", "t", used)
    await people.welcome(organization, str(uuid.uuid4()), "Sella", "seller@contoso.example", NOW)
    for table in ("actioncard", "conversation", "mailbox", "opens x", "figures organization"):
        await records.insert(organization, table, "1", {"email": mail})
    await pending_figures.announce(organization, mail, 1, ["organization"])
    await blobs.put(organization, emails.image_blob(mail, 0), GIF, "image/gif")
    await blobs.put(organization, "texts/t", b"<p>Hello</p>")
    await blobs.put(organization, f"bodies/{mail}/1", b"<p>secret</p>")
    return mail


async def export(organization: Organization, directory: Path) -> Path:
    configured = settings()
    await exporting.export(
        organization, directory, PASSPHRASE, configured.token_secrets, configured.link_keys, NOW, said.append
    )
    return directory


# Adding


async def test_adding_twice_changes_nothing_and_makes_what_is_missing(made: Organization) -> None:
    await records.insert(made, "contact", "1", {"lastname": "Lovelace"})
    await save_organization(Organization(made.name, made.id, made.tenant, {**made.settings, "alert_by_mail": True}))
    again, new = await organizations.add(made.name, TENANT)
    assert (again.id, new, again.settings["alert_by_mail"]) == (made.id, False, True)
    assert await records.get(made, "contact", "1") is not None


async def test_a_name_is_of_one_tenant(made: Organization) -> None:
    with pytest.raises(CannotManage, match=f"already, of the tenant {TENANT}"):
        await organizations.add(made.name, str(uuid.uuid4()))


@pytest.mark.parametrize("wrong", ["ab", "Contoso", "9lives", "health", "admin", "con-toso", "x" * 32, "../etc", ""])
async def test_a_name_that_cannot_be_is_refused_with_what_can(wrong: str) -> None:
    with pytest.raises(CannotManage, match="lower-case letters and digits"):
        await organizations.add(wrong, TENANT)


async def test_a_tenant_is_an_id(name: str) -> None:
    with pytest.raises(CannotManage, match="Tenant ID"):
        await organizations.add(name, "contoso.onmicrosoft.com")


# Changing


async def test_what_two_change_at_once_is_all_changed(made: Organization) -> None:
    async def change(name: str) -> None:
        assert await change_settings(made.name, lambda settings: {**settings, name: "changed"})

    several = ("attachment_drive", "ee_timezone", "ee_withdrawaltext", "ee_workdaystart")
    await asyncio.gather(*(change(name) for name in several))
    settings = (await organizations.demand_in_use(made.name)).settings
    assert [settings[name] for name in several] == ["changed"] * 4


async def test_what_is_not_in_use_is_not_changed(made: Organization) -> None:
    await organizations.remove(made.name, said.append)
    assert await change_settings(made.name, lambda settings: {**settings, "alert_by_mail": True}) is None
    assert await change_settings("neverthere", lambda settings: settings) is None


# Removing


async def test_after_removal_nothing_is_left_but_the_name_and_old_links_land(made: Organization) -> None:
    mail = await filled(made)
    links = links_of(made, mail)
    for hours in (1, 9000):
        await agenda.add(agenda.Entry(NOW + timedelta(hours=hours), "deliver", made.name, mail))
    await organizations.remove(made.name, said.append)
    assert "2 entries deleted" in said
    assert await find_organization(made.name) is None
    assert made.name not in {one.name for one in await list_organizations()}
    for table in (made.emails, made.records, made.lists, made.journal):
        with pytest.raises(NotFound):
            await made.tables.apply(table, Operation("put", {"PartitionKey": "1", "RowKey": "1"}))
    with pytest.raises(NotFound):
        await blobs.get(made, "texts/t")
    left = [row async for page in Tables(host_account()).query(agenda.AGENDA) for row in page]
    assert not [row for row in left if made.name in row["RowKey"]]
    from shared.services.images import _kept

    _kept.clear()
    assert await landing(links) == landed(image=recipients.PIXEL)


async def test_hits_of_a_removed_organization_are_dropped_and_hold_nobody_up(made: Organization) -> None:
    links = links_of(made, await filled(made))
    await organizations.remove(made.name, said.append)
    await landing(links)
    assert not recorder().suspended
    row: journal.Row = {"partition": "0030000000-0123456789abcdef", "sequence": "1", "email": "x", "hit": ()}
    recorder().spool.append(made.name, row)
    await recorder().drain_now()
    assert recorder().spool.empty
    assert await folding.fold_partition(made.name, row["partition"], NOW) is None


async def test_a_removed_name_is_never_given_again(made: Organization) -> None:
    await organizations.remove(made.name, said.append)
    with pytest.raises(CannotManage, match="names are never given again"):
        await organizations.add(made.name, TENANT)
    await organizations.remove(made.name, said.append)
    assert said[-1] == f"{made.name} is removed already"


async def test_a_change_by_somebody_who_has_not_heard_does_not_bring_it_back(made: Organization) -> None:
    await organizations.remove(made.name, said.append)
    await save_organization(made)
    assert await find_organization(made.name) is None


async def test_a_removal_that_was_broken_off_is_finished_by_repeating_it(
    made: Organization, environment: pytest.MonkeyPatch
) -> None:
    async def fails(_: Organization) -> None:
        raise Unavailable(0, "Down")

    with environment.context() as patch:
        patch.setattr(organizations, "delete_storage", fails)
        with pytest.raises(Unavailable):
            await organizations.remove(made.name, said.append)
    assert await find_organization(made.name) is None
    entry = await read_entry(made.name)
    assert entry is not None
    assert entry.state == "removing"
    with pytest.raises(CannotManage, match="is removing"):
        await organizations.add(made.name, TENANT)
    with pytest.raises(CannotManage, match="finish that with `remove`"):
        await organizations.demand_in_use(made.name)
    await organizations.remove(made.name, said.append)
    entry = await read_entry(made.name)
    assert entry is not None
    assert entry.state == "removed"


async def test_what_is_not_there_is_not_removed(name: str) -> None:
    with pytest.raises(CannotManage, match="there is no organization"):
        await organizations.remove(name, said.append)


# Exporting


async def test_an_export_holds_people_templates_and_images_and_no_history(made: Organization, tmp_path: Path) -> None:
    mail = await filled(made)
    directory = await export(made, tmp_path / "out")
    rows = [json.loads(line) for line in (directory / "records.jsonl").read_text().splitlines()]
    assert [row["PartitionKey"] for row in rows] == ["contact", "contact", "systemuser", "template"]
    template = rows[-1]
    assert (template["title"], template["usedcount"], template["openrate"]) == ("Hello", 0, 0)
    assert "_revision" not in template
    files = {file.relative_to(directory / "blobs").as_posix() for file in (directory / "blobs").rglob("*")}
    assert {f"images/{mail}/0000", "texts/t"} <= files
    assert not any("bodies" in file for file in files)
    manifest = json.loads((directory / "manifest.json").read_text())
    assert (manifest["name"], manifest["id"], manifest["records"], manifest["blobs"]) == (made.name, made.id, 4, 2)


async def test_an_export_tells_no_key_and_is_for_its_owner_only(made: Organization, tmp_path: Path) -> None:
    await filled(made)
    await save_organization(
        Organization(made.name, made.id, TENANT, {**made.settings, "alert_webhook_secret": "whsec_c2VjcmV0"})
    )
    organization = await organizations.demand_in_use(made.name)
    directory = await export(organization, tmp_path / "out")
    files = [file for file in directory.rglob("*") if file.is_file()]
    together = b"".join(file.read_bytes() for file in files)
    value = restoring.read_link_keys(directory, PASSPHRASE, {})
    assert value.startswith("1:")
    assert value[2:].encode() not in together
    assert b"whsec_" not in together
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


async def test_a_directory_that_holds_something_else_is_not_written_into(made: Organization, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CannotManage, match=r"not empty \(mine.txt\)"):
        await export(made, tmp_path)
    await export(made, tmp_path / "out")
    with pytest.raises(CannotManage, match="holds an export already"):
        await export(made, tmp_path / "out")


async def test_an_export_that_was_broken_off_is_repeated_without_what_is_gone_since(
    made: Organization, tmp_path: Path
) -> None:
    await filled(made)
    directory = await export(made, tmp_path / "out")
    (directory / "manifest.json").unlink()
    await blobs.delete(made, "texts/t")
    await export(made, directory)
    assert not (directory / "blobs/texts/t").exists()
    await organizations.remove(made.name, said.append)
    await restoring.restore(directory, "", said.append)


async def test_blobs_that_no_broken_off_export_has_left_are_not_touched(made: Organization, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/mine.txt").write_text("mine")
    with pytest.raises(CannotManage, match=r"not empty \(blobs\)"):
        await export(made, tmp_path)
    assert (tmp_path / "blobs/mine.txt").read_text() == "mine"
    with pytest.raises(CannotManage, match="is a file: name a directory"):
        await export(made, tmp_path / "blobs/mine.txt")


async def test_a_blob_that_is_deleted_while_its_organization_is_exported_is_passed_over(
    made: Organization, tmp_path: Path
) -> None:
    for number in range(33):
        await blobs.put(made, f"texts/{number:02}", b"x")
    directory, configured = tmp_path / "out", settings()
    deleted: list[str] = []

    def say(line: str) -> None:
        if line.startswith("32 images") and not deleted:
            # The last one is listed already and not read yet.
            deleted.append("texts/32")
            with provisioning._blobs(made.account) as service:
                service.get_blob_client(made.container, "texts/32").delete_blob()

    await exporting.export(made, directory, PASSPHRASE, configured.token_secrets, configured.link_keys, NOW, say)
    assert json.loads((directory / "manifest.json").read_text())["blobs"] == 32


def test_a_file_with_keys_is_for_its_owner_only_also_where_it_was_everybodys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("longer than what is written")
    file.chmod(0o644)
    with exporting.private(file) as out:
        out.write(b"key")
    assert (stat.S_IMODE(file.stat().st_mode), file.read_bytes()) == (0o600, b"key")
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(OSError, match="symbolic"):
        exporting.private(tmp_path / "link")


# Restoring


async def moved(
    made: Organization, tmp_path: Path, other_account: str, environment: pytest.MonkeyPatch
) -> tuple[Organization, dict[TokenKind, str]]:
    """Move an organization into another deployment, with other secrets under the same key id; return its old links."""
    links = links_of(made, await filled(made))
    directory = await export(made, tmp_path / "out")
    environment.setenv("AzureWebJobsStorage", other_account)
    environment.setenv("TOKEN_SECRETS", OTHER_SECRET)
    forget()
    await provision_deployment()
    restored = await restoring.restore(directory, "", said.append)
    return restored, links


async def test_in_another_deployment_old_links_work_with_the_keys_that_were_brought(
    made: Organization, tmp_path: Path, other_account: str, environment: pytest.MonkeyPatch
) -> None:
    restored, old = await moved(made, tmp_path, other_account, environment)
    assert restored.account.name == OTHER_ACCOUNT
    assert (await ask(TokenKind.LINK, old[TokenKind.LINK])).status_code == 404, "nobody knows its key here"
    keys = restoring.read_link_keys(tmp_path / "out", PASSPHRASE, settings().token_secrets)
    environment.setenv(f"LINK_KEYS_{made.name.upper()}", keys)
    settings.cache_clear()
    own = links_of(restored, str(uuid.uuid4()))
    assert own[TokenKind.OPEN] != old[TokenKind.OPEN]
    assert await landing(old) == landed()
    assert (await ask(TokenKind.LINK, own[TokenKind.LINK])).status_code == 302

    again = await export(restored, tmp_path / "again")
    both = restoring.read_link_keys(again, PASSPHRASE, {})
    assert set(keys.split(",")) < set(both.split(",")), "what was brought is taken along once more"
    environment.delenv(f"LINK_KEYS_{made.name.upper()}")
    await organizations.remove(made.name, said.append)


async def test_it_begins_with_an_empty_history_and_drops_hits_on_mail_of_old(
    made: Organization, tmp_path: Path, other_account: str, environment: pytest.MonkeyPatch
) -> None:
    restored, old = await moved(made, tmp_path, other_account, environment)
    environment.setenv(f"LINK_KEYS_{made.name.upper()}", restoring.read_link_keys(tmp_path / "out", PASSPHRASE, {}))
    settings.cache_clear()
    kept = [row["PartitionKey"] async for page in restored.tables.query(restored.records) for row in page]
    assert kept == ["contact", "contact", "systemuser", "template"]
    assert [row async for page in restored.tables.query(restored.emails) for row in page] == []
    await landing(old)
    await journal.write_rows(restored.name, [_row()])
    assert await folding.fold_partition(restored.name, _PARTITION, NOW) is not None
    assert await journal.read_rows(restored, _PARTITION) == []
    assert [row async for page in restored.tables.query(restored.emails) for row in page] == []
    await organizations.remove(made.name, said.append)


_PARTITION = "0029000000-0123456789abcdef"


def _row() -> journal.Row:
    hit = (0, 0, 29000000 * 60_000, "GET", "203.0.113.9", "", 1, {"accept": "*/*"})
    return {"partition": _PARTITION, "sequence": "000000000001", "email": str(uuid.uuid4()), "hit": hit}


async def test_removed_and_restored_where_it_was_every_old_link_lands_without_new_keys(
    made: Organization, tmp_path: Path
) -> None:
    mail = await filled(made)
    links = links_of(made, mail)
    directory = await export(made, tmp_path / "out")
    await organizations.remove(made.name, said.append)
    restored = await restoring.restore(directory, "", said.append)
    assert restored == await find_organization(made.name)
    assert restored.id == made.id
    assert restoring.read_link_keys(directory, PASSPHRASE, settings().token_secrets) == ""
    assert await landing(links) == landed()
    assert recorder().spool.empty
    assert await emails.get_email(restored, mail) is None


async def test_a_restoration_that_was_broken_off_is_finished_by_repeating_it(
    made: Organization, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    await filled(made)
    directory = await export(made, tmp_path / "out")
    await organizations.remove(made.name, said.append)

    async def fails(*_: Any) -> None:
        raise Unavailable(0, "Down")

    with environment.context() as patch:
        patch.setattr(blobs, "put", fails)
        with pytest.raises(Unavailable):
            await restoring.restore(directory, "", said.append)
    assert await find_organization(made.name) is None, "nobody works in half an organization"
    forget_organizations()
    restored = await restoring.restore(directory, "", said.append)
    assert await blobs.get(restored, "texts/t") == b"<p>Hello</p>"


async def test_restoring_waits_while_storage_is_still_deleting_what_had_the_name(
    environment: pytest.MonkeyPatch,
) -> None:
    with deleting() as (account, asked):
        environment.setenv("STORAGE_CONTOSO", account)
        environment.setattr(provisioning, "_PAUSE", 0.0)
        account_of.cache_clear()
        await provisioning.make_storage(Organization("contoso", "", TENANT))
        assert asked == {"/Tables": 4 + 2, "/contoso": 1 + 2}
        environment.setattr(provisioning, "_DELETING_SECONDS", -1.0)
        asked.clear()
        with pytest.raises(TimeoutError, match="contosoEmails is still being deleted"):
            await provisioning.make_storage(Organization("contoso", "", TENANT))


@contextlib.contextmanager
def deleting() -> Iterator[tuple[str, Counter[str]]]:
    """A storage account that is still deleting a table and a container the first two times that it is asked for one, as
    Azure answers (Azurite deletes at once)."""
    asked: Counter[str] = Counter()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.answer("TableBeingDeleted", b'{"odata.error":{"code":"TableBeingDeleted","message":{"value":"wait"}}}')

        def do_PUT(self) -> None:
            self.answer(
                "ContainerBeingDeleted", b"<Error><Code>ContainerBeingDeleted</Code><Message>wait</Message></Error>"
            )

        def answer(self, code: str, body: bytes) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.partition("?")[0]
            asked[path] += 1
            refused = asked[path] <= 2
            sent = body if refused else b'{"TableName": "x"}' if path == "/Tables" else b""
            self.send_response(409 if refused else 201)
            self.send_header("Content-Type", "application/json" if path == "/Tables" else "application/xml")
            self.send_header("Content-Length", str(len(sent)))
            if refused:
                self.send_header("x-ms-error-code", code)
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        endpoints = "".join(f"{service}Endpoint={url};" for service in ("Blob", "Queue", "Table"))
        yield f"DefaultEndpointsProtocol=http;AccountName=x;AccountKey=AAAA;{endpoints}", asked
        server.shutdown()


async def test_nothing_is_restored_over_an_organization_in_use_or_another_ones_name(
    made: Organization, tmp_path: Path
) -> None:
    directory = await export(made, tmp_path / "out")
    with pytest.raises(CannotManage, match="already, in use"):
        await restoring.restore(directory, "", said.append)
    await organizations.remove(made.name, said.append)
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps({**manifest, "id": str(uuid.uuid4())}))
    with pytest.raises(CannotManage, match="given to another organization"):
        await restoring.restore(directory, "", said.append)


async def test_a_wrong_passphrase_and_a_broken_export_are_named(made: Organization, tmp_path: Path) -> None:
    directory = await export(made, tmp_path / "out")
    await organizations.remove(made.name, said.append)
    with pytest.raises(WrongPassphrase, match="passphrase is wrong"):
        restoring.read_link_keys(directory, "another one entirely", {})
    (directory / "records.jsonl").write_text('{"PartitionKey": "contact", "RowKey": "1"}\nnonsense\n')
    with pytest.raises(CannotManage, match=r"line 2 of .*records.jsonl"):
        await restoring.restore(directory, "", said.append)
    for content in ("", "[]", '{"format": "x"}', '{"format": "email-engagement/organization/1"}'):
        (directory / "manifest.json").write_text(content)
        with pytest.raises(CannotManage, match=r"manifest\.json|format"):
            await restoring.restore(directory, "", said.append)
    (directory / "manifest.json").unlink()
    with pytest.raises(CannotManage, match=r"manifest\.json is missing"):
        await restoring.restore(directory, "", said.append)


def cut(directory: Path) -> None:
    lines = (directory / "records.jsonl").read_bytes().splitlines(keepends=True)
    (directory / "records.jsonl").write_bytes(b"".join(lines[:-1]))


def without_a_blob(directory: Path) -> None:
    (directory / "blobs/texts/t").unlink()


def with_a_link_to_something_else(directory: Path) -> None:
    without_a_blob(directory)
    (directory / "blobs/texts/t").symlink_to(__file__)


def with_a_row_that_is_none(directory: Path) -> None:
    cut(directory)
    with (directory / "records.jsonl").open("a") as file:
        file.write('{"PartitionKey": "contact", "RowKey": "1", "lastname": {"nested": 1}}\n')


def with_a_setting_of_another_type(directory: Path) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["settings"]["isemailmonitoringallowed"] = "maybe"
    (directory / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut, "holds 3 records where 4 were exported"),
        (without_a_blob, "holds 1 blobs where 2 were exported"),
        (with_a_link_to_something_else, "holds 1 blobs where 2 were exported"),
        (with_a_row_that_is_none, r"line 4 of .*records\.jsonl is not as it was exported"),
        (with_a_setting_of_another_type, r"manifest\.json is not as it was exported"),
    ],
)
async def test_of_an_export_that_is_not_whole_nothing_is_restored(
    made: Organization, tmp_path: Path, damage: Callable[[Path], None], told: str
) -> None:
    await filled(made)
    directory = await export(made, tmp_path / "out")
    await organizations.remove(made.name, said.append)
    damage(directory)
    with pytest.raises(CannotManage, match=told):
        await restoring.restore(directory, "", said.append)
    entry = await read_entry(made.name)
    assert entry is not None
    assert entry.state == "removed", "nothing is begun"


async def test_what_goes_with_a_restoration_is_handed_over_before_it_can_be_broken_off(
    made: Organization, tmp_path: Path
) -> None:
    directory = await export(made, tmp_path / "out")
    handed: list[str] = []
    with pytest.raises(CannotManage, match="already, in use"):
        await restoring.restore(directory, "", said.append, lambda one: handed.append(one.name))
    assert handed == [], "a refused restoration hands nothing over"
    await organizations.remove(made.name, said.append)

    def fails(_: Organization) -> None:
        raise PermissionError("no room for keys")

    with pytest.raises(PermissionError):
        await restoring.restore(directory, "", said.append, fails)
    entry = await read_entry(made.name)
    assert entry is not None
    assert entry.state == "restoring", "it can be repeated"
    await restoring.restore(directory, "", said.append, lambda one: handed.append(one.name))
    assert handed == [made.name]


async def test_of_an_organization_whose_retention_was_cleared_the_export_is_whole(
    made: Organization, tmp_path: Path
) -> None:
    assert await change_settings(made.name, lambda settings: {**settings, "ee_retentiondays": ""})
    directory = await export(await organizations.demand_in_use(made.name), tmp_path / "out")
    await organizations.remove(made.name, said.append)
    assert (await restoring.restore(directory, "", said.append)).name == made.name


# An account of its own


async def test_all_that_an_organization_has_is_in_its_own_account(
    name: str, other_account: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(f"STORAGE_{name.upper()}", other_account)
    account_of.cache_clear()
    organization, _ = await organizations.add(name, TENANT, OTHER_ACCOUNT)
    assert (organization.storage_account, organization.account.name) == (OTHER_ACCOUNT, OTHER_ACCOUNT)
    mail = await filled(organization)
    assert await landing(links_of(organization, mail)) == landed()
    host = Tables(host_account())
    for table in (organization.emails, organization.records, organization.lists, organization.journal):
        with pytest.raises(NotFound):
            await host.apply(table, Operation("put", {"PartitionKey": "1", "RowKey": "1"}))
    hits = [row async for page in organization.tables.query(organization.journal) for row in page]
    assert len(hits) >= 1
    for row in hits:
        await folding.fold_partition(name, row["PartitionKey"], NOW)
    counted = await emails.read_partition(organization, mail, interactions=True)
    assert counted is not None
    assert len(counted.interactions) == 4
    await organizations.remove(name, said.append)
    with pytest.raises(NotFound):
        await blobs.get(organization, "texts/t")


async def test_an_app_setting_that_leads_elsewhere_is_noticed_before_anything_is_written(
    name: str, other_account: str, environment: pytest.MonkeyPatch, issuer: Issuer
) -> None:
    environment.setenv(f"STORAGE_{name.upper()}", other_account)
    account_of.cache_clear()
    with pytest.raises(CannotManage, match=f"correct STORAGE_{name.upper()}"):
        await organizations.add(name, TENANT, "athirdaccount")
    await organizations.add(name, TENANT)
    environment.setenv(f"STORAGE_{name.upper()}", "")
    forget()
    with pytest.raises(Unavailable, match=f"correct STORAGE_{name.upper()}"):
        await find_organization(name)
    refused = await Client(Organization(name, "", TENANT), issuer).get("contacts")
    assert (refused.status, "STORAGE_" in refused.error) == (503, False)
    assert name not in {one.name for one in await list_organizations()}
    environment.setenv(f"STORAGE_{name.upper()}", other_account)
    forget()
    assert await find_organization(name) is not None
    await organizations.remove(name, said.append)


async def test_an_account_that_is_gone_holds_up_no_hit_of_others(
    name: str, made: Organization, other_account: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lost = "org" + uuid.uuid4().hex[:12]
    environment.setenv(f"STORAGE_{lost.upper()}", re.sub(r":\d+/", ":9/", other_account))
    environment.setenv("SPOOL_DIR", str(tmp_path))
    environment.setattr(recording, "_recorders", {})
    forget()
    links = links_of(Organization(lost, "", ""), str(uuid.uuid4()))
    for _ in range(2):
        assert (await ask(TokenKind.LINK, links[TokenKind.LINK])).status_code == 302
    spool = recording.recorder(OTHER_ACCOUNT).spool
    assert (spool.directory, spool.empty) == (tmp_path / OTHER_ACCOUNT, False)
    await ask(TokenKind.LINK, links_of(made, str(uuid.uuid4()))[TokenKind.LINK])
    assert recorder().spool.empty
    assert not recorder().suspended
    assert [row async for page in made.tables.query(made.journal) for row in page]

    environment.setenv(f"STORAGE_{lost.upper()}", "")
    forget()
    assert await recording.recorder(OTHER_ACCOUNT).drain_now() == 2, "without the setting the hits are nobody's"


def test_an_account_without_a_key_is_reached_by_its_name_and_the_identity(
    name: str, environment: pytest.MonkeyPatch
) -> None:
    organization = organizations.place(Organization(name, "1", TENANT), "contosodata")
    account = organization.account
    assert (account.key, account.name) == (None, "contosodata")
    assert account.table_url == "https://contosodata.table.core.windows.net"
    assert account.blob_url == "https://contosodata.blob.core.windows.net"


async def test_data_moves_between_accounts_by_export_and_restore(
    made: Organization, tmp_path: Path, other_account: str, environment: pytest.MonkeyPatch
) -> None:
    mail = await filled(made)
    links = links_of(made, mail)
    directory = await export(made, tmp_path / "out")
    with pytest.raises(CannotManage, match="to move it"):
        environment.setenv(f"STORAGE_{made.name.upper()}", other_account)
        account_of.cache_clear()
        await organizations.add(made.name, TENANT, OTHER_ACCOUNT)
    environment.setenv(f"STORAGE_{made.name.upper()}", "")
    account_of.cache_clear()
    await organizations.remove(made.name, said.append)
    environment.setenv(f"STORAGE_{made.name.upper()}", other_account)
    account_of.cache_clear()
    restored = await restoring.restore(directory, OTHER_ACCOUNT, said.append)
    assert restored.account.name == OTHER_ACCOUNT
    assert (await landing(links))[TokenKind.IMAGE] == (200, "", GIF)
    assert await blobs.get(restored, "texts/t") == b"<p>Hello</p>"
