"""The registry of organizations, in the deployment's own account: one row each, kept in memory for half a minute.

A row's `state` says what is not in use: "removing" and "restoring" while that is under way, "removed" for good. The row
of an organization that is gone stays, because its name is in the links of its mail and is never given again.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import orjson

from shared.engagement.cards import OFF_BY_DEFAULT
from shared.storage import undo
from shared.storage.account import Account, Conflict, Unavailable, account_of, account_setting, host_account
from shared.storage.contention import insist
from shared.storage.tables import Entity, Operation, Tables, literal

type State = Literal["", "removing", "removed", "restoring"]

TABLE = "Organizations"
RESERVED_NAMES = frozenset({"health", "admin", "runtime", "local"})

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[a-z][a-z0-9]{2,30}")
_KEPT_SECONDS = 30.0

BLOCKED_ATTACHMENTS = (
    "ade;adp;app;asa;asax;ascx;ashx;asmx;asp;aspx;bas;bat;chm;cmd;com;config;cpl;crt;csh;dll;exe;hlp;hta;htr;htw;ida;idc;"
    "idq;inf;ins;isp;its;jar;js;jse;ksh;lnk;mad;maf;mag;mam;maq;mar;mas;mat;mau;mav;maw;mda;mdb;mde;mdt;mdw;mdz;msc;msh;"
    "msh1;msh1xml;msh2;msh2xml;mshxml;msi;msp;mst;ops;pcd;pif;prf;prg;printer;pst;reg;rem;scf;scr;sct;shb;shs;shtm;shtml;"
    "soap;stm;svg;tmp;url;vb;vbe;vbs;vsmacros;vss;vst;vsw;ws;wsc;wsf;wsh"
)
"""File name extensions that may not be attached, as a new Dataverse organization has them."""

DEFAULT_SETTINGS: Mapping[str, Any] = {
    "isemailmonitoringallowed": True,
    "isactioncardenabled": True,
    "isonedriveenabled": True,
    "allowunresolvedpartiesonemailsend": True,
    "maxuploadfilesize": 131_072 * 1024,
    "blockedattachments": BLOCKED_ATTACHMENTS,
    "ee_timezone": "",
    "ee_workdaystart": "08:00",
    "ee_workdayend": "17:00",
    "ee_workingdays": "Monday, Tuesday, Wednesday, Thursday, Friday",
    "ee_consentmode": 0,
    "ee_withdrawallink": False,
    "ee_withdrawaltext": "",
    "ee_retentiondays": 0,
    "allowed_origins": [],
    "untouched_domains": [],
    "attachment_drive": "",
    "card_kinds_off": list(OFF_BY_DEFAULT),
    "message_size_limit": 35 * 1024 * 1024,
    "alert_by_mail": False,
    "alert_webhook": "",
    "alert_webhook_secret": "",
}
"""Settings by name. Those before `allowed_origins` are columns of ``organization``; the working time is recipients', by
their own clocks, and begins as Dynamics assumes it; sizes are bytes; `allowed_origins` are those whose pages may call
the Web API; `attachment_drive` is the address of the user whose OneDrive holds followed files, empty for the sender's
own; `card_kinds_off` are the kinds of action cards that are not made; `alert_by_mail` and `alert_webhook` (an address,
empty for none) are where cards are told beside the page, `alert_webhook_secret` is what the webhook is signed with."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant of this deployment and where its data is."""

    name: str
    id: str
    tenant: str
    settings: Mapping[str, Any] = field(default_factory=lambda: DEFAULT_SETTINGS, repr=False)
    storage_account: str = ""
    """The name of its own storage account, empty where it is in the deployment's."""

    @property
    def account(self) -> Account:
        """The storage account that holds this organization's data."""
        return account_of(self.name)

    @property
    def tables(self) -> Tables:
        """The tables of that account."""
        return Tables(self.account)

    @property
    def emails(self) -> str:
        """Table: one partition is one email (see `shared.storage.emails`)."""
        return f"{self.name}Emails"

    @property
    def records(self) -> str:
        """Table: every other record, by table name and id (see `shared.storage.records`)."""
        return f"{self.name}Records"

    @property
    def lists(self) -> str:
        """Table: index rows."""
        return f"{self.name}Lists"

    @property
    def journal(self) -> str:
        """Table: raw hits, for seconds."""
        return journal_table(self.name)

    @property
    def container(self) -> str:
        """Blob container: bodies, images, attachments waiting to be sent."""
        return self.name


def journal_table(organization: str) -> str:
    """Return the name of an organization's journal; all that the recipients' path needs to know of one."""
    return f"{organization}Journal"


def is_valid_name(name: str) -> bool:
    """Return whether an organization may be called this: names become tables, containers and routes."""
    return _NAME.fullmatch(name) is not None and name not in RESERVED_NAMES


_kept: dict[str, tuple[float, Organization]] = {}
"""Organizations in use, and until when each is believed to be as it is. What is none is not remembered: anybody may ask
for any name."""


async def find_organization(name: str) -> Organization | None:
    """Return the organization of this name, or None; the answer may be half a minute old.

    Raises `Unavailable` where its own storage account is not the one that the app settings name.
    """
    now = time.monotonic()
    kept = _kept.get(name)
    if kept is not None and kept[0] > now:
        return kept[1]
    entry = await read_entry(name)
    found = entry.organization if entry is not None and not entry.state else None
    if found is not None:
        _demand_account(found)
        _kept[name] = (now + _KEPT_SECONDS, found)
    elif kept is not None:
        await _forget(name)
    return found


async def list_organizations() -> list[Organization]:
    """Return every organization that is in use, by name; those whose storage account is not set up are left out."""
    found: list[Organization] = []
    for entry in await list_entries():
        try:
            if not entry.state:
                _demand_account(entry.organization)
                found.append(entry.organization)
        except Unavailable as error:
            _log.error("%s", error)
    return found


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the registry with its etag; `state` is "" for an organization in use."""

    organization: Organization
    state: State
    etag: str


async def read_entry(name: str) -> Entry | None:
    """Return what the registry says of a name, now; None where it was never given."""
    if not is_valid_name(name):
        return None
    row = await Tables(host_account()).get(TABLE, "organization", name)
    return None if row is None else _entry(row)


async def list_entries() -> list[Entry]:
    """Return the whole registry, by name."""
    rows = await Tables(host_account()).query_all(TABLE, f"PartitionKey eq {literal('organization')}")
    return [_entry(row) for row in rows]


async def save_organization(organization: Organization) -> None:
    """Write an organization's row; other processes see it within half a minute. One that is being removed stays so."""
    await _save(organization)


async def change_settings(name: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Organization | None:
    """Change the settings of an organization that is in use and return it, or None; other processes see it within half
    a minute.

    `change` returns the settings from those that there are now, whatever the caller has read earlier: administrators
    and operators change them at the same time, and nobody's change may take back another's.
    """

    async def attempt() -> Organization | None:
        entry = await read_entry(name)
        if entry is None or entry.state:
            return None
        changed = replace(entry.organization, settings=change(entry.organization.settings))
        await _save(changed, entry.etag)
        return changed

    return await insist(attempt)


async def _save(organization: Organization, etag: str | None = None) -> None:
    noted = undo.log()
    if noted is not None:
        # Noted before the row, it is taken back after it.
        noted.note(("kept", organization.name), lambda: _forget(organization.name))
    await Tables(host_account()).apply(TABLE, Operation("merge", _row(organization), etag))
    await _forget(organization.name)


async def claim_name(organization: Organization, state: State = "") -> bool:
    """Write the row of a name that was never given; return whether it was free."""
    try:
        await Tables(host_account()).apply(TABLE, Operation("insert", {**_row(organization), "state": state}))
    except Conflict:
        return False
    await _forget(organization.name)
    return True


async def save_state(entry: Entry, state: State, organization: Organization | None = None) -> None:
    """Write an entry in another state, and with other columns where `organization` is given.

    Raises `PreconditionFailed` where somebody has changed it since it was read.
    """
    row = {**_row(organization or entry.organization), "state": state}
    await Tables(host_account()).apply(TABLE, Operation("put", row, entry.etag))
    await _forget(entry.organization.name)


async def _forget(name: str) -> None:
    _kept.pop(name, None)


def forget_organizations() -> None:
    """Drop what is kept in memory, so that the next look-up reads storage."""
    _kept.clear()


def _demand_account(organization: Organization) -> None:
    """Refuse to look for an organization's data in an account where they are not."""
    wanted = organization.storage_account or host_account().name
    if organization.account.name != wanted:
        raise Unavailable(
            503,
            "StorageAccountNotConfigured",
            f"the data of {organization.name} are in the storage account {wanted}, and the app settings lead to "
            f"{organization.account.name}: correct {account_setting(organization.name)}",
        )


def _row(organization: Organization) -> Entity:
    return {
        "PartitionKey": "organization",
        "RowKey": organization.name,
        "id": organization.id,
        "tenant": organization.tenant,
        "storage_account": organization.storage_account,
        "settings": orjson.dumps(dict(organization.settings)).decode(),
    }


def _entry(row: Entity) -> Entry:
    settings = {**DEFAULT_SETTINGS, **orjson.loads(row["settings"])}
    organization = Organization(row["RowKey"], row["id"], row["tenant"], settings, row.get("storage_account", ""))
    return Entry(organization, row.get("state", ""), row["etag"])
