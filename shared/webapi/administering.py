"""Settings of an organization from words of a command line: its columns, by the rules of the Web API, and what only
operators set."""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from shared.storage.organizations import Organization
from shared.webapi.payloads import parse_payload
from shared.webapi.schema import NUMBERS, Type
from shared.webapi.sources import organization_row
from shared.webapi.tables import TABLES
from shared.webapi.telling import SECRET
from shared.webapi.writing import changed_settings

MAX_MESSAGE = 150 * 1024 * 1024
"""Exchange Online takes no larger message (learn.microsoft.com, "Exchange Online limits")."""

_SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def settings_from(settings: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """Return an organization's settings with those that `words` change; an empty word clears one that may be empty.

    Raises ValueError naming the setting that is not known or wrong, `shared.webapi.errors.Failure` for a column's
    value that the Web API would refuse.
    """
    columns: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, word in words.items():
        if name in _OPERATORS:
            own[name] = _OPERATORS[name](name, word.strip())
        elif name in names():
            columns[name] = _value(name, word)
        else:
            raise ValueError(_unknown(name))
    payload = parse_payload(TABLES["organization"], columns, creating=False)
    return {**changed_settings(settings, payload.columns), **own}


def words_of(organization: Organization) -> dict[str, str]:
    """Return the settings of an organization as `settings_from` takes them; a secret only as set or not.

    `settings_from` of these words, but for the secret's, changes nothing.
    """
    settings = organization.settings
    row = {**settings, **organization_row(organization), SECRET: "(set)" if settings["alert_webhook_secret"] else ""}
    return {name: _word(row[name]) for name in names()}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(value)
    return "" if value is None else "; ".join(str(value).splitlines())


def names() -> list[str]:
    """Return the names of all settings."""
    table = TABLES["organization"]
    return [*(column.name for column in table.columns if column.writable and column.name != table.id), *_OPERATORS]


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, names(), 1, 0.5)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names())}"
    return f"there is no setting {name!r}: {hint}"


def _value(name: str, word: str) -> Any:
    column = TABLES["organization"].by_name[name]
    if word == "":
        return None
    if column.type is Type.BOOLEAN:
        if word.lower() not in _SWITCH:
            raise ValueError(f"{name} is {word!r}: give on or off")
        return _SWITCH[word.lower()]
    if column.type in NUMBERS:
        return _whole(name, word)
    return word


def _whole(name: str, word: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", word):
        raise ValueError(f"{name} is {word!r}: give a whole number")
    return int(word)


def _size(name: str, word: str) -> int:
    size = _whole(name, word)
    if not 1024 * 1024 <= size <= MAX_MESSAGE:
        raise ValueError(f"{name} is {size}: give 1048576 (1 MiB) to {MAX_MESSAGE} (150 MiB), the tenant's own limit")
    return size


def _domains(name: str, word: str) -> list[str]:
    found = [part.lower() for part in re.split(r"[\s,;]+", word) if part]
    for domain in found:
        if not _DOMAIN.fullmatch(domain):
            raise ValueError(
                f"{domain!r} in {name} is no domain: give names such as app.example.com, parted by commas; those of "
                "other scripts in punycode"
            )
    return list(dict.fromkeys(found))


def _address(name: str, word: str) -> str:
    if word and not _ADDRESS.fullmatch(word):
        raise ValueError(f"{name} is {word!r}: give the address of the user whose OneDrive it is, or nothing")
    return word


_OPERATORS: Mapping[str, Callable[[str, str], Any]] = {
    "untouched_domains": _domains,
    "attachment_drive": _address,
    "message_size_limit": _size,
}
