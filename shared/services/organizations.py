"""Organizations as operators see them: added, removed, and where each is.

Everything here may be repeated: what is there is left, what is gone is passed over, and what was broken off is finished
by doing it again.
"""

import os
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from shared.storage import agenda
from shared.storage.account import NotFound, account_of, account_setting, host_account
from shared.storage.organizations import (
    DEFAULT_SETTINGS,
    Entry,
    Organization,
    State,
    claim_name,
    is_valid_name,
    read_entry,
    save_state,
)
from shared.storage.provisioning import delete_storage, make_storage

type Say = Callable[[str], None]
"""Takes a line about how far a long piece of work is."""


_REMEDIES: Mapping[State, str] = {
    "removing": "finish that with `remove`",
    "restoring": "finish that with `restore`",
    "removed": "only `restore` brings it back, from an export of it",
}


class CannotManage(Exception):
    """What an operator asks for cannot be; the message says why and what to do."""


async def add(
    name: str,
    tenant: str,
    storage_account: str = "",
    *,
    id: str = "",
    settings: Mapping[str, Any] = DEFAULT_SETTINGS,
) -> tuple[Organization, bool]:
    """Make an organization and return it and whether it is new; one that is there already gets what it lacks.

    `tenant` is the id of its Entra tenant; `storage_account` the name of its own account, "" for the one that the app
    settings lead to; `id` its id, "" for a random one. Raises `CannotManage`, also for a name that was given before.
    """
    organization = Organization(name, id or str(uuid.uuid4()), _guid(tenant), settings, "")
    if not is_valid_name(name):
        raise CannotManage(
            f"{name!r} cannot name an organization: 3 to 31 lower-case letters and digits, a letter first, and none of "
            "health, admin, runtime and local"
        )
    organization = place(organization, storage_account)
    entry = await read_entry(name)
    if entry is not None:
        _demand_same(entry, organization)
    await make_storage(organization)
    if entry is not None:
        return entry.organization, False
    if not await claim(organization):
        # Somebody was faster: what they have made is judged as if it had been there.
        entry = await demand(name)
        _demand_same(entry, organization)
        return entry.organization, False
    return organization, True


async def claim(organization: Organization, state: State = "") -> bool:
    """Take a name that was never given and return whether it was free; raise `CannotManage` where there is no registry
    to write it into."""
    try:
        return await claim_name(organization, state)
    except NotFound:
        raise CannotManage(
            f"the storage account {host_account().name} holds no deployment: check which one is meant, or make its "
            "tables and queues with `provision`"
        ) from None


async def demand(name: str) -> Entry:
    """Return the entry of an organization, its data within reach; raise `CannotManage` where there is none."""
    entry = await read_entry(name)
    if entry is None:
        raise CannotManage(f"there is no organization {name!r}; `list` shows those that there are")
    reach(entry.organization)
    return entry


async def demand_in_use(name: str) -> Organization:
    """Return an organization that is in use; raise `CannotManage` where it is not."""
    entry = await demand(name)
    if entry.state:
        raise CannotManage(f"{name} is not in use: it is {entry.state}; {_REMEDIES[entry.state]}")
    return entry.organization


async def remove(name: str, say: Say) -> None:
    """Delete an organization with all its data; its name stays taken. Raises `CannotManage` for one that never was."""
    entry = await demand(name)
    if entry.state == "removed":
        say(f"{name} is removed already")
        return
    if entry.state != "removing":
        # First of all: from now on nobody takes it up, and if this is broken off, everybody sees that it is not done.
        await save_state(entry, "removing")
    say("deleting what is due from the agenda ...")
    say(f"{await agenda.remove_organization(name)} entries deleted")
    say("deleting tables and blobs ...")
    await delete_storage(entry.organization)
    entry = await demand(name)
    gone = Organization(name, entry.organization.id, entry.organization.tenant, {}, entry.organization.storage_account)
    await save_state(entry, "removed", gone)


def reach(organization: Organization) -> None:
    """Let the registry stand in for the app setting of an organization's own account, which an operator's shell may
    lack; raise `CannotManage` where the two disagree."""
    setting, wanted = account_setting(organization.name), organization.storage_account
    if wanted and not os.environ.get(setting):
        os.environ[setting] = wanted
        account_of.cache_clear()
    found = account_of(organization.name).name
    expected = wanted or host_account().name
    if found != expected:
        raise CannotManage(
            f"the data of {organization.name} are in the storage account {expected}, and {setting} names {found}: "
            f"correct {setting}"
        )


def place(organization: Organization, storage_account: str) -> Organization:
    """Return an organization with the account that its data are to be in: `storage_account`, or what the app settings
    name; raise `CannotManage` where the two disagree."""
    if storage_account:
        demand_account_name(storage_account)
    elif os.environ.get(account_setting(organization.name)):
        storage_account = account_of(organization.name).name
    if storage_account == host_account().name:
        storage_account = ""
    placed = Organization(
        organization.name, organization.id, organization.tenant, organization.settings, storage_account
    )
    reach(placed)
    return placed


def demand_account_name(text: str) -> None:
    """Raise `CannotManage` where a text cannot be the name of a storage account (learn.microsoft.com, "Storage account
    overview", names): an address or a connection string would be taken for one and become part of a host name."""
    if not re.fullmatch(r"[a-z0-9]{3,24}", text):
        raise CannotManage(f"{text!r} is no name of a storage account: 3 to 24 lower-case letters and digits")


def _demand_same(entry: Entry, wanted: Organization) -> None:
    found = entry.organization
    if entry.state:
        raise CannotManage(
            f"the name {found.name} was given to an organization that is {entry.state}; names are never given again, "
            "because they are in the links of mail that was sent: choose another, or `restore` an export of it"
        )
    if found.tenant != wanted.tenant:
        raise CannotManage(f"there is an organization {found.name} already, of the tenant {found.tenant}")
    if found.storage_account != wanted.storage_account:
        where = found.storage_account or host_account().name
        raise CannotManage(
            f"there is an organization {found.name} already, in the storage account {where}: to move it, `export`, "
            "`remove` and `restore` it"
        )


def _guid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise CannotManage(f"{text!r} is not the id of a tenant: give the GUID that Entra shows as Tenant ID") from None
