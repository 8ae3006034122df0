"""Manages a deployment and its organizations from a terminal; docs/organizations.md tells how.

Which deployment: `--account NAME` (the name of its storage account, with `az login`), or what `AzureWebJobsStorage` or
`AzureWebJobsStorage__accountName` say in the environment, or else the one that `make run` runs on this machine.
"""

import argparse
import asyncio
import getpass
import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from shared.engagement.figures import PEOPLE
from shared.engagement.link_keys import LINK_KEYS
from shared.services import erasing, exporting, figuring, organizations, person_export, restoring, wrapping
from shared.services.errors import Missing, Refused
from shared.services.organizations import CannotManage
from shared.settings import SettingError, read_link_keys, read_secrets
from shared.storage import blobs
from shared.storage.account import StorageError, close_identity, close_session, host_account
from shared.storage.organizations import Entry, Organization, change_settings, list_entries
from shared.storage.provisioning import provision_deployment
from shared.webapi.administering import names, settings_from, words_of
from shared.webapi.errors import Failure

DONE, REFUSED, BROKEN = 0, 1, 3
"""Exit codes; argparse ends with 2 where the command line is not understood."""

PASSPHRASE = "EXPORT_PASSPHRASE"  # noqa: S105 - the name of a variable

type Options = argparse.Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _choose_deployment(options.account)
        return asyncio.run(_run(options))
    except (CannotManage, SettingError, Failure, Missing, Refused, ValueError, OSError) as error:
        _say(f"Error: {error}")
        return REFUSED
    except KeyboardInterrupt:
        _say("Broken off. Repeat the command to finish it.")
        return BROKEN
    except Exception as error:
        if not _is_of_storage(error):
            raise
        _say(f"Error: storage did not do it: {' '.join(str(error).split())[:400]}")
        _say(
            "Check that it is reachable, that `az login` is that of the right tenant, and that you have the roles that"
        )
        _say("docs/organizations.md names. What was begun is finished by repeating the command.")
        return BROKEN


def _is_of_storage(error: Exception) -> bool:
    from azure.core.exceptions import AzureError

    return isinstance(error, StorageError | AzureError)


async def _run(options: Options) -> int:
    command: Callable[[Options], Awaitable[int | None]] = options.command
    try:
        return await command(options) or DONE
    finally:
        await blobs.close_clients()
        await close_session()
        await close_identity()


def _choose_deployment(account: str) -> None:
    if account:
        organizations.demand_account_name(account)
        os.environ.pop("AzureWebJobsStorage", None)
        os.environ["AzureWebJobsStorage__accountName"] = account  # noqa: SIM112 - Azure spells it so
    elif not {"AzureWebJobsStorage", "AzureWebJobsStorage__accountName"} & os.environ.keys():
        from local.run import run_environment

        os.environ.update(run_environment(Path(__file__).parent, os.environ))
    _say(f"Deployment: storage account {host_account().name} at {host_account().table_url}")


async def _provision(_: Options) -> None:
    await provision_deployment()
    print("The deployment's tables and queues are there.")


async def _add(options: Options) -> None:
    organization, made = await organizations.add(options.name, options.tenant, options.storage_account)
    print(f"{organization.name} is {'added' if made else 'there already and complete'}.")
    if made:
        _tell_of_account(organization)
        _say("People get in with a token of that tenant and an app role (docs/web-api-access.md).")


async def _list(_: Options) -> None:
    rows = [("NAME", "STATE", "FOLLOWING", "TENANT", "STORAGE ACCOUNT"), *map(_line, await list_entries())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _line(entry: Entry) -> tuple[str, ...]:
    found = entry.organization
    following = words_of(found)["isemailmonitoringallowed"] if not entry.state else ""
    return found.name, entry.state or "in use", following, found.tenant, found.storage_account or host_account().name


async def _show(options: Options) -> None:
    entry = await organizations.demand(options.name)
    found = entry.organization
    shown = {
        "name": found.name,
        "state": entry.state or "in use",
        "id": found.id,
        "tenant": found.tenant,
        "storage account": found.account.name,
        # One that is removed has no settings any more, and one that is not restored yet has not got them.
        **(words_of(found) if not entry.state else {}),
    }
    for name, value in shown.items():
        print(f"{name:<36}{value}".rstrip())


async def _set(options: Options) -> None:
    await organizations.demand_in_use(options.name)
    words = dict(_pair(word) for word in options.settings)
    if await change_settings(options.name, lambda settings: settings_from(settings, words)) is None:
        raise CannotManage(f"{options.name} is not in use any more")
    print(f"{options.name} is changed; every instance knows within half a minute.")


async def _following(options: Options) -> None:
    options.settings = [f"isemailmonitoringallowed={options.switch}"]
    await _set(options)


async def _export(options: Options) -> None:
    organization = await organizations.demand_in_use(options.name)
    secrets, imported = read_secrets(os.environ), read_link_keys(os.environ)
    passphrase = _passphrase(twice=True)
    await exporting.export(organization, options.directory, passphrase, secrets, imported, datetime.now(UTC), _say)
    print(f"{options.name} is exported to {options.directory}.")


async def _restore(options: Options) -> None:
    secrets = read_secrets(os.environ) if os.environ.get("TOKEN_SECRETS") else {}
    # The passphrase first: one that is wrong should not leave half an organization behind.
    keys = restoring.read_link_keys(options.directory, _passphrase(twice=False), secrets)

    def file_of(organization: Organization) -> Path:
        return Path(options.keys_file or options.directory / f"{LINK_KEYS}{organization.name}")

    def hand_over(organization: Organization) -> None:
        if keys:
            with exporting.private(file_of(organization)) as out:
                out.write(keys.encode())

    organization = await restoring.restore(options.directory, options.storage_account, _say, hand_over)
    print(f"{organization.name} is restored, with an empty history.")
    _tell_of_account(organization)
    if keys:
        _tell_of_keys(organization.name, file_of(organization))


def _tell_of_keys(name: str, file: Path) -> None:
    """Say how the link keys become an app setting."""
    setting, quoted = f"{LINK_KEYS}{name.upper()}", shlex.quote(str(file))
    secret = setting.replace("_", "-").lower()
    print(f"Its old links need the app setting {setting}. Its value is in {file}: a secret, for your eyes only.")
    print("  On Azure:")
    print(f"    az keyvault secret set --vault-name VAULT --name {secret} --file {quoted}")
    print(
        f"    azd env set ORGANIZATIONS_WITH_LINK_KEYS {name}   # beside those that it names already, parted by commas"
    )
    print("    azd provision")
    print(f"  On this machine: start again with {setting} in the environment or in local.settings.json.")
    print("  Then delete the file.")


async def _remove(options: Options) -> int:
    entry = await organizations.demand(options.name)
    if not options.yes and entry.state != "removed":
        _say(
            f"This deletes all mail, people, templates and images of {options.name}, for good. Its links keep landing,"
        )
        _say("its images turn blank, and nobody gets its name again. `export` keeps what can be restored.")
        if _ask(f"Type {options.name} to go on: ") != options.name:
            _say("Nothing is removed.")
            return REFUSED
    await organizations.remove(options.name, _say)
    print(f"{options.name} is removed.")
    return DONE


async def _export_person(options: Options) -> None:
    organization = await organizations.demand_in_use(options.name)
    document = await person_export.export(organization, options.table, options.id, datetime.now(UTC))
    with exporting.private(options.file) as out:
        out.write(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    print(f"What is held about {options.table} {options.id} is in {options.file}.")


async def _erase_person(options: Options) -> int:
    organization = await organizations.demand_in_use(options.name)
    if not options.yes:
        _say(f"This deletes what {options.table} {options.id} did with mail of {options.name}, for good.")
        _say("What stays, and why, is in docs/privacy.md.")
        if _ask(f"Type {options.id} to go on: ") != options.id:
            _say("Nothing is erased.")
            return REFUSED
    work = {"person": f"{options.table} {options.id}"}
    while True:
        now = datetime.now(UTC)
        found = await erasing.start(organization, options.table, options.id, now, delete_record=options.delete_record)
        _say(f"{found.percent} % of all mail looked at, {found.emails:,} emails changed")
        delay = await erasing.erase(organization, work, now)
        if delay is None:
            print(f"{options.table} {options.id} is erased.")
            return DONE
        await asyncio.sleep(delay.total_seconds())


async def _rebuild_figures(options: Options) -> None:
    organization = await organizations.demand_in_use(options.name)
    wrong = await figuring.rebuild(organization, _say)
    print(f"The figures of {options.name} are those of its mail; {wrong or 'none'} had to be corrected.")


def _tell_of_account(organization: Organization) -> None:
    if organization.storage_account:
        setting = f"STORAGE_{organization.name.upper()}"
        _say(f"Set the app setting {setting}={organization.storage_account} before anybody uses {organization.name}.")


def _passphrase(*, twice: bool) -> str:
    found = os.environ.get(PASSPHRASE)
    if found is None:
        if not sys.stdin.isatty():
            raise CannotManage(f"a passphrase for the link keys is needed: set {PASSPHRASE}, or run this in a terminal")
        found = getpass.getpass("Passphrase for the link keys: ")
        if twice and getpass.getpass("Once more: ") != found:
            raise CannotManage("the two are not the same")
    if len(found) < wrapping.MIN_PASSPHRASE:
        raise CannotManage(f"the passphrase is too short: give {wrapping.MIN_PASSPHRASE} characters or more")
    return found


def _ask(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _pair(word: str) -> tuple[str, str]:
    name, sign, value = word.partition("=")
    if not sign:
        raise CannotManage(f"{word!r} sets nothing: give NAME=VALUE, such as isemailmonitoringallowed=on")
    return name.strip(), value


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python manage.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--account", default="", metavar="NAME", help="the deployment's storage account on Azure")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Options], Awaitable[int | None]], help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(command=run)
        return added

    def of_one(name: str, run: Callable[[Options], Awaitable[int | None]], help: str) -> argparse.ArgumentParser:
        added = command(name, run, help)
        added.add_argument("name", help="the organization's name")
        return added

    command("provision", _provision, "make the deployment's tables and queues where they are missing")
    command("list", _list, "list all organizations, those that are gone too")
    added = of_one("add", _add, "add an organization, or make what it lacks")
    added.add_argument("--tenant", required=True, metavar="ID", help="the id of its Entra tenant")
    of_one("show", _show, "show an organization and its settings")
    changed = of_one("set", _set, "change settings")
    changed.add_argument("settings", nargs="+", metavar="NAME=VALUE", help=f"one of {', '.join(names())}")
    of_one("following", _following, "switch following on or off").add_argument("switch", choices=("on", "off"))
    of_a_person = of_one("export-person", _export_person, "write all that is held about a person into a file")
    erased = of_one("erase-person", _erase_person, "erase what a person did with mail, and who they are in it")
    for one in (of_a_person, erased):
        one.add_argument("table", choices=PEOPLE, help="the table of the person's record")
        one.add_argument("id", help="the id of the record")
    of_a_person.add_argument("file", type=Path, help="where to write it, JSON")
    erased.add_argument("--delete-record", action="store_true", help="delete the record itself too")
    erased.add_argument("--yes", action="store_true", help="do not ask")
    of_one("rebuild-figures", _rebuild_figures, "make all figures anew from the mail itself")
    exported = of_one("export", _export, "export an organization into a directory")
    exported.add_argument("directory", type=Path, help="an empty or missing directory")
    restored = command("restore", _restore, "make an organization from its export, with an empty history")
    restored.add_argument("directory", type=Path, help="what `export` wrote")
    restored.add_argument(
        "--keys-file", type=Path, metavar="FILE", help="where to write its link keys for the app setting"
    )
    of_one("remove", _remove, "delete an organization with all its data").add_argument(
        "--yes", action="store_true", help="do not ask"
    )
    for one in (added, restored):
        one.add_argument("--storage-account", default="", metavar="NAME", help="a storage account of its own")
    return parser


if __name__ == "__main__":
    sys.exit(main())
